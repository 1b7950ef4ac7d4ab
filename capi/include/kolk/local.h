/**
 * @file local.h
 * Variables of a task, inherited by the tasks it makes.
 *
 * Each task sees its own value under a key. A new task begins with the values of the task that made it; what either sets later
 * the other does not see. This is what contextvars are to asyncio's tasks.
 */
#ifndef KOLK_LOCAL_H
#define KOLK_LOCAL_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Sets a variable of the running task.
 *
 * @param key      Any address that is the caller's own, such as that of a static variable. Never dereferenced.
 * @param value    @ref owned_by_callee through @p destroy.
 * @param destroy  May be NULL. Called when no task has this value any more, or when this call fails.
 * @return 0; #KOLK_ENOTASK outside of a task; #KOLK_ENOMEM; #KOLK_EINVAL for a NULL key.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_local_set(const void *key, void *value, kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Reads a variable of the running task.
 *
 * @param key        As it was set.
 * @param ret_value  Receives the value, @ref borrowed until it is set anew or the task has ended; NULL when there is none.
 * @return 1; 0 when this task has no such variable; #KOLK_ENOTASK outside of a task; #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_local_get(const void *key, void **ret_value) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
