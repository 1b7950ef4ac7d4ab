/**
 * @file step.h
 * Tasks without a stack: a function that is called again and again with its own state.
 *
 * A fiber costs a page while it waits; a step task costs its state and 160 bytes. The price is in the writing: what must
 * survive a wait lives in a struct, whose first member is a #kolk_step, and each wait is a return. The macros hide the returns;
 * they are a `switch` over the line, as Dunkels' protothreads are, so a `switch` of one's own must not lie around them. Behind
 * each stands a function that can be called without it.
 *
 * @code
 * struct fetch {
 *     kolk_step step;
 *     int tries;
 * };
 *
 * static int fetch(void *state, void **ret_value) {
 *     struct fetch *self = state;
 *     KOLK_STEP_BEGIN(&self->step);
 *     for (self->tries = 0; self->tries < 3; self->tries++) {
 *         KOLK_STEP_SLEEP(&self->step, ret_value, 1000000);
 *         if (self->step.status < 0)
 *             return self->step.status;
 *     }
 *     *ret_value = "done";
 *     KOLK_STEP_END(&self->step);
 * }
 * @endcode
 *
 * Step tasks await the same futures as all others, are cancelled in the same way, and are tasks to whoever awaits them.
 */
#ifndef KOLK_STEP_H
#define KOLK_STEP_H

#include <kolk/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a step function stands: the first member of its state. All zero: at its beginning. */
typedef struct kolk_step {
    uint32_t at;         /**< Where it continues; the macros put the line here. */
    int32_t status;      /**< How the last wait or call ended: 0 or more, or a status. */
    kolk_future *future; /**< What it waits for, or waited for last. Owned; given back by the next wait. */
} kolk_step;

/**
 * A step function: the `resume` of #kolk_coroutine_ops for states that begin with a #kolk_step.
 *
 * @param state      The state. Its kolk_step::status is negative when the wait was cancelled or an error was thrown in.
 * @param ret_value  What was sent stands there; receives what goes with the return value.
 * @return #KOLK_COROUTINE_RETURNED, #KOLK_COROUTINE_YIELDED, #KOLK_COROUTINE_AWAITING, or the status it failed with;
 *         `return kolk_raise(error)` adds words.
 */
typedef int (*kolk_step_fn)(void *state, void **ret_value);

/**
 * Makes a task of a step function; it starts on the loop's next turn.
 *
 * @param loop        Where it runs.
 * @param fn          The function.
 * @param state       Copied into the task, whose memory is aligned to 16 bytes. Begins with a #kolk_step that is all zero.
 * @param state_size  Bytes, at least sizeof(kolk_step), at most 64 KiB.
 * @param destroy     May be NULL. Called with the copy, inside the task, when that has ended; or with @p state when this call
 *                    fails.
 * @param options     NULL: all defaults. The stack size does not matter.
 * @param ret_task    Receives the task; NULL when not needed. @ref owned_by_caller.
 * @return as kolk_create_task(); #KOLK_ELIMIT for a state that is too large.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_create_step_task(kolk_loop *loop, kolk_step_fn fn, void *state, size_t state_size, kolk_destroy_fn destroy,
                                   const kolk_task_options *options, kolk_task **ret_task) KOLK_NOEXCEPT;

/**
 * Makes a coroutine of a step function, to be driven by next, send, throw and close.
 *
 * @param loop           Where it belongs.
 * @param fn             The function.
 * @param state          As in kolk_create_step_task().
 * @param state_size     As in kolk_create_step_task().
 * @param destroy        As in kolk_create_step_task(): called when the coroutine is gone.
 * @param ret_coroutine  Receives the coroutine. @ref owned_by_caller.
 * @return as kolk_create_step_task().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_step_coroutine_new(kolk_loop *loop, kolk_step_fn fn, void *state, size_t state_size, kolk_destroy_fn destroy,
                                     kolk_coroutine **ret_coroutine) KOLK_NOEXCEPT;

/**
 * Begins to wait for a future.
 *
 * @param self       The step.
 * @param status     0, or why there is no future to wait for: what the function that should have made it returned.
 * @param future     @ref owned_by_callee: given back by the next wait, or when the state is gone. NULL with @p status 0: let
 *                   everyone else who is ready run once.
 * @param ret_value  Of the step function.
 * @return #KOLK_COROUTINE_AWAITING: the step function is to return this. 0: there is nothing to wait for, go on.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_step_await(kolk_step *self, int status, kolk_future *future, void **ret_value) KOLK_NOEXCEPT;

/** Begins to let @p delay_ns nanoseconds pass. Returns as kolk_step_await(). @threads{loop} @since 0.1 */
KOLK_API int kolk_step_sleep(kolk_step *self, int64_t delay_ns, void **ret_value) KOLK_NOEXCEPT;

