/* The thirds of a turn: prepare, wait, and dispatch within a budget; and the handle that tells a host when. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/turns.h"
#include "support/watcher.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- Prepare, wait, dispatch ---- */

/* The plan tells when the next timer is due and whether there is work already. */
static void prepare_tells_the_deadline_and_what_is_ready(void **state) {
    struct fixture *f = *state;
    kolk_plan plan = {.deadline_ns = -1, .ready = 7};
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);

    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 10 * SECOND, nothing, NULL, NULL, &handle), 0);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == kolk_handle_when(handle));

    soon(f, "a");
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 1);
    assert_record(f, "");
    drive_once(f);

    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
}

/* A timer that is due is work, whichever member of the plan the host looks at. */
static void prepare_reports_a_timer_that_is_due(void **state) {
    struct fixture *f = *state;
    kolk_plan plan;
    later(f, 0, "due");
    pause_ms(2);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.ready == 1 || plan.deadline_ns <= kolk_loop_time(f->loop));
    drive_once(f);
    assert_record(f, "due");
}

/* Waiting takes nothing: what ended the sleep is still there for dispatch, and for another wait. */
static void wait_takes_nothing(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    int status = kolk_loop_wait(f->loop, KOLK_NEVER);
    if (f->ops->caps & KOLK_REACTOR_WAIT) {
        assert_int_equal(status, 0);
        assert_int_equal(kolk_loop_wait(f->loop, KOLK_NEVER), 0);
    } else {
        assert_int_equal(status, KOLK_ENOTSUP);
    }
    assert_record(f, "");
    while (reader.calls == 0)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0);
    assert_record(f, "read(x)");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* Waiting ends at the deadline, and not before. */
static void wait_ends_at_the_deadline(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_WAIT)) {
        assert_int_equal(kolk_loop_wait(f->loop, kolk_loop_time(f->loop)), KOLK_ENOTSUP);
        return;
    }
    int64_t deadline = kolk_loop_time(f->loop) + 5 * MS;
    assert_int_equal(kolk_loop_wait(f->loop, deadline), 0);
    assert_true(kolk_loop_time(f->loop) >= deadline);
    /* One that has passed is no wait at all. */
    assert_int_equal(kolk_loop_wait(f->loop, 0), 0);
}

static void stop_it(void *loop) { kolk_loop_stop(loop); }

static void dispatch_once(struct fixture *f) { assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0); }

/* A stop inside of a dispatch does not end the waits that follow. */
static void a_stop_inside_a_dispatch_leaves_later_waits_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_it, f->loop, NULL, NULL), 0);
    dispatch_once(f);
    dispatch_once(f);
    int64_t deadline = kolk_loop_time(f->loop) + 5 * MS;
    if (f->ops->caps & KOLK_REACTOR_WAIT) {
        assert_int_equal(kolk_loop_wait(f->loop, deadline), 0);
        assert_true(kolk_loop_time(f->loop) >= deadline);
    }
    drive_during(f, MS);
}

/* A stop outside of a run is for what comes next: a dispatch, and then no run. */
static void a_dispatch_takes_the_stop_before_it(void **state) {
    struct fixture *f = *state;
    kolk_future *later = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, MS, &later), 0);
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    dispatch_once(f);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, later), 0);
    kolk_future_unref(later);
}

/* Dispatch never sleeps, and a host that only dispatches misses nothing. */
static void dispatch_alone_is_enough(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    kolk_progress progress = {7, 7};
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(progress.items, 0);
    assert_int_equal(progress.more, 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    later(f, 2 * MS, "timer");
    assert_int_equal(write(pair[1], "x", 1), 1);
    for (int i = 0; i < 5000 && f->recorded < strlen("read(x) timer"); i++) {
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0);
        pause_ms(1);
    }
    assert_record(f, "read(x) timer");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* ---- Budgets ---- */

static int readable(int fd, int timeout_ms) {
    struct pollfd handle = {.fd = fd, .events = POLLIN};
    return poll(&handle, 1, timeout_ms);
}

/* A budget of items is kept; what it leaves over is run first next time, before what was added since. */
static void a_budget_of_items_is_kept(void **state) {
    struct fixture *f = *state;
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < COUNT(names); i++)
        soon(f, names[i]);
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b");
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 1);
    if (f->ops->caps & KOLK_REACTOR_GET_FD)
        assert_int_equal(readable(kolk_loop_get_fd(f->loop), 0), 1);
    soon(f, "f");
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b c d");
    assert_int_equal(progress.more, 1);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b c d e f");
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 0);
}

