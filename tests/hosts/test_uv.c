/* What only libuv does to its guests, in each of the three ways: its time stands still while callbacks run, what is armed
 * outside of uv_run() waits for the next one, handles close a turn later, errors end a watch, and a descriptor is made
 * non-blocking. */
#include "support/driver.h"
#include "support/sanitizers.h"

#include <kolk/uv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

struct stay {
    uint32_t way;
    uv_loop_t host;
    int host_is_closed;
    struct fixture f; /* The loop and the record. */
    kolk_guest *guest;
    uv_timer_t timer; /* The host's own. */
    int pair[2];      /* Two connected descriptors that do not block. */
    int64_t armed_ns; /* When a timer of kolk's was armed, and when it fired, on the loop's clock. */
    int64_t fired_ns;
    int counter;
    int limit;
};

static const kolk_reactor_ops *reactor_of(uint32_t way) { return way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : NULL; }

static int open_stay(void **state) {
    uint32_t way = (uint32_t)(uintptr_t)*state;
    const kolk_loop_options options = {.size = sizeof options, .reactor_ops = reactor_of(way)};
    const kolk_guest_options guest_options = {.size = sizeof guest_options, .way = way};
    struct stay *s = calloc(1, sizeof *s);
    s->way = way;
    if (uv_loop_init(&s->host) < 0 || kolk_loop_new(&options, &s->f.loop, NULL) < 0)
        return -1;
    uv_timer_init(&s->host, &s->timer);
    s->timer.data = s;
    open_pair(s->pair);
    *state = s;
    return kolk_uv_attach(s->f.loop, &s->host, &guest_options, &s->guest, NULL);
}

static int close_stay(void **state) {
    struct stay *s = *state;
    kolk_loop_close(s->f.loop);
    kolk_guest_unref(s->guest);
    kolk_loop_unref(s->f.loop);
    close_pair(s->pair);
    if (!s->host_is_closed) {
        uv_close((uv_handle_t *)&s->timer, NULL);
        uv_run(&s->host, UV_RUN_DEFAULT);
        if (uv_loop_close(&s->host) < 0)
            return -1;
    }
    free(s);
    return 0;
}

/* The host is busy: it does not get to uv_run() for so long. */
static void work(int64_t duration_ns) {
    nanosleep(&(struct timespec){.tv_sec = duration_ns / SECOND, .tv_nsec = duration_ns % SECOND}, NULL);
}

static void put_byte(int fd) {
    if (write(fd, "x", 1) != 1)
        abort();
}

static void stop_host(void *userdata) { uv_stop(&((struct stay *)userdata)->host); }

static void stop_on_timer(uv_timer_t *timer) { uv_stop(timer->loop); }

/* Runs the host for so long, or until somebody stops it. */
static void run_host(struct stay *s, uint64_t duration_ms) {
    uv_update_time(&s->host);
    uv_timer_start(&s->timer, stop_on_timer, duration_ms, 0);
    uv_run(&s->host, UV_RUN_DEFAULT);
    uv_timer_stop(&s->timer);
}

/* ---- time that stands still ---- */

static void note_time(void *userdata) {
    struct stay *s = userdata;
    s->fired_ns = kolk_loop_time(s->f.loop);
    stop_host(s);
}

static void arm(struct stay *s, int64_t delay_ns) {
    s->armed_ns = kolk_loop_time(s->f.loop);
    if (kolk_loop_call_later(s->f.loop, delay_ns, note_time, s, NULL, NULL) < 0)
        abort();
}

static void assert_fired_after(struct stay *s, int64_t delay_ns, int64_t at_most_ns) {
    assert_true(s->fired_ns >= s->armed_ns + delay_ns);
    assert_true(s->fired_ns < s->armed_ns + at_most_ns);
}

/* Something else that happens, so that libuv looks at its timers. */
static void work_and_arm(uv_timer_t *timer) {
    struct stay *s = timer->data;
    work(300 * MS);
    arm(s, 100 * MS);
    uv_timer_start(timer, stop_on_timer, 5000, 0);
    put_byte(s->pair[1]);
}

