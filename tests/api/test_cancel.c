/* Requests to cancel a task: their words, their number, and taking them back. The rules of asyncio 3.13. */
#include "support/driver.h"

#include <stdio.h>

struct scene {
    struct fixture *f;
    const char *name;
    kolk_future *future;
    kolk_task *task;
    struct scene *other;
    kolk_semaphore *semaphore;
    int64_t until_ns;
    int requests;
    int taken_back;
};

static int await_with_words(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    int status = kolk_await(self->future, ret_result);
    record(self->f, "%s(%s)", self->name, status < 0 ? kolk_error_message(kolk_raised()) : "done");
    return status;
}

/* The words of a request are there where the wait fails, and are those of the task that ends as cancelled. */
static void a_request_has_words(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    char words[] = "closing time";
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(task, words), 1);
    memset(words, 'x', sizeof words - 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a(closing time)");
    assert_int_equal(kolk_future_cancelled(kolk_task_as_future(task)), 1);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_error_status(kolk_task_error(task)), KOLK_ECANCELED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "closing time");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

static int sleep_with_words(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    record(self->f, "%s(%s)", self->name, status < 0 ? kolk_error_message(kolk_raised()) : "slept");
    return status;
}

/* Without words a request has the general ones, whichever function made it. */
static void a_request_without_words_has_the_general_ones(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a"};
    char expected[128];
    snprintf(expected, sizeof expected, "a(%s) a(%s)", kolk_status_message(KOLK_ECANCELED),
             kolk_status_message(KOLK_ECANCELED));
    for (int way = 0; way < 2; way++) {
        kolk_task *task = spawn_with(f, sleep_with_words, &scene);
        drive_once(f);
        assert_int_equal(way ? kolk_task_cancel(task) : kolk_task_cancel_with(task, NULL), 1);
        drive_until(f, kolk_task_as_future(task));
        assert_string_equal(kolk_error_message(kolk_task_error(task)), kolk_status_message(KOLK_ECANCELED));
        kolk_task_unref(task);
    }
    assert_record(f, expected);
}

/* The words go down a chain to the one that is told, and come up again with its end. */
static void words_pass_down_a_chain(void **state) {
    struct fixture *f = *state;
    struct scene bottom = {.f = f, .name = "bottom"}, middle = {.f = f, .name = "middle"}, top = {.f = f, .name = "top"};
    kolk_task *inner = spawn_with(f, sleep_with_words, &bottom);
    middle.future = kolk_task_as_future(inner);
    kolk_task *between = spawn_with(f, await_with_words, &middle);
    top.future = kolk_task_as_future(between);
    kolk_task *outer = spawn_with(f, await_with_words, &top);
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(outer, "closing time"), 1);
    drive_until(f, kolk_task_as_future(outer));
    assert_record(f, "bottom(closing time) middle(closing time) top(closing time)");
    assert_string_equal(kolk_error_message(kolk_task_error(inner)), "closing time");
    assert_string_equal(kolk_error_message(kolk_task_error(outer)), "closing time");
    kolk_task_unref(inner);
    kolk_task_unref(between);
    kolk_task_unref(outer);
}

static int await_the_next(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    return kolk_await(kolk_task_as_future(self->other->task), ret_result);
}

/* Words that go down a chain which ends in a circle come to an end as well. */
static void words_end_in_a_circle(void **state) {
    struct fixture *f = *state;
    struct scene scenes[3] = {{.f = f}, {.f = f}, {.f = f}};
    scenes[0].other = &scenes[1];
    scenes[1].other = &scenes[2];
    scenes[2].other = &scenes[1];
    for (size_t i = 0; i < COUNT(scenes); i++)
        scenes[i].task = spawn_with(f, await_the_next, &scenes[i]);
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(scenes[0].task, "round and round"), 1);
    for (size_t i = 0; i < COUNT(scenes); i++)
        drive_until(f, kolk_task_as_future(scenes[i].task));
    for (size_t i = 0; i < COUNT(scenes); i++) {
        assert_string_equal(kolk_error_message(kolk_task_error(scenes[i].task)), "round and round");
        kolk_task_unref(scenes[i].task);
    }
}

