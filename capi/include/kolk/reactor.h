/**
 * @file reactor.h
 * The contract between kolk and one way to wait for descriptors.
 *
 * A reactor is four functions. It translates and does nothing else: it never calls user code, knows no timers, keeps no list
 * of who wants what. kolk keeps the descriptor table, the timers, the wake-up descriptor and all dispatching; a reactor is told
 * which descriptors to watch and fills an array with those that are ready. The readiness model is that of Python's
 * selectors and Redis's ae; the table of functions with a size and an ABI number follows GStreamer and DuckDB.
 *
 * Everything a plugin needs is in this header: it does not link against libkolk. Failures are returned as negated errno
 * values (`-EMFILE`), which kolk turns into its own codes. All functions are called from the loop's thread, one at a time;
 * `wait` alone may run on another thread, and only where #KOLK_REACTOR_WAIT_ANYWHERE is announced.
 *
 * Errors and hang-ups are reported as readable and writable (of what is watched), so that the next read or write tells the
 * truth.
 */
#ifndef KOLK_REACTOR_H
#define KOLK_REACTOR_H

#include <kolk/allocator.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The number of this contract. A plugin built for another one is refused. */
#define KOLK_REACTOR_ABI 1

/** What to watch a descriptor for, and what it is ready for. The first two have the values of Python's selectors. */
enum {
    KOLK_EVENT_READ = 1,  /**< A read would not block: data, end of file, an error, a connection to accept. */
    KOLK_EVENT_WRITE = 2, /**< A write would not block, or would fail. */
    KOLK_EVENT_EDGE = 4,  /**< Only for `watch`: report changes only. Used where #KOLK_REACTOR_EDGE is announced. */
    /** Only reported: the peer has closed its side, the descriptor failed, or urgent data came. From then on a read that
     * fills only part of its buffer does not mean that nothing is left. */
    KOLK_EVENT_HANGUP = 8,
    KOLK_EVENT_INVALID = 16 /**< Only reported: the descriptor is not open any more. The reactor has forgotten it. */
};

/** What a reactor can do beyond the four functions. Only the low 53 bits are ever used. */
#define KOLK_REACTOR_EDGE (UINT64_C(1) << 0) /**< Honours #KOLK_EVENT_EDGE. */
#define KOLK_REACTOR_WAIT (UINT64_C(1) << 1) /**< Has `wait`. */
#define KOLK_REACTOR_WAIT_ANYWHERE                                                                                             \
    (UINT64_C(1) << 2)                         /**< `wait` may run on one other thread while the loop's thread calls `watch`. */
#define KOLK_REACTOR_GET_FD (UINT64_C(1) << 3) /**< Has `get_fd`. */
#define KOLK_REACTOR_AFTER_FORK (UINT64_C(1) << 4) /**< Has `after_fork`. */
#define KOLK_REACTOR_SUBMIT (UINT64_C(1) << 5)     /**< Has `submit` and `cancel`. */
#define KOLK_REACTOR_CLOCK (UINT64_C(1) << 6)      /**< Has `now`: time is what the reactor says. */
#define KOLK_REACTOR_HOSTED (UINT64_C(1) << 7)     /**< Rides on a loop of the program, if the config's `host` is one. */
#define KOLK_REACTOR_STAY (UINT64_C(1) << 8)       /**< Has `stay`. For #KOLK_REACTOR_HOSTED. */

/** What a reactor that rides on a loop of the program is told of it by `stay`. */
enum {
    /** The guest has left. Nothing is registered with the program's loop, which is not touched again before the next call of
     * `collect`, `wait` or `stay`; what is watched is kept. */
    KOLK_STAY_OVER = 0,
    KOLK_STAY_HOST_RUNS = 1, /**< The program runs its loop, and kolk is a guest: `collect` without a timeout never runs it. */
    KOLK_STAY_KOLK_RUNS = 2  /**< kolk does, as it does when `stay` was never called. */
};

/** One descriptor that is ready. */
typedef struct kolk_ready {
    uint64_t token;    /**< The token given to `watch`. */
    uint32_t events;   /**< #KOLK_EVENT_READ, #KOLK_EVENT_WRITE, #KOLK_EVENT_HANGUP, #KOLK_EVENT_INVALID. */
    uint32_t reserved; /**< 0. */
} kolk_ready;

