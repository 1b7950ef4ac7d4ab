#include "core/future/future.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/follow.hh"
#include "core/future/gather.hh"
#include "core/future/shield.hh"
#include "core/future/then.hh"
#include "core/future/wait.hh"
#include "core/future/wait_for.hh"

using namespace kolk;

namespace {

/* Only a pending future that nothing else will finish. */
int check_settable(const kolk_future *self) noexcept {
    int status = check_thread(self);
    if (status < 0)
        return status;
    if (follows(*self))
        return KOLK_EALREADY;
    if (!self->kind->bare)
        return KOLK_ENOTSUP;
    return self->done() ? int(KOLK_EALREADY) : 0;
}

/* All there, and of this loop. */
bool valid_futures(const kolk_loop *loop, kolk_future *const *futures, size_t count) noexcept {
    if (!futures && count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!futures[i] || futures[i]->owner != loop)
            return false;
    return true;
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

int kolk_future_set_datum(kolk_future *self, void *datum, kolk_destroy_fn destroy) noexcept {
    int status = check_thread(self);
    return status < 0 ? refuse(status, destroy, datum) : self->set_datum(datum, destroy);
}

void *kolk_future_datum(const kolk_future *self) noexcept { return check_thread(self) < 0 ? nullptr : self->datum(); }

int kolk_future_then(kolk_future *self, kolk_then_fn fn, void *userdata, kolk_destroy_fn destroy,
                     kolk_future **ret_future) noexcept {
    int status = self && fn && ret_future ? check_open(self->owner) : int(KOLK_EINVAL);
    if (status == 0)
        status = future_then(*self, fn, userdata, destroy, *ret_future);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_future_catch(kolk_future *self, kolk_catch_fn fn, void *userdata, kolk_destroy_fn destroy,
                      kolk_future **ret_future) noexcept {
    int status = self && fn && ret_future ? check_open(self->owner) : int(KOLK_EINVAL);
    if (status == 0)
        status = future_catch(*self, fn, userdata, destroy, *ret_future);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_future_follow(kolk_future *self, kolk_future *other) noexcept {
    bool valid = self && other && self != other && self->owner == other->owner;
    int status = valid ? check_open(self->owner) : int(KOLK_EINVAL);
    if (status == 0)
        status = check_settable(self);
    return status < 0 ? status : follow(*self, *other);
}

int kolk_gather(kolk_loop *loop, kolk_future *const *futures, size_t count, uint32_t flags, kolk_future **ret_future) noexcept {
    int status = ret_future && !(flags & ~KOLK_GATHER_RETURN_ERRORS) ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    return valid_futures(loop, futures, count) ? gather(*loop, futures, count, flags, *ret_future) : int(KOLK_EINVAL);
}

int kolk_wait_for_async(kolk_future *future, int64_t timeout_ns, kolk_future **ret_future) noexcept {
    int status = future && ret_future ? check_open(future->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : wait_for_async(*future, timeout_ns, *ret_future);
}

int kolk_shield(kolk_future *future, kolk_future **ret_future) noexcept {
    int status = future && ret_future ? check_open(future->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : shield(*future, *ret_future);
}

int kolk_wait_async(kolk_loop *loop, kolk_future *const *futures, size_t count, int32_t until, int64_t timeout_ns,
                    kolk_future **ret_future) noexcept {
    bool known = until == KOLK_ALL_COMPLETED || until == KOLK_FIRST_COMPLETED || until == KOLK_FIRST_ERROR;
    int status = ret_future && known ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    return valid_futures(loop, futures, count) ? wait_async(*loop, futures, count, until, timeout_ns, *ret_future)
                                               : int(KOLK_EINVAL);
}

} // extern "C"
