/* What a host is told and may ask: that its plan is out of date, what is called around batches and sleeps, turns inside of
 * turns, whether anything is left to happen, an orderly end, a fork, and the reactor that is a host. */
#include "support/driver.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nothing(void *userdata) { (void)userdata; }

static kolk_plan prepare(struct fixture *f) {
    kolk_plan plan = {0, 7, 7};
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    return plan;
}

static int dispatch(struct fixture *f) {
    kolk_progress progress = {0, 0};
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    return (int)progress.items;
}

/* Until nothing is ready, of which other threads may have left something. */
static void dispatch_all(struct fixture *f) {
    kolk_progress progress = {0, 1};
    while (progress.more)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
}

static void call_soon(struct fixture *f, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_soon(f->loop, fn, userdata, NULL, NULL), 0);
}

static void call_later(struct fixture *f, int64_t delay_ns) {
    assert_int_equal(kolk_loop_call_later(f->loop, delay_ns, nothing, NULL, NULL, NULL), 0);
}

/* ---- The plan hook ---- */

static int count_of(const int *count) { return __atomic_load_n(count, __ATOMIC_RELAXED); }

static void count_change(void *counter) { __atomic_add_fetch((int *)counter, 1, __ATOMIC_RELAXED); }

/* A hook that was told, and a plan that holds: from now on, what counts is new. */
static void hang_hook(struct fixture *f, int *count) {
    *count = 0;
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, count_change, count, NULL), 0);
    dispatch_all(f);
    assert_int_equal(prepare(f).ready, 0);
    *count = 0;
}

/* A burst of changes is told once, until the host has made a new plan. */
static void changes_of_a_plan_are_told_once(void **state) {
    struct fixture *f = *state;
    int count;
    hang_hook(f, &count);
    for (int i = 0; i < 5; i++)
        call_soon(f, nothing, NULL);
    assert_int_equal(count, 1);
    dispatch_all(f);
    assert_int_equal(count, 1);
    assert_int_equal(prepare(f).ready, 0);
    call_soon(f, nothing, NULL);
    assert_int_equal(count, 2);
}

/* A host need not prepare before it is told for the first time. */
static void a_new_hook_is_told_without_a_plan(void **state) {
    struct fixture *f = *state;
    int count = 0;
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, count_change, &count, NULL), 0);
    call_soon(f, nothing, NULL);
    call_soon(f, nothing, NULL);
    assert_int_equal(count, 1);
}

/* Only what comes before the planned deadline matters to a host that sleeps until then. */
static void an_earlier_deadline_is_told_and_a_later_one_not(void **state) {
    struct fixture *f = *state;
    int count;
    call_later(f, 20 * SECOND);
    hang_hook(f, &count);
    call_later(f, 30 * SECOND);
    call_later(f, 25 * SECOND);
    assert_int_equal(count, 0);
    call_later(f, 10 * SECOND);
    call_later(f, 5 * SECOND);
    assert_int_equal(count, 1);
    prepare(f);
    call_later(f, 15 * SECOND);
    assert_int_equal(count, 1);
    call_later(f, SECOND);
    assert_int_equal(count, 2);
}

static void a_timer_that_is_moved_forward_is_told(void **state) {
    struct fixture *f = *state;
    int count;
    kolk_timer *timer = NULL;
    assert_int_equal(kolk_timer_new(f->loop, nothing, NULL, NULL, &timer), 0);
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 20 * SECOND), 0);
    hang_hook(f, &count);
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 30 * SECOND), 0);
    assert_int_equal(count, 0);
    prepare(f);
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 10 * SECOND), 0);
    assert_int_equal(count, 1);
    kolk_timer_unref(timer);
}

static void *post_some(void *userdata) {
    struct fixture *f = userdata;
    for (int i = 0; i < 100; i++)
        if (kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL) != 0)
            abort();
    return NULL;
}

static void in_a_thread(void *(*fn)(void *userdata), void *userdata) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, userdata), 0);
    pthread_join(thread, NULL);
}

static void calls_from_another_thread_are_told_once(void **state) {
    struct fixture *f = *state;
    int count;
    hang_hook(f, &count);
    in_a_thread(post_some, f);
    assert_int_equal(count_of(&count), 1);
    dispatch_all(f);
    prepare(f);
    in_a_thread(post_some, f);
    assert_int_equal(count_of(&count), 2);
}

static kolk_waker *waker_of_signal;

static void wake_in_handler(int signal) {
    (void)signal;
    kolk_waker_wake(waker_of_signal);
}

static void a_ring_in_a_signal_handler_is_told(void **state) {
    struct fixture *f = *state;
    int count;
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &waker_of_signal), 0);
    hang_hook(f, &count);
    struct sigaction action = {.sa_handler = wake_in_handler}, old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    raise(SIGUSR1);
    sigaction(SIGUSR1, &old, NULL);
    assert_int_equal(count, 1);
    kolk_waker_unref(waker_of_signal);
}

static int do_nothing(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return 0;
}

static void ignore_future(kolk_future *future, void *userdata) {
    (void)future;
    (void)userdata;
}

static void tasks_and_futures_are_told(void **state) {
    struct fixture *f = *state;
    int count;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, ignore_future, NULL, NULL), 0);
    hang_hook(f, &count);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(count, 1);
    dispatch_all(f);
    prepare(f);
    kolk_task *task = spawn(f, do_nothing);
    assert_int_equal(count, 2);
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(future);
}

static void ask_again(void *userdata) {
    struct fixture *f = userdata;
    if (kolk_loop_call_soon(f->loop, nothing, NULL, NULL, NULL) != 0)
        record(f, "refused");
}

