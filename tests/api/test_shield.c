/* A future that can be cancelled without what it stands for. */
#include "support/driver.h"

static kolk_future *shield(kolk_future *future) {
    kolk_future *shielded = NULL;
    assert_int_equal(kolk_shield(future, &shielded), 0);
    assert_non_null(shielded);
    return shielded;
}

/* As long as nobody cancels, a shield ends as what is behind it: result, words of an error, cancellation. */
static void a_shield_ends_as_what_is_behind_it(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *futures[3], *shields[3];
    for (int i = 0; i < 3; i++) {
        futures[i] = new_future(f);
        shields[i] = shield(futures[i]);
    }
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    kolk_future_set_result(futures[0], "tea", NULL);
    kolk_future_set_error(futures[1], error);
    kolk_future_cancel(futures[2]);
    kolk_error_unref(error);
    for (int i = 0; i < 3; i++)
        drive_until(f, shields[i]);
    void *result = NULL;
    assert_int_equal(kolk_future_result(shields[0], &result), 0);
    assert_string_equal(result, "tea");
    assert_string_equal(kolk_error_message(kolk_future_error(shields[1])), "port 81 refused");
    assert_int_equal(kolk_future_cancelled(shields[2]), 1);
    for (int i = 0; i < 3; i++) {
        kolk_future_unref(futures[i]);
        kolk_future_unref(shields[i]);
    }
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* A future that is done already can be shielded too. */
static void what_is_done_can_be_shielded(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_set_result(future, "tea", NULL);
    kolk_future *shielded = shield(future);
    drive_until(f, shielded);
    assert_int_equal(kolk_future_result(shielded, NULL), 0);
    kolk_future_unref(shielded);
    kolk_future_unref(future);
}

/* Cancelled, the shield is cancelled at once, and what is behind it goes on. */
static void a_cancelled_shield_leaves_the_future_alone(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = shield(future), *other = shield(future);
    assert_int_equal(kolk_future_cancel(shielded), 1);
    assert_int_equal(kolk_future_cancelled(shielded), 1);
    assert_int_equal(kolk_future_cancel(shielded), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(future), 0);
    assert_int_equal(kolk_future_done(other), 0);
    kolk_future_set_result(future, "tea", NULL);
    drive_until(f, other);
    assert_int_equal(kolk_future_cancelled(shielded), 1);
    assert_int_equal(kolk_future_result(other, NULL), 0);
    kolk_future_unref(shielded);
    kolk_future_unref(other);
    kolk_future_unref(future);
}

/* It can be cancelled as long as it has not heard of the end itself. */
static void a_shield_can_be_cancelled_until_it_is_done(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = shield(future);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(kolk_future_done(shielded), 0);
    assert_int_equal(kolk_future_cancel(shielded), 1);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancelled(shielded), 1);
    kolk_future_unref(shielded);
    kolk_future_unref(future);
}

static int work(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(2 * MS);
    record(userdata, "worked(%s)", kolk_status_name(status));
    return status;
}

struct pair {
    struct fixture *f;
    kolk_task *worker;
};

static int await_behind_a_shield(void *userdata, void **ret_result) {
    struct pair *p = userdata;
    kolk_future *shielded = NULL;
    int status = kolk_shield(kolk_task_as_future(p->worker), &shielded);
    if (status == 0)
        status = kolk_await(shielded, ret_result);
    kolk_future_unref(shielded);
    record(p->f, "waited(%s)", kolk_status_name(status));
    return status;
}

/* A task that is cancelled behind a shield ends, and the task that it waited for works on. */
static void a_task_behind_a_shield_works_on(void **state) {
    struct fixture *f = *state;
    struct pair p = {.f = f, .worker = spawn(f, work)};
    kolk_task *waiter = spawn_with(f, await_behind_a_shield, &p);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(waiter), 1);
    assert_int_equal(join(f, waiter), KOLK_ECANCELED);
    assert_int_equal(join(f, p.worker), 0);
    assert_record(f, "waited(KOLK_ECANCELED) worked(KOLK_OK)");
}

/* An error that comes after the shield was cancelled was told to nobody, and is reported. */
static void an_error_after_the_cancelling_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *future = new_future(f), *shielded = shield(future);
    kolk_future_cancel(shielded);
    kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EIO)");
    kolk_future_unref(shielded);
}

