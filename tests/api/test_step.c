/* Tasks and coroutines without a stack: functions that are called again and again with a state of their own. */
#include "support/driver.h"

#include <stdlib.h>

enum { LARGEST_STATE = 64 * 1024 };

/* What most step functions here work on. */
struct scene {
    kolk_step step;
    struct fixture *f;
    const char *name;
    kolk_future *future;
    int64_t delay_ns;
    int64_t until_ns;
    int i;
};

static kolk_task *make_task(struct fixture *f, kolk_step_fn fn, void *state, size_t size) {
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, fn, state, size, NULL, NULL, &task), 0);
    assert_non_null(task);
    return task;
}

static kolk_task *make_scene(kolk_step_fn fn, struct scene scene) { return make_task(scene.f, fn, &scene, sizeof scene); }

static kolk_coroutine *make_coroutine(kolk_step_fn fn, struct scene scene) {
    kolk_coroutine *made = NULL;
    assert_int_equal(kolk_step_coroutine_new(scene.f->loop, fn, &scene, sizeof scene, NULL, &made), 0);
    return made;
}

static void record_status(const struct scene *self) {
    void *result = kolk_step_result(&self->step);
    record(self->f, "%s(%s)", self->name,
           self->step.status < 0 ? kolk_status_name(self->step.status)
           : result              ? (char *)result
                                 : "");
}

/* ---- Waiting ---- */

static int return_tea(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record(self->f, "%s started", self->name);
    *ret_value = "tea";
    KOLK_STEP_END(&self->step);
}

/* A step task starts on the next turn, and what it leaves in *ret_value is its result. */
static void a_task_starts_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    kolk_task *task = make_scene(return_tea, (struct scene){.f = f, .name = "a"});
    void *result = NULL;
    assert_record(f, "");
    assert_int_equal(kolk_task_done(task), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a started");
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    kolk_task_unref(task);
}

static int await_it(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    record_status(self);
    if (self->step.status < 0)
        return self->step.status;
    *ret_value = kolk_step_result(&self->step);
    KOLK_STEP_END(&self->step);
}

/* Awaiting stops the task until the future is done, and gives it the outcome. */
static void awaiting_gives_the_outcome(void **state) {
    struct fixture *f = *state;
    kolk_future *good = new_future(f), *bad = new_future(f), *cancelled = new_future(f);
    kolk_task *a = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = good});
    kolk_task *b = make_scene(await_it, (struct scene){.f = f, .name = "b", .future = bad});
    kolk_task *c = make_scene(await_it, (struct scene){.f = f, .name = "c", .future = cancelled});
    drive_during(f, MS);
    assert_record(f, "");
    kolk_future_set_result(good, "tea", NULL);
    kolk_future_set_error(bad, kolk_error_of(KOLK_EIO));
    kolk_future_cancel(cancelled);
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), KOLK_EIO);
    assert_int_equal(join(f, c), KOLK_ECANCELED);
    assert_record(f, "a(tea) b(KOLK_EIO) c(KOLK_ECANCELED)");
    kolk_future_unref(good);
    kolk_future_unref(bad);
    kolk_future_unref(cancelled);
}

/* So does a request to cancel, which reaches the task by way of what it awaits. */
static void the_words_of_a_cancellation_are_kept(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_int_equal(kolk_task_cancel_with(task, "no sugar"), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "no sugar");
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    kolk_future_unref(future);
}

/* A future that is done is awaited without another turn. */
static void a_future_that_is_done_is_not_waited_for(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_set_result(future, "tea", NULL);
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_record(f, "a(tea)");
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(future);
}

/* An awaited error keeps its words when its status is returned. */
static void the_words_of_an_awaited_error_are_kept(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_error *error = NULL;
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    assert_int_equal(kolk_future_set_error(future, error), 0);
    kolk_error_unref(error);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "port 81 refused");
    kolk_task_unref(task);
    kolk_future_unref(future);
}

static int raise_words(void *state, void **ret_value) {
    (void)state;
    (void)ret_value;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 82 refused", NULL, &error);
    return kolk_raise(error);
}

/* A step function that fails gives its task the error, with its words if it raised some. */
static void a_failure_has_a_status_and_words(void **state) {
    struct fixture *f = *state;
    kolk_task *task = make_scene(raise_words, (struct scene){.f = f});
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "port 82 refused");
    kolk_task_unref(task);
}

