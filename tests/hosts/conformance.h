/* What the rules of conformance_*.c are written with.
 *
 * A rule gets a struct visit: a host's loop that was opened, and in it a loop of kolk's as a guest, in one of the four ways. It
 * gives kolk and the host something to do, runs the host until what it waits for has come, and looks at what happened:
 *
 *     kolk_loop_call_later(v->f.loop, MS, arrive, v, NULL, NULL);
 *     run_until(v, 1);
 *
 * Callbacks never assert: a failed assertion leaves by longjmp, which must not cross the host. Times are only ever compared
 * with lower limits. What never comes is noticed by an alarm that names the rule and ends the program: nothing here wakes a
 * host now and then, as that would hide that it was not woken when it should have been. */
#ifndef KOLK_TEST_CONFORMANCE_H
#define KOLK_TEST_CONFORMANCE_H

#include "host.h"
#include "support/driver.h"

#include <pthread.h>

enum { FRAME_MS = 2 };

struct visit;

/* A loop's stay in a host. */
struct stay {
    struct visit *visit;
    kolk_loop *loop;
    kolk_guest *guest;
    int frames;    /* Way FRAME: the host takes a turn with it every two milliseconds. */
    int frame_due; /* A frame is on its way. */
};

struct visit {
    struct fixture
        f; /* The record, the counted memory, and the loop: for kolk's side. Not to be driven by what driver.h has. */
    const struct host *host;
    void *self; /* The host's loop; NULL when it is closed. */
    uint32_t way;
    kolk_guest_options options;
    struct stay stay;
    kolk_guest *guest; /* stay.guest. */
    int awaited;       /* How many arrivals the host runs for. */
};

enum {
    NEEDS_MODAL = 1,    /* A host with modal loops. */
    NEEDS_FORK = 2,     /* A host that survives a fork, and a build that does. */
    NEEDS_SILENCE = 4,  /* Not in way FRAME, where the host wakes every two milliseconds. */
    NEEDS_NOBODY = 8,   /* The host alone, once: the rule brings its guests. */
    NEEDS_DETACHED = 16 /* A loop that can wait without its host. */
};

struct host_rule {
    const char *name;
    void (*check)(void **state);
    uint32_t needs;
    uint32_t max_items; /* The budget of a turn. */
    int64_t max_ns;
};
#define HOST_RULE(function)                                                                                                    \
    { #function, function, 0, 0, 0 }
#define HOST_RULE_THAT_NEEDS(function, needs)                                                                                  \
    { #function, function, needs, 0, 0 }
#define HOST_RULE_WITH_BUDGET(function, max_items, max_ns)                                                                     \
    { #function, function, 0, max_items, max_ns }

struct host_rules {
    const struct host_rule *rules;
    size_t count;
};

extern const struct host_rules time_rules, io_rules, wake_rules, budget_rules, nested_rules, end_rules, misuse_rules,
    fork_rules, mixed_rules, together_rules;

/* A callback: one of those that are waited for has come. On the host's thread. */
void arrive(void *visit);

/* Runs the host until arrive() was called so often, counting calls since the last time. */
void run_until(struct visit *v, int arrivals);

/* Runs the host for so long. */
void run_for(struct visit *v, int64_t duration_ns);

/* The host's call_later(). */
void host_call_later(struct visit *v, int64_t delay_ns, kolk_callback_fn fn, void *userdata);

/* The host's timer calls fn, outside of any turn of kolk's, and the host goes on until it has. */
void host_runs(struct visit *v, kolk_callback_fn fn, void *userdata);

/* Makes a loop for one way, on the visit's memory. On failure NULL. */
kolk_loop *make_loop(struct visit *v, const kolk_reactor_ops *ops, uint32_t way);

/* Makes a loop the guest of the host, and starts the frames if that is the way. Returns what attach() did. */
int begin_stay(struct visit *v, struct stay *stay, kolk_loop *loop, const kolk_guest_options *options);

/* Detaches, drops the guest, and lets the last frame pass. The loop stays. Twice is fine. */
void end_stay(struct stay *stay);

/* Ends the stay of the fixture, the loop, and the host; asserts that nothing of them is left. Twice is fine. */
void end_visit(struct visit *v);

/* Calls back for each reactor and way that go with the host. */
void for_each_stay(const struct host *host, void (*fn)(void *context, uint32_t way, const kolk_reactor_ops *ops),
                   void *context);

/* "frame", "handle", "thread", "reactor". */
const char *way_name(uint32_t way);

/* Busy for so long. */
void spin(int64_t duration_ns);

void sleep_ns(int64_t duration_ns);

/* A thread, or the test fails. */
pthread_t start_thread(void *(*fn)(void *userdata), void *userdata);

/* One byte into a descriptor, or all that can be read without waiting out of it: their number. Never assert. */
void put_byte(int fd);
int take_bytes(int fd);

#endif
