/**
 * @file guest.h
 * A loop as the guest of another loop: the host.
 *
 * kolk/host.h has the parts of a turn, for hosts that want to put them together themselves. A guest is the finished article:
 * the host tells in a table of three functions what it can do, and the guest keeps it informed of what there is to wait for.
 * What the adapters in `bindings/` add to this is the table, and nothing else.
 *
 * There are four ways to live in a host:
 *
 * | way                | the host                                        | over which reactors             |
 * |--------------------|-------------------------------------------------|---------------------------------|
 * | #KOLK_GUEST_FRAME  | calls kolk_guest_turn() when it pleases         | all                             |
 * | #KOLK_GUEST_HANDLE | watches one descriptor                          | those that have a handle: epoll |
 * | #KOLK_GUEST_THREAD | can be posted to from another thread, which     | all that can wait apart: epoll, |
 * |                    | waits in its place (trio calls it guest mode)   | poll, select, libevent          |
 * | #KOLK_GUEST_REACTOR| watches each descriptor, and has one timer: it  | kolk_host_reactor(); libevent   |
 * |                    | is the reactor                                  | on the host's own event_base    |
 *
 * A guest is a visitor: it replaces nothing in the host, runs nothing of the host's, never blocks it longer than one callback
 * beyond the budget, and leaves nothing behind.
 */
#ifndef KOLK_GUEST_H
#define KOLK_GUEST_H

#include <kolk/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A loop's stay in a host. Counted; belongs to the loop. */
typedef struct kolk_guest kolk_guest;

/** How a guest lives in its host. */
enum {
    /** The first of REACTOR, HANDLE and THREAD that both the loop's reactor and the host can do. */
    KOLK_GUEST_ANY = 0,
    /** The host calls kolk_guest_turn() by itself, once per frame. Nothing is registered with it. */
    KOLK_GUEST_FRAME = 1,
    /** The host watches kolk_loop_get_fd(). Needs `watch`; `post`, if there is one, has it try again what it could not watch.
     */
    KOLK_GUEST_HANDLE = 2,
    /** A thread of the guest's waits, and posts when there is something. Needs `post`, from any thread. */
    KOLK_GUEST_THREAD = 3,
    /** The host's own loop watches each descriptor and the next deadline. Needs `set_deadline` and `post`, and with
     * kolk_host_reactor() also `watch`. */
    KOLK_GUEST_REACTOR = 4
};

/**
 * What a host can do. Members that the way does not need may be NULL.
 *
 * None of them may call the guest or its loop back from inside: they register and schedule. They return 0 or a negative
 * #kolk_status. All are called on the loop's thread, `post` alone on another one too, in #KOLK_GUEST_THREAD.
 */
typedef struct kolk_host_ops {
    uint32_t size;     /**< sizeof(kolk_host_ops). */
    uint32_t reserved; /**< 0. */

    /**
     * Replaces what @c fd is watched for: #KOLK_EVENT_READ, #KOLK_EVENT_WRITE, both; 0 ends the watch, which also succeeds when
     * there is none. Level-triggered. Whenever @c fd is ready, the host calls kolk_guest_ready(). The descriptor may have been
     * closed before its watch is ended, and its number given to another.
     */
    int (*watch)(void *userdata, int fd, uint32_t events);

    /**
     * Replaces the one timer: at @c deadline_ns, a time of kolk_loop_time(), or later, never earlier, the host calls
     * kolk_guest_turn() once. #KOLK_NEVER ends it. Earlier than the host can tell apart is now.
     */
    int (*set_deadline)(void *userdata, int64_t deadline_ns);

    /**
     * Has kolk_guest_turn() called once from the host's loop, soon, and not from inside here. Not called again before that turn
     * has begun.
     */
    int (*post)(void *userdata);

    /**
     * Optional. In a forked child, called by kolk_loop_after_fork() before anything is asked for again: replaces what the
     * host's side of this table shares with the parent, as a descriptor of its own to be posted to. Only the watch of
     * #KOLK_GUEST_HANDLE has been ended before.
     */
    int (*after_fork)(void *userdata);
} kolk_host_ops;

/** How a guest behaves. Zero in a member means the default; set `size` and what differs. */
typedef struct kolk_guest_options {
    uint32_t size;      /**< sizeof(kolk_guest_options). */
    uint32_t way;       /**< KOLK_GUEST_…; 0: #KOLK_GUEST_ANY. */
    uint32_t max_items; /**< The budget of a turn: callbacks and task steps; 0: no limit but what was ready when it began. */
    uint32_t reserved;  /**< 0. */
    int64_t max_ns;     /**< The budget of a turn: nanoseconds of the system's time, looked at between items; 0: no limit. */
} kolk_guest_options;

