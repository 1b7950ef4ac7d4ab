/* The system's monotonic clock. */
#pragma once

#include <stdint.h>

namespace kolk {

/* Nanoseconds on a clock that never goes back. */
[[nodiscard]] int64_t monotonic_time() noexcept;

/* When so much time has passed since then; saturates. */
[[nodiscard]] inline int64_t time_after(int64_t then, int64_t delay) noexcept {
    int64_t when;
    if (delay <= 0)
        return then;
    return __builtin_add_overflow(then, delay, &when) ? INT64_MAX : when;
}

} // namespace kolk
