#include "core/future/completion_queue.hh"

#include "capi/check.hh"

#include <limits.h>

using namespace kolk;

extern "C" {

int kolk_completion_queue_new(kolk_loop *loop, kolk_completion_queue **ret_queue) noexcept {
    int status = ret_queue ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    auto *made = loop->objects.create<kolk_completion_queue>(*loop);
    if (!made)
        return KOLK_ENOMEM;
    *ret_queue = made;
    return 0;
}

kolk_completion_queue *kolk_completion_queue_ref(kolk_completion_queue *self) noexcept { return checked_ref(self); }
kolk_completion_queue *kolk_completion_queue_unref(kolk_completion_queue *self) noexcept { return checked_unref(self); }

int kolk_completion_queue_add(kolk_completion_queue *self, kolk_future *future, uint64_t tag) noexcept {
    bool valid = self && future && future->owner == self->owner;
    int status = valid ? check_open(self->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : self->add(*future, tag);
}

int kolk_completion_queue_poll(kolk_completion_queue *self, kolk_completion *ret_completion) noexcept {
    int status = ret_completion ? check_thread(self) : int(KOLK_EINVAL);
    return status < 0 ? status : self->poll(*ret_completion);
}

int kolk_completion_queue_next(kolk_completion_queue *self, int64_t timeout_ns, kolk_completion *ret_completion) noexcept {
    int status = ret_completion ? check(self) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    task *current = parkable_task(*self->owner);
    return current ? self->next(*current, timeout_ns, *ret_completion) : int(KOLK_ENOTASK);
}

int kolk_completion_queue_next_async(kolk_completion_queue *self, kolk_future **ret_future) noexcept {
    int status = self && ret_future ? check_open(self->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : self->next_async(*ret_future);
}

int kolk_completion_queue_count(const kolk_completion_queue *self) noexcept {
    int status = check_thread(self);
    if (status < 0)
        return status;
    return self->count < INT_MAX ? int(self->count) : INT_MAX;
}

} // extern "C"
