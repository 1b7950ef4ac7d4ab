/**
 * @file thread_future.h
 * A result that is not there yet, for threads: whoever waits for it blocks.
 *
 * There are two kinds of futures, and they are not to be confused. A #kolk_future belongs to a loop: tasks await it, and
 * nothing about it blocks. A #kolk_thread_future belongs to nobody: any thread makes one, finishes it, asks for its result and
 * blocks until that is there. The first is asyncio's, the second is the one of concurrent.futures, and so are the names. Two
 * bridges lead from one to the other:
 *
 * - kolk_wrap_thread_future(): a loop waits for what a thread does, without blocking;
 * - kolk_run_threadsafe(): a thread starts a task on a loop, and may block until it has ended.
 *
 * Where a thread may block: nowhere inside a loop. From a callback, task or destroy function that a loop of this thread is
 * running, a wait with a timeout of more than 0 returns #KOLK_EBUSY, whether the future is done or not, because the loop could
 * not turn meanwhile; there, wrap the future and await it. The same from outside of the loop, if the future is pending and a
 * task of that loop is to finish it: nobody would run the task. What cannot be seen is a thread that waits for another one
 * which waits for the first.
 */
#ifndef KOLK_THREAD_FUTURE_H
#define KOLK_THREAD_FUTURE_H

#include <kolk/allocator.h>
#include <kolk/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A future for threads. Counted; any thread. */
typedef struct kolk_thread_future kolk_thread_future;

/**
 * Called when a future for threads is done.
 *
 * @param future    @ref borrowed. The callback may drop the last other reference.
 * @param userdata  As given to kolk_thread_future_add_done_callback().
 */
typedef void (*kolk_thread_future_fn)(kolk_thread_future *future, void *userdata);

/**
 * Makes a pending future.
 *
 * @param allocator   Where its memory comes from, and that of its callbacks. Copied; what its userdata points to must stay
 * until the future is gone. NULL: the process default.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_new(const kolk_allocator *allocator, kolk_thread_future **ret_future) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{any} @since 0.1 */