/* Words are given back with the task that had them, read or not, delivered or not, replaced or not. */
static void words_are_given_back(void **state) {
    struct fixture *f = *state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    assert_int_equal(kolk_set_default_allocator(&memory.hook), 0);
    for (int way = 0; way < 4; way++) {
        struct scene scene = {.f = f, .name = "a"};
        kolk_task *task = spawn_with(f, sleep_with_words, &scene);
        if (way > 0)
            drive_once(f);
        kolk_task_cancel_with(task, "first");
        if (way > 1)
            kolk_task_cancel_with(task, "second");
        drive_until(f, kolk_task_as_future(task));
        if (way > 2)
            kolk_task_error(task);
        kolk_task_unref(task);
        drive_during(f, MS);
    }
    kolk_set_default_allocator(NULL);
    assert_true(failing_allocator_disarm(&memory) > 0);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
    assert_int_equal(failing_allocator_mistakes(&memory), 0);
}

/* A task that is cancelled before its start has the words, though it never ran. */
static void a_task_that_never_ran_has_the_words(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a"};
    kolk_task *task = spawn_with(f, sleep_with_words, &scene);
    assert_int_equal(kolk_task_cancel_with(task, "not today"), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "");
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "not today");
    kolk_task_unref(task);
}

/* Words that somebody read are no error that nobody took. */
static void a_cancelled_task_is_not_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct scene scene = {.f = f, .name = "a"};
    kolk_task *task = spawn_with(f, sleep_with_words, &scene);
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(task, "closing time"), 1);
    drive_until(f, kolk_task_as_future(task));
    kolk_task_unref(task);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* When memory is gone a task is cancelled all the same, without words. */
static void without_memory_a_task_is_cancelled_without_words(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    drive_once(f);
    assert_int_equal(kolk_set_default_allocator(&f->memory.hook), 0);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_task_cancel_with(task, "closing time");
    size_t failures = f->memory.failures;
    drive_once(f);
    int done = kolk_task_done(task);
    failing_allocator_disarm(&f->memory);
    kolk_set_default_allocator(NULL);
    assert_int_equal(status, 1);
    assert_int_equal(done, 1);
    assert_true(failures > 0);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_error_status(kolk_task_error(task)), KOLK_ECANCELED);
    assert_string_not_equal(kolk_error_message(kolk_task_error(task)), "closing time");
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

/* A task that has ended cannot be cancelled; NULL is none. */
static void an_ended_task_cannot_be_cancelled(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    assert_int_equal(kolk_future_set_result(scene.future, NULL, NULL), 0);
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_cancel_with(task, "too late"), 0);
    assert_int_equal(kolk_task_cancelling(task), 0);
    assert_int_equal(kolk_task_result(task, NULL), 0);
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
    assert_int_equal(kolk_task_cancel_with(NULL, "nobody"), KOLK_EINVAL);
    assert_int_equal(kolk_task_cancelling(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_task_uncancel(NULL), KOLK_EINVAL);
}

/* ---- Counting ---- */

static int swallow_and_count(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_task *task = kolk_task_current();
    (void)ret_result;
    for (int i = 0; i < 2; i++) {
        int status = kolk_sleep(i == 0 ? 1000 * SECOND : 0);
        record(self->f, "%s=%d", kolk_status_name(status), kolk_task_cancelling(task));
    }
    for (int i = 0; i < 2; i++)
        record(self->f, "%d", kolk_task_uncancel(task));
    return 0;
}

/* Each request counts, also one that was delivered and swallowed, until it is taken back; below none it does not go. */
static void requests_are_counted(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, swallow_and_count, &scene);
    assert_int_equal(kolk_task_cancelling(task), 0);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_cancelling(task), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "KOLK_ECANCELED=1 KOLK_OK=1 0 0");
    assert_int_equal(join(f, task), 0);
}

