#include "core/future/wait_for.hh"

#include "core/error.hh"
#include "core/future/dependent.hh"
#include "core/task/sleep.hh"

namespace kolk {

namespace {

/* Waits for its source, and for a timer. Whatever ends it first, it is done only when the source is: nothing is left running
 * behind the caller's back. A request to cancel outranks the time. */
struct limited final : future, dependent, timer_node {
    bool expired = false;

    explicit limited(future &what) noexcept
        : future(*what.owner, kind_of_limited), dependent(*this, what, source_done), timer_node(time_is_up) {}

    static void time_is_up(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<limited &>(static_cast<timer_node &>(item));
        if (closing)
            return;
        self.expired = true;
        self.source->cancel();
    }

    static void source_done(ready_item &item, bool) noexcept {
        auto &self = static_cast<limited &>(static_cast<dependent &>(item));
        self.owner->stop_timer(self);
        if (self.expired && !self.cancelling && self.source->state == outcome::cancelled)
            self.fail(static_error(KOLK_ETIMEDOUT));
        else
            self.finish_like(*self.source);
        self.leave();
    }

    static const dependent_kind kind_of_limited;
};

constinit const dependent_kind limited::kind_of_limited = {
    {{"wait_for", cancel_source, dispose_holder, false},
     [](future &self) noexcept -> holder & { return static_cast<limited &>(self); },
     bury_dependent},
    [](dependent &self) noexcept {
        auto &mine = static_cast<limited &>(self);
        mine.owner->stop_timer(mine);
    },
    [](dependent &self) noexcept -> future * {
        dispose_of(static_cast<limited &>(self));
        return nullptr;
    },
};

/* The limit of a task that waits itself, on its stack. */
struct time_limit final : timer_node {
    future *what;
    bool expired = false;

    explicit time_limit(future &of) noexcept : timer_node(time_is_up), what(&of) {}

    static void time_is_up(ready_item &item, bool) noexcept {
        auto &self = static_cast<time_limit &>(item);
        self.expired = true;
        self.what->cancel();
    }
};

} // namespace

future *limit_behind(const ready_item &item) noexcept {
    return item.run == limited::source_done ? static_cast<const dependent &>(item).who : nullptr;
}

int wait_for(task &self, future &what, int64_t timeout) noexcept {
    if (&self == &what)
        return KOLK_EINVAL;
    loop &on = *what.owner;
    time_limit limit(what);
    uint32_t cancels = self.cancels;
    if (!what.done() && timeout <= 0)
        time_limit::time_is_up(limit, false);
    else if (!what.done() && timeout != KOLK_NEVER)
        on.start_timer(limit, deadline_after(on, timeout));
    int status = await(what);
    (void)on.stop_timer(limit);
    if (status < 0 || !limit.expired || what.state != outcome::cancelled)
        return status;
    /* Who was cancelled meanwhile is told that, not that the time is up. */
    return self.cancels == cancels ? int(KOLK_ETIMEDOUT) : int(KOLK_ECANCELED);
}

int wait_for_async(future &what, int64_t timeout, future *&ret_future) noexcept {
    loop &on = *what.owner;
    auto *made = on.objects.create<limited>(what);
    if (!made)
        return KOLK_ENOMEM;
    made->begin();
    if (timeout <= 0 && !what.done()) {
        made->expired = true;
        what.cancel();
    } else if (timeout != KOLK_NEVER && !what.done()) {
        on.start_timer(*made, deadline_after(on, timeout));
    }
    ret_future = made;
    return 0;
}

} // namespace kolk
