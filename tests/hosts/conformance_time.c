/* Timers of a guest: never early, whatever the host was doing, and never forgotten. */
#include "conformance.h"

#include <stdlib.h>

enum { US = 1000, ALARMS = 16 };

/* A timer that knows when it may ring. */
struct alarm_clock {
    struct visit *v;
    int64_t delay;
    int64_t due;
    int64_t rang; /* 0: not yet. */
    int number;
};

static void ring(void *userdata) {
    struct alarm_clock *alarm = userdata;
    alarm->rang = kolk_loop_time(alarm->v->f.loop);
    arrive(alarm->v);
}

static void set_alarm(void *userdata) {
    struct alarm_clock *alarm = userdata;
    alarm->due = kolk_loop_time(alarm->v->f.loop) + alarm->delay;
    if (kolk_loop_call_later(alarm->v->f.loop, alarm->delay, ring, alarm, NULL, NULL) != 0)
        arrive(alarm->v);
}

static void assert_rang_in_time(const struct alarm_clock *alarm) {
    assert_true(alarm->rang != 0);
    assert_true(alarm->rang >= alarm->due);
}

/* One at a time, so that the host has nothing else to wake up for. */
static void check_alarm(struct visit *v, int64_t delay) {
    struct alarm_clock alarm = {.v = v, .delay = delay};
    set_alarm(&alarm);
    run_until(v, 1);
    assert_rang_in_time(&alarm);
}

static void timers_are_never_early(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 10; i++)
        check_alarm(v, 100 * US + i * 37 * US);
    for (int i = 0; i < 5; i++)
        check_alarm(v, MS + i * 137 * US);
    check_alarm(v, 10 * MS + 537 * US);
}

static void timers_side_by_side_are_never_early(void **state) {
    struct visit *v = *state;
    struct alarm_clock alarms[ALARMS];
    for (int i = 0; i < ALARMS; i++) {
        alarms[i] = (struct alarm_clock){.v = v, .delay = (ALARMS - i) * 2 * MS + i * 100 * US};
        set_alarm(&alarms[i]);
    }
    run_until(v, ALARMS);
    for (int i = 0; i < ALARMS; i++)
        assert_rang_in_time(&alarms[i]);
}

static void spin_and_set_alarm(void *userdata) {
    spin(10 * MS);
    set_alarm(userdata);
}

static void set_alarm_and_spin(void *userdata) {
    set_alarm(userdata);
    spin(10 * MS);
}

/* libuv counts from a time that it read before the host was busy. */
static void a_timer_armed_by_a_host_that_was_busy_is_not_early(void **state) {
    struct visit *v = *state;
    const int64_t delays[] = {MS, 15 * MS};
    for (size_t i = 0; i < COUNT(delays); i++) {
        struct alarm_clock alarm = {.v = v, .delay = delays[i]};
        host_call_later(v, 0, spin_and_set_alarm, &alarm);
        run_until(v, 1);
        assert_rang_in_time(&alarm);
    }
}

static void a_timer_that_comes_due_while_the_host_is_busy_fires(void **state) {
    struct visit *v = *state;
    const int64_t delays[] = {MS, 15 * MS};
    for (size_t i = 0; i < COUNT(delays); i++) {
        struct alarm_clock alarm = {.v = v, .delay = delays[i]};
        host_call_later(v, 0, set_alarm_and_spin, &alarm);
        run_until(v, 1);
        assert_rang_in_time(&alarm);
    }
}

static void a_timer_armed_by_a_callback_that_was_busy_is_not_early(void **state) {
    struct visit *v = *state;
    struct alarm_clock alarm = {.v = v, .delay = 5 * MS};
    assert_int_equal(kolk_loop_call_soon(v->f.loop, spin_and_set_alarm, &alarm, NULL, NULL), 0);
    run_until(v, 1);
    assert_rang_in_time(&alarm);
}

