/* The reactor "sim": how time passes there, what chance decides, and what a loop on it sees. What it shares with every other
 * reactor is in the contract's suite. */
#define _GNU_SOURCE
#include <kolk/kolk.h>
#include <kolk/sim.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { MOST = 64, SEEDS = 200 };

static const kolk_reactor_ops *ops;

static void *allocate(void *userdata, size_t bytes) {
    (void)userdata;
    void *memory = malloc(bytes);
    if (memory)
        memset(memory, 0xa5, bytes); /* nothing may count on zeroes */
    return memory;
}

static void release(void *userdata, void *memory, size_t bytes) {
    (void)userdata, (void)bytes;
    free(memory);
}

static const kolk_allocator memory = {sizeof memory, 0, allocate, release, NULL};

/* ---- On the reactor itself ---- */

struct world {
    void *state;
    int fds[MOST]; /* Readable, if they were opened. */
    int count;
    kolk_ready ready[MOST];
};

static int open_sim(const kolk_sim_options *options, void **ret_state) {
    kolk_reactor_config config = {.size = sizeof config, .allocator = &memory, .host = (void *)options};
    return ops->open(&config, ret_state);
}

static int begin(void **state) {
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static int end(void **state) {
    struct world *w = *state;
    ops->close(w->state);
    for (int i = 0; i < w->count; i++)
        close(w->fds[i]);
    free(w);
    return 0;
}

static void make(struct world *w, kolk_sim_options options) {
    options.size = sizeof options;
    ops->close(w->state);
    w->state = NULL;
    assert_int_equal(open_sim(&options, &w->state), 0);
    for (int i = 0; i < w->count; i++)
        assert_int_equal(ops->watch(w->state, w->fds[i], KOLK_EVENT_READ, (uint64_t)i), 0);
}

/* With so many descriptors that are ready, token 0 the lowest. */
static void make_with(struct world *w, kolk_sim_options options, int count) {
    while (w->count < count) {
        w->fds[w->count] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(w->fds[w->count] >= 0);
        w->count++;
    }
    make(w, options);
}

static int collect(struct world *w, int64_t timeout_ns) { return ops->collect(w->state, timeout_ns, w->ready, MOST); }

/* Without chance a sleep lasts exactly as long as it was asked to, and a look takes no time. */
static void a_sleep_is_exact(void **state) {
    struct world *w = *state;
    make(w, (kolk_sim_options){.start_ns = 5});
    assert_true(ops->now(w->state) == 5);
    assert_int_equal(collect(w, 0), 0);
    assert_true(ops->now(w->state) == 5);
    assert_int_equal(collect(w, 3600 * SECOND + 1), 0);
    assert_true(ops->now(w->state) == 3600 * SECOND + 6);
    assert_int_equal(ops->wait(w->state, 7), 0);
    assert_true(ops->now(w->state) == 3600 * SECOND + 13);
}

/* The clock stops at the end of time. */
static void the_clock_does_not_overflow(void **state) {
    struct world *w = *state;
    make(w, (kolk_sim_options){.seed = 3, .start_ns = 100, .lateness_ns = SECOND});
    assert_int_equal(collect(w, INT64_MAX - 50), 0);
    assert_true(ops->now(w->state) == INT64_MAX);
    assert_int_equal(collect(w, 10), 0);
    assert_true(ops->now(w->state) == INT64_MAX);
}

/* While something is ready nobody sleeps, so no time passes. */
static void what_is_ready_stops_the_clock(void **state) {
    struct world *w = *state;
    make_with(w, (kolk_sim_options){0}, 1);
    for (int i = 0; i < 3; i++) {
        assert_true(ops->wait(w->state, SECOND) >= 0);
        assert_int_equal(collect(w, SECOND), 1);
    }
    assert_true(ops->now(w->state) == 0);
}

/* With a lateness, sleeps are late, never early, and never by more than that; some are on time or nearly. */
static void a_sleep_is_late_by_what_is_allowed(void **state) {
    struct world *w = *state;
    int64_t latest = 0, earliest = INT64_MAX;
    make(w, (kolk_sim_options){.seed = 42, .lateness_ns = 1000});
    for (int i = 0; i < 1000; i++) {
        int64_t before = ops->now(w->state);
        assert_int_equal(collect(w, 10), 0);
        int64_t late = ops->now(w->state) - before - 10;
        assert_in_range(late, 0, 1000);
        latest = late > latest ? late : latest;
        earliest = late < earliest ? late : earliest;
    }
    assert_true(earliest < 50 && latest > 950);
}

/* Lateness without a seed is none: there is no chance then. */
static void without_a_seed_nothing_is_late(void **state) {
    struct world *w = *state;
    make(w, (kolk_sim_options){.lateness_ns = SECOND});
    assert_int_equal(collect(w, 10), 0);
    assert_true(ops->now(w->state) == 10);
}

/* Without a seed all that is ready comes at once, in the order of the descriptors. */
static void without_a_seed_the_order_is_that_of_descriptors(void **state) {
    struct world *w = *state;
    make_with(w, (kolk_sim_options){0}, 20);
    for (int i = 0; i < 20; i++) /* not in the order of watching */
        assert_int_equal(ops->watch(w->state, w->fds[i * 7 % 20], 0, 0), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ops->watch(w->state, w->fds[i * 13 % 20], KOLK_EVENT_READ, (uint64_t)(i * 13 % 20)), 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(collect(w, 0), 20);
        for (int i = 0; i < 20; i++)
            assert_int_equal(w->ready[i].token, i);
    }
}

/* What a few looks at descriptors that are all ready report, in words. */
static void describe(struct world *w, uint64_t seed, char *ret_text, size_t size) {
    size_t used = 0;
    make_with(w, (kolk_sim_options){.seed = seed, .lateness_ns = 100}, 6);
    for (int look = 0; look < 4; look++) {
        int count = collect(w, look % 2 ? 0 : SECOND);
        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(ret_text + used, size - used, "%d ", (int)w->ready[i].token);
        used += (size_t)snprintf(ret_text + used, size - used, "at %lld, ", (long long)ops->now(w->state));
    }
}

/* The same seed makes the same choices. */
static void a_seed_repeats_itself(void **state) {
    char first[1024], again[1024];
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        describe(*state, seed, first, sizeof first);
        describe(*state, seed, again, sizeof again);
        assert_string_equal(first, again);
    }
}