KOLK_API kolk_thread_future *kolk_thread_future_ref(kolk_thread_future *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. With the last one go the result and, of a future that is pending, the callbacks: they are not
 * called. Who blocks on it, and who finishes it, is an owner.
 *
 * @return NULL; @p self in a forked child, where nothing is done.
 * @threads{any} @since 0.1
 */
KOLK_API kolk_thread_future *kolk_thread_future_unref(kolk_thread_future *self) KOLK_NOEXCEPT;

/** 1 when it has a result, an error or was cancelled; 0 while pending. @threads{any} @since 0.1 */
KOLK_API int kolk_thread_future_done(const kolk_thread_future *self) KOLK_NOEXCEPT;

/** 1 when it was cancelled, 0 when not. @threads{any} @since 0.1 */
KOLK_API int kolk_thread_future_cancelled(const kolk_thread_future *self) KOLK_NOEXCEPT;

/** 1 between kolk_thread_future_set_running() and its end, 0 otherwise. @threads{any} @since 0.1 */
KOLK_API int kolk_thread_future_running(kolk_thread_future *self) KOLK_NOEXCEPT;

/**
 * For who works on it, before the work is begun: from now on it cannot be cancelled. Not needed by those who do not mind that
 * it is cancelled under their hands, and that their result is then refused.
 *
 * @return 0; #KOLK_ECANCELED when it was cancelled, so that there is nothing to do; #KOLK_EALREADY when it is running or done;
 *         #KOLK_ENOTSUP, as kolk_thread_future_set_result(); #KOLK_EINVAL, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_set_running(kolk_thread_future *self) KOLK_NOEXCEPT;

/**
 * Finishes a pending future with a result, wakes all who block on it, and calls its callbacks before it returns. What this
 * thread wrote before is visible to all of them.
 *
 * @param self     The future.
 * @param result   Handed to who asks. @ref owned_by_callee through @p destroy.
 * @param destroy  May be NULL. Called when the future is gone, on the thread that drops it; or on this one when this call
 * fails.
 * @return 0; #KOLK_EALREADY when it is done, cancelled too; #KOLK_ENOTSUP when a task finishes it; #KOLK_EINVAL,
 *         #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_set_result(kolk_thread_future *self, void *result, kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Finishes a pending future with an error, otherwise like kolk_thread_future_set_result(). Nobody is told of an error that
 * nobody reads.
 *
 * @param self   The future.
 * @param error  @ref borrowed: the future takes a reference of its own. kolk_error_of() gives one for a mere status.
 * @return as kolk_thread_future_set_result().
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_set_error(kolk_thread_future *self, kolk_error *error) KOLK_NOEXCEPT;

/**
 * Cancels a pending future that is not running: it is done at once, and its callbacks are called before this returns. A task
 * that was to finish it is cancelled, on its loop's thread, and may end later. Never allocates.
 *
 * @return 1 when it was cancelled now, 0 when it is done or running; #KOLK_EINVAL, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_cancel(kolk_thread_future *self) KOLK_NOEXCEPT;

/**
 * Blocks until it is done.
 *
 * @param self        The future. The caller holds a reference meanwhile.
 * @param timeout_ns  Nanoseconds of the system's monotonic clock; 0 or less: only look; #KOLK_NEVER: no limit.
 * @return 0 when it is done, whatever its outcome; #KOLK_ETIMEDOUT when it was not in time, which changes nothing; #KOLK_EBUSY
 *         where a thread must not block, see above; #KOLK_EINVAL, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_wait(kolk_thread_future *self, int64_t timeout_ns) KOLK_NOEXCEPT;

/**
 * The outcome, blocking until it is there.
 *
 * @param self        As in kolk_thread_future_wait().
 * @param timeout_ns  As in kolk_thread_future_wait().
 * @param ret_result  Receives the result, which stays the future's unless who finished it says otherwise; may be NULL.
 * @return 0 when there is a result; #KOLK_ECANCELED; the status of its error, which may be #KOLK_ETIMEDOUT, too:
 *         kolk_thread_future_done() tells; or as kolk_thread_future_wait().
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_result(kolk_thread_future *self, int64_t timeout_ns, void **ret_result) KOLK_NOEXCEPT;

/**
 * The error in words, or NULL when there is none, or not yet: this does not block. @ref borrowed from the future. For NULL, and
 * in a forked child, the static object of the status that other functions would return.
 *
 * @threads{any} @since 0.1
 */
KOLK_API kolk_error *kolk_thread_future_error(kolk_thread_future *self) KOLK_NOEXCEPT;

/**
 * Asks that @p fn be called when @p self is done. Callbacks are called in the order in which they were added, by the thread
 * that finishes or cancels the future, from inside that call; those who block may return before. One that is added when the
 * future is done is called at once, from inside of this call, even while others are being called elsewhere.
 *
 * That may be any thread, a loop's too. A callback that has to do with a loop asks it with kolk_loop_call_soon_threadsafe().
 *
 * @param self      The future.
 * @param fn        Called once, unless the future is dropped without having been done.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called on the same thread after @p fn; or when the future is gone, or when this call fails.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_thread_future_add_done_callback(kolk_thread_future *self, kolk_thread_future_fn fn, void *userdata,
                                                  kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * A future of a loop that ends as @p thread_future does: asyncio.wrap_future(). It is done on the loop's thread, which is woken
 * up for that; at once if @p thread_future is done.
 *
 * Cancelling it cancels @p thread_future too, and its callbacks are called inside of that; if that is running it goes on, and
 * the returned future is cancelled all the same. The other way round, a cancelled @p thread_future leaves the returned one
 * cancelled. When the loop is closed, the returned future is cancelled, and @p thread_future is left alone. The returned future
 * need not be kept for its callbacks to be called.
 *
 * @param loop           Whose future it will be.
 * @param thread_future  @ref borrowed: referenced until the returned future is gone, for a result stays its own.
 * @param ret_future     Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_wrap_thread_future(kolk_loop *loop, kolk_thread_future *thread_future,
                                     kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Starts a task on a loop, from any thread, and returns a future to wait for it with: asyncio.run_coroutine_threadsafe(). The
 * loop is woken up if it sleeps. Tasks and calls of one thread arrive in their order, those of kolk_loop_call_soon_threadsafe()
 * among them.
 *
 * Cancelling the returned future ends it at once, and has the task cancelled on the loop's thread, or not made. When the loop
 * is closed first, the returned future is cancelled, or ends as the task does that was cancelled for it: whoever blocks on it
 * goes on. Dropping it cancels nothing; if nobody has it or a callback on it when the task fails, the loop's exception handler
 * is told. A task that cannot be made leaves the reason as its error. In a forked child that goes on with the loop the task
 * goes on for nobody: its result is destroyed there, and its error is told to the loop's exception handler.
 *
 * The caller holds a reference to the loop, or knows by other means that it still exists. The returned future may outlive the
 * loop, but not what the userdata of the loop's allocator points to, where its memory is from.
 *
 * @param loop        Where the task runs.
 * @param fn          Its body.
 * @param userdata    Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy     May be NULL. Called on the loop's thread, when the task has ended or will not be made; or on this one when
 *                    this call fails.
 * @param options     NULL: all defaults. Copied. kolk_task_options::group must be NULL. The result is the returned future's:
 *                    kolk_task_options::destroy_result is called when that is gone, on the thread that drops it; or on the
 *                    loop's, if it was done before the task.
 * @param ret_future  Receives the future; NULL when not needed. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_EFORKED.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_run_threadsafe(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                                 const kolk_task_options *options, kolk_thread_future **ret_future) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
