/**
 * @file host.h
 * Riding in a loop that is not ours: one turn in three thirds.
 *
 * A host calls them in any order, any number of times, or leaves some out; none must be paired with another:
 *
 * - kolk_loop_prepare() tells until when there is nothing to do;
 * - kolk_loop_wait() sleeps until there is something, and takes nothing;
 * - kolk_loop_dispatch() takes what is there without sleeping, and runs it within a budget.
 *
 * A game calls dispatch once per frame. A host that watches descriptors watches the one of kolk_loop_get_fd() and calls
 * dispatch when it is readable; it then needs no timeout. The thirds are named as in systemd's sd-event, whose state machine
 * they do without: a host that skips a step breaks nothing.
 */
#ifndef KOLK_HOST_H
#define KOLK_HOST_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What prepare found. */
typedef struct kolk_plan {
    int64_t deadline_ns; /**< When the next timer is due, on the loop's clock; #KOLK_NEVER when there is none. */
    uint32_t ready;      /**< 1 when dispatch has something to run already, so that the host should not sleep. */
    uint32_t reserved;   /**< 0. */
} kolk_plan;

/** How much dispatch may do before it returns. */
typedef struct kolk_budget {
    uint32_t size;      /**< sizeof(kolk_budget). */
    uint32_t max_items; /**< Callbacks and task steps; 0: no limit. */
    int64_t max_ns;     /**< Nanoseconds, looked at between items; 0: no limit. */
} kolk_budget;

/** What dispatch did. */
typedef struct kolk_progress {
    uint32_t items; /**< Callbacks and task steps run. */
    uint32_t more;  /**< 1 when something is ready already: call again without sleeping. */
} kolk_progress;

/**
 * Arms what was asked for and tells how long there is nothing to do.
 *
 * @param self      The loop.
 * @param ret_plan  Receives the plan.
 * @return 0; #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED, #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_prepare(kolk_loop *self, kolk_plan *ret_plan) KOLK_NOEXCEPT;

/**
 * Sleeps until dispatch would find something in the kernel, the deadline has come, a wake-up or a signal arrives. Takes nothing
 * and calls nobody.
 *
 * @param self         The loop.
 * @param deadline_ns  On the loop's clock; normally the plan's. #KOLK_NEVER: no limit.
 * @return 0; #KOLK_ENOTSUP when the reactor cannot wait without taking; otherwise as kolk_loop_prepare().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_wait(kolk_loop *self, int64_t deadline_ns) KOLK_NOEXCEPT;

/**
 * Takes what is ready in the kernel and the timers that are due, without sleeping, and runs one turn of it within the budget.
 * What the budget leaves over is run first next time.
 *
 * @param self          The loop.
 * @param budget        NULL: no limits.
 * @param ret_progress  Receives what was done; may be NULL.
 * @return 0; #KOLK_EBUSY when called from inside this loop; otherwise as kolk_loop_prepare().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_dispatch(kolk_loop *self, const kolk_budget *budget, kolk_progress *ret_progress) KOLK_NOEXCEPT;

/**
 * One descriptor that is readable exactly while dispatch would make progress: input and output, timers that are due, work from
 * other threads, ready callbacks and tasks, work a budget left over. Watch it level- or edge-triggered; do not read it.
 *
 * From the first call on the loop keeps a kernel timer armed for it, at the cost of a system call when the next deadline
 * changes.
 *
 * @param self  The loop.
 * @return the descriptor, which stays the loop's and must not be closed; #KOLK_ENOTSUP when the reactor has none (select,
 *         poll, libevent); otherwise as kolk_loop_prepare().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_get_fd(kolk_loop *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