static int await_what_could_not_be_made(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_WAIT(&self->step, kolk_step_await(&self->step, KOLK_ENOMEM, NULL, ret_value));
    record_status(self);
    return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* A future that could not be made is an outcome like another, without waiting. */
static void what_could_not_be_made_is_an_outcome(void **state) {
    struct fixture *f = *state;
    kolk_task *task = make_scene(await_what_could_not_be_made, (struct scene){.f = f, .name = "a"});
    drive_once(f);
    assert_record(f, "a(KOLK_ENOMEM)");
    assert_int_equal(join(f, task), KOLK_ENOMEM);
}

static int sleep_without_memory(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    failing_allocator_arm(&self->f->memory, 1, 1);
    KOLK_STEP_SLEEP(&self->step, ret_value, 1000 * SECOND);
    record_status(self);
    return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* A sleep that cannot be had is an outcome as well; whatever it was made of is given back. */
static void a_sleep_without_memory_is_an_outcome(void **state) {
    struct fixture *f = *state;
    kolk_task *task = make_scene(sleep_without_memory, (struct scene){.f = f, .name = "a"});
    drive_once(f);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(join(f, task), KOLK_ENOMEM);
    assert_record(f, "a(KOLK_ENOMEM)");
}

/* What it awaited is the task's until the next wait, or its end. */
static void a_future_is_given_away(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_int_equal(kolk_future_set_result(future, word(f, "result"), unsay), 0);
    kolk_future_unref(future);
    assert_record(f, "");
    assert_int_equal(kolk_task_cancel(task), 1); /* Its result is there, and is not asked for. */
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "a(KOLK_ECANCELED) ~result");
}

static int sleep_and_say(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_SLEEP(&self->step, ret_value, self->until_ns - kolk_loop_time(self->f->loop));
    record(self->f, "%s%s", self->name, kolk_loop_time(self->f->loop) < self->until_ns ? " too early" : "");
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* Sleepers wake in the order of their deadlines, and not early. */
static void sleepers_wake_in_the_order_of_their_deadlines(void **state) {
    struct fixture *f = *state;
    int64_t start = kolk_loop_time(f->loop);
    kolk_task *c = make_scene(sleep_and_say, (struct scene){.f = f, .name = "c", .until_ns = start + 60 * MS});
    kolk_task *a = make_scene(sleep_and_say, (struct scene){.f = f, .name = "a", .until_ns = start + 20 * MS});
    kolk_task *b = make_scene(sleep_and_say, (struct scene){.f = f, .name = "b", .until_ns = start + 40 * MS});
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), 0);
    assert_int_equal(join(f, c), 0);
    assert_record(f, "a b c");
}

static int say_thrice(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (self->i = 1; self->i < 3; self->i++) {
        record(self->f, "%s%d", self->name, self->i);
        if (self->i == 1)
            KOLK_STEP_SLEEP(&self->step, ret_value, self->delay_ns);
        else
            KOLK_STEP_AWAIT(&self->step, ret_value, NULL);
    }
    record(self->f, "%s%d", self->name, self->i);
    KOLK_STEP_END(&self->step);
}

/* A sleep of nothing, and awaiting nothing, let everyone else who is ready run once. */
static void waiting_for_nothing_lets_others_run(void **state) {
    struct fixture *f = *state;
    kolk_task *a = make_scene(say_thrice, (struct scene){.f = f, .name = "a"});
    kolk_task *b = make_scene(say_thrice, (struct scene){.f = f, .name = "b", .delay_ns = -1});
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), 0);
    assert_record(f, "a1 b1 a2 b2 a3 b3");
}

