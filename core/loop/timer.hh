/* A timer that can be started, moved and stopped as often as needed. */
#pragma once

#include "core/loop/loop.hh"

#include <kolk/timer.h>

struct kolk_timer final : kolk::counted, kolk::timer_node {
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    kolk_timer(kolk::loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : counted(on), timer_node(expired), fn(call), userdata(data), destroy(release) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;

    void start(int64_t at) noexcept {
        owner->start_timer(*this, at);
    }
    bool stop() noexcept { return owner->stop_timer(*this); }

  private:
    static void expired(kolk::ready_item &item, bool closing) noexcept;
};

namespace kolk {
using timer = ::kolk_timer;
}
