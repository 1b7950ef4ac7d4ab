/* Coroutines that the loop drives: the rules of asyncio.Task, on every reactor and in every mode. */
#include "support/driver.h"

#include <stdio.h>
#include <stdlib.h>

/* What most bodies here get. */
struct scene {
    struct fixture *f;
    kolk_future *future;
    kolk_task *task;
    const char *name;
    int64_t delay_ns;
};

static int return_tea(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = "tea";
    return 0;
}

static int say_started(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "started");
    return 0;
}

/* A task starts on the loop's next turn, not when it is made. */
static void a_task_starts_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, say_started);
    kolk_loop_call_soon(f->loop, say, word(f, "after"), NULL, NULL);
    assert_record(f, "");
    assert_int_equal(kolk_task_done(task), 0);
    drive_once(f);
    assert_record(f, "started after");
    drive_until(f, kolk_task_as_future(task));
    kolk_task_unref(task);
}

/* What the body returns is the result. */
static void the_result_of_the_body_is_that_of_the_task(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, return_tea);
    void *result = NULL;
    assert_int_equal(kolk_task_result(task, &result), KOLK_EPENDING);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_done(task), 1);
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    assert_null(kolk_task_error(task));
    kolk_task_unref(task);
}

static int fail_with_words(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    return kolk_raise(error);
}

static int fail_plainly(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return KOLK_EPIPE;
}

/* A body that fails gives its task the error, with its words if it has some. */
static void the_error_of_the_body_is_that_of_the_task(void **state) {
    struct fixture *f = *state;
    kolk_task *worded = spawn(f, fail_with_words), *plain = spawn(f, fail_plainly);
    drive_until(f, kolk_task_as_future(worded));
    drive_until(f, kolk_task_as_future(plain));
    assert_int_equal(kolk_task_result(worded, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(worded)), "port 81 refused");
    assert_int_equal(kolk_task_result(plain, NULL), KOLK_EPIPE);
    assert_int_equal(kolk_error_status(kolk_task_error(plain)), KOLK_EPIPE);
    kolk_task_unref(worded);
    kolk_task_unref(plain);
}

static int return_minus_thousand(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return -1000;
}

static int await_and_pass_on(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_await(userdata, NULL);
}

/* A future of another loop is refused, and no less when it is done and there is nothing to wait for. */
static void a_done_future_of_another_loop_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &future), 0);
    assert_int_equal(run_task(f, await_and_pass_on, future), KOLK_EINVAL);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(run_task(f, await_and_pass_on, future), KOLK_EINVAL);
    kolk_future_unref(future);
    kolk_loop_unref(other);
}

/* A status that the library does not know is passed on as it is. */
static void an_unknown_status_is_kept(void **state) {
    struct fixture *f = *state;
    kolk_task *inner = spawn(f, return_minus_thousand);
    assert_int_equal(run_task(f, await_and_pass_on, kolk_task_as_future(inner)), -1000);
    assert_int_equal(join(f, inner), -1000);
}

/* A failure that nobody reads is reported when the task is dropped. */
static void an_unread_failure_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    assert_int_equal(kolk_create_task(f->loop, fail_plainly, f, NULL, NULL, NULL), 0);
    drive_during(f, 2 * MS);
    assert_record(f, "unhandled(KOLK_EPIPE)");
}

static int await_it(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    void *result = NULL;
    int status = kolk_await(scene->future, &result);
    record(scene->f, "%s(%s)", scene->name, status == 0 ? (result ? (char *)result : "nothing") : kolk_status_name(status));
    *ret_result = result;
    return status;
}

/* Awaiting stops the task until the future is done, and gives it the outcome. */
static void awaiting_gives_the_outcome(void **state) {
    struct fixture *f = *state;
    struct scene good = {.f = f, .future = new_future(f), .name = "good"};
    struct scene bad = {.f = f, .future = new_future(f), .name = "bad"};
    kolk_task *a = spawn_with(f, await_it, &good), *b = spawn_with(f, await_it, &bad);
    drive_during(f, MS);
    assert_record(f, "");
    kolk_future_set_result(good.future, "tea", NULL);
    kolk_future_set_error(bad.future, kolk_error_of(KOLK_EIO));
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), KOLK_EIO);
    assert_record(f, "good(tea) bad(KOLK_EIO)");
    kolk_future_unref(good.future);
    kolk_future_unref(bad.future);
}

