#include "core/loop/watchdog.hh"

#include "core/coroutine/coroutine.hh"
#include "core/loop/loop.hh"
#include "core/platform/clock.hh"
#include "core/platform/service_thread.hh"
#include "core/platform/stack_trace.hh"
#include "core/text_writer.hh"

using namespace kolk;

struct kolk::watched_loop {
    watched_loop *next = nullptr;
    const turn_mark *mark;
    int thread;
    int64_t threshold;
    kolk_stall_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    /* The watching thread's. */
    uint64_t seen = 0; /* what the mark said at the last look */
    int64_t since = 0; /* when it first said so */
    int64_t lasted = 0;
    uint32_t again = 0;
    bool told = false;

    watched_loop(const loop &of, int64_t longest, kolk_stall_fn call, void *data, kolk_destroy_fn release) noexcept
        : mark(&of.mark), thread(thread_id()), threshold(longest), fn(call), userdata(data), destroy(release) {}

    [[nodiscard]] bool stalls() noexcept;
    [[nodiscard]] int64_t time_between_looks() const noexcept { return threshold / 2; }
};

/* One that was seen twice before: after a single look it may have been the whole process that stood still in between. What is
 * said of its duration is certain: the clock is read after the mark for the beginning, and before it for the end. */
bool watched_loop::stalls() noexcept {
    int64_t now = monotonic_time();
    if (uint64_t count = mark->now(); count != seen) {
        seen = count;
        since = monotonic_time();
        again = 0;
        told = false;
        return false;
    }
    lasted = now - since;
    if (told || !turn_mark::is_turn(seen) || ++again < 2 || lasted < threshold)
        return false;
    told = true;
    return true;
}

namespace {

service_thread watcher_thread; /* its lock is that of what follows */
watched_loop *first_watched = nullptr;
watched_loop *telling = nullptr; /* whose handler is running, without the lock: it stays until that is over */

/* What a stalled thread is asked for. Static, because its answer may come when nobody waits for it any more. */
struct {
    const turn_mark *mark;
    uint64_t turn;
    bool over; /* the turn ended just before */
    bool cramped;
    bool in_task;
    stalled_task task;
} inquiry;

/* To walk a stack takes about half of this on it, and a fiber may be running short. */
bool has_room() noexcept {
    constexpr ptrdiff_t to_walk = 4 * 1024;
    auto *here = static_cast<const char *>(__builtin_frame_address(0));
    const coroutine *inside = this_thread.coroutine;
    return !inside || here < inside->context.low || here >= inside->context.high || here - inside->context.low >= to_walk;
}

/* A signal handler, on the thread of the loop. */
bool inquire(void *) noexcept {
    inquiry.task = {};
    inquiry.over = inquiry.mark->now() != inquiry.turn;
    if (inquiry.over)
        return false;
    inquiry.in_task = this_thread.task;
    if (inquiry.in_task)
        describe_for_stall(*this_thread.task, inquiry.task);
    inquiry.cramped = !has_room();
    return !inquiry.cramped;
}

[[nodiscard]] const char *why_no_stack(interruption how) noexcept {
    if (how == interruption::foreign)
        return "the program handles SIGURG itself, so its stack was not looked at";
    if (how == interruption::silent)
        return "its thread did not answer";
    if (inquiry.over)
        return "it ended just before its stack was looked at";
    return inquiry.cramped ? "too little of its stack is left to look at it" : "stacks cannot be looked at here";
}

void put_in_words(text_writer text, const kolk_stall &stall, interruption how) noexcept {
    text.add("a turn has taken %lld ms so far, ", static_cast<long long>(stall.duration_ns / 1'000'000));
    if (how != interruption::answered || inquiry.over)
        text.add("nobody knows in what");
    else if (*stall.task)
        text.add("in task '%s'", stall.task);
    else
        text.add("in a %s", inquiry.in_task ? "task without a name" : "callback");
    text.add("%s%s\n", *stall.location ? " made at " : "", stall.location);
    if (stall.frame_count == 0)
        text.add("  %s\n", why_no_stack(how));
    for (uint32_t i = 0; i < stall.frame_count; i++) {
        char place[160];
        describe_address(stall.frames[i], i > 0, place, sizeof place);
        text.add("  %s\n", place);
    }
}

/* On the watching thread, without the lock. */
void tell(const watched_loop &of) noexcept {
    inquiry.mark = of.mark;
    inquiry.turn = of.seen;
    stack_trace stack;
    interruption how = interrupt(of.thread, inquire, nullptr, stack);
    kolk_stall stall = {sizeof stall, stack.count, of.lasted, "", "", stack.frames, ""};
    stalled_task task = {};
    if (how == interruption::answered) {
        task = inquiry.task;
        if (!*task.location && task.made_at)
            describe_address(task.made_at, true, task.location, sizeof task.location);
        stall.task = task.name;
        stall.location = task.location;
    }
    char text[stack_trace::most_frames * 160];
    put_in_words({text, sizeof text}, stall, how);
    stall.text = text;
    of.fn(&stall, of.userdata);
}

/* The shortest pause that one of them asks for. */
int64_t look_at_all() noexcept {
    int64_t pause = INT64_MAX;
    for (watched_loop *each = first_watched; each && !watcher_thread.ending(); each = each->next) {
        if (each->stalls()) {
            telling = each;
            watcher_thread.unlock();
            tell(*each);
            watcher_thread.lock();
            telling = nullptr;
            watcher_thread.notify();
        }
        if (each->time_between_looks() < pause)
            pause = each->time_between_looks();
    }
    return pause;
}

void *keep_watch(void *) noexcept {
    load_unwinder();
    watcher_thread.lock();
    while (!watcher_thread.ending()) {
        int64_t next_look;
        if (__builtin_add_overflow(look_at_all(), monotonic_time(), &next_look))
            next_look = INT64_MAX;
        if (!watcher_thread.ending())
            watcher_thread.wait_until(next_look);
    }
    watcher_thread.unlock();
    return nullptr;
}

void in_child() noexcept {
    first_watched = telling = nullptr;
    forget_interruptions();
    watcher_thread.begin_anew();
}

void take_off_list(watched_loop &one) noexcept {
    while (telling == &one)
        watcher_thread.wait();
    watched_loop **place = &first_watched;
    while (*place != &one)
        place = &(*place)->next;
    *place = one.next;
}

void dispose_of(loop &of, watched_loop &one) noexcept {
    kolk_destroy_fn destroy = one.destroy;
    void *userdata = one.userdata;
    kolk::destroy(of.memory(), &one);
    destroy_userdata(destroy, userdata);
}

} // namespace