static void drain(void *userdata) {
    struct stay *s = userdata;
    char byte;
    while (read(s->pair[0], &byte, 1) == 1)
        s->counter++;
}

/* A timer of libuv's own, started there, fires at once. */
static void a_timer_armed_after_work_is_not_early(void **state) {
    struct stay *s = *state;
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], drain, s, NULL), 0);
    uv_timer_start(&s->timer, work_and_arm, 0, 0);
    uv_run(&s->host, UV_RUN_DEFAULT);
    assert_fired_after(s, 100 * MS, 1000 * MS);
    assert_int_equal(s->counter, 1);
}

static void arm_and_work(uv_timer_t *timer) {
    struct stay *s = timer->data;
    arm(s, 300 * MS);
    work(250 * MS);
    uv_timer_start(timer, stop_on_timer, 5000, 0);
}

/* A timer of libuv's own fires late by the work. */
static void a_timer_armed_before_work_is_on_time(void **state) {
    struct stay *s = *state;
    uv_timer_start(&s->timer, arm_and_work, 0, 0);
    uv_run(&s->host, UV_RUN_DEFAULT);
    assert_fired_after(s, 300 * MS, 500 * MS);
}

static void a_timer_that_comes_due_during_work_fires_after_it(void **state) {
    struct stay *s = *state;
    arm(s, 10 * MS);
    work(50 * MS);
    uv_timer_start(&s->timer, stop_on_timer, 5000, 0);
    uv_run(&s->host, UV_RUN_DEFAULT);
    assert_fired_after(s, 10 * MS, 1000 * MS);
}

static void again_and_again(void *userdata) {
    struct stay *s = userdata;
    if (s->counter++ < s->limit && kolk_loop_call_later(s->f.loop, 0, again_and_again, s, NULL, NULL) < 0)
        abort();
}

static void end_of_it(uv_async_t *async) {
    struct stay *s = async->data;
    s->limit = 0;
    uv_close((uv_handle_t *)async, NULL);
    uv_stop(&s->host);
}

/* libuv 1.44 runs timers until none is due, and one that is started by a timer, for now, is. */
static void timers_that_are_always_due_leave_the_host_its_turn(void **state) {
    struct stay *s = *state;
    uv_async_t async = {.data = s};
    s->limit = INT32_MAX;
    again_and_again(s);
    uv_async_init(&s->host, &async, end_of_it);
    uv_async_send(&async);
    run_host(s, 5000);
    assert_int_equal(s->limit, 0);
    run_host(s, 1);
}

/* ---- libuv within another loop: wait for its descriptor, for as long as it says, then let it run without waiting ---- */

static void run_embedded(struct stay *s) {
    int timeout = uv_backend_timeout(&s->host);
    struct pollfd backend = {.fd = uv_backend_fd(&s->host), .events = POLLIN};
    if (timeout < 0 || timeout > 2000)
        timeout = 2000;
    if (poll(&backend, 1, timeout) < 0 && errno != EINTR)
        abort();
    uv_run(&s->host, UV_RUN_NOWAIT);
}

/* Runs the host so, three times at the most: once so that it arms what it was asked for, once to wait for it, and once for what
 * a thread says. */
static void run_embedded_until(struct stay *s, const int *counter) {
    for (int i = 0; i < 3 && *counter == 0; i++)
        run_embedded(s);
}

static void come_to_rest(struct stay *s) {
    for (int i = 0; i < 5; i++) {
        uv_run(&s->host, UV_RUN_NOWAIT);
        work(2 * MS);
    }
}

static void count(void *userdata) { ((struct stay *)userdata)->counter++; }

static void a_reader_added_between_runs_is_seen(void **state) {
    struct stay *s = *state;
    come_to_rest(s);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], drain, s, NULL), 0);
    put_byte(s->pair[1]);
    run_embedded_until(s, &s->counter);
    assert_int_equal(s->counter, 1);
}

