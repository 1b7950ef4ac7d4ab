/* Drives a coroutine: what it waits for puts the task on the ready queue, its turn continues the coroutine where it stopped.
 *
 * A task is a future and something to run. While it waits it is parked on exactly one thing, which knows how to let go of it:
 * cancelling needs no more than that.
 *
 * A task on a fiber usually lies with its coroutine in one block at the top of the stack. What waits may be a coroutine that
 * the task's body has resumed: the innermost one is left and continued directly, whatever lies between stays as it is. A task
 * that stops hands over to the next one of the turn directly, without going back to the loop's stack in between.
 *
 * A task without a stack is called again each time: by a table of functions, or as a step function with its state behind it.
 *
 * Cancelling is asyncio's: it ends what the task waits for, and the next wait returns KOLK_ECANCELED, once. Scopes can make
 * that every wait, or none: see scope.hh. */
#pragma once

#include "core/coroutine/coroutine.hh"
#include "core/future/future.hh"

#include <kolk/step.h>
#include <kolk/task.h>

#include <bit>

namespace kolk {

/* What a task is parked on, usually on the stack of the coroutine that waits. */
struct parking {
    /* Lets go of the task. True when the task will be woken all the same, by what it waits for ending. */
    bool (*cancel)(parking &self, ::kolk_task &who) noexcept;
    const char *name;     /* of what is waited for */
    bool patient = false; /* waits on in a cancelled scope: it is the scope that waits */
};

/* A future is waited for; the task is in its list. */
extern parking awaits_future;
/* Nothing is: the task is on the ready queue, behind everyone who is there. */
extern parking lets_others_run;

/* A task that goes on waiting while its loop closes is refused this often. */
inline constexpr uint8_t most_refusals = 100;

/* Why a wait might be refused. Each wait asks for all of them at once; mostly there are none. */
struct wait_obstacles {
    bool must_cancel = false;
    bool scoped = false; /* there is a scope, its own or its group's: see annotations */
    bool at_end = false; /* the loop is closing */
    uint8_t refused = 0; /* waits, since then */

    [[nodiscard]] bool any() const noexcept { return std::bit_cast<uint32_t>(*this) != 0; }
};

struct fiber_task;

} // namespace kolk

/* What a switch touches lies together: from the ready_item on. */
struct kolk_task : kolk_future, kolk::link<kolk::task_tag>, kolk::ready_item, kolk::wait_obstacles {
    uint32_t cancels = 0; /* requests that nobody took back */
    kolk::parking *parked = nullptr;
    kolk_future *awaiting = nullptr; /* if it is parked on a future */
    uint64_t pass = 0;               /* the request that came by here last: see request_cancel() */

    kolk_task(kolk::loop &on, const kolk::future_kind &what, void (*step)(kolk::ready_item &, bool) noexcept,
              kolk_destroy_fn destroy_result) noexcept
        : kolk_future(on, what), ready_item(step) {
        destroy_value = destroy_result;
    }

    /* On its ready queue, until it has ended. */
    void start() noexcept {
        ref();
        if (owner->closing()) [[unlikely]]
            at_end = true;
        owner->tasks.push_back(*this);
        owner->make_ready(*this);
    }

    /* Whether something that waits is a task. */
    [[nodiscard]] static bool is(const kolk::ready_item &item) noexcept;
    [[nodiscard]] bool on_fiber() const noexcept { return run == run_fiber; }
    /* Inside, on a fiber: stops until woken. 0, or KOLK_ECANCELED. */
    [[nodiscard]] int park(kolk::parking &what) noexcept;
    [[nodiscard]] int park_unasked(kolk::parking &what) noexcept; /* where there are no obstacles */

    /* From what it is parked on: its turn will come. */
    void wake() noexcept {
        if (!ready_item::linked())
            owner->make_ready(*this);
    }
    /* On a fiber, behind everyone who is ready. Tasks that take turns will do so in the same order next time. */
    void queue_behind_others(kolk::loop &on) noexcept;
    /* The same, on the spot, for what is itself an item of the ready queue, and parks fibers only. */
    void step_fiber() noexcept;

