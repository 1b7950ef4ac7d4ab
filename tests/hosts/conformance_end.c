/* Ends: of a stay, of a loop, of a host; in any order, and from inside what they end. */
#include "conformance.h"

#include <stdlib.h>

static void ask_to_be_silent(void *fixture) { record(fixture, "late"); }

static void detach(void *visit) {
    struct visit *v = visit;
    record(&v->f, "detach(%d)", kolk_guest_detach(v->guest));
}

static void detach_and_arrive(void *visit) {
    detach(visit);
    arrive(visit);
}

/* Of all sorts, so that something is registered with the host wherever it can be. */
static void ask_for_everything(struct visit *v, int pair[2]) {
    assert_int_equal(kolk_loop_call_soon(v->f.loop, ask_to_be_silent, &v->f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, ask_to_be_silent, &v->f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, pair[0], ask_to_be_silent, &v->f, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(v->f.loop, ask_to_be_silent, &v->f, NULL), 0);
    put_byte(pair[1]);
}

static void nothing_runs_after_the_stay_has_ended(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    ask_for_everything(v, pair);
    detach(v);
    run_for(v, 10 * MS);
    assert_record(&v->f, "detach(0)");
    close_pair(pair);
}

static void detaching_twice_is_fine(void **state) {
    struct visit *v = *state;
    detach(v);
    detach(v);
    assert_record(&v->f, "detach(0) detach(0)");
    assert_int_equal(kolk_guest_turn(v->guest), KOLK_ECLOSED);
    assert_int_equal(kolk_guest_ready(v->guest, 0, KOLK_EVENT_READ), KOLK_ECLOSED);
    assert_int_equal(kolk_guest_way(v->guest), v->way);
    assert_int_equal(kolk_loop_is_closed(v->f.loop), 0);
}

static void a_callback_may_end_the_stay(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, detach_and_arrive, v, NULL, NULL), 0);
    run_until(v, 1);
    clear_record(&v->f);
    ask_for_everything(v, pair);
    run_for(v, 10 * MS);
    assert_record(&v->f, "");
    close_pair(pair);
}

static void ask_and_detach(void *visit) {
    struct visit *v = visit;
    if (kolk_loop_call_later(v->f.loop, MS, ask_to_be_silent, &v->f, NULL, NULL) != 0)
        record(&v->f, "refused");
    detach_and_arrive(v);
}

static void a_timer_may_end_the_stay(void **state) {
    struct visit *v = *state;
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, ask_and_detach, v, NULL, NULL), 0);
    run_until(v, 1);
    run_for(v, 5 * MS);
    assert_record(&v->f, "detach(0)");
}

static void a_reader_may_end_the_stay(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, pair[0], detach_and_arrive, v, NULL), 0);
    put_byte(pair[1]);
    run_until(v, 1);
    run_for(v, 10 * MS);
    assert_record(&v->f, "detach(0)");
    close_pair(pair);
}

static int detach_in_task(void *visit, void **ret_result) {
    (void)ret_result;
    detach_and_arrive(visit);
    return 0;
}

static void a_task_may_end_the_stay(void **state) {
    struct visit *v = *state;
    kolk_task_unref(spawn_with(&v->f, detach_in_task, v));
    run_until(v, 1);
    run_for(v, 10 * MS);
    assert_record(&v->f, "detach(0)");
}

static void begin_again(struct visit *v) {
    end_stay(&v->stay);
    assert_int_equal(begin_stay(v, &v->stay, v->f.loop, &v->options), 0);
    v->guest = v->stay.guest;
}

static void say_and_arrive(void *visit) {
    struct visit *v = visit;
    record(&v->f, "%s", kolk_guest_turn(v->guest) == KOLK_EBUSY ? "again" : "not in a turn");
    arrive(v);
}

static void a_loop_may_come_back_after_its_stay(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        begin_again(v);
        assert_int_equal(kolk_loop_call_later(v->f.loop, MS, say_and_arrive, v, NULL, NULL), 0);
        run_until(v, 1);
    }
    assert_record(&v->f, "again again again");
}

static void take_and_arrive(void *userdata) {
    void **both = userdata;
    struct visit *v = both[0];
    int *pair = both[1];
    record(&v->f, "read(%d)", take_bytes(pair[0]));
    arrive(v);
}