static int stop_in_the_middle(void *state, void **ret_value) {
    struct scene *self = state;
    kolk_stream *stream = NULL;
    (void)ret_value;
    record(self->f, "%s", kolk_status_name(kolk_await(self->future, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_sleep(MS)));
    record(self->f, "%s", kolk_status_name(kolk_yield(NULL, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_open_connection("127.0.0.1", 9, NULL, &stream, NULL)));
    record(self->f, "%s", kolk_task_name(kolk_task_current()));
    return 0;
}

/* It has no stack to stop on in the middle of a function. */
static void it_stops_by_returning_only(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task_options options = {.size = sizeof options, .name = "stepper"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, stop_in_the_middle, &scene, sizeof scene, NULL, &options, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK stepper");
    kolk_future_unref(scene.future);
}

/* ---- Cancelling ---- */

/* Cancelling cancels what is awaited, and the wait says so. */
static void cancelling_reaches_what_is_awaited(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "a(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(future), 1);
    kolk_future_unref(future);
}

static int swallow(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_SLEEP(&self->step, ret_value, 1000 * SECOND);
    record_status(self);
    KOLK_STEP_SLEEP(&self->step, ret_value, MS);
    record_status(self);
    *ret_value = "tea";
    KOLK_STEP_END(&self->step);
}

/* A cancellation is delivered once; a task that carries on, carries on. */
static void a_task_may_swallow_a_cancellation(void **state) {
    struct fixture *f = *state;
    kolk_task *task = make_scene(swallow, (struct scene){.f = f, .name = "a"});
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a(KOLK_ECANCELED) a()");
}

static int cancel_oneself(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record(self->f, "%d", kolk_task_cancel(kolk_task_current()));
    KOLK_STEP_SLEEP(&self->step, ret_value, MS);
    record_status(self);
    KOLK_STEP_SLEEP(&self->step, ret_value, MS);
    record_status(self);
    return KOLK_ECANCELED;
    KOLK_STEP_END(&self->step);
}

/* A task may cancel itself: it is told at its next wait. */
static void a_task_may_cancel_itself(void **state) {
    struct fixture *f = *state;
    assert_int_equal(join(f, make_scene(cancel_oneself, (struct scene){.f = f, .name = "a"})), KOLK_ECANCELED);
    assert_record(f, "1 a(KOLK_ECANCELED) a()");
}

/* Closing the loop ends parked tasks, with their clean-up. */
static void closing_the_loop_ends_parked_tasks(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_scene(await_it, (struct scene){.f = f, .name = "a", .future = future});
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "a(KOLK_ECANCELED)");
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    kolk_task_unref(task);
    kolk_future_unref(future);
}

/* ---- Sub-steps ---- */

/* What a sub-step needs stands in its state, which its caller fills in before the first call. */
struct inner {
    kolk_step step;
    struct fixture *f;
    kolk_future *future;
    int swallows;
};

struct middle {
    kolk_step step;
    struct inner inner;
};

struct outer {
    kolk_step step;
    struct fixture *f;
    kolk_future *future;
    int swallows;
    int times;
    struct middle middle;
};

static int inner_step(void *state, void **ret_value) {
    struct inner *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record(self->f, "inner");
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    record(self->f, "inner(%s)", kolk_status_name(self->step.status));
    if (self->step.status < 0 && !self->swallows)
        return self->step.status;
    *ret_value = self->step.status < 0 ? "swallowed" : kolk_step_result(&self->step);
    KOLK_STEP_END(&self->step);
}

static int middle_step(void *state, void **ret_value) {
    struct middle *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record(self->inner.f, "middle");
    KOLK_STEP_CALL(&self->step, ret_value, inner_step, &self->inner);
    record(self->inner.f, "middle(%s)", kolk_status_name(self->step.status));
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

static int outer_step(void *state, void **ret_value) {
    struct outer *self = state;
    KOLK_STEP_BEGIN(&self->step);
    self->middle.inner = (struct inner){.f = self->f, .future = self->future, .swallows = self->swallows};
    for (; self->times > 0; self->times--) {
        KOLK_STEP_CALL(&self->step, ret_value, middle_step, &self->middle);
        record(self->f, "outer(%s)", self->step.status < 0 ? kolk_status_name(self->step.status) : (char *)*ret_value);
        if (self->step.status < 0)
            return self->step.status;
    }
    KOLK_STEP_END(&self->step);
}

static kolk_task *make_outer(struct fixture *f, struct outer outer) {
    outer.f = f;
    return make_task(f, outer_step, &outer, sizeof outer);
}

/* Step functions call others, which wait; what the innermost returns goes up, and each begins anew when called again. */
static void steps_call_steps(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_outer(f, (struct outer){.future = future, .times = 2});
    drive_once(f);
    assert_record(f, "middle inner");
    assert_int_equal(kolk_future_set_result(future, "tea", NULL), 0);
    void *result = NULL;
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "middle inner inner(KOLK_OK) middle(KOLK_OK) outer(tea) "
                     "middle inner inner(KOLK_OK) middle(KOLK_OK) outer(tea)");
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    kolk_task_unref(task);
    kolk_future_unref(future);
}

/* A cancellation reaches the innermost of three first, and comes up level by level. */
static void cancelling_reaches_the_innermost_step(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_outer(f, (struct outer){.future = future, .times = 1});
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "middle inner inner(KOLK_ECANCELED) middle(KOLK_ECANCELED) outer(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(future), 1);
    kolk_future_unref(future);
}

/* A step that swallows the cancellation spares those above. */
static void a_step_may_swallow_a_cancellation(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_outer(f, (struct outer){.future = future, .times = 1, .swallows = 1});
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "middle inner inner(KOLK_ECANCELED) middle(KOLK_OK) outer(swallowed)");
    kolk_future_unref(future);
}

/* A failure of the innermost comes up with its words. */
static void the_words_of_a_sub_step_are_kept(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_error *error = NULL;
    kolk_task *task = make_outer(f, (struct outer){.future = future, .times = 1});
    drive_once(f);
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    assert_int_equal(kolk_future_set_error(future, error), 0);
    kolk_error_unref(error);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "port 81 refused");
    assert_record(f, "middle inner inner(KOLK_EREFUSED) middle(KOLK_EREFUSED) outer(KOLK_EREFUSED)");
    kolk_task_unref(task);
    kolk_future_unref(future);
}