/* A future that is done is awaited without another turn. */
static void a_future_that_is_done_is_not_waited_for(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f), .name = "a"};
    kolk_future_set_result(scene.future, "tea", NULL);
    kolk_task *task = spawn_with(f, await_it, &scene);
    drive_once(f);
    assert_record(f, "a(tea)");
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(scene.future);
}

/* The words of an awaited error pass through the task that returns its status. */
static void the_words_of_an_awaited_error_are_kept(void **state) {
    struct fixture *f = *state;
    kolk_task *inner = spawn(f, fail_with_words);
    struct scene scene = {.f = f, .future = kolk_task_as_future(inner), .name = "outer"};
    kolk_task *outer = spawn_with(f, await_it, &scene);
    drive_until(f, kolk_task_as_future(outer));
    assert_int_equal(kolk_task_result(outer, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(outer)), "port 81 refused");
    kolk_task_unref(inner);
    kolk_task_unref(outer);
}

/* Two tasks may wait for one; both get its result. */
static void a_task_may_be_awaited_by_two(void **state) {
    struct fixture *f = *state;
    kolk_task *awaited = spawn(f, return_tea);
    struct scene a = {.f = f, .future = kolk_task_as_future(awaited), .name = "a"};
    struct scene b = {.f = f, .future = kolk_task_as_future(awaited), .name = "b"};
    kolk_task *first = spawn_with(f, await_it, &a), *second = spawn_with(f, await_it, &b);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    assert_record(f, "a(tea) b(tea)");
    kolk_task_unref(awaited);
}

static int await_oneself(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_await(kolk_task_as_future(kolk_task_current()), NULL)));
    record(userdata, "%s", kolk_status_name(kolk_await(NULL, NULL)));
    return 0;
}

/* Nobody can wait for himself, for nothing, or for a future of another loop. */
static void awaiting_oneself_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, await_oneself, f), 0);
    assert_record(f, "KOLK_EINVAL KOLK_EINVAL");

    kolk_loop *other = NULL;
    struct scene scene = {.f = f, .name = "foreign"};
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &scene.future), 0);
    clear_record(f);
    assert_int_equal(run_task(f, await_it, &scene), KOLK_EINVAL);
    assert_record(f, "foreign(KOLK_EINVAL)");
    kolk_future_unref(scene.future);
    kolk_loop_unref(other);
}

static int sleep_and_say(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    int64_t until = kolk_loop_time(scene->f->loop) + scene->delay_ns;
    int status = kolk_sleep(scene->delay_ns);
    record(scene->f, "%s%s", scene->name, kolk_loop_time(scene->f->loop) < until ? " too early" : "");
    return status;
}

/* Sleepers wake in the order of their deadlines, and not early. The deadlines lie far apart: a machine that holds the process
 * up between two of the sleeps moves the later one. */
static void sleepers_wake_in_the_order_of_their_deadlines(void **state) {
    struct fixture *f = *state;
    struct scene scenes[] = {{.f = f, .name = "c", .delay_ns = 400 * MS},
                             {.f = f, .name = "a", .delay_ns = 1 * MS},
                             {.f = f, .name = "b", .delay_ns = 200 * MS}};
    kolk_task *tasks[COUNT(scenes)];
    for (size_t i = 0; i < COUNT(scenes); i++)
        tasks[i] = spawn_with(f, sleep_and_say, &scenes[i]);
    for (size_t i = 0; i < COUNT(scenes); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_record(f, "a b c");
}

static int say_twice(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    record(scene->f, "%s1", scene->name);
    int status = kolk_sleep(scene->delay_ns);
    record(scene->f, "%s2", scene->name);
    return status;
}

/* A sleep of nothing lets everyone else who is ready run once. */
static void a_sleep_of_nothing_lets_others_run(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"}, b = {.f = f, .name = "b", .delay_ns = -1};
    kolk_task *first = spawn_with(f, say_twice, &a), *second = spawn_with(f, say_twice, &b);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    assert_record(f, "a1 b1 a2 b2");
}

/* ---- Cancelling ---- */

/* Cancelling a task that waits cancels what it waits for, and the task ends as cancelled. */
static void cancelling_reaches_what_is_awaited(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f), .name = "a"};
    kolk_task *task = spawn_with(f, await_it, &scene);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    assert_int_equal(kolk_future_cancelled(kolk_task_as_future(task)), 1);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_task_cancel(task), 0);
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

