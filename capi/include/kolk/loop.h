/**
 * @file loop.h
 * Call this soon, later, when that is readable: one turn at a time.
 *
 * The names and the order of one turn are asyncio's: collect what is ready, waiting at most until the next deadline; move
 * timers that are due to the ready queue; run what was in the queue when the turn began. What callbacks add belongs to the
 * next turn. First in, first out; timers with equal deadlines fire in the order they were made.
 *
 * While callbacks keep the ready queue filled, run_forever and run_until_complete run several turns before they look at the
 * kernel and the clock again: about every 20 microseconds, or after every turn that takes longer. run_once and
 * kolk_loop_dispatch() look every time.
 *
 * A loop belongs to the thread that made it. Every function that takes a loop, or something made on one, checks this: another
 * thread gets #KOLK_ETHREAD and a forked child #KOLK_EFORKED, until it calls kolk_loop_after_fork(). Only functions marked
 * @c threads{any} are open to others.
 */
#ifndef KOLK_LOOP_H
#define KOLK_LOOP_H

#include <kolk/allocator.h>
#include <kolk/error.h>
#include <kolk/handle.h>
#include <kolk/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An event loop. Counted. */
typedef struct kolk_loop kolk_loop;

/** A future: see kolk/future.h. Counted; belongs to a loop. */
typedef struct kolk_future kolk_future;

/** A deadline that never comes. */
#define KOLK_NEVER INT64_MAX

/** How to make a loop. Zero in a member means the default; set `size` and what differs. */
typedef struct kolk_loop_options {
    uint32_t size;                       /**< sizeof(kolk_loop_options). */
    uint32_t reserved;                   /**< 0. */
    const char *reactor;                 /**< Its name; NULL: KOLK_REACTOR from the environment, or the fastest there is. */
    const kolk_reactor_ops *reactor_ops; /**< A reactor's table, instead of a name. Static. */
    void *host;                       /**< For reactors on a loop of the program: the libevent reactor takes an event_base. */
    const kolk_allocator *allocator;  /**< Copied. NULL: the process default. */
    int64_t (*clock)(void *userdata); /**< Nanoseconds that never go back. NULL: CLOCK_MONOTONIC. For tests and simulations. */
    void *clock_userdata;             /**< Handed to @c clock. */
} kolk_loop_options;

/**
 * Called with an error that nobody took: a future or task failed and was dropped unread, a server cannot accept.
 *
 * @param loop      @ref borrowed.
 * @param error     What happened. @ref borrowed.
 * @param userdata  As given to kolk_loop_set_exception_handler().
 */
typedef void (*kolk_exception_fn)(kolk_loop *loop, kolk_error *error, void *userdata);

/**
 * Makes a loop that belongs to the calling thread.
 *
 * @param options    NULL: all defaults.
 * @param ret_loop   Receives the loop. @ref owned_by_caller; close it, then drop it with kolk_loop_unref().
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; those of kolk_reactor_find(); #KOLK_ENOMEM; #KOLK_EMFILE; #KOLK_EINVAL for options of the wrong size.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_loop_new(const kolk_loop_options *options, kolk_loop **ret_loop, kolk_error **ret_error) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{any} @since 0.1 */
KOLK_API kolk_loop *kolk_loop_ref(kolk_loop *self) KOLK_NOEXCEPT;

/**
 * One owner fewer; the last one on the loop's thread closes it if that was not done, from inside a callback when its turn ends.
 * Accepts NULL.
 *
 * @return NULL.
 * @threads{any, but a loop that is still open must be dropped last by its own thread} @since 0.1
 */
KOLK_API kolk_loop *kolk_loop_unref(kolk_loop *self) KOLK_NOEXCEPT;

/**
 * Ends the loop: cancels every task and runs it until it has ended, drops all callbacks, timers and watches (their destroy
 * functions are called), and closes the kernel objects. Safe to call twice. Objects made on the loop stay valid and
 * answer #KOLK_ECLOSED.
 *
 * @return 0; #KOLK_EBUSY while the loop is running, or when a task went on waiting after 100 refused waits: the loop is then
 *         still open, the task parked, and the call may be repeated; what was ready to be called has been dropped by then.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_close(kolk_loop *self) KOLK_NOEXCEPT;

/** 1 when the loop was closed, 0 when not. @threads{any} @since 0.1 */
KOLK_API int kolk_loop_is_closed(const kolk_loop *self) KOLK_NOEXCEPT;

/** 1 while callbacks of this loop are being run, 0 otherwise. @threads{loop} @since 0.1 */
KOLK_API int kolk_loop_is_running(const kolk_loop *self) KOLK_NOEXCEPT;

/** The loop whose callback or coroutine is running on this thread, or NULL. @ref borrowed. @threads{any} @since 0.1 */
KOLK_API kolk_loop *kolk_loop_current(void) KOLK_NOEXCEPT;

/** The loop's clock, now: nanoseconds since some fixed moment; not cached. @threads{any, but only the loop's while it is closed
 * on a reactor with a clock of its own, as "sim"} @since 0.1 */
KOLK_API int64_t kolk_loop_time(const kolk_loop *self) KOLK_NOEXCEPT;

/** The name of the reactor in use. Static. @threads{any} @since 0.1 */
KOLK_API const char *kolk_loop_reactor(const kolk_loop *self) KOLK_NOEXCEPT;

