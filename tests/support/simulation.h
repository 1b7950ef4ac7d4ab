/* A clock that a test moves, and a reactor that reports what a script says: tests with time in them become exact and instant.
 *
 * When nothing is ready, collecting advances the clock by the timeout instead of sleeping, or to the next entry of the script
 * if that comes first. Waiting without limit while the script is empty would never end: the reactor fails then, and the run
 * that asked for it with it. */
#ifndef KOLK_TEST_SIMULATION_H
#define KOLK_TEST_SIMULATION_H

#include <kolk/loop.h>

enum { SIMULATION_CAPACITY = 256 };

/* At `when_ns`, descriptor `fd` is ready for `events`, once. */
struct simulated_event {
    int64_t when_ns;
    int fd;
    uint32_t events;
};

struct simulated_watch {
    int fd;
    uint32_t events;
    uint64_t token;
};

struct simulation {
    int64_t now_ns;
    int64_t step_ns; /* Each look at the clock moves it by so much; 0: it moves only when told. */
    struct simulated_event script[SIMULATION_CAPACITY];
    size_t script_length;
    struct simulated_watch watches[SIMULATION_CAPACITY];
    size_t watch_count;
    unsigned collects;      /* How often the reactor was asked. */
    unsigned long_collects; /* How often it was allowed to wait. */
};

/* Adds an entry to the script. */
void simulation_add(struct simulation *self, int64_t when_ns, int fd, uint32_t events);

/* Options for a loop that lives in the simulation. */
kolk_loop_options simulation_options(struct simulation *self);

#endif