    /* From inside the scope, or from outside of all: nullptr. The words are borrowed. */
    bool request_cancel(const kolk_scope *origin = nullptr, kolk_error *words = nullptr) noexcept;
    /* Takes one request back. Returns how many are left. */
    uint32_t uncancel() noexcept;
    /* Ends the wait, if it is waiting for something that can be let go, with KOLK_ECANCELED. */
    void interrupt() noexcept;
    /* What a wait that was cancelled fails with, with words if there are any; for this_thread. */
    void raise_cancel_words() noexcept;

    /* Goes on waiting, although its loop closes and every wait was refused. */
    [[nodiscard]] bool insists() const noexcept { return refused >= kolk::most_refusals; }
    [[nodiscard]] bool started() const noexcept;
    /* It is running, or one that it waits for on the stack is. */
    [[nodiscard]] bool on_stack() const noexcept { return !done() && !parked && !ready_item::linked(); }
    [[nodiscard]] const char *name() const noexcept { return notes ? notes->name : ""; }
    [[nodiscard]] kolk_scope *scope() const noexcept { return scoped ? notes->scope : nullptr; }
    [[nodiscard]] kolk_task *awaited_task() const noexcept;

  protected:
    static void run_fiber(kolk::ready_item &item, bool closing) noexcept;
    [[nodiscard]] bool is_patient(const kolk::parking &what) const noexcept {
        return what.patient || (awaiting && awaiting->kind->patient);
    }
    /* Whether a task that was cancelled, or is at the end of its loop, must not wait for this. */
    [[nodiscard]] bool refuse(kolk::parking &what) noexcept;
    [[nodiscard]] static bool can_continue(const kolk::ready_item &next) noexcept;
    [[gnu::cold]] int told_to_cancel() noexcept;
    bool tell() noexcept;
    void keep_cancel_words(kolk_error *words) noexcept;
    /* With a status below 0 and its error, whose reference is taken; or with a result. */
    void ended(int status, void *result, kolk_error *why) noexcept;
};

namespace kolk {

using task = ::kolk_task;

extern const future_kind fiber_task_kind, stackless_task_kind;

struct fiber_task final : task {
    /* While it takes turns with others: the item three places behind it, as of the last time. Only for fetch(), and never
     * looked at, because it may be gone. */
    const void *far = nullptr;
    coroutine *innermost; /* what continues when the task does */
    coroutine *body;      /* in this block, or referenced */
    const void *made_at;  /* by code at this address */

    fiber_task(loop &on, coroutine &what, const void *address, kolk_destroy_fn destroy_result) noexcept
        : task(on, fiber_task_kind, run_fiber, destroy_result), innermost(&what), body(&what), made_at(address) {}

    void fiber_ended() noexcept;
};

/* Called again each time it continues. */
struct stackless_task final : task {
    /* Either a table and a frame, or a function and, behind this struct, its state. */
    union {
        const kolk_coroutine_ops *ops;
        kolk_step_fn fn;
    };
    union {
        void *frame;
        kolk_destroy_fn destroy;
    };

    stackless_task(loop &on, const kolk_coroutine_ops &table, void *what, kolk_destroy_fn destroy_result) noexcept
        : task(on, stackless_task_kind, run_foreign, destroy_result), ops(&table), frame(what) {}
    stackless_task(loop &on, kolk_step_fn step, kolk_destroy_fn destroy_result) noexcept
        : task(on, stackless_task_kind, run_step, destroy_result), fn(step), destroy(nullptr) {}

    [[nodiscard]] bool is_step() const noexcept { return run == run_step; }
    [[nodiscard]] static bool is(const ready_item &item) noexcept { return item.run == run_step || item.run == run_foreign; }
    [[nodiscard]] kolk_step &state() noexcept { return *reinterpret_cast<kolk_step *>(this + 1); }

  private:
    static void run_foreign(ready_item &item, bool closing) noexcept;
    static void run_step(ready_item &item, bool closing) noexcept;
    template <class Call>
    void go_on(Call call) noexcept;
    void go_on_carefully() noexcept;
    void go_on_after(int what, void *value) noexcept;
    [[nodiscard]] int stop_for(future &next) noexcept;
    [[nodiscard]] int let_others_run() noexcept;
    void stops() noexcept;
    void returned(int what, void *value) noexcept;
    void release() noexcept;
};

/* What all ways to make a task have in common; the address is for those who do not say where they are. */
struct task_plan {
    const kolk_task_options *options;
    const void *address;