/**
 * Runs turns until kolk_loop_stop() is called.
 *
 * @return 0; #KOLK_EBUSY when called from inside this loop, #KOLK_ECLOSED, or what made the reactor fail.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_run_forever(kolk_loop *self) KOLK_NOEXCEPT;

/**
 * Runs turns until @p future is done or kolk_loop_stop() is called. What was ready by then is still run, and no more.
 *
 * @param self    The loop.
 * @param future  A future or task of this loop. @ref borrowed.
 * @return 0 when the future is done, whatever its outcome; #KOLK_EPENDING when the loop was stopped first; otherwise as
 *         kolk_loop_run_forever().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_run_until_complete(kolk_loop *self, kolk_future *future) KOLK_NOEXCEPT;

/**
 * Runs one turn, waiting for something to do if there is nothing yet.
 *
 * @return how many callbacks were run; otherwise as kolk_loop_run_forever().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_run_once(kolk_loop *self) KOLK_NOEXCEPT;

/** Makes the run or dispatch in progress, or else the next one, return after its current turn. Returns 0. @threads{loop} @since
 * 0.1 */
KOLK_API int kolk_loop_stop(kolk_loop *self) KOLK_NOEXCEPT;

/**
 * Calls @p fn on the next turn.
 *
 * @param self        The loop.
 * @param fn          Called once, never from inside this call.
 * @param userdata    Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy     May be NULL. Called also when the handle is cancelled, the loop closed, or this call fails.
 * @param ret_handle  Receives a handle to cancel with; NULL when not needed. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL without @p fn, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_call_soon(kolk_loop *self, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                                 kolk_handle **ret_handle) KOLK_NOEXCEPT;

/**
 * Calls @p fn once @p delay_ns nanoseconds have passed, never earlier.
 *
 * @param self        The loop.
 * @param delay_ns    0 or less: as soon as possible, after what is in the ready queue already.
 * @param fn          As in kolk_loop_call_soon().
 * @param userdata    As in kolk_loop_call_soon().
 * @param destroy     As in kolk_loop_call_soon().
 * @param ret_handle  As in kolk_loop_call_soon().
 * @return as kolk_loop_call_soon().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_call_later(kolk_loop *self, int64_t delay_ns, kolk_callback_fn fn, void *userdata,
                                  kolk_destroy_fn destroy, kolk_handle **ret_handle) KOLK_NOEXCEPT;

/**
 * Calls @p fn when the loop's clock has reached @p when_ns, never earlier.
 *
 * @param self        The loop.
 * @param when_ns     Nanoseconds on the clock of kolk_loop_time().
 * @param fn          As in kolk_loop_call_soon().
 * @param userdata    As in kolk_loop_call_soon().
 * @param destroy     As in kolk_loop_call_soon().
 * @param ret_handle  As in kolk_loop_call_soon().
 * @return as kolk_loop_call_soon().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_call_at(kolk_loop *self, int64_t when_ns, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                               kolk_handle **ret_handle) KOLK_NOEXCEPT;

/**
 * Calls @p fn on the loop's thread, on its next turn, and wakes the loop if it sleeps. Calls made by one thread arrive in
 * their order; a burst costs one wake-up.
 *
 * The caller holds a reference to the loop, or knows by other means that it still exists. Not for signal handlers: it
 * allocates; use kolk_waker there.
 *
 * @param self      The loop.
 * @param fn        Called once, on the loop's thread.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called on the loop's thread, or on the calling one when this call fails.
 * @return 0; #KOLK_EINVAL without @p fn, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_loop_call_soon_threadsafe(kolk_loop *self, kolk_callback_fn fn, void *userdata,
                                            kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Calls @p fn in every turn in which @p fd can be read without blocking, until removed. Replaces an earlier reader of the
 * same descriptor.
 *
 * @param self      The loop.
 * @param fd        An open descriptor. Remove the reader before closing it.
 * @param fn        Called when a read would not block: data, end of file, an error, a connection to accept.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called when the reader is removed or replaced, the loop closed, or this call fails.
 * @return 0; #KOLK_EBADF, #KOLK_ENOTSUP for a regular file, #KOLK_ELIMIT beyond what the reactor can watch, #KOLK_EBUSY when a
 *         stream or server of this loop owns the descriptor; otherwise as kolk_loop_call_soon().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_add_reader(kolk_loop *self, int fd, kolk_callback_fn fn, void *userdata,
                                  kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Like kolk_loop_add_reader(), for writing.
 *
 * @param self      As in kolk_loop_add_reader().
 * @param fd        As in kolk_loop_add_reader().
 * @param fn        Called when a write would not block, or would fail at once.
 * @param userdata  As in kolk_loop_add_reader().
 * @param destroy   As in kolk_loop_add_reader().
 * @return as kolk_loop_add_reader().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_add_writer(kolk_loop *self, int fd, kolk_callback_fn fn, void *userdata,
                                  kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/** Removes the reader of @p fd. Returns 1 when there was one, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_loop_remove_reader(kolk_loop *self, int fd) KOLK_NOEXCEPT;

/** Removes the writer of @p fd. Returns 1 when there was one, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_loop_remove_writer(kolk_loop *self, int fd) KOLK_NOEXCEPT;

/**
 * Names who is told of errors that nobody took. Without a handler they are dropped: the library itself never prints.
 *
 * @param self      The loop.
 * @param fn        NULL: nobody.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called when the handler is replaced, the loop closed, or this call fails.
 * @return 0; #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_set_exception_handler(kolk_loop *self, kolk_exception_fn fn, void *userdata,
                                             kolk_destroy_fn destroy) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
