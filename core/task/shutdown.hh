/* The end of all tasks, as a future. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

/* Cancels all tasks. The future is done when none is left. */
[[nodiscard]] int shutdown_async(loop &on, future *&ret_future) noexcept;

/* Cancels all tasks, which then go on to end. */
void cancel_each_task(loop &on) noexcept;

} // namespace kolk
