/**
 * @file task_group.h
 * Tasks that end together: none of them outlives the block that began them.
 *
 * A task enters a group, makes tasks in it, and leaves it; leaving waits until all of them *have ended*. The first that fails
 * cancels the others and the rest of the block. The model is asyncio's TaskGroup; with #KOLK_TASK_GROUP_LEVEL it is trio's
 * nursery, where a member that swallows its cancellation cannot hold up the group: see kolk/scope.h. Groups nest.
 *
 * A task that ends without leaving its group cancels the members; that it did is reported to the loop's exception handler as
 * #KOLK_EBUSY.
 *
 * @code
 * kolk_task_group *group;
 * int status = kolk_task_group_enter(0, &group);
 * for (int i = 0; status == 0 && i < 3; i++)
 *     status = kolk_task_group_create_task(group, fetch, &pages[i], NULL, NULL, NULL);
 * status = kolk_task_group_leave(group, status);
 * kolk_task_group_unref(group);
 * @endcode
 */
#ifndef KOLK_TASK_GROUP_H
#define KOLK_TASK_GROUP_H

#include <kolk/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/** kolk_task_group_enter(): once the group is cancelled, every wait in it fails until it is left. */
#define KOLK_TASK_GROUP_LEVEL UINT32_C(1)

/**
 * Enters a group: a scope of the running task.
 *
 * @param flags      0 or #KOLK_TASK_GROUP_LEVEL.
 * @param ret_group  Receives the group. @ref owned_by_caller; leave it, then drop it.
 * @return 0; #KOLK_ENOTASK outside of a task; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_enter(uint32_t flags, kolk_task_group **ret_group) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_task_group *kolk_task_group_ref(kolk_task_group *self) KOLK_NOEXCEPT;

/** One owner fewer. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done. @threads{loop} @since 0.1 */
KOLK_API kolk_task_group *kolk_task_group_unref(kolk_task_group *self) KOLK_NOEXCEPT;

/**
 * kolk_create_task() with kolk_task_options::group. Tasks of every kind can be members: set that option.
 *
 * @return as kolk_create_task(); #KOLK_ECLOSED when the group was left; #KOLK_ECANCELED when it is ending.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_create_task(kolk_task_group *self, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                                         const kolk_task_options *options, kolk_task **ret_task) KOLK_NOEXCEPT;

/**
 * Inside the task that entered it, on a fiber: leaves the group when all its tasks have ended. A @p status below 0 cancels
 * them. When this task is cancelled meanwhile, so are they, once, and it goes on waiting for them.
 *
 * @param self    The group.
 * @param status  What the block ended with.
 * @return @p status, when the block failed by itself; the status of the first member that failed (kolk_raised() has its words;
 *         with several, how many, and the first as cause); otherwise @p status; 0 instead of #KOLK_ECANCELED when
 * kolk_task_group_cancel() was the reason, #KOLK_ECANCELED when this task was cancelled. #KOLK_EBUSY for a scope or group
 * inside it that was not left, #KOLK_ENOTASK outside of its task, #KOLK_EALREADY, #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED;
 * the group is not left then.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_leave(kolk_task_group *self, int status) KOLK_NOEXCEPT;

/**
 * The same for tasks that wait by returning (steps, C++): to be called again, with the same @p status, when the future is done.
 *
 * @param self        The group.
 * @param status      As in kolk_task_group_leave().
 * @param ret_future  Receives a future that is done when all members have ended, if some have not. @ref owned_by_caller.
 *                    Cancelling it cancels the members.
 * @return #KOLK_EPENDING with a future to await; otherwise as kolk_task_group_leave(); #KOLK_ENOMEM.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_leave_async(kolk_task_group *self, int status, kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Inside the task that entered it, for who cannot wait, such as a destructor: leaves the group without waiting. The members are
 * cancelled and end on their own; that there were any is reported to the loop's exception handler as #KOLK_EBUSY.
 *
 * @return 0; otherwise as kolk_task_group_leave(), and the group is not left.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_abandon(kolk_task_group *self) KOLK_NOEXCEPT;

/**
 * Cancels all members, and the block that entered the group.
 *
 * @return 1; 0 when it is ending already; #KOLK_ECLOSED when it was left; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_group_cancel(kolk_task_group *self) KOLK_NOEXCEPT;

/** How many members have not ended. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_group_count(const kolk_task_group *self) KOLK_NOEXCEPT;

/** How many members have failed; cancellations do not count. @threads{loop} @since 0.1 */
KOLK_API int kolk_task_group_error_count(const kolk_task_group *self) KOLK_NOEXCEPT;

/** The error of the member that failed as number @p index, from 0; NULL beyond. At most 16 are kept. @ref borrowed from the
 * group. @threads{loop} @since 0.1 */
KOLK_API kolk_error *kolk_task_group_error(const kolk_task_group *self, uint32_t index) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