/* Every order of three occurs. */
static void seeds_find_every_order(void **state) {
    struct world *w = *state;
    int seen[27] = {0}, orders = 0;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        make_with(w, (kolk_sim_options){.seed = seed}, 3);
        if (collect(w, SECOND) == 3)
            seen[w->ready[0].token * 9 + w->ready[1].token * 3 + w->ready[2].token] = 1;
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        orders += seen[i];
    assert_int_equal(orders, 6);
}

/* Chance holds some back, but none twice running: two looks see everything, and one of them no descriptor twice. */
static void what_is_held_back_comes_with_the_next_look(void **state) {
    struct world *w = *state;
    int held_back = 0;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        make_with(w, (kolk_sim_options){.seed = seed}, 8);
        unsigned seen = 0;
        for (int look = 0; look < 2; look++) {
            unsigned now = 0;
            int count = collect(w, 0);
            for (int i = 0; i < count; i++) {
                assert_int_equal(now & 1u << w->ready[i].token, 0);
                now |= 1u << w->ready[i].token;
            }
            held_back += look == 0 && count < 8;
            seen |= now;
        }
        assert_int_equal(seen, 0xff);
    }
    assert_in_range(held_back, SEEDS / 2, SEEDS);
}

/* A look that may sleep never reports nothing while something is ready, and the clock stands still meanwhile. */
static void nothing_is_held_back_from_a_sleeper(void **state) {
    struct world *w = *state;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        make_with(w, (kolk_sim_options){.seed = seed, .lateness_ns = SECOND}, 1);
        for (int i = 0; i < 8; i++)
            assert_int_equal(collect(w, i % 2 ? -1 : SECOND), 1);
        assert_true(ops->now(w->state) == 0);
    }
}

