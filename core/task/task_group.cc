#include "core/task/task_group.hh"

#include "core/error.hh"

using namespace kolk;

/* Done when the last member has ended. The group knows it only as long as somebody else holds it. */
struct kolk_task_group::everyone_ended final : future {
    task_group *of; /* referenced */

    explicit everyone_ended(task_group &group) noexcept : future(*group.owner, kind_of_everyone_ended), of(&group) {
        group.ref();
    }
    static const future_kind kind_of_everyone_ended;
};

constinit const future_kind kolk_task_group::everyone_ended::kind_of_everyone_ended = {
    "task group",
    [](future &self) noexcept {
        auto &mine = static_cast<everyone_ended &>(self);
        mine.of->cancelled_while_leaving = true;
        mine.of->cancel_members();
        return true;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<everyone_ended &>(self);
        task_group *of = mine.of;
        if (of->all_ended == &mine)
            of->all_ended = nullptr;
        dispose_of(mine);
        of->unref();
    },
    false,
    false,
    true,
};

namespace kolk {

bool waits_for_member(const task &host, const task &member) noexcept {
    for (const task_group *group = member.notes ? member.notes->group : nullptr; group && group->own.host;) {
        const task &above = *group->own.host;
        if (&above == &host)
            return group->being_left;
        group = above.notes ? above.notes->group : nullptr;
    }
    return false;
}

int enter_group(task &host, uint32_t flags, task_group *&ret_group) noexcept {
    if (!host.annotate())
        return KOLK_ENOMEM;
    auto *made = host.owner->objects.create<task_group>(host, flags);
    if (!made)
        return KOLK_ENOMEM;
    made->own.enter();
    made->ref(); /* the host's, until it leaves */
    ret_group = made;
    return 0;
}

namespace {

/* Waits in a cancelled scope as well: this is how it comes to an end. */
struct waits_for_members final : parking {
    task_group *of;
    bool *cancelled;

    waits_for_members(task_group &group, bool &tell) noexcept
        : parking{let_go, "task group", true}, of(&group), cancelled(&tell) {}

    static bool let_go(parking &self, task &) noexcept {
        auto &mine = static_cast<waits_for_members &>(self);
        *mine.cancelled = true;
        mine.of->cancel_members();
        return true;
    }
};

} // namespace

} // namespace kolk

kolk_task_group::kolk_task_group(task &host, uint32_t flags) noexcept
    : counted(*host.owner), own(host, flags & KOLK_TASK_GROUP_LEVEL ? KOLK_SCOPE_LEVEL : 0) {
    own.group = this;
}

kolk_task_group::~kolk_task_group() {
    for (error *&what : errors)
        what = kolk::unref(what);
}

void kolk_task_group::unref() noexcept {
    if (--refs == 0)
        dispose_of(*this);
}

int kolk_task_group::check_spawn(const loop &on) const noexcept {
    if (owner != &on)
        return KOLK_EINVAL;
    if (!entered)
        return KOLK_ECLOSED;
    return ending || own.cancelled ? int(KOLK_ECANCELED) : 0;
}

void kolk_task_group::add(task &member) noexcept {
    member.notes->group = this;
    member.notes->scope = &own;
    member.scoped = true;
    members.push_back(*member.notes);
    count++;
    ref();
}

void kolk_task_group::member_ended(task &member) noexcept {
    static_cast<kolk::link<member_tag> *>(member.notes)->unlink();
    member.notes->group = nullptr;
    count--;
    if (member.state == outcome::error) {
        error *what = member.error();
        if (error_count < most_errors)
            errors[error_count] = kolk::ref(what);
        error_count++;
        if (!ending)
            end_everything();
    }
    if (count == 0) {
        if (leaving)
            leaving->wake();
        if (all_ended)
            std::exchange(all_ended, nullptr)->finish(nullptr, nullptr);
    }
    unref();
}

/* The members, and the block if that still runs. */
void kolk_task_group::end_everything() noexcept {
    if (being_left)
        cancel_members();
    else
        own.cancel();
}

void kolk_task_group::cancel_members() noexcept {
    if (std::exchange(ending, true))
        return;
    if (own.level)
        own.cancelled = true;
    tell_members(own.level);
}

