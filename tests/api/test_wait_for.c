/* Waiting for a future, but not for ever. */
#include "support/driver.h"

static kolk_future *wait_for(struct fixture *f, kolk_future *future, int64_t timeout_ns) {
    (void)f;
    kolk_future *limited = NULL;
    assert_int_equal(kolk_wait_for_async(future, timeout_ns, &limited), 0);
    assert_non_null(limited);
    return limited;
}

/* What comes in time is passed on: a result as it is. */
static void a_result_in_time_is_passed_on(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    void *result = NULL;
    assert_int_equal(kolk_future_done(limited), 0);
    kolk_future_set_result(future, "tea", NULL);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, &result), 0);
    assert_string_equal(result, "tea");
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

/* An error keeps its words. */
static void an_error_in_time_is_passed_on_with_its_words(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    kolk_future_set_error(future, error);
    kolk_error_unref(error);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_future_error(limited)), "port 81 refused");
    kolk_future_unref(limited);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* When somebody else cancels the future, that is the outcome. */
static void a_cancellation_in_time_is_passed_on(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    kolk_future_cancel(future);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, NULL), KOLK_ECANCELED);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

/* What does not come in time is cancelled. */
static void a_future_that_takes_too_long_is_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    int64_t until = kolk_loop_time(f->loop) + 3 * MS;
    kolk_future *limited = wait_for(f, future, 3 * MS);
    drive_until(f, limited);
    assert_true(kolk_loop_time(f->loop) >= until);
    assert_int_equal(kolk_future_result(limited, NULL), KOLK_ETIMEDOUT);
    assert_int_equal(kolk_future_cancelled(limited), 0);
    assert_int_equal(kolk_future_cancelled(future), 1);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

static int end_slowly(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(10 * SECOND);
    record(f, "told");
    kolk_sleep(3 * MS);
    record(f, "ended");
    return status;
}

static void say_done(kolk_future *future, void *userdata) {
    record(userdata, "%s", kolk_status_name(kolk_future_result(future, NULL)));
}

/* The time-out is reported when the task has ended, so that nothing of it goes on in the background. */
static void a_time_out_waits_for_the_task_to_end(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, end_slowly);
    kolk_future *limited = wait_for(f, kolk_task_as_future(task), 100 * MS);
    assert_int_equal(kolk_future_add_done_callback(limited, say_done, f, NULL), 0);
    drive_until(f, limited);
    drive_during(f, MS);
    assert_record(f, "told ended KOLK_ETIMEDOUT");
    kolk_future_unref(limited);
    kolk_task_unref(task);
}

/* With no time allowed, only what is done already counts. */
static void without_time_only_what_is_done_counts(void **state) {
    struct fixture *f = *state;
    const int64_t none[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < COUNT(none); i++) {
        kolk_future *done = new_future(f), *pending = new_future(f);
        void *result = NULL;
        kolk_future_set_result(done, "tea", NULL);
        kolk_future *in_time = wait_for(f, done, none[i]);
        kolk_future *too_late = wait_for(f, pending, none[i]);
        drive_until(f, in_time);
        drive_until(f, too_late);
        assert_int_equal(kolk_future_result(in_time, &result), 0);
        assert_string_equal(result, "tea");
        assert_int_equal(kolk_future_result(too_late, NULL), KOLK_ETIMEDOUT);
        assert_int_equal(kolk_future_cancelled(pending), 1);
        kolk_future_unref(in_time);
        kolk_future_unref(too_late);
        kolk_future_unref(done);
        kolk_future_unref(pending);
    }
}

/* Without a limit it is a second name for the future. */
static void without_a_limit_nothing_is_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, KOLK_NEVER);
    kolk_plan plan;
    drive_during(f, 2 * MS);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
    kolk_future_set_result(future, "tea", NULL);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, NULL), 0);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