/* Small arrays do not change that all of them get their turn, whatever the seed. */
static void chance_starves_nobody(void **state) {
    struct world *w = *state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        unsigned seen = 0;
        make_with(w, (kolk_sim_options){.seed = seed}, 8);
        for (int looks = 0; looks < 40; looks++) {
            int count = ops->collect(w->state, SECOND, w->ready, 2);
            assert_in_range(count, 1, 2);
            for (int i = 0; i < count; i++)
                seen |= 1u << w->ready[i].token;
        }
        assert_int_equal(seen, 0xff);
    }
}

/* Options that are too short, or ask for the impossible, are refused. */
static void impossible_options_are_refused(void **state) {
    struct world *w = *state;
    const kolk_sim_options wrong[] = {
        {.size = sizeof *wrong - 1},
        {.size = 0},
        {.size = sizeof *wrong, .start_ns = -1},
        {.size = sizeof *wrong, .lateness_ns = -1},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(open_sim(&wrong[i], &w->state), -EINVAL);
        assert_null(w->state);
    }
}

/* Whether a reactor opened without options makes the choices of that seed. */
static int follows(struct world *w, uint64_t seed) {
    char expected[1024], found[1024];
    size_t used = 0;
    make_with(w, (kolk_sim_options){.seed = seed}, 6);
    for (int round = 0; round < 2; round++) {
        char *text = round ? found : expected;
        used = 0;
        for (int look = 0; look < 6; look++) {
            int count = collect(w, 0);
            used += (size_t)snprintf(text + used, 1024 - used, "%d: ", count);
            for (int i = 0; i < count; i++)
                used += (size_t)snprintf(text + used, 1024 - used, "%d ", (int)w->ready[i].token);
        }
        ops->close(w->state);
        w->state = NULL;
        if (open_sim(NULL, &w->state) != 0)
            return -1;
        for (int i = 0; i < w->count; i++)
            assert_int_equal(ops->watch(w->state, w->fds[i], KOLK_EVENT_READ, (uint64_t)i), 0);
    }
    return strcmp(expected, found) == 0;
}

/* Without options the seed is in the environment; there it must be a number. With options it is not looked for. */
static void the_environment_has_the_seed(void **state) {
    struct world *w = *state;
    char *before = getenv("KOLK_SIM_SEED") ? strdup(getenv("KOLK_SIM_SEED")) : NULL;
    unsetenv("KOLK_SIM_SEED");
    int none = follows(w, 0);
    setenv("KOLK_SIM_SEED", "417", 1);
    int decimal = follows(w, 417), another = follows(w, 418);
    setenv("KOLK_SIM_SEED", "0xbeef", 1);
    int hexadecimal = follows(w, 0xbeef);
    static const char *const no_numbers[] = {"12 monkeys", "", "-1", "+1", " 7", "0x", "18446744073709551616"};
    int refused = 0;
    for (size_t i = 0; i < COUNT(no_numbers); i++) {
        void *opened = NULL;
        setenv("KOLK_SIM_SEED", no_numbers[i], 1);
        refused += open_sim(NULL, &opened) == -EINVAL;
        ops->close(opened);
    }
    setenv("KOLK_SIM_SEED", "18446744073709551615", 1);
    int largest = follows(w, UINT64_MAX);
    kolk_sim_options options = {.size = sizeof options};
    ops->close(w->state);
    int with_options = open_sim(&options, &w->state);
    unsetenv("KOLK_SIM_SEED");
    if (before)
        setenv("KOLK_SIM_SEED", before, 1);
    free(before);
    assert_int_equal(none, 1);
    assert_int_equal(decimal, 1);
    assert_int_equal(another, 0);
    assert_int_equal(hexadecimal, 1);
    assert_int_equal(refused, COUNT(no_numbers));
    assert_int_equal(largest, 1);
    assert_int_equal(with_options, 0);
}

/* ---- Through a loop ---- */

static kolk_loop *new_loop(kolk_sim_options sim) {
    sim.size = sizeof sim;
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops, .host = &sim};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    return loop;
}