static void burn_two_ms(void *userdata) {
    struct fixture *f = userdata;
    int64_t until = kolk_loop_time(f->loop) + 2 * MS;
    while (kolk_loop_time(f->loop) < until)
        ;
    record(f, "burnt");
}

/* A budget of time is looked at between items: at least one runs. */
static void a_budget_of_time_is_kept(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(kolk_loop_call_soon(f->loop, burn_two_ms, f, NULL, NULL), 0);
    kolk_budget budget = {.size = sizeof budget, .max_ns = MS};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 1);
    assert_int_equal(progress.more, 1);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_record(f, "burnt burnt burnt");
}

/* A budget of all the time there is limits nothing. */
static void a_budget_of_centuries_does_not_overflow(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    soon(f, "b");
    kolk_budget budget = {.size = sizeof budget, .max_ns = INT64_MAX};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_record(f, "a b");
}

/* A budget with another size is refused rather than guessed at. */
static void a_budget_of_the_wrong_size_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_budget budget = {.size = 1, .max_items = 1};
    soon(f, "a");
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), KOLK_EINVAL);
    assert_record(f, "");
}

enum { BURST = 5000, SOME = 100 };

struct burst {
    struct fixture *f;
    int calls, disorder, earlier_came_at;
};

struct one_of_a_burst {
    struct burst *burst;
    int number;
};

static void earlier_comes(void *userdata) {
    struct burst *burst = userdata;
    burst->earlier_came_at = burst->calls;
}

static void due_in_a_burst(void *userdata) {
    struct one_of_a_burst *one = userdata;
    struct burst *burst = one->burst;
    burst->disorder += one->number != burst->calls++;
    if (one->number == 0 && kolk_loop_call_at(burst->f->loop, 1, earlier_comes, burst, NULL, NULL) != 0)
        record(burst->f, "refused");
}

/* Moving all of them would take longer than its budget. So what is started then, and due before they are, overtakes most. */
static void a_limited_turn_takes_some_of_very_many_timers(void **state) {
    static struct one_of_a_burst ones[BURST];
    struct fixture *f = *state;
    struct burst burst = {.f = f};
    kolk_budget budget = {.size = sizeof budget, .max_items = SOME};
    kolk_progress progress = {.more = 1};
    kolk_plan plan;
    for (int i = 0; i < BURST; i++) {
        ones[i] = (struct one_of_a_burst){&burst, i};
        assert_int_equal(kolk_loop_call_at(f->loop, 2 + i, due_in_a_burst, &ones[i], NULL, NULL), 0);
    }
    for (int turns = 0; progress.more; turns++) {
        assert_in_range(turns, 0, BURST / SOME);
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
        assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
        assert_int_equal(plan.ready, progress.more);
    }
    assert_int_equal(burst.calls, BURST);
    assert_int_equal(burst.disorder, 0);
    assert_in_range(burst.earlier_came_at, SOME, BURST / 2);
    assert_record(f, "");
}

/* ---- The handle ---- */

/* The handle is readable exactly while dispatch would make progress, for every kind of work. */
static void the_handle_is_readable_exactly_while_there_is_work(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD)) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    assert_true(fd >= 0);
    assert_int_equal(kolk_loop_get_fd(f->loop), fd);
    assert_int_equal(readable(fd, 0), 0);

    soon(f, "soon");
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    later(f, 3 * MS, "timer");
    assert_int_equal(readable(fd, 0), 0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], record_and_remove_writer,
                                          &(struct watcher){.f = f, .fd = pair[0], .name = "write"}, NULL),
                     0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);
    assert_record(f, "soon post timer read(x) write=1");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* A timer that is cancelled leaves a host that sleeps on the handle alone. */
static void the_handle_forgets_a_cancelled_timer(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 5 * MS, nothing, NULL, NULL, &handle), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    kolk_progress progress;
    /* The kernel's timer may still go off once, if moving it would have cost more than that. */
    if (readable(fd, 20) == 1)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(readable(fd, 20), 0);
}

