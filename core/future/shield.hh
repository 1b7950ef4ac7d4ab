/* A future that can be cancelled without the one it stands for. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

[[nodiscard]] int shield(future &what, future *&ret_future) noexcept;

} // namespace kolk