static void end_loop(kolk_loop *loop) {
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

/* What the reactor refuses, the loop refuses in kolk's words. */
static void a_loop_refuses_impossible_options(void **state) {
    (void)state;
    kolk_sim_options sim = {.size = sizeof sim, .lateness_ns = -1};
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops, .host = &sim};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), KOLK_EINVAL);
    assert_null(loop);
}

static int sleep_often(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = 0;
    for (int i = 0; i < 20 && status == 0; i++)
        status = kolk_sleep(*(int64_t *)userdata);
    return status;
}

/* Twenty sleeps of a day are over at once, and have lasted twenty days. */
static void days_pass_at_once(void **state) {
    (void)state;
    int64_t day = 86400 * SECOND;
    kolk_loop *loop = new_loop((kolk_sim_options){.start_ns = 7});
    kolk_task *task = NULL;
    int status = kolk_create_task(loop, sleep_often, &day, NULL, NULL, &task);
    int run = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    int result = kolk_task_result(task, NULL);
    int64_t time = kolk_loop_time(loop);
    kolk_task_unref(task);
    end_loop(loop);
    assert_int_equal(status, 0);
    assert_int_equal(run, 0);
    assert_int_equal(result, 0);
    assert_true(time == 20 * day + 7);
}

/* A loop that has closed keeps the time it had. */
static void a_closed_loop_knows_its_last_time(void **state) {
    (void)state;
    int64_t moment = SECOND;
    kolk_loop *loop = new_loop((kolk_sim_options){0});
    int status = kolk_create_task(loop, sleep_often, &moment, NULL, NULL, NULL);
    for (int i = 0; i < 50 && kolk_loop_time(loop) < 20 * SECOND; i++)
        status |= kolk_loop_run_once(loop) < 0;
    int64_t before = kolk_loop_time(loop);
    int closed = kolk_loop_close(loop);
    int64_t after = kolk_loop_time(loop);
    kolk_loop_unref(loop);
    assert_int_equal(status, 0);
    assert_int_equal(closed, 0);
    assert_true(before == 20 * SECOND && after == before);
}

/* A host that sleeps in kolk_loop_wait() sleeps in virtual time too. */
static void a_host_sleeps_in_virtual_time(void **state) {
    (void)state;
    kolk_loop *loop = new_loop((kolk_sim_options){0});
    kolk_future *later = NULL;
    kolk_plan plan = {0};
    int status = kolk_sleep_async(loop, 9 * SECOND, &later);
    status |= kolk_loop_prepare(loop, &plan);
    status |= kolk_loop_wait(loop, 4 * SECOND);
    int64_t halfway = kolk_loop_time(loop);
    status |= kolk_loop_wait(loop, plan.deadline_ns);
    int64_t there = kolk_loop_time(loop);
    for (int i = 0; i < 3; i++)
        status |= kolk_loop_dispatch(loop, NULL, NULL);
    int done = kolk_future_done(later);
    kolk_future_unref(later);
    end_loop(loop);
    assert_int_equal(status, 0);
    assert_true(halfway == 4 * SECOND && there == 9 * SECOND);
    assert_int_equal(done, 1);
}

/* No descriptor can tell when virtual time has come. */
static void there_is_no_handle(void **state) {
    (void)state;
    kolk_loop *loop = new_loop((kolk_sim_options){0});
    int fd = kolk_loop_get_fd(loop);
    end_loop(loop);
    assert_int_equal(fd, KOLK_ENOTSUP);
}

static int64_t hundred(void *userdata) {
    (void)userdata;
    return 100;
}

/* A clock of the caller's comes before the reactor's. */
static void a_clock_of_the_loops_own_comes_first(void **state) {
    (void)state;
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops, .clock = hundred};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    int64_t time = kolk_loop_time(loop);
    end_loop(loop);
    assert_true(time == 100);
}

static void stop_soon(void *loop) { kolk_loop_stop(loop); }

static void *post_later(void *userdata) {
    nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
    kolk_loop_call_soon_threadsafe(userdata, stop_soon, userdata, NULL);
    return NULL;
}

