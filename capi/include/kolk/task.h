/**
 * @file task.h
 * Drives a coroutine: each future it awaits resumes it when done; a task is itself a future.
 *
 * A task is an ordinary C function that may stop: kolk_await(), kolk_sleep() and the operations of streams park it until their
 * result is there, while the loop runs others. Between two such calls nothing else of this loop runs, so no locks are needed.
 *
 * Cancelling delivers #KOLK_ECANCELED at the next of those calls that has to wait, once. A task that returns it then ends
 * as cancelled; one that carries on, carries on. One that was asked and returns without waiting again ends as cancelled, too,
 * and what it returned is released. Semantics and names are asyncio's.
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

/** Tasks that end together: see kolk/task_group.h. Counted; belongs to a loop. */
typedef struct kolk_task_group kolk_task_group;

/** How to make a task. Zero in a member means the default. */
typedef struct kolk_task_options {
    uint32_t size;                  /**< sizeof(kolk_task_options). */
    uint32_t reserved;              /**< 0. */
    const char *name;               /**< Copied, up to 31 bytes. NULL: no name. */
    size_t stack_size;              /**< Bytes; 0: 64 KiB. At least 16 KiB are given. */
    kolk_destroy_fn destroy_result; /**< Called on the result when the task is gone. NULL: the result is not the task's. */
    const char *location;           /**< Where it is made, for reports: #KOLK_HERE. Static. NULL: the address of the call. */
    kolk_task_group *group;         /**< Whose member it becomes. @ref borrowed. NULL: none. */
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
 * @return 0; #KOLK_ENOMEM, #KOLK_ELIMIT for a stack beyond 1 GiB, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED;
 *         with a group, those of kolk_task_group_create_task().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_create_task(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                              const kolk_task_options *options, kolk_task **ret_task) KOLK_NOEXCEPT;

/**
 * Makes a task that drives a coroutine which exists already, of any kind. From then on nobody else can resume it.
 *
 * @param coroutine  One that has not been started. @ref borrowed: the task takes a reference of its own.
 * @param options    As in kolk_create_task().
 * @param ret_task   As in kolk_create_task().
 * @return as kolk_create_task(); #KOLK_EBUSY when it was started, or is driven by somebody else, #KOLK_EEXITED when it has
 * ended.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_create_task_of(kolk_coroutine *coroutine, const kolk_task_options *options,
                                 kolk_task **ret_task) KOLK_NOEXCEPT;

/**
 * Makes a task of another kind: see #kolk_coroutine_ops. What it yields is refused with #KOLK_EYIELD.
 *
 * @param loop      Where it runs.
 * @param ops       What it can do. Static.
 * @param frame     Handed to @p ops. @ref owned_by_callee through kolk_coroutine_ops::destroy, also when this call fails.
 * @param options   As in kolk_create_task().
 * @param ret_task  As in kolk_create_task().
 * @return as kolk_create_task(); #KOLK_EINVAL also for a table of the wrong size.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_create_foreign_task(kolk_loop *loop, const kolk_coroutine_ops *ops, void *frame,
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

/**
 * kolk_future_cancel() of the task, with words: kolk_raised() has them where the wait fails, and the task's error if it ends as
 * cancelled.
 *
 * @param self     The task.
 * @param message  Copied. NULL: none. When memory is gone it is cancelled all the same, without words.
 * @return as kolk_future_cancel().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_cancel_with(kolk_task *self, const char *message) KOLK_NOEXCEPT;

/** How many requests to cancel it has had that nobody has taken back. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_cancelling(const kolk_task *self) KOLK_NOEXCEPT;

/**
 * Takes one request to cancel back, for who has dealt with it. When it was the last one and no wait has been ended for it yet,
 * none will be.
 *
 * @return how many are left; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_uncancel(kolk_task *self) KOLK_NOEXCEPT;

/** Its name; "" when it has none. Lives as long as the task keeps it. @threads{loop} @since 0.1 */
KOLK_API const char *kolk_task_name(const kolk_task *self) KOLK_NOEXCEPT;

/**
 * Names it.
 *
 * @param self  The task.
 * @param name  Copied, up to 31 bytes; NULL: no name.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
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
 * Inside a coroutine: kolk_wait_async() and kolk_await() in one, on the loop that is running.
 *
 * @param futures     As in kolk_wait_async().
 * @param count       As in kolk_wait_async().
 * @param until       As in kolk_wait_async().
 * @param timeout_ns  As in kolk_wait_async().
 * @return how many are done; #KOLK_ECANCELED when the waiting task was cancelled, which cancels none of them; #KOLK_ENOTASK
 *         outside of a coroutine; those of kolk_wait_async().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_wait(kolk_future *const *futures, size_t count, int32_t until, int64_t timeout_ns) KOLK_NOEXCEPT;

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
 * Makes a loop, runs @p fn as its main task until it ends, cancels all tasks that are left and runs them until they have ended,
 * and closes the loop: asyncio.run().
 *
 * @param fn          The body of the main task.
 * @param userdata    Handed to @p fn.
 * @param ret_result  Receives the result; may be NULL.
 * @param ret_error   Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return the task's status; what kolk_loop_new() returned; #KOLK_EBUSY when a loop runs on this thread already.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_run(kolk_coroutine_fn fn, void *userdata, void **ret_result, kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * kolk_run() on a loop of the caller's choice.
 *
 * @param options     As in kolk_loop_new().
 * @param fn          As in kolk_run().
 * @param userdata    As in kolk_run().
 * @param ret_result  As in kolk_run().
 * @param ret_error   As in kolk_run().
 * @return as kolk_run().
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_run_with(const kolk_loop_options *options, kolk_coroutine_fn fn, void *userdata, void **ret_result,
                           kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * Cancels all tasks of a loop and runs it until they have ended. What they await while they clean up is waited for.
 *
 * @param loop  One that is not running.
 * @return 0; #KOLK_EBUSY, or what kolk_loop_run_forever() returns.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_cancel_all(kolk_loop *loop) KOLK_NOEXCEPT;

/**
 * From inside a running loop, where nothing can be awaited: runs turns until @p future is done. For callbacks of other
 * libraries that must return an answer, plug-ins, notebooks.
 *
 * Meanwhile everything of the loop runs as usual, except what is on the stack: the callback or task that called this, and those
 * that called this before and have not returned. They can be cancelled, and see it when this returns. Calls nest; an outer one
 * returns only after the inner ones, however early its future is done. On a fiber everything that runs meanwhile shares what is
 * left of its stack: there, await. A host's budget does not count inside. For what is lent until the next wait, such as the
 * bytes of kolk_stream_receive(), this is one.
 *
 * @param loop    One that is running on this thread.
 * @param future  A future of it. @ref borrowed.
 * @return 0 when @p future is done; #KOLK_EPENDING when kolk_loop_stop() came first, which then stops the outer turns too;
 *         #KOLK_EINVAL also when the loop is not running or for a task that is on the stack; #KOLK_EBUSY from a destroy
 *         function that a cancellation has called; #KOLK_ECLOSED while the loop closes.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_run_nested(kolk_loop *loop, kolk_future *future) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
