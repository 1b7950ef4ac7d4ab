/**
 * @file future.h
 * A result that is not there yet, and who wants to know.
 *
 * A future is pending until it gets a result, gets an error or is cancelled, once. Its callbacks are called through the
 * loop, in the order they were added, never from inside the call that finished it. The model and the names are asyncio's.
 * Most futures come from operations; a task is one too (kolk_task_as_future()).
 *
 * The result is a pointer. An operation that yields a number stores it in the pointer's value, as its documentation says.
 */
#ifndef KOLK_FUTURE_H
#define KOLK_FUTURE_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Called when a future is done.
 *
 * @param future    @ref borrowed. The callback may drop the last other reference.
 * @param userdata  As given to kolk_future_add_done_callback().
 */
typedef void (*kolk_future_fn)(kolk_future *future, void *userdata);

/**
 * Makes a pending future.
 *
 * @param loop        Whose it is.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_new(kolk_loop *loop, kolk_future **ret_future) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_future *kolk_future_ref(kolk_future *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. A future dropped with an error that nobody read goes to the loop's exception handler.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_future *kolk_future_unref(kolk_future *self) KOLK_NOEXCEPT;

/** The loop it belongs to. @ref borrowed. @threads{any} @since 0.1 */
KOLK_API kolk_loop *kolk_future_loop(const kolk_future *self) KOLK_NOEXCEPT;

/** 1 when it has a result, an error or was cancelled; 0 while pending. @threads{loop} @since 0.1 */
KOLK_API int kolk_future_done(const kolk_future *self) KOLK_NOEXCEPT;

/** 1 when it was cancelled, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_future_cancelled(const kolk_future *self) KOLK_NOEXCEPT;

/**
 * The outcome.
 *
 * @param self        The future.
 * @param ret_result  Receives the result, which stays the future's unless its operation says otherwise; may be NULL.
 * @return 0 when there is a result; #KOLK_EPENDING; #KOLK_ECANCELED; or the status of its error, which counts as read then.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_result(kolk_future *self, void **ret_result) KOLK_NOEXCEPT;

/**
 * The error in words, or NULL when there is none. Counts as read. @ref borrowed from the future. For NULL, and on a wrong
 * thread, the static object of the status that other functions would return.
 *
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_error *kolk_future_error(kolk_future *self) KOLK_NOEXCEPT;

/**
 * Finishes a pending future with a result.
 *
 * @param self     The future. Tasks refuse, they get their result from their coroutine; so do futures of operations.
 * @param result   Handed to who asks. @ref owned_by_callee through @p destroy.
 * @param destroy  May be NULL. Called when the future is gone, or when this call fails.
 * @return 0; #KOLK_EALREADY when it is done or follows another, #KOLK_ENOTSUP when something else finishes it, #KOLK_EINVAL,
 *         #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_set_result(kolk_future *self, void *result, kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Finishes a pending future with an error.
 *
 * @param self   The future; tasks refuse.
 * @param error  @ref borrowed: the future takes a reference of its own. kolk_error_of() gives one for a mere status.
 * @return as kolk_future_set_result().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_set_error(kolk_future *self, kolk_error *error) KOLK_NOEXCEPT;

/**
 * Cancels. A pending future becomes cancelled at once; one that stands for an operation or a task asks it to end, and becomes
 * cancelled when that has happened. Never allocates.
 *
 * @return 1 when cancellation was requested, 0 when the future is done already; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_cancel(kolk_future *self) KOLK_NOEXCEPT;

/**
 * Asks that @p fn be called when @p self is done; on the next turn if it is done already.
 *
 * @param self      The future.
 * @param fn        Called once.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called after @p fn, or when the callback is removed, the future gone, the loop closed, or this
 * call fails.
 * @return 0; #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_add_done_callback(kolk_future *self, kolk_future_fn fn, void *userdata,
                                           kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Takes back every callback with this function and userdata that has not been scheduled yet.
 *
 * @param self      The future.
 * @param fn        As added.
 * @param userdata  As added.
 * @return how many were removed; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_remove_done_callback(kolk_future *self, kolk_future_fn fn, void *userdata) KOLK_NOEXCEPT;

/**
 * Keeps something with a future, for whoever has the future in hand: what a request was about. Replaces what was there.
 *
 * @param self     The future, pending or done, a task too.
 * @param datum    @ref owned_by_callee through @p destroy.
 * @param destroy  May be NULL. Called when it is replaced, when the future is gone, or when this call fails.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_set_datum(kolk_future *self, void *datum, kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/** What kolk_future_set_datum() keeps there, or NULL. @ref borrowed. @threads{loop} @since 0.1 */
KOLK_API void *kolk_future_datum(const kolk_future *self) KOLK_NOEXCEPT;

/**
 * Called with a result, to make the next one of it.
 *
 * @param result    Of the future before. Its owner is kept until @p next is gone.
 * @param userdata  As given to kolk_future_then().
 * @param next      The future that kolk_future_then() returned. May be finished here, with kolk_future_set_result() or
 *                  kolk_future_set_error(), or made to follow another with kolk_future_follow(). @ref borrowed.
 * @return 0: @p next gets @p result, unless it was finished here or follows another. #KOLK_EPENDING: it will be finished later
 *         by somebody who has taken a reference. Another negative status: @p next fails with it, unless it was finished here or
 *         follows another; with #KOLK_ECANCELED it is cancelled.
 */
typedef int (*kolk_then_fn)(void *result, void *userdata, kolk_future *next);

