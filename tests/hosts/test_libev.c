/* What is special about libev as a host, beside the rules for all: what it watches with, and what it keeps. */
#include "support/sanitizers.h"

#include <kolk/kolk.h>
#include <kolk/libev.h>

#include <ev.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static const uint32_t ways[] = {KOLK_GUEST_HANDLE, KOLK_GUEST_THREAD, KOLK_GUEST_REACTOR};

struct fixture {
    struct ev_loop *host;
    kolk_loop *loop;
    kolk_guest *guest;
    int fd; /* An eventfd. */
    int timers, reads, posts;
    int64_t due;
    int early;
};

static void begin(struct fixture *f, unsigned backend, uint32_t way) {
    memset(f, 0, sizeof *f);
    const kolk_loop_options of_loop = {.size = sizeof of_loop,
                                       .reactor_ops = way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : NULL};
    const kolk_guest_options of_guest = {.size = sizeof of_guest, .way = way};
    f->host = ev_loop_new(backend);
    f->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_non_null(f->host);
    assert_int_equal(ev_backend(f->host), backend);
    assert_int_equal(kolk_loop_new(&of_loop, &f->loop, NULL), 0);
    assert_int_equal(kolk_libev_attach(f->loop, f->host, &of_guest, &f->guest, NULL), 0);
    assert_int_equal(kolk_guest_way(f->guest), way);
}

static void end(struct fixture *f) {
    kolk_guest_unref(f->guest);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_loop_unref(f->loop);
    ev_loop_destroy(f->host);
    close(f->fd);
}

static void maybe_end(struct fixture *f) {
    if (f->timers > 0 && f->reads > 0 && f->posts > 0)
        ev_break(f->host, EVBREAK_ALL);
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

/* Whatever libev waits with, and whatever the way: timers, descriptors and posts arrive. */
static void everything_arrives(unsigned backend) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        pthread_t poster;
        void *status;
        begin(&f, backend, ways[i]);
        f.due = kolk_loop_time(f.loop) + 10 * MS;
        assert_int_equal(kolk_loop_call_at(f.loop, f.due, on_timer, &f, NULL, NULL), 0);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        assert_int_equal(pthread_create(&poster, NULL, post_from_elsewhere, &f), 0);
        ev_run(f.host, 0);
        pthread_join(poster, &status);
        assert_null(status);
        assert_int_equal(f.timers + f.reads + f.posts, 3);
        assert_false(f.early);
        end(&f);
    }
}

static void everything_arrives_over_epoll(void **state) {
    (void)state;
    everything_arrives(EVBACKEND_EPOLL);
}

static void everything_arrives_over_poll(void **state) {
    (void)state;
    everything_arrives(EVBACKEND_POLL);
}

static void everything_arrives_over_select(void **state) {
    (void)state;
    everything_arrives(EVBACKEND_SELECT);
}

/* libev has no watcher of kolk's after the stay, and ev_run() finds nothing to wait for. */
static void leaves_no_watcher(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        begin(&f, EVBACKEND_EPOLL, ways[i]);
        assert_int_equal(kolk_loop_call_later(f.loop, 3600000 * MS, on_timer, &f, NULL, NULL), 0);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(f.loop, on_post, &f, NULL, NULL), 0);
        assert_int_equal(kolk_guest_detach(f.guest), 0);
        assert_int_equal(ev_run(f.host, 0), 0);
        assert_int_equal(f.posts, 0);
        end(&f);
    }
}

static void on_patience_ended(struct ev_loop *host, ev_timer *timer, int what) {
    (void)timer;
    (void)what;
    ev_break(host, EVBREAK_ALL);
}

static void count_pass(struct ev_loop *host, ev_prepare *prepare, int what) {
    (void)host;
    (void)what;
    ++*(int *)prepare->data;
}

static int passes_during(struct ev_loop *host, double seconds) {
    int passes = 0;
    ev_timer patience;
    ev_prepare prepare;
    ev_timer_init(&patience, on_patience_ended, seconds, 0.);
    ev_prepare_init(&prepare, count_pass);
    prepare.data = &passes;
    ev_timer_start(host, &patience);
    ev_prepare_start(host, &prepare);
    ev_run(host, 0);
    ev_prepare_stop(host, &prepare);
    return passes;
}

/* A program that closes what is watched makes nobody spin: libev gives up the descriptor, and kolk is told. With poll(), libev
 * ends the program. */
