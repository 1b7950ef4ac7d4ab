/**
 * @file coroutine.h
 * A function that can stop in the middle, hand out a value, and be sent one back.
 *
 * The protocol is that of Python's generators: next, send, throw, close; created, running, suspended, closed. A coroutine is an
 * ordinary C function on a stack of its own (a fiber). Creating one runs no code. Inside, kolk_yield() hands a value to whoever
 * resumed it. A task (kolk/task.h) is a coroutine that the loop drives.
 *
 * Coroutines never move between threads. They must not be left by longjmp or an exception. A mutex held across a yield is
 * held while others run.
 */
#ifndef KOLK_COROUTINE_H
#define KOLK_COROUTINE_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A coroutine. Counted; belongs to a loop. */
typedef struct kolk_coroutine kolk_coroutine;

/**
 * The body of a coroutine.
 *
 * @param userdata    As given when it was created.
 * @param ret_result  Where the return value goes; NULL stands there already.
 * @return 0 or more: it ended well. Negative: it failed with that status; `return kolk_raise(error)` adds words.
 */
typedef int (*kolk_coroutine_fn)(void *userdata, void **ret_result);

/** Where a coroutine stands. */
typedef enum kolk_coroutine_state {
    KOLK_COROUTINE_CREATED = 0,   /**< No code has run yet. */
    KOLK_COROUTINE_RUNNING = 1,   /**< It is executing, or waiting for one that it resumed. */
    KOLK_COROUTINE_SUSPENDED = 2, /**< Stopped at a yield. */
    KOLK_COROUTINE_CLOSED = 3     /**< Ended. */
} kolk_coroutine_state;

/** What a resumed coroutine did, unless it failed. */
typedef enum kolk_coroutine_step {
    KOLK_COROUTINE_RETURNED = 0, /**< It ended; the value is its return value. */
    KOLK_COROUTINE_YIELDED = 1,  /**< It handed out a value. */
    KOLK_COROUTINE_AWAITING =
        2 /**< It waits for a future, which is the value; resume it when that is done. Only outside of tasks. */
} kolk_coroutine_step;

/**
 * What a coroutine of another kind can do: a Lua thread, a Python generator, a C++20 coroutine, a function with a state. It can
 * then be driven like one on a stack of its own, by hand or by a task.
 */
typedef struct kolk_coroutine_ops {
    uint32_t size;     /**< sizeof(kolk_coroutine_ops). */
    uint32_t reserved; /**< 0. */
    const char *kind;  /**< What it is called where tasks are listed: "lua". Static. */

    /**
     * Continues it until it ends, yields or waits. Never called while it is running, nor after it has ended.
     *
     * @param frame      As given when it was made.
     * @param status     0, or the status of an error that is thrown in; kolk_raised() has it. When it waited for a future: 0
     *                   says that the future is done, and a status that it is not to wait any longer.
     * @param sent       What was sent; NULL where nothing is.
     * @param ret_value  Receives the value that goes with the step; NULL stands there already.
     * @return #KOLK_COROUTINE_RETURNED with its result; #KOLK_COROUTINE_YIELDED with a value; #KOLK_COROUTINE_AWAITING with the
     *         future it waits for, which it keeps alive, or with NULL to let everyone else who is ready run once; or the status
     *         it failed with. `return kolk_raise(error)` adds words.
     */
    int (*resume)(void *frame, int status, void *sent, void **ret_value);

    /** Releases the frame, once: when it has ended, or when it is dropped without. After `resume` was told #KOLK_ECANCELED, if
     * it had been started. That of a task is released inside the task, which can leave its scopes there, but not wait. May be
     * NULL. */
    void (*destroy)(void *frame);
} kolk_coroutine_ops;

