/* What is special about libevent as a host, beside the rules for all: what it watches with, what it prints, what it keeps. */
#include "support/sanitizers.h"

#include <kolk/kolk.h>
#include <kolk/libevent.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static const uint32_t ways[] = {KOLK_GUEST_HANDLE, KOLK_GUEST_THREAD, KOLK_GUEST_REACTOR};
static int complaints; /* Of libevent. */

struct fixture {
    struct event_base *base;
    kolk_loop *loop;
    kolk_guest *guest;
    int fd; /* An eventfd. */
    int timers, reads, posts;
    int64_t due;
    int early;
};

static void on_complaint(int severity, const char *message) {
    (void)severity;
    print_message("libevent: %s\n", message);
    complaints++;
}

static struct event_base *make_base(const char *method) {
    static const char *const methods[] = {"epoll", "poll", "select"};
    struct event_config *config = event_config_new();
    assert_non_null(config);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i], method) != 0)
            assert_int_equal(event_config_avoid_method(config, methods[i]), 0);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    assert_non_null(base);
    assert_string_equal(event_base_get_method(base), method);
    return base;
}

static void begin(struct fixture *f, const char *method, uint32_t way) {
    memset(f, 0, sizeof *f);
    const kolk_loop_options of_loop = {.size = sizeof of_loop,
                                       .reactor_ops = way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : NULL};
    const kolk_guest_options of_guest = {.size = sizeof of_guest, .way = way};
    complaints = 0;
    event_set_log_callback(on_complaint);
    f->base = make_base(method);
    f->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(kolk_loop_new(&of_loop, &f->loop, NULL), 0);
    assert_int_equal(kolk_libevent_attach(f->loop, f->base, &of_guest, &f->guest, NULL), 0);
    assert_int_equal(kolk_guest_way(f->guest), way);
}

static int events_of(struct event_base *base) {
    return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE);
}

static void end(struct fixture *f) {
    kolk_guest_unref(f->guest);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_loop_unref(f->loop);
    assert_int_equal(events_of(f->base), 0);
    assert_int_equal(complaints, 0);
    event_base_free(f->base);
    close(f->fd);
}

static void maybe_end(struct fixture *f) {
    if (f->timers > 0 && f->reads > 0 && f->posts > 0)
        event_base_loopbreak(f->base);
}

static void on_timer(void *userdata) {
    struct fixture *f = userdata;
    f->timers++;
    f->early = kolk_loop_time(f->loop) < f->due;
    eventfd_write(f->fd, 1);
    maybe_end(f);
}

static void on_readable(void *userdata) {
    struct fixture *f = userdata;
    eventfd_t value;
    f->reads += eventfd_read(f->fd, &value) == 0;
    maybe_end(f);
}

static void on_post(void *userdata) {
    struct fixture *f = userdata;
    f->posts++;
    maybe_end(f);
}

static void *post_from_elsewhere(void *userdata) {
    struct fixture *f = userdata;
    usleep(5000);
    return (void *)(intptr_t)kolk_loop_call_soon_threadsafe(f->loop, on_post, f, NULL);
}

/* Whatever a base waits with, and whatever the way: timers, descriptors and posts arrive; and the base has no locks. */
static void everything_arrives(const char *method) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        pthread_t poster;
        void *status;
        begin(&f, method, ways[i]);
        f.due = kolk_loop_time(f.loop) + 10 * MS;
        assert_int_equal(kolk_loop_call_at(f.loop, f.due, on_timer, &f, NULL, NULL), 0);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        assert_int_equal(pthread_create(&poster, NULL, post_from_elsewhere, &f), 0);
        assert_int_equal(event_base_dispatch(f.base), 0);
        pthread_join(poster, &status);
        assert_null(status);
        assert_int_equal(f.timers + f.reads + f.posts, 3);
        assert_false(f.early);
        end(&f);
    }
}

static void everything_arrives_over_epoll(void **state) {
    (void)state;
    everything_arrives("epoll");
}

static void everything_arrives_over_poll(void **state) {
    (void)state;
    everything_arrives("poll");
}

static void everything_arrives_over_select(void **state) {
    (void)state;
    everything_arrives("select");
}

