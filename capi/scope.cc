#include "core/task/scope.hh"

#include "capi/check.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

int check(const kolk_scope *self) noexcept { return self ? self->host->owner->check() : int(KOLK_EINVAL); }
int check_thread(const kolk_scope *self) noexcept { return self ? self->host->owner->check_thread() : int(KOLK_EINVAL); }

} // namespace

extern "C" {

int kolk_scope_enter(uint32_t flags, int64_t deadline_ns, kolk_scope **ret_scope) noexcept {
    if (!ret_scope || (flags & ~(KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD)))
        return KOLK_EINVAL;
    task *self = this_thread.task;
    if (!self)
        return KOLK_ENOTASK;
    int status = self->owner->check_open();
    return status < 0 ? status : enter_scope(*self, flags, deadline_ns, *ret_scope);
}

int kolk_timeout(int64_t timeout_ns, kolk_scope **ret_scope) noexcept {
    task *self = this_thread.task;
    if (!self)
        return ret_scope ? int(KOLK_ENOTASK) : int(KOLK_EINVAL);
    return kolk_scope_enter(0, timeout_ns == KOLK_NEVER ? KOLK_NEVER : deadline_after(*self->owner, timeout_ns), ret_scope);
}

int kolk_timeout_at(int64_t when_ns, kolk_scope **ret_scope) noexcept { return kolk_scope_enter(0, when_ns, ret_scope); }

int kolk_scope_leave(kolk_scope *self, int status) noexcept {
    if (!self)
        return KOLK_EINVAL;
    task *current = this_thread.task;
    if (!current || self->host != current)
        return KOLK_EINVAL;
    return current->scope() == self ? leave_scope(*self, status) : int(KOLK_EBUSY);
}

int kolk_scope_cancel(kolk_scope *self) noexcept {
    int status = check(self);
    return status < 0 ? status : self->cancel();
}

int kolk_scope_cancelled(const kolk_scope *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->cancelled;
}

int kolk_scope_expired(const kolk_scope *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->expired;
}

int64_t kolk_scope_when(const kolk_scope *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->when;
}

int kolk_scope_reschedule(kolk_scope *self, int64_t when_ns) noexcept {
    int status = check(self);
    if (status < 0)
        return status;
    if (self->cancelled)
        return KOLK_EALREADY;
    self->expire_at(when_ns);
    return 0;
}

} // extern "C"
