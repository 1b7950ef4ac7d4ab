#include "core/future/wait.hh"

#include "core/task/sleep.hh"

namespace kolk {

namespace {

struct waiting;

/* One of the futures waited for: in its list, if it was pending, until it is done. */
struct member final : ready_item {
    waiting *of;
    future *what; /* referenced; nullptr once let go */

    member(waiting &whose, future &which) noexcept : ready_item(done), of(&whose), what(&which) { which.ref(); }
    static void done(ready_item &item, bool closing) noexcept;
};

/* Whether this one alone ends the wait. */
bool decides(const future &what, int32_t until) noexcept {
    return (until == KOLK_FIRST_COMPLETED && what.done()) || (until == KOLK_FIRST_ERROR && what.state == outcome::error);
}

/* The members lie behind this struct. While it waits it holds a reference to itself. Then it lets go of them all: whatever
 * happens to the wait, the futures go on, and nobody has read their errors. */
struct waiting final : future, timer_node, resource {
    size_t count;
    size_t pending = 0;
    int32_t until;

    waiting(loop &on, size_t how_many, int32_t until_what) noexcept
        : future(on, kind_of_wait), timer_node(time_is_up), resource(loop_closes), count(how_many), until(until_what) {}

    member *members() noexcept { return reinterpret_cast<member *>(this + 1); }
    static size_t size(size_t count) noexcept { return sizeof(waiting) + count * sizeof(member); }

    void one_done(const future &what) noexcept;
    void complete() noexcept;
    void end() noexcept;

    static void time_is_up(ready_item &item, bool closing) noexcept;
    static void loop_closes(resource &held) noexcept;
    static const future_kind kind_of_wait;
};

void member::done(ready_item &item, bool) noexcept {
    auto &self = static_cast<member &>(item);
    self.of->one_done(*self.what);
}

void waiting::one_done(const future &what) noexcept {
    if (--pending == 0 || decides(what, until))
        complete();
}

void waiting::complete() noexcept {
    size_t how_many = 0;
    for (size_t i = 0; i < count; i++)
        how_many += members()[i].what->done();
    finish(reinterpret_cast<void *>(how_many), nullptr);
    end();
}

/* After it was finished. */
void waiting::end() noexcept {
    (void)owner->stop_timer(*this);
    if (resource::linked())
        resource::unlink();
    for (size_t i = 0; i < count; i++) {
        member &one = members()[i];
        if (one.linked() && one.what->done())
            owner->un_ready(one);
        else if (one.linked())
            one.unlink();
        std::exchange(one.what, nullptr)->unref();
    }
    unref();
}

void waiting::time_is_up(ready_item &item, bool closing) noexcept {
    if (!closing)
        static_cast<waiting &>(item).complete();
}

void waiting::loop_closes(resource &held) noexcept { (void)static_cast<waiting &>(held).cancel(); }

constinit const future_kind waiting::kind_of_wait = {
    "wait",
    [](future &self) noexcept {
        self.end_cancelled();
        static_cast<waiting &>(self).end();
        return true;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<waiting &>(self);
        loop &on = *mine.owner;
        size_t bytes = size(mine.count);
        mine.~waiting();
        on.objects.give(&mine, bytes);
        on.object_gone();
    },
    false,
};

} // namespace

future *wait_behind(const ready_item &item) noexcept {
    return item.run == member::done ? static_cast<const member &>(item).of : nullptr;
}

int wait_async(loop &on, future *const *futures, size_t count, int32_t until, int64_t timeout, future *&ret_future) noexcept {
    size_t how_many = 0;
    bool over = timeout <= 0;
    for (size_t i = 0; i < count; i++) {
        how_many += futures[i]->done();
        over |= decides(*futures[i], until);
    }
    over |= how_many == count;
    size_t watched = over ? 0 : count, bytes;
    if (__builtin_mul_overflow(watched, sizeof(member), &bytes) || bytes > PTRDIFF_MAX / 2)
        return KOLK_ENOMEM;
    void *memory = on.objects.take(waiting::size(watched));
    if (!memory)
        return KOLK_ENOMEM;
    auto *made = ::new (memory) waiting(on, watched, until);
    ret_future = made;
    if (over) {
        made->finish(reinterpret_cast<void *>(how_many), nullptr);
        return 0;
    }
    made->ref();
    on.resources.push_back(*made);
    for (size_t i = 0; i < count; i++) {
        auto *one = ::new (&made->members()[i]) member(*made, *futures[i]);
        if (!futures[i]->done()) {
            made->pending++;
            futures[i]->add_waiter(*one);
        }
    }
    if (timeout != KOLK_NEVER)
        on.start_timer(*made, deadline_after(on, timeout));
    return 0;
}

} // namespace kolk