/** What a reactor is opened with. */
typedef struct kolk_reactor_config {
    uint32_t size;                   /**< sizeof(kolk_reactor_config) of the library. */
    uint32_t reserved;               /**< 0. */
    const kolk_allocator *allocator; /**< For the reactor's own memory. Valid until `close` returns. */
    void *host; /**< kolk_loop_options::host, for reactors that ride on a loop of the program (an event_base). */
    /** For #KOLK_REACTOR_HOSTED: to be called on the loop's thread whenever something has become ready outside of `collect` and
     * `wait`, because the program runs its loop itself. It only schedules. NULL: nobody listens. Not there where @c size says
     * so. */
    void (*notify)(void *userdata);
    void *notify_userdata; /**< Handed to @c notify. */
} kolk_reactor_config;

/** An operation for a reactor that completes operations itself. Its members are defined with the first such reactor. */
typedef struct kolk_op kolk_op;

/** One way to wait for descriptors. */
typedef struct kolk_reactor_ops {
    uint32_t size;    /**< sizeof this struct when the plugin was compiled; older ones are shorter. */
    uint32_t abi;     /**< #KOLK_REACTOR_ABI. */
    const char *name; /**< "poll". Static; letters, digits, '_' and '-'. */
    uint64_t caps;    /**< KOLK_REACTOR_… bits. */

    /** Makes the reactor's state. Returns 0 or a negated errno; ENOSYS and EPERM mean "not on this system". */
    int (*open)(const kolk_reactor_config *config, void **ret_state);

    /** Releases everything. Accepts NULL. */
    void (*close)(void *state);

    /**
     * Replaces what @c fd is watched for; @c events 0 removes it. Adding, changing and removing are one call, because whether
     * the kernel still knows the descriptor is the reactor's to find out: it may have been closed, and its number given to
     * another. Removing what is not there succeeds. -EPERM: this kind of descriptor cannot be watched; -ERANGE: beyond what
     * this reactor can watch.
     */
    int (*watch)(void *state, int fd, uint32_t events, uint64_t token);

    /**
     * Fills @c ret_ready with up to @c capacity ready descriptors, each at most once, and returns how many. Waits for the first
     * one at most @c timeout_ns nanoseconds (0: not at all; negative: without limit), rounded up where the system's clock is
     * coarser. A signal ends the wait early with 0.
     */
    int (*collect)(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity);

    /* Optional: each announced by its bit in caps, NULL otherwise. */

    /** Sleeps like `collect` but takes nothing: what is ready stays for the next `collect`. */
    int (*wait)(void *state, int64_t timeout_ns);

    /** One descriptor that is readable while `collect` would return something. Stays the reactor's. */
    int (*get_fd)(void *state);

    /** In a forked child: makes new kernel objects. kolk then watches everything again. */
    int (*after_fork)(void *state);

    /** Starts an operation; exactly one terminal event follows. */
    int (*submit)(void *state, const kolk_op *op);

    /** Asks that an operation end early. Its terminal event still comes. */
    int (*cancel)(void *state, uint64_t token);

    /** The time in nanoseconds, which never goes back, for a loop without a clock of its own. Timeouts count in it. Any thread,
     * until `close`. */
    int64_t (*now)(void *state);

    /** Who runs the program's loop from now on: KOLK_STAY_…. Only a change from #KOLK_STAY_OVER can fail. */
    int (*stay)(void *state, uint32_t who);
} kolk_reactor_ops;

/**
 * The one symbol a plugin exports. A reactor that is built into a program uses another name for the same function by defining
 * KOLK_REACTOR_ENTRY before including this header, and registers the table with kolk_reactor_register().
 */
#ifndef KOLK_REACTOR_ENTRY
#define KOLK_REACTOR_ENTRY kolk_reactor_entry_v1
#endif

/**
 * Hands out the plugin's table.
 *
 * @param ret_ops  Receives the table. Static.
 * @return 0, or a negated errno when this plugin cannot be used here.
 */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops);

#ifdef __cplusplus
}
#endif

#endif
