/* Drives a coroutine: what it waits for puts the task on the ready queue, its turn continues the coroutine where it stopped.
 *
 * A task is a future, something to run, and a coroutine, in one block at the top of the coroutine's stack. While it waits it is
 * parked on exactly one thing, which knows how to let go of it: cancelling needs no more than that. What waits may be a
 * coroutine that the task's body has resumed: the innermost one is left and continued directly, whatever lies between stays as
 * it is.
 *
 * A task that stops hands over to the next one of the turn directly, without going back to the loop's stack in between.
 *
 * Cancelling is asyncio's: it ends what the task waits for, and the next wait returns KOLK_ECANCELED, once. */
#pragma once

#include "core/coroutine/coroutine.hh"
#include "core/future/future.hh"

#include <kolk/task.h>

namespace kolk {

/* What a task is parked on, usually on the stack of the coroutine that waits. */
struct parking {
    /* Lets go of the task. True when the task will be woken all the same, by what it waits for ending as cancelled. */
    bool (*cancel)(parking &self) noexcept;
    future *what = nullptr; /* if it is a future that it waits for */
};

extern const future_kind task_future;

/* A task that goes on waiting while its loop closes is refused this often. */
inline constexpr uint16_t most_refusals = 100;

} // namespace kolk

/* What a switch touches lies together: from the ready_item to the body's context. */
struct kolk_task final : kolk_future, kolk::link<kolk::task_tag>, kolk::ready_item {
    kolk_coroutine *innermost; /* what continues when the task does */
    kolk::parking *parked = nullptr;
    bool must_cancel = false;
    uint16_t refused = 0; /* waits, while the loop was closing */
    uint32_t cancels = 0; /* requests so far */
    uint64_t pass = 0;    /* the request that came by here last: see request_cancel() */
    kolk_coroutine body;
    kolk_destroy_fn destroy_result;
    char name[32];

    kolk_task(kolk::loop &on, kolk::stack where, size_t stack_size, kolk_coroutine_fn fn, void *userdata,
              kolk_destroy_fn destroy, kolk_destroy_fn result_destroy) noexcept;

    /* On its ready queue, until it has ended. */
    void start() noexcept;

    /* Inside: stops until woken. 0, or KOLK_ECANCELED. */
    [[nodiscard]] int park(kolk::parking &what) noexcept;

    /* From what it is parked on: its turn will come. */
    void wake() noexcept {
        if (!ready_item::linked())
            owner->make_ready(*this);
    }

    /* The same, on the spot, for what is itself an item of the ready queue. */
    void step() noexcept;

    bool request_cancel() noexcept;
    /* Goes on waiting, although its loop closes and every wait was refused. */
    [[nodiscard]] bool insists() const noexcept { return refused >= kolk::most_refusals; }
    void set_name(const char *text) noexcept;

  private:
    static void run_step(kolk::ready_item &item, bool closing) noexcept;
    /* Whether a task that was cancelled, or is at the end of its loop, must not wait for this. */
    [[nodiscard]] bool refuse(kolk::parking &what) noexcept;
    [[nodiscard]] static bool can_continue(const kolk::ready_item *next) noexcept;
    [[nodiscard]] kolk_task *awaited_task() const noexcept;
    bool tell() noexcept;
    void ended() noexcept;
};

namespace kolk {

using task = ::kolk_task;

[[nodiscard]] int create_task(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, size_t stack_size,
                              kolk_destroy_fn destroy_result, task *&ret_task) noexcept;

/* Inside a coroutine: waits until the future is done, which the caller keeps alive. 0, or the status to return instead. */
[[nodiscard]] int await(future &what) noexcept;

/* The task that may be parked by the running code, or nullptr. */
[[nodiscard]] inline task *parkable_task(const loop &on) noexcept {
    task *current = this_thread.task;
    return current && current->owner == &on ? current : nullptr;
}

} // namespace kolk

/* A task that is parked, as opposed to one that has yet to start: its stack can be continued without further ado. */
inline bool kolk_task::can_continue(const kolk::ready_item *next) noexcept {
    return next && next->run == run_step && static_cast<const kolk_task *>(next)->body.state == KOLK_COROUTINE_SUSPENDED;
}

/* Inline, because each frame below a switch is memory that has to be fetched again when the task continues. */
inline int kolk_task::park(kolk::parking &what) noexcept {
    if ((must_cancel || owner->closing()) && refuse(what)) [[unlikely]]
        return KOLK_ECANCELED;
    kolk::thread_state &here = kolk::this_thread;
    parked = &what;
    innermost = here.coroutine;
    body.state = KOLK_COROUTINE_SUSPENDED;
    if (kolk::ready_item *next = owner->next_of_turn(); can_continue(next)) {
        auto &after = static_cast<kolk_task &>(*next);
        owner->take_from_turn(*next);
        owner->fetch_ahead();
        after.body.state = KOLK_COROUTINE_RUNNING;
        if (&after != this) {
            here.coroutine = after.innermost;
            here.task = &after;
            kolk::switch_fiber_alike(innermost->context, after.innermost->context);
        }
    } else {
        kolk::switch_fiber(innermost->context, *owner->home);
    }
    parked = nullptr;
    if (must_cancel) [[unlikely]] {
        must_cancel = false;
        return KOLK_ECANCELED;
    }
    return 0;
}