/* The base has nothing of kolk's after the stay, and event_base_dispatch() finds nothing to wait for. */
static void leaves_the_base_empty(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        begin(&f, "epoll", ways[i]);
        assert_int_equal(kolk_loop_call_later(f.loop, 3600000 * MS, on_timer, &f, NULL, NULL), 0);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(f.loop, on_post, &f, NULL, NULL), 0);
        assert_true(events_of(f.base) > 0);
        assert_int_equal(kolk_guest_detach(f.guest), 0);
        assert_int_equal(events_of(f.base), 0);
        assert_int_equal(event_base_dispatch(f.base), 1);
        assert_int_equal(f.posts, 0);
        end(&f);
    }
}

/* libevent writes about descriptors that epoll refuses. It never sees them. */
static void says_nothing_about_bad_descriptors(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, "epoll", KOLK_GUEST_REACTOR);
    FILE *file = tmpfile();
    int device = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_non_null(file);
    assert_true(device >= 0);
    assert_int_equal(kolk_loop_add_reader(f.loop, fileno(file), on_readable, &f, NULL), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_add_reader(f.loop, device, on_readable, &f, NULL), KOLK_ENOTSUP);
    fclose(file);
    close(device);
    assert_int_equal(kolk_loop_add_reader(f.loop, device, on_readable, &f, NULL), KOLK_EBADF);
    end(&f);
}

/* A descriptor that was closed first is forgotten without a word, and the new file behind its number is watched. */
static void a_number_is_used_again(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, "epoll", KOLK_GUEST_REACTOR);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    close(f.fd);
    assert_int_equal(kolk_loop_remove_reader(f.loop, f.fd), 1);
    int again = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(again, f.fd);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    eventfd_write(f.fd, 1);
    for (int i = 0; i < 3 && f.reads == 0; i++)
        assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
    assert_int_equal(f.reads, 1);
    end(&f);
}

/* In a child, which has reinitialised its base and does nothing with kolk, while something is readable that nobody reads. */
static void check_child(struct fixture *f, uint32_t way) {
    int status = 0, events = events_of(f->base);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (event_reinit(f->base) < 0)
            _exit(2);
        for (int i = 0; i < 3; i++)
            if (event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0)
                _exit(3);
        /* What would be told again and again is watched no more. */
        _exit(way != KOLK_GUEST_THREAD && events_of(f->base) >= events ? 4 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < 3 && f->reads == 0; i++)
        assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
    assert_int_equal(f->reads, 1);
}

static void a_child_without_use_for_kolk_may_run_its_base(void **state) {
    (void)state;
    if (!MAY_FORK)
        skip();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        begin(&f, "epoll", ways[i]);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        for (int j = 0; j < 3; j++)
            assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
        eventfd_write(f.fd, 1);
        if (ways[i] == KOLK_GUEST_THREAD)
            usleep(20000); /* The bell rings. */
        check_child(&f, ways[i]);
        end(&f);
    }
}

/* ---- the reactor "libevent" on the base itself ---- */

static const kolk_reactor_ops *reactor(void) {
    static const kolk_reactor_ops *ops;
    char path[4096];
    snprintf(path, sizeof path, "%s/kolk-reactor-libevent.so", getenv("KOLK_TEST_MODULES"));
    if (ops == NULL && kolk_reactor_load(path, &ops, NULL) < 0 && kolk_reactor_find("libevent", &ops, NULL) < 0)
        skip();
    return ops;
}

/* With a base that is given, or one that is made. */
static void begin_on(struct fixture *f, struct event_base *base) {
    memset(f, 0, sizeof *f);
    f->base = base != NULL ? base : event_base_new();
    const kolk_loop_options options = {.size = sizeof options, .reactor_ops = reactor(), .host = f->base};
    complaints = 0;
    event_set_log_callback(on_complaint);
    f->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(kolk_loop_new(&options, &f->loop, NULL), 0);
    assert_int_equal(kolk_libevent_attach(f->loop, f->base, NULL, &f->guest, NULL), 0);
    assert_int_equal(kolk_guest_way(f->guest), KOLK_GUEST_REACTOR);
}