/* A waker that is rung, put off by a budget and then dropped leaves nothing to be readable for. */
static void the_handle_forgets_a_dropped_waker(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    kolk_waker *waker = NULL;
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &waker), 0);
    soon(f, "a");
    kolk_waker_wake(waker);
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_int_equal(readable(fd, 0), 1);
    kolk_waker_unref(waker);
    assert_int_equal(readable(fd, 0), 0);
}

/* A host that watches edges hears of work that a budget left over, and of work that is added later. */
static void the_handle_can_be_watched_for_edges(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    int parent = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, fd, &event), 0);
    const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < COUNT(names); i++)
        soon(f, names[i]);
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    kolk_progress progress = {.more = 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
        assert_int_equal(progress.more, i < 2);
    }
    assert_record(f, "a b c");
    soon(f, "d");
    assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
    dispatch_all(f);
    later(f, MS, "e");
    assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
    dispatch_all(f);
    assert_record(f, "a b c d e");
    close(parent);
}

struct taker {
    int fd;
    int *taken;
};

static void take_one_byte(void *userdata) {
    struct taker *taker = userdata;
    char byte;
    *taker->taken += read(taker->fd, &byte, 1) == 1;
}

/* Dispatches once per edge until so many bytes were taken, or no edge comes any more. */
static void dispatch_at_edges(struct fixture *f, int parent, const int *taken, int expected) {
    struct epoll_event event;
    while (*taken < expected && epoll_wait(parent, &event, 1, 1000) == 1)
        dispatch_once(f);
}

/* A host that watches edges hears again of a descriptor that its reader did not empty. */
static void an_edge_follows_while_a_reader_leaves_something(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        return;
    int pair[2], taken = 0, parent = epoll_create1(EPOLL_CLOEXEC);
    open_pair(pair);
    struct taker taker = {.fd = pair[0], .taken = &taken};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], take_one_byte, &taker, NULL), 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, kolk_loop_get_fd(f->loop), &event), 0);
    assert_int_equal(write(pair[1], "0123456789", 10), 10);
    dispatch_at_edges(f, parent, &taken, 10);
    assert_int_equal(taken, 10);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close(parent);
    close_pair(pair);
}

/* A host that watches edges hears of all descriptors, however many are ready at once. */
static void an_edge_follows_while_descriptors_are_left(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        return;
    enum { PAIRS = 300 };
    static int pairs[PAIRS][2];
    static struct taker takers[PAIRS];
    int taken = 0, parent = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < PAIRS; i++) {
        open_pair(pairs[i]);
        takers[i] = (struct taker){.fd = pairs[i][0], .taken = &taken};
        assert_int_equal(kolk_loop_add_reader(f->loop, pairs[i][0], take_one_byte, &takers[i], NULL), 0);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, kolk_loop_get_fd(f->loop), &event), 0);
    for (int i = 0; i < PAIRS; i++)
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
    dispatch_at_edges(f, parent, &taken, PAIRS);
    assert_int_equal(taken, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(kolk_loop_remove_reader(f->loop, pairs[i][0]), 1);
        close_pair(pairs[i]);
    }
    close(parent);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(prepare_tells_the_deadline_and_what_is_ready),
        RULE(prepare_reports_a_timer_that_is_due),
        RULE(wait_takes_nothing),
        RULE(wait_ends_at_the_deadline),
        RULE(a_stop_inside_a_dispatch_leaves_later_waits_alone),
        RULE(a_dispatch_takes_the_stop_before_it),
        RULE_IN_REAL_TIME(dispatch_alone_is_enough),
        RULE(a_budget_of_items_is_kept),
        RULE_IN_REAL_TIME(a_budget_of_time_is_kept),
        RULE(a_budget_of_centuries_does_not_overflow),
        RULE(a_budget_of_the_wrong_size_is_refused),
        RULE_IN_REAL_TIME(a_limited_turn_takes_some_of_very_many_timers),
        RULE(the_handle_is_readable_exactly_while_there_is_work),
        RULE(the_handle_forgets_a_cancelled_timer),
        RULE(the_handle_forgets_a_dropped_waker),
        RULE(the_handle_can_be_watched_for_edges),
        RULE(an_edge_follows_while_a_reader_leaves_something),
        RULE(an_edge_follows_while_descriptors_are_left),
    };
    return run_matrix("thirds", matrix, COUNT(matrix));
}
