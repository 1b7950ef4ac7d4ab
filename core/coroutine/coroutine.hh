/* A function that can stop in the middle, hand out a value, and be sent one back: the generator's protocol.
 *
 * One kind runs on a stack of its own, a fiber; its control block lies at the top of that stack, so that making one allocates
 * nothing and a parked one costs a single page. The other kind is driven through a table of the user's.
 *
 * A coroutine that delegates to another stays where it is until that one has ended: the outermost of such a chain knows the
 * innermost, and resuming goes there directly, however long the chain. */
#pragma once

#include "core/error.hh"
#include "core/loop/loop.hh"

#include <kolk/coroutine.h>

struct kolk_task;

struct kolk_coroutine : kolk::counted {
    kolk_coroutine_state state = KOLK_COROUTINE_CREATED; /* of one that delegates, or waits as a task: see where_it_stands() */
    kolk::fiber context;
    const kolk_coroutine_ops *const ops; /* nullptr: it is a fiber */
    const bool embedded;                 /* in its task: they live and end together */
    bool closing = false;                /* of the outermost: somebody is closing the chain */
    kolk_task *task;                     /* whose body this is, or nullptr */
    kolk::fiber *resumer = nullptr;      /* where a yield goes; a task's body goes to the loop's home */
    int step = 0;                 /* what the last switch was about: a kolk_coroutine_step, or a status on the way in or out */
    void *value = nullptr;        /* what goes with it */
    kolk_error *raised = nullptr; /* owned: last raised inside or thrown in; what it ended with, if it failed */
    kolk_coroutine *outer = nullptr;  /* who delegates to this one */
    kolk_coroutine *outermost = this; /* of the chain, or somebody on the way there */
    kolk_coroutine *innermost = this; /* of the chain, if this is the outermost */
    char name[32] = "";

    /* From outside. */
    [[nodiscard]] int resume(int how, void *sent, void **ret_value) noexcept;
    [[nodiscard]] int throw_in(kolk_error &error, void **ret_value) noexcept;
    [[nodiscard]] int close() noexcept;
    [[nodiscard]] kolk_coroutine_state where_it_stands() noexcept;

    /* From inside. */
    [[nodiscard]] int yield(int what, void *handed_out, void **ret_sent) noexcept;
    [[nodiscard]] int yield_from(kolk_coroutine &sub, void **ret_result) noexcept;
    int raise(kolk_error *error) noexcept; /* takes the reference */

    void ref() noexcept;
    void unref() noexcept;

    [[nodiscard]] kolk_coroutine &find_outermost() noexcept;

  protected:
    kolk_coroutine(kolk::loop &on, const kolk_coroutine_ops *table, kolk_task *body_of) noexcept
        : counted(on), ops(table), embedded(body_of), task(body_of) {}
    ~kolk_coroutine();

    [[nodiscard]] int check_resumable() const noexcept;
    void never_start() noexcept;
    [[nodiscard]] int delegate_to_fiber(kolk_coroutine &sub) noexcept;
    [[nodiscard]] int drive(kolk_coroutine &sub, void **ret_result) noexcept;
};

namespace kolk {

using coroutine = ::kolk_coroutine;

/* On a stack of its own. */
struct fiber_coroutine final : coroutine {
    stack memory;
    size_t stack_size; /* as asked for: the pool wants to know */
    kolk_coroutine_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    /* The stack begins below `top`. */
    fiber_coroutine(loop &on, stack where, char *top, size_t size, kolk_task *body_of, kolk_coroutine_fn body, void *data,
                    kolk_destroy_fn release) noexcept;
    ~fiber_coroutine();

  private:
    static void run(void *argument) noexcept;
};

/* Of another kind. */
struct foreign_coroutine final : coroutine {
    void *frame;
    bool released = false;

    foreign_coroutine(loop &on, const kolk_coroutine_ops &table, void *what) noexcept
        : coroutine(on, &table, nullptr), frame(what) {}
    void release() noexcept;

    void go_on(int how) noexcept;
};

/* The size of the table as far as we use it; what a caller hands us must have that much, and be able to go on. */
[[nodiscard]] inline bool valid_ops(const kolk_coroutine_ops *ops) noexcept {
    return ops && ops->size >= sizeof *ops && ops->resume;
}

[[nodiscard]] inline kolk_destroy_fn destroy_of(const kolk_coroutine_ops *ops) noexcept {
    return ops && ops->size >= sizeof *ops ? ops->destroy : nullptr;
}

/* Where the running code continues when something else is switched to: the context of its coroutine, or else, on a stack that
 * is no coroutine of this loop, a place of the caller's own. Loops and their coroutines may be nested in any way, so no place
 * can be shared. */
[[nodiscard]] inline fiber &running_fiber(const loop &on, fiber &otherwise) noexcept {
    coroutine *inside = this_thread.coroutine;
    return inside && inside->owner == &on ? inside->context : otherwise;
}

/* A stack with room for an object at its top. The object is constructed by the caller at the returned place. */
[[nodiscard]] int acquire_stack(loop &on, size_t stack_size, size_t object_size, stack &ret_stack, void *&ret_place) noexcept;

void copy_name(char (&ret_name)[32], const char *text) noexcept;

/* What the running coroutine, or the running step of a task without a stack, failed with last. Takes the reference. */
int raise(error *what) noexcept;
[[nodiscard]] error *raised() noexcept;

} // namespace kolk
