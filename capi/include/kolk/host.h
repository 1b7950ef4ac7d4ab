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
    int64_t max_ns;     /**< Nanoseconds of the system's time, looked at between items; 0: no limit. */
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
 * and calls nobody but the hooks around sleeps, which may neither dispatch nor close the loop. Where something is left to be
 * done, also by the turn outside, it does not sleep.
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

/**
 * Names who is told when a plan that kolk_loop_prepare() gave is out of date: a deadline came earlier, or there is something to
 * run. For hosts that sleep by themselves, without kolk's descriptor.
 *
 * It is called at most once after each prepare, and once after this call: a host prepares before it sleeps, because a turn ends
 * the plan there was. It may be called from any thread, inside any function that makes something ready, and in a signal handler
 * when a kolk_waker is rung there. So it only schedules: it calls nothing of kolk, and what it uses must be safe where the
 * program uses kolk.
 *
 * @param self      The loop.
 * @param fn        NULL: nobody.
 * @param userdata  Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called when the hook is replaced, the loop closed, or this call fails: no call of @p fn is
 *                  under way then, on any thread.
 * @return 0; #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED, #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_set_plan_hook(kolk_loop *self, kolk_callback_fn fn, void *userdata,
                                     kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Allows kolk_loop_dispatch() from inside a callback or task of this loop, or forbids it again.
 *
 * For modal loops: a callback opens a dialog, and whoever shows it runs the host's loop until it is closed. Forbidden, as it is
 * at first, kolk stands still meanwhile. Allowed, timers, descriptors, calls and tasks go on; only what is on the stack does
 * not: the callback or task that waits for the dialog. What the interrupted turn had not run yet is run first.
 *
 * Allow it around the call that runs a loop of its own. It may also stay allowed; each turn then costs as much as it takes
 * to keep a sleeping host informed.
 *
 * @param self     The loop.
 * @param allowed  0 or 1.
 * @return 0 or 1: what it was before; #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_set_nesting(kolk_loop *self, int allowed) KOLK_NOEXCEPT;

/** What an interpreter wants to do around what a loop does. Members may be NULL. */
typedef struct kolk_loop_hooks {
    uint32_t size;                       /**< sizeof(kolk_loop_hooks). */
    uint32_t reserved;                   /**< 0. */
    void (*enter)(void *userdata);       /**< Callbacks, tasks or destroy functions are about to be called. */
    void (*leave)(void *userdata);       /**< They were: the moment for an interpreter's own queue, or to drain a pool. */
    void (*before_wait)(void *userdata); /**< The loop's thread is about to sleep in the kernel: release a global lock here. */
    void (*after_wait)(void *userdata);  /**< It has slept. */
} kolk_loop_hooks;

/**
 * Sets what is called around each batch of callbacks and around each sleep. Pairs come in order, and nest where turns nest. The
 * wait of a guest's own thread is none of the loop's thread's, and calls nobody.
 *
 * @param self      The loop.
 * @param hooks     Copied. NULL: none any more.
 * @param userdata  Handed to the hooks. @ref owned_by_callee through @p destroy.
 * @param destroy   May be NULL. Called when the hooks are replaced, the loop closed, or this call fails.
 * @return 0; #KOLK_EBUSY from inside the loop, #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_set_hooks(kolk_loop *self, const kolk_loop_hooks *hooks, void *userdata,
                                 kolk_destroy_fn destroy) KOLK_NOEXCEPT;

/**
 * Whether anything can still happen by itself: a task that has not ended, a callback that is due now or later, a descriptor
 * with a reader or writer, a server. A host that quits when its guests are idle asks this; readiness never depends on it.
 *
 * @return 1 or 0; #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_alive(kolk_loop *self) KOLK_NOEXCEPT;

/**
 * Begins an orderly end, at the host's pace: cancels every task, and tells when the last one has ended. They may wait while
 * they clean up, as they cannot once kolk_loop_close() is called. Until then the host goes on dispatching; then it closes the
 * loop, which finds nothing left to unwind. Give the future a deadline with kolk_wait_for_async(). Called again, it cancels
 * again.
 *
 * @param self        The loop. It goes on to accept everything; tasks that are made meanwhile are waited for, not cancelled.
 * @param ret_future  Receives the future, done without a result when no task is left. @ref owned_by_caller.
 * @return 0; #KOLK_ENOMEM, #KOLK_EINVAL, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_shutdown_async(kolk_loop *self, kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * In a forked child: makes the loop the child's. Until then each of its functions answers #KOLK_EFORKED there; the parent
 * notices nothing either way.
 *
 * Tasks, timers, callbacks and watches go on as they were, in both processes: it is for the program to close what only one of
 * them should have. The handle of kolk_loop_get_fd() keeps its number. A guest's thread is started anew; a host has to be told
 * of the fork in its own way, before this. What another thread was handing over at the moment of the fork may be missing.
 *
 * @param self  The loop, not being run by a thread that is not there any more.
 * @return 0, also in a process that made the loop; #KOLK_ETHREAD when the thread that ran it does not exist here, #KOLK_ENOMEM,
 *         #KOLK_EMFILE, #KOLK_ELIMIT: then it is still the parent's, and the call may be repeated; #KOLK_EINVAL, #KOLK_ECLOSED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_after_fork(kolk_loop *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
