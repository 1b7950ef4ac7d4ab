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

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_coroutine *kolk_coroutine_ref(kolk_coroutine *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. The last one closes a suspended coroutine first, so that its clean-up runs.
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

/** The error it ended with, or NULL. @ref borrowed from the coroutine. @threads{loop} @since 0.1 */
KOLK_API kolk_error *kolk_coroutine_error(const kolk_coroutine *self) KOLK_NOEXCEPT;

/** The coroutine that is running on this thread, or NULL. @ref borrowed. @threads{any} @since 0.1 */
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
