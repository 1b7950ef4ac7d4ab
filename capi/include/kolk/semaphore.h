/**
 * @file semaphore.h
 * At most so many at once.
 *
 * A counter of permits that tasks take and give back. Those who wait are served in the order they came; one that is cancelled
 * while waiting takes no permit with it.
 */
#ifndef KOLK_SEMAPHORE_H
#define KOLK_SEMAPHORE_H

#include <kolk/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A semaphore. Counted; belongs to a loop. */
typedef struct kolk_semaphore kolk_semaphore;

/**
 * Makes a semaphore.
 *
 * @param loop           Whose tasks it serves.
 * @param permits        How many may be taken at once.
 * @param ret_semaphore  Receives the semaphore. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_semaphore_new(kolk_loop *loop, uint32_t permits, kolk_semaphore **ret_semaphore) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_semaphore *kolk_semaphore_ref(kolk_semaphore *self) KOLK_NOEXCEPT;

/** One owner fewer. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done. @threads{loop} @since 0.1 */
KOLK_API kolk_semaphore *kolk_semaphore_unref(kolk_semaphore *self) KOLK_NOEXCEPT;

/**
 * Inside a task: takes a permit, waiting for one if there is none.
 *
 * @return 0; #KOLK_ECANCELED, and no permit was taken; #KOLK_ENOTASK outside of a task; #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_semaphore_acquire(kolk_semaphore *self) KOLK_NOEXCEPT;

/**
 * A future that is done once it has taken a permit. Cancelled before that, or dropped, it takes none; once it is done, the
 * permit is the caller's to release.
 *
 * @param self        The semaphore.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_semaphore_acquire_async(kolk_semaphore *self, kolk_future **ret_future) KOLK_NOEXCEPT;

/** Gives a permit back, to the first who waits. Returns 0; #KOLK_ELIMIT beyond UINT32_MAX permits. @threads{loop} @since 0.1 */
KOLK_API int kolk_semaphore_release(kolk_semaphore *self) KOLK_NOEXCEPT;

/** How many permits are free now. @threads{loop} @since 0.1 */
KOLK_API uint32_t kolk_semaphore_permits(const kolk_semaphore *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
