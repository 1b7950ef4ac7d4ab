/* What befalls other loops when they are embedded, shown with them, and then not with ours. */
#include "support/driver.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifdef HAVE_LIBEVENT
#include <event2/event.h>
#endif

/* ---- An edge-triggered parent ---- */

static void watch_edges(int parent, int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, fd, &event), 0);
}

static int fires(int parent) {
    struct epoll_event event;
    return epoll_wait(parent, &event, 1, 0);
}

static int open_ready(int child) {
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    assert_int_equal(epoll_ctl(child, EPOLL_CTL_ADD, fd, &event), 0);
    return fd;
}

/* One epoll descriptor in another, as an embedded loop hands it out: two are ready, one is served, and of the other the parent
 * never hears. */
static void a_bare_epoll_loses_what_is_left_over(void **state) {
    int parent = epoll_create1(EPOLL_CLOEXEC), child = epoll_create1(EPOLL_CLOEXEC);
    int fds[2] = {open_ready(child), open_ready(child)};
    (void)state;
    watch_edges(parent, child);
    assert_int_equal(fires(parent), 1);
    struct epoll_event event;
    uint64_t value;
    assert_int_equal(epoll_wait(child, &event, 1, 0), 1);
    assert_int_equal(read(event.data.fd, &value, sizeof value), sizeof value);
    assert_int_equal(epoll_wait(child, &event, 1, 0), 1); /* There is one, ... */
    assert_int_equal(fires(parent), 0);                   /* ... and nobody is told. */
    close(fds[0]);
    close(fds[1]);
    close(child);
    close(parent);
}

struct reader {
    int fd;
    int calls;
};

static void read_value(void *userdata) {
    struct reader *reader = userdata;
    uint64_t value;
    reader->calls += read(reader->fd, &value, sizeof value) == sizeof value;
}

/* The same with our handle and a budget of one: as often as something is left over, the parent hears of it. */
static void our_handle_tells_of_what_is_left_over(void **state) {
    struct fixture *f = *state;
    const kolk_budget one = {.size = sizeof one, .max_items = 1};
    int parent = epoll_create1(EPOLL_CLOEXEC);
    struct reader readers[5];
    watch_edges(parent, kolk_loop_get_fd(f->loop));
    for (int i = 0; i < 5; i++) {
        readers[i] = (struct reader){.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)};
        assert_int_equal(kolk_loop_add_reader(f->loop, readers[i].fd, read_value, &readers[i], NULL), 0);
    }
    int rounds = 0;
    while (fires(parent) == 1 && rounds++ < 100)
        assert_int_equal(kolk_loop_dispatch(f->loop, &one, NULL), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(readers[i].calls, 1);
        kolk_loop_remove_reader(f->loop, readers[i].fd);
        close(readers[i].fd);
    }
    assert_in_range(rounds, 5, 50);
    close(parent);
}

/* ---- "Without blocking", and without end ---- */

#ifdef HAVE_LIBEVENT

enum { LONG_ENOUGH = 100000 };

struct lasting {
    struct event_base *base;
    int calls;
};

static void on_event(evutil_socket_t fd, short what, void *userdata) {
    struct lasting *lasting = userdata;
    (void)fd;
    (void)what;
    if (++lasting->calls == LONG_ENOUGH)
        event_base_loopbreak(lasting->base);
}

static int run_libevent(int flags) {
    struct lasting lasting = {.base = event_base_new()};
    int pair[2];
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    struct event *event = event_new(lasting.base, pair[0], EV_READ | EV_PERSIST, on_event, &lasting);
    assert_int_equal(event_add(event, NULL), 0);
    assert_int_equal(event_base_loop(lasting.base, flags), 0);
    event_free(event);
    event_base_free(lasting.base);
    close_pair(pair);
    return lasting.calls;
}

/* A descriptor that stays readable: a hundred thousand calls later EVLOOP_NONBLOCK has not returned, and only a break ends it.
 */
static void a_bare_libevent_does_not_return(void **state) {
    (void)state;
    assert_int_equal(run_libevent(EVLOOP_NONBLOCK), LONG_ENOUGH);
    assert_int_equal(run_libevent(EVLOOP_ONCE | EVLOOP_NONBLOCK), 1);
}

static void count_call(void *counter) { ++*(int *)counter; }

/* Ours on the same libevent serves it once in each dispatch. */
static void our_dispatch_on_libevent_returns_after_one_turn(void **state) {
    struct fixture *f = *state;
    int pair[2], calls = 0;
    kolk_loop_options options = {
        .size = sizeof options, .reactor_ops = reactor_under_test("libevent"), .allocator = &f->memory.hook};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(loop, pair[0], count_call, &calls, NULL), 0);
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
        assert_int_equal(calls, i);
    }
    kolk_loop_remove_reader(loop, pair[0]);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
    close_pair(pair);
}

#endif

int main(int argc, char **argv) {
    static const struct rule rules[] = {
        RULE(a_bare_epoll_loses_what_is_left_over),
        RULE(our_handle_tells_of_what_is_left_over),
#ifdef HAVE_LIBEVENT
        RULE(a_bare_libevent_does_not_return),
        RULE(our_dispatch_on_libevent_returns_after_one_turn),
#endif
    };
    select_tests(argc, argv);
    return run_plain("peers", rules, COUNT(rules));
}
