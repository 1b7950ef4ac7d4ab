#include "core/future/completion_queue.hh"

#include "core/error.hh"
#include "core/task/sleep.hh"

namespace kolk {

/* A task that waits, on its own stack. */
struct next_wait final : parking, timer_node, link<arrival_tag> {
    task *who;
    queue_entry *given = nullptr;
    bool expired = false;

    explicit next_wait(task &self) noexcept : parking{let_go, "completion_queue"}, timer_node(time_is_up), who(&self) {}

    void leave_line() noexcept {
        if (link<arrival_tag>::linked())
            link<arrival_tag>::unlink();
    }

    static bool let_go(parking &self, task &) noexcept {
        static_cast<next_wait &>(self).leave_line();
        return false;
    }

    static void time_is_up(ready_item &item, bool) noexcept {
        auto &self = static_cast<next_wait &>(item);
        self.expired = true;
        self.leave_line();
        self.who->wake();
    }
};

/* A future that waits for something to arrive, and takes nothing. */
struct arrival_future final : future, link<arrival_tag> {
    completion_queue *at;

    explicit arrival_future(completion_queue &where) noexcept : future(*where.owner, kind_of_arrival), at(&where) {
        where.ref();
    }

    static const future_kind kind_of_arrival;
};

constinit const future_kind arrival_future::kind_of_arrival = {
    "completion_queue",
    [](future &self) noexcept {
        static_cast<arrival_future &>(self).unlink();
        self.end_cancelled();
        return true;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<arrival_future &>(self);
        if (mine.linked())
            mine.unlink();
        completion_queue *at = mine.at;
        dispose_of(mine);
        at->unref();
    },
    false,
};

queue_entry::queue_entry(completion_queue &where, future &which, uint64_t known_as) noexcept
    : ready_item(arrive), of(&where), what(&which), tag(known_as) {
    which.ref();
}

void queue_entry::arrive(ready_item &item, bool) noexcept {
    auto &self = static_cast<queue_entry &>(item);
    self.link<entry_tag>::unlink();
    self.order = self.of->arrivals++;
    self.of->offer(self, false);
}

} // namespace kolk

using namespace kolk;

kolk_completion_queue::kolk_completion_queue(loop &on) noexcept : counted(on), resource(loop_closes) {
    on.resources.push_back(*this);
}

void kolk_completion_queue::unref() noexcept {
    if (--refs > 0)
        return;
    if (resource::linked())
        resource::unlink();
    drop_on_the_way();
    kolk_completion unwanted;
    while (poll(unwanted) > 0)
        unwanted.future->unref();
    dispose_of(*this);
}

/* What belongs to others is let go last, because that may call the user. */
void kolk_completion_queue::drop_on_the_way() noexcept {
    list<queue_entry, entry_tag> dropped;
    dropped.append(on_the_way);
    for (queue_entry *one = dropped.front(); one; one = dropped.after(*one)) {
        count--;
        if (one->what->done())
            owner->un_ready(*one);
        else
            one->ready_item::unlink();
    }
    while (queue_entry *one = dropped.pop_front()) {
        future *what = one->what;
        owner->objects.destroy(one);
        what->unref();
    }
}

/* Nothing will arrive any more. What has can still be taken. */
void kolk_completion_queue::loop_closes(resource &held) noexcept {
    auto &self = static_cast<completion_queue &>(held);
    self.ref();
    self.drop_on_the_way();
    while (arrival_future *one = self.futures.front())
        (void)one->cancel();
    self.unref();
}

int kolk_completion_queue::add(future &what, uint64_t tag) noexcept {
    auto *made = owner->objects.create<queue_entry>(*this, what, tag);
    if (!made)
        return KOLK_ENOMEM;
    count++;
    on_the_way.push_back(*made);
    what.add_waiter(*made);
    return 0;
}

/* `again`: it has been given back. */
void kolk_completion_queue::offer(queue_entry &one, bool again) noexcept {
    if (next_wait *first = tasks.pop_front()) {
        first->given = &one;
        first->who->wake();
        return;
    }
    if (again) {
        ready_queue before; /* given back as well */
        while (!arrived.empty() && static_cast<queue_entry &>(arrived.first()).order < one.order)
            before.push_back(arrived.take_first());
        arrived.push_front(one);
        arrived.prepend(before);
    } else {
        arrived.push_back(one);
    }
    while (arrival_future *waiting = futures.pop_front())
        waiting->finish(nullptr, nullptr);
}

void kolk_completion_queue::take(queue_entry &one, kolk_completion &ret_completion) noexcept {
    ret_completion = {one.what, one.tag};
    owner->objects.destroy(&one);
    if (--count > 0)
        return;
    while (next_wait *waiting = tasks.pop_front()) /* in vain */
        waiting->who->wake();
}

int kolk_completion_queue::poll(kolk_completion &ret_completion) noexcept {
    ready_item *first = arrived.pop_front();
    if (!first)
        return 0;
    take(*static_cast<queue_entry *>(first), ret_completion);
    return 1;
}

int kolk_completion_queue::next(task &self, int64_t timeout, kolk_completion &ret_completion) noexcept {
    if (poll(ret_completion) > 0)
        return 1;
    if (count == 0)
        return 0;
    if (timeout <= 0)
        return KOLK_ETIMEDOUT;
    next_wait wait(self);
    tasks.push_back(wait);
    if (timeout != KOLK_NEVER)
        owner->start_timer(wait, deadline_after(*owner, timeout));
    ref();
    int status = self.park(wait);
    (void)owner->stop_timer(wait);
    if (wait.given && status == 0) {
        take(*wait.given, ret_completion);
        status = 1;
    } else if (wait.given) {
        offer(*wait.given, true);
    } else if (status == 0 && wait.expired) {
        status = KOLK_ETIMEDOUT;
    }
    unref();
    return status;
}

int kolk_completion_queue::next_async(future *&ret_future) noexcept {
    auto *made = owner->objects.create<arrival_future>(*this);
    if (!made)
        return KOLK_ENOMEM;
    if (arrived.empty())
        futures.push_back(*made);
    else
        made->finish(nullptr, nullptr);
    ret_future = made;
    return 0;
}