/**
 * Makes a coroutine. No code of it runs.
 *
 * @param loop           Whose stacks it uses.
 * @param fn             Its body.
 * @param userdata       Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy        May be NULL. Called when the coroutine is gone, or when this call fails.
 * @param stack_size     Bytes; 0: 64 KiB. At least 16 KiB are given.
 * @param ret_coroutine  Receives the coroutine. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ELIMIT for a size beyond 1 GiB, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_new(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                                size_t stack_size, kolk_coroutine **ret_coroutine) KOLK_NOEXCEPT;

/**
 * Makes a coroutine of another kind. No code of it runs.
 *
 * @param loop           Where it belongs.
 * @param ops            What it can do. Static.
 * @param frame          Handed to @p ops. @ref owned_by_callee through kolk_coroutine_ops::destroy, also when this call fails.
 * @param ret_coroutine  Receives the coroutine. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, also for a table of the wrong size; #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_foreign_coroutine_new(kolk_loop *loop, const kolk_coroutine_ops *ops, void *frame,
                                        kolk_coroutine **ret_coroutine) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_coroutine *kolk_coroutine_ref(kolk_coroutine *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. The last one closes a suspended coroutine first, so that its clean-up runs. One that was never
 * started, nor closed, is reported to the loop's exception handler as #KOLK_ENOTSTARTED: somebody forgot to await it.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_coroutine *kolk_coroutine_unref(kolk_coroutine *self) KOLK_NOEXCEPT;

/**
 * Resumes it: the pending kolk_yield() returns 0 with NULL sent.
 *
 * @param self       The coroutine.
 * @param ret_value  Receives the value that goes with the step; may be NULL.
 * @return a #kolk_coroutine_step; the status it failed with (kolk_coroutine_error() has the words); #KOLK_EEXITED when it had
 *         ended before, #KOLK_EBUSY when it is running; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_next(kolk_coroutine *self, void **ret_value) KOLK_NOEXCEPT;

/**
 * Resumes it with a value: the pending kolk_yield() returns 0 and that value.
 *
 * @param self       The coroutine.
 * @param value      What is sent. NULL is the only value a coroutine that has not started takes: no yield is pending there.
 * @param ret_value  As in kolk_coroutine_next().
 * @return as kolk_coroutine_next(); #KOLK_ENOTSTARTED for a value sent too early.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_send(kolk_coroutine *self, void *value, void **ret_value) KOLK_NOEXCEPT;

/**
 * Resumes it with an error: the pending kolk_yield() returns its status. One that has not started fails at once.
 *
 * @param self       The coroutine.
 * @param error      @ref borrowed. Inside, kolk_raised() has it.
 * @param ret_value  As in kolk_coroutine_next().
 * @return as kolk_coroutine_next().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_throw(kolk_coroutine *self, kolk_error *error, void **ret_value) KOLK_NOEXCEPT;

/**
 * Ends it: the pending kolk_yield() returns #KOLK_ECANCELED, clean-up runs. Ending an ended one, or one that never started,
 * does nothing.
 *
 * @return 0; #KOLK_EYIELD when it yielded again instead of ending (it stays suspended); the status it failed with, if that is
 *         not #KOLK_ECANCELED; #KOLK_EBUSY when it is running; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_close(kolk_coroutine *self) KOLK_NOEXCEPT;

/** Where it stands: a #kolk_coroutine_state; #KOLK_EINVAL for NULL. @threads{loop} @since 0.1 */
KOLK_API int kolk_coroutine_get_state(const kolk_coroutine *self) KOLK_NOEXCEPT;

/** Its name, for reports; "" when it has none. @threads{loop} @since 0.1 */
KOLK_API const char *kolk_coroutine_name(const kolk_coroutine *self) KOLK_NOEXCEPT;

/**
 * Names it. A task that is made of it takes the name over.
 *
 * @param self  The coroutine.
 * @param name  Copied, up to 31 bytes; NULL: no name.
 * @return 0; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_coroutine_set_name(kolk_coroutine *self, const char *name) KOLK_NOEXCEPT;

/** The error it ended with, or NULL. @ref borrowed from the coroutine. @threads{loop} @since 0.1 */
KOLK_API kolk_error *kolk_coroutine_error(const kolk_coroutine *self) KOLK_NOEXCEPT;

/** The coroutine on a stack of its own that is running on this thread, or NULL. @ref borrowed. @threads{any} @since 0.1 */
KOLK_API kolk_coroutine *kolk_coroutine_current(void) KOLK_NOEXCEPT;

/**
 * Inside a coroutine: hands @p value to whoever resumed it and stops until resumed again.
 *
 * @param value     What is handed out.
 * @param ret_sent  Receives what kolk_coroutine_send() sent; may be NULL.
 * @return 0; the status of an error thrown in (kolk_raised() has it), #KOLK_ECANCELED when it is being closed;
 *         #KOLK_ENOTASK outside of a coroutine, #KOLK_EYIELD in the body of a task, which has nobody to hand values to.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_yield(void *value, void **ret_sent) KOLK_NOEXCEPT;

/**
 * Inside a coroutine: runs another one to its end, and lets whoever drives this one talk to that one: what it yields is handed
 * out, what is sent or thrown goes to it, and so does the end when this one is closed. Delegation may be a thousand levels
 * deep; resuming costs the same as without. Python's `yield from`; inside a task, which has nobody to hand values to, it is
 * `await`.
 *
 * @param sub         The coroutine. @ref borrowed: it is kept alive meanwhile. Until this returns nobody else can resume it.
 * @param ret_result  Receives its return value; may be NULL.
 * @return 0 or the status that it ended with (kolk_raised() has the words); #KOLK_ENOTASK outside of a coroutine, #KOLK_EBUSY
 *         when it is running or delegated to already, #KOLK_EEXITED when it had ended before, #KOLK_EYIELD when it yielded
 *         inside a task; #KOLK_EINVAL for NULL or one of another loop.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_yield_from(kolk_coroutine *sub, void **ret_result) KOLK_NOEXCEPT;

/**
 * Inside a coroutine: remembers @p error as the reason it is about to fail, and returns its status, so that
 * `return kolk_raise(error)` ends a body with words.
 *
 * @param error  @ref owned_by_callee: the reference is taken. NULL counts as #KOLK_EUNSPECIFIED.
 * @return the status of @p error, always negative. Outside of a coroutine the error is dropped.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_raise(kolk_error *error) KOLK_NOEXCEPT;

/**
 * Inside a coroutine: the error that something which waits failed with last, that was thrown in, or raised with kolk_raise();
 * NULL if there was none. @ref borrowed until the next one. A body that returns the status of this error ends with its words.
 *
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_error *kolk_raised(void) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
