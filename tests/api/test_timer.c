/* Timers that are started, moved and stopped; most of it on a clock that the test moves. */
#include "support/driver.h"
#include "support/simulation.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- On a simulated clock ---- */

struct world {
    struct simulation simulation;
    struct failing_allocator memory;
    kolk_loop *loop;
    char record[1024];
};

static int make_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->simulation.now_ns = SECOND;
    failing_allocator_init(&w->memory);
    kolk_loop_options options = simulation_options(&w->simulation);
    options.allocator = &w->memory.hook;
    *state = w;
    return kolk_loop_new(&options, &w->loop, NULL);
}

static int end_world(void **state) {
    struct world *w = *state;
    assert_int_equal(kolk_loop_close(w->loop), 0);
    kolk_loop_unref(w->loop);
    assert_int_equal(failing_allocator_live_blocks(&w->memory), 0);
    assert_int_equal(failing_allocator_mistakes(&w->memory), 0);
    free(w);
    return 0;
}

/* Lets so much time pass at once, and runs what has become due. */
static void advance(struct world *w, int64_t ns) {
    w->simulation.now_ns += ns;
    kolk_progress progress = {.more = 1};
    while (progress.more)
        assert_int_equal(kolk_loop_dispatch(w->loop, NULL, &progress), 0);
}

struct alarm {
    struct world *w;
    kolk_timer *timer;
    char name;
    int64_t again_ns; /* Starts itself anew after so long; 0: not. */
    int stops;        /* How often it still starts itself. */
    int destroyed;
};

static void append(struct world *w, char c) {
    size_t length = strlen(w->record);
    if (length + 1 < sizeof w->record)
        w->record[length] = c;
}

static void ring(void *userdata) {
    struct alarm *alarm = userdata;
    append(alarm->w, alarm->name);
    if (alarm->again_ns && alarm->stops-- > 0)
        kolk_timer_start(alarm->timer, kolk_loop_time(alarm->w->loop) + alarm->again_ns);
}

static void destroy_alarm(void *userdata) { ((struct alarm *)userdata)->destroyed++; }

static void make_alarm(struct world *w, struct alarm *ret_alarm, char name) {
    *ret_alarm = (struct alarm){.w = w, .name = name};
    assert_int_equal(kolk_timer_new(w->loop, ring, ret_alarm, destroy_alarm, &ret_alarm->timer), 0);
}

static void start_in(struct alarm *alarm, int64_t delay_ns) {
    assert_int_equal(kolk_timer_start(alarm->timer, alarm->w->simulation.now_ns + delay_ns), 0);
}

/* A new timer does not run; one that was started fires once, at its time and not a nanosecond before. */
static void a_timer_fires_once_and_never_early(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    assert_true(kolk_timer_when(a.timer) == KOLK_NEVER);
    advance(w, SECOND);
    assert_string_equal(w->record, "");

    start_in(&a, 5 * MS);
    assert_true(kolk_timer_when(a.timer) == w->simulation.now_ns + 5 * MS);
    advance(w, 5 * MS - 1);
    assert_string_equal(w->record, "");
    advance(w, 1);
    assert_string_equal(w->record, "a");
    assert_true(kolk_timer_when(a.timer) == KOLK_NEVER);
    advance(w, 10 * SECOND);
    assert_string_equal(w->record, "a");
    kolk_timer_unref(a.timer);
    assert_int_equal(a.destroyed, 1);
}

/* The loop sleeps exactly until the next deadline. */
static void the_loop_sleeps_until_the_next_deadline(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    const int64_t delays[] = {1, 999, 1000000, 1000001, 123456789, 3600 * SECOND};
    for (size_t i = 0; i < COUNT(delays); i++) {
        int64_t due = w->simulation.now_ns + delays[i];
        start_in(&a, delays[i]);
        while (strlen(w->record) == i)
            assert_true(kolk_loop_run_once(w->loop) >= 0);
        assert_true(w->simulation.now_ns == due);
    }
    kolk_timer_unref(a.timer);
}

