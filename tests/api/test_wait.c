/* Waiting for some of several futures, without cancelling any. */
#include "support/driver.h"

#include <stdlib.h>

enum { THREE = 3 };

static kolk_future *wait(struct fixture *f, kolk_future *const *futures, size_t count, int32_t until, int64_t timeout_ns) {
    kolk_future *some = NULL;
    assert_int_equal(kolk_wait_async(f->loop, futures, count, until, timeout_ns, &some), 0);
    assert_non_null(some);
    return some;
}

static void new_futures(struct fixture *f, kolk_future **ret_futures, size_t count) {
    for (size_t i = 0; i < count; i++)
        ret_futures[i] = new_future(f);
}

static void drop_futures(kolk_future **futures, size_t count) {
    for (size_t i = 0; i < count; i++)
        kolk_future_unref(futures[i]);
}

/* How many it says are done; drops it. */
static int number_done(struct fixture *f, kolk_future *some) {
    void *number = NULL;
    drive_until(f, some);
    assert_int_equal(kolk_future_result(some, &number), 0);
    kolk_future_unref(some);
    return (int)(intptr_t)number;
}

/* ALL_COMPLETED: it is done when the last one is, however they ended. */
static void all_completed_waits_for_the_last(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, KOLK_NEVER);
    kolk_future_set_result(futures[2], "tea", NULL);
    kolk_future_set_error(futures[0], kolk_error_of(KOLK_EIO));
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(all), 0);
    kolk_future_cancel(futures[1]);
    assert_int_equal(number_done(f, all), 3);
    assert_int_equal(kolk_future_result(futures[0], NULL), KOLK_EIO);
    drop_futures(futures, THREE);
}

/* FIRST_COMPLETED: it is done when one is, a cancelled one too, and the others go on. */
static void first_completed_waits_for_one(void **state) {
    struct fixture *f = *state;
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        kolk_future *futures[THREE];
        new_futures(f, futures, THREE);
        kolk_future *first = wait(f, futures, THREE, KOLK_FIRST_COMPLETED, KOLK_NEVER);
        drive_during(f, MS);
        assert_int_equal(kolk_future_done(first), 0);
        if (cancelled)
            kolk_future_cancel(futures[1]);
        else
            kolk_future_set_result(futures[1], "tea", NULL);
        assert_int_equal(number_done(f, first), 1);
        assert_int_equal(kolk_future_done(futures[0]), 0);
        assert_int_equal(kolk_future_done(futures[1]), 1);
        assert_int_equal(kolk_future_done(futures[2]), 0);
        drop_futures(futures, THREE);
    }
}

/* FIRST_ERROR: results and cancellations do not count, an error does. */
static void first_error_waits_for_an_error(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[4];
    new_futures(f, futures, COUNT(futures));
    kolk_future *failed = wait(f, futures, COUNT(futures), KOLK_FIRST_ERROR, KOLK_NEVER);
    kolk_future_set_result(futures[0], "tea", NULL);
    kolk_future_cancel(futures[1]);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(failed), 0);
    kolk_future_set_error(futures[3], kolk_error_of(KOLK_EIO));
    assert_int_equal(number_done(f, failed), 3);
    assert_int_equal(kolk_future_done(futures[2]), 0);
    assert_int_equal(kolk_future_result(futures[3], NULL), KOLK_EIO);
    drop_futures(futures, COUNT(futures));
}

/* FIRST_ERROR: when none fails, it waits for all. */
static void first_error_without_one_waits_for_all(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *failed = wait(f, futures, 2, KOLK_FIRST_ERROR, KOLK_NEVER);
    kolk_future_set_result(futures[0], "tea", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(failed), 0);
    kolk_future_cancel(futures[1]);
    assert_int_equal(number_done(f, failed), 2);
    drop_futures(futures, 2);
}

/* When the time is up it says how many are done so far, and cancels nothing. */
static void a_time_out_cancels_nothing(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    int64_t until = kolk_loop_time(f->loop) + 2 * MS;
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, 2 * MS);
    kolk_future_set_result(futures[1], "tea", NULL);
    assert_int_equal(number_done(f, all), 1);
    assert_true(kolk_loop_time(f->loop) >= until);
    assert_int_equal(kolk_future_done(futures[0]), 0);
    kolk_future_set_result(futures[0], "milk", NULL);
    assert_int_equal(kolk_future_result(futures[0], NULL), 0);
    drop_futures(futures, THREE);
}

