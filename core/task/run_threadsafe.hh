/* Starting a task on a loop from another thread, which may wait for its result. */
#pragma once

#include "core/future/thread_future.hh"
#include "core/task/task.hh"

namespace kolk {

/* Any thread. 0, KOLK_ENOMEM or KOLK_ECLOSED; then nothing was taken over. */
[[nodiscard]] int run_threadsafe(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, const task_plan &plan,
                                 thread_future *&ret_future) noexcept;

} // namespace kolk
