/* One loop under test, and the three ways to drive it.
 *
 * A suite is an array of rules. A rule is a function named after the sentence it proves; run_matrix() turns each into one test
 * per reactor and drive mode, "epoll/own: callbacks run first in first out", and gives it a struct fixture with a loop.
 *
 *   own     the loop's own functions: run_once, run_until_complete
 *   thirds  prepare, wait and dispatch by hand; a reactor that cannot wait without taking is dispatched once a millisecond
 *   handle  a foreign poll loop that watches kolk_loop_get_fd() and nothing else
 *
 * In mode handle no timeout is needed: poll() is given one only so that a handle that stays silent fails the test.
 *
 * On the reactor "sim" time is virtual, and every rule about waiting is exact and over at once. A rule that needs time to pass
 * while nobody looks, for another thread or the kernel, says so: it is listed there as "(real time only)" and skipped.
 *
 * Two variables of the environment make that a search: with KOLK_SIM_SEED=N the order of events and the lateness of timers
 * come from that seed; with KOLK_TEST_SEEDS=N each rule is checked with the seeds 1 to N, on "sim" alone, and the first seed
 * that fails is printed with the command that replays it.
 *
 * Tests record what happens and compare the whole record, so that order is part of the claim. Callbacks and tasks record and
 * never assert: a failed assertion leaves by longjmp, which must not cross the library. */
#ifndef KOLK_TEST_DRIVER_H
#define KOLK_TEST_DRIVER_H

#include "failing_allocator.h"
#include "sanitizers.h"

#include <kolk/kolk.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

enum drive_mode { DRIVE_OWN, DRIVE_THIRDS, DRIVE_HANDLE };

enum { RECORD_SIZE = 8192, WORD_COUNT = 128 };

struct fixture;

/* What say() and unsay() are given: a word for the record. */
struct word {
    struct fixture *fixture;
    const char *text;
};

struct fixture {
    const char *reactor;
    const kolk_reactor_ops *ops; /* Of the reactor. */
    enum drive_mode mode;
    struct failing_allocator memory; /* The loop's. What it has not got back in the end fails the test. */
    uint64_t seed;                   /* On "sim"; 0: without chance. */
    kolk_loop *loop;
    char record[RECORD_SIZE];
    size_t recorded;
    struct word words[WORD_COUNT];
    size_t word_count;
    int unhandled; /* Errors that reached the loop's exception handler since watch_errors(). */
    int fds;
    int threads;
    int one_of_many; /* One of the seeds that are checked in a row. */
};

/* One rule of a suite. */
struct rule {
    const char *name;
    void (*check)(void **state);
    int real_time; /* It needs time to pass by itself: not under "sim". */
};
#define RULE(function)                                                                                                         \
    { #function, function, 0 }
#define RULE_IN_REAL_TIME(function)                                                                                            \
    { #function, function, 1 }
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Runs each rule on every reactor in every mode; on the default reactor in mode own; or without a fixture: *state is NULL.
 * Returns the number of failures. The first argument of the program, if any, selects tests by a pattern like "epoll*stop*". */
int run_matrix(const char *suite, const struct rule *rules, size_t count);
int run_plain(const char *suite, const struct rule *rules, size_t count);
int run_bare(const char *suite, const struct rule *rules, size_t count);

/* Selects tests by pattern; call it first in main. */
void select_tests(int argc, char **argv);

/* Appends to the record, with a space in between. Safe in callbacks and tasks. */
void record(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void clear_record(struct fixture *f);
#define assert_record(f, expected) assert_string_equal((f)->record, expected)

/* Records how something ended, and passes that on. */
int told(struct fixture *f, const char *what, int status);

/* A word to give to say and unsay; valid as long as the fixture. */
void *word(struct fixture *f, const char *text);
void say(void *word);   /* A callback: records the word. */
void unsay(void *word); /* A destroy function: records "~word". */

/* A destroy function that counts in an int. */
void count_destroy(void *counter);

/* Counts errors at the loop's exception handler and records them: "unhandled(KOLK_EIO)". */
void watch_errors(struct fixture *f);

/* One turn in the fixture's mode, waiting for something to do. Returns how many callbacks were run, or a negative status. */
int drive_once(struct fixture *f);

/* Turns until the future is done; fails the test after 30 seconds. */
void drive_until(struct fixture *f, kolk_future *future);

/* Turns until the condition holds; fails the test after 30 seconds. */
void drive_for(struct fixture *f, int (*condition)(void *context), void *context);

/* Turns until *counter is at least expected. */
void drive_until_count(struct fixture *f, const int *counter, int expected);

/* The real time, that of the clock of every loop here but a virtual one. */
int64_t now_ns(void);

/* Turns for so long, whatever happens or not. */
void drive_during(struct fixture *f, int64_t duration_ns);

/* Drives until a body has recorded something, and then as long as it takes to reach its next wait. */
void drive_to_its_wait(struct fixture *f);

/* Asserts that nothing of the loop waits for anything any more. */
void assert_idle(struct fixture *f);

/* Lets so much real time pass, in which nothing is driven. */
void pause_ms(long ms);

/* Makes a task that gets the fixture, or something else. The caller owns it. */
kolk_task *spawn(struct fixture *f, kolk_coroutine_fn fn);
kolk_task *spawn_with(struct fixture *f, kolk_coroutine_fn fn, void *userdata);

/* Drives it to its end, drops it, and returns its status. */
int join(struct fixture *f, kolk_task *task);

/* spawn_with() and join(). */
int run_task(struct fixture *f, kolk_coroutine_fn fn, void *userdata);

/* A pending future of the fixture's loop. The caller owns it. */
kolk_future *new_future(struct fixture *f);

/* Two connected descriptors that do not block; they are closed by close_pair(), which leaves out those that are -1. */
void open_pair(int ret_pair[2]);
void close_pair(int pair[2]);

/* Which reactor tables there are to test: sets *ret_ops to NULL terminated static lists. */
const kolk_reactor_ops *reactor_under_test(const char *name);
size_t reactors_under_test(const char **ret_names, size_t capacity);

/* Closes the loop, and asserts that everything it held was given back. Called by the teardown; a test that wants to look at the
 * loop afterwards takes a reference first. */
void finish_loop(struct fixture *f);

#endif
