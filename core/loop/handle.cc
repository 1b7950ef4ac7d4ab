#include "core/loop/handle.hh"

#include "core/future/future.hh"

using namespace kolk;

namespace {

/* A call from another thread: first in the inbox, then on the ready queue. Not from the loop's cache, which is the loop's
 * thread's own. */
struct posted_call final : inbox_item, ready_item {
    loop *to;
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    posted_call(loop &target, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : inbox_item(arrived), ready_item(invoke), to(&target), fn(call), userdata(data), destroy(release) {}

    static void arrived(inbox_item &item, bool) noexcept {
        auto &self = static_cast<posted_call &>(item);
        self.to->make_ready(self);
    }

    static void invoke(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<posted_call &>(item);
        if (!closing)
            self.fn(self.userdata);
        destroy_userdata(self.destroy, self.userdata);
        kolk::destroy(self.to->memory(), &self);
    }
};

} // namespace

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

int call_soon_threadsafe(loop &on, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    auto *call = create<posted_call>(on.memory(), on, fn, userdata, destroy);
    if (!call)
        return KOLK_ENOMEM;
    if (on.post(*call))
        return 0;
    kolk::destroy(on.memory(), call);
    return KOLK_ECLOSED;
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