/* A chain of tasks that wait for one another is cancelled from the top and ends from the bottom. */
static void cancelling_passes_down_a_chain(void **state) {
    struct fixture *f = *state;
    struct scene bottom = {.f = f, .future = new_future(f), .name = "bottom"};
    kolk_task *inner = spawn_with(f, await_it, &bottom);
    struct scene top = {.f = f, .future = kolk_task_as_future(inner), .name = "top"};
    kolk_task *outer = spawn_with(f, await_it, &top);
    drive_during(f, MS);
    kolk_task_cancel(outer);
    assert_int_equal(join(f, outer), KOLK_ECANCELED);
    assert_record(f, "bottom(KOLK_ECANCELED) top(KOLK_ECANCELED)");
    assert_int_equal(kolk_task_result(inner, NULL), KOLK_ECANCELED);
    kolk_task_unref(inner);
    kolk_future_unref(bottom.future);
}

/* A sleeper that is cancelled does not sleep on. */
static void a_sleeper_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "woken", .delay_ns = 1000 * SECOND};
    kolk_task *task = spawn_with(f, say_twice, &scene);
    drive_during(f, MS);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "woken1 woken2");
}

/* A task that is cancelled before it started never runs; its userdata is let go. */
static void a_task_cancelled_before_its_start_never_runs(void **state) {
    struct fixture *f = *state;
    kolk_task *task = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_create_task(f->loop, say_started, &destroyed, count_destroy, NULL, &task), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "");
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    kolk_task_unref(task);
    drive_during(f, MS);
    assert_int_equal(destroyed, 1);
}

static int swallow(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    record(f, "%s", kolk_status_name(kolk_sleep(10 * SECOND)));
    record(f, "%s", kolk_status_name(kolk_sleep(MS)));
    *ret_result = "tea";
    return 0;
}

/* A cancellation is delivered once; a task that carries on, carries on, and is not cancelled. */
static void a_task_may_swallow_a_cancellation(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, swallow);
    drive_during(f, MS);
    kolk_task_cancel(task);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "KOLK_ECANCELED KOLK_OK");
    assert_int_equal(kolk_task_result(task, NULL), 0);
    assert_int_equal(kolk_future_cancelled(kolk_task_as_future(task)), 0);
    kolk_task_unref(task);
}

static int swallow_twice(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    record(f, "%s", kolk_status_name(kolk_sleep(10 * SECOND)));
    record(f, "%s", kolk_status_name(kolk_sleep(10 * SECOND)));
    record(f, "%s", kolk_status_name(kolk_sleep(0)));
    return 0;
}

/* A second cancellation is delivered at the second wait. */
static void a_task_can_be_cancelled_twice(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, swallow_twice);
    for (int i = 0; i < 2; i++) {
        drive_during(f, MS);
        assert_int_equal(kolk_task_cancel(task), 1);
    }
    assert_int_equal(join(f, task), 0);
    assert_record(f, "KOLK_ECANCELED KOLK_ECANCELED KOLK_OK");
}

/* Two requests before the task gets to run are one delivery. */
static void two_requests_at_once_are_one_delivery(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, swallow);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "KOLK_ECANCELED KOLK_OK");
}

static int cancel_oneself(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    record(f, "%d", kolk_task_cancel(kolk_task_current()));
    record(f, "%s", kolk_status_name(kolk_sleep(MS)));
    record(f, "%s", kolk_status_name(kolk_sleep(MS)));
    return KOLK_ECANCELED;
}

/* A task may cancel itself: it is told at its next wait. */
static void a_task_may_cancel_itself(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, cancel_oneself);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "1 KOLK_ECANCELED KOLK_OK");
    assert_int_equal(kolk_future_cancelled(kolk_task_as_future(task)), 1);
    kolk_task_unref(task);
}

static int turn_into_failure(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return kolk_sleep(10 * SECOND) == KOLK_ECANCELED ? KOLK_EIO : 0;
}