/* What was asked for during one stay, and came between the two, is served in the next. */
static void what_was_under_way_goes_on_in_the_next_stay(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    void *both[] = {v, pair};
    assert_int_equal(kolk_loop_add_reader(v->f.loop, pair[0], take_and_arrive, both, NULL), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 5 * MS, arrive, v, NULL, NULL), 0);
    run_for(v, MS);
    kolk_guest_detach(v->guest);
    put_byte(pair[1]);
    assert_int_equal(kolk_loop_call_soon_threadsafe(v->f.loop, arrive, v, NULL), 0);
    run_for(v, MS);
    assert_record(&v->f, "");
    begin_again(v);
    run_until(v, 3);
    assert_record(&v->f, "read(1)");
    kolk_loop_remove_reader(v->f.loop, pair[0]);
    close_pair(pair);
}

static void a_loop_may_run_by_itself_after_its_stay(void **state) {
    struct visit *v = *state;
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, say, word(&v->f, "rang"), NULL, NULL), 0);
    kolk_guest_detach(v->guest);
    assert_in_range(kolk_loop_run_once(v->f.loop), 0, 1);
    while (v->f.recorded == 0)
        assert_in_range(kolk_loop_run_once(v->f.loop), 0, 1);
    assert_record(&v->f, "rang");
}

/* ---- Closing and dropping the loop ---- */

static void drop_loop(void *visit) {
    struct visit *v = visit;
    v->f.loop = kolk_loop_unref(v->f.loop);
    arrive(v);
}

static void the_loop_may_be_dropped_from_its_own_callback(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, drop_loop, v, NULL, NULL), 0);
    ask_for_everything(v, pair);
    run_until(v, 1);
    run_for(v, 10 * MS);
    assert_int_equal(kolk_guest_turn(v->guest), KOLK_ECLOSED);
    assert_int_equal(kolk_guest_detach(v->guest), 0);
    close_pair(pair);
}

static void the_loop_may_be_dropped_from_a_timer(void **state) {
    struct visit *v = *state;
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, drop_loop, v, NULL, NULL), 0);
    run_until(v, 1);
    run_for(v, 5 * MS);
    assert_record(&v->f, "");
}

static void close_loop(void *visit) {
    struct visit *v = visit;
    record(&v->f, "close(%s)", kolk_status_name(kolk_loop_close(v->f.loop)));
}

static void the_host_may_close_the_loop(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    ask_for_everything(v, pair);
    host_runs(v, close_loop, v);
    assert_int_equal(kolk_loop_is_closed(v->f.loop), 1);
    clear_record(&v->f);
    run_for(v, 5 * MS);
    assert_record(&v->f, "");
    assert_int_equal(kolk_guest_turn(v->guest), KOLK_ECLOSED);
    close_pair(pair);
}

static int wait_for_ever(void *visit, void **ret_result) {
    struct visit *v = visit;
    (void)ret_result;
    arrive(v);
    int status = kolk_sleep(60 * SECOND);
    record(&v->f, "%s", kolk_status_name(status));
    return status;
}

static void closing_ends_the_tasks_of_a_guest(void **state) {
    struct visit *v = *state;
    kolk_task *task = spawn_with(&v->f, wait_for_ever, v);
    run_until(v, 1);
    assert_int_equal(kolk_loop_close(v->f.loop), 0);
    assert_record(&v->f, "KOLK_ECANCELED");
    assert_int_equal(kolk_task_done(task), 1);
    kolk_task_unref(task);
}

static void dropping_the_guest_does_not_end_the_stay(void **state) {
    struct visit *v = *state;
    if (v->stay.frames) /* Its host has to keep the guest, to take turns with it. */
        return;
    v->guest = v->stay.guest = kolk_guest_unref(v->stay.guest);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

/* ---- The host ends first ---- */

static void the_host_may_end_before_the_loop(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    ask_for_everything(v, pair);
    kolk_task *task = spawn_with(&v->f, wait_for_ever, v);
    run_until(v, 1);
    end_stay(&v->stay);
    if (!v->host->hosted || v->way != KOLK_GUEST_REACTOR) { /* A reactor on the host's own loop cannot outlive it. */
        v->host->close(v->self);
        v->self = NULL;
    }
    clear_record(&v->f);
    assert_int_equal(kolk_loop_close(v->f.loop), 0);
    assert_record(&v->f, "KOLK_ECANCELED");
    kolk_task_unref(task);
    close_pair(pair);
}

static void stop_host(void *visit) {
    struct visit *v = visit;
    v->host->stop(v->self);
}

/* Between two runs of the host nothing is lost. */
static void a_host_that_stops_may_run_again(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kolk_loop_call_soon(v->f.loop, stop_host, v, NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, say, word(&v->f, "rang"), NULL, NULL), 0);
        v->host->run(v->self);
        sleep_ns(4 * MS);
        assert_int_equal(kolk_loop_call_later(v->f.loop, 0, arrive, v, NULL, NULL), 0);
        run_until(v, 1);
    }
    assert_record(&v->f, "rang rang rang");
}

