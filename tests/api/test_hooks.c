/* The hooks of a loop: a host is told that its plan is out of date, and what runs and sleeps is announced. */
#include "support/callbacks.h"
#include "support/turns.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

/* ---- The plan hook ---- */

static void call_later(struct fixture *f, int64_t delay_ns) {
    assert_int_equal(kolk_loop_call_later(f->loop, delay_ns, nothing, NULL, NULL, NULL), 0);
}

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
    assert_int_equal(kolk_loop_wait(f->loop, kolk_loop_time(f->loop) + 50 * MS), 0);
    assert_record(f, "sleep slept");
    set_hooks(f, NULL);
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

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
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
    };
    return run_matrix("hooks", matrix, COUNT(matrix));
}
