/* What a guest asks of its host, call by call: a table that counts, remembers and refuses, and a loop that is turned by hand.
 */
#include "support/driver.h"

#include <kolk/guest.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WATCHES = 16, CALLS_AT_MOST = 60 };

/* A host that does what it is told, and no more. */
struct puppet {
    kolk_host_ops ops;
    kolk_loop *loop;
    kolk_guest *guest;
    int fds[WATCHES];
    uint32_t events[WATCHES]; /* 0: free */
    int64_t deadline;
    int posted;
    int posts, deadlines, watches; /* Calls. */
    int calls, fail_at, refusals;  /* Of those that ask for something; fail_at 0: none fails. */
    int watches_to_refuse;         /* The next ones. */
    int destroyed;
    int used_after_destroy;
    int reported; /* To the loop's exception handler. */
};

static int add(int *number, int more) { return __atomic_add_fetch(number, more, __ATOMIC_RELAXED); }

static int refuses(struct puppet *p) {
    p->used_after_destroy += p->destroyed;
    if (add(&p->calls, 1) != p->fail_at)
        return 0;
    add(&p->refusals, 1);
    return 1;
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct puppet *p = userdata;
    p->watches++;
    if (events != 0 && refuses(p))
        return KOLK_EMFILE;
    if (events != 0 && p->watches_to_refuse > 0) {
        p->watches_to_refuse--;
        return KOLK_EMFILE;
    }
    int place = -1;
    for (int i = 0; i < WATCHES; i++)
        if (p->events[i] == 0 ? place < 0 : p->fds[i] == fd)
            place = i;
    if (place < 0)
        return KOLK_ELIMIT;
    p->fds[place] = fd;
    p->events[place] = events;
    return 0;
}

static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct puppet *p = userdata;
    p->deadlines++;
    if (deadline_ns != KOLK_NEVER && refuses(p))
        return KOLK_EMFILE;
    p->deadline = deadline_ns;
    return 0;
}

static int post(void *userdata) {
    struct puppet *p = userdata;
    add(&p->posts, 1);
    if (refuses(p))
        return KOLK_EMFILE;
    __atomic_store_n(&p->posted, 1, __ATOMIC_RELEASE);
    return 0;
}

static void destroy(void *userdata) { ((struct puppet *)userdata)->destroyed++; }

static void report(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    ((struct puppet *)userdata)->reported += kolk_error_status(error) == KOLK_EMFILE;
}

static void make_puppet(struct puppet *p) {
    *p = (struct puppet){.ops = {.size = sizeof p->ops, .watch = watch, .set_deadline = set_deadline, .post = post},
                         .deadline = KOLK_NEVER};
}

static int registered(const struct puppet *p) {
    int count = p->deadline != KOLK_NEVER;
    for (int i = 0; i < WATCHES; i++)
        count += p->events[i] != 0;
    return count;
}

static const kolk_reactor_ops *reactor_for(uint32_t way) {
    return way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : reactor_under_test(way == KOLK_GUEST_HANDLE ? "epoll" : "poll");
}

static void make_loop(struct fixture *f, struct puppet *p, const kolk_reactor_ops *ops) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops, .allocator = &f->memory.hook};
    assert_int_equal(kolk_loop_new(&options, &p->loop, NULL), 0);
    assert_int_equal(kolk_loop_set_exception_handler(p->loop, report, p, NULL), 0);
}

static void end_loop(struct puppet *p) {
    kolk_guest_unref(p->guest);
    assert_int_equal(kolk_loop_close(p->loop), 0);
    kolk_loop_unref(p->loop);
    assert_int_equal(p->used_after_destroy, 0);
}

static int stay_within(struct puppet *p, uint32_t way, uint32_t max_items, kolk_error **ret_error) {
    kolk_guest_options options = {.size = sizeof options, .way = way, .max_items = max_items};
    p->destroyed = 0;
    return kolk_guest_new(p->loop, &p->ops, p, destroy, &options, &p->guest, ret_error);
}

static int stay(struct puppet *p, uint32_t way, kolk_error **ret_error) { return stay_within(p, way, 0, ret_error); }