/* A turn ends the plan that was made before it: whoever sleeps after it makes another, and that one says what is left over. */
static void what_a_turn_leaves_over_is_in_the_next_plan(void **state) {
    struct fixture *f = *state;
    int count;
    hang_hook(f, &count);
    call_soon(f, ask_again, f);
    assert_int_equal(count, 1);
    assert_int_equal(prepare(f).ready, 1);
    assert_int_equal(dispatch(f), 1);
    assert_int_equal(count, 1);
    assert_int_equal(prepare(f).ready, 1);
    assert_int_equal(dispatch(f), 1);
    assert_int_equal(prepare(f).ready, 0);
    call_soon(f, nothing, NULL);
    assert_int_equal(count, 2);
    assert_record(f, "");
}

/* It only schedules, and so is told of what it could have asked for itself: nothing runs inside of it. */
static void nothing_runs_inside_a_hook(void **state) {
    struct fixture *f = *state;
    int count;
    hang_hook(f, &count);
    call_soon(f, say, word(f, "ran"));
    assert_int_equal(count, 1);
    assert_record(f, "");
    dispatch_all(f);
    assert_record(f, "ran");
}

static void a_hook_is_destroyed_once(void **state) {
    struct fixture *f = *state;
    int destroyed[5] = {0};
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, &destroyed[0], count_destroy), 0);
    assert_int_equal(destroyed[0], 0);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, &destroyed[1], count_destroy), 0);
    assert_int_equal(destroyed[0], 1);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, NULL, NULL, NULL), 0);
    assert_int_equal(destroyed[1], 1);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, &destroyed[2], count_destroy), 0);
    assert_int_equal(kolk_loop_set_plan_hook(NULL, nothing, &destroyed[3], count_destroy), KOLK_EINVAL);
    assert_int_equal(destroyed[3], 1);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(destroyed[2], 1);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, &destroyed[4], count_destroy), KOLK_ECLOSED);
    assert_int_equal(destroyed[4], 1);
    assert_int_equal(destroyed[0], 1);
}

struct poster {
    struct fixture *f;
    int over;
};

static void *post_until_over(void *userdata) {
    struct poster *poster = userdata;
    while (!__atomic_load_n(&poster->over, __ATOMIC_ACQUIRE)) {
        if (kolk_loop_call_soon_threadsafe(poster->f->loop, nothing, NULL, NULL) != 0)
            abort();
        sched_yield();
    }
    return NULL;
}

/* No call of a hook is under way when it is destroyed: it is freed there, and a late call would show. */
static void a_hook_may_be_replaced_while_another_thread_posts(void **state) {
    struct fixture *f = *state;
    struct poster poster = {.f = f};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_until_over, &poster), 0);
    for (int i = 0; i < 500; i++) {
        int *counter = calloc(1, sizeof *counter);
        assert_non_null(counter);
        assert_int_equal(kolk_loop_set_plan_hook(f->loop, count_change, counter, free), 0);
        prepare(f);
        if (i % 10 == 0)
            dispatch(f);
    }
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, NULL, NULL, NULL), 0);
    __atomic_store_n(&poster.over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    dispatch_all(f);
}

/* ---- Hooks around batches and sleeps ---- */

static void note_enter(void *fixture) { record(fixture, "enter"); }
static void note_leave(void *fixture) { record(fixture, "leave"); }
static void note_before_wait(void *fixture) { record(fixture, "sleep"); }
static void note_after_wait(void *fixture) { record(fixture, "slept"); }

static const kolk_loop_hooks all_hooks = {sizeof all_hooks, 0, note_enter, note_leave, note_before_wait, note_after_wait};
static const kolk_loop_hooks batch_hooks = {sizeof batch_hooks, 0, note_enter, note_leave, NULL, NULL};

static void set_hooks(struct fixture *f, const kolk_loop_hooks *hooks) {
    assert_int_equal(kolk_loop_set_hooks(f->loop, hooks, f, NULL), 0);
}

static void a_turn_is_entered_and_left(void **state) {
    struct fixture *f = *state;
    set_hooks(f, &batch_hooks);
    call_soon(f, say, word(f, "a"));
    call_soon(f, say, word(f, "b"));
    drive_once(f);
    assert_record(f, "enter a b leave");
    set_hooks(f, NULL);
}

static int say_and_end(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "task");
    return 0;
}

static void tasks_run_between_enter_and_leave(void **state) {
    struct fixture *f = *state;
    set_hooks(f, &batch_hooks);
    kolk_task *task = spawn(f, say_and_end);
    drive_once(f);
    set_hooks(f, NULL);
    assert_record(f, "enter task leave");
    assert_int_equal(join(f, task), 0);
}

/* An interpreter's lock is released while the thread sleeps, and never twice. */
static void a_sleep_is_announced(void **state) {
    struct fixture *f = *state;
    set_hooks(f, &all_hooks);
    assert_int_equal(kolk_loop_call_later(f->loop, 3 * MS, say, word(f, "rang"), NULL, NULL), 0);
    while (!strstr(f->record, "rang"))
        assert_true(kolk_loop_run_once(f->loop) >= 0);
    set_hooks(f, NULL);
    /* A wake-up for nothing may come in between, so that there are several sleeps. */
    assert_int_equal(strncmp(f->record, "sleep slept ", 12), 0);
    const char *end = strstr(f->record, "slept enter rang leave");
    assert_non_null(end);
    assert_string_equal(end, "slept enter rang leave");
}

