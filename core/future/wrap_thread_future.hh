/* A future of a loop for one of threads. */
#pragma once

#include "core/future/thread_future.hh"

namespace kolk {

[[nodiscard]] int wrap_thread_future(loop &on, thread_future &source, future *&ret_future) noexcept;

} // namespace kolk