/* Several requests before the task gets to run count each, and are one delivery. */
static void several_requests_are_one_delivery(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, swallow_and_count, &scene);
    drive_once(f);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(kolk_task_cancel_with(task, "again"), 1);
        assert_int_equal(kolk_task_cancelling(task), i);
    }
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "KOLK_ECANCELED=3 KOLK_OK=3 2 1");
    assert_int_equal(join(f, task), 0);
}

/* Taking a request back counts down and says how many are left. */
static void taking_back_says_how_many_are_left(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, swallow_and_count, &scene);
    assert_int_equal(kolk_task_uncancel(task), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_uncancel(task), 1);
    assert_int_equal(kolk_task_cancelling(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "");
}

/* ---- Taking back ---- */

static int cancel_and_take_back(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_task *task = kolk_task_current();
    (void)ret_result;
    for (int i = 0; i < self->requests; i++)
        kolk_task_cancel(task);
    for (int i = 0; i < self->taken_back; i++)
        record(self->f, "%d", kolk_task_uncancel(task));
    record(self->f, "%s", kolk_status_name(kolk_sleep(0)));
    record(self->f, "%s", kolk_status_name(kolk_sleep(0)));
    return 0;
}

/* When the last request is taken back before it was delivered, it will not be. */
static void a_request_can_be_taken_back_before_it_is_delivered(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .requests = 1, .taken_back = 1};
    assert_int_equal(run_task(f, cancel_and_take_back, &scene), 0);
    assert_record(f, "0 KOLK_OK KOLK_OK");
}

/* While one is left, it is delivered. */
static void a_request_that_is_left_is_delivered(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .requests = 2, .taken_back = 1};
    assert_int_equal(run_task(f, cancel_and_take_back, &scene), 0);
    assert_record(f, "1 KOLK_ECANCELED KOLK_OK");
}

/* A task whose cancellation is taken back before it started runs after all. */
static void a_task_runs_after_all(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    assert_int_equal(kolk_future_set_result(scene.future, NULL, NULL), 0);
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    assert_int_equal(kolk_task_cancel_with(task, "not today"), 1);
    assert_int_equal(kolk_task_uncancel(task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a(done)");
    kolk_future_unref(scene.future);
}

/* A task that was about to get a result gets it after all. */
static void a_result_that_is_there_arrives_after_all(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    void *result = NULL;
    drive_once(f);
    assert_int_equal(kolk_future_set_result(scene.future, "tea", NULL), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_uncancel(task), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    assert_record(f, "a(done)");
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

/* What the request has cancelled stays cancelled: a future that was awaited cannot be had back. */
static void what_was_cancelled_stays_cancelled(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "a", .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_with_words, &scene);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_uncancel(task), 0);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_future_unref(scene.future);
}

static int sleep_and_look(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    self->until_ns = kolk_loop_time(self->f->loop) + 3 * MS;
    int status = kolk_sleep(3 * MS);
    if (status == 0 && kolk_loop_time(self->f->loop) < self->until_ns)
        record(self->f, "too early");
    return status;
}

/* A sleep is never shorter than asked for, whatever was asked and taken back meanwhile. */
static void a_sleep_is_not_cut_short_by_what_was_taken_back(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, sleep_and_look, &scene);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_uncancel(task), 0);
    int status = join(f, task);
    assert_true(status == 0 || status == KOLK_ECANCELED);
    assert_record(f, "");
}

static int acquire(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_semaphore_acquire(self->semaphore);
    if (status == 0)
        record(self->f, "acquired of %d", self->requests);
    return status;
}

/* Nor does a task get a permit that is not there. */
static void a_permit_is_not_had_by_what_was_taken_back(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(kolk_semaphore_new(f->loop, 0, &scene.semaphore), 0);
    kolk_task *task = spawn_with(f, acquire, &scene);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_task_uncancel(task), 0);
    drive_during(f, MS);
    assert_record(f, "");
    scene.requests = 1;
    assert_int_equal(kolk_semaphore_release(scene.semaphore), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_task_done(task), 1);
    int status = join(f, task);
    assert_record(f, status == 0 ? "acquired of 1" : "");
    assert_int_equal(kolk_semaphore_permits(scene.semaphore), status == 0 ? 0 : 1);
    kolk_semaphore_unref(scene.semaphore);
}

