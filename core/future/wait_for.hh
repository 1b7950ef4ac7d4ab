/* A future with a time limit. */
#pragma once

#include "core/task/task.hh"

namespace kolk {

/* Inside a task: waits until the future is done, and has it cancelled when the time is up. Allocates nothing. 0 when it is
 * done, KOLK_ETIMEDOUT when that was because of the time, or why the task must not wait. */
[[nodiscard]] int wait_for(task &self, future &what, int64_t timeout) noexcept;

[[nodiscard]] int wait_for_async(future &what, int64_t timeout, future *&ret_future) noexcept;

/* The future with a limit that waits with this item; nullptr: it is something else. */
[[nodiscard]] future *limit_behind(const ready_item &item) noexcept;

} // namespace kolk