static void ask_for_everything(struct fixture *f) {
    f->due = kolk_loop_time(f->loop) + 10 * MS;
    assert_int_equal(kolk_loop_call_at(f->loop, f->due, on_timer, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, f->fd, on_readable, f, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, on_post, f, NULL), 0);
}

/* Nothing of it tells whether it runs. */
static void a_base_that_remembers_no_time_is_a_host_like_others(void **state) {
    (void)state;
    struct event_config *config = event_config_new();
    assert_int_equal(event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME), 0);
    struct fixture f;
    begin_on(&f, event_base_new_with_config(config));
    event_config_free(config);
    ask_for_everything(&f);
    for (int i = 0; i < 100 && (f.timers == 0 || f.reads == 0 || f.posts == 0); i++)
        assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
    assert_int_equal(f.timers + f.reads + f.posts, 3);
    assert_false(f.early);
    end(&f);
}

static void detaching_takes_the_events_of_the_reactor_as_well(void **state) {
    (void)state;
    struct fixture f;
    begin_on(&f, NULL);
    ask_for_everything(&f);
    assert_int_equal(kolk_guest_detach(f.guest), 0);
    assert_int_equal(events_of(f.base), 0);

    /* What is asked for meanwhile, and what was, is there in the next stay. */
    int other = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(kolk_loop_add_reader(f.loop, other, on_readable, &f, NULL), 0);
    assert_int_equal(kolk_loop_remove_reader(f.loop, other), 1);
    assert_int_equal(events_of(f.base), 0);
    kolk_guest_unref(f.guest);
    assert_int_equal(kolk_libevent_attach(f.loop, f.base, NULL, &f.guest, NULL), 0);
    assert_int_equal(event_base_dispatch(f.base), 0);
    assert_int_equal(f.timers + f.reads + f.posts, 3);
    end(&f);
    close(other);
}

static void on_last_timer(void *userdata) {
    struct fixture *f = userdata;
    on_timer(f);
    kolk_loop_stop(f->loop);
}

static void after_a_stay_the_loop_may_run_by_itself(void **state) {
    (void)state;
    struct fixture f;
    begin_on(&f, NULL);
    ask_for_everything(&f);
    assert_int_equal(kolk_loop_call_later(f.loop, 40 * MS, on_last_timer, &f, NULL, NULL), 0);
    assert_int_equal(kolk_guest_detach(f.guest), 0);
    assert_int_equal(kolk_loop_run_forever(f.loop), 0);
    assert_int_equal(f.timers, 2);
    assert_true(f.reads > 0);
    assert_int_equal(f.posts, 1);
    end(&f);
}

static void after_a_stay_the_base_may_go_first(void **state) {
    (void)state;
    struct fixture f;
    begin_on(&f, NULL);
    ask_for_everything(&f);
    assert_int_equal(kolk_guest_detach(f.guest), 0);
    event_base_free(f.base);
    assert_int_equal(kolk_loop_remove_reader(f.loop, f.fd), 1);
    kolk_guest_unref(f.guest);
    assert_int_equal(kolk_loop_close(f.loop), 0);
    kolk_loop_unref(f.loop);
    assert_int_equal(complaints, 0);
    close(f.fd);
}

static void on_event_of_the_program(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    ++*(int *)userdata;
}

static void a_turn_from_outside_runs_nothing_of_the_base(void **state) {
    (void)state;
    struct fixture f;
    const struct timeval at_once = {0, 0};
    int calls = 0;
    begin_on(&f, NULL);
    struct event *theirs = event_new(f.base, -1, 0, on_event_of_the_program, &calls);
    assert_int_equal(event_add(theirs, &at_once), 0);
    assert_int_equal(kolk_loop_call_soon(f.loop, on_post, &f, NULL, NULL), 0);
    assert_int_equal(kolk_guest_turn(f.guest), 1);
    assert_int_equal(f.posts, 1);
    assert_int_equal(calls, 0);
    for (int i = 0; i < 3 && calls == 0; i++)
        assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
    assert_int_equal(calls, 1);
    event_free(theirs);
    end(&f);
}

static void note_time_around_a_turn(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    struct fixture *f = userdata;
    struct timeval before, after;
    event_base_gettimeofday_cached(f->base, &before);
    usleep(20000); /* Five ticks of a coarse clock. */
    f->posts = kolk_guest_turn(f->guest);
    event_base_gettimeofday_cached(f->base, &after);
    f->early = evutil_timercmp(&before, &after, !=);
    event_base_loopbreak(f->base);
}

