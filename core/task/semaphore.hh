/* At most so many at once. Those who wait are served in the order they came; a permit that is given back goes straight to the
 * first of them, so that nobody who comes later can take it on the way. */
#pragma once

#include "core/task/task.hh"

#include <kolk/semaphore.h>

namespace kolk {

struct permit_tag;

/* Who waits for a permit. */
struct permit_wait : link<permit_tag> {
    void (*grant)(permit_wait &self) noexcept;

    explicit permit_wait(void (*fn)(permit_wait &) noexcept) noexcept : grant(fn) {}
};

} // namespace kolk

struct kolk_semaphore final : kolk::counted {
    uint32_t permits;
    kolk::list<kolk::permit_wait, kolk::permit_tag> waiting;

    kolk_semaphore(kolk::loop &on, uint32_t free) noexcept : counted(on), permits(free) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;

    [[nodiscard]] int acquire(kolk_task &self) noexcept;
    [[nodiscard]] int acquire_async(kolk_future *&ret_future) noexcept;
    [[nodiscard]] int release() noexcept;
};

namespace kolk {
using semaphore = ::kolk_semaphore;
}
