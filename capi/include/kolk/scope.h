/**
 * @file scope.h
 * A part of a task that can be cancelled, timed or shielded apart from the rest.
 *
 * A scope is entered and left by a running task, like a block. What asyncio calls a timeout is a scope with a deadline; trio's
 * cancel scope is one with #KOLK_SCOPE_LEVEL; asyncio's shield around clean-up is one with #KOLK_SCOPE_SHIELD.
 *
 * Two kinds of cancellation, one rule for each:
 * - *Edge*, the default, asyncio's: the wait that is pending, or the next one, returns #KOLK_ECANCELED, once. A task that
 *   swallows it goes on.
 * - *Level*, trio's: once a scope is cancelled, every wait inside it returns #KOLK_ECANCELED until the scope is left. Who
 *   swallows it cannot wait for anything any more, so no one waits for him for ever. Each refused wait lets everyone else run
 *   once; a refused kolk_await() cancels what it would have awaited.
 *
 * kolk_scope_leave() tells the scope's own end from a cancellation that came from outside: that one is passed on. A shield's
 * own end is told even then, because what came from outside is told after it.
 *
 * All scopes of a task are one stack, also those that its coroutines enter. A task that ends leaves them all.
 */
#ifndef KOLK_SCOPE_H
#define KOLK_SCOPE_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A scope of the running task. It belongs to that task, until it is left or the task has ended. */
typedef struct kolk_scope kolk_scope;

/** kolk_scope_enter(): when cancelled or expired, every wait inside fails until the scope is left. */
#define KOLK_SCOPE_LEVEL UINT32_C(1)

/** kolk_scope_enter(): requests to cancel that come from outside have no effect inside; they are delivered when the scope has
 * been left. The scope's own deadline, and kolk_scope_cancel(), do work. The end of the loop is no request. */
#define KOLK_SCOPE_SHIELD UINT32_C(2)

/**
 * Enters a scope.
 *
 * @param flags        0, or #KOLK_SCOPE_LEVEL and #KOLK_SCOPE_SHIELD.
 * @param deadline_ns  On the clock of kolk_loop_time(); #KOLK_NEVER: none. In the past: the next wait times out.
 * @param ret_scope    Receives the scope. Leave it with kolk_scope_leave().
 * @return 0; #KOLK_ENOTASK outside of a task; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_scope_enter(uint32_t flags, int64_t deadline_ns, kolk_scope **ret_scope) KOLK_NOEXCEPT;

/**
 * Enters a scope that expires so long from now: asyncio.timeout().
 *
 * @param timeout_ns  Nanoseconds; #KOLK_NEVER: not until kolk_scope_reschedule() says so.
 * @param ret_scope   As in kolk_scope_enter().
 * @return as kolk_scope_enter().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_timeout(int64_t timeout_ns, kolk_scope **ret_scope) KOLK_NOEXCEPT;

/** kolk_scope_enter() without flags: asyncio.timeout_at(). @threads{loop} @since 0.1 */
KOLK_API int kolk_timeout_at(int64_t when_ns, kolk_scope **ret_scope) KOLK_NOEXCEPT;

/**
 * Leaves the innermost scope of the running task; @p self is gone then.
 *
 * @param self    The scope.
 * @param status  What the block ended with: 0 or the status that it is about to return.
 * @return @p status; but when that is #KOLK_ECANCELED because of this scope, and nobody outside has cancelled the task as well:
 *         #KOLK_ETIMEDOUT when its time was up, 0 when kolk_scope_cancel() was called. #KOLK_EBUSY when it is not the innermost
 *         one, #KOLK_EINVAL for NULL or the scope of another task; the scope stays then.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_scope_leave(kolk_scope *self, int status) KOLK_NOEXCEPT;

/** Cancels what is inside. @return 1; 0 when it was cancelled or had expired already; #KOLK_EINVAL, #KOLK_ETHREAD,
 * #KOLK_EFORKED, #KOLK_ECLOSED. @threads{loop} @since 0.1 */
KOLK_API int kolk_scope_cancel(kolk_scope *self) KOLK_NOEXCEPT;

/** 1 when kolk_scope_cancel() was called, or the time was up; 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_scope_cancelled(const kolk_scope *self) KOLK_NOEXCEPT;

/** 1 when its time was up, 0 when not. @threads{loop} @since 0.1 */
KOLK_API int kolk_scope_expired(const kolk_scope *self) KOLK_NOEXCEPT;

/** When it expires; #KOLK_NEVER when it does not. @threads{loop} @since 0.1 */
KOLK_API int64_t kolk_scope_when(const kolk_scope *self) KOLK_NOEXCEPT;

/**
 * Moves the deadline.
 *
 * @param self     The scope.
 * @param when_ns  As in kolk_scope_enter().
 * @return 0; #KOLK_EALREADY when it was cancelled or has expired; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED, #KOLK_ECLOSED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_scope_reschedule(kolk_scope *self, int64_t when_ns) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