static void a_closed_descriptor_is_given_up(void **state) {
    (void)state;
    static const unsigned backends[] = {EVBACKEND_EPOLL, EVBACKEND_SELECT};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        struct fixture f;
        begin(&f, backends[i], KOLK_GUEST_REACTOR);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        passes_during(f.host, 0.001);
        close(f.fd);
        assert_true(passes_during(f.host, 0.05) < 20);
        end(&f);
    }
}

/* What is readable, and never read there, is told once. */
static void a_child_without_use_for_kolk_may_run_its_host(void **state) {
    (void)state;
    if (!MAY_FORK)
        skip();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        int status = 0;
        begin(&f, EVBACKEND_EPOLL, ways[i]);
        passes_during(f.host, 0.001);
        assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
        eventfd_write(f.fd, 1);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            ev_loop_fork(f.host);
            _exit(passes_during(f.host, 0.05) < 20 ? 0 : 2);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        end(&f);
    }
}

/* A descriptor that was closed first is forgotten, and the new file behind its number is watched. */
static void a_number_is_used_again(void **state) {
    (void)state;
    struct fixture f;
    begin(&f, EVBACKEND_EPOLL, KOLK_GUEST_REACTOR);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    passes_during(f.host, 0.001);
    close(f.fd);
    assert_int_equal(kolk_loop_remove_reader(f.loop, f.fd), 1);
    int again = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(again, f.fd);
    assert_int_equal(kolk_loop_add_reader(f.loop, f.fd, on_readable, &f, NULL), 0);
    eventfd_write(f.fd, 1);
    passes_during(f.host, 0.02);
    assert_int_equal(f.reads, 1);
    end(&f);
}

/* libev has some functions of libevent's names. A plugin that would get half of each library says so, instead of crashing. */
static void the_reactor_libevent_is_refused(void **state) {
    (void)state;
    char path[4096];
    const kolk_reactor_ops *ops = NULL;
    kolk_error *error = NULL;
    snprintf(path, sizeof path, "%s/kolk-reactor-libevent.so", getenv("KOLK_TEST_MODULES"));
    if (access(path, F_OK) < 0)
        skip();
    assert_int_equal(kolk_reactor_load(path, &ops, &error), KOLK_EPLUGIN);
    assert_non_null(strstr(kolk_error_message(error), "cannot be used here"));
    kolk_error_unref(error);
}

/* libev would end the program. */
static void needs_a_descriptor_to_be_posted_to(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture f;
        struct rlimit limit, none_left;
        kolk_error *error = NULL;
        kolk_guest *guest = NULL;
        const kolk_guest_options options = {.size = sizeof options, .way = ways[i]};
        begin(&f, EVBACKEND_EPOLL, ways[i]);
        assert_int_equal(kolk_guest_detach(f.guest), 0);
        struct ev_loop *other = ev_loop_new(EVBACKEND_EPOLL);
        int lowest = dup(f.fd);
        close(lowest);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none_left = limit;
        none_left.rlim_cur = (rlim_t)lowest;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none_left), 0);
        int status = kolk_libev_attach(f.loop, other, &options, &guest, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        /* The loop has its descriptor already, and libev no more than that to watch. */
        assert_int_equal(status, ways[i] == KOLK_GUEST_HANDLE ? 0 : KOLK_EMFILE);
        assert_int_equal(kolk_error_status(error), status);
        kolk_error_unref(error);
        if (guest != NULL)
            assert_int_equal(kolk_guest_detach(guest), 0);
        kolk_guest_unref(guest);
        ev_loop_destroy(other);
        end(&f);
    }
}

static void needs_an_ev_loop(void **state) {
    (void)state;
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_int_equal(kolk_libev_attach(loop, NULL, NULL, &guest, &error), KOLK_EINVAL);
    assert_null(guest);
    assert_string_equal(kolk_error_message(error), "the ev_loop is NULL");
    kolk_error_unref(error);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_over_epoll),
        cmocka_unit_test(everything_arrives_over_poll),
        cmocka_unit_test(everything_arrives_over_select),
        cmocka_unit_test(leaves_no_watcher),
        cmocka_unit_test(a_closed_descriptor_is_given_up),
        cmocka_unit_test(a_number_is_used_again),
        cmocka_unit_test(the_reactor_libevent_is_refused),
        cmocka_unit_test(needs_a_descriptor_to_be_posted_to),
        cmocka_unit_test(a_child_without_use_for_kolk_may_run_its_host),
        cmocka_unit_test(needs_an_ev_loop),
    };
    return cmocka_run_group_tests_name("libev", tests, NULL, NULL);
}