/* One round of the host: sleeps for at most so long, and calls the guest where it was asked to. */
static void host_round(struct puppet *p, int64_t at_most_ns) {
    struct pollfd polled[WATCHES];
    for (int i = 0; i < WATCHES; i++)
        polled[i] = (struct pollfd){
            .fd = p->events[i] ? p->fds[i] : -1,
            .events = (short)((p->events[i] & KOLK_EVENT_READ ? POLLIN : 0) | (p->events[i] & KOLK_EVENT_WRITE ? POLLOUT : 0))};
    int64_t left = p->deadline == KOLK_NEVER ? at_most_ns : p->deadline - now_ns();
    left = __atomic_load_n(&p->posted, __ATOMIC_ACQUIRE) || left < 0 ? 0 : left > at_most_ns ? at_most_ns : left;
    if (poll(polled, WATCHES, (int)((left + MS - 1) / MS)) < 0 && errno != EINTR)
        abort();
    for (int i = 0; i < WATCHES; i++)
        if (polled[i].fd >= 0 && polled[i].revents)
            kolk_guest_ready(p->guest, polled[i].fd,
                             (polled[i].revents & (POLLIN | POLLHUP) ? KOLK_EVENT_READ : 0) |
                                 (polled[i].revents & POLLOUT ? KOLK_EVENT_WRITE : 0));
    int due = p->deadline <= now_ns();
    if (due)
        p->deadline = KOLK_NEVER;
    if (__atomic_exchange_n(&p->posted, 0, __ATOMIC_ACQUIRE) || due)
        kolk_guest_turn(p->guest);
}

static void nothing(void *userdata) { (void)userdata; }
static void count_up(void *counter) { ++*(int *)counter; }

/* ---- What the host is asked ---- */