/* Without timers a loop waits for other threads, in real time, which does not count. */
static void a_loop_without_timers_waits_for_threads(void **state) {
    (void)state;
    kolk_loop *loop = new_loop((kolk_sim_options){0});
    pthread_t thread;
    int status = pthread_create(&thread, NULL, post_later, loop);
    int run = status == 0 ? kolk_loop_run_forever(loop) : -1;
    int64_t time = kolk_loop_time(loop);
    if (status == 0)
        pthread_join(thread, NULL);
    end_loop(loop);
    assert_int_equal(run, 0);
    assert_true(time == 0);
}

struct yielding {
    int left;
    int64_t slept_until;
    int left_then;
};

static int yield_often(void *userdata, void **ret_result) {
    struct yielding *self = userdata;
    (void)ret_result;
    int status = 0;
    while (status == 0 && self->left-- > 0)
        status = kolk_sleep(0);
    return status;
}

static int sleep_once(void *userdata, void **ret_result) {
    struct yielding *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(5);
    self->slept_until = kolk_loop_time(kolk_loop_current());
    self->left_then = self->left;
    return status;
}

/* Time stands still while anybody has something to do: it passes when all wait. */
static void time_passes_when_all_wait(void **state) {
    (void)state;
    kolk_loop *loop = new_loop((kolk_sim_options){0});
    struct yielding self = {.left = 5000};
    kolk_task *yielding = NULL, *sleeping = NULL;
    int status = kolk_create_task(loop, yield_often, &self, NULL, NULL, &yielding);
    status |= kolk_create_task(loop, sleep_once, &self, NULL, NULL, &sleeping);
    status |= kolk_loop_run_until_complete(loop, kolk_task_as_future(sleeping));
    int yielded = kolk_task_done(yielding);
    kolk_task_unref(yielding);
    kolk_task_unref(sleeping);
    end_loop(loop);
    assert_int_equal(status, 0);
    assert_int_equal(yielded, 1);
    assert_int_equal(self.left_then, -1);
    assert_true(self.slept_until == 5);
}

enum { CHAIN = 300, BUSY_READERS = 3 };

/* A chain of callbacks that leaves the queue never empty, beside descriptors that are always ready. */
struct busy {
    kolk_loop *loop;
    int steps;
    int64_t dawdle_ns; /* how long a step takes, at least, in real time */
    uint64_t told;     /* who was told when, as one number */
};

struct busy_reader {
    struct busy *busy;
    int number;
};

static int64_t real_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void step_on(void *userdata) {
    struct busy *self = userdata;
    int64_t until = real_time() + self->dawdle_ns;
    while (real_time() < until)
        continue;
    if (++self->steps == CHAIN)
        kolk_loop_stop(self->loop);
    else
        kolk_loop_call_soon(self->loop, step_on, self, NULL, NULL);
}

static void note_told(void *userdata) {
    struct busy_reader *reader = userdata;
    struct busy *busy = reader->busy;
    busy->told = (busy->told * 31 + (uint64_t)reader->number) * 31 + (uint64_t)busy->steps;
}

static uint64_t run_busy(uint64_t seed, int64_t dawdle_ns) {
    struct busy busy = {.loop = new_loop((kolk_sim_options){.seed = seed}), .dawdle_ns = dawdle_ns};
    struct busy_reader readers[BUSY_READERS];
    int fds[BUSY_READERS], status = 0;
    for (int i = 0; i < BUSY_READERS; i++) {
        readers[i] = (struct busy_reader){&busy, i};
        fds[i] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        status |= kolk_loop_add_reader(busy.loop, fds[i], note_told, &readers[i], NULL);
    }
    status |= kolk_loop_call_soon(busy.loop, step_on, &busy, NULL, NULL);
    status |= kolk_loop_run_forever(busy.loop);
    end_loop(busy.loop);
    for (int i = 0; i < BUSY_READERS; i++)
        close(fds[i]);
    assert_int_equal(status, 0);
    assert_int_equal(busy.steps, CHAIN);
    return busy.told;
}

/* How fast the machine is has no influence: a loop that is busy looks at its descriptors as often when it is run again. */
static void a_busy_loop_repeats_itself(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_true(run_busy(seed, 0) == run_busy(seed, MS / 20));
    assert_true(run_busy(1, 0) != run_busy(2, 0));
}