/* Cancelling the wait cancels what was waited for. */
static void cancelling_the_wait_cancels_the_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    assert_int_equal(kolk_future_cancel(limited), 1);
    drive_until(f, limited);
    assert_int_equal(kolk_future_cancelled(limited), 1);
    assert_int_equal(kolk_future_cancelled(future), 1);
    assert_int_equal(kolk_future_cancel(limited), 0);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

/* As long as the wait is not done itself it can be cancelled, even when what it waits for has just ended. */
static void a_wait_for_what_is_done_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(kolk_future_done(limited), 0);
    assert_int_equal(kolk_future_cancel(limited), 1);
    assert_int_equal(kolk_future_cancelled(limited), 1);
    assert_int_equal(kolk_future_cancel(limited), 0);
    drive_during(f, MS);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

/* When the loop is closed, a wait is cancelled, and what it waits for is left alone. */
static void closing_the_loop_cancels_the_wait(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_future_cancelled(limited), 1);
    assert_int_equal(kolk_future_done(future), 0);
    kolk_future_unref(limited);
    kolk_future_unref(future);
}

static int cancel_future(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_future_cancel(userdata) == 1 ? 0 : KOLK_EALREADY;
}

/* A task with little stack can cancel a chain of any length. */
static void cancelling_a_long_chain_takes_little_stack(void **state) {
    struct fixture *f = *state;
    const kolk_task_options little = {.size = sizeof little, .stack_size = 16384};
    kolk_task *task = NULL;
    kolk_future *first = new_future(f), *last = kolk_future_ref(first);
    for (int i = 0; i < 2000; i++) {
        kolk_future *next = wait_for(f, last, i % 2 ? 10 * SECOND : KOLK_NEVER);
        kolk_future_unref(last);
        last = next;
    }
    assert_int_equal(kolk_create_task(f->loop, cancel_future, last, NULL, &little, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(kolk_future_cancelled(first), 1);
    drive_until(f, last);
    assert_int_equal(kolk_future_cancelled(last), 1);
    kolk_future_unref(first);
    kolk_future_unref(last);
}

/* When the result is there, the timer is gone with it: the loop has nothing more to wait for. */
static void no_timer_is_left_behind(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    kolk_future_set_result(future, "tea", NULL);
    drive_until(f, limited);
    kolk_future_unref(limited);
    kolk_future_unref(future);
    drive_during(f, MS);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
    assert_int_equal(plan.ready, 0);
}

/* The result lives as long as the wait, even when the future was dropped before. */
static void the_result_lives_as_long_as_the_wait(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future *limited = wait_for(f, future, 10 * SECOND);
    kolk_future_set_result(future, word(f, "tea"), unsay);
    kolk_future_unref(future);
    drive_until(f, limited);
    void *result = NULL;
    assert_int_equal(kolk_future_result(limited, &result), 0);
    say(result);
    kolk_future_unref(limited);
    drive_during(f, MS);
    assert_record(f, "tea ~tea");
}

/* Nobody has to look: a wait that is dropped does no harm. */
static void a_dropped_wait_does_no_harm(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_unref(wait_for(f, future, 2 * MS));
    drive_during(f, 5 * MS);
    if (!kolk_future_done(future))
        kolk_future_set_result(future, "tea", NULL);
    drive_during(f, MS);
    kolk_future_unref(future);
}

struct in_task {
    struct fixture *f;
    kolk_future *future;
    int64_t timeout_ns;
    void *result;
};

static int wait_in_task(void *userdata, void **ret_result) {
    struct in_task *self = userdata;
    (void)ret_result;
    return kolk_wait_for(self->future, self->timeout_ns, &self->result);
}

/* A task gets the outcome where it waits. */
static void a_task_waits_with_a_limit(void **state) {
    struct fixture *f = *state;
    struct in_task late = {.f = f, .future = new_future(f), .timeout_ns = 2 * MS};
    assert_int_equal(run_task(f, wait_in_task, &late), KOLK_ETIMEDOUT);
    assert_int_equal(kolk_future_cancelled(late.future), 1);

    struct in_task in_time = {.f = f, .timeout_ns = 10 * SECOND};
    assert_int_equal(kolk_sleep_async(f->loop, MS, &in_time.future), 0);
    assert_int_equal(run_task(f, wait_in_task, &in_time), 0);

    struct in_task failed = {.f = f, .future = new_future(f), .timeout_ns = 10 * SECOND};
    kolk_future_set_error(failed.future, kolk_error_of(KOLK_EPIPE));
    assert_int_equal(run_task(f, wait_in_task, &failed), KOLK_EPIPE);
    kolk_future_unref(late.future);
    kolk_future_unref(in_time.future);
    kolk_future_unref(failed.future);
}

/* A task that is cancelled while it waits cancels what it waits for. */
static void a_cancelled_task_cancels_what_it_waits_for(void **state) {
    struct fixture *f = *state;
    struct in_task self = {.f = f, .future = new_future(f), .timeout_ns = 10 * SECOND};
    kolk_task *task = spawn_with(f, wait_in_task, &self);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_int_equal(kolk_future_cancelled(self.future), 1);
    kolk_future_unref(self.future);
}

static int has_recorded(void *userdata) { return ((struct fixture *)userdata)->recorded > 0; }

/* A cancellation that comes while a late task is still ending counts more than that it was late. */
static void a_cancellation_outranks_a_time_out(void **state) {
    struct fixture *f = *state;
    kolk_task *slow = spawn(f, end_slowly);
    struct in_task self = {.f = f, .future = kolk_task_as_future(slow), .timeout_ns = 2 * MS};
    kolk_task *task = spawn_with(f, wait_in_task, &self);
    drive_for(f, has_recorded, f);
    assert_record(f, "told");
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "told ended");
    kolk_task_unref(slow);
}

static int wait_for_oneself(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_wait_for(kolk_task_as_future(kolk_task_current()), 0, NULL)));
    record(userdata, "%s", kolk_status_name(kolk_sleep(0)));
    return 0;
}

