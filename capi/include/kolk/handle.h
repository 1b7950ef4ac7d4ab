/**
 * @file handle.h
 * A callback that has been asked for and can still be taken back.
 *
 * kolk_loop_call_soon(), kolk_loop_call_later() and kolk_loop_call_at() hand one out on request. Dropping a handle does not
 * cancel the call.
 */
#ifndef KOLK_HANDLE_H
#define KOLK_HANDLE_H

#include <kolk/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A scheduled call. Counted. */
typedef struct kolk_handle kolk_handle;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_handle *kolk_handle_ref(kolk_handle *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_handle *kolk_handle_unref(kolk_handle *self) KOLK_NOEXCEPT;

/**
 * Takes the call back. Its userdata is destroyed before this returns.
 *
 * @return 0; #KOLK_EALREADY when it was called or cancelled before.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_handle_cancel(kolk_handle *self) KOLK_NOEXCEPT;

/** 1 when the call was cancelled, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_handle_cancelled(const kolk_handle *self) KOLK_NOEXCEPT;

/** When the call is due, on the loop's clock; 0 for one made by kolk_loop_call_soon(). @threads{loop} @since 0.1 */
KOLK_API int64_t kolk_handle_when(const kolk_handle *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
