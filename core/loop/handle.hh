/* A callback that has been asked for, soon or at a time, and can still be taken back. */
#pragma once

#include "core/loop/loop.hh"

struct kolk_handle final : kolk::counted, kolk::timer_node {
    enum class stage : uint8_t { scheduled, called, cancelled };

    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;
    stage at = stage::scheduled;

    kolk_handle(kolk::loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : counted(on), timer_node(invoke), fn(call), userdata(data), destroy(release) {}

    void ref() noexcept { refs++; }
    void unref() noexcept;
    [[nodiscard]] int cancel() noexcept;

  private:
    static void invoke(kolk::ready_item &item, bool closing) noexcept;
};

namespace kolk {

using handle = ::kolk_handle;

/* Both return 0 or KOLK_ENOMEM, and hand out a reference if one is wanted. */
[[nodiscard]] inline int call_soon(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy, handle **ret_handle) noexcept {
    auto *made = on.objects.create<handle>(on, fn, userdata, destroy);
    if (!made) [[unlikely]]
        return KOLK_ENOMEM;
    on.make_ready(*made);
    if (ret_handle) {
        made->ref();
        *ret_handle = made;
    }
    return 0;
}
[[nodiscard]] int call_at(loop &on, int64_t when, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                          handle **ret_handle) noexcept;

/* Any thread. 0, KOLK_ENOMEM or KOLK_ECLOSED. */
[[nodiscard]] int call_soon_threadsafe(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;

} // namespace kolk
