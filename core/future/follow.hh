/* Letting a future of the user's end as another one does. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

/* `self` is one that set_result may finish, and pending. From now on it is not. */
[[nodiscard]] int follow(future &self, future &other) noexcept;

/* Whether it follows one, or did until it was done. */
[[nodiscard]] bool follows(const future &self) noexcept;

} // namespace kolk