static void a_turn_that_does_not_sleep_says_nothing_of_it(void **state) {
    struct fixture *f = *state;
    set_hooks(f, &all_hooks);
    call_soon(f, say, word(f, "a"));
    assert_true(kolk_loop_run_once(f->loop) >= 0);
    assert_record(f, "enter a leave");
    set_hooks(f, NULL);
}

static void the_wait_of_the_thirds_is_announced(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_WAIT))
        return;
    set_hooks(f, &all_hooks);
    assert_int_equal(kolk_loop_wait(f->loop, kolk_loop_time(f->loop) + MS), 0);
    assert_record(f, "sleep slept");
    set_hooks(f, NULL);
}

static void dispatch_within(void *userdata) {
    struct fixture *f = userdata;
    record(f, "outer");
    int status = kolk_loop_dispatch(f->loop, NULL, NULL);
    record(f, "%s", status == 0 ? "done" : kolk_status_name(status));
}

static void hooks_nest_where_turns_nest(void **state) {
    struct fixture *f = *state;
    set_hooks(f, &batch_hooks);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, dispatch_within, f);
    call_soon(f, say, word(f, "inner"));
    drive_once(f);
    assert_record(f, "enter outer enter inner leave done leave");
    set_hooks(f, NULL);
}

static void set_hooks_here(void *userdata) {
    struct fixture *f = userdata;
    int destroyed = 0;
    int status = kolk_loop_set_hooks(f->loop, &all_hooks, &destroyed, count_destroy);
    record(f, "%s destroyed(%d)", kolk_status_name(status), destroyed);
}

static void hooks_are_not_set_inside_a_turn(void **state) {
    struct fixture *f = *state;
    call_soon(f, set_hooks_here, f);
    drive_once(f);
    assert_record(f, "KOLK_EBUSY destroyed(1)");
}

static void hooks_are_destroyed_once(void **state) {
    struct fixture *f = *state;
    static const kolk_loop_hooks none = {.size = sizeof none}, wrong = {.size = 3};
    int destroyed[5] = {0};
    assert_int_equal(kolk_loop_set_hooks(f->loop, &none, &destroyed[0], count_destroy), 0);
    assert_int_equal(kolk_loop_set_hooks(f->loop, &none, &destroyed[1], count_destroy), 0);
    assert_int_equal(destroyed[0], 1);
    assert_int_equal(kolk_loop_set_hooks(f->loop, &wrong, &destroyed[2], count_destroy), KOLK_EINVAL);
    assert_int_equal(destroyed[2], 1);
    assert_int_equal(destroyed[1], 0);
    assert_int_equal(kolk_loop_set_hooks(f->loop, NULL, NULL, NULL), 0);
    assert_int_equal(destroyed[1], 1);
    assert_int_equal(kolk_loop_set_hooks(f->loop, &none, &destroyed[3], count_destroy), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(destroyed[3], 1);
    assert_int_equal(kolk_loop_set_hooks(f->loop, &none, &destroyed[4], count_destroy), KOLK_ECLOSED);
    assert_int_equal(destroyed[4], 1);
}

/* ---- Turns inside of turns ---- */

static void dispatch_is_refused_inside_a_callback(void **state) {
    struct fixture *f = *state;
    call_soon(f, dispatch_within, f);
    call_soon(f, say, word(f, "next"));
    drive_once(f);
    assert_record(f, "outer KOLK_EBUSY next");
}

/* The rest of the turn outside comes first, in its order; and is not run again by it. */
static void an_inner_turn_runs_the_rest_of_the_outer_one_first(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, say, word(f, "a"));
    call_soon(f, dispatch_within, f);
    call_soon(f, say, word(f, "b"));
    call_soon(f, say, word(f, "c"));
    drive_once(f);
    assert_record(f, "a outer b c done");
}

static void allow_and_dispatch(void *userdata) {
    struct fixture *f = userdata;
    record(f, "before(%d)", kolk_loop_set_nesting(f->loop, 1));
    dispatch_within(f);
    record(f, "before(%d)", kolk_loop_set_nesting(f->loop, 0));
    dispatch_within(f);
}

static void nesting_may_be_allowed_for_one_call(void **state) {
    struct fixture *f = *state;
    call_soon(f, allow_and_dispatch, f);
    call_soon(f, say, word(f, "inner"));
    drive_once(f);
    assert_record(f, "before(0) outer inner done before(1) outer KOLK_EBUSY");
}

struct inner_budget {
    struct fixture *f;
    uint32_t max_items;
};

static void dispatch_with_budget(void *userdata) {
    struct inner_budget *inner = userdata;
    kolk_budget budget = {.size = sizeof budget, .max_items = inner->max_items};
    kolk_progress progress = {0, 0};
    int status = kolk_loop_dispatch(inner->f->loop, &budget, &progress);
    record(inner->f, "inner(%d,%u,%u)", status, progress.items, progress.more);
}

static void an_inner_turn_keeps_its_budget(void **state) {
    struct fixture *f = *state;
    struct inner_budget inner = {.f = f, .max_items = 2};
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, dispatch_with_budget, &inner);
    call_soon(f, say, word(f, "a"));
    call_soon(f, say, word(f, "b"));
    call_soon(f, say, word(f, "c"));
    drive_once(f);
    assert_record(f, "a b inner(0,2,1) c");
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

struct modal {
    struct fixture *f;
    int pair[2];
    int readable, rang, posted, slept;
};

static void mark_readable(void *userdata) {
    struct modal *modal = userdata;
    char byte;
    modal->readable += (int)read(modal->pair[0], &byte, 1);
}