/* A task that answers a cancellation with another error has failed with that. */
static void an_error_in_answer_to_a_cancellation_counts(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, turn_into_failure);
    drive_during(f, MS);
    kolk_task_cancel(task);
    drive_until(f, kolk_task_as_future(task));
    int status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    assert_int_equal(status, KOLK_EIO);
}

/* A cancellation that comes when the awaited result is there already is delivered at that wait. */
static void a_cancellation_after_the_result_is_still_delivered(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f), .name = "a"};
    kolk_task *task = spawn_with(f, await_it, &scene);
    drive_during(f, MS);
    kolk_future_set_result(scene.future, "tea", NULL);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(scene.future), 0);
    kolk_task_result(task, NULL);
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

static int three_waits(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    int status = kolk_sleep(0);
    if (status == 0)
        status = kolk_await(scene->future, NULL);
    if (status == 0)
        status = kolk_sleep(10 * SECOND);
    record(scene->f, "%s", kolk_status_name(status));
    return status;
}

/* At whichever wait it stands, cancelling ends it, and everything is let go. */
static void a_task_can_be_cancelled_at_each_wait(void **state) {
    struct fixture *f = *state;
    for (int wait = 0; wait < 3; wait++) {
        clear_record(f);
        struct scene scene = {.f = f, .future = new_future(f)};
        kolk_task *task = spawn_with(f, three_waits, &scene);
        drive_once(f);
        if (wait > 0)
            drive_during(f, MS);
        if (wait > 1) {
            kolk_future_set_result(scene.future, NULL, NULL);
            drive_during(f, MS);
        }
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "KOLK_ECANCELED");
        kolk_future_unref(scene.future);
    }
}

static int await_neighbour(void *userdata, void **ret_result) {
    kolk_task **neighbour = userdata;
    (void)ret_result;
    return kolk_await(kolk_task_as_future(*neighbour), NULL);
}

/* Two tasks that wait for one another, which would be for ever. */
static void spawn_circle(struct fixture *f, kolk_task *ret_circle[2]) {
    ret_circle[0] = spawn_with(f, await_neighbour, &ret_circle[1]);
    ret_circle[1] = spawn_with(f, await_neighbour, &ret_circle[0]);
    drive_during(f, MS);
}

/* Tasks that wait for one another in a circle are cancelled with any of them. */
static void a_circle_of_tasks_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_task *circle[2];
    spawn_circle(f, circle);
    assert_int_equal(kolk_task_cancel(circle[0]), 1);
    assert_int_equal(join(f, circle[0]), KOLK_ECANCELED);
    assert_int_equal(join(f, circle[1]), KOLK_ECANCELED);
}

/* ---- What a task knows of itself ---- */

static int record_current(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    record(f, "%s:%d", kolk_task_name(kolk_task_current()), kolk_loop_current() == f->loop);
    int status = kolk_sleep(0);
    record(f, "%s", kolk_task_name(kolk_task_current()));
    return status;
}

static kolk_task *spawn_named(struct fixture *f, kolk_coroutine_fn fn, const char *name) {
    kolk_task_options options = {.size = sizeof options, .name = name};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, fn, f, NULL, &options, &task), 0);
    return task;
}

/* Inside, the current task is the one that runs; outside there is none. */
static void the_current_task_is_the_one_that_runs(void **state) {
    struct fixture *f = *state;
    kolk_task *a = spawn_named(f, record_current, "a"), *b = spawn_named(f, record_current, "b");
    assert_null(kolk_task_current());
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), 0);
    assert_null(kolk_task_current());
    assert_record(f, "a:1 b:1 a b");
}

/* A name is copied, cut to 31 bytes, and can be changed. */
static void a_task_can_be_named(void **state) {
    struct fixture *f = *state;
    char name[] = "fetcher";
    kolk_task *task = spawn_named(f, return_tea, name), *nameless = spawn(f, return_tea);
    memset(name, 'x', sizeof name - 1);
    assert_string_equal(kolk_task_name(task), "fetcher");
    assert_string_equal(kolk_task_name(nameless), "");
    assert_int_equal(kolk_task_set_name(task, "0123456789012345678901234567890123456789"), 0);
    assert_string_equal(kolk_task_name(task), "0123456789012345678901234567890");
    assert_int_equal(kolk_task_set_name(task, NULL), 0);
    assert_string_equal(kolk_task_name(task), "");
    assert_int_equal(join(f, task), 0);
    assert_int_equal(join(f, nameless), 0);
}

