#include "core/coroutine/coroutine.hh"

#include "capi/check.hh"
#include "core/error.hh"

using namespace kolk;

extern "C" {

int kolk_coroutine_new(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, size_t stack_size,
                       kolk_coroutine **ret_coroutine) noexcept {
    int status = fn && ret_coroutine ? check_open(loop) : int(KOLK_EINVAL);
    stack where;
    void *place;
    if (status == 0)
        status = acquire_stack(*loop, stack_size, sizeof(fiber_coroutine), where, place);
    if (status < 0)
        return refuse(status, destroy, userdata);
    *ret_coroutine =
        ::new (place) fiber_coroutine(*loop, where, static_cast<char *>(place), stack_size, nullptr, fn, userdata, destroy);
    return 0;
}

int kolk_foreign_coroutine_new(kolk_loop *loop, const kolk_coroutine_ops *ops, void *frame,
                               kolk_coroutine **ret_coroutine) noexcept {
    int status = valid_ops(ops) && ret_coroutine ? check_open(loop) : int(KOLK_EINVAL);
    auto *made = status == 0 ? loop->objects.create<foreign_coroutine>(*loop, *ops, frame) : nullptr;
    if (!made)
        return refuse(status < 0 ? status : int(KOLK_ENOMEM), destroy_of(ops), frame);
    *ret_coroutine = made;
    return 0;
}

kolk_coroutine *kolk_coroutine_ref(kolk_coroutine *self) noexcept { return checked_ref(self); }
kolk_coroutine *kolk_coroutine_unref(kolk_coroutine *self) noexcept { return checked_unref(self); }

int kolk_coroutine_next(kolk_coroutine *self, void **ret_value) noexcept {
    return kolk_coroutine_send(self, nullptr, ret_value);
}

int kolk_coroutine_send(kolk_coroutine *self, void *value, void **ret_value) noexcept {
    int status = check(self);
    return status < 0 ? status : self->resume(0, value, ret_value);
}

int kolk_coroutine_throw(kolk_coroutine *self, kolk_error *error, void **ret_value) noexcept {
    int status = error ? check(self) : int(KOLK_EINVAL);
    return status < 0 ? status : self->throw_in(*error, ret_value);
}

int kolk_coroutine_close(kolk_coroutine *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->close();
}

int kolk_coroutine_get_state(const kolk_coroutine *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(const_cast<kolk_coroutine *>(self)->where_it_stands());
}

const char *kolk_coroutine_name(const kolk_coroutine *self) noexcept { return self ? self->name : ""; }

int kolk_coroutine_set_name(kolk_coroutine *self, const char *name) noexcept {
    int status = check_thread(self);
    if (status == 0)
        copy_name(self->name, name);
    return status;
}

kolk_error *kolk_coroutine_error(const kolk_coroutine *self) noexcept {
    return check_thread(self) == 0 && self->state == KOLK_COROUTINE_CLOSED ? self->raised : nullptr;
}

kolk_coroutine *kolk_coroutine_current(void) noexcept { return this_thread.coroutine; }

int kolk_yield(void *value, void **ret_sent) noexcept {
    coroutine *self = this_thread.coroutine;
    if (!self)
        return KOLK_ENOTASK;
    if (self->task)
        return KOLK_EYIELD;
    return self->yield(KOLK_COROUTINE_YIELDED, value, ret_sent);
}

int kolk_yield_from(kolk_coroutine *sub, void **ret_result) noexcept {
    if (!sub)
        return KOLK_EINVAL;
    coroutine *self = this_thread.coroutine;
    if (!self)
        return KOLK_ENOTASK;
    return self->yield_from(*sub, ret_result);
}

int kolk_raise(kolk_error *error) noexcept { return raise(error); }

kolk_error *kolk_raised(void) noexcept { return raised(); }

} // extern "C"