static int swallow_and_take_back(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    for (int i = 0; i < 2; i++) {
        int status = kolk_sleep(1000 * SECOND), left = kolk_task_uncancel(kolk_task_current());
        record(self->f, "%s=%d", kolk_error_message(kolk_raised()), left);
        if (status == 0)
            return KOLK_EIO;
    }
    return 0;
}

/* A task that has dealt with a request takes it back; the next one is delivered like the first, with its own words. */
static void a_request_after_one_that_was_dealt_with_is_delivered(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, swallow_and_take_back, &scene);
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(task, "first"), 1);
    drive_once(f);
    assert_int_equal(kolk_task_cancelling(task), 0);
    assert_int_equal(kolk_task_cancel_with(task, "second"), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "first=0 second=0");
}

static int cancel_oneself_with_words(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_cancel_with(kolk_task_current(), "enough of this");
    int status = kolk_sleep(MS);
    record(self->f, "%s", kolk_error_message(kolk_raised()));
    return status;
}

/* A task may cancel itself with words, which it hears at its next wait. */
static void a_task_may_cancel_itself_with_words(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, cancel_oneself_with_words, &scene);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "enough of this");
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "enough of this");
    kolk_task_unref(task);
}

static int cancel_oneself_and_return(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_task_cancel_with(kolk_task_current(), "too late to wait");
    if (self->taken_back)
        kolk_task_uncancel(kolk_task_current());
    *ret_result = word(self->f, "result");
    return 0;
}

/* A request that a task was never told of, because it did not wait again, makes it end as cancelled; its result is released. */
static void a_task_that_does_not_wait_again_is_cancelled_all_the_same(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    const kolk_task_options options = {.size = sizeof options, .destroy_result = unsay};
    for (scene.taken_back = 0; scene.taken_back <= 1; scene.taken_back++) {
        kolk_task *task = NULL;
        assert_int_equal(kolk_create_task(f->loop, cancel_oneself_and_return, &scene, NULL, &options, &task), 0);
        drive_until(f, kolk_task_as_future(task));
        assert_int_equal(kolk_task_result(task, NULL), scene.taken_back ? 0 : KOLK_ECANCELED);
        if (!scene.taken_back)
            assert_string_equal(kolk_error_message(kolk_task_error(task)), "too late to wait");
        assert_record(f, "~result");
        kolk_task_unref(task);
    }
    assert_record(f, "~result ~result");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_request_has_words),
        RULE(a_request_without_words_has_the_general_ones),
        RULE(words_pass_down_a_chain),
        RULE(words_end_in_a_circle),
        RULE(words_are_given_back),
        RULE(a_task_that_never_ran_has_the_words),
        RULE(a_cancelled_task_is_not_reported),
        RULE(without_memory_a_task_is_cancelled_without_words),
        RULE(an_ended_task_cannot_be_cancelled),
        RULE(requests_are_counted),
        RULE(several_requests_are_one_delivery),
        RULE(taking_back_says_how_many_are_left),
        RULE(a_request_can_be_taken_back_before_it_is_delivered),
        RULE(a_request_that_is_left_is_delivered),
        RULE(a_task_runs_after_all),
        RULE(a_result_that_is_there_arrives_after_all),
        RULE(what_was_cancelled_stays_cancelled),
        RULE(a_sleep_is_not_cut_short_by_what_was_taken_back),
        RULE(a_permit_is_not_had_by_what_was_taken_back),
        RULE(a_request_after_one_that_was_dealt_with_is_delivered),
        RULE(a_task_may_cancel_itself_with_words),
        RULE(a_task_that_does_not_wait_again_is_cancelled_all_the_same),
    };
    return run_matrix("cancel", rules, COUNT(rules));
}