/* A post is not repeated before the turn that was asked for has begun. */
static void check_posts(struct fixture *f, uint32_t way) {
    struct puppet p;
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    assert_int_equal(stay(&p, way, NULL), 0);
    p.posts = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(kolk_loop_call_soon(p.loop, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(add(&p.posts, 0), 1);
    while (!__atomic_exchange_n(&p.posted, 0, __ATOMIC_ACQUIRE))
        ;
    assert_int_equal(kolk_guest_turn(p.guest), 10);
    assert_int_equal(add(&p.posts, 0), 1);
    assert_int_equal(kolk_loop_call_soon(p.loop, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(add(&p.posts, 0), 2);
    end_loop(&p);
}

static void a_reactor_guest_posts_once_for_each_turn(void **state) { check_posts(*state, KOLK_GUEST_REACTOR); }
static void a_thread_guest_posts_once_for_each_turn(void **state) { check_posts(*state, KOLK_GUEST_THREAD); }

static void turn_where_none_may_be(kolk_thread_future *future, void *userdata) {
    struct puppet *p = userdata;
    (void)future;
    p->refusals = kolk_guest_turn(p->guest);
}

/* While a gather is walked to be cancelled. Returns how many posts that makes. */
static int refuse_turn_outside_of_turns(struct fixture *f, uint32_t way) {
    struct puppet p;
    kolk_thread_future *inner = NULL;
    kolk_future *outer = NULL, *gathered = NULL;
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    assert_int_equal(stay(&p, way, NULL), 0);
    assert_int_equal(kolk_thread_future_new(NULL, &inner), 0);
    assert_int_equal(kolk_thread_future_add_done_callback(inner, turn_where_none_may_be, &p, NULL), 0);
    assert_int_equal(kolk_wrap_thread_future(p.loop, inner, &outer), 0);
    assert_int_equal(kolk_gather(p.loop, &outer, 1, 0, &gathered), 0);
    kolk_guest_turn(p.guest);
    p.posts = 0;
    assert_int_equal(kolk_future_cancel(gathered), 1);
    assert_int_equal(p.refusals, KOLK_EBUSY);
    int posts = add(&p.posts, 0);
    kolk_future_unref(gathered);
    kolk_future_unref(outer);
    kolk_thread_future_unref(inner);
    end_loop(&p);
    return posts;
}

static void a_host_that_comes_by_itself_is_not_posted_to(void **state) {
    assert_int_equal(refuse_turn_outside_of_turns(*state, KOLK_GUEST_FRAME), 0);
    assert_int_equal(refuse_turn_outside_of_turns(*state, KOLK_GUEST_HANDLE), 0);
    assert_true(refuse_turn_outside_of_turns(*state, KOLK_GUEST_REACTOR) > 0);
}

/* One timer of the host's, however many kolk has, and it is moved only when something comes earlier. */
static void the_host_keeps_one_deadline(void **state) {
    struct puppet p;
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    int64_t now = kolk_loop_time(p.loop);
    assert_int_equal(kolk_loop_call_at(p.loop, now + 20 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_true(p.deadline == now + 20 * SECOND);
    p.deadlines = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(kolk_loop_call_at(p.loop, now + (30 + i) * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(p.deadlines, 0);
    assert_int_equal(kolk_loop_call_at(p.loop, now + 10 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_true(p.deadline == now + 10 * SECOND);
    assert_int_equal(p.deadlines, 1);
    end_loop(&p);
    assert_int_equal(registered(&p), 0);
}

/* "Replaces": the host is told what a descriptor is watched for now, and 0 in the end. */
static void the_host_is_told_what_each_descriptor_is_watched_for(void **state) {
    struct puppet p;
    int pair[2];
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(p.loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    int place = p.fds[0] == pair[0] && p.events[0] ? 0 : 1;
    assert_int_equal(p.fds[place], pair[0]);
    assert_int_equal(p.events[place], KOLK_EVENT_READ);
    assert_int_equal(kolk_loop_add_writer(p.loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(p.events[place], KOLK_EVENT_READ | KOLK_EVENT_WRITE);
    assert_int_equal(kolk_loop_remove_reader(p.loop, pair[0]), 1);
    assert_int_equal(p.events[place], KOLK_EVENT_WRITE);
    assert_int_equal(kolk_loop_remove_writer(p.loop, pair[0]), 1);
    assert_int_equal(p.events[place], 0);
    end_loop(&p);
    close_pair(pair);
}

static void check_nothing_is_left(struct fixture *f, uint32_t way, int close_first) {
    struct puppet p;
    int pair[2];
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    open_pair(pair);
    assert_int_equal(stay(&p, way, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(p.loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(p.loop, 60 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(close_first ? kolk_loop_close(p.loop) : kolk_guest_detach(p.guest), 0);
    assert_int_equal(registered(&p), 0);
    assert_int_equal(p.destroyed, 1);
    end_loop(&p);
    assert_int_equal(p.destroyed, 1);
    close_pair(pair);
}

static void detaching_leaves_nothing_with_the_host(void **state) {
    for (uint32_t way = KOLK_GUEST_FRAME; way <= KOLK_GUEST_REACTOR; way++)
        check_nothing_is_left(*state, way, 0);
}

static void closing_leaves_nothing_with_the_host(void **state) {
    for (uint32_t way = KOLK_GUEST_FRAME; way <= KOLK_GUEST_REACTOR; way++)
        check_nothing_is_left(*state, way, 1);
}

static void detach_here(void *userdata) {
    struct puppet *p = userdata;
    p->refusals = kolk_guest_detach(p->guest) != 0 || p->destroyed;
}

/* Its host is in the middle of a call to it. */
static void a_host_is_let_go_when_the_turn_ends(void **state) {
    for (uint32_t way = KOLK_GUEST_FRAME; way <= KOLK_GUEST_REACTOR; way++) {
        struct puppet p;
        make_puppet(&p);
        make_loop(*state, &p, reactor_for(way));
        assert_int_equal(stay(&p, way, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(p.loop, detach_here, &p, NULL, NULL), 0);
        kolk_guest_turn(p.guest);
        assert_int_equal(p.refusals, 0);
        assert_int_equal(p.destroyed, 1);
        end_loop(&p);
    }
}

/* ---- What cannot be ---- */

static void assert_refused(struct puppet *p, uint32_t way, int expected) {
    kolk_error *error = NULL;
    assert_int_equal(stay(p, way, &error), expected);
    assert_int_equal(p->destroyed, 1);
    assert_non_null(error);
    assert_true(kolk_error_message(error)[0] != '\0');
    kolk_error_unref(error);
    p->destroyed = 0;
}

static void a_host_that_lacks_what_a_way_needs_is_refused(void **state) {
    const struct {
        uint32_t way;
        int watch, set_deadline, post;
    } lacking[] = {{KOLK_GUEST_HANDLE, 0, 1, 1},
                   {KOLK_GUEST_THREAD, 1, 1, 0},
                   {KOLK_GUEST_REACTOR, 0, 1, 1},
                   {KOLK_GUEST_REACTOR, 1, 0, 1},
                   {KOLK_GUEST_REACTOR, 1, 1, 0}};
    for (size_t i = 0; i < COUNT(lacking); i++) {
        struct puppet p;
        make_puppet(&p);
        make_loop(*state, &p, reactor_for(lacking[i].way));
        p.ops.watch = lacking[i].watch ? watch : NULL;
        p.ops.set_deadline = lacking[i].set_deadline ? set_deadline : NULL;
        p.ops.post = lacking[i].post ? post : NULL;
        assert_refused(&p, lacking[i].way, KOLK_ENOTSUP);
        end_loop(&p);
    }
}

static void a_reactor_that_lacks_what_a_way_needs_is_refused(void **state) {
    struct puppet p;
    make_puppet(&p);
    make_loop(*state, &p, reactor_under_test("poll"));
    assert_refused(&p, KOLK_GUEST_HANDLE, KOLK_ENOTSUP);
    assert_refused(&p, KOLK_GUEST_REACTOR, KOLK_ENOTSUP);
    end_loop(&p);
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    assert_refused(&p, KOLK_GUEST_FRAME, KOLK_ENOTSUP);
    assert_refused(&p, KOLK_GUEST_HANDLE, KOLK_ENOTSUP);
    assert_refused(&p, KOLK_GUEST_THREAD, KOLK_ENOTSUP);
    end_loop(&p);
}

static int64_t another_time(void *userdata) {
    (void)userdata;
    return now_ns() / 2;
}

/* The host's timers would be early, late, or never come. */
static void a_loop_with_a_clock_of_its_own_can_only_be_given_frames(void **state) {
    struct fixture *f = *state;
    for (uint32_t way = KOLK_GUEST_ANY; way <= KOLK_GUEST_REACTOR; way++) {
        struct puppet p;
        make_puppet(&p);
        kolk_loop_options options = {
            .size = sizeof options, .reactor_ops = reactor_for(way), .clock = another_time, .allocator = &f->memory.hook};
        assert_int_equal(kolk_loop_new(&options, &p.loop, NULL), 0);
        if (way == KOLK_GUEST_FRAME)
            assert_int_equal(stay(&p, way, NULL), 0);
        else
            assert_refused(&p, way, KOLK_ENOTSUP);
        end_loop(&p);
    }
}

static void the_first_way_that_goes_is_taken(void **state) {
    const struct {
        const kolk_reactor_ops *ops;
        int can_watch;
        uint32_t expected;
    } cases[] = {{kolk_host_reactor(), 1, KOLK_GUEST_REACTOR},
                 {reactor_under_test("epoll"), 1, KOLK_GUEST_HANDLE},
                 {reactor_under_test("epoll"), 0, KOLK_GUEST_THREAD},
                 {reactor_under_test("poll"), 1, KOLK_GUEST_THREAD}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct puppet p;
        make_puppet(&p);
        make_loop(*state, &p, cases[i].ops);
        p.ops.watch = cases[i].can_watch ? watch : NULL;
        assert_int_equal(stay(&p, KOLK_GUEST_ANY, NULL), 0);
        assert_int_equal(kolk_guest_way(p.guest), cases[i].expected);
        end_loop(&p);
    }
}

static void a_table_of_the_wrong_size_is_refused(void **state) {
    struct puppet p;
    make_puppet(&p);
    make_loop(*state, &p, reactor_under_test("epoll"));
    p.ops.size = 4;
    assert_int_equal(stay(&p, KOLK_GUEST_HANDLE, NULL), KOLK_EINVAL);
    assert_int_equal(p.destroyed, 1);
    assert_int_equal(kolk_guest_new(p.loop, NULL, NULL, NULL, NULL, &p.guest, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_guest_new(NULL, &p.ops, NULL, NULL, NULL, &p.guest, NULL), KOLK_EINVAL);
    end_loop(&p);
}

static void *try_from_here(void *userdata) {
    struct puppet *p = userdata;
    p->refusals = stay(p, KOLK_GUEST_FRAME, NULL);
    return NULL;
}

static void another_thread_is_refused(void **state) {
    struct puppet p;
    pthread_t thread;
    make_puppet(&p);
    make_loop(*state, &p, reactor_under_test("epoll"));
    assert_int_equal(pthread_create(&thread, NULL, try_from_here, &p), 0);
    pthread_join(thread, NULL);
    assert_int_equal(p.refusals, KOLK_ETHREAD);
    assert_int_equal(p.destroyed, 1);
    end_loop(&p);
}

/* ---- What fails ---- */

/* Each allocation of it in turn. */
static void check_memory(struct fixture *f, uint32_t way) {
    struct puppet p;
    int status = KOLK_ENOMEM;
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    for (size_t n = 1; status == KOLK_ENOMEM; n++) {
        assert_true(n < 100);
        failing_allocator_arm(&f->memory, n, 0);
        status = stay(&p, way, NULL);
        size_t failures = f->memory.failures;
        failing_allocator_disarm(&f->memory);
        if (status < 0) {
            assert_int_equal(failures, 1);
            assert_int_equal(p.destroyed, 1);
            assert_int_equal(registered(&p), 0);
        }
    }
    assert_int_equal(status, 0);
    end_loop(&p);
}

static void each_allocation_of_a_stay_may_fail(void **state) {
    for (uint32_t way = KOLK_GUEST_FRAME; way <= KOLK_GUEST_REACTOR; way++)
        check_memory(*state, way);
}

struct errands {
    struct puppet *p;
    int pair[2];
    int timer, soon, posted, readable;
};

static void read_byte(void *userdata) {
    struct errands *e = userdata;
    char byte;
    e->readable += read(e->pair[0], &byte, 1) == 1;
}

static void count_read(void *userdata) {
    struct errands *e = userdata;
    e->soon++;
    read_byte(e);
}

static void *post_errand(void *userdata) {
    struct errands *e = userdata;
    if (kolk_loop_call_soon_threadsafe(e->p->loop, count_up, &e->posted, NULL) != 0)
        abort();
    return NULL;
}

static int done(const struct errands *e) { return (e->timer == 1) + (e->soon == 1) + (e->posted == 1) + (e->readable == 1); }

/* One after the other, so that nothing comes along with another. Returns how many came before the next was asked for. */
static int run_errands(struct errands *e) {
    struct puppet *p = e->p;
    pthread_t thread;
    int status = KOLK_EMFILE;
    for (int i = 0; i < 2 && status == KOLK_EMFILE; i++) /* What is refused at once may be asked again. */
        status = kolk_loop_add_reader(p->loop, e->pair[0], read_byte, e, NULL);
    assert_int_equal(status, 0);
    for (int step = 0; step < 4; step++) {
        if (step == 0)
            assert_int_equal(kolk_loop_call_later(p->loop, 2 * MS, count_up, &e->timer, NULL, NULL), 0);
        if (step == 1)
            assert_int_equal(write(e->pair[1], "x", 1), 1);
        if (step == 2)
            assert_int_equal(kolk_loop_call_soon(p->loop, count_up, &e->soon, NULL, NULL), 0);
        if (step == 3)
            assert_int_equal(pthread_create(&thread, NULL, post_errand, e), 0);
        if (step == 3)
            pthread_join(thread, NULL);
        for (int64_t until = now_ns() + 2 * SECOND; done(e) <= step && now_ns() < until;)
            host_round(p, 20 * MS);
        if (done(e) <= step)
            return step;
    }
    return done(e);
}

/* Returns 1 when nothing was refused, as there were fewer calls. */
static int refuse_one(struct fixture *f, uint32_t way, int which) {
    struct puppet p;
    kolk_error *error = NULL;
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    struct errands e = {.p = &p};
    open_pair(e.pair);
    p.fail_at = which;
    int status = stay(&p, way, &error);
    if (status < 0) {
        assert_int_equal(status, KOLK_EMFILE);
        assert_int_equal(p.destroyed, 1);
        assert_int_equal(registered(&p), 0);
        assert_non_null(error);
        kolk_error_unref(error);
        assert_int_equal(stay(&p, way, NULL), 0);
    }
    int came = run_errands(&e);
    if (came != 4)
        fail_msg("way %u, call %d refused: only %d of 4 came", way, which, came);
    kolk_loop_remove_reader(p.loop, e.pair[0]);
    int refused = p.refusals;
    end_loop(&p);
    assert_int_equal(registered(&p), 0);
    close_pair(e.pair);
    return refused == 0;
}

static void check_refusals(struct fixture *f, uint32_t way) {
    int which = 1;
    while (!refuse_one(f, way, which))
        assert_true(++which < CALLS_AT_MOST);
    assert_true(which > 1);
}

static void a_handle_guest_survives_each_refusal_of_its_host(void **state) { check_refusals(*state, KOLK_GUEST_HANDLE); }
static void a_thread_guest_survives_each_refusal_of_its_host(void **state) { check_refusals(*state, KOLK_GUEST_THREAD); }
static void a_reactor_guest_survives_each_refusal_of_its_host(void **state) { check_refusals(*state, KOLK_GUEST_REACTOR); }

/* What nobody was told by a return value, the exception handler is told. */
static void a_refused_deadline_is_reported(void **state) {
    struct puppet p;
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    p.fail_at = p.calls + 1;
    assert_int_equal(kolk_loop_call_later(p.loop, MS, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(p.refusals, 1);
    assert_int_equal(p.reported, 0);
    kolk_guest_turn(p.guest);
    assert_int_equal(p.reported, 1);
    end_loop(&p);
}

static void close_at_once(kolk_loop *loop, kolk_error *error, void *status) {
    (void)error;
    *(int *)status = kolk_loop_close(loop);
}

/* Who is told that the host refused something may end it all there and then. */
static void the_loop_may_be_closed_by_who_is_told_of_a_refusal(void **state) {
    struct puppet p;
    int status = 1;
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    assert_int_equal(kolk_loop_set_exception_handler(p.loop, close_at_once, &status, NULL), 0);
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    p.fail_at = p.calls + 1;
    assert_int_equal(kolk_loop_call_later(p.loop, MS, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_guest_turn(p.guest), KOLK_ECLOSED);
    assert_int_equal(status, 0);
    assert_int_equal(p.destroyed, 1);
    assert_int_equal(registered(&p), 0);
    end_loop(&p);
}

struct inside {
    struct puppet *p;
    int fd, status;
};

/* The host comes from inside a turn, stops watching, and cannot begin again at once. */
static void tell_inside_and_refuse(void *userdata) {
    struct inside *inside = userdata;
    inside->status = kolk_guest_ready(inside->p->guest, inside->fd, KOLK_EVENT_READ);
    inside->p->watches_to_refuse = 2;
}

static void check_watched_again(struct fixture *f, uint32_t way) {
    struct puppet p;
    make_puppet(&p);
    make_loop(f, &p, reactor_for(way));
    struct errands e = {.p = &p};
    open_pair(e.pair);
    assert_int_equal(kolk_loop_add_reader(p.loop, e.pair[0], read_byte, &e, NULL), 0);
    assert_int_equal(stay(&p, way, NULL), 0);
    struct inside inside = {.p = &p, .fd = way == KOLK_GUEST_HANDLE ? kolk_loop_get_fd(p.loop) : e.pair[0]};
    assert_int_equal(kolk_loop_call_soon(p.loop, tell_inside_and_refuse, &inside, NULL, NULL), 0);
    kolk_guest_turn(p.guest);
    assert_int_equal(inside.status, KOLK_EBUSY);
    for (int i = 0; i < 5; i++)
        host_round(&p, MS);
    assert_int_equal(p.watches_to_refuse, 0);
    assert_in_range(p.reported, 1, 2);
    int reads = e.readable;
    assert_int_equal(write(e.pair[1], "x", 1), 1);
    for (int64_t until = now_ns() + 2 * SECOND; e.readable == reads && now_ns() < until;)
        host_round(&p, 20 * MS);
    assert_int_equal(e.readable, reads + 1);
    kolk_loop_remove_reader(p.loop, e.pair[0]);
    end_loop(&p);
    close_pair(e.pair);
}

static void a_handle_that_a_host_cannot_watch_again_is_reported_and_tried_again(void **state) {
    check_watched_again(*state, KOLK_GUEST_HANDLE);
}

static void a_descriptor_that_a_host_cannot_watch_again_is_reported_and_tried_again(void **state) {
    check_watched_again(*state, KOLK_GUEST_REACTOR);
}

static void a_refused_watch_is_an_answer(void **state) {
    struct puppet p;
    int pair[2];
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    open_pair(pair);
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    p.fail_at = p.calls + 1;
    assert_int_equal(kolk_loop_add_reader(p.loop, pair[0], nothing, NULL, NULL), KOLK_EMFILE);
    assert_int_equal(kolk_loop_remove_reader(p.loop, pair[0]), 0);
    assert_int_equal(kolk_loop_add_reader(p.loop, pair[0], nothing, NULL, NULL), 0);
    kolk_loop_remove_reader(p.loop, pair[0]);
    end_loop(&p);
    close_pair(pair);
}

/* ---- Level-triggered ---- */

static void what_is_told_once_is_served_once(void **state) {
    struct puppet p;
    int pair[2], calls = 0;
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(p.loop, pair[0], count_up, &calls, NULL), 0);
    assert_int_equal(stay(&p, KOLK_GUEST_REACTOR, NULL), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(kolk_guest_ready(p.guest, pair[0], KOLK_EVENT_READ), 1);
        assert_int_equal(calls, i);
    }
    assert_int_equal(kolk_guest_ready(p.guest, pair[0], KOLK_EVENT_WRITE), 0);
    assert_int_equal(calls, 5);
    kolk_loop_remove_reader(p.loop, pair[0]);
    assert_int_equal(kolk_guest_ready(p.guest, pair[0], KOLK_EVENT_READ), 0);
    assert_int_equal(calls, 5);
    end_loop(&p);
    close_pair(pair);
}

static int64_t time_of_the_frame(void *frame) { return *(const int64_t *)frame; }

static void ask_again(void *userdata) {
    struct puppet *p = userdata;
    kolk_loop_call_soon(p->loop, ask_again, p, NULL, NULL);
}

/* A game's clock may stand still during a frame; the budget is the host's time, which does not. */
static void a_budget_of_time_ends_while_the_clock_of_the_loop_stands(void **state) {
    int64_t frame = SECOND;
    kolk_loop_options options = {.size = sizeof options, .clock = time_of_the_frame, .clock_userdata = &frame};
    kolk_guest_options guest_options = {.size = sizeof guest_options, .way = KOLK_GUEST_FRAME, .max_ns = MS};
    struct puppet p = {.ops.size = sizeof p.ops};
    (void)state;
    assert_int_equal(kolk_loop_new(&options, &p.loop, NULL), 0);
    assert_int_equal(kolk_guest_new(p.loop, &p.ops, &p, NULL, &guest_options, &p.guest, NULL), 0);
    ask_again(&p);
    assert_true(kolk_guest_turn(p.guest) > 0);
    kolk_guest_unref(p.guest);
    assert_int_equal(kolk_loop_close(p.loop), 0);
    kolk_loop_unref(p.loop);
}

enum { TOLD = 5 };

/* What is over waits for a turn that the host is asked for once. */
static void what_a_host_tells_one_by_one_shares_a_budget(void **state) {
    struct puppet p;
    int pairs[TOLD][2], calls = 0;
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    assert_int_equal(stay_within(&p, KOLK_GUEST_REACTOR, 3, NULL), 0);
    for (int i = 0; i < TOLD; i++) {
        open_pair(pairs[i]);
        assert_int_equal(kolk_loop_add_reader(p.loop, pairs[i][0], count_up, &calls, NULL), 0);
    }
    p.posts = 0;
    for (int i = 0; i < TOLD; i++)
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
    for (int i = 0; i < TOLD; i++)
        assert_int_equal(kolk_guest_ready(p.guest, pairs[i][0], KOLK_EVENT_READ), i < 3);
    assert_int_equal(calls, 3);
    assert_int_equal(p.posts, 1);
    assert_int_equal(kolk_guest_turn(p.guest), 2);
    assert_int_equal(calls, 5);
    assert_int_equal(p.posts, 1);
    /* That turn has left one. */
    assert_int_equal(kolk_guest_ready(p.guest, pairs[0][0], KOLK_EVENT_READ), 1);
    assert_int_equal(kolk_guest_ready(p.guest, pairs[1][0], KOLK_EVENT_READ), 0);
    assert_int_equal(p.posts, 2);
    end_loop(&p);
    for (int i = 0; i < TOLD; i++)
        close_pair(pairs[i]);
}

/* The host has looked before the turn that has served it, and tells afterwards. */
static void what_was_served_since_the_host_looked_is_not_served_again(void **state) {
    struct puppet p;
    int pairs[2][2];
    make_puppet(&p);
    make_loop(*state, &p, kolk_host_reactor());
    struct errands e[2] = {{.p = &p}, {.p = &p}};
    assert_int_equal(stay_within(&p, KOLK_GUEST_REACTOR, 1, NULL), 0);
    for (int i = 0; i < 2; i++) {
        open_pair(pairs[i]);
        memcpy(e[i].pair, pairs[i], sizeof pairs[i]);
        assert_int_equal(kolk_loop_add_reader(p.loop, pairs[i][0], count_read, &e[i], NULL), 0);
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
    }
    assert_int_equal(kolk_guest_ready(p.guest, pairs[0][0], KOLK_EVENT_READ), 1);
    assert_int_equal(kolk_guest_ready(p.guest, pairs[1][0], KOLK_EVENT_READ), 0);
    assert_int_equal(kolk_guest_turn(p.guest), 1);
    assert_int_equal(kolk_guest_ready(p.guest, pairs[1][0], KOLK_EVENT_READ), 0);
    assert_int_equal(kolk_guest_turn(p.guest), 0);
    assert_int_equal(write(pairs[1][1], "x", 1), 1);
    assert_int_equal(kolk_guest_ready(p.guest, pairs[1][0], KOLK_EVENT_READ), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(e[i].soon, i + 1);
        assert_int_equal(e[i].readable, i + 1);
        kolk_loop_remove_reader(p.loop, pairs[i][0]);
        close_pair(pairs[i]);
    }
    end_loop(&p);
}

int main(int argc, char **argv) {
    static const struct rule rules[] = {
        RULE(a_reactor_guest_posts_once_for_each_turn),
        RULE(a_thread_guest_posts_once_for_each_turn),
        RULE(a_host_that_comes_by_itself_is_not_posted_to),
        RULE(the_host_keeps_one_deadline),
        RULE(the_host_is_told_what_each_descriptor_is_watched_for),
        RULE(detaching_leaves_nothing_with_the_host),
        RULE(closing_leaves_nothing_with_the_host),
        RULE(a_host_is_let_go_when_the_turn_ends),
        RULE(a_host_that_lacks_what_a_way_needs_is_refused),
        RULE(a_reactor_that_lacks_what_a_way_needs_is_refused),
        RULE(a_loop_with_a_clock_of_its_own_can_only_be_given_frames),
        RULE(the_first_way_that_goes_is_taken),
        RULE(a_table_of_the_wrong_size_is_refused),
        RULE(another_thread_is_refused),
        RULE(each_allocation_of_a_stay_may_fail),
        RULE(a_handle_guest_survives_each_refusal_of_its_host),
        RULE(a_thread_guest_survives_each_refusal_of_its_host),
        RULE(a_reactor_guest_survives_each_refusal_of_its_host),
        RULE(a_refused_deadline_is_reported),
        RULE(the_loop_may_be_closed_by_who_is_told_of_a_refusal),
        RULE(a_handle_that_a_host_cannot_watch_again_is_reported_and_tried_again),
        RULE(a_descriptor_that_a_host_cannot_watch_again_is_reported_and_tried_again),
        RULE(a_refused_watch_is_an_answer),
        RULE(what_is_told_once_is_served_once),
        RULE(a_budget_of_time_ends_while_the_clock_of_the_loop_stands),
        RULE(what_a_host_tells_one_by_one_shares_a_budget),
        RULE(what_was_served_since_the_host_looked_is_not_served_again),
    };
    select_tests(argc, argv);
    return run_plain("guest", rules, COUNT(rules));
}