/* The result lives as long as the shield, and what is behind a cancelled one is let go. */
static void a_shield_keeps_what_it_needs(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = shield(future);
    kolk_future_set_result(future, word(f, "tea"), unsay);
    kolk_future_unref(future);
    drive_until(f, shielded);
    void *result = NULL;
    assert_int_equal(kolk_future_result(shielded, &result), 0);
    say(result);
    kolk_future_unref(shielded);
    assert_record(f, "tea ~tea");
    clear_record(f);

    future = new_future(f);
    shielded = shield(future);
    kolk_future_set_result(future, word(f, "milk"), unsay);
    kolk_future_unref(future);
    kolk_future_cancel(shielded);
    assert_record(f, "~milk");
    kolk_future_unref(shielded);
}

static void say_outcome(kolk_future *future, void *userdata) {
    record(userdata, "%s", kolk_status_name(kolk_future_result(future, NULL)));
}

/* Nobody has to hold the shield for its callbacks to be called. */
static void a_dropped_shield_still_tells(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = shield(future);
    assert_int_equal(kolk_future_add_done_callback(shielded, say_outcome, f, NULL), 0);
    kolk_future_unref(shielded);
    kolk_future_set_result(future, "tea", NULL);
    drive_during(f, MS);
    assert_record(f, "KOLK_OK");
    kolk_future_unref(future);
}

static void drop_it(kolk_future *future, void *userdata) {
    kolk_future **shielded = userdata;
    (void)future;
    kolk_future_cancel(*shielded);
    *shielded = kolk_future_unref(*shielded);
}

/* A callback that runs first may cancel and drop a shield of the same future. */
static void a_callback_may_drop_a_shield(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = NULL;
    assert_int_equal(kolk_future_add_done_callback(future, drop_it, &shielded, NULL), 0);
    shielded = shield(future);
    kolk_future_set_result(future, "tea", NULL);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_null(shielded);
}

/* When the loop is closed, a shield that waits is cancelled. */
static void closing_the_loop_cancels_the_shield(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = shield(future);
    kolk_future_unref(shield(future));
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_future_cancelled(shielded), 1);
    assert_int_equal(kolk_future_done(future), 0);
    kolk_future_unref(shielded);
    kolk_future_unref(future);
}

/* Without memory there is no shield; with one, nothing that happens to it takes memory. */
static void only_making_a_shield_takes_memory(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *none = NULL, *shielded = shield(future), *cancelled = shield(future);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_shield(future, &none);
    int taken = kolk_future_cancel(cancelled);
    kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
    while (!kolk_future_done(shielded) && drive_once(f) >= 0)
        ;
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_null(none);
    assert_int_equal(taken, 1);
    assert_int_equal(f->memory.failures, 1);
    assert_int_equal(kolk_future_result(shielded, NULL), KOLK_EIO);
    kolk_future_unref(shielded);
    kolk_future_unref(cancelled);
    kolk_future_unref(future);
}

/* NULL can neither be shielded nor be a shield. */
static void what_cannot_be_shielded_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *shielded = NULL;
    assert_int_equal(kolk_shield(NULL, &shielded), KOLK_EINVAL);
    assert_int_equal(kolk_shield(future, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_shield(future, &shielded), KOLK_ECLOSED);
    assert_null(shielded);
    kolk_future_unref(future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_shield_ends_as_what_is_behind_it),
        RULE(what_is_done_can_be_shielded),
        RULE(a_cancelled_shield_leaves_the_future_alone),
        RULE(a_shield_can_be_cancelled_until_it_is_done),
        RULE(a_task_behind_a_shield_works_on),
        RULE(an_error_after_the_cancelling_is_reported),
        RULE(a_shield_keeps_what_it_needs),
        RULE(a_dropped_shield_still_tells),
        RULE(a_callback_may_drop_a_shield),
        RULE(closing_the_loop_cancels_the_shield),
        RULE(only_making_a_shield_takes_memory),
        RULE(what_cannot_be_shielded_is_refused),
    };
    return run_matrix("shield", rules, COUNT(rules));
}