void kolk_task_group::interrupt_members() noexcept { tell_members(true); }

void kolk_task_group::tell_members(bool interrupt) noexcept {
    if (owner->walks_deep()) {
        later.interrupt |= interrupt;
        if (!later.linked()) {
            ref();
            owner->make_ready(later);
        }
        return;
    }
    owner->walking++;
    for_each_member([&](task &member) noexcept {
        if (interrupt)
            interrupt_inside(member, own);
        else
            member.cancel();
    });
    owner->walking--;
}

void kolk_task_group::telling::tell(ready_item &item, bool) noexcept {
    auto &self = static_cast<telling &>(item);
    task_group &of = *self.of;
    of.tell_members(std::exchange(self.interrupt, false));
    of.unref();
}

bool kolk_task_group::cancel() noexcept {
    if (ending)
        return false;
    by_user = true;
    end_everything();
    return true;
}

int kolk_task_group::check_leave() const noexcept {
    if (!entered)
        return KOLK_EALREADY;
    if (this_thread.task != own.host)
        return KOLK_ENOTASK;
    return own.host->scope() == &own ? 0 : int(KOLK_EBUSY);
}

int kolk_task_group::leave(int status) noexcept {
    task &host = *own.host;
    being_left = true;
    if (status < 0)
        cancel_members();
    waits_for_members wait(*this, cancelled_while_leaving);
    while (count > 0) {
        leaving = &host;
        int waited = host.park(wait);
        leaving = nullptr;
        if (waited < 0) {
            cancelled_while_leaving = true;
            cancel_members();
        }
    }
    return left(status);
}

int kolk_task_group::leave_async(int status, future *&ret_future) noexcept {
    being_left = true;
    if (status < 0)
        cancel_members();
    if (count == 0)
        return left(status);
    if (all_ended) {
        all_ended->ref();
    } else {
        auto *made = owner->objects.create<everyone_ended>(*this);
        if (!made)
            return KOLK_ENOMEM;
        all_ended = made;
    }
    ret_future = all_ended;
    return KOLK_EPENDING;
}

/* The first error, with words: its own, if it is the only one. */
int kolk_task_group::raise_errors() noexcept {
    error *first = errors[0];
    if (error_count == 1)
        return kolk::raise(kolk::ref(first));
    return kolk::raise(
        make_error(first->status, 0, first, "%u tasks of the group failed; the first: %s", error_count, first->message));
}

/* The host goes on outside. */
void kolk_task_group::step_out() noexcept {
    task &host = *own.host;
    (void)owner->stop_timer(own);
    host.notes->scope = own.parent;
    host.scoped = own.parent;
    own.take_request_back();
}

int kolk_task_group::left(int status) noexcept {
    task &host = *own.host;
    entered = false;
    step_out();
    bool outside = host.cancels > own.cancels_before || is_cancelled_for_good(own.parent);
    if (error_count > 0 && (status >= 0 || status == KOLK_ECANCELED)) {
        /* Who cancelled the host as well is not forgotten. */
        if (host.cancels > own.cancels_before && (status == KOLK_ECANCELED || cancelled_while_leaving))
            host.must_cancel = true;
        status = raise_errors();
    } else if (status >= 0 && cancelled_while_leaving && outside) {
        status = KOLK_ECANCELED;
    } else if (status == KOLK_ECANCELED && by_user && !outside) {
        status = 0;
    }
    unref();
    return status;
}

void kolk_task_group::abandon() noexcept {
    entered = false;
    being_left = true; /* a member that awaits the host must not cancel it */
    cancel_members();
    step_out();
    if (count > 0)
        return orphan("a task abandoned its group");
    unref();
}

void kolk_task_group::host_ended() noexcept {
    entered = false;
    cancel_members();
    orphan("a task ended without leaving its group");
}

void kolk_task_group::orphan(const char *how) noexcept {
    own.host = nullptr;
    own.parent = nullptr;
    error *what = make_error(KOLK_EBUSY, 0, nullptr, "%s; members left: %u", how, count);
    owner->report(*what);
    kolk::unref(what);
    unref();
}