static void mark_rang(void *userdata) { ((struct modal *)userdata)->rang = 1; }
static void mark_posted(void *userdata) { ((struct modal *)userdata)->posted = 1; }

static int mark_slept(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(MS);
    ((struct modal *)userdata)->slept = status == 0;
    return status;
}

static void *post_mark(void *userdata) {
    struct modal *modal = userdata;
    if (kolk_loop_call_soon_threadsafe(modal->f->loop, mark_posted, modal, NULL) != 0)
        abort();
    return NULL;
}

static void run_modal(struct modal *modal) {
    pthread_t thread;
    kolk_loop *loop = modal->f->loop;
    int status = kolk_loop_set_nesting(loop, 1);
    if (status == 0)
        status = kolk_loop_call_later(loop, MS, mark_rang, modal, NULL, NULL);
    if (status == 0)
        status = kolk_create_task(loop, mark_slept, modal, NULL, NULL, NULL);
    if (status == 0 && pthread_create(&thread, NULL, post_mark, modal) == 0)
        pthread_join(thread, NULL);
    if (write(modal->pair[1], "x", 1) != 1)
        status = KOLK_EIO;
    for (int i = 0; i < 20000 && status == 0; i++) {
        status = kolk_loop_dispatch(loop, NULL, NULL);
        if (modal->readable && modal->rang && modal->posted && modal->slept)
            break;
        nanosleep(&(struct timespec){.tv_nsec = MS / 10}, NULL);
    }
    record(modal->f, "%d: %d %d %d %d", status, modal->readable, modal->rang, modal->posted, modal->slept);
    kolk_loop_set_nesting(loop, 0);
}

static void run_modal_callback(void *userdata) { run_modal(userdata); }

static int run_modal_task(void *userdata, void **ret_result) {
    (void)ret_result;
    run_modal(userdata);
    return 0;
}

static void open_modal(struct fixture *f, struct modal *modal) {
    *modal = (struct modal){.f = f};
    open_pair(modal->pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, modal->pair[0], mark_readable, modal, NULL), 0);
}

static void close_modal(struct modal *modal) {
    kolk_loop_remove_reader(modal->f->loop, modal->pair[0]);
    close_pair(modal->pair);
}

static void everything_goes_on_in_the_turns_of_a_callback(void **state) {
    struct fixture *f = *state;
    struct modal modal;
    open_modal(f, &modal);
    call_soon(f, run_modal_callback, &modal);
    drive_once(f);
    assert_record(f, "0: 1 1 1 1");
    close_modal(&modal);
}

static void everything_goes_on_in_the_turns_of_a_task(void **state) {
    struct fixture *f = *state;
    struct modal modal;
    open_modal(f, &modal);
    assert_int_equal(run_task(f, run_modal_task, &modal), 0);
    assert_record(f, "0: 1 1 1 1");
    close_modal(&modal);
}

struct reentrant {
    struct fixture *f;
    int pair[2];
    int depth, deepest, calls;
};

static void read_nothing_and_dispatch(void *userdata) {
    struct reentrant *reader = userdata;
    reader->calls++;
    reader->depth++;
    reader->deepest = reader->depth > reader->deepest ? reader->depth : reader->deepest;
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(reader->f->loop, NULL, NULL);
    reader->depth--;
}

/* What is on the stack does not go on: a reader that has not read yet is not called inside itself. */
static void a_reader_on_the_stack_is_not_called_by_its_own_turns(void **state) {
    struct fixture *f = *state;
    struct reentrant reader = {.f = f};
    open_pair(reader.pair);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, reader.pair[0], read_nothing_and_dispatch, &reader, NULL), 0);
    assert_int_equal(write(reader.pair[1], "x", 1), 1);
    while (reader.calls < 3)
        drive_once(f);
    assert_int_equal(reader.deepest, 1);
    kolk_loop_remove_reader(f->loop, reader.pair[0]);
    close_pair(reader.pair);
}

static void count_call(void *counter) { ++*(int *)counter; }

struct both_ways {
    struct fixture *f;
    int pair[2];
    int handle; /* Negative: the reactor has none. */
    int reads, writes, writes_inside, awake;
};

static void dispatch_before_reading(void *userdata) {
    struct both_ways *both = userdata;
    kolk_loop *loop = both->f->loop;
    char byte;
    if (both->reads++ > 0) {
        both->reads += (int)read(both->pair[0], &byte, 1);
        return;
    }
    kolk_loop_dispatch(loop, NULL, NULL);
    both->awake = both->handle >= 0 && poll(&(struct pollfd){.fd = both->handle, .events = POLLIN}, 1, 0) != 0;
    kolk_loop_add_writer(loop, both->pair[0], count_call, &both->writes, NULL);
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(loop, NULL, NULL);
    both->writes_inside = both->writes;
    kolk_loop_remove_writer(loop, both->pair[0]);
    kolk_loop_dispatch(loop, NULL, NULL);
    both->awake += both->handle >= 0 && poll(&(struct pollfd){.fd = both->handle, .events = POLLIN}, 1, 0) != 0;
}

/* Nor does it keep a host awake meanwhile; the other direction of its descriptor goes on. */
static void a_reader_on_the_stack_is_watched_again_when_it_returns(void **state) {
    struct fixture *f = *state;
    struct both_ways both = {.f = f, .handle = kolk_loop_get_fd(f->loop)};
    open_pair(both.pair);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, both.pair[0], dispatch_before_reading, &both, NULL), 0);
    assert_int_equal(write(both.pair[1], "x", 1), 1);
    while (both.reads < 3)
        drive_once(f);
    assert_int_equal(both.awake, 0);
    assert_int_equal(both.writes_inside, 3);
    kolk_loop_remove_reader(f->loop, both.pair[0]);
    close_pair(both.pair);
}