/* Without time it only looks: it is done at once. */
static void without_time_it_only_looks(void **state) {
    struct fixture *f = *state;
    const int64_t none[] = {0, -1, INT64_MIN};
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future_set_result(futures[1], "tea", NULL);
    for (size_t i = 0; i < COUNT(none); i++) {
        kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, none[i]);
        assert_int_equal(kolk_future_done(all), 1);
        assert_int_equal(number_done(f, all), 1);
    }
    drop_futures(futures, THREE);
}

/* What is done already counts: enough of it, and there is nothing to wait for. */
static void what_is_done_counts(void **state) {
    struct fixture *f = *state;
    const int32_t kinds[] = {KOLK_ALL_COMPLETED, KOLK_FIRST_COMPLETED, KOLK_FIRST_ERROR};
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future_set_error(futures[0], kolk_error_of(KOLK_EIO));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        kolk_future *some = wait(f, futures, THREE, kinds[i], KOLK_NEVER);
        assert_int_equal(kolk_future_done(some), kinds[i] != KOLK_ALL_COMPLETED);
        kolk_future_unref(some);
    }
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, KOLK_NEVER);
    kolk_future_cancel(futures[1]);
    kolk_future_cancel(futures[2]);
    assert_int_equal(number_done(f, all), 3);
    assert_int_equal(kolk_future_result(futures[0], NULL), KOLK_EIO);
    drop_futures(futures, THREE);
}

/* Of nothing, all are done. */
static void waiting_for_nothing_is_done(void **state) {
    struct fixture *f = *state;
    const int32_t kinds[] = {KOLK_ALL_COMPLETED, KOLK_FIRST_COMPLETED, KOLK_FIRST_ERROR};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        kolk_future *some = wait(f, NULL, 0, kinds[i], KOLK_NEVER);
        assert_int_equal(kolk_future_done(some), 1);
        assert_int_equal(number_done(f, some), 0);
    }
}

/* The same future may be given twice, and counts twice. */
static void one_future_may_be_given_twice(void **state) {
    struct fixture *f = *state;
    kolk_future *one = new_future(f), *other = new_future(f);
    kolk_future *futures[] = {one, other, one};
    kolk_future *first = wait(f, futures, THREE, KOLK_FIRST_COMPLETED, KOLK_NEVER);
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, KOLK_NEVER);
    kolk_future_set_result(one, "tea", NULL);
    assert_int_equal(number_done(f, first), 2);
    kolk_future_set_result(other, "milk", NULL);
    assert_int_equal(number_done(f, all), 3);
    kolk_future_unref(one);
    kolk_future_unref(other);
}

/* The number is that of the moment in which the wait ends: who finished together is counted together. */
static void who_finished_together_is_counted_together(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future *first = wait(f, futures, THREE, KOLK_FIRST_COMPLETED, KOLK_NEVER);
    kolk_future_set_result(futures[2], "tea", NULL);
    kolk_future_set_result(futures[0], "milk", NULL);
    assert_int_equal(number_done(f, first), 2);
    drop_futures(futures, THREE);
}

/* Cancelling the wait cancels none of the futures, and is done at once. */
static void cancelling_the_wait_cancels_nothing(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, 10 * SECOND);
    kolk_future_set_result(futures[1], "tea", NULL);
    assert_int_equal(kolk_future_cancel(all), 1);
    assert_int_equal(kolk_future_cancelled(all), 1);
    assert_int_equal(kolk_future_cancel(all), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(futures[0]), 0);
    assert_int_equal(kolk_future_done(futures[2]), 0);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
    kolk_future_unref(all);
    drop_futures(futures, THREE);
}

struct in_task {
    kolk_future **futures;
    size_t count;
    int32_t until;
    int64_t timeout_ns;
};

static int wait_in_task(void *userdata, void **ret_result) {
    struct in_task *self = userdata;
    int number = kolk_wait(self->futures, self->count, self->until, self->timeout_ns);
    *ret_result = (void *)(intptr_t)number;
    return number;
}

/* The number that kolk_wait() returned to the task, or its status. Drops the task. */
static int number_of(struct fixture *f, kolk_task *task) {
    void *number = NULL;
    drive_until(f, kolk_task_as_future(task));
    int status = kolk_task_result(task, &number);
    kolk_task_unref(task);
    return status < 0 ? status : (int)(intptr_t)number;
}

