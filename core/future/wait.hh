/* A future for some of many. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

/* The futures are all of this loop, `until` is a kolk_wait_until. 0 or KOLK_ENOMEM. */
[[nodiscard]] int wait_async(loop &on, future *const *futures, size_t count, int32_t until, int64_t timeout,
                             future *&ret_future) noexcept;

/* The wait that this item is part of; nullptr: it is something else. */
[[nodiscard]] future *wait_behind(const ready_item &item) noexcept;

} // namespace kolk
