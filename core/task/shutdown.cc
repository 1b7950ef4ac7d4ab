#include "core/task/shutdown.hh"

#include "core/task/task.hh"

namespace kolk {

namespace {

/* Waits for one task after the other until there is none. It lives while somebody refers to it or tasks are left. */
struct last_end final : future, ready_item, resource {
    task *waits_for = nullptr; /* referenced */

    explicit last_end(loop &on) noexcept : future(on, kind_of_last_end), ready_item(one_ended), resource(loop_closes) {}

    void wait_for_next() noexcept {
        waits_for = owner->tasks.front();
        if (!waits_for)
            return;
        waits_for->ref();
        waits_for->add_waiter(*this);
    }

    void leave() noexcept {
        if (ready_item::linked())
            ready_item::unlink();
        if (resource::linked())
            resource::unlink();
        if (task *left = std::exchange(waits_for, nullptr))
            left->unref();
        unref();
    }

    static void one_ended(ready_item &item, bool) noexcept {
        auto &self = static_cast<last_end &>(item);
        std::exchange(self.waits_for, nullptr)->unref();
        self.wait_for_next();
        if (self.waits_for)
            return;
        self.finish(nullptr, nullptr);
        self.leave();
    }

    static void loop_closes(resource &held) noexcept { static_cast<last_end &>(held).leave(); }

    static const future_kind kind_of_last_end;
};

constinit const future_kind last_end::kind_of_last_end = {
    "shutdown",
    [](future &self) noexcept {
        self.end_cancelled();
        static_cast<last_end &>(self).leave();
        return true;
    },
    [](future &self) noexcept { dispose_of(static_cast<last_end &>(self)); },
    false,
};

} // namespace

void cancel_each_task(loop &on) noexcept {
    on.walking++;
    for (task *each = on.tasks.front(); each; each = on.tasks.after(*each))
        each->cancel();
    on.walking--;
}

int shutdown_async(loop &on, future *&ret_future) noexcept {
    auto *made = on.objects.create<last_end>(on);
    if (!made)
        return KOLK_ENOMEM;
    cancel_each_task(on);
    made->ref();
    on.resources.push_back(*made);
    made->wait_for_next();
    if (!made->waits_for) {
        made->finish(nullptr, nullptr);
        made->leave();
    }
    ret_future = made;
    return 0;
}

} // namespace kolk