/* What a sub-step held is given back when it has ended, not when its caller has. */
static void a_sub_step_that_has_ended_holds_nothing(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = make_outer(f, (struct outer){.future = future, .times = 1});
    drive_once(f);
    clear_record(f);
    assert_int_equal(kolk_future_set_result(future, word(f, "result"), unsay), 0);
    kolk_future_unref(future);
    drive_until(f, kolk_task_as_future(task));
    assert_non_null(strstr(f->record, "inner(KOLK_OK) ~result middle(KOLK_OK)"));
    kolk_task_unref(task);
}

/* ---- State ---- */

struct checked {
    kolk_step step;
    struct fixture *f;
    char text[16];
    unsigned misplaced;
};

static int check_state(void *state, void **ret_value) {
    struct checked *self = state;
    KOLK_STEP_BEGIN(&self->step);
    self->misplaced = (uintptr_t)state % 16;
    record(self->f, "%s %u", self->text, self->misplaced);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    record(self->f, "%s %u", self->text, (unsigned)((uintptr_t)state % 16));
    KOLK_STEP_END(&self->step);
}

static void record_checked(void *state) {
    struct checked *self = state;
    record(self->f, "~%s", self->text);
}

/* The state is copied, to memory aligned to 16 bytes; destroy gets the copy, once, when the task has ended. */
static void the_state_is_copied(void **state) {
    struct fixture *f = *state;
    struct checked checked = {.f = f, .text = "original"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, check_state, &checked, sizeof checked, record_checked, NULL, &task), 0);
    memcpy(checked.text, "changed!", 8);
    drive_until(f, kolk_task_as_future(task));
    drive_during(f, MS);
    assert_record(f, "original 0 original 0 ~original");
    kolk_task_unref(task);
    assert_record(f, "original 0 original 0 ~original");
}

/* A task that never runs destroys its state as well; so does one that is ended by its loop. */
static void the_state_is_destroyed_once(void **state) {
    struct fixture *f = *state;
    struct checked cancelled = {.f = f, .text = "cancelled"}, left = {.f = f, .text = "left"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, check_state, &cancelled, sizeof cancelled, record_checked, NULL, &task), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "~cancelled");
    assert_int_equal(kolk_create_step_task(f->loop, check_state, &left, sizeof left, record_checked, NULL, NULL), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "~cancelled ~left");
}

static void record_whose(void *state) {
    struct checked *self = state;
    record(self->f, "~%s %s", kolk_task_name(kolk_task_current()), kolk_status_name(kolk_sleep(0)));
}

