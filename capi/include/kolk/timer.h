/**
 * @file timer.h
 * A timer that can be started, moved and stopped as often as needed.
 *
 * For deadlines that keep moving (idle connections, frames, retries): one object, no allocation after the first, and start,
 * move and stop in constant time. A call that happens once is simpler with kolk_loop_call_later().
 */
#ifndef KOLK_TIMER_H
#define KOLK_TIMER_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A restartable timer. Counted; dropping the last reference stops it. */
typedef struct kolk_timer kolk_timer;

/**
 * Makes a timer that is not running.
 *
 * @param loop       Where it will run.
 * @param fn         Called each time it expires. It may start, stop or drop the timer.
 * @param userdata   Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy    May be NULL. Called when the timer is gone, or when this call fails.
 * @param ret_timer  Receives the timer. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_timer_new(kolk_loop *loop, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                            kolk_timer **ret_timer) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_timer *kolk_timer_ref(kolk_timer *self) KOLK_NOEXCEPT;

/** One owner fewer. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done. @threads{loop} @since 0.1 */
KOLK_API kolk_timer *kolk_timer_unref(kolk_timer *self) KOLK_NOEXCEPT;

/**
 * Starts the timer, or moves it if it is running.
 *
 * @param self     The timer.
 * @param when_ns  On the clock of kolk_loop_time(); never called earlier. In the past: when the loop next looks
 *                 at the clock, which a loop that is busy does not do at every turn.
 * @return 0; #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_timer_start(kolk_timer *self, int64_t when_ns) KOLK_NOEXCEPT;

/** Stops the timer. Returns 1 when it was running, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_timer_stop(kolk_timer *self) KOLK_NOEXCEPT;

/** When it is due, on the loop's clock; #KOLK_NEVER when it is not running. @threads{loop} @since 0.1 */
KOLK_API int64_t kolk_timer_when(const kolk_timer *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