/* Starting a running timer moves it, forwards and backwards. */
static void starting_a_running_timer_moves_it(void **state) {
    struct world *w = *state;
    struct alarm a, b;
    make_alarm(w, &a, 'a');
    make_alarm(w, &b, 'b');
    start_in(&a, 10);
    start_in(&b, 20);
    start_in(&a, 30);
    advance(w, 20);
    assert_string_equal(w->record, "b");
    advance(w, 10);
    assert_string_equal(w->record, "ba");
    start_in(&a, SECOND);
    start_in(&a, 1);
    advance(w, 1);
    assert_string_equal(w->record, "baa");
    advance(w, 2 * SECOND);
    assert_string_equal(w->record, "baa");
    kolk_timer_unref(a.timer);
    kolk_timer_unref(b.timer);
}

/* A stopped timer does not fire; stopping tells whether it was running. */
static void a_stopped_timer_does_not_fire(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    assert_int_equal(kolk_timer_stop(a.timer), 0);
    start_in(&a, 5);
    assert_int_equal(kolk_timer_stop(a.timer), 1);
    assert_int_equal(kolk_timer_stop(a.timer), 0);
    assert_true(kolk_timer_when(a.timer) == KOLK_NEVER);
    advance(w, 10);
    assert_string_equal(w->record, "");
    start_in(&a, 5);
    advance(w, 10);
    assert_string_equal(w->record, "a");
    kolk_timer_unref(a.timer);
}

/* Timers that became due together fire by deadline, and equal ones in the order they were started. */
static void timers_fire_by_deadline_and_then_by_start(void **state) {
    struct world *w = *state;
    struct alarm alarms[6];
    const int64_t delays[] = {30, 10, 20, 10, 30, 10};
    for (size_t i = 0; i < COUNT(alarms); i++) {
        make_alarm(w, &alarms[i], (char)('a' + i));
        start_in(&alarms[i], delays[i]);
    }
    advance(w, 100);
    assert_string_equal(w->record, "bdfcae");
    for (size_t i = 0; i < COUNT(alarms); i++)
        kolk_timer_unref(alarms[i].timer);
}

/* A callback may start its own timer: that is how something periodic is made, without drift. */
static void a_callback_may_start_its_timer_again(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    a.again_ns = 10;
    a.stops = 4;
    start_in(&a, 10);
    for (int i = 0; i < 10; i++)
        advance(w, 10);
    assert_string_equal(w->record, "aaaaa");
    kolk_timer_unref(a.timer);
}

static void drop_self(void *userdata) {
    struct alarm *alarm = userdata;
    alarm->timer = kolk_timer_unref(alarm->timer);
    append(alarm->w, alarm->name);
}

/* A callback may drop the last reference to its own timer; what it was given lives until it returns. */
static void a_callback_may_drop_its_timer(void **state) {
    struct world *w = *state;
    struct alarm a = {.w = w, .name = 'a'};
    assert_int_equal(kolk_timer_new(w->loop, drop_self, &a, destroy_alarm, &a.timer), 0);
    start_in(&a, 1);
    advance(w, 1);
    assert_string_equal(w->record, "a");
    assert_int_equal(a.destroyed, 1);
}

/* Dropping the last reference stops a running timer. */
static void dropping_a_timer_stops_it(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    start_in(&a, 1);
    assert_ptr_equal(kolk_timer_ref(a.timer), a.timer);
    assert_null(kolk_timer_unref(a.timer));
    assert_int_equal(a.destroyed, 0);
    assert_null(kolk_timer_unref(a.timer));
    assert_int_equal(a.destroyed, 1);
    advance(w, 10);
    assert_string_equal(w->record, "");
}

struct stopper {
    struct alarm *victim;
    int was_running;
};

static void stop_victim(void *userdata) {
    struct stopper *stopper = userdata;
    stopper->was_running = kolk_timer_stop(stopper->victim->timer);
}

/* A callback stops a timer that is due in the same turn. */
static void a_callback_stops_its_neighbour_of_the_same_turn(void **state) {
    struct world *w = *state;
    struct alarm victim;
    struct stopper stopper = {.victim = &victim};
    kolk_timer *timer = NULL;
    make_alarm(w, &victim, 'v');
    assert_int_equal(kolk_timer_new(w->loop, stop_victim, &stopper, NULL, &timer), 0);
    assert_int_equal(kolk_timer_start(timer, w->simulation.now_ns + 5), 0);
    start_in(&victim, 5);
    advance(w, 10);
    assert_string_equal(w->record, "");
    assert_int_equal(stopper.was_running, 1);
    kolk_timer_unref(timer);
    kolk_timer_unref(victim.timer);
}

