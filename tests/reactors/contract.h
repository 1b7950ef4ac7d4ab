/* The contract of <kolk/reactor.h> as test cases that any reactor can be put through. */
#ifndef KOLK_TEST_CONTRACT_H
#define KOLK_TEST_CONTRACT_H

#include <kolk/reactor.h>

/* One reactor to test. */
struct subject {
    const char *label; /* for the names of the cases: "epoll, loaded" */
    const kolk_reactor_ops *ops;
    void *(*make_host)(void);      /* kolk_reactor_config::host for each case; NULL: none */
    void (*free_host)(void *host); /* called after the reactor is closed */
    int stops_at;                  /* the first descriptor it refuses with -ERANGE; 0: none */
    int sleeps_through_signals;    /* it cannot end a wait early, and says so in its documentation */
};

/* What is known of the reactors in the tree; others have no limits. */
struct subject describe(const char *label, const kolk_reactor_ops *ops);

/* Runs all cases that apply on all subjects. Returns how many failed. */
int run_contract(const char *group, const struct subject *subjects, int count);

#endif
