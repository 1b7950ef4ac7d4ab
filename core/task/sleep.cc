#include "core/task/sleep.hh"

#include "core/error.hh"

namespace kolk {

namespace {

struct sleeping final : parking, timer_node {
    task *who;

    explicit sleeping(task &sleeper) noexcept : parking{let_go, "sleep"}, timer_node(awake), who(&sleeper) {}

    static void awake(ready_item &item, bool) noexcept { static_cast<sleeping &>(item).who->step_fiber(); }

    static bool let_go(parking &self, task &) noexcept {
        auto &mine = static_cast<sleeping &>(self);
        mine.who->owner->stop_timer(mine);
        return false;
    }
};

/* It was cancelled, refused or not, while it stood in the queue. */
[[gnu::noinline]] int not_to_run_again(task &self, int status) noexcept {
    if (static_cast<ready_item &>(self).linked())
        static_cast<ready_item &>(self).unlink();
    return status;
}

[[gnu::noinline]] int let_others_run_if_allowed(task &self) noexcept {
    self.wake();
    int status = self.park(lets_others_run);
    return status < 0 ? not_to_run_again(self, status) : 0;
}

int let_others_run(task &self) noexcept {
    if (self.any()) [[unlikely]]
        return let_others_run_if_allowed(self);
    self.queue_behind_others(*this_thread.loop);
    int status = self.park_unasked(lets_others_run);
    return status < 0 ? not_to_run_again(self, status) : 0;
}

struct sleep_future final : future, timer_node {
    explicit sleep_future(loop &on) noexcept : future(on, kind_of_sleep), timer_node(awake) {}

    static void awake(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<sleep_future &>(item);
        if (closing)
            self.end_cancelled();
        else
            self.finish(nullptr, nullptr);
        self.unref();
    }

    static const future_kind kind_of_sleep;
};

constinit const future_kind sleep_future::kind_of_sleep = {
    "sleep",
    [](future &self) noexcept {
        auto &mine = static_cast<sleep_future &>(self);
        mine.owner->stop_timer(mine);
        mine.end_cancelled();
        mine.unref();
        return true;
    },
    [](future &self) noexcept { dispose_of(static_cast<sleep_future &>(self)); },
    false,
};

} // namespace

/* Apart, because its frame is large, and a task that lets others run should touch little memory. */
[[gnu::noinline]] static int sleep_some_time(task &self, int64_t delay) noexcept {
    sleeping timer(self);
    self.owner->start_timer(timer, deadline_after(*self.owner, delay));
    return self.park(timer);
}

int sleep(task &self, int64_t delay) noexcept { return delay > 0 ? sleep_some_time(self, delay) : let_others_run(self); }

int sleep_async(loop &on, int64_t delay, future *&ret_future) noexcept {
    auto *made = on.objects.create<sleep_future>(on);
    if (!made)
        return KOLK_ENOMEM;
    made->ref(); /* the timer's */
    on.start_timer(*made, deadline_after(on, delay));
    ret_future = made;
    return 0;
}

} // namespace kolk