/* Nothing is to be armed by a run in between where kolk has a descriptor or a thread of its own. */
static void a_reader_added_between_runs_makes_the_descriptor_readable(void **state) {
    struct stay *s = *state;
    struct pollfd backend = {.fd = uv_backend_fd(&s->host), .events = POLLIN};
    come_to_rest(s);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], drain, s, NULL), 0);
    put_byte(s->pair[1]);
    if (s->way == KOLK_GUEST_REACTOR)
        assert_int_equal(uv_backend_timeout(&s->host), 0);
    else
        assert_int_equal(poll(&backend, 1, 2000), 1);
}

static void a_timer_armed_between_runs_is_seen(void **state) {
    struct stay *s = *state;
    come_to_rest(s);
    work(50 * MS);
    arm(s, 50 * MS);
    for (int i = 0; i < 100 && !s->fired_ns; i++)
        run_embedded(s);
    assert_fired_after(s, 50 * MS, 1000 * MS);
}

static void an_earlier_timer_between_runs_is_seen(void **state) {
    struct stay *s = *state;
    assert_int_equal(kolk_loop_call_later(s->f.loop, 60 * SECOND, count, s, NULL, NULL), 0);
    come_to_rest(s);
    arm(s, 20 * MS);
    for (int i = 0; i < 100 && !s->fired_ns; i++)
        run_embedded(s);
    assert_fired_after(s, 20 * MS, 1000 * MS);
    assert_int_equal(s->counter, 0);
}

static void a_call_between_runs_is_seen(void **state) {
    struct stay *s = *state;
    come_to_rest(s);
    assert_int_equal(kolk_loop_call_soon(s->f.loop, count, s, NULL, NULL), 0);
    run_embedded_until(s, &s->counter);
    assert_int_equal(s->counter, 1);
}

static void *call_from_here(void *userdata) {
    struct stay *s = userdata;
    work(20 * MS);
    if (kolk_loop_call_soon_threadsafe(s->f.loop, count, s, NULL) < 0)
        abort();
    return NULL;
}

static void a_call_from_another_thread_is_seen(void **state) {
    struct stay *s = *state;
    pthread_t thread;
    come_to_rest(s);
    assert_int_equal(pthread_create(&thread, NULL, call_from_here, s), 0);
    run_embedded_until(s, &s->counter);
    pthread_join(thread, NULL);
    assert_int_equal(s->counter, 1);
}

/* ---- handles ---- */

static void detach(void *userdata) {
    struct stay *s = userdata;
    if (kolk_guest_detach(s->guest) < 0)
        abort();
}

/* As a server does. */
static void a_guest_keeps_the_host_running(void **state) {
    struct stay *s = *state;
    come_to_rest(s);
    assert_int_not_equal(uv_loop_alive(&s->host), 0);
    assert_int_equal(kolk_loop_call_later(s->f.loop, 20 * MS, detach, s, NULL, NULL), 0);
    assert_int_equal(uv_run(&s->host, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_alive(&s->host), 0);
}

static void closing_takes_one_run_in_which_nobody_is_called(void **state) {
    struct stay *s = *state;
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], count, s, NULL), 0);
    assert_int_equal(kolk_loop_call_later(s->f.loop, 0, count, s, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(s->f.loop, count, s, NULL, NULL), 0);
    put_byte(s->pair[1]);
    uv_close((uv_handle_t *)&s->timer, NULL);
    detach(s);
    assert_int_equal(uv_loop_close(&s->host), UV_EBUSY);
    assert_int_equal(uv_run(&s->host, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&s->host), 0);
    s->host_is_closed = 1;
    assert_int_equal(s->counter, 0);
}

static void stays_may_follow_each_other_without_a_run_in_between(void **state) {
    struct stay *s = *state;
    const kolk_guest_options options = {.size = sizeof options, .way = s->way};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kolk_loop_call_later(s->f.loop, 0, count, s, NULL, NULL), 0);
        detach(s);
        s->guest = kolk_guest_unref(s->guest);
        assert_int_equal(kolk_uv_attach(s->f.loop, &s->host, &options, &s->guest, NULL), 0);
    }
    assert_int_equal(kolk_loop_call_later(s->f.loop, 10 * MS, stop_host, s, NULL, NULL), 0);
    run_host(s, 5000);
    assert_int_equal(s->counter, 10);
}