static void move_victim(void *userdata) { start_in(((struct stopper *)userdata)->victim, 50); }

/* A callback moves a timer that is due in the same turn: it fires at its new time only. */
static void a_callback_moves_its_neighbour_of_the_same_turn(void **state) {
    struct world *w = *state;
    struct alarm victim;
    struct stopper stopper = {.victim = &victim};
    kolk_timer *timer = NULL;
    make_alarm(w, &victim, 'v');
    assert_int_equal(kolk_timer_new(w->loop, move_victim, &stopper, NULL, &timer), 0);
    assert_int_equal(kolk_timer_start(timer, w->simulation.now_ns + 5), 0);
    start_in(&victim, 5);
    advance(w, 10);
    assert_string_equal(w->record, "");
    advance(w, 50);
    assert_string_equal(w->record, "v");
    kolk_timer_unref(timer);
    kolk_timer_unref(victim.timer);
}

/* A deadline that has passed is due on the next turn; one at the end of time never comes. */
static void deadlines_at_both_ends_of_time(void **state) {
    struct world *w = *state;
    struct alarm past, present, never;
    make_alarm(w, &past, 'p');
    make_alarm(w, &present, 'q');
    make_alarm(w, &never, 'n');
    assert_int_equal(kolk_timer_start(past.timer, INT64_MIN), 0);
    start_in(&present, 0);
    assert_int_equal(kolk_timer_start(never.timer, INT64_MAX - 1), 0);
    assert_string_equal(w->record, "");
    advance(w, 0);
    assert_string_equal(w->record, "pq");
    advance(w, 1000000 * SECOND);
    assert_string_equal(w->record, "pq");
    assert_true(kolk_timer_when(never.timer) == INT64_MAX - 1);
    kolk_timer_unref(past.timer);
    kolk_timer_unref(present.timer);
    kolk_timer_unref(never.timer);
}

/* Starting, moving and stopping take no memory. */
static void starting_moving_and_stopping_allocate_nothing(void **state) {
    struct world *w = *state;
    struct alarm alarms[50];
    for (size_t i = 0; i < COUNT(alarms); i++)
        make_alarm(w, &alarms[i], 'x');
    for (size_t i = 0; i < COUNT(alarms); i++)
        start_in(&alarms[i], 1);
    advance(w, 1);
    failing_allocator_arm(&w->memory, 1, 1);
    for (size_t i = 0; i < COUNT(alarms); i++)
        kolk_timer_start(alarms[i].timer, w->simulation.now_ns + (int64_t)i * 977 * MS);
    for (size_t i = 0; i < COUNT(alarms); i++)
        kolk_timer_start(alarms[i].timer, w->simulation.now_ns + (int64_t)(i * 7919 % 100) * MS);
    for (size_t i = 0; i < COUNT(alarms); i += 2)
        kolk_timer_stop(alarms[i].timer);
    size_t asked = failing_allocator_disarm(&w->memory);
    for (size_t i = 0; i < COUNT(alarms); i++)
        kolk_timer_unref(alarms[i].timer);
    assert_int_equal(asked, 0);
}

/* A closed loop starts no timers, and those that ran do not any more. */
static void a_closed_loop_starts_no_timer(void **state) {
    struct world *w = *state;
    struct alarm a;
    make_alarm(w, &a, 'a');
    start_in(&a, 1);
    assert_int_equal(kolk_loop_close(w->loop), 0);
    assert_int_equal(kolk_timer_start(a.timer, 0), KOLK_ECLOSED);
    kolk_timer *another = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_timer_new(w->loop, ring, &destroyed, count_destroy, &another), KOLK_ECLOSED);
    assert_int_equal(destroyed, 1);
    kolk_timer_unref(a.timer);
    assert_int_equal(a.destroyed, 1);
    assert_string_equal(w->record, "");
}