struct own_run {
    struct modal modal;
    int fd, awake, asleep;
};

static int readable_now(int fd) { return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1; }

static void *post_mark_of_run(void *userdata) { return post_mark(&((struct own_run *)userdata)->modal); }

static void post_and_stop(void *userdata) {
    struct own_run *run = userdata;
    in_a_thread(post_mark_of_run, run);
    kolk_loop_stop(run->modal.f->loop);
}

/* While a loop runs by itself nobody need ring; when it ends, what came in its last turn is there for the host. */
static void what_is_posted_as_a_run_ends_shows_at_the_handle(void **state) {
    struct fixture *f = *state;
    struct own_run run = {.modal.f = f, .fd = kolk_loop_get_fd(f->loop)};
    call_soon(f, post_and_stop, &run);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_int_equal(run.modal.posted, 0);
    if (f->ops->caps & KOLK_REACTOR_GET_FD)
        assert_true(readable_now(run.fd));
    dispatch_all(f);
    assert_int_equal(run.modal.posted, 1);
}

static void sleep_on_the_handle_of_an_own_run(void *userdata) {
    struct own_run *run = userdata;
    kolk_loop *loop = run->modal.f->loop;
    kolk_loop_set_nesting(loop, 1);
    kolk_loop_dispatch(loop, NULL, NULL);
    run->asleep = !readable_now(run->fd);
    in_a_thread(post_mark_of_run, run);
    run->awake = readable_now(run->fd);
    kolk_loop_dispatch(loop, NULL, NULL);
    kolk_loop_set_nesting(loop, 0);
    kolk_loop_stop(loop);
}

/* A dialog that is opened by a loop that runs by itself is a host that sleeps. */
static void what_is_posted_during_a_dialog_of_an_own_run_shows_at_the_handle(void **state) {
    struct fixture *f = *state;
    struct own_run run = {.modal.f = f, .fd = kolk_loop_get_fd(f->loop)};
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        skip();
    call_soon(f, sleep_on_the_handle_of_an_own_run, &run);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_int_equal(run.asleep, 1);
    assert_int_equal(run.awake, 1);
    assert_int_equal(run.modal.posted, 1);
}

static void nesting_is_0_or_1(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 1);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 1);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 0);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 2), KOLK_EINVAL);
    assert_int_equal(kolk_loop_set_nesting(f->loop, -1), KOLK_EINVAL);
    assert_int_equal(kolk_loop_set_nesting(NULL, 1), KOLK_EINVAL);
}

/* ---- Alive ---- */

static void assert_alive(struct fixture *f, int expected) { assert_int_equal(kolk_loop_alive(f->loop), expected); }

static void a_callback_that_is_due_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    assert_alive(f, 0);
    call_soon(f, nothing, NULL);
    assert_alive(f, 1);
    dispatch_all(f);
    assert_alive(f, 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    while (kolk_loop_alive(f->loop))
        dispatch(f);
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 60 * SECOND, nothing, NULL, NULL, &handle), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    assert_alive(f, 0);
}

static void a_timer_that_runs_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_timer *timer = NULL;
    assert_int_equal(kolk_timer_new(f->loop, nothing, NULL, NULL, &timer), 0);
    assert_alive(f, 0);
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 60 * SECOND), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_timer_stop(timer), 1);
    assert_alive(f, 0);
    kolk_timer_unref(timer);
}

static void a_watch_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    assert_alive(f, 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_loop_remove_writer(f->loop, pair[0]), 1);
    assert_alive(f, 0);
    close_pair(pair);
}

static int await_it(void *future, void **ret_result) {
    (void)ret_result;
    return kolk_await(future, NULL);
}

static void a_task_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_alive(f, 0);
    kolk_task *task = spawn_with(f, await_it, future);
    dispatch_all(f);
    assert_alive(f, 1);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(join(f, task), 0);
    assert_alive(f, 0);
    kolk_future_unref(future);
}

static int serve_nobody(kolk_stream *stream, void *userdata) {
    (void)stream;
    (void)userdata;
    return 0;
}

static void a_server_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_server *server = NULL;
    assert_int_equal(kolk_start_server(f->loop, serve_nobody, NULL, NULL, "127.0.0.1", 0, NULL, &server, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_server_close(server), 0);
    dispatch_all(f);
    assert_alive(f, 0);
    kolk_server_unref(server);
}

/* A waker, a hook, the descriptor for a host, a future that nobody sets: of these nothing comes by itself. */
static void what_only_others_can_set_going_keeps_no_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_waker *waker = NULL;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &waker), 0);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, NULL, NULL), 0);
    kolk_loop_get_fd(f->loop);
    assert_alive(f, 0);
    kolk_waker_unref(waker);
    kolk_future_unref(future);
}

static void a_loop_that_is_closed_is_not_asked(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_alive(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_alive(f->loop), KOLK_ECLOSED);
}

/* ---- An orderly end ---- */

static int take_leave(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(60 * SECOND);
    record(userdata, "%s", kolk_status_name(status));
    record(userdata, "bye(%d)", kolk_sleep(2 * MS));
    return status;
}

static kolk_future *shut_down(struct fixture *f) {
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_shutdown_async(f->loop, &future), 0);
    return future;
}