static void note_and_arrive(void *userdata) {
    struct alarm_clock *alarm = userdata;
    record(&alarm->v->f, "%d", alarm->number);
    arrive(alarm->v);
}

static void equal_deadlines_fire_in_order(void **state) {
    struct visit *v = *state;
    struct alarm_clock alarms[8];
    int64_t when = kolk_loop_time(v->f.loop) + 3 * MS;
    for (int i = 0; i < 8; i++) {
        alarms[i] = (struct alarm_clock){.v = v, .number = i};
        assert_int_equal(kolk_loop_call_at(v->f.loop, when, note_and_arrive, &alarms[i], NULL, NULL), 0);
    }
    run_until(v, 8);
    assert_record(&v->f, "0 1 2 3 4 5 6 7");
}

static void deadlines_fire_in_their_order(void **state) {
    struct visit *v = *state;
    struct alarm_clock alarms[8];
    int64_t now = kolk_loop_time(v->f.loop);
    for (int i = 0; i < 8; i++) {
        alarms[i] = (struct alarm_clock){.v = v, .number = i};
        assert_int_equal(kolk_loop_call_at(v->f.loop, now + (8 - i) * MS, note_and_arrive, &alarms[i], NULL, NULL), 0);
    }
    run_until(v, 8);
    assert_record(&v->f, "7 6 5 4 3 2 1 0");
}