/* A task gets the number where it waits. */
static void a_task_waits_for_some(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    struct in_task first = {futures, THREE, KOLK_FIRST_COMPLETED, KOLK_NEVER};
    kolk_task *task = spawn_with(f, wait_in_task, &first);
    drive_during(f, MS);
    assert_int_equal(kolk_task_done(task), 0);
    kolk_future_set_result(futures[1], "tea", NULL);
    assert_int_equal(number_of(f, task), 1);

    struct in_task late = {futures, THREE, KOLK_ALL_COMPLETED, 2 * MS};
    assert_int_equal(number_of(f, spawn_with(f, wait_in_task, &late)), 1);
    assert_int_equal(kolk_future_done(futures[0]), 0);
    struct in_task nothing = {NULL, 0, KOLK_ALL_COMPLETED, KOLK_NEVER};
    assert_int_equal(number_of(f, spawn_with(f, wait_in_task, &nothing)), 0);
    struct in_task wrong = {futures, THREE, 3, KOLK_NEVER};
    assert_int_equal(number_of(f, spawn_with(f, wait_in_task, &wrong)), KOLK_EINVAL);
    assert_int_equal(kolk_wait(futures, THREE, KOLK_ALL_COMPLETED, KOLK_NEVER), KOLK_ENOTASK);
    drop_futures(futures, THREE);
}

/* Cancelled while it waits, a task is told, and none of the futures is cancelled. */
static void a_cancelled_task_leaves_the_futures_alone(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    struct in_task all = {futures, THREE, KOLK_ALL_COMPLETED, 10 * SECOND};
    kolk_task *task = spawn_with(f, wait_in_task, &all);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(number_of(f, task), KOLK_ECANCELED);
    for (int i = 0; i < THREE; i++)
        assert_int_equal(kolk_future_done(futures[i]), 0);
    drop_futures(futures, THREE);
}

/* The wait does not count as reading: an error that nobody looks at is reported. */
static void errors_stay_unread(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *failed = wait(f, futures, 2, KOLK_FIRST_ERROR, KOLK_NEVER);
    kolk_future_set_error(futures[0], kolk_error_of(KOLK_EIO));
    assert_int_equal(number_done(f, failed), 1);
    assert_record(f, "");
    drop_futures(futures, 2);
    assert_record(f, "unhandled(KOLK_EIO)");
}

/* When the wait is over it holds none of the futures any more, though it is still there. */
static void a_wait_that_is_over_holds_nothing(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *first = wait(f, futures, 2, KOLK_FIRST_COMPLETED, KOLK_NEVER);
    kolk_future_set_result(futures[0], word(f, "tea"), unsay);
    drop_futures(futures, 2);
    assert_record(f, "");
    drive_until(f, first);
    assert_record(f, "~tea");
    kolk_future_unref(first);
}

static void say_number(kolk_future *future, void *userdata) {
    void *number = NULL;
    kolk_future_result(future, &number);
    record(userdata, "%d", (int)(intptr_t)number);
}

/* Nobody has to hold the wait for its callbacks to be called. */
static void a_dropped_wait_still_tells(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *all = wait(f, futures, 2, KOLK_ALL_COMPLETED, 10 * SECOND);
    assert_int_equal(kolk_future_add_done_callback(all, say_number, f, NULL), 0);
    kolk_future_unref(all);
    kolk_future_set_result(futures[0], "tea", NULL);
    kolk_future_set_result(futures[1], "milk", NULL);
    drop_futures(futures, 2);
    drive_during(f, MS);
    assert_record(f, "2");
}

static void cancel_it(void *wait) { kolk_future_cancel(wait); }

/* A result that is released when the wait lets go may cancel it again: it is done by then. */
static void what_is_released_may_cancel_the_wait(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *first = wait(f, futures, 2, KOLK_FIRST_COMPLETED, KOLK_NEVER);
    kolk_future_set_result(futures[0], first, cancel_it);
    drop_futures(futures, 2);
    assert_int_equal(number_done(f, first), 1);
}

/* A thousand at once. */
static void a_thousand_futures_are_waited_for(void **state) {
    struct fixture *f = *state;
    enum { MANY = 1000 };
    kolk_future **futures = calloc(MANY, sizeof *futures);
    new_futures(f, futures, MANY);
    kolk_future *all = wait(f, futures, MANY, KOLK_ALL_COMPLETED, KOLK_NEVER);
    for (int i = MANY - 1; i >= 0; i--)
        kolk_future_set_result(futures[i], NULL, NULL);
    assert_int_equal(number_done(f, all), MANY);
    drop_futures(futures, MANY);
    free(futures);
}