    [[nodiscard]] size_t stack_size() const noexcept { return options ? options->stack_size : 0; }
    [[nodiscard]] kolk_destroy_fn destroy_result() const noexcept { return options ? options->destroy_result : nullptr; }
    /* May it be made? */
    [[nodiscard]] int check(const loop &on) const noexcept;
    /* Gives it what it inherits and is to be known by, and starts it. 0 or KOLK_ENOMEM. */
    [[nodiscard]] int start(task &made) const noexcept {
        task *maker = this_thread.task;
        if (options || (maker && maker->notes)) [[unlikely]]
            return start_with_notes(made);
        made.start();
        return 0;
    }

  private:
    [[nodiscard]] int start_with_notes(task &made) const noexcept;
};

/* Each returns 0 or why not; then nothing was taken over. */
[[nodiscard]] int create_task(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, const task_plan &plan,
                              task *&ret_task) noexcept;
[[nodiscard]] int create_task_of(coroutine &body, const task_plan &plan, task *&ret_task) noexcept;
[[nodiscard]] int create_foreign_task(loop &on, const kolk_coroutine_ops &ops, void *frame, const task_plan &plan,
                                      task *&ret_task) noexcept;
/* For tasks of coroutines that are driven through a table themselves. */
extern const kolk_coroutine_ops driven_coroutine_ops;
[[nodiscard]] int create_step_task(loop &on, kolk_step_fn fn, const void *state, size_t size, kolk_destroy_fn destroy,
                                   const task_plan &plan, task *&ret_task) noexcept;

/* Inside a coroutine: waits until the future is done, which the caller keeps alive. 0, or the status to return instead. */
[[nodiscard]] int await(future &what) noexcept;

/* The task that may be parked by the running code, or nullptr. */
[[nodiscard]] inline task *parkable_task(const loop &on) noexcept {
    task *current = this_thread.task;
    return current && current->owner == &on && this_thread.coroutine && current->on_fiber() ? current : nullptr;
}

} // namespace kolk

inline bool kolk_task::is(const kolk::ready_item &item) noexcept {
    return item.run == run_fiber || kolk::stackless_task::is(item);
}

/* A task that is parked, as opposed to one that has yet to start: its stack can be continued without further ado. */
inline bool kolk_task::can_continue(const kolk::ready_item &next) noexcept {
    return next.run == run_fiber && static_cast<const kolk_task &>(next).parked;
}

inline void kolk_task::queue_behind_others(kolk::loop &on) noexcept {
    kolk::ready_item *before = on.third_last_ready();
    if (before && before->run == run_fiber)
        static_cast<kolk::fiber_task *>(before)->far = static_cast<kolk::ready_item *>(this);
    on.make_ready_silently(*this);
}

/* Inline, because each frame below a switch is memory that has to be fetched again when the task continues. */
inline int kolk_task::park(kolk::parking &what) noexcept {
    static_cast<kolk::fiber_task &>(*this).far = nullptr;
    return any() && refuse(what) ? int(KOLK_ECANCELED) : park_unasked(what);
}

inline int kolk_task::park_unasked(kolk::parking &what) noexcept {
    kolk::thread_state &here = kolk::this_thread;
    kolk::loop &on = *here.loop; /* the owner, which need not be fetched */
    kolk::coroutine &inside = *here.coroutine;
    parked = &what;
    static_cast<kolk::fiber_task &>(*this).innermost = &inside;
    if (on.has_next_of_turn() && can_continue(on.next_of_turn())) {
        auto &after = static_cast<kolk::fiber_task &>(on.next_of_turn());
        on.take_next_of_turn();
        if (after.far)
            kolk::loop::fetch(after.far);
        on.fetch_ahead();
        if (&after != this) {
            here.coroutine = after.innermost;
            here.task = &after;
            kolk::switch_fiber_alike(inside.context, after.innermost->context);
        }
    } else {
        kolk::switch_fiber(inside.context, *on.home);
    }
    parked = nullptr;
    return must_cancel ? told_to_cancel() : 0;
}
