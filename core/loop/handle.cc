#include "core/loop/handle.hh"

#include "core/future/future.hh"

using namespace kolk;

namespace kolk {

void soon_call::invoke(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<soon_call &>(item);
    if (!closing) [[likely]]
        self.fn(self.userdata);
    if (self.destroy)
        self.destroy(self.userdata);
    self.on->objects.destroy(&self);
}

bool call_soon(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    on.make_soon_calls();
    if (on.add_soon_call(fn, userdata, destroy))
        return true;
    auto *made = on.objects.create<soon_call>(on, fn, userdata, destroy);
    if (made)
        on.make_ready(*made);
    return made;
}

int call_soon(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy, handle **ret_handle) noexcept {
    auto *made = on.objects.create<handle>(on, fn, userdata, destroy);
    if (!made)
        return KOLK_ENOMEM;
    made->ref();
    on.make_ready(*made);
    *ret_handle = made;
    return 0;
}

int call_at(loop &on, int64_t when, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
            handle **ret_handle) noexcept {
    auto *made = on.objects.create<handle>(on, fn, userdata, destroy);
    if (!made) [[unlikely]]
        return KOLK_ENOMEM;
    on.start_timer(*made, when);
    if (ret_handle) {
        made->ref();
        *ret_handle = made;
    }
    return 0;
}

} // namespace kolk

void kolk_handle::unref() noexcept {
    if (--refs == 0)
        dispose_of(*this);
}

void kolk_handle::invoke(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<kolk_handle &>(item);
    self.at = closing ? stage::cancelled : stage::called;
    if (!closing)
        self.fn(self.userdata);
    destroy_userdata(self.destroy, self.userdata);
    self.unref();
}

int kolk_handle::cancel() noexcept {
    if (at != stage::scheduled)
        return KOLK_EALREADY;
    at = stage::cancelled;
    owner->stop_timer(*this);
    destroy_userdata(destroy, userdata);
    unref();
    return 0;
}
