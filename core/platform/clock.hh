/* The system's monotonic clock. */
#pragma once

#include <stdint.h>

namespace kolk {

/* Nanoseconds on a clock that never goes back. */
[[nodiscard]] int64_t monotonic_time() noexcept;

} // namespace kolk