static int yield_in_task(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_yield("a value", NULL)));
    return 0;
}

/* The body of a task has nobody to yield values to. */
static void a_task_cannot_yield(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, yield_in_task, f), 0);
    assert_record(f, "KOLK_EYIELD");
}

static int produce(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    int status = kolk_yield("one", NULL);
    if (status == 0)
        status = kolk_await(scene->future, NULL);
    if (status == 0)
        status = kolk_sleep(MS);
    record(scene->f, "%s", kolk_status_name(status));
    return status == 0 ? kolk_yield("two", NULL) : status;
}

static int consume(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    kolk_coroutine *producer = NULL;
    int step = kolk_coroutine_new(scene->f->loop, produce, scene, NULL, 0, &producer);
    void *value = NULL;
    while (step >= 0 && (step = kolk_coroutine_next(producer, &value)) == KOLK_COROUTINE_YIELDED)
        record(scene->f, "%s", (char *)value);
    kolk_coroutine_unref(producer);
    return step;
}

/* A task may drive coroutines that yield; what they await, the task waits for. */
static void a_task_may_drive_coroutines_that_await(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(kolk_sleep_async(f->loop, MS, &scene.future), 0);
    assert_int_equal(run_task(f, consume, &scene), 0);
    assert_record(f, "one KOLK_OK two");
    kolk_future_unref(scene.future);
}

/* A task is a future: it takes callbacks, but no result from outside. */
static void a_task_is_a_future_that_finishes_itself(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, return_tea);
    kolk_future *future = kolk_task_as_future(task);
    assert_int_equal(kolk_future_set_result(future, word(f, "refused"), unsay), KOLK_ENOTSUP);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), KOLK_ENOTSUP);
    assert_record(f, "~refused");
    assert_ptr_equal(kolk_future_loop(future), f->loop);
    assert_null(kolk_task_as_future(NULL));
    assert_int_equal(join(f, task), 0);
}

static int make_block(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = strdup("a block");
    return 0;
}

/* The result is destroyed with the task, if the options say how. */
static void the_result_is_destroyed_with_the_task(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .destroy_result = free};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, make_block, f, NULL, &options, &task), 0);
    drive_until(f, kolk_task_as_future(task));
    void *result = NULL;
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "a block");
    kolk_task_unref(task);
}

/* ---- Lifetime ---- */

static int say_ran(void *userdata, void **ret_result) {
    (void)ret_result;
    say(userdata);
    return 0;
}

/* What is awaited is kept alive, even when everyone else has dropped it. */
static void what_is_awaited_is_kept_alive(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a"};
    assert_int_equal(kolk_sleep_async(f->loop, 2 * MS, &scene.future), 0);
    kolk_task *task = spawn_with(f, await_it, &scene);
    drive_once(f);
    kolk_future_unref(scene.future);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a(nothing)");
}

static int drop_oneself(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    scene->task = kolk_task_unref(scene->task);
    record(scene->f, "%s", kolk_status_name(kolk_sleep(MS)));
    return 0;
}

/* A task may drop the last reference that the program has to it. */
static void a_task_may_drop_itself(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    scene.task = spawn_with(f, drop_oneself, &scene);
    drive_during(f, 100 * MS);
    assert_record(f, "KOLK_OK");
    assert_null(scene.task);
}

/* Userdata is destroyed when the task has ended, whether or not somebody still holds the task. */
static void userdata_is_destroyed_when_the_task_has_ended(void **state) {
    struct fixture *f = *state;
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, say_ran, word(f, "ran"), unsay, NULL, &task), 0);
    assert_record(f, "");
    drive_until(f, kolk_task_as_future(task));
    drive_during(f, MS);
    assert_record(f, "ran ~ran");
    kolk_task_unref(task);
    assert_record(f, "ran ~ran");
}

/* The loop holds a task until it has ended: nobody else has to. */
static void the_loop_keeps_a_task_alive(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "done", .delay_ns = MS};
    assert_int_equal(kolk_create_task(f->loop, sleep_and_say, &scene, NULL, NULL, NULL), 0);
    drive_during(f, 100 * MS);
    assert_record(f, "done");
}