static void an_orderly_end_lets_tasks_wait_while_they_clean_up(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, take_leave);
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    assert_int_equal(kolk_future_done(end), 0);
    drive_until(f, end);
    assert_record(f, "KOLK_ECANCELED bye(0)");
    assert_int_equal(kolk_future_result(end, NULL), 0);
    assert_int_equal(kolk_task_done(task), 1);
    kolk_task_unref(task);
    kolk_future_unref(end);
}

static void an_orderly_end_without_tasks_is_done(void **state) {
    struct fixture *f = *state;
    kolk_future *end = shut_down(f);
    drive_until(f, end);
    assert_int_equal(kolk_future_result(end, NULL), 0);
    kolk_future_unref(end);
}

/* A task that takes no notice is waited for, and told again when asked again. */
static int sleep_through(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_sleep(60 * SECOND)));
    record(userdata, "%s", kolk_status_name(kolk_sleep(60 * SECOND)));
    return 0;
}

static void asking_for_an_orderly_end_again_cancels_again(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, sleep_through));
    dispatch_all(f);
    kolk_future *first = shut_down(f);
    drive_during(f, 2 * MS);
    assert_int_equal(kolk_future_done(first), 0);
    kolk_future *second = shut_down(f);
    drive_until(f, first);
    drive_until(f, second);
    assert_record(f, "KOLK_ECANCELED KOLK_ECANCELED");
    kolk_future_unref(first);
    kolk_future_unref(second);
}

static int sleep_a_little(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "late(%d)", kolk_sleep(2 * MS));
    return 0;
}

static int start_another(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(60 * SECOND);
    record(f, "%s %d", kolk_status_name(status), kolk_create_task(f->loop, sleep_a_little, f, NULL, NULL, NULL));
    return status;
}

static void a_task_made_during_an_orderly_end_is_waited_for(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, start_another));
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    drive_until(f, end);
    assert_record(f, "KOLK_ECANCELED 0 late(0)");
    kolk_future_unref(end);
}

static void nobody_need_keep_the_future_of_an_orderly_end(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, take_leave));
    dispatch_all(f);
    kolk_future_unref(shut_down(f));
    drive_during(f, 100 * MS);
    assert_record(f, "KOLK_ECANCELED bye(0)");
}

/* A host that loses its patience closes the loop all the same. */
static void closing_ends_an_orderly_end(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, take_leave));
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_future_unref(end);
    assert_int_equal(kolk_loop_shutdown_async(f->loop, &end), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_shutdown_async(NULL, &end), KOLK_EINVAL);
}

/* ---- A fork ---- */

enum { CHILD_IS_FINE = 0, NOT_REFUSED = 10, NOT_TAKEN_OVER = 11, ANOTHER_HANDLE = 12, NOT_WORKING = 13 };

struct heirloom {
    struct fixture *f;
    kolk_task *task;
    int pair[2];
    int readable;
    int handle;
};

static void read_heirloom(void *userdata) {
    struct heirloom *heirloom = userdata;
    char byte;
    heirloom->readable += read(heirloom->pair[0], &byte, 1) == 1;
}

static int sleep_on(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "slept(%d)", kolk_sleep(30 * MS));
    return 0;
}

static int is_inherited(void *userdata) {
    struct heirloom *heirloom = userdata;
    return heirloom->readable && kolk_task_done(heirloom->task) && strcmp(heirloom->f->record, "slept(0) post") == 0;
}

static void inherit(struct heirloom *heirloom) {
    struct fixture *f = heirloom->f;
    in_a_thread(post_some, f);
    drive_until(f, kolk_task_as_future(heirloom->task));
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    assert_int_equal(write(heirloom->pair[1], "x", 1), 1);
    drive_for(f, is_inherited, heirloom);
}

static int be_the_child(struct heirloom *heirloom) {
    kolk_loop *loop = heirloom->f->loop;
    kolk_plan plan;
    alarm(20);
    if (kolk_loop_prepare(loop, &plan) != KOLK_EFORKED || kolk_loop_dispatch(loop, NULL, NULL) != KOLK_EFORKED ||
        kolk_loop_set_nesting(loop, 1) != KOLK_EFORKED || kolk_loop_alive(loop) != KOLK_EFORKED)
        return NOT_REFUSED;
    if (kolk_loop_after_fork(loop) != 0 || kolk_loop_after_fork(loop) != 0)
        return NOT_TAKEN_OVER;
    if (heirloom->handle >= 0 && kolk_loop_get_fd(loop) != heirloom->handle)
        return ANOTHER_HANDLE;
    inherit(heirloom); /* An assertion that fails here leaves as a failure of its own. */
    return CHILD_IS_FINE;
}

static int exit_status(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A task that sleeps, a watch, calls from a thread: all of it goes on in both, and neither notices the other. */
static void a_child_takes_the_loop_over(void **state) {
    struct fixture *f = *state;
    if (!MAY_FORK)
        skip();
    struct heirloom heirloom = {.f = f, .task = spawn(f, sleep_on), .handle = kolk_loop_get_fd(f->loop)};
    open_pair(heirloom.pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, heirloom.pair[0], read_heirloom, &heirloom, NULL), 0);
    dispatch_all(f);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(be_the_child(&heirloom));
    assert_int_equal(exit_status(child), CHILD_IS_FINE);
    inherit(&heirloom);
    kolk_task_unref(heirloom.task);
    kolk_loop_remove_reader(f->loop, heirloom.pair[0]);
    close_pair(heirloom.pair);
}

