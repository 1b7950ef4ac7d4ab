#include "core/future/future.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/gather.hh"
#include "core/future/wait_for.hh"

using namespace kolk;

namespace {

/* Only a pending future that nothing else will finish. */
int check_settable(const kolk_future *self) noexcept {
    int status = check_thread(self);
    if (status < 0)
        return status;
    if (!self->kind->bare)
        return KOLK_ENOTSUP;
    return self->done() ? int(KOLK_EALREADY) : 0;
}

} // namespace

extern "C" {

int kolk_future_new(kolk_loop *loop, kolk_future **ret_future) noexcept {
    int status = ret_future ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    auto *made = loop->objects.create<kolk_future>(*loop);
    if (!made)
        return KOLK_ENOMEM;
    *ret_future = made;
    return 0;
}

kolk_future *kolk_future_ref(kolk_future *self) noexcept { return checked_ref(self); }
kolk_future *kolk_future_unref(kolk_future *self) noexcept { return checked_unref(self); }
kolk_loop *kolk_future_loop(const kolk_future *self) noexcept { return self ? self->owner : nullptr; }

int kolk_future_done(const kolk_future *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->done();
}

int kolk_future_cancelled(const kolk_future *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->state == outcome::cancelled;
}

int kolk_future_result(kolk_future *self, void **ret_result) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->result(ret_result);
}

kolk_error *kolk_future_error(kolk_future *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? static_error(status) : self->error();
}

int kolk_future_set_result(kolk_future *self, void *result, kolk_destroy_fn destroy) noexcept {
    int status = check_settable(self);
    if (status < 0)
        return refuse(status, destroy, result);
    self->finish(result, destroy);
    return 0;
}

int kolk_future_set_error(kolk_future *self, kolk_error *error) noexcept {
    int status = error ? check_settable(self) : int(KOLK_EINVAL);
    if (status == 0)
        self->fail(ref(error));
    return status;
}

int kolk_future_cancel(kolk_future *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->cancel();
}

int kolk_future_add_done_callback(kolk_future *self, kolk_future_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = self && fn ? check_open(self->owner) : int(KOLK_EINVAL);
    if (status == 0)
        status = self->add_callback(fn, userdata, destroy);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_future_remove_done_callback(kolk_future *self, kolk_future_fn fn, void *userdata) noexcept {
    int status = fn ? check_thread(self) : int(KOLK_EINVAL);
    return status < 0 ? status : self->remove_callbacks(fn, userdata);
}

int kolk_gather(kolk_loop *loop, kolk_future *const *futures, size_t count, uint32_t flags, kolk_future **ret_future) noexcept {
    bool valid = ret_future && (futures || !count) && !(flags & ~KOLK_GATHER_RETURN_ERRORS);
    int status = valid ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    for (size_t i = 0; i < count; i++)
        if (!futures[i] || futures[i]->owner != loop)
            return KOLK_EINVAL;
    return gather(*loop, futures, count, flags, *ret_future);
}

int kolk_wait_for_async(kolk_future *future, int64_t timeout_ns, kolk_future **ret_future) noexcept {
    int status = future && ret_future ? check_open(future->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : wait_for_async(*future, timeout_ns, *ret_future);
}

} // extern "C"