/* ---- descriptors ---- */

static void a_blocking_descriptor_stays_blocking(void **state) {
    struct stay *s = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int flags = fcntl(ends[0], F_GETFL);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, ends[0], count, s, NULL), 0);
    run_host(s, 1);
    assert_int_equal(fcntl(ends[0], F_GETFL), flags);
    kolk_loop_remove_reader(s->f.loop, ends[0]);
    close_pair(ends);
}

static void a_file_is_refused(void **state) {
    struct stay *s = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, fileno(file), count, s, NULL), KOLK_ENOTSUP);
    fclose(file);
    run_host(s, 1);
}

static void a_closed_descriptor_is_refused(void **state) {
    struct stay *s = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, ends[0], count, s, NULL), KOLK_EBADF);
    run_host(s, 1);
}

static void on_hosts_readable(uv_poll_t *poll, int status, int events) {
    struct stay *s = poll->data;
    (void)status;
    (void)events;
    drain(s);
    uv_stop(&s->host);
}

/* libuv has one handle per descriptor. */
static void a_descriptor_that_the_host_watches_stays_its_own(void **state) {
    struct stay *s = *state;
    uv_poll_t poll = {.data = s};
    assert_int_equal(uv_poll_init(&s->host, &poll, s->pair[0]), 0);
    assert_int_equal(uv_poll_start(&poll, UV_READABLE, on_hosts_readable), 0);
    int expected = s->way == KOLK_GUEST_REACTOR ? KOLK_EBUSY : 0;
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], drain, s, NULL), expected);
    kolk_loop_remove_reader(s->f.loop, s->pair[0]);
    put_byte(s->pair[1]);
    run_host(s, 5000);
    assert_int_equal(s->counter, 1);
    uv_close((uv_handle_t *)&poll, NULL);
    run_host(s, 1);
}

static void count_to_three(void *userdata) {
    struct stay *s = userdata;
    if (++s->counter == 3)
        stop_host(s);
}

/* The reading end is closed: an error, and nothing else. libuv stops watching then. */
static void an_error_is_told_until_the_writer_is_removed(void **state) {
    struct stay *s = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    while (write(ends[1], "0123456789abcdef", 16) == 16)
        ;
    assert_int_equal(kolk_loop_add_writer(s->f.loop, ends[1], count_to_three, s, NULL), 0);
    run_host(s, 10);
    assert_int_equal(s->counter, 0);
    close(ends[0]);
    run_host(s, 5000);
    assert_true(s->counter >= 3);
    assert_int_equal(kolk_loop_remove_writer(s->f.loop, ends[1]), 1);
    s->counter = 0;
    run_host(s, 10);
    assert_int_equal(s->counter, 0);
    close(ends[1]);
}

/* ---- fork ---- */

static int be_the_child(struct stay *s) {
    alarm(20);
    if (uv_loop_fork(&s->host) < 0 || kolk_loop_after_fork(s->f.loop) < 0)
        return 2;
    run_host(s, 50);
    if (s->counter != 1)
        return 3;
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_from_here, s) != 0)
        return 4;
    for (int i = 0; i < 40 && s->counter < 2; i++)
        run_host(s, 50);
    pthread_join(thread, NULL);
    return s->counter == 2 ? 0 : 5;
}

/* libuv forgot to do so before 1.45: the bell would be silent for ever. */
static void a_bell_that_rings_during_a_fork_rings_again_in_the_child(void **state) {
    struct stay *s = *state;
    int status = 0;
    if (!MAY_FORK)
        skip();
    come_to_rest(s);
    assert_int_equal(kolk_loop_call_soon_threadsafe(s->f.loop, count, s, NULL), 0);
    assert_int_equal(kolk_loop_call_later(s->f.loop, 1, stop_host, s, NULL, NULL), 0);
    work(50 * MS);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(be_the_child(s));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    run_host(s, 50);
    assert_int_equal(s->counter, 1);
}