/**
 * Lets a loop live in a host. The host's loop runs on the loop's thread.
 *
 * @param loop       The loop; it has no other guest. One made with kolk_host_reactor() can live only in #KOLK_GUEST_REACTOR,
 *                   one with a clock of its own only in #KOLK_GUEST_FRAME.
 * @param ops        What the host can do. Copied.
 * @param userdata   Handed to @p ops. @ref owned_by_callee through @p destroy.
 * @param destroy    May be NULL. Called after the last call of @p ops: from kolk_guest_detach(), or when the turn ends in which
 *                   it was called; also when this call fails.
 * @param options    NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay: that is kolk_guest_detach().
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_ENOTSUP when the reactor or the host cannot do what the way needs, #KOLK_EBUSY when the loop has a guest,
 *         #KOLK_ELIMIT when no thread can be made, #KOLK_ENOMEM, #KOLK_EMFILE, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED,
 *         #KOLK_EINVAL; what @p ops returned.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_guest_new(kolk_loop *loop, const kolk_host_ops *ops, void *userdata, kolk_destroy_fn destroy,
                            const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_guest *kolk_guest_ref(kolk_guest *self) KOLK_NOEXCEPT;

/**
 * One owner fewer. Accepts NULL. The stay goes on until kolk_guest_detach() or until the loop closes.
 *
 * @return NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1
 */
KOLK_API kolk_guest *kolk_guest_unref(kolk_guest *self) KOLK_NOEXCEPT;

/** Which way it is: KOLK_GUEST_…, never #KOLK_GUEST_ANY. Valid after the end as well. @threads{loop} @since 0.1 */
KOLK_API int kolk_guest_way(const kolk_guest *self) KOLK_NOEXCEPT;

/** The loop it is the guest's. @ref borrowed. NULL for NULL. @threads{loop} @since 0.1 */
KOLK_API kolk_loop *kolk_guest_loop(const kolk_guest *self) KOLK_NOEXCEPT;

/**
 * One turn within the budget: kolk_loop_dispatch(), and the host is told what there is to wait for now. In #KOLK_GUEST_FRAME
 * with a budget of time, as many turns as that allows, while there is something to do. To be called by the host after a `post`
 * and when the deadline has come; it may be called at any other time, too.
 *
 * @param self  The guest.
 * @return how many callbacks and task steps were run. #KOLK_EBUSY from inside a callback of the loop where nesting is not
 *         allowed (kolk_loop_set_nesting()): what was to be done is then done when that callback has returned. #KOLK_ECLOSED
 *         when the stay has ended. Otherwise as kolk_loop_dispatch().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_guest_turn(kolk_guest *self) KOLK_NOEXCEPT;

/**
 * Tells that a watched descriptor is ready, and takes a turn as kolk_guest_turn() does.
 *
 * With kolk_host_reactor() and a budget, the descriptors that are told one after the other share it, until kolk_guest_turn() is
 * called: what is told when it is spent is left to that turn, which the host is asked for with `post`.
 *
 * @param self    The guest.
 * @param fd      One that `watch` was called with. Another one is ignored.
 * @param events  #KOLK_EVENT_READ, #KOLK_EVENT_WRITE, #KOLK_EVENT_HANGUP, #KOLK_EVENT_INVALID, as in kolk_ready. An error or
 *                hang-up that the host tells apart is reported as all that is watched.
 * @return as kolk_guest_turn(); 0 as well when it is left to another turn.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_guest_ready(kolk_guest *self, int fd, uint32_t events) KOLK_NOEXCEPT;

/**
 * Ends the stay: nothing is registered with the host afterwards, and no thread is left. Legal at any moment, also from inside a
 * callback of the loop, whose turn is then still finished, and twice. The loop itself goes on, and may be run by other means or
 * become a guest again. Closing the loop does this first.
 *
 * @return 0; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_guest_detach(kolk_guest *self) KOLK_NOEXCEPT;

/**
 * The reactor that is a host, for kolk_loop_options::reactor_ops: it asks the host to watch what kolk watches, and hands out
 * what kolk_guest_ready() told. Before the loop is a guest and afterwards, descriptors are kept and not watched. Such a loop
 * cannot wait by itself: running it where it would have to sleep fails with #KOLK_ENOTSUP.
 *
 * @return the table. Static.
 * @threads{any} @since 0.1
 */
KOLK_API const kolk_reactor_ops *kolk_host_reactor(void) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
