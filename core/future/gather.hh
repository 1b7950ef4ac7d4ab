/* One future for many. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

/* The futures are all of this loop. */
[[nodiscard]] int gather(loop &on, future *const *futures, size_t count, uint32_t flags, future *&ret_future) noexcept;

/* The gathering that waits with this item; nullptr: it is something else. */
[[nodiscard]] future *gathering_behind(const ready_item &item) noexcept;

} // namespace kolk
