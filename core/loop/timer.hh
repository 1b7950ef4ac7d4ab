/* A timer that can be started, moved and stopped as often as needed. */
#pragma once

#include "core/loop/loop.hh"

#include <kolk/timer.h>

/* What a move touches lies together: the end of the node, and the owner. */
struct kolk_timer final : kolk::timer_node, kolk::counted {
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    kolk_timer(kolk::loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : timer_node(expired), counted(on), fn(call), userdata(data), destroy(release) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;

    void start(int64_t at) noexcept { owner->start_timer(*this, at); }
    bool stop() noexcept { return owner->stop_timer(*this); }

  private:
    static void expired(kolk::ready_item &item, bool closing) noexcept;
};

namespace kolk {
using timer = ::kolk_timer;
}