/* Calls made with call_later and timers stand in one line. */
static void timers_and_calls_share_one_order(void **state) {
    struct world *w = *state;
    struct alarm a, b, c;
    make_alarm(w, &a, 'a');
    make_alarm(w, &b, 'b');
    make_alarm(w, &c, 'c');
    start_in(&a, 10);
    assert_int_equal(kolk_loop_call_later(w->loop, 10, ring, &b, NULL, NULL), 0);
    start_in(&c, 10);
    advance(w, 10);
    assert_string_equal(w->record, "abc");
    kolk_timer_unref(a.timer);
    kolk_timer_unref(b.timer);
    kolk_timer_unref(c.timer);
}

/* ---- Against an oracle ---- */

enum { TIMERS = 200, OPERATIONS = 100000 };

/* A running timer as the simplest possible implementation keeps it: in a list sorted by deadline, then by start. */
struct expected {
    int64_t when_ns;
    int id;
};

struct oracle {
    struct expected list[TIMERS];
    size_t length;
    int fired[TIMERS * 4];
    size_t fired_count;
    kolk_timer *timers[TIMERS];
};

struct probe {
    struct oracle *oracle;
    int id;
};

static void note_fired(void *userdata) {
    struct probe *probe = userdata;
    if (probe->oracle->fired_count < COUNT(probe->oracle->fired))
        probe->oracle->fired[probe->oracle->fired_count++] = probe->id;
}

static int oracle_remove(struct oracle *o, int id) {
    for (size_t i = 0; i < o->length; i++)
        if (o->list[i].id == id) {
            memmove(&o->list[i], &o->list[i + 1], (--o->length - i) * sizeof *o->list);
            return 1;
        }
    return 0;
}

static void oracle_start(struct oracle *o, int id, int64_t when_ns) {
    oracle_remove(o, id);
    size_t at = o->length;
    while (at > 0 && o->list[at - 1].when_ns > when_ns)
        at--;
    memmove(&o->list[at + 1], &o->list[at], (o->length++ - at) * sizeof *o->list);
    o->list[at] = (struct expected){.when_ns = when_ns, .id = id};
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Distances from a nanosecond to hours, each magnitude about as often, so that every level of any structure is used. */
static int64_t random_distance(uint64_t *seed) {
    return (int64_t)(next_random(seed) & ((UINT64_C(1) << (next_random(seed) % 44)) - 1));
}

static int random_walk(struct world *w, struct oracle *o, uint64_t seed, int operations) {
    for (int step = 0; step < operations; step++) {
        int id = (int)(next_random(&seed) % TIMERS);
        uint64_t what = next_random(&seed) % 10;
        if (what < 6) {
            int64_t when = w->simulation.now_ns + random_distance(&seed);
            /* Now and then the same moment as another one. */
            if (o->length && next_random(&seed) % 4 == 0)
                when = o->list[next_random(&seed) % o->length].when_ns;
            if (kolk_timer_start(o->timers[id], when) != 0 || kolk_timer_when(o->timers[id]) != when)
                return step;
            oracle_start(o, id, when);
        } else if (what < 8) {
            if (kolk_timer_stop(o->timers[id]) != oracle_remove(o, id))
                return step;
        } else {
            advance(w, random_distance(&seed));
            size_t due = 0;
            while (due < o->length && o->list[due].when_ns <= w->simulation.now_ns)
                due++;
            int wrong = o->fired_count != due;
            for (size_t i = 0; i < due && !wrong; i++)
                wrong = o->fired[i] != o->list[i].id;
            if (wrong)
                return step;
            o->length -= due;
            memmove(o->list, o->list + due, o->length * sizeof *o->list);
            o->fired_count = 0;
            kolk_plan plan;
            if (kolk_loop_prepare(w->loop, &plan) != 0 ||
                plan.deadline_ns != (o->length ? o->list[0].when_ns : (int64_t)KOLK_NEVER))
                return step;
        }
    }
    return operations;
}

/* Whatever is started, moved and stopped in whatever order: what fires, when, and in which order is what a sorted list says. */
static void any_sequence_agrees_with_a_sorted_list(void **state) {
    struct world *w = *state;
    const uint64_t seeds[] = {1, 0x9E3779B97F4A7C15, 20240229, 0xDEADBEEFCAFE};
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct oracle *o = calloc(1, sizeof *o);
        struct probe probes[TIMERS];
        for (int id = 0; id < TIMERS; id++) {
            probes[id] = (struct probe){.oracle = o, .id = id};
            assert_int_equal(kolk_timer_new(w->loop, note_fired, &probes[id], NULL, &o->timers[id]), 0);
        }
        int steps = random_walk(w, o, seeds[i], OPERATIONS / (int)COUNT(seeds));
        for (int id = 0; id < TIMERS; id++)
            kolk_timer_unref(o->timers[id]);
        size_t fired = o->fired_count, running = o->length;
        free(o);
        if (steps != OPERATIONS / (int)COUNT(seeds))
            fail_msg("seed %#llx: step %d disagrees, %zu fired, %zu still run", (unsigned long long)seeds[i], steps, fired,
                     running);
    }
}

