/* A future for what comes after another: the next step, which a result or an error is handed to. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

/* Each returns 0 or KOLK_ENOMEM; then the userdata is still the caller's. */
[[nodiscard]] int future_then(future &before, kolk_then_fn fn, void *userdata, kolk_destroy_fn destroy,
                              future *&ret_future) noexcept;
[[nodiscard]] int future_catch(future &before, kolk_catch_fn fn, void *userdata, kolk_destroy_fn destroy,
                               future *&ret_future) noexcept;

} // namespace kolk
