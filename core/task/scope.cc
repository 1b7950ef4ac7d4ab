#include "core/task/scope.hh"

#include "core/error.hh"
#include "core/task/task_group.hh"

using namespace kolk;

namespace kolk {

int enter_scope(task &self, uint32_t flags, int64_t deadline, int64_t now, scope *&ret_scope) noexcept {
    if (!self.annotate())
        return KOLK_ENOMEM;
    auto *made = self.owner->objects.create<scope>(self, flags);
    if (!made)
        return KOLK_ENOMEM;
    made->enter();
    made->expire_at(deadline, now);
    ret_scope = made;
    return 0;
}

int leave_scope(scope &self, int status) noexcept {
    loop &on = *self.host->owner;
    status = self.leave(status);
    on.objects.destroy(&self);
    return status;
}

bool is_cancelled_for_good(const scope *innermost) noexcept {
    for (const scope *at = innermost; at; at = at->parent) {
        if (at->level && at->cancelled)
            return true;
        if (at->shield)
            return false;
    }
    return false;
}

bool hold_at_shield(task &self, const scope *origin) noexcept {
    scope *shield = nullptr;
    for (scope *at = self.scope(); at && at != origin && at->host == &self; at = at->parent)
        if (at->shield)
            shield = at;
    if (!shield)
        return false;
    shield->held = true;
    /* Inside of it nobody has asked. */
    for (scope *at = self.scope(); at; at = at == shield ? nullptr : at->parent)
        at->cancels_before++;
    return true;
}

void forget_held_requests(task &self) noexcept {
    for (scope *at = self.scope(); at && at->host == &self; at = at->parent)
        at->held = false;
}

void leave_all_scopes(task &self) noexcept {
    loop &on = *self.owner;
    scope *at = self.notes->scope;
    while (at && at->host == &self) {
        scope *outer = self.notes->scope = at->parent;
        (void)on.stop_timer(*at);
        if (at->group)
            at->group->host_ended();
        else
            on.objects.destroy(at);
        at = outer;
    }
    self.notes->scope = nullptr;
    self.scoped = false;
}

void interrupt_inside(task &self, const scope &cancelled) noexcept {
    for (scope *at = self.scope(); at && at != &cancelled && at->host == &self; at = at->parent) {
        if (at->shield)
            return;
        if (at->group)
            at->group->interrupt_members();
    }
    self.interrupt();
}

} // namespace kolk

void kolk_scope::enter() noexcept {
    parent = host->scope();
    /* A request that it has yet to be told of comes from outside. */
    cancels_before = host->cancels - (host->must_cancel && host->cancels > 0);
    host->notes->scope = this;
    host->scoped = true;
    if (shield) {
        held = host->must_cancel;
        host->must_cancel = false;
    }
}

void kolk_scope::expire_at(int64_t when, int64_t now) noexcept {
    if (when == KOLK_NEVER)
        (void)host->owner->stop_timer(*this);
    else if (when <= now)
        host->owner->start_due_timer(*this);
    else
        host->owner->start_timer(*this, when);
    this->when = when;
}

void kolk_scope::time_is_up(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<kolk_scope &>(item);
    if (closing)
        return;
    self.expired = !self.cancelled;
    self.cancel();
}

bool kolk_scope::cancel() noexcept {
    if (cancelled)
        return false;
    cancelled = true;
    if (group)
        group->cancel_members();
    if (level) {
        interrupt_inside(*host, *this);
    } else {
        asked = true;
        pending_before = host->must_cancel;
        cancels_then = host->cancels;
        host->request_cancel(this);
    }
    return true;
}

void kolk_scope::take_request_back() noexcept {
    if (!asked)
        return;
    host->uncancel();
    if (host->cancels <= cancels_then && !pending_before)
        host->must_cancel = false;
}

bool kolk_scope::cancelled_outside() const noexcept { return host->cancels > cancels_before || is_cancelled_for_good(parent); }

int kolk_scope::leave(int status) noexcept {
    (void)host->owner->stop_timer(*this);
    host->notes->scope = parent;
    host->scoped = parent;
    take_request_back();
    if (held)
        host->must_cancel = true;
    if (status != KOLK_ECANCELED || !cancelled || (!shield && cancelled_outside()))
        return status;
    return expired ? raise(static_error(KOLK_ETIMEDOUT)) : 0;
}
