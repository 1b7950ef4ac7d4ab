/**
 * @file task.h
 * Drives a coroutine: each future it awaits resumes it when done; a task is itself a future.
 *
 * A task is an ordinary C function that may stop: kolk_await(), kolk_sleep() and the operations of streams park it until their
 * result is there, while the loop runs others. Between two such calls nothing else of this loop runs, so no locks are needed.
 *
 * Cancelling delivers #KOLK_ECANCELED at the next of those calls that has to wait, once. A task that returns it then ends
 * as cancelled; one that carries on, carries on. Semantics and names are asyncio's.
 */
#ifndef KOLK_TASK_H
#define KOLK_TASK_H

#include <kolk/coroutine.h>
#include <kolk/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A task. Counted; every task is a future (kolk_task_as_future()). The loop holds a reference until it has ended. */
typedef struct kolk_task kolk_task;

/** How to make a task. Zero in a member means the default. */
typedef struct kolk_task_options {
    uint32_t size;                  /**< sizeof(kolk_task_options). */
    uint32_t reserved;              /**< 0. */
    const char *name;               /**< Copied, up to 31 bytes. NULL: no name. */
    size_t stack_size;              /**< Bytes; 0: 64 KiB. At least 16 KiB are given. */
    kolk_destroy_fn destroy_result; /**< Called on the result when the task is gone. NULL: the result is not the task's. */
} kolk_task_options;

/**
 * Makes a task; it starts on the loop's next turn.
 *
 * @param loop      Where it runs.
 * @param fn        Its body.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called when the task has ended, also one that was cancelled before its body ran, or when this
 *                  call fails.
 * @param options   NULL: all defaults.
 * @param ret_task  Receives the task; NULL when not needed. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_ELIMIT for a stack beyond 1 GiB, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_create_task(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                              const kolk_task_options *options, kolk_task **ret_task) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_task *kolk_task_ref(kolk_task *self) KOLK_NOEXCEPT;

/** One owner fewer. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done. @threads{loop} @since 0.1 */
KOLK_API kolk_task *kolk_task_unref(kolk_task *self) KOLK_NOEXCEPT;

/** The same object as a future. @ref borrowed. NULL for NULL. @threads{any} @since 0.1 */
KOLK_API kolk_future *kolk_task_as_future(kolk_task *self) KOLK_NOEXCEPT;

/** 1 when it has ended, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_done(const kolk_task *self) KOLK_NOEXCEPT;

/** kolk_future_result() of the task. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_result(kolk_task *self, void **ret_result) KOLK_NOEXCEPT;

/** kolk_future_error() of the task. @threads{loop} @since 0.1 */
KOLK_API kolk_error *kolk_task_error(kolk_task *self) KOLK_NOEXCEPT;

/** kolk_future_cancel() of the task. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_cancel(kolk_task *self) KOLK_NOEXCEPT;

/** Its name; "" when it has none. Lives as long as the task keeps it. @threads{loop} @since 0.1 */
KOLK_API const char *kolk_task_name(const kolk_task *self) KOLK_NOEXCEPT;

/**
 * Names it.
 *
 * @param self  The task.
 * @param name  Copied, up to 31 bytes; NULL: no name.
 * @return 0; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_set_name(kolk_task *self, const char *name) KOLK_NOEXCEPT;

/** The task that is running on this thread, or NULL. @ref borrowed. @threads{any} @since 0.1 */
KOLK_API kolk_task *kolk_task_current(void) KOLK_NOEXCEPT;

/**
 * Inside a coroutine: waits until @p future is done.
 *
 * @param future      A future or task of the same loop. @ref borrowed: it is kept alive while awaited.
 * @param ret_result  Receives the result; may be NULL.
 * @return as kolk_future_result(); #KOLK_ECANCELED also when the waiting task was cancelled, which cancels @p future too;
 *         #KOLK_ENOTASK outside of a coroutine; #KOLK_EINVAL for NULL, a future of another loop or the task itself.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_await(kolk_future *future, void **ret_result) KOLK_NOEXCEPT;

/**
 * Inside a task: kolk_wait_for_async() and kolk_await() in one. Allocates nothing.
 *
 * @param future      As in kolk_await().
 * @param timeout_ns  As in kolk_wait_for_async().
 * @param ret_result  As in kolk_await().
 * @return as kolk_await(); #KOLK_ETIMEDOUT, after @p future was cancelled and has ended.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_wait_for(kolk_future *future, int64_t timeout_ns, void **ret_result) KOLK_NOEXCEPT;

/**
 * Inside a task: lets @p delay_ns nanoseconds pass, never fewer. 0 or less lets everyone else who is ready run once. Allocates
 * nothing.
 *
 * @param delay_ns  Nanoseconds.
 * @return 0; #KOLK_ECANCELED; #KOLK_ENOTASK outside of a task.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_sleep(int64_t delay_ns) KOLK_NOEXCEPT;

/**
 * A future that is done after @p delay_ns nanoseconds, with NULL as result.
 *
 * @param loop        Whose clock counts.
 * @param delay_ns    Nanoseconds.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_sleep_async(kolk_loop *loop, int64_t delay_ns, kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Makes a loop, runs @p fn as its main task until it ends, cancels what is left, and closes the loop.
 *
 * @param fn          The body of the main task.
 * @param userdata    Handed to @p fn.
 * @param ret_result  Receives the result; may be NULL.
 * @param ret_error   Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return the task's status; what kolk_loop_new() returned; #KOLK_EBUSY when a task refused to end, which leaks the loop.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_run(kolk_coroutine_fn fn, void *userdata, void **ret_result, kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