static void in_the_process_that_made_it_nothing_has_to_be_done(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_after_fork(f->loop), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_after_fork(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_after_fork(f->loop), KOLK_ECLOSED);
}

struct held_hook {
    kolk_loop *loop;
    int pair[2];
    int inside;
};

static void stay_in_hook(void *userdata) {
    struct held_hook *hook = userdata;
    char byte;
    __atomic_store_n(&hook->inside, 1, __ATOMIC_RELEASE);
    while (read(hook->pair[0], &byte, 1) < 0)
        usleep(1000);
}

static void *post_one(void *userdata) {
    struct held_hook *hook = userdata;
    if (kolk_loop_call_soon_threadsafe(hook->loop, nothing, NULL, NULL) != 0)
        abort();
    return NULL;
}

/* A thread that was inside the hook at the moment of the fork is not in the child, which does not wait for it to leave. */
static void a_child_does_not_wait_for_the_hook(void **state) {
    struct fixture *f = *state;
    if (!MAY_FORK)
        skip();
    struct held_hook hook = {.loop = f->loop};
    pthread_t thread;
    open_pair(hook.pair);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, stay_in_hook, &hook, NULL), 0);
    prepare(f);
    assert_int_equal(pthread_create(&thread, NULL, post_one, &hook), 0);
    while (!__atomic_load_n(&hook.inside, __ATOMIC_ACQUIRE))
        usleep(1000);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (kolk_loop_after_fork(f->loop) != 0)
            _exit(NOT_TAKEN_OVER);
        _exit(kolk_loop_close(f->loop) == 0 ? CHILD_IS_FINE : NOT_WORKING);
    }
    int status = child > 0 ? exit_status(child) : -1;
    assert_int_equal(write(hook.pair[1], "x", 1), 1);
    pthread_join(thread, NULL);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, NULL, NULL, NULL), 0);
    close_pair(hook.pair);
    assert_int_equal(status, CHILD_IS_FINE);
}

/* ---- Threads ---- */

struct asked {
    kolk_loop *loop;
    int statuses[5];
    int destroyed;
};

static void *ask_from_here(void *userdata) {
    struct asked *asked = userdata;
    kolk_future *future = NULL;
    asked->statuses[0] = kolk_loop_set_plan_hook(asked->loop, nothing, &asked->destroyed, count_destroy);
    asked->statuses[1] = kolk_loop_set_nesting(asked->loop, 1);
    asked->statuses[2] = kolk_loop_set_hooks(asked->loop, NULL, &asked->destroyed, count_destroy);
    asked->statuses[3] = kolk_loop_alive(asked->loop);
    asked->statuses[4] = kolk_loop_shutdown_async(asked->loop, &future);
    return NULL;
}

static void another_thread_is_refused(void **state) {
    struct fixture *f = *state;
    struct asked asked = {.loop = f->loop};
    in_a_thread(ask_from_here, &asked);
    for (size_t i = 0; i < COUNT(asked.statuses); i++)
        assert_int_equal(asked.statuses[i], KOLK_ETHREAD);
    assert_int_equal(asked.destroyed, 2);
}

static void close_and_set_hooks(void *fixture) {
    struct fixture *f = fixture;
    record(f, "close(%s) set(%s) dispatch(%s)", kolk_status_name(kolk_loop_close(f->loop)),
           kolk_status_name(kolk_loop_set_hooks(f->loop, NULL, NULL, NULL)),
           kolk_status_name(kolk_loop_dispatch(f->loop, NULL, NULL)));
    kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL); /* ends the wait */
}

/* Around the wait of the thirds an interpreter may do as it likes, but not with this loop. */
static void a_wait_is_not_pulled_from_under_itself(void **state) {
    struct fixture *f = *state;
    const kolk_loop_hooks hooks = {.size = sizeof hooks, .before_wait = close_and_set_hooks};
    if (!(f->ops->caps & KOLK_REACTOR_WAIT))
        skip();
    assert_int_equal(kolk_loop_set_hooks(f->loop, &hooks, f, NULL), 0);
    assert_int_equal(kolk_loop_wait(f->loop, KOLK_NEVER), 0);
    assert_record(f, "close(KOLK_EBUSY) set(KOLK_EBUSY) dispatch(KOLK_EBUSY)");
    assert_int_equal(kolk_loop_set_hooks(f->loop, NULL, NULL, NULL), 0);
}

static void wait_and_dispatch(void *fixture) {
    struct fixture *f = fixture;
    int status = kolk_loop_wait(f->loop, KOLK_NEVER);
    record(f, "wait(%s)", kolk_status_name(status == KOLK_ENOTSUP ? 0 : status));
    kolk_loop_dispatch(f->loop, NULL, NULL);
    record(f, "back");
}

/* Inside of a turn that is not over there is no sleep: without an end to it, this one would be for ever. */
static void an_inner_wait_does_not_sleep_through_the_outer_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, wait_and_dispatch, f);
    call_soon(f, say, word(f, "other"));
    drive_once(f);
    assert_record(f, "wait(KOLK_OK) other back");
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 1);
}

/* ---- The reactor that is a host, without one ---- */

static kolk_loop *loop_without_host(struct failing_allocator *memory) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = kolk_host_reactor(), .allocator = &memory->hook};
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    failing_allocator_init(memory);
    if (kolk_loop_new(&options, &loop, &error) != 0)
        fail_msg("%s", kolk_error_message(error));
    return loop;
}

static void end_loop(kolk_loop *loop, const struct failing_allocator *memory) {
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
    assert_int_equal(failing_allocator_live_blocks(memory), 0);
}