/* What cannot be made is refused, and its userdata destroyed. */
static void what_cannot_be_made_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_task *task = NULL;
    kolk_task_options huge = {.size = sizeof huge, .stack_size = SIZE_MAX}, wrong = {.size = 1};
    int destroyed = 0;
    assert_int_equal(kolk_create_task(f->loop, NULL, &destroyed, count_destroy, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_create_task(NULL, return_tea, &destroyed, count_destroy, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_create_task(f->loop, return_tea, &destroyed, count_destroy, &huge, &task), KOLK_ELIMIT);
    assert_int_equal(kolk_create_task(f->loop, return_tea, &destroyed, count_destroy, &wrong, &task), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_create_task(f->loop, return_tea, &destroyed, count_destroy, NULL, &task), KOLK_ECLOSED);
    assert_int_equal(destroyed, 5);
    assert_null(task);
}

static int park(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    int status = scene->future ? kolk_await(scene->future, NULL) : kolk_sleep(1000 * SECOND);
    record(scene->f, "%s clean-up(%s)", scene->name, kolk_status_name(status));
    return status;
}

/* Closing the loop cancels every task and lets its clean-up run; those that never started never do. */
static void closing_the_loop_ends_parked_tasks(void **state) {
    struct fixture *f = *state;
    struct scene waiter = {.f = f, .future = new_future(f), .name = "waiter"}, sleeper = {.f = f, .name = "sleeper"};
    kolk_task *kept = spawn_with(f, park, &waiter);
    assert_int_equal(kolk_create_task(f->loop, park, &sleeper, NULL, NULL, NULL), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_create_task(f->loop, say_started, f, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_non_null(strstr(f->record, "waiter clean-up(KOLK_ECANCELED)"));
    assert_non_null(strstr(f->record, "sleeper clean-up(KOLK_ECANCELED)"));
    assert_null(strstr(f->record, "started"));
    assert_int_equal(kolk_task_done(kept), 1);
    assert_int_equal(kolk_task_result(kept, NULL), KOLK_ECANCELED);
    kolk_task_unref(kept);
    kolk_future_unref(waiter.future);
}

static int clean_up_with_waits(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    for (int i = 0; i < 3; i++)
        record(f, "%s", kolk_sleep(0) == 0 ? "waited" : "refused");
    record(f, "ended");
    return status;
}

/* A clean-up that waits is seen to its end. */
static void a_clean_up_that_waits_is_seen_to_its_end(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_create_task(f->loop, clean_up_with_waits, f, NULL, NULL, NULL), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
    assert_string_equal(f->record + f->recorded - 5, "ended");
}

static int refuse_to_end(void *userdata, void **ret_result) {
    volatile int *enough = userdata;
    (void)ret_result;
    while (!*enough)
        kolk_sleep(1000 * SECOND);
    return 0;
}

/* A task that refuses to end keeps the loop open, and does not hang it; the close may be repeated. */
static void a_task_that_refuses_to_end_keeps_the_loop_open(void **state) {
    struct fixture *f = *state;
    volatile int enough = 0;
    kolk_task *task = spawn_with(f, refuse_to_end, (void *)&enough);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), KOLK_EBUSY);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    assert_int_equal(kolk_task_done(task), 0);
    enough = 1;
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_task_done(task), 1);
    kolk_task_unref(task);
}

struct insistent {
    int enough;
    int waits;
};

static int insist_on_yielding(void *userdata, void **ret_result) {
    struct insistent *self = userdata;
    (void)ret_result;
    while (!self->enough && ++self->waits < 100000)
        kolk_sleep(0);
    return 0;
}

/* A task that only ever lets others run keeps the loop open as well, and does not hang the close. */
static void a_task_that_goes_on_yielding_keeps_the_loop_open(void **state) {
    struct fixture *f = *state;
    struct insistent insistent = {0, 0};
    assert_int_equal(kolk_create_task(f->loop, insist_on_yielding, &insistent, NULL, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), KOLK_EBUSY);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    insistent.enough = 1;
    assert_int_equal(kolk_loop_close(f->loop), 0);
}

