/* Waiting for all of several futures. */
#include "support/driver.h"

#include <stdlib.h>

static kolk_future *gather(struct fixture *f, kolk_future *const *futures, size_t count, uint32_t flags) {
    kolk_future *all = NULL;
    assert_int_equal(kolk_gather(f->loop, futures, count, flags, &all), 0);
    assert_non_null(all);
    return all;
}

static void new_futures(struct fixture *f, kolk_future **ret_futures, size_t count) {
    for (size_t i = 0; i < count; i++)
        ret_futures[i] = new_future(f);
}

static void drop_futures(kolk_future **futures, size_t count) {
    for (size_t i = 0; i < count; i++)
        kolk_future_unref(futures[i]);
}

static void **results(kolk_future *all) {
    void *array = NULL;
    assert_int_equal(kolk_future_result(all, &array), 0);
    assert_non_null(array);
    return array;
}

/* Results stand in the order the futures were given, whatever the order in which they came. */
static void results_stand_in_the_order_given(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[3];
    new_futures(f, futures, 3);
    kolk_future *all = gather(f, futures, 3, 0);
    kolk_future_set_result(futures[2], "three", NULL);
    kolk_future_set_result(futures[0], "one", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(all), 0);
    kolk_future_set_result(futures[1], "two", NULL);
    drive_until(f, all);
    void **array = results(all);
    assert_string_equal(array[0], "one");
    assert_string_equal(array[1], "two");
    assert_string_equal(array[2], "three");
    kolk_future_unref(all);
    drop_futures(futures, 3);
}

/* Of nothing the gathering is done, with nothing as result. */
static void gathering_nothing_is_done(void **state) {
    struct fixture *f = *state;
    kolk_future *all = gather(f, NULL, 0, 0);
    drive_until(f, all);
    assert_int_equal(kolk_future_result(all, NULL), 0);
    kolk_future_unref(all);
}

/* Futures that are done already are gathered too. */
static void futures_that_are_done_are_gathered(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future_set_result(futures[0], "one", NULL);
    kolk_future_set_result(futures[1], "two", NULL);
    kolk_future *all = gather(f, futures, 2, 0);
    drive_until(f, all);
    assert_string_equal(results(all)[0], "one");
    assert_string_equal(results(all)[1], "two");
    kolk_future_unref(all);
    drop_futures(futures, 2);
}

/* The same future may stand at several places. */
static void one_future_may_be_given_twice(void **state) {
    struct fixture *f = *state;
    kolk_future *one = new_future(f), *other = new_future(f);
    kolk_future *futures[] = {one, other, one};
    kolk_future *all = gather(f, futures, 3, 0);
    kolk_future_set_result(one, "one", NULL);
    kolk_future_set_result(other, "other", NULL);
    drive_until(f, all);
    assert_string_equal(results(all)[0], "one");
    assert_string_equal(results(all)[1], "other");
    assert_string_equal(results(all)[2], "one");
    kolk_future_unref(all);
    kolk_future_unref(one);
    kolk_future_unref(other);
}

