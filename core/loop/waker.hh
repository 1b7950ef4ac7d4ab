/* A doorbell: any thread or signal handler rings, the loop answers on its own thread. */
#pragma once

#include "core/loop/loop.hh"

#include <kolk/waker.h>

struct kolk_waker final : kolk::counted, kolk::inbox_item, kolk::ready_item {
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;
    std::atomic<bool> rung{false};

    kolk_waker(kolk::loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : counted(on), inbox_item(arrived), ready_item(answer), fn(call), userdata(data), destroy(release) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;

    /* Any thread, any signal handler. */
    void wake() noexcept {
        /* Written, not looked at first: a look could be done before this thread's earlier writes are seen, and find a ring that
         * has been answered since. */
        if (!rung.exchange(true, std::memory_order_acq_rel) && !owner->post(*this))
            rung.store(false, std::memory_order_relaxed); /* the loop has closed: nobody will answer */
    }

  private:
    static void arrived(kolk::inbox_item &item, bool closing) noexcept;
    static void answer(kolk::ready_item &item, bool closing) noexcept;
    void finish() noexcept;
};

namespace kolk {
using waker = ::kolk_waker;
}