/* So does one that awaits such a task: it cannot end before that one, and neither hangs the close. */
static void a_task_that_awaits_one_that_refuses_to_end_does_not_hang_the_close(void **state) {
    struct fixture *f = *state;
    struct insistent insistent = {0, 0};
    kolk_task *stubborn = spawn_with(f, insist_on_yielding, &insistent);
    kolk_task *waiting = spawn_with(f, await_and_pass_on, kolk_task_as_future(stubborn));
    drive_once(f);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), KOLK_EBUSY);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    assert_int_equal(kolk_task_done(stubborn), 0);
    assert_true(insistent.waits < 100000);
    insistent.enough = 1;
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_task_done(waiting), 1);
    kolk_task_unref(stubborn);
    kolk_task_unref(waiting);
}

/* Tasks that wait for one another in a circle do not keep the loop open. */
static void a_circle_of_tasks_ends_with_the_loop(void **state) {
    struct fixture *f = *state;
    kolk_task *circle[2];
    spawn_circle(f, circle);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kolk_task_result(circle[i], NULL), KOLK_ECANCELED);
        kolk_task_unref(circle[i]);
    }
}

static int spawn_another(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    record(scene->f, "%s", kolk_status_name(kolk_create_task(scene->f->loop, return_tea, scene->f, NULL, NULL, NULL)));
    return status;
}

/* A clean-up that makes further tasks neither keeps the loop from closing nor leaks them. */
static void a_clean_up_may_try_to_make_tasks(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(kolk_create_task(f->loop, spawn_another, &scene, NULL, NULL, NULL), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_true(strcmp(f->record, "KOLK_ECLOSED") == 0 || strcmp(f->record, "KOLK_OK") == 0);
}

static int increment_and_yield(void *userdata, void **ret_result) {
    int *counter = userdata;
    (void)ret_result;
    for (int i = 0; i < 10; i++) {
        ++*counter;
        int status = kolk_sleep(0);
        if (status < 0)
            return status;
    }
    return 0;
}

/* Two thousand tasks take turns. */
static void many_tasks_take_turns(void **state) {
    struct fixture *f = *state;
    enum { MANY = 2000 };
    int counter = 0;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(kolk_create_task(f->loop, increment_and_yield, &counter, NULL, NULL, NULL), 0);
    drive_until_count(f, &counter, MANY * 10);
    drive_during(f, MS);
    assert_int_equal(counter, MANY * 10);
}

/* A budget counts the steps of tasks like callbacks. */
static void a_budget_counts_steps_of_tasks(void **state) {
    struct fixture *f = *state;
    int counter = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(kolk_create_task(f->loop, increment_and_yield, &counter, NULL, NULL, NULL), 0);
    kolk_budget budget = {.size = sizeof budget, .max_items = 3};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 3);
    assert_int_equal(progress.more, 1);
    assert_int_equal(counter, 3);
    drive_until_count(f, &counter, 50);
    drive_during(f, MS);
}

/* ---- Deep chains: not a matter of reactor or mode ---- */

static int await_next_or_sleep(void *userdata, void **ret_result) {
    kolk_task **self = userdata;
    (void)ret_result;
    return self[1] ? kolk_await(kolk_task_as_future(self[1]), NULL) : kolk_sleep(1000 * SECOND);
}

static int cancel_another(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_task_cancel(userdata) == 1 ? 0 : KOLK_EINVAL;
}

/* A long chain of tasks that wait for one another is cancelled on the stack of a task, which is small. */
static void cancelling_a_long_chain_takes_no_stack(void **state) {
    struct fixture *f = *state;
    enum { LENGTH = 12000 }; /* Not many more have stacks where a process may have 65530 mappings. */
    kolk_task **chain = calloc(LENGTH + 1, sizeof *chain);
    for (int i = 0; i < LENGTH; i++)
        chain[i] = spawn_with(f, await_next_or_sleep, &chain[i]);
    drive_once(f);
    assert_int_equal(run_task(f, cancel_another, chain[0]), 0);
    drive_until(f, kolk_task_as_future(chain[0]));
    for (int i = 0; i < LENGTH; i++) {
        assert_int_equal(kolk_task_result(chain[i], NULL), KOLK_ECANCELED);
        kolk_task_unref(chain[i]);
    }
    free(chain);
}

