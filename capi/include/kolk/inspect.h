/**
 * @file inspect.h
 * Which tasks there are, what each one waits for, and where it came from.
 */
#ifndef KOLK_INSPECT_H
#define KOLK_INSPECT_H

#include <kolk/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a task is doing. */
typedef enum kolk_task_state {
    KOLK_TASK_STARTING = 0, /**< It has yet to run for the first time. */
    KOLK_TASK_READY = 1,    /**< What it waited for is there; its turn will come. */
    KOLK_TASK_RUNNING = 2,  /**< It is running now. */
    KOLK_TASK_WAITING = 3,  /**< It waits for something. */
    KOLK_TASK_ENDED = 4     /**< It has ended. */
} kolk_task_state;

/** What is known of a task. */
typedef struct kolk_task_info {
    uint32_t size;        /**< Set it to sizeof(kolk_task_info). */
    int32_t state;        /**< A #kolk_task_state. */
    kolk_task *parent;    /**< Who awaits it, or else the task whose group it is in; NULL: nobody. @ref borrowed. */
    kolk_future *awaited; /**< The future it waits for, if it is one. @ref borrowed. */
    int32_t cancelling;   /**< As kolk_task_cancelling(). */
    uint32_t reserved;    /**< 0. */
    char kind[16];        /**< "fiber", "step", "c++", or what its binding calls it. */
    char name[32];        /**< As kolk_task_name(). */
    char awaits[64];      /**< In words: "sleep", "task 'fetch 3'", "semaphore". */
    char location[96];    /**< Where it was made: "crawl.c:120", or the nearest symbol. */
} kolk_task_info;

/**
 * Looks at a task.
 *
 * @param self      The task.
 * @param ret_info  Filled in. Borrowed members are valid until control goes back to the loop.
 * @return 0; #KOLK_EINVAL, also for a wrong size; #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_task_get_info(const kolk_task *self, kolk_task_info *ret_info) KOLK_NOEXCEPT;

/**
 * All tasks of a loop that have not ended: asyncio.all_tasks().
 *
 * @param loop       The loop.
 * @param ret_tasks  Receives up to @p capacity tasks, in the order they were made. @ref borrowed, valid until control goes back
 *                   to the loop. May be NULL when @p capacity is 0.
 * @param capacity   How many there is room for.
 * @return how many there are; #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_all_tasks(const kolk_loop *loop, kolk_task **ret_tasks, size_t capacity) KOLK_NOEXCEPT;

/**
 * The tasks of a loop as text, one a line, each below and indented under the one that awaits it or whose group it is in; when
 * memory is gone, all at the same level.
 *
 * @param loop  The loop.
 * @param text  Receives as much as fits, always ended by NUL. May be NULL when @p size is 0.
 * @param size  Bytes there is room for.
 * @return the length of the whole text without the NUL; #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD,
 * #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_format_tasks(const kolk_loop *loop, char *text, size_t size) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
