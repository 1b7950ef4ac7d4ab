#include "core/task/scope.hh"

#include "capi/check.hh"

using namespace kolk;

namespace {

int check(const kolk_scope *self) noexcept { return self ? self->host->owner->check() : int(KOLK_EINVAL); }
int check_thread(const kolk_scope *self) noexcept { return self ? self->host->owner->check_thread() : int(KOLK_EINVAL); }

/* May the running task enter a scope? */
int check_enter(kolk_scope **ret_scope) noexcept {
    if (!ret_scope)
        return KOLK_EINVAL;
    task *self = this_thread.task;
    return self ? self->owner->check_open() : int(KOLK_ENOTASK);
}

} // namespace

extern "C" {

int kolk_scope_enter(uint32_t flags, int64_t deadline_ns, kolk_scope **ret_scope) noexcept {
    int status = flags & ~(KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD) ? int(KOLK_EINVAL) : check_enter(ret_scope);
    if (status < 0)
        return status;
    task &self = *this_thread.task;
    return enter_scope(self, flags, deadline_ns, deadline_ns == KOLK_NEVER ? 0 : self.owner->now(), *ret_scope);
}

int kolk_timeout(int64_t timeout_ns, kolk_scope **ret_scope) noexcept {
    if (timeout_ns == KOLK_NEVER)
        return kolk_scope_enter(0, KOLK_NEVER, ret_scope);
    int status = check_enter(ret_scope);
    if (status < 0)
        return status;
    task &self = *this_thread.task;
    int64_t now = self.owner->now();
    return enter_scope(self, 0, time_after(now, timeout_ns), now, *ret_scope);
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
    self->expire_at(when_ns, self->host->owner->now());
    return 0;
}

} // extern "C"