namespace kolk {

int watch_stalls(loop &of, int64_t threshold, kolk_stall_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    auto *made = create<watched_loop>(of.memory(), of, threshold, fn, userdata, destroy);
    if (!made)
        return KOLK_ENOMEM;
    watched_loop *old = of.watched;
    watcher_thread.lock();
    int status = watcher_thread.start(keep_watch, in_child);
    if (status == 0) {
        made->next = first_watched;
        first_watched = made;
        of.watched = made;
        if (old)
            take_off_list(*old);
        watcher_thread.notify(); /* it may be about to sleep for longer */
    }
    watcher_thread.unlock();
    if (status < 0)
        kolk::destroy(of.memory(), made);
    else if (old)
        dispose_of(of, *old);
    return status;
}

int rewatch_stalls(loop &of) noexcept {
    watched_loop *mine = of.watched;
    if (!mine)
        return 0;
    watcher_thread.lock();
    bool is_watched = false;
    for (watched_loop *each = first_watched; each; each = each->next)
        is_watched |= each == mine;
    int status = is_watched ? 0 : watcher_thread.start(keep_watch, in_child);
    if (status == 0 && !is_watched) {
        mine->thread = thread_id();
        mine->again = 0;
        mine->seen = 0;
        mine->told = false;
        mine->next = first_watched;
        first_watched = mine;
        watcher_thread.notify();
    }
    watcher_thread.unlock();
    return status;
}

void unwatch_stalls(loop &of) noexcept {
    watched_loop *old = of.watched;
    if (!old)
        return;
    of.watched = nullptr;
    watcher_thread.lock();
    take_off_list(*old);
    if (!first_watched) {
        stop_interrupting();
        watcher_thread.end();
    }
    watcher_thread.unlock();
    dispose_of(of, *old);
}

} // namespace kolk