/* ---- kolk_run ---- */

static int main_task(void *userdata, void **ret_result) {
    struct scene *scene = userdata;
    int status = kolk_sleep(MS);
    kolk_create_task(kolk_loop_current(), park, scene, NULL, NULL, NULL);
    kolk_sleep(0);
    *ret_result = "tea";
    return status;
}

/* kolk_run makes a loop, runs the main task, ends what is left, and closes. */
static void run_makes_a_loop_for_one_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "left over"};
    void *result = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(main_task, &scene, &result, &error), 0);
    assert_string_equal(result, "tea");
    assert_null(error);
    assert_record(f, "left over clean-up(KOLK_ECANCELED)");
}

/* A main task that fails gives status and words. */
static void run_gives_the_reason_of_a_failure(void **state) {
    (void)state;
    void *result = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(fail_with_words, NULL, &result, &error), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(error), "port 81 refused");
    kolk_error_unref(error);
    assert_int_equal(kolk_run(fail_plainly, NULL, NULL, NULL), KOLK_EPIPE);
    assert_int_equal(kolk_run(NULL, NULL, NULL, NULL), KOLK_EINVAL);
    assert_null(result);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_task_starts_on_the_next_turn),
        RULE(the_result_of_the_body_is_that_of_the_task),
        RULE(the_error_of_the_body_is_that_of_the_task),
        RULE(an_unknown_status_is_kept),
        RULE(an_unread_failure_is_reported),
        RULE(awaiting_gives_the_outcome),
        RULE(a_future_that_is_done_is_not_waited_for),
        RULE(a_done_future_of_another_loop_is_refused),
        RULE(the_words_of_an_awaited_error_are_kept),
        RULE(a_task_may_be_awaited_by_two),
        RULE(awaiting_oneself_is_refused),
        RULE(sleepers_wake_in_the_order_of_their_deadlines),
        RULE(a_sleep_of_nothing_lets_others_run),
        RULE(cancelling_reaches_what_is_awaited),
        RULE(cancelling_passes_down_a_chain),
        RULE(a_sleeper_can_be_cancelled),
        RULE(a_task_cancelled_before_its_start_never_runs),
        RULE(a_task_may_swallow_a_cancellation),
        RULE(a_task_can_be_cancelled_twice),
        RULE(two_requests_at_once_are_one_delivery),
        RULE(a_task_may_cancel_itself),
        RULE(an_error_in_answer_to_a_cancellation_counts),
        RULE(a_cancellation_after_the_result_is_still_delivered),
        RULE(a_task_can_be_cancelled_at_each_wait),
        RULE(a_circle_of_tasks_can_be_cancelled),
        RULE(the_current_task_is_the_one_that_runs),
        RULE(a_task_can_be_named),
        RULE(a_task_cannot_yield),
        RULE(a_task_may_drive_coroutines_that_await),
        RULE(a_task_is_a_future_that_finishes_itself),
        RULE(the_result_is_destroyed_with_the_task),
        RULE(what_is_awaited_is_kept_alive),
        RULE(a_task_may_drop_itself),
        RULE(userdata_is_destroyed_when_the_task_has_ended),
        RULE(the_loop_keeps_a_task_alive),
        RULE(what_cannot_be_made_is_refused),
        RULE(closing_the_loop_ends_parked_tasks),
        RULE(a_clean_up_that_waits_is_seen_to_its_end),
        RULE(a_task_that_refuses_to_end_keeps_the_loop_open),
        RULE(a_task_that_goes_on_yielding_keeps_the_loop_open),
        RULE(a_task_that_awaits_one_that_refuses_to_end_does_not_hang_the_close),
        RULE(a_circle_of_tasks_ends_with_the_loop),
        RULE(a_clean_up_may_try_to_make_tasks),
        RULE(many_tasks_take_turns),
        RULE(a_budget_counts_steps_of_tasks),
    };
    static const struct rule plain[] = {
        RULE(run_makes_a_loop_for_one_task),
        RULE(run_gives_the_reason_of_a_failure),
        RULE(cancelling_a_long_chain_takes_no_stack),
    };
    return run_matrix("task", matrix, COUNT(matrix)) + run_plain("run", plain, COUNT(plain));
}
