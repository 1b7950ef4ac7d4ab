/**
 * @file completion_queue.h
 * Futures in the order in which they finish.
 *
 * Add futures, each with a tag of 64 bits, and take them out as they are done: what asyncio and concurrent.futures call
 * as_completed, for C, and for languages and hosts that would rather ask than be called.
 *
 * A future that finishes reaches the queue through the loop, as it reaches a callback: on the next turn, in line with others.
 * One that is done when it is added counts as finishing then.
 */
#ifndef KOLK_COMPLETION_QUEUE_H
#define KOLK_COMPLETION_QUEUE_H

#include <kolk/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A completion queue. Counted; belongs to a loop. */
typedef struct kolk_completion_queue kolk_completion_queue;

/** One future that is done. */
typedef struct kolk_completion {
    kolk_future *future; /**< Drop it. @ref owned_by_caller. */
    uint64_t tag;        /**< As given to kolk_completion_queue_add(). */
} kolk_completion;

/**
 * Makes an empty queue.
 *
 * @param loop       Whose futures it will hold.
 * @param ret_queue  Receives the queue. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_completion_queue_new(kolk_loop *loop, kolk_completion_queue **ret_queue) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_completion_queue *kolk_completion_queue_ref(kolk_completion_queue *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. The last one drops what is in the queue; futures that are pending go on. Who waits for the
 * queue is an owner too.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_completion_queue *kolk_completion_queue_unref(kolk_completion_queue *self) KOLK_NOEXCEPT;

/**
 * Adds a future, pending or done. The same one may be added more than once.
 *
 * @param self    The queue.
 * @param future  @ref borrowed: the queue takes a reference of its own.
 * @param tag     Comes back with it.
 * @return 0; #KOLK_ENOMEM; #KOLK_EINVAL for a future of another loop; #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_completion_queue_add(kolk_completion_queue *self, kolk_future *future, uint64_t tag) KOLK_NOEXCEPT;

/**
 * Takes the next one that is done, if there is one: in the order in which they finished, each once. What was done when the loop
 * was closed can still be taken; what was pending has left the queue.
 *
 * @param self            The queue.
 * @param ret_completion  Receives it.
 * @return 1; 0 when none is done, or a task waits for it in kolk_completion_queue_next(); #KOLK_EINVAL, #KOLK_ETHREAD,
 *         #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_completion_queue_poll(kolk_completion_queue *self, kolk_completion *ret_completion) KOLK_NOEXCEPT;

/**
 * Inside a task: takes the next one that is done, and waits for it. Tasks are served in the order in which they came. Allocates
 * nothing. Tasks without a stack await kolk_completion_queue_next_async(), and poll.
 *
 * @param self            The queue.
 * @param timeout_ns      Nanoseconds; 0 or less: do not wait; #KOLK_NEVER: no limit.
 * @param ret_completion  Receives it.
 * @return 1; 0 when the queue is empty, also when another task took the last one meanwhile; #KOLK_ETIMEDOUT, which cancels
 *         nothing; #KOLK_ECANCELED, then nothing was taken; #KOLK_ENOTASK outside of a task on a stack of its own;
 *         #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_completion_queue_next(kolk_completion_queue *self, int64_t timeout_ns,
                                        kolk_completion *ret_completion) KOLK_NOEXCEPT;

/**
 * A future that is done when kolk_completion_queue_poll() would return 1. It takes nothing: somebody else may be faster.
 *
 * @param self        The queue. The future holds a reference to it.
 * @param ret_future  Receives the future. @ref owned_by_caller. While nothing is in the queue it waits for something to be
 *                    added. Cancelled when the loop is closed.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_completion_queue_next_async(kolk_completion_queue *self, kolk_future **ret_future) KOLK_NOEXCEPT;

/** How many are in the queue, pending and done. @threads{loop} @since 0.1 */
KOLK_API int kolk_completion_queue_count(const kolk_completion_queue *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
