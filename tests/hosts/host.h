/* A host under test: a loop that is not ours, and what a test wants of it.
 *
 * A host file fills in one table and hands it to run_conformance() in its main(). The rules are in conformance.c, the same for
 * every host and every way to live in it. A rule drives the host's own loop, never kolk's. */
#ifndef KOLK_TEST_HOST_H
#define KOLK_TEST_HOST_H

#include <kolk/guest.h>
#include <kolk/kolk.h>

#ifdef __cplusplus
extern "C" {
#endif

struct host {
    const char *name;    /* "glib" */
    uint32_t ways;       /* Bits 1 << KOLK_GUEST_…: those that the adapter serves. */
    int64_t granularity; /* Nanoseconds: by how much the host's own timers are rounded up. */
    const char *hosted;  /* The reactor that rides on this very host ("libevent"); NULL: kolk_host_reactor() is the one. */

    /* Makes a loop of the host's, and ends it; afterwards nothing of it may be left: descriptors, threads and memory are
     * counted. */
    void *(*open)(void);
    void (*close)(void *self);

    /* The adapter. */
    int (*attach)(void *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                  kolk_error **ret_error);

    /* Runs the host's loop until stop() is called from inside it; once more after that, too. */
    void (*run)(void *self);
    void (*stop)(void *self);

    /* The host's own timer, one-shot; delay 0 is "soon". From the host's thread. Never dropped: a test lets each one fire. */
    void (*call_later)(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata);

    /* The host's own watch on a readable descriptor, at ordinary priority; fn NULL ends it. */
    void (*watch)(void *self, int fd, void (*fn)(void *userdata), void *userdata);

    /* Runs a loop within the loop, as a modal dialog does, until done() says so. NULL: such a host cannot. */
    void (*run_modal)(void *self, int (*done)(void *context), void *context);

    /* In a forked child, what the host wants done first; NULL: it does not survive a fork. */
    void (*after_fork)(void *self);

    /* What kolk_loop_options::host is to be for `hosted`; NULL otherwise. */
    void *(*native)(void *self);
};

/* Returns how many rules failed. Arguments: a pattern that selects tests by name, "*thread*timer*", and one that leaves out
 * some of those. */
int run_conformance(const struct host *host, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
