/**
 * @file waker.h
 * A doorbell: any thread or signal handler rings, the loop answers on its own thread.
 *
 * Rings are coalesced: however often it was rung before the loop got to it, the callback runs once. It runs at least once after
 * each ring, and sees what the ringing thread wrote before. Same idea as libuv's async handle.
 */
#ifndef KOLK_WAKER_H
#define KOLK_WAKER_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A doorbell. Counted. */
typedef struct kolk_waker kolk_waker;

/**
 * Makes a waker.
 *
 * @param loop       Where the callback will run.
 * @param fn         Called on the loop's thread after one or more rings.
 * @param userdata   Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy    May be NULL. Called when the waker is gone, or when this call fails.
 * @param ret_waker  Receives the waker. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_waker_new(kolk_loop *loop, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                            kolk_waker **ret_waker) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_waker *kolk_waker_ref(kolk_waker *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. The callback does not run any more once the last owner is gone; whoever rings must
 * have stopped by then.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_waker *kolk_waker_unref(kolk_waker *self) KOLK_NOEXCEPT;

/**
 * Rings. Neither allocates nor locks.
 *
 * @return 0; #KOLK_EINVAL for NULL.
 * @threads{signal} @since 0.1
 */
KOLK_API int kolk_waker_wake(kolk_waker *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