/* ---- Tables ---- */

static int make_loop_on(const kolk_reactor_ops *table) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = table};
    kolk_loop *loop = NULL;
    int status = kolk_loop_new(&options, &loop, NULL);
    if (status == 0)
        end_loop(loop);
    return status;
}

/* A table that announces a clock must have one, all of it. */
static void an_announced_clock_must_be_there(void **state) {
    (void)state;
    kolk_reactor_ops table = *ops;
    assert_int_equal(make_loop_on(&table), 0);
    table.now = NULL;
    assert_int_equal(make_loop_on(&table), KOLK_EPLUGIN);
    for (uint32_t size = offsetof(kolk_reactor_ops, now); size < offsetof(kolk_reactor_ops, stay); size++) {
        table = *ops;
        table.size = size;
        assert_int_equal(make_loop_on(&table), KOLK_EPLUGIN);
    }
}

/* A table from before there were clocks is as good as ever: what lies behind its end is not looked at. */
static void a_table_without_a_clock_is_as_good_as_ever(void **state) {
    (void)state;
    kolk_reactor_ops table = *ops;
    table.size = offsetof(kolk_reactor_ops, now);
    table.caps = KOLK_REACTOR_WAIT;
    memset(&table.now, 0xff, sizeof table.now);
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = &table};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    int64_t time = kolk_loop_time(loop);
    end_loop(loop);
    assert_true(time > 0); /* CLOCK_MONOTONIC's, where sim's would be 0 */
}

/* It is never what a program gets without asking. */
static void it_is_never_the_default(void **state) {
    (void)state;
    char *chosen = getenv("KOLK_REACTOR") ? strdup(getenv("KOLK_REACTOR")) : NULL;
    unsetenv("KOLK_REACTOR");
    kolk_loop *loop = NULL;
    int status = kolk_loop_new(NULL, &loop, NULL);
    int asked_for = status == 0 && strcmp(kolk_loop_reactor(loop), "sim") == 0;
    if (chosen)
        setenv("KOLK_REACTOR", chosen, 1);
    free(chosen);
    if (status == 0)
        end_loop(loop);
    assert_int_equal(status, 0);
    assert_int_equal(asked_for, 0);
}

int main(int argc, char **argv) {
    if (argc != 2 || kolk_reactor_load(argv[1], &ops, NULL) < 0) {
        fprintf(stderr, "usage: test_sim MODULE\n");
        return 1;
    }
#define ALONE(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        ALONE(a_sleep_is_exact),
        ALONE(the_clock_does_not_overflow),
        ALONE(what_is_ready_stops_the_clock),
        ALONE(a_sleep_is_late_by_what_is_allowed),
        ALONE(without_a_seed_nothing_is_late),
        ALONE(without_a_seed_the_order_is_that_of_descriptors),
        ALONE(a_seed_repeats_itself),
        ALONE(seeds_find_every_order),
        ALONE(what_is_held_back_comes_with_the_next_look),
        ALONE(nothing_is_held_back_from_a_sleeper),
        ALONE(chance_starves_nobody),
        ALONE(impossible_options_are_refused),
        ALONE(the_environment_has_the_seed),
        cmocka_unit_test(a_loop_refuses_impossible_options),
        cmocka_unit_test(days_pass_at_once),
        cmocka_unit_test(a_closed_loop_knows_its_last_time),
        cmocka_unit_test(a_host_sleeps_in_virtual_time),
        cmocka_unit_test(there_is_no_handle),
        cmocka_unit_test(a_clock_of_the_loops_own_comes_first),
        cmocka_unit_test(a_loop_without_timers_waits_for_threads),
        cmocka_unit_test(time_passes_when_all_wait),
        cmocka_unit_test(a_busy_loop_repeats_itself),
        cmocka_unit_test(an_announced_clock_must_be_there),
        cmocka_unit_test(a_table_without_a_clock_is_as_good_as_ever),
        cmocka_unit_test(it_is_never_the_default),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