/* The first failure ends the gathering at once, with its words; the others go on. */
static void the_first_failure_ends_the_gathering(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *futures[3];
    new_futures(f, futures, 3);
    kolk_future *all = gather(f, futures, 3, 0);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    kolk_future_set_error(futures[1], error);
    kolk_error_unref(error);
    drive_until(f, all);
    assert_int_equal(kolk_future_result(all, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_future_error(all)), "port 81 refused");
    assert_int_equal(kolk_future_done(futures[0]), 0);
    assert_int_equal(kolk_future_done(futures[2]), 0);

    /* A failure that comes too late has been heard of by the gathering as well. */
    kolk_future_set_error(futures[2], kolk_error_of(KOLK_EIO));
    kolk_future_set_result(futures[0], "one", NULL);
    drive_during(f, MS);
    kolk_future_unref(all);
    drop_futures(futures, 3);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* A cancelled future counts as a failure. */
static void a_cancelled_future_ends_the_gathering(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *all = gather(f, futures, 2, 0);
    kolk_future_cancel(futures[0]);
    drive_until(f, all);
    assert_int_equal(kolk_future_result(all, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_future_done(futures[1]), 0);
    kolk_future_unref(all);
    drop_futures(futures, 2);
}

/* With RETURN_ERRORS the gathering goes well once all are done, and NULL stands for those that did not. */
static void errors_can_be_gathered_like_results(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *futures[3];
    new_futures(f, futures, 3);
    kolk_future *all = gather(f, futures, 3, KOLK_GATHER_RETURN_ERRORS);
    kolk_future_set_error(futures[0], kolk_error_of(KOLK_EIO));
    kolk_future_cancel(futures[1]);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(all), 0);
    kolk_future_set_result(futures[2], "three", NULL);
    drive_until(f, all);
    assert_null(results(all)[0]);
    assert_null(results(all)[1]);
    assert_string_equal(results(all)[2], "three");
    assert_int_equal(kolk_future_result(futures[0], NULL), KOLK_EIO);
    kolk_future_unref(all);
    drop_futures(futures, 3);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* Cancelling the gathering cancels what is pending, and leaves what is done. */
static void cancelling_the_gathering_cancels_the_pending(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[3];
    new_futures(f, futures, 3);
    kolk_future *all = gather(f, futures, 3, 0);
    kolk_future_set_result(futures[1], "two", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancel(all), 1);
    drive_until(f, all);
    assert_int_equal(kolk_future_result(all, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_future_cancelled(all), 1);
    assert_int_equal(kolk_future_cancelled(futures[0]), 1);
    assert_int_equal(kolk_future_cancelled(futures[1]), 0);
    assert_int_equal(kolk_future_cancelled(futures[2]), 1);
    assert_int_equal(kolk_future_cancel(all), 0);
    kolk_future_unref(all);
    drop_futures(futures, 3);
}

static int end_slowly(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(SECOND);
    kolk_sleep(2 * MS);
    record(f, "ended");
    return status;
}

/* A cancelled gathering of tasks is done when they have ended, not when they were told to. */
static void a_cancelled_gathering_waits_for_its_tasks(void **state) {
    struct fixture *f = *state;
    kolk_task *tasks[] = {spawn(f, end_slowly), spawn(f, end_slowly)};
    kolk_future *futures[] = {kolk_task_as_future(tasks[0]), kolk_task_as_future(tasks[1])};
    kolk_future *all = gather(f, futures, 2, 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancel(all), 1);
    assert_int_equal(kolk_future_done(all), 0);
    drive_until(f, all);
    assert_record(f, "ended ended");
    assert_int_equal(kolk_future_cancelled(all), 1);
    kolk_future_unref(all);
    kolk_task_unref(tasks[0]);
    kolk_task_unref(tasks[1]);
}

static int gather_oneself(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_future *self = kolk_task_as_future(kolk_task_current()), *all = NULL;
    int status = kolk_gather(f->loop, &self, 1, 0, &all);
    if (status == 0)
        status = kolk_await(all, NULL);
    kolk_future_unref(all);
    return status;
}

/* A task that waits for a gathering with itself in it can be cancelled out of that circle. */
static void a_task_that_gathers_itself_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, gather_oneself);
    drive_during(f, MS);
    assert_int_equal(kolk_task_done(task), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
}

/* Nobody has to wait for the gathering: dropped, it leaves its futures alone. */
static void a_dropped_gathering_leaves_its_futures_alone(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future_unref(gather(f, futures, 2, 0));
    kolk_future_set_result(futures[0], "one", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(futures[1]), 0);
    kolk_future_set_result(futures[1], "two", NULL);
    drive_during(f, MS);
    drop_futures(futures, 2);
}

/* The results live as long as the gathering, also when the futures were dropped before. */
static void results_live_as_long_as_the_gathering(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[2];
    new_futures(f, futures, 2);
    kolk_future *all = gather(f, futures, 2, 0);
    kolk_future_set_result(futures[0], word(f, "one"), unsay);
    kolk_future_set_result(futures[1], word(f, "two"), unsay);
    drop_futures(futures, 2);
    drive_until(f, all);
    assert_record(f, "");
    say(results(all)[0]);
    say(results(all)[1]);
    kolk_future_unref(all);
    drive_during(f, MS);
    assert_true(strcmp(f->record, "one two ~one ~two") == 0 || strcmp(f->record, "one two ~two ~one") == 0);
}

/* A thousand at once. */
static void a_thousand_futures_are_gathered(void **state) {
    struct fixture *f = *state;
    enum { MANY = 1000 };
    kolk_future **futures = calloc(MANY, sizeof *futures);
    new_futures(f, futures, MANY);
    kolk_future *all = gather(f, futures, MANY, 0);
    for (intptr_t i = MANY - 1; i >= 0; i--)
        kolk_future_set_result(futures[i], (void *)(i + 1), NULL);
    drive_until(f, all);
    int wrong = 0;
    for (intptr_t i = 0; i < MANY; i++)
        wrong += (intptr_t)results(all)[i] != i + 1;
    assert_int_equal(wrong, 0);
    kolk_future_unref(all);
    drop_futures(futures, MANY);
    free(futures);
}

/* Gatherings can be gathered. */
static void gatherings_nest(void **state) {
    struct fixture *f = *state;
    kolk_future *leaves[2];
    new_futures(f, leaves, 2);
    kolk_future *inner[] = {gather(f, &leaves[0], 1, 0), gather(f, &leaves[1], 1, 0)};
    kolk_future *all = gather(f, inner, 2, 0);
    kolk_future_set_result(leaves[0], "one", NULL);
    kolk_future_set_result(leaves[1], "two", NULL);
    drive_until(f, all);
    assert_string_equal(((void **)results(all)[0])[0], "one");
    assert_string_equal(((void **)results(all)[1])[0], "two");
    kolk_future_unref(all);
    drop_futures(inner, 2);
    drop_futures(leaves, 2);
}

static int cancel_future(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_future_cancel(userdata) == 1 ? 0 : KOLK_EINVAL;
}

/* Cancelling reaches the innermost of many, from a task with little stack. */
static void cancelling_a_deep_nest_takes_little_stack(void **state) {
    struct fixture *f = *state;
    enum { DEPTH = 2000 };
    static kolk_future *nest[DEPTH];
    const kolk_task_options little = {.size = sizeof little, .stack_size = 65536};
    kolk_task *task = NULL;
    nest[0] = new_future(f);
    for (int i = 1; i < DEPTH; i++)
        nest[i] = gather(f, &nest[i - 1], 1, 0);
    assert_int_equal(kolk_create_task(f->loop, cancel_future, nest[DEPTH - 1], NULL, &little, &task), 0);
    drive_until(f, nest[DEPTH - 1]);
    assert_int_equal(kolk_future_cancelled(nest[0]), 1);
    assert_int_equal(kolk_future_cancelled(nest[DEPTH - 1]), 1);
    assert_int_equal(join(f, task), 0);
    for (int i = DEPTH - 1; i >= 0; i--)
        kolk_future_unref(nest[i]);
}

static int drop_future(void *userdata, void **ret_result) {
    (void)ret_result;
    kolk_future_unref(userdata);
    return 0;
}

/* Dropping the outermost of many lets go of them all, from a task with little stack, whatever lies between. */
static void dropping_a_deep_nest_takes_little_stack(void **state) {
    struct fixture *f = *state;
    const kolk_task_options little = {.size = sizeof little, .stack_size = 16384};
    kolk_task *task = NULL;
    kolk_future *innermost = new_future(f), *outermost = kolk_future_ref(innermost);
    for (int i = 0; i < 4000; i++) {
        kolk_future *next = NULL;
        if (i % 3 < 2)
            next = gather(f, &outermost, 1, 0);
        else
            assert_int_equal(kolk_wait_for_async(outermost, KOLK_NEVER, &next), 0);
        kolk_future_unref(outermost);
        outermost = next;
    }
    kolk_future_set_result(innermost, word(f, "tea"), unsay);
    kolk_future_unref(innermost);
    drive_until(f, outermost);
    assert_record(f, "");
    assert_int_equal(kolk_create_task(f->loop, drop_future, outermost, NULL, &little, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "~tea");
}

/* NULL and futures of other loops cannot be gathered, and nothing is half gathered then. */
static void what_cannot_be_gathered_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    kolk_future *futures[2] = {new_future(f), NULL}, *all = NULL;
    assert_int_equal(kolk_gather(f->loop, futures, 2, 0, &all), KOLK_EINVAL);
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &futures[1]), 0);
    assert_int_equal(kolk_gather(f->loop, futures, 2, 0, &all), KOLK_EINVAL);
    assert_int_equal(kolk_gather(f->loop, futures, 1, 2, &all), KOLK_EINVAL);
    assert_int_equal(kolk_gather(f->loop, NULL, 1, 0, &all), KOLK_EINVAL);
    assert_int_equal(kolk_gather(f->loop, futures, 1, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_gather(NULL, futures, 1, 0, &all), KOLK_EINVAL);
    assert_null(all);
    drop_futures(futures, 2);
    kolk_loop_unref(other);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(results_stand_in_the_order_given),
        RULE(gathering_nothing_is_done),
        RULE(futures_that_are_done_are_gathered),
        RULE(one_future_may_be_given_twice),
        RULE(the_first_failure_ends_the_gathering),
        RULE(a_cancelled_future_ends_the_gathering),
        RULE(errors_can_be_gathered_like_results),
        RULE(cancelling_the_gathering_cancels_the_pending),
        RULE(a_cancelled_gathering_waits_for_its_tasks),
        RULE(a_task_that_gathers_itself_can_be_cancelled),
        RULE(a_dropped_gathering_leaves_its_futures_alone),
        RULE(results_live_as_long_as_the_gathering),
        RULE(a_thousand_futures_are_gathered),
        RULE(gatherings_nest),
        RULE(cancelling_a_deep_nest_takes_little_stack),
        RULE(dropping_a_deep_nest_takes_little_stack),
        RULE(what_cannot_be_gathered_is_refused),
    };
    return run_matrix("gather", rules, COUNT(rules));
}