/* That happens inside the task, where nothing can be waited for any more. */
static void the_state_is_destroyed_inside_its_task(void **state) {
    struct fixture *f = *state;
    struct checked checked = {.f = f, .text = "state"};
    kolk_task_options options = {.size = sizeof options, .name = "task"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, check_state, &checked, sizeof checked, record_whose, &options, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "state 0 state 0 ~task KOLK_ENOTASK");
}

/* What cannot be made is refused, and the state that was offered is destroyed. */
static void what_cannot_be_made_is_refused(void **state) {
    struct fixture *f = *state;
    struct {
        kolk_step step;
        char more[16 * 1024];
    } *large = calloc(1, sizeof *large);
    kolk_task_options wrong = {.size = 1};
    kolk_task *task = NULL;
    kolk_coroutine *coroutine = NULL;
    int destroyed = 0; /* Stands for a state: one that is refused is destroyed, and not looked at. */
    assert_int_equal(kolk_create_step_task(NULL, return_tea, &destroyed, sizeof(struct scene), count_destroy, NULL, &task),
                     KOLK_EINVAL);
    assert_int_equal(kolk_create_step_task(f->loop, NULL, &destroyed, sizeof(struct scene), count_destroy, NULL, &task),
                     KOLK_EINVAL);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, &destroyed, sizeof(kolk_step) - 1, count_destroy, NULL, &task),
                     KOLK_EINVAL);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, &destroyed, LARGEST_STATE + 1, count_destroy, NULL, &task),
                     KOLK_ELIMIT);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, &destroyed, SIZE_MAX, count_destroy, NULL, &task), KOLK_ELIMIT);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, &destroyed, sizeof(struct scene), count_destroy, &wrong, &task),
                     KOLK_EINVAL);
    assert_int_equal(kolk_step_coroutine_new(f->loop, NULL, &destroyed, sizeof(struct scene), count_destroy, &coroutine),
                     KOLK_EINVAL);
    assert_int_equal(kolk_step_coroutine_new(f->loop, return_tea, &destroyed, sizeof(struct scene), count_destroy, NULL),
                     KOLK_EINVAL);
    assert_int_equal(kolk_step_coroutine_new(f->loop, return_tea, &destroyed, SIZE_MAX, count_destroy, &coroutine),
                     KOLK_ELIMIT);
    assert_int_equal(destroyed, 9);
    failing_allocator_arm(&f->memory, 1, 1);
    int first = kolk_create_step_task(f->loop, return_tea, large, sizeof *large, NULL, NULL, &task);
    int second = kolk_step_coroutine_new(f->loop, return_tea, large, sizeof *large, NULL, &coroutine);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(first, KOLK_ENOMEM);
    assert_int_equal(second, KOLK_ENOMEM);
    assert_int_equal(kolk_create_step_task(f->loop, NULL, NULL, sizeof(struct scene), NULL, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, NULL, sizeof(struct scene), NULL, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_create_step_task(f->loop, return_tea, &destroyed, sizeof(struct scene), count_destroy, NULL, &task),
                     KOLK_ECLOSED);
    assert_int_equal(destroyed, 10);
    assert_null(task);
    assert_null(coroutine);
    free(large);
}

struct large {
    kolk_step step;
    struct fixture *f;
    unsigned char bytes[LARGEST_STATE - sizeof(kolk_step) - sizeof(void *)];
};

static int add_bytes(void *state, void **ret_value) {
    struct large *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (size_t i = 0; i < sizeof self->bytes; i++)
        self->bytes[i] = (unsigned char)(self->bytes[i] + i);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    uintptr_t sum = 0;
    for (size_t i = 0; i < sizeof self->bytes; i++)
        sum += self->bytes[i] == (unsigned char)(7 + i);
    *ret_value = (void *)sum;
    KOLK_STEP_END(&self->step);
}

/* A state may have 64 KiB. */
static void a_state_may_be_as_large_as_promised(void **state) {
    struct fixture *f = *state;
    struct large *large = calloc(1, sizeof *large);
    void *sum = NULL;
    large->f = f;
    memset(large->bytes, 7, sizeof large->bytes);
    kolk_task *task = make_task(f, add_bytes, large, sizeof *large);
    free(large);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, &sum), 0);
    assert_int_equal((uintptr_t)sum, sizeof large->bytes);
    kolk_task_unref(task);
}

/* ---- What a task costs ---- */

enum { MANY = 1000, PARKED_LIMIT = 200 };