/* When the loop is closed, a wait is cancelled; the futures stay as they are. */
static void closing_the_loop_cancels_the_wait(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE];
    new_futures(f, futures, THREE);
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, 10 * SECOND);
    kolk_future_unref(wait(f, futures, THREE, KOLK_FIRST_ERROR, KOLK_NEVER));
    kolk_future_set_result(futures[1], "tea", NULL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_future_cancelled(all), 1);
    assert_int_equal(kolk_future_done(futures[0]), 0);
    kolk_future_unref(all);
    drop_futures(futures, THREE);
}

/* Without memory there is no wait, and nothing is half waited for; with one, nothing that happens to it takes memory. */
static void only_making_a_wait_takes_memory(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[THREE], *none = NULL;
    new_futures(f, futures, THREE);
    kolk_future *all = wait(f, futures, THREE, KOLK_ALL_COMPLETED, 10 * SECOND);
    kolk_future *cancelled = wait(f, futures, THREE, KOLK_ALL_COMPLETED, 10 * SECOND);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_wait_async(f->loop, futures, THREE, KOLK_ALL_COMPLETED, SECOND, &none);
    int taken = kolk_future_cancel(cancelled);
    for (int i = 0; i < THREE; i++)
        kolk_future_cancel(futures[i]);
    while (!kolk_future_done(all) && drive_once(f) >= 0)
        ;
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_null(none);
    assert_int_equal(taken, 1);
    assert_int_equal(f->memory.failures, 1);
    assert_int_equal(number_done(f, all), 3);
    kolk_future_unref(cancelled);
    drop_futures(futures, THREE);
}

/* NULL, futures of other loops and unknown conditions are refused. */
static void what_cannot_be_waited_for_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    kolk_future *futures[2] = {new_future(f), NULL}, *some = NULL;
    const int32_t all = KOLK_ALL_COMPLETED;
    assert_int_equal(kolk_wait_async(f->loop, futures, 2, all, KOLK_NEVER, &some), KOLK_EINVAL);
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &futures[1]), 0);
    assert_int_equal(kolk_wait_async(f->loop, futures, 2, all, KOLK_NEVER, &some), KOLK_EINVAL);
    assert_int_equal(kolk_wait_async(f->loop, NULL, 1, all, KOLK_NEVER, &some), KOLK_EINVAL);
    assert_int_equal(kolk_wait_async(f->loop, futures, 1, 3, KOLK_NEVER, &some), KOLK_EINVAL);
    assert_int_equal(kolk_wait_async(f->loop, futures, 1, -1, KOLK_NEVER, &some), KOLK_EINVAL);
    assert_int_equal(kolk_wait_async(f->loop, futures, 1, all, KOLK_NEVER, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_wait_async(NULL, futures, 1, all, KOLK_NEVER, &some), KOLK_EINVAL);
    kolk_loop_unref(other);
    kolk_future_unref(futures[1]);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_wait_async(f->loop, futures, 1, all, KOLK_NEVER, &some), KOLK_ECLOSED);
    assert_null(some);
    kolk_future_unref(futures[0]);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(all_completed_waits_for_the_last),
        RULE(first_completed_waits_for_one),
        RULE(first_error_waits_for_an_error),
        RULE(first_error_without_one_waits_for_all),
        RULE(a_time_out_cancels_nothing),
        RULE(without_time_it_only_looks),
        RULE(what_is_done_counts),
        RULE(waiting_for_nothing_is_done),
        RULE(one_future_may_be_given_twice),
        RULE(who_finished_together_is_counted_together),
        RULE(cancelling_the_wait_cancels_nothing),
        RULE(a_task_waits_for_some),
        RULE(a_cancelled_task_leaves_the_futures_alone),
        RULE(errors_stay_unread),
        RULE(a_wait_that_is_over_holds_nothing),
        RULE(a_dropped_wait_still_tells),
        RULE(what_is_released_may_cancel_the_wait),
        RULE(a_thousand_futures_are_waited_for),
        RULE(closing_the_loop_cancels_the_wait),
        RULE(only_making_a_wait_takes_memory),
        RULE(what_cannot_be_waited_for_is_refused),
    };
    return run_matrix("wait", rules, COUNT(rules));
}
