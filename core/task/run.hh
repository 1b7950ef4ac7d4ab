/* A whole life of a loop: its main task, what is left of the others, its end. */
#pragma once

#include "core/task/task.hh"

namespace kolk {

/* Cancels every task, and runs the loop until all have ended. */
[[nodiscard]] int cancel_all(loop &on) noexcept;

/* Ends with the loop closed and dropped. */
int run_main(loop &on, kolk_coroutine_fn fn, void *userdata, void **ret_result, error **ret_error) noexcept;

} // namespace kolk
