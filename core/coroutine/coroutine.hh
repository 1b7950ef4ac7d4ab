/* A function that can stop in the middle, hand out a value, and be sent one back: the generator's protocol on a fiber.
 *
 * The control block lies at the top of its own stack, so that making one allocates nothing and a parked one costs a single
 * page. It outlives the function, as long as somebody refers to it. */
#pragma once

#include "core/loop/loop.hh"

#include <kolk/coroutine.h>

struct kolk_task;

struct kolk_coroutine : kolk::counted {
    kolk_coroutine_state state = KOLK_COROUTINE_CREATED;
    kolk::fiber context;
    kolk_task *task;                /* whose body this is, or nullptr */
    kolk::fiber *resumer = nullptr; /* where a yield goes; a task's body goes to the loop's home */
    int step = 0;                 /* what the last switch was about: a kolk_coroutine_step, or a status on the way in or out */
    void *value = nullptr;        /* what goes with it */
    kolk_error *raised = nullptr; /* owned: last raised inside or thrown in; what it ended with, if it failed */
    kolk::stack memory;
    size_t stack_size; /* as asked for: the pool wants to know */
    kolk_coroutine_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    kolk_coroutine(kolk::loop &on, kolk::stack where, size_t size, kolk_task *body_of, kolk_coroutine_fn body, void *data,
                   kolk_destroy_fn release) noexcept;
    ~kolk_coroutine();

    /* From outside. */
    [[nodiscard]] int resume(int how, void *sent, void **ret_value) noexcept;
    [[nodiscard]] int throw_in(kolk_error &error, void **ret_value) noexcept;
    [[nodiscard]] int close() noexcept;

    /* From inside. */
    [[nodiscard]] int yield(int what, void *handed_out, void **ret_sent) noexcept;
    int raise(kolk_error *error) noexcept; /* takes the reference */

    void ref() noexcept;
    void unref() noexcept;

  private:
    static void run(void *argument) noexcept;
};

namespace kolk {

using coroutine = ::kolk_coroutine;

/* Where the running code continues when something else is switched to: the context of its coroutine, or else, on a stack that
 * is no coroutine of this loop, a place of the caller's own. Loops and their coroutines may be nested in any way, so no place
 * can be shared. */
[[nodiscard]] inline fiber &running_fiber(const loop &on, fiber &otherwise) noexcept {
    coroutine *inside = this_thread.coroutine;
    return inside && inside->owner == &on ? inside->context : otherwise;
}

/* A stack with room for an object at its top. The object is constructed by the caller at the returned place. */
[[nodiscard]] int acquire_stack(loop &on, size_t stack_size, size_t object_size, stack &ret_stack, void *&ret_place) noexcept;

} // namespace kolk