/** After a wait: puts how it ended into kolk_step::status, and returns that. @threads{loop} @since 0.1 */
KOLK_API int kolk_step_resumed(kolk_step *self) KOLK_NOEXCEPT;

/**
 * Calls another step function, and again each time this one is.
 *
 * @param self       The step that calls.
 * @param fn         The function that is called.
 * @param state      Its state, which begins with a #kolk_step; usually a member of the caller's state. The caller
 *                   prepares it; its kolk_step is all zero before the first call, and again after the last.
 * @param ret_value  Of the calling step function.
 * @return #KOLK_COROUTINE_AWAITING or #KOLK_COROUTINE_YIELDED: return this. 0: it has ended; kolk_step::status says how, and
 *         *ret_value is what it returned.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_step_call(kolk_step *self, kolk_step_fn fn, void *state, void **ret_value) KOLK_NOEXCEPT;

/** The result of the future that was awaited last; NULL when there is none. @ref borrowed until the next wait.
 * @threads{loop} @since 0.1 */
KOLK_API void *kolk_step_result(const kolk_step *self) KOLK_NOEXCEPT;

/** Gives back what the step holds; to be called once when a step function that was called by hand has ended.
 * @threads{loop} @since 0.1 */
KOLK_API void kolk_step_clear(kolk_step *self) KOLK_NOEXCEPT;

/** The first thing in a step function, after its declarations. */
#define KOLK_STEP_BEGIN(step)                                                                                                  \
    switch ((step)->at) {                                                                                                      \
    case 0:

/** The last thing: ends well, with what stands in *ret_value. */
#define KOLK_STEP_END(step)                                                                                                    \
    }                                                                                                                          \
    return KOLK_COROUTINE_RETURNED

/** Waits. @p begin is a call of kolk_step_await() or of another function that begins a wait; afterwards kolk_step::status says
 * how it ended. */
#define KOLK_STEP_WAIT(step, begin)                                                                                            \
    do {                                                                                                                       \
        (step)->at = __LINE__;                                                                                                 \
        if ((begin) != 0)                                                                                                      \
            return KOLK_COROUTINE_AWAITING;                                                                                    \
        /* fall through */                                                                                                     \
    case __LINE__:                                                                                                             \
        if ((step)->future)                                                                                                    \
            kolk_step_resumed(step);                                                                                           \
    } while (0)

/** Waits for a future, which is given away. */
#define KOLK_STEP_AWAIT(step, ret_value, future) KOLK_STEP_WAIT(step, kolk_step_await(step, 0, future, ret_value))

/** Lets time pass. */
#define KOLK_STEP_SLEEP(step, ret_value, delay_ns) KOLK_STEP_WAIT(step, kolk_step_sleep(step, delay_ns, ret_value))

/** Calls another step function with a state of its own; afterwards *ret_value is what it returned. */
#define KOLK_STEP_CALL(step, ret_value, fn, state)                                                                             \
    do {                                                                                                                       \
        (step)->at = __LINE__;                                                                                                 \
        /* fall through */                                                                                                     \
    case __LINE__: {                                                                                                           \
        int kolk_step_how = kolk_step_call(step, fn, state, ret_value);                                                        \
        if (kolk_step_how != 0)                                                                                                \
            return kolk_step_how;                                                                                              \
    }                                                                                                                          \
    } while (0)

/** In a coroutine: hands out a value; afterwards *ret_value is what was sent, unless kolk_step::status is negative. */
#define KOLK_STEP_YIELD(step, ret_value, handed_out)                                                                           \
    do {                                                                                                                       \
        (step)->at = __LINE__;                                                                                                 \
        *(ret_value) = (handed_out);                                                                                           \
        return KOLK_COROUTINE_YIELDED;                                                                                         \
    case __LINE__:;                                                                                                            \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
