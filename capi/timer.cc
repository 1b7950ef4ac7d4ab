#include "core/loop/timer.hh"

#include "capi/check.hh"

using namespace kolk;

namespace {

/* Apart, so that putting off stays short: programs with many timers do little else to them. */
[[gnu::noinline]] int start_otherwise(kolk_timer *self, int64_t when) noexcept {
    int status = self ? check_open(self->owner) : int(KOLK_EINVAL);
    if (status == 0)
        self->start(when);
    return status;
}

} // namespace

extern "C" {

int kolk_timer_new(kolk_loop *loop, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                   kolk_timer **ret_timer) noexcept {
    int status = fn && ret_timer ? check_open(loop) : int(KOLK_EINVAL);
    kolk_timer *made = status == 0 ? loop->objects.create<kolk_timer>(*loop, fn, userdata, destroy) : nullptr;
    if (!made)
        return refuse(status < 0 ? status : int(KOLK_ENOMEM), destroy, userdata);
    *ret_timer = made;
    return 0;
}

kolk_timer *kolk_timer_ref(kolk_timer *self) noexcept { return checked_ref(self); }
kolk_timer *kolk_timer_unref(kolk_timer *self) noexcept { return checked_unref(self); }

int kolk_timer_start(kolk_timer *self, int64_t when_ns) noexcept {
    if (self && self->owner->accepts() && self->owner->put_off_timer(*self, when_ns)) [[likely]]
        return 0;
    return start_otherwise(self, when_ns);
}

int kolk_timer_stop(kolk_timer *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->stop();
}

int64_t kolk_timer_when(const kolk_timer *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->waiting() || self->linked() ? self->when : KOLK_NEVER;
}

} // extern "C"
