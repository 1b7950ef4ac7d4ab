#include "core/future/wait_for.hh"

#include "core/error.hh"
#include "core/task/sleep.hh"

namespace kolk {

namespace {

/* Waits for another future, and for a timer. Whatever ends it first, it is done only when the other future is: nothing is left
 * running behind the caller's back. It lives while somebody refers to it or the other future is pending. */
struct limited final : future, timer_node, resource {
    struct watch final : ready_item {
        limited *of;
        explicit watch(limited &self) noexcept : ready_item(inner_done), of(&self) {}
    };

    future *inner; /* referenced */
    watch inner_watch;
    bool expired = false;
    bool cancelling = false; /* asked to, which outranks the time */

    explicit limited(future &what) noexcept
        : future(*what.owner, kind_of_limited), timer_node(time_is_up), resource(let_go), inner(&what), inner_watch(*this) {
        what.ref();
    }

    static void time_is_up(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<limited &>(item);
        if (closing)
            return;
        self.expired = true;
        self.inner->cancel();
    }

    static void inner_done(ready_item &item, bool) noexcept {
        limited &self = *static_cast<watch &>(item).of;
        self.owner->stop_timer(self);
        self.resource::unlink();
        if (self.expired && !self.cancelling && self.inner->state == outcome::cancelled)
            self.fail(static_error(KOLK_ETIMEDOUT));
        else
            self.finish_like(*self.inner);
        self.unref();
    }

    static void let_go(resource &held) noexcept {
        auto &self = static_cast<limited &>(held);
        self.owner->stop_timer(self);
        if (self.inner_watch.linked())
            self.inner_watch.unlink();
        self.unref();
    }

    static const future_kind kind_of_limited;
};

constinit const future_kind limited::kind_of_limited = {
    "wait_for",
    [](future &self) noexcept {
        auto &mine = static_cast<limited &>(self);
        mine.cancelling = mine.inner->cancel();
        return mine.cancelling;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<limited &>(self);
        future *inner = mine.inner;
        dispose_of(mine);
        inner->unref();
    },
    false,
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
    return item.run == limited::inner_done ? static_cast<const limited::watch &>(item).of : nullptr;
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
    made->ref(); /* until the inner one is done */
    on.resources.push_back(*made);
    what.add_waiter(made->inner_watch);
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