static int run_without_kolk(struct stay *s) {
    alarm(20);
    if (uv_loop_fork(&s->host) < 0)
        return 2;
    for (int i = 0; i < 3; i++)
        run_embedded(s);
    struct pollfd backend = {.fd = uv_backend_fd(&s->host), .events = POLLIN};
    return poll(&backend, 1, 0) == 0 ? 0 : 3;
}

/* What is readable, and never read there, is told once. */
static void a_child_without_use_for_kolk_may_run_its_host(void **state) {
    struct stay *s = *state;
    int status = 0;
    if (!MAY_FORK)
        skip();
    come_to_rest(s);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[0], drain, s, NULL), 0);
    put_byte(s->pair[1]);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        uv_timer_start(&s->timer, stop_on_timer, 50, 0);
        _exit(run_without_kolk(s));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    run_embedded_until(s, &s->counter);
    assert_int_equal(s->counter, 1);
}

/* ---- misuse ---- */

static void nonsense_is_refused_in_words(void **state) {
    struct stay *s = *state;
    const kolk_guest_options options = {.size = sizeof options, .way = s->way};
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_uv_attach(s->f.loop, NULL, &options, &guest, &error), KOLK_EINVAL);
    assert_string_equal(kolk_error_message(error), "the uv_loop_t is NULL");
    error = kolk_error_unref(error);
    assert_int_equal(kolk_uv_attach(s->f.loop, &s->host, &options, NULL, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_int_equal(kolk_uv_attach(NULL, &s->host, &options, &guest, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_uv_attach(s->f.loop, &s->host, &options, &guest, &error), KOLK_EBUSY);
    kolk_error_unref(error);
    assert_null(guest);
}

/* ---- all of them, in each way ---- */

static const struct rule rules[] = {
    RULE(a_timer_armed_after_work_is_not_early),
    RULE(a_timer_armed_before_work_is_on_time),
    RULE(a_timer_that_comes_due_during_work_fires_after_it),
    RULE(timers_that_are_always_due_leave_the_host_its_turn),
    RULE(a_reader_added_between_runs_is_seen),
    RULE(a_reader_added_between_runs_makes_the_descriptor_readable),
    RULE(a_timer_armed_between_runs_is_seen),
    RULE(an_earlier_timer_between_runs_is_seen),
    RULE(a_call_between_runs_is_seen),
    RULE(a_call_from_another_thread_is_seen),
    RULE(a_guest_keeps_the_host_running),
    RULE(closing_takes_one_run_in_which_nobody_is_called),
    RULE(stays_may_follow_each_other_without_a_run_in_between),
    RULE(a_blocking_descriptor_stays_blocking),
    RULE(a_file_is_refused),
    RULE(a_closed_descriptor_is_refused),
    RULE(a_descriptor_that_the_host_watches_stays_its_own),
    RULE(an_error_is_told_until_the_writer_is_removed),
    RULE(a_bell_that_rings_during_a_fork_rings_again_in_the_child),
    RULE(a_child_without_use_for_kolk_may_run_its_host),
    RULE(nonsense_is_refused_in_words),
};

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        uint32_t way;
    } ways[] = {{"handle", KOLK_GUEST_HANDLE}, {"thread", KOLK_GUEST_THREAD}, {"reactor", KOLK_GUEST_REACTOR}};
    static struct CMUnitTest tests[COUNT(ways) * COUNT(rules)];
    static char names[COUNT(tests)][96];
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (size_t i = 0; i < COUNT(tests); i++) {
        const struct rule *rule = &rules[i % COUNT(rules)];
        snprintf(names[i], sizeof names[i], "%s: %s", ways[i / COUNT(rules)].name, rule->name);
        tests[i] =
            (struct CMUnitTest){names[i], rule->check, open_stay, close_stay, (void *)(uintptr_t)ways[i / COUNT(rules)].way};
    }
    return cmocka_run_group_tests_name("uv", tests, NULL, NULL);
}