/* Neither in a stay as its reactor, nor where the program only calls now and then. */
static void a_turn_leaves_the_time_of_the_base_alone(void **state) {
    (void)state;
    static const struct timeval soon = {0, 1000};
    for (uint32_t way = KOLK_GUEST_FRAME; way <= KOLK_GUEST_REACTOR; way += KOLK_GUEST_REACTOR - KOLK_GUEST_FRAME) {
        struct fixture f;
        const kolk_guest_options options = {.size = sizeof options, .way = way};
        begin_on(&f, NULL);
        assert_int_equal(kolk_guest_detach(f.guest), 0);
        kolk_guest_unref(f.guest);
        assert_int_equal(kolk_libevent_attach(f.loop, f.base, &options, &f.guest, NULL), 0);
        struct event *theirs = event_new(f.base, -1, 0, note_time_around_a_turn, &f);
        assert_int_equal(event_add(theirs, &soon), 0);
        assert_int_equal(event_base_dispatch(f.base), 0);
        assert_true(f.posts >= 0);
        assert_false(f.early);
        event_free(theirs);
        end(&f);
    }
}

struct busy {
    struct fixture *f;
    int turns;
};

static void go_on_until_it_was_read(void *userdata) {
    struct busy *busy = userdata;
    if (busy->f->reads > 0 || ++busy->turns == 1000000)
        kolk_loop_stop(busy->f->loop);
    else
        kolk_loop_call_soon(busy->f->loop, go_on_until_it_was_read, busy, NULL, NULL);
}

/* Then nobody but kolk looks at the base. */
static void a_guest_that_is_run_by_itself_looks_at_the_base(void **state) {
    (void)state;
    struct fixture f;
    struct busy busy = {.f = &f};
    begin_on(&f, NULL);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f.loop, go_on_until_it_was_read, &busy, NULL, NULL), 0);
    eventfd_write(f.fd, 1);
    assert_int_equal(kolk_loop_run_forever(f.loop), 0);
    assert_int_equal(f.reads, 1);
    end(&f);
}

static void a_child_without_use_for_kolk_may_run_the_base_it_is_on(void **state) {
    (void)state;
    struct fixture f;
    if (!MAY_FORK)
        skip();
    begin_on(&f, NULL);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    for (int j = 0; j < 3; j++)
        assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
    eventfd_write(f.fd, 1);
    check_child(&f, KOLK_GUEST_REACTOR);
    end(&f);
}

static void needs_a_base(void **state) {
    (void)state;
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_int_equal(kolk_libevent_attach(loop, NULL, NULL, &guest, &error), KOLK_EINVAL);
    assert_null(guest);
    assert_string_equal(kolk_error_message(error), "the event_base is NULL");
    kolk_error_unref(error);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_over_epoll),
        cmocka_unit_test(everything_arrives_over_poll),
        cmocka_unit_test(everything_arrives_over_select),
        cmocka_unit_test(leaves_the_base_empty),
        cmocka_unit_test(says_nothing_about_bad_descriptors),
        cmocka_unit_test(a_number_is_used_again),
        cmocka_unit_test(a_base_that_remembers_no_time_is_a_host_like_others),
        cmocka_unit_test(detaching_takes_the_events_of_the_reactor_as_well),
        cmocka_unit_test(after_a_stay_the_loop_may_run_by_itself),
        cmocka_unit_test(after_a_stay_the_base_may_go_first),
        cmocka_unit_test(a_turn_from_outside_runs_nothing_of_the_base),
        cmocka_unit_test(a_turn_leaves_the_time_of_the_base_alone),
        cmocka_unit_test(a_guest_that_is_run_by_itself_looks_at_the_base),
        cmocka_unit_test(a_child_without_use_for_kolk_may_run_its_base),
        cmocka_unit_test(a_child_without_use_for_kolk_may_run_the_base_it_is_on),
        cmocka_unit_test(needs_a_base),
    };
    return cmocka_run_group_tests_name("libevent", tests, NULL, NULL);
}
