/* A future with a time limit. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

[[nodiscard]] int wait_for_async(future &what, int64_t timeout, future *&ret_future) noexcept;

} // namespace kolk
