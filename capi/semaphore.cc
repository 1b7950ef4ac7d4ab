#include "core/task/semaphore.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

int kolk_semaphore_new(kolk_loop *loop, uint32_t permits, kolk_semaphore **ret_semaphore) noexcept {
    int status = ret_semaphore ? check_open(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    auto *made = loop->objects.create<kolk_semaphore>(*loop, permits);
    if (!made)
        return KOLK_ENOMEM;
    *ret_semaphore = made;
    return 0;
}

kolk_semaphore *kolk_semaphore_ref(kolk_semaphore *self) noexcept { return checked_ref(self); }
kolk_semaphore *kolk_semaphore_unref(kolk_semaphore *self) noexcept { return checked_unref(self); }

int kolk_semaphore_acquire(kolk_semaphore *self) noexcept {
    int status = check(self);
    if (status < 0)
        return status;
    task *current = parkable_task(*self->owner);
    return current ? self->acquire(*current) : int(KOLK_ENOTASK);
}

int kolk_semaphore_acquire_async(kolk_semaphore *self, kolk_future **ret_future) noexcept {
    int status = self && ret_future ? check_open(self->owner) : int(KOLK_EINVAL);
    return status < 0 ? status : self->acquire_async(*ret_future);
}

int kolk_semaphore_release(kolk_semaphore *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->release();
}

uint32_t kolk_semaphore_permits(const kolk_semaphore *self) noexcept { return check_thread(self) < 0 ? 0 : self->permits; }

} // extern "C"