/* ---- An orderly end ---- */

static int take_leave(void *visit, void **ret_result) {
    int status = wait_for_ever(visit, ret_result);
    int again = kolk_sleep(5 * MS);
    record(&((struct visit *)visit)->f, "bye(%d)", again);
    return status;
}

static void future_arrives(kolk_future *future, void *visit) {
    struct visit *v = visit;
    record(&v->f, "shut(%d)", kolk_future_result(future, NULL));
    arrive(v);
}

static kolk_future *shut_down(struct visit *v) {
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_shutdown_async(v->f.loop, &future), 0);
    assert_int_equal(kolk_future_add_done_callback(future, future_arrives, v, NULL), 0);
    return future;
}

/* Unlike during kolk_loop_close(), they may wait while they clean up. */
static void tasks_take_their_leave_at_the_pace_of_the_host(void **state) {
    struct visit *v = *state;
    kolk_task_unref(spawn_with(&v->f, take_leave, v));
    run_until(v, 1);
    kolk_future *future = shut_down(v);
    run_until(v, 1);
    assert_record(&v->f, "KOLK_ECANCELED bye(0) shut(0)");
    kolk_future_unref(future);
    assert_int_equal(kolk_loop_alive(v->f.loop), 0);
    assert_int_equal(kolk_loop_close(v->f.loop), 0);
}

static void the_end_comes_at_once_without_tasks(void **state) {
    struct visit *v = *state;
    kolk_future *future = shut_down(v);
    run_until(v, 1);
    assert_record(&v->f, "shut(0)");
    kolk_future_unref(future);
}

static void a_guest_is_alive_while_something_can_happen(void **state) {
    struct visit *v = *state;
    assert_int_equal(kolk_loop_alive(v->f.loop), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
    assert_int_equal(kolk_loop_alive(v->f.loop), 1);
    run_until(v, 1);
    run_for(v, MS);
    assert_int_equal(kolk_loop_alive(v->f.loop), 0);
}

/* ---- More than one ---- */

static void a_second_stay_of_a_loop_is_refused(void **state) {
    struct visit *v = *state;
    kolk_guest *second = NULL;
    kolk_error *error = NULL;
    assert_int_equal(v->host->attach(v->self, v->f.loop, &v->options, &second, &error), KOLK_EBUSY);
    assert_null(second);
    assert_non_null(error);
    kolk_error_unref(error);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

static void two_loops_live_in_one_host(void **state) {
    struct visit *v = *state;
    struct stay second;
    kolk_loop *loop = make_loop(v, v->f.ops, v->way);
    assert_non_null(loop);
    assert_int_equal(begin_stay(v, &second, loop, &v->options), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_later(loop, 3 * MS, arrive, v, NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_soon_threadsafe(loop, arrive, v, NULL), 0);
        run_until(v, 3);
    }
    end_stay(&second);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

static const struct host_rule rules[] = {
    HOST_RULE(nothing_runs_after_the_stay_has_ended),
    HOST_RULE(detaching_twice_is_fine),
    HOST_RULE(a_callback_may_end_the_stay),
    HOST_RULE(a_timer_may_end_the_stay),
    HOST_RULE(a_reader_may_end_the_stay),
    HOST_RULE(a_task_may_end_the_stay),
    HOST_RULE(a_loop_may_come_back_after_its_stay),
    HOST_RULE(what_was_under_way_goes_on_in_the_next_stay),
    HOST_RULE_THAT_NEEDS(a_loop_may_run_by_itself_after_its_stay, NEEDS_DETACHED),
    HOST_RULE(the_loop_may_be_dropped_from_its_own_callback),
    HOST_RULE(the_loop_may_be_dropped_from_a_timer),
    HOST_RULE(the_host_may_close_the_loop),
    HOST_RULE(closing_ends_the_tasks_of_a_guest),
    HOST_RULE(dropping_the_guest_does_not_end_the_stay),
    HOST_RULE(the_host_may_end_before_the_loop),
    HOST_RULE(a_host_that_stops_may_run_again),
    HOST_RULE(tasks_take_their_leave_at_the_pace_of_the_host),
    HOST_RULE(the_end_comes_at_once_without_tasks),
    HOST_RULE(a_guest_is_alive_while_something_can_happen),
    HOST_RULE(a_second_stay_of_a_loop_is_refused),
    HOST_RULE(two_loops_live_in_one_host),
};

const struct host_rules end_rules = {rules, COUNT(rules)};