static void count_up(void *counter) { ++*(int *)counter; }

/* What is ready already needs no host. */
static void without_a_host_a_loop_runs_what_is_ready(void **state) {
    struct failing_allocator memory;
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    int calls = 0;
    assert_int_equal(kolk_loop_call_soon(loop, count_up, &calls, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(loop, count_up, &calls, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, 0, count_up, &calls, NULL, NULL), 0);
    for (int i = 0; i < 10 && calls < 3; i++)
        assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    assert_int_equal(calls, 3);
    end_loop(loop, &memory);
}

static void without_a_host_a_loop_does_not_sleep(void **state) {
    struct failing_allocator memory;
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    assert_int_equal(kolk_loop_call_later(loop, 60 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_once(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_run_forever(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_wait(loop, kolk_loop_time(loop) + 60 * SECOND), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_get_fd(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    end_loop(loop, &memory);
}

static void without_a_host_descriptors_are_kept(void **state) {
    struct failing_allocator memory;
    int pair[2];
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(kolk_loop_add_writer(loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    assert_int_equal(kolk_loop_remove_writer(loop, pair[0]), 1);
    assert_int_equal(kolk_loop_remove_reader(loop, pair[0]), 1);
    close_pair(pair);
    end_loop(loop, &memory);
}

static void the_reactor_that_is_a_host_is_one_table(void **state) {
    (void)state;
    assert_ptr_equal(kolk_host_reactor(), kolk_host_reactor());
    assert_int_equal(kolk_host_reactor()->abi, KOLK_REACTOR_ABI);
    assert_int_equal(kolk_host_reactor()->size, sizeof(kolk_reactor_ops));
}

int main(int argc, char **argv) {
    static const struct rule rules[] = {
        RULE(changes_of_a_plan_are_told_once),
        RULE(a_new_hook_is_told_without_a_plan),
        RULE(an_earlier_deadline_is_told_and_a_later_one_not),
        RULE(a_timer_that_is_moved_forward_is_told),
        RULE(calls_from_another_thread_are_told_once),
        RULE(a_ring_in_a_signal_handler_is_told),
        RULE(tasks_and_futures_are_told),
        RULE(what_a_turn_leaves_over_is_in_the_next_plan),
        RULE(nothing_runs_inside_a_hook),
        RULE(a_hook_is_destroyed_once),
        RULE_IN_REAL_TIME(a_hook_may_be_replaced_while_another_thread_posts),
        RULE(a_turn_is_entered_and_left),
        RULE(tasks_run_between_enter_and_leave),
        RULE(a_sleep_is_announced),
        RULE(a_turn_that_does_not_sleep_says_nothing_of_it),
        RULE(the_wait_of_the_thirds_is_announced),
        RULE(hooks_nest_where_turns_nest),
        RULE(hooks_are_not_set_inside_a_turn),
        RULE(hooks_are_destroyed_once),
        RULE(a_wait_is_not_pulled_from_under_itself),
        RULE(an_inner_wait_does_not_sleep_through_the_outer_turn),
        RULE(dispatch_is_refused_inside_a_callback),
        RULE(an_inner_turn_runs_the_rest_of_the_outer_one_first),
        RULE(nesting_may_be_allowed_for_one_call),
        RULE(an_inner_turn_keeps_its_budget),
        RULE_IN_REAL_TIME(a_limited_turn_takes_some_of_very_many_timers),
        RULE_IN_REAL_TIME(everything_goes_on_in_the_turns_of_a_callback),
        RULE_IN_REAL_TIME(everything_goes_on_in_the_turns_of_a_task),
        RULE(a_reader_on_the_stack_is_not_called_by_its_own_turns),
        RULE(a_reader_on_the_stack_is_watched_again_when_it_returns),
        RULE(what_is_posted_as_a_run_ends_shows_at_the_handle),
        RULE(what_is_posted_during_a_dialog_of_an_own_run_shows_at_the_handle),
        RULE(nesting_is_0_or_1),
        RULE(a_callback_that_is_due_keeps_a_loop_alive),
        RULE(a_timer_that_runs_keeps_a_loop_alive),
        RULE(a_watch_keeps_a_loop_alive),
        RULE(a_task_keeps_a_loop_alive),
        RULE(a_server_keeps_a_loop_alive),
        RULE(what_only_others_can_set_going_keeps_no_loop_alive),
        RULE(a_loop_that_is_closed_is_not_asked),
        RULE(an_orderly_end_lets_tasks_wait_while_they_clean_up),
        RULE(an_orderly_end_without_tasks_is_done),
        RULE(asking_for_an_orderly_end_again_cancels_again),
        RULE(a_task_made_during_an_orderly_end_is_waited_for),
        RULE(nobody_need_keep_the_future_of_an_orderly_end),
        RULE(closing_ends_an_orderly_end),
        RULE_IN_REAL_TIME(a_child_takes_the_loop_over),
        RULE(a_child_does_not_wait_for_the_hook),
        RULE(in_the_process_that_made_it_nothing_has_to_be_done),
        RULE(another_thread_is_refused),
    };
    static const struct rule bare[] = {
        RULE(without_a_host_a_loop_runs_what_is_ready),
        RULE(without_a_host_a_loop_does_not_sleep),
        RULE(without_a_host_descriptors_are_kept),
        RULE(the_reactor_that_is_a_host_is_one_table),
    };
    select_tests(argc, argv);
    return run_matrix("host", rules, COUNT(rules)) + run_bare("host reactor", bare, COUNT(bare));
}