/**
 * Called with an error, to make a result of it after all.
 *
 * @param error     What happened; cancellation too. @ref borrowed.
 * @param userdata  As given to kolk_future_catch().
 * @param next      As in #kolk_then_fn.
 * @return as #kolk_then_fn, with NULL as the result that @p next gets.
 */
typedef int (*kolk_catch_fn)(kolk_error *error, void *userdata, kolk_future *next);

/**
 * A future for what comes after @p self: when that has a result, @p fn is called through the loop. An error or cancellation
 * goes past @p fn to the returned future, as with a promise of JavaScript, and counts as read. The returned future need not be
 * kept for @p fn to be called. Nobody can finish it before that. Cancelling it cancels what it waits for: @p self, or what it
 * follows; if that is done already, or nothing, it ends itself.
 *
 * @param self        @ref borrowed: referenced until it has failed or the returned future is gone.
 * @param fn          Called once, or not at all: not when the loop is closed, which cancels the returned future.
 * @param userdata    Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy     May be NULL. Called after @p fn, or when it will not be called, or when this call fails.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_then(kolk_future *self, kolk_then_fn fn, void *userdata, kolk_destroy_fn destroy,
                              kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * The same for errors: @p fn is called when @p self failed or was cancelled, a result goes past it.
 *
 * @param self        As in kolk_future_then().
 * @param fn          As in kolk_future_then().
 * @param userdata    As in kolk_future_then().
 * @param destroy     As in kolk_future_then().
 * @param ret_future  As in kolk_future_then().
 * @return as kolk_future_then().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_catch(kolk_future *self, kolk_catch_fn fn, void *userdata, kolk_destroy_fn destroy,
                               kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Lets a pending future end as another one does, and nobody else finish it. Cancelling it cancels @p other. Futures that follow
 * each other in a circle stay pending until one of them is cancelled.
 *
 * @param self   A future that kolk_future_set_result() could finish. It need not be kept for others to see it end.
 * @param other  @ref borrowed: referenced until it has failed or @p self is gone, for a result stays its own.
 * @return 0; #KOLK_EALREADY when @p self is done or follows one already; #KOLK_ENOTSUP as kolk_future_set_result();
 *         #KOLK_ENOMEM, #KOLK_EINVAL (also for itself or a future of another loop), #KOLK_ECLOSED, #KOLK_ETHREAD,
 *         #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_future_follow(kolk_future *self, kolk_future *other) KOLK_NOEXCEPT;

/** kolk_gather(): wait for all of them, and count errors and cancellations as results. */
#define KOLK_GATHER_RETURN_ERRORS UINT32_C(1)

/**
 * A future for all of @p futures: done when the last one is.
 *
 * Its result is an array of @p count results in the order given, `void **`, which lives as long as the returned future. If one
 * of them fails or is cancelled, the returned future fails at once with its error and the others go on; with
 * #KOLK_GATHER_RETURN_ERRORS it never fails, and NULL stands in the array for those that did. Cancelling the returned future
 * cancels all that are pending.
 *
 * @param loop        Whose futures they are.
 * @param futures     @ref borrowed: each is referenced until it is done and the returned future is gone. May be empty.
 * @param count       How many.
 * @param flags       0 or #KOLK_GATHER_RETURN_ERRORS.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL for NULL or a future of another loop, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_gather(kolk_loop *loop, kolk_future *const *futures, size_t count, uint32_t flags,
                         kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * A future with the outcome of @p future, or #KOLK_ETIMEDOUT if that takes longer than @p timeout_ns. On timeout, and when the
 * returned future is cancelled, @p future is cancelled, and the returned one is done when @p future is; if @p future is done
 * already, cancelling ends the returned one by itself. Closing the loop does, too.
 *
 * @param future      @ref borrowed: referenced until it has failed or the returned future is gone, for a result stays its own.
 * @param timeout_ns  Nanoseconds from now; 0 or less: it must be done already. #KOLK_NEVER: no limit.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_wait_for_async(kolk_future *future, int64_t timeout_ns, kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * A future with the outcome of @p future that can be cancelled alone: @p future goes on, and its error then counts as unread.
 * When the loop is closed, it is cancelled. asyncio.shield().
 *
 * @param future      @ref borrowed: referenced until it has failed, or the returned future is cancelled or gone.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_shield(kolk_future *future, kolk_future **ret_future) KOLK_NOEXCEPT;

/** What kolk_wait() waits for. */
typedef enum kolk_wait_until {
    KOLK_ALL_COMPLETED = 0,   /**< All are done. */
    KOLK_FIRST_COMPLETED = 1, /**< One is done. */
    KOLK_FIRST_ERROR = 2      /**< One has failed (cancelled ones have not), or all are done. */
} kolk_wait_until;

/**
 * A future that is done when so many of @p futures are, or when the time is up. None of them is cancelled, whatever happens to
 * the returned one. Its result is how many are done, as a number in the pointer's value; kolk_future_done() tells which. When
 * enough are done already it is done at once; when the loop is closed it is cancelled.
 *
 * @param loop        Whose futures they are.
 * @param futures     @ref borrowed: each is referenced until the returned future is done. Errors stay unread.
 * @param count       How many. With none it is done at once.
 * @param until       A #kolk_wait_until.
 * @param timeout_ns  Nanoseconds from now; 0 or less: only look; #KOLK_NEVER: no limit.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL for NULL or a future of another loop, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_wait_async(kolk_loop *loop, kolk_future *const *futures, size_t count, int32_t until, int64_t timeout_ns,
                             kolk_future **ret_future) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