static void a_deadline_in_the_past_is_now(void **state) {
    struct visit *v = *state;
    assert_int_equal(kolk_loop_call_at(v->f.loop, 1, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
    assert_int_equal(kolk_loop_call_later(v->f.loop, -SECOND, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

/* Further off than any other in the host: whoever forgets to move the deadline forward sleeps a minute. */
static kolk_handle *set_far_timer(struct visit *v) {
    kolk_handle *far = NULL;
    assert_int_equal(kolk_loop_call_later(v->f.loop, 60 * SECOND, arrive, v, NULL, &far), 0);
    return far;
}

static void drop_far_timer(kolk_handle *far) {
    assert_int_equal(kolk_handle_cancel(far), 0);
    kolk_handle_unref(far);
}

static void an_earlier_timer_from_a_callback_moves_the_deadline(void **state) {
    struct visit *v = *state;
    kolk_handle *far = set_far_timer(v);
    struct alarm_clock alarm = {.v = v, .delay = 10 * MS};
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, set_alarm, &alarm, NULL, NULL), 0);
    run_until(v, 1);
    assert_rang_in_time(&alarm);
    drop_far_timer(far);
}

static void *set_alarm_from_here(void *userdata) {
    struct alarm_clock *alarm = userdata;
    sleep_ns(10 * MS); /* The host sleeps by now. */
    if (kolk_loop_call_soon_threadsafe(alarm->v->f.loop, set_alarm, alarm, NULL) != 0)
        abort();
    return NULL;
}

static void an_earlier_timer_from_another_thread_moves_the_deadline(void **state) {
    struct visit *v = *state;
    kolk_handle *far = set_far_timer(v);
    struct alarm_clock alarm = {.v = v, .delay = 5 * MS};
    pthread_t thread = start_thread(set_alarm_from_here, &alarm);
    run_until(v, 1);
    pthread_join(thread, NULL);
    assert_rang_in_time(&alarm);
    drop_far_timer(far);
}

static void an_earlier_timer_from_the_host_moves_the_deadline(void **state) {
    struct visit *v = *state;
    kolk_handle *far = set_far_timer(v);
    struct alarm_clock alarm = {.v = v, .delay = 5 * MS};
    host_call_later(v, 10 * MS, set_alarm, &alarm);
    run_until(v, 1);
    assert_rang_in_time(&alarm);
    drop_far_timer(far);
}

/* In between the host may have been told of the earlier one only. */
static void a_later_timer_is_not_forgotten_for_an_earlier_one(void **state) {
    struct visit *v = *state;
    struct alarm_clock first = {.v = v, .delay = 10 * MS}, second = {.v = v, .delay = 2 * MS};
    set_alarm(&first);
    set_alarm(&second);
    run_until(v, 2);
    assert_rang_in_time(&first);
    assert_rang_in_time(&second);
}

static void a_cancelled_timer_does_not_fire(void **state) {
    struct visit *v = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, say, word(&v->f, "cancelled"), NULL, &handle), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 10 * MS, say, word(&v->f, "other"), NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 10 * MS, arrive, v, NULL, NULL), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    run_until(v, 1);
    assert_record(&v->f, "other");
}

struct moved_timer {
    struct alarm_clock alarm;
    kolk_timer *timer;
};

static void move_later(void *userdata) {
    struct moved_timer *moved = userdata;
    moved->alarm.due = kolk_loop_time(moved->alarm.v->f.loop) + 20 * MS;
    kolk_timer_start(moved->timer, moved->alarm.due);
}

static void a_timer_that_the_host_moves_fires_at_its_new_time(void **state) {
    struct visit *v = *state;
    struct moved_timer moved = {.alarm = {.v = v}};
    assert_int_equal(kolk_timer_new(v->f.loop, ring, &moved.alarm, NULL, &moved.timer), 0);
    assert_int_equal(kolk_timer_start(moved.timer, kolk_loop_time(v->f.loop) + 60 * SECOND), 0);
    host_call_later(v, 0, move_later, &moved);
    run_until(v, 1);
    assert_rang_in_time(&moved.alarm);
    kolk_timer_unref(moved.timer);
}

struct ticker {
    struct visit *v;
    int left;
};

static void host_ticks(void *userdata) {
    struct ticker *ticker = userdata;
    if (--ticker->left == 0)
        arrive(ticker->v);
    else
        host_call_later(ticker->v, MS, host_ticks, ticker);
}

static void kolk_ticks(void *userdata) {
    struct ticker *ticker = userdata;
    if (--ticker->left == 0)
        arrive(ticker->v);
    else
        kolk_loop_call_later(ticker->v->f.loop, MS, kolk_ticks, ticker, NULL, NULL);
}

static void timers_of_the_host_and_of_kolk_do_not_mix(void **state) {
    struct visit *v = *state;
    struct ticker hosts = {.v = v, .left = 15}, ours = {.v = v, .left = 15};
    host_call_later(v, MS, host_ticks, &hosts);
    kolk_ticks(&ours);
    run_until(v, 2);
    assert_int_equal(hosts.left, 0);
    assert_int_equal(ours.left, 0);
}

static const struct host_rule rules[] = {
    HOST_RULE(timers_are_never_early),
    HOST_RULE(timers_side_by_side_are_never_early),
    HOST_RULE(a_timer_armed_by_a_host_that_was_busy_is_not_early),
    HOST_RULE(a_timer_that_comes_due_while_the_host_is_busy_fires),
    HOST_RULE(a_timer_armed_by_a_callback_that_was_busy_is_not_early),
    HOST_RULE(equal_deadlines_fire_in_order),
    HOST_RULE(deadlines_fire_in_their_order),
    HOST_RULE(a_deadline_in_the_past_is_now),
    HOST_RULE(an_earlier_timer_from_a_callback_moves_the_deadline),
    HOST_RULE(an_earlier_timer_from_another_thread_moves_the_deadline),
    HOST_RULE(an_earlier_timer_from_the_host_moves_the_deadline),
    HOST_RULE(a_later_timer_is_not_forgotten_for_an_earlier_one),
    HOST_RULE(a_cancelled_timer_does_not_fire),
    HOST_RULE(a_timer_that_the_host_moves_fires_at_its_new_time),
    HOST_RULE(timers_of_the_host_and_of_kolk_do_not_mix),
};

const struct host_rules time_rules = {rules, COUNT(rules)};
