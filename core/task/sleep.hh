/* Letting time pass, as a wait and as a future. */
#pragma once

#include "core/task/task.hh"

namespace kolk {

/* Inside a task of this loop. The timer is on the task's stack. */
[[nodiscard]] int sleep(task &self, int64_t delay) noexcept;

/* When so much time has passed from now. */
[[nodiscard]] inline int64_t deadline_after(const loop &on, int64_t delay) noexcept { return time_after(on.now(), delay); }

[[nodiscard]] int sleep_async(loop &on, int64_t delay, future *&ret_future) noexcept;

} // namespace kolk