/* ---- On real clocks ---- */

struct real {
    kolk_loop *loop;
    kolk_timer *timer;
    int64_t when_ns;
    int fired;
    int early;
};

static void start_again(void *userdata) {
    struct real *real = userdata;
    int64_t now = kolk_loop_time(real->loop);
    real->early += now < real->when_ns;
    if (++real->fired < 200) {
        real->when_ns = now + 1000 + real->fired * 137;
        kolk_timer_start(real->timer, real->when_ns);
    }
}

/* On every reactor, a timer of some microseconds fires, and not early. */
static void a_short_timer_is_never_early(void **state) {
    struct fixture *f = *state;
    struct real real = {.loop = f->loop};
    assert_int_equal(kolk_timer_new(f->loop, start_again, &real, NULL, &real.timer), 0);
    real.when_ns = kolk_loop_time(f->loop) + 1000;
    assert_int_equal(kolk_timer_start(real.timer, real.when_ns), 0);
    drive_until_count(f, &real.fired, 200);
    assert_int_equal(real.early, 0);
    kolk_timer_unref(real.timer);
}

static void move_earlier(void *userdata) {
    kolk_timer *timer = userdata;
    kolk_timer_start(timer, 0);
}

/* A deadline that moves forward while the loop waits for a later one is kept. */
static void a_deadline_that_moves_forward_is_kept(void **state) {
    struct fixture *f = *state;
    kolk_timer *timer = NULL;
    struct real real = {.fired = 1000};
    assert_int_equal(kolk_timer_new(f->loop, start_again, &real, NULL, &timer), 0);
    real.loop = f->loop;
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 1000 * SECOND), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, 2 * MS, move_earlier, timer, NULL, NULL), 0);
    drive_until_count(f, &real.fired, 1001);
    kolk_timer_unref(timer);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
#define SIMULATED(function) cmocka_unit_test_setup_teardown(function, make_world, end_world)
    const struct CMUnitTest simulated[] = {
        SIMULATED(a_timer_fires_once_and_never_early),
        SIMULATED(the_loop_sleeps_until_the_next_deadline),
        SIMULATED(starting_a_running_timer_moves_it),
        SIMULATED(a_stopped_timer_does_not_fire),
        SIMULATED(timers_fire_by_deadline_and_then_by_start),
        SIMULATED(a_callback_may_start_its_timer_again),
        SIMULATED(a_callback_may_drop_its_timer),
        SIMULATED(dropping_a_timer_stops_it),
        SIMULATED(a_callback_stops_its_neighbour_of_the_same_turn),
        SIMULATED(a_callback_moves_its_neighbour_of_the_same_turn),
        SIMULATED(deadlines_at_both_ends_of_time),
        SIMULATED(starting_moving_and_stopping_allocate_nothing),
        SIMULATED(a_closed_loop_starts_no_timer),
        SIMULATED(timers_and_calls_share_one_order),
        SIMULATED(any_sequence_agrees_with_a_sorted_list),
    };
    static const struct rule real[] = {
        RULE(a_short_timer_is_never_early),
        RULE(a_deadline_that_moves_forward_is_kept),
    };
    return cmocka_run_group_tests_name("timer", simulated, NULL, NULL) + run_matrix("timer", real, COUNT(real));
}
