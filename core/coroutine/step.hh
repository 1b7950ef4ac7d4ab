/* Step functions: what stands behind the macros, and the coroutine that is made of one. */
#pragma once

#include "core/coroutine/coroutine.hh"

#include <kolk/step.h>

namespace kolk {

[[nodiscard]] int step_await(kolk_step &self, int status, ::kolk_future *what, void **ret_value) noexcept;
int step_resumed(kolk_step &self) noexcept;
[[nodiscard]] int step_call(kolk_step &self, kolk_step_fn fn, kolk_step &state, void **ret_value) noexcept;
void step_clear(kolk_step &self) noexcept;

[[nodiscard]] int make_step_coroutine(loop &on, kolk_step_fn fn, const void *state, size_t size, kolk_destroy_fn destroy,
                                      coroutine *&ret_coroutine) noexcept;

} // namespace kolk
