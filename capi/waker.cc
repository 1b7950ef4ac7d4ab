#include "core/loop/waker.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

int kolk_waker_new(kolk_loop *loop, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                   kolk_waker **ret_waker) noexcept {
    int status = fn && ret_waker ? check_open(loop) : int(KOLK_EINVAL);
    kolk_waker *made = status == 0 ? loop->objects.create<kolk_waker>(*loop, fn, userdata, destroy) : nullptr;
    if (!made)
        return refuse(status < 0 ? status : int(KOLK_ENOMEM), destroy, userdata);
    *ret_waker = made;
    return 0;
}

kolk_waker *kolk_waker_ref(kolk_waker *self) noexcept { return checked_ref(self); }
kolk_waker *kolk_waker_unref(kolk_waker *self) noexcept { return checked_unref(self); }

int kolk_waker_wake(kolk_waker *self) noexcept {
    if (!self)
        return KOLK_EINVAL;
    self->wake();
    return 0;
}

} // extern "C"
