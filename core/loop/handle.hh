/* A callback that has been asked for, soon or at a time, and can still be taken back. */
#pragma once

#include "core/loop/loop.hh"

struct kolk_handle final : kolk::timer_node, kolk::counted {
    enum class stage : uint8_t { scheduled, called, cancelled };

    stage at = stage::scheduled; /* first, where counted leaves a gap */
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    kolk_handle(kolk::loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : timer_node(invoke), counted(on), fn(call), userdata(data), destroy(release) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;
    [[nodiscard]] int cancel() noexcept;

  private:
    static void invoke(kolk::ready_item &item, bool closing) noexcept;
};

namespace kolk {

using handle = ::kolk_handle;

/* A call that nobody will take back, where it cannot be one of the loop's soon_calls. */
struct soon_call final : ready_item {
    loop *on;
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    soon_call(loop &where, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : ready_item(invoke), on(&where), fn(call), userdata(data), destroy(release) {}

    static void invoke(ready_item &item, bool closing) noexcept;
};

/* False when memory is gone. */
[[nodiscard]] bool call_soon(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;

/* The same, where nothing need be allocated and no host be told; false elsewhere. Calls nothing. */
[[nodiscard]] inline bool call_soon_at_once(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    if (on.add_soon_call(fn, userdata, destroy)) [[likely]]
        return true;
    void *memory = on.host_sleeps() ? nullptr : on.objects.take_kept<soon_call>();
    if (memory) [[likely]]
        on.make_ready_silently(*::new (memory) soon_call(on, fn, userdata, destroy));
    return memory;
}

/* Both return 0 or KOLK_ENOMEM, and hand out a reference if one is wanted. */
[[nodiscard]] int call_soon(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                            handle **ret_handle) noexcept;
[[nodiscard]] int call_at(loop &on, int64_t when, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                          handle **ret_handle) noexcept;

} // namespace kolk