struct small {
    kolk_step step;
    kolk_future *future;
};

static int await_small(void *state, void **ret_value) {
    struct small *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    KOLK_STEP_AWAIT(&self->step, ret_value, NULL);
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

static void park_many(struct fixture *f, kolk_future *future) {
    struct small small = {.future = future};
    for (int i = 0; i < MANY; i++)
        assert_int_equal(kolk_create_step_task(f->loop, await_small, &small, sizeof small, NULL, NULL, NULL), 0);
    drive_once(f);
}

/* A parked task with 8 bytes of its own takes 200 bytes at most; while it waits and when it goes on nothing is allocated, and
 * those that come later take no more than those before. */
static void a_parked_task_takes_200_bytes(void **state) {
    struct fixture *f = *state;
    size_t before = failing_allocator_live_bytes(&f->memory), after = 0;
    for (int wave = 0; wave < 3; wave++) {
        kolk_future *future = new_future(f);
        park_many(f, future);
        if (wave == 0)
            assert_in_range((failing_allocator_live_bytes(&f->memory) - before) / MANY, sizeof(struct small), PARKED_LIMIT);
        failing_allocator_arm(&f->memory, 0, 0);
        assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
        drive_once(f);
        drive_once(f);
        assert_int_equal(failing_allocator_disarm(&f->memory), 0);
        kolk_future_unref(future);
        if (wave == 0)
            after = failing_allocator_live_bytes(&f->memory);
        assert_int_equal(failing_allocator_live_bytes(&f->memory), after);
    }
    assert_true(f->memory.peak_bytes - before <= (MANY + 16) * PARKED_LIMIT);
}

/* ---- As a coroutine ---- */

struct multiples {
    kolk_step step;
    struct fixture *f;
    intptr_t n;
    intptr_t multiply_by;
};

static int generate_multiples(void *state, void **ret_value) {
    struct multiples *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (;;) {
        self->n *= self->multiply_by;
        KOLK_STEP_YIELD(&self->step, ret_value, (void *)self->n);
        if (self->step.status == KOLK_ECANCELED)
            return self->step.status;
        if (self->step.status < 0)
            record(self->f, "Something went wrong: %s", kolk_error_message(kolk_raised()));
        else if (*ret_value)
            self->multiply_by = (intptr_t)*ret_value;
    }
    KOLK_STEP_END(&self->step);
}

/* Values go in with send() and errors with throw(), and both come out at the yield: 2, 6, 18, 54. */
static void values_and_errors_are_sent_in(void **state) {
    struct fixture *f = *state;
    struct multiples multiples = {.f = f, .n = 1, .multiply_by = 2};
    kolk_coroutine *g = NULL;
    kolk_error *error = NULL;
    void *value = NULL;
    assert_int_equal(kolk_step_coroutine_new(f->loop, generate_multiples, &multiples, sizeof multiples, NULL, &g), 0);
    assert_int_equal(kolk_coroutine_get_state(g), KOLK_COROUTINE_CREATED);
    assert_int_equal(kolk_coroutine_next(g, &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, 2);
    assert_int_equal(kolk_coroutine_send(g, (void *)(intptr_t)3, &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, 6);
    assert_int_equal(kolk_coroutine_next(g, &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, 18);
    assert_int_equal(kolk_error_new(KOLK_EINVAL, "Stop it already!", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_throw(g, error, &value), KOLK_COROUTINE_YIELDED);
    kolk_error_unref(error);
    assert_int_equal((intptr_t)value, 54);
    assert_record(f, "Something went wrong: Stop it already!");
    assert_int_equal(kolk_coroutine_close(g), 0);
    assert_int_equal(kolk_coroutine_get_state(g), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(g);
}

struct two_values {
    kolk_step step;
    struct fixture *f;
};

struct nested {
    kolk_step step;
    struct two_values inner;
};

static int two_values(void *state, void **ret_value) {
    struct two_values *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_YIELD(&self->step, ret_value, "one");
    if (self->step.status < 0)
        return self->step.status;
    record(self->f, "sent(%s)", (char *)*ret_value);
    KOLK_STEP_YIELD(&self->step, ret_value, "two");
    if (self->step.status < 0)
        return self->step.status;
    *ret_value = "inner end";
    KOLK_STEP_END(&self->step);
}

static int call_two_values(void *state, void **ret_value) {
    struct nested *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_CALL(&self->step, ret_value, two_values, &self->inner);
    record(self->inner.f, "called(%s)", self->step.status < 0 ? kolk_status_name(self->step.status) : (char *)*ret_value);
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_YIELD(&self->step, ret_value, "three");
    if (self->step.status < 0)
        return self->step.status;
    *ret_value = "end";
    KOLK_STEP_END(&self->step);
}

/* What a called step yields, and what is sent, passes through who called it; so does the end. */
static void values_pass_through_who_called(void **state) {
    struct fixture *f = *state;
    struct nested nested = {.inner = {.f = f}};
    static const char *const expected[] = {"one", "two", "three"};
    for (int closed_after = 1; closed_after <= 3; closed_after++) {
        kolk_coroutine *g = NULL;
        clear_record(f);
        assert_int_equal(kolk_step_coroutine_new(f->loop, call_two_values, &nested, sizeof nested, NULL, &g), 0);
        for (int i = 0; i < closed_after; i++) {
            void *value = NULL;
            assert_int_equal(kolk_coroutine_send(g, i == 1 ? "tea" : NULL, &value), KOLK_COROUTINE_YIELDED);
            assert_string_equal(value, expected[i]);
        }
        assert_int_equal(kolk_coroutine_close(g), 0);
        assert_record(f, closed_after == 1   ? "called(KOLK_ECANCELED)"
                         : closed_after == 2 ? "sent(tea) called(KOLK_ECANCELED)"
                                             : "sent(tea) called(inner end)");
        kolk_coroutine_unref(g);
    }
}

static int yield_once(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_YIELD(&self->step, ret_value, "for nobody");
    record_status(self);
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* What a step task yields is refused: nobody is there to take it. */
static void a_task_cannot_yield(void **state) {
    struct fixture *f = *state;
    assert_int_equal(join(f, make_scene(yield_once, (struct scene){.f = f, .name = "a"})), KOLK_EYIELD);
    assert_record(f, "a(KOLK_EYIELD)");
}

/* A coroutine that awaits says so to whoever drives it, and gets the result when it is resumed after that. */
static void awaiting_is_told_to_whoever_drives(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_coroutine *self = make_coroutine(await_it, (struct scene){.f = f, .name = "a", .future = future});
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_AWAITING);
    assert_ptr_equal(value, future);
    assert_int_equal(kolk_future_set_result(future, "tea", NULL), 0);
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "tea");
    assert_record(f, "a(tea)");
    kolk_coroutine_unref(self);
    kolk_future_unref(future);
}

/* The state of a coroutine is destroyed when it is gone, after its clean-up. */
static void the_state_of_a_coroutine_is_destroyed_when_it_is_gone(void **state) {
    struct fixture *f = *state;
    struct checked checked = {.f = f, .text = "state"};
    kolk_coroutine *self = NULL;
    assert_int_equal(kolk_step_coroutine_new(f->loop, check_state, &checked, sizeof checked, record_checked, &self), 0);
    assert_int_equal(kolk_coroutine_close(self), 0);
    kolk_coroutine_unref(self);
    assert_record(f, "~state");
}

/* ---- The functions behind the macros ---- */

struct plain {
    kolk_step step;
    struct fixture *f;
    kolk_future *future;
    struct scene sub;
};

static int plain_sub_step(void *state, void **ret_value) {
    struct scene *self = state;
    if (self->step.at == 0) {
        self->step.at = 1;
        if (kolk_step_sleep(&self->step, 0, ret_value) != 0)
            return KOLK_COROUTINE_AWAITING;
    }
    *ret_value = "sub end";
    return kolk_step_resumed(&self->step);
}

/* The same as with the macros, by hand: awaits a future, sleeps, calls another, and yields nothing. */
static int plain_step(void *state, void **ret_value) {
    struct plain *self = state;
    int how = 0;
    switch (self->step.at) {
    case 0:
        self->step.at = 1;
        if (kolk_step_await(&self->step, 0, kolk_future_ref(self->future), ret_value) != 0)
            return KOLK_COROUTINE_AWAITING;
        /* fall through */
    case 1:
        how = kolk_step_resumed(&self->step);
        record(self->f, "%s %s", kolk_status_name(how), (char *)kolk_step_result(&self->step));
        if (how < 0)
            return how;
        self->step.at = 2;
        if (kolk_step_sleep(&self->step, MS, ret_value) != 0)
            return KOLK_COROUTINE_AWAITING;
        /* fall through */
    case 2:
        how = kolk_step_resumed(&self->step);
        record(self->f, "%s", kolk_status_name(how));
        self->step.at = 3;
        /* fall through */
    case 3:
        how = kolk_step_call(&self->step, plain_sub_step, &self->sub, ret_value);
        if (how != 0)
            return how;
        record(self->f, "%s %s", kolk_status_name(self->step.status), (char *)*ret_value);
        return self->step.status < 0 ? self->step.status : (int)KOLK_COROUTINE_RETURNED;
    default:
        return KOLK_EINVAL;
    }
}

/* Each macro has a function behind it, for who would rather write the switch. */
static void the_macros_can_be_done_without(void **state) {
    struct fixture *f = *state;
    struct plain plain = {.f = f, .future = new_future(f)};
    kolk_task *task = make_task(f, plain_step, &plain, sizeof plain);
    void *result = NULL;
    drive_once(f);
    assert_int_equal(kolk_future_set_result(plain.future, "milk", NULL), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "KOLK_OK milk KOLK_OK KOLK_OK sub end");
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "sub end");
    kolk_task_unref(task);
    kolk_future_unref(plain.future);
}

static int await_once(void *state, void **ret_value) {
    struct scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, self->future);
    record(self->f, "%s", kolk_status_name(self->step.status));
    KOLK_STEP_END(&self->step);
}

/* A step function can be called by hand, by who does what a task does: wait until the future is done, and call again. */
static void a_step_function_can_be_called_by_hand(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    void *value = NULL;
    assert_int_equal(await_once(&scene, &value), KOLK_COROUTINE_AWAITING);
    assert_ptr_equal(value, scene.future);
    assert_int_equal(kolk_future_set_result(scene.future, word(f, "result"), unsay), 0);
    value = NULL;
    assert_int_equal(await_once(&scene, &value), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_OK");
    kolk_step_clear(&scene.step);
    assert_record(f, "KOLK_OK ~result");
    assert_null(scene.step.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_task_starts_on_the_next_turn),
        RULE(awaiting_gives_the_outcome),
        RULE(a_future_that_is_done_is_not_waited_for),
        RULE(the_words_of_an_awaited_error_are_kept),
        RULE(the_words_of_a_cancellation_are_kept),
        RULE(a_failure_has_a_status_and_words),
        RULE(what_could_not_be_made_is_an_outcome),
        RULE(a_sleep_without_memory_is_an_outcome),
        RULE(a_future_is_given_away),
        RULE(sleepers_wake_in_the_order_of_their_deadlines),
        RULE(waiting_for_nothing_lets_others_run),
        RULE(it_stops_by_returning_only),
        RULE(cancelling_reaches_what_is_awaited),
        RULE(a_task_may_swallow_a_cancellation),
        RULE(a_task_may_cancel_itself),
        RULE(closing_the_loop_ends_parked_tasks),
        RULE(steps_call_steps),
        RULE(cancelling_reaches_the_innermost_step),
        RULE(a_step_may_swallow_a_cancellation),
        RULE(the_words_of_a_sub_step_are_kept),
        RULE(a_sub_step_that_has_ended_holds_nothing),
        RULE(the_state_is_copied),
        RULE(the_state_is_destroyed_once),
        RULE(the_state_is_destroyed_inside_its_task),
        RULE(what_cannot_be_made_is_refused),
        RULE(a_state_may_be_as_large_as_promised),
        RULE(a_parked_task_takes_200_bytes),
        RULE(a_task_cannot_yield),
        RULE(the_macros_can_be_done_without),
    };
    static const struct rule plain[] = {
        RULE(values_and_errors_are_sent_in),         RULE(values_pass_through_who_called),
        RULE(awaiting_is_told_to_whoever_drives),    RULE(the_state_of_a_coroutine_is_destroyed_when_it_is_gone),
        RULE(a_step_function_can_be_called_by_hand),
    };
    return run_matrix("step", matrix, COUNT(matrix)) + run_plain("step coroutines", plain, COUNT(plain));
}
