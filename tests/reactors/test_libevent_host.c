/* The libevent reactor on an event_base that belongs to the program: the whole contract, and what is special about sharing. */
#define _GNU_SOURCE
#include "contract.h"

#include <kolk/registry.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PATIENCE INT64_C(5000000000)

static const kolk_reactor_ops *ops;

struct fixture {
    struct event_base *base;
    void *state;
    int ours, theirs; /* eventfds: one watched by the reactor, one by the program */
    struct event *event;
    kolk_ready ready[4];
    int calls;      /* of the program's callback */
    int results[3]; /* what the reactor answered inside it */
    int warnings;   /* of libevent */
    int notified;
};

static struct fixture the_fixture;

static void *allocate(void *userdata, size_t bytes) {
    (void)userdata;
    return malloc(bytes);
}

static void release(void *userdata, void *memory, size_t bytes) {
    (void)userdata;
    (void)bytes;
    free(memory);
}

static const kolk_allocator allocator = {sizeof allocator, 0, allocate, release, NULL};

static void count_warning(int severity, const char *message) {
    (void)severity;
    print_message("libevent: %s\n", message);
    the_fixture.warnings++;
}

static void on_event(evutil_socket_t fd, short what, void *userdata) {
    (void)what;
    struct fixture *f = userdata;
    uint64_t value;
    f->calls += read((int)fd, &value, sizeof value) == sizeof value;
}

static void on_event_use_reactor(evutil_socket_t fd, short what, void *userdata) {
    struct fixture *f = userdata;
    on_event(fd, what, userdata);
    f->results[0] = ops->collect(f->state, 0, f->ready, 4);
    f->results[1] = ops->collect(f->state, -1, f->ready, 4);
    f->results[2] = ops->wait(f->state, 1000);
}

static void feed(int fd) {
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static void listen_as_program(struct fixture *f, event_callback_fn callback) {
    f->event = event_new(f->base, f->theirs, EV_READ | EV_PERSIST, callback, f);
    assert_non_null(f->event);
    assert_int_equal(event_add(f->event, NULL), 0);
}

static void count_notification(void *userdata) { ((struct fixture *)userdata)->notified++; }

static int setup(void **state) {
    struct fixture *f = *state = &the_fixture;
    memset(f, 0, sizeof *f);
    f->base = event_base_new();
    f->ours = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->theirs = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    kolk_reactor_config config = {
        .size = sizeof config, .allocator = &allocator, .host = f->base, .notify = count_notification, .notify_userdata = f};
    event_set_log_callback(count_warning);
    return ops->open(&config, &f->state);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    ops->close(f->state);
    if (f->event)
        event_free(f->event);
    event_base_free(f->base);
    close(f->ours);
    close(f->theirs);
    return 0;
}

/* The program's callbacks run while kolk waits, and end the wait: they may have given kolk something to do. */
static void program_runs_during_collect(void **state) {
    struct fixture *f = *state;
    listen_as_program(f, on_event);
    feed(f->theirs);
    assert_int_equal(ops->collect(f->state, PATIENCE, f->ready, 4), 0);
    assert_int_equal(f->calls, 1);
}

/* What becomes ready while the program runs its base is kept for the next `collect`. */
static void readiness_gathers_while_the_program_runs(void **state) {
    struct fixture *f = *state;
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    feed(f->ours);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(ops->collect(f->state, 0, f->ready, 4), 1);
    assert_int_equal(f->ready[0].token, 7);
    assert_int_equal(f->ready[0].events, KOLK_EVENT_READ);
}

/* Inside a callback of the program `collect` does not run the base again: it hands out what there is, and cannot sleep. */
static void reactor_is_used_inside_a_callback(void **state) {
    struct fixture *f = *state;
    listen_as_program(f, on_event_use_reactor);
    feed(f->theirs);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->results[0], 0);
    assert_int_equal(f->results[1], -EBUSY);
    assert_int_equal(f->results[2], -EBUSY);
    assert_int_equal(f->warnings, 0);
}

/* Inside a callback, too, what is ready already is handed out. */
static void readiness_is_collected_inside_a_callback(void **state) {
    struct fixture *f = *state;
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    feed(f->ours);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    listen_as_program(f, on_event_use_reactor);
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    feed(f->theirs);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->results[0], 1);
    assert_int_equal(f->ready[0].token, 7);
    assert_int_equal(f->warnings, 0);
}

/* Who runs the base learns that something waits to be collected: once, until it was. */
static void readiness_is_notified_while_the_program_runs(void **state) {
    struct fixture *f = *state;
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_NONBLOCK | EVLOOP_ONCE), 0);
    assert_int_equal(f->notified, 0);
    feed(f->ours);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->notified, 1);
    assert_int_equal(ops->collect(f->state, 0, f->ready, 4), 1);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->notified, 2);
}

/* Also when the watch was changed in between, and what had been ready was dropped. */
static void readiness_of_a_new_watch_is_notified(void **state) {
    struct fixture *f = *state;
    feed(f->ours);
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 8), 0);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->notified, 2);
    assert_int_equal(ops->collect(f->state, 0, f->ready, 4), 1);
    assert_int_equal(f->ready[0].token, 8);
}

/* What kolk finds itself is no news to it. */
static void collecting_notifies_nobody(void **state) {
    struct fixture *f = *state;
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    feed(f->ours);
    assert_int_equal(ops->collect(f->state, 0, f->ready, 4), 1);
    assert_int_equal(ops->wait(f->state, PATIENCE), 1);
    assert_int_equal(f->notified, 0);
}

/* An older library says nothing about notifying, and its configuration ends before. */
static void an_older_library_is_not_notified(void **state) {
    struct fixture *f = *state;
    kolk_reactor_config config = {
        .size = offsetof(kolk_reactor_config, notify), .allocator = &allocator, .host = f->base, .notify = count_notification};
    ops->close(f->state);
    assert_int_equal(ops->open(&config, &f->state), 0);
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    feed(f->ours);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->notified, 0);
}

/* Closing takes our events from the program's base and leaves its own alone. */
static void closing_leaves_the_base_to_the_program(void **state) {
    struct fixture *f = *state;
    listen_as_program(f, on_event);
    assert_int_equal(ops->watch(f->state, f->ours, KOLK_EVENT_READ, 7), 0);
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 2);
    ops->close(f->state);
    f->state = NULL;
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 1);
    feed(f->ours);
    feed(f->theirs);
    assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->calls, 1);
}

static void *make_host(void) { return event_base_new(); }
static void free_host(void *host) { event_base_free(host); }

int main(int argc, char **argv) {
    kolk_error *error = NULL;
    if (argc != 2 || kolk_reactor_load(argv[1], &ops, &error) < 0) {
        fprintf(stderr, "usage: test_libevent_host MODULE\n%s\n", kolk_error_message(error));
        kolk_error_unref(error);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(program_runs_during_collect, setup, teardown),
        cmocka_unit_test_setup_teardown(readiness_gathers_while_the_program_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(reactor_is_used_inside_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(readiness_is_collected_inside_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(readiness_is_notified_while_the_program_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(readiness_of_a_new_watch_is_notified, setup, teardown),
        cmocka_unit_test_setup_teardown(collecting_notifies_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_library_is_not_notified, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_leaves_the_base_to_the_program, setup, teardown),
    };
    struct subject subject = describe("libevent, on a base of the program", ops);
    subject.make_host = make_host;
    subject.free_host = free_host;
    int failed = cmocka_run_group_tests_name("libevent on a base of the program", tests, NULL, NULL);
    return run_contract("reactor contract", &subject, 1) != 0 || failed != 0;
}