/* A task that would wait for itself is refused, and not cancelled for it. */
static void waiting_for_oneself_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, wait_for_oneself, f), 0);
    assert_record(f, "KOLK_EINVAL KOLK_OK");
}

/* Outside of a task there is nobody to wait. */
static void outside_of_a_task_nobody_can_wait(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *limited = NULL;
    assert_int_equal(kolk_wait_for(future, MS, NULL), KOLK_ENOTASK);
    assert_int_equal(kolk_wait_for_async(NULL, MS, &limited), KOLK_EINVAL);
    assert_int_equal(kolk_wait_for_async(future, MS, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_done(future), 0);
    assert_null(limited);
    kolk_future_unref(future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_result_in_time_is_passed_on),
        RULE(an_error_in_time_is_passed_on_with_its_words),
        RULE(a_cancellation_in_time_is_passed_on),
        RULE(a_future_that_takes_too_long_is_cancelled),
        RULE(a_time_out_waits_for_the_task_to_end),
        RULE(without_time_only_what_is_done_counts),
        RULE(without_a_limit_nothing_is_cancelled),
        RULE(cancelling_the_wait_cancels_the_future),
        RULE(a_wait_for_what_is_done_can_be_cancelled),
        RULE(closing_the_loop_cancels_the_wait),
        RULE(cancelling_a_long_chain_takes_little_stack),
        RULE(no_timer_is_left_behind),
        RULE(the_result_lives_as_long_as_the_wait),
        RULE(a_dropped_wait_does_no_harm),
        RULE(a_task_waits_with_a_limit),
        RULE(a_cancelled_task_cancels_what_it_waits_for),
        RULE(a_cancellation_outranks_a_time_out),
        RULE(waiting_for_oneself_is_refused),
        RULE(outside_of_a_task_nobody_can_wait),
    };
    return run_matrix("wait_for", rules, COUNT(rules));
}
