/* Running a main task from beginning to end, tasks of coroutines that exist already, and ending all that are left. */
#include "support/driver.h"
#include "support/simulation.h"

#include <stdio.h>
#include <stdlib.h>

struct scene {
    struct fixture *f;
    const char *name;
    kolk_future *future;
    kolk_task *task;
};

/* ---- kolk_run ---- */

static int return_tea(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = "tea";
    return 0;
}

static int fail_with_words(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    return kolk_raise(error);
}

/* The result of the main task is what it returned; there is no error then. */
static void the_result_comes_out(void **state) {
    (void)state;
    void *result = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(return_tea, NULL, &result, &error), 0);
    assert_string_equal(result, "tea");
    assert_null(error);
    assert_int_equal(kolk_run(return_tea, NULL, NULL, NULL), 0);
    assert_null(kolk_loop_current());
}

/* Its failure comes out as status and words, which outlive the loop; the result is left alone. */
static void the_error_comes_out(void **state) {
    (void)state;
    void *result = "untouched";
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(fail_with_words, NULL, &result, &error), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(error), "port 81 refused");
    assert_string_equal(result, "untouched");
    kolk_error_unref(error);
    assert_int_equal(kolk_run(fail_with_words, NULL, NULL, NULL), KOLK_EREFUSED);
}

static int cancel_oneself(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_task_cancel_with(kolk_task_current(), "enough of this");
    return kolk_sleep(1000 * SECOND);
}

/* A main task that is cancelled says so, with the words of the request. */
static void a_cancelled_main_task_says_so(void **state) {
    (void)state;
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(cancel_oneself, NULL, NULL, &error), KOLK_ECANCELED);
    assert_int_equal(kolk_error_status(error), KOLK_ECANCELED);
    assert_string_equal(kolk_error_message(error), "enough of this");
    kolk_error_unref(error);
}

static int record_where(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record(self->f, "%d", kolk_loop_time(kolk_loop_current()) == SECOND);
    int status = kolk_sleep(5 * SECOND);
    record(self->f, "%d", kolk_loop_time(kolk_loop_current()) == 6 * SECOND);
    return status;
}

/* The loop is made as the options say: here, in a simulation, with memory that is given back to the last byte. */
static void run_with_makes_the_loop_of_ones_choice(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    struct simulation simulation = {.now_ns = SECOND};
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    kolk_loop_options options = simulation_options(&simulation);
    options.allocator = &memory.hook;
    assert_int_equal(kolk_run_with(&options, record_where, &scene, NULL, NULL), 0);
    assert_record(f, "1 1");
    assert_true(failing_allocator_disarm(&memory) > 0);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
    assert_int_equal(failing_allocator_mistakes(&memory), 0);
}

/* Without options it is kolk_run. */
static void run_with_no_options_is_run(void **state) {
    (void)state;
    void *result = NULL;
    assert_int_equal(kolk_run_with(NULL, return_tea, NULL, &result, NULL), 0);
    assert_string_equal(result, "tea");
    assert_int_equal(kolk_run_with(NULL, NULL, NULL, NULL, NULL), KOLK_EINVAL);
}

/* A loop that cannot be made is a failure as any other, and nothing runs. */
static void a_loop_that_cannot_be_made_is_told(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_error *error = NULL;
    kolk_loop_options unknown = {.size = sizeof unknown, .reactor = "no such reactor"}, wrong = {.size = 1};
    kolk_loop *loop = NULL;
    int expected = kolk_loop_new(&unknown, &loop, NULL);
    assert_true(expected < 0);
    assert_int_equal(kolk_run_with(&unknown, record_where, &scene, NULL, &error), expected);
    assert_int_equal(kolk_error_status(error), expected);
    kolk_error_unref(error);
    assert_int_equal(kolk_run_with(&wrong, record_where, &scene, NULL, NULL), KOLK_EINVAL);
    assert_record(f, "");
}

/* At whichever allocation memory is gone, that is told, and nothing is left behind. */
static void running_out_of_memory_is_told(void **state) {
    (void)state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    kolk_loop_options options = {.size = sizeof options, .allocator = &memory.hook};
    int status = KOLK_ENOMEM;
    for (size_t n = 1; status == KOLK_ENOMEM; n++) {
        assert_true(n < 1000);
        failing_allocator_arm(&memory, n, 1);
        status = kolk_run_with(&options, return_tea, NULL, NULL, NULL);
        assert_true(status == 0 || (status == KOLK_ENOMEM && memory.failures > 0));
        failing_allocator_disarm(&memory);
        assert_int_equal(failing_allocator_live_blocks(&memory), 0);
    }
    assert_int_equal(status, 0);
}

static int run_inside(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_error *error = NULL;
    (void)ret_result;
    record(self->f, "%s", kolk_status_name(kolk_run(return_tea, NULL, NULL, &error)));
    record(self->f, "%s", kolk_status_name(kolk_error_status(error)));
    kolk_error_unref(error);
    record(self->f, "%s", kolk_status_name(kolk_run_with(NULL, return_tea, NULL, NULL, NULL)));
    return 0;
}

/* A thread runs one at a time. */
static void running_inside_of_a_loop_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, run_inside, &scene), 0);
    assert_record(f, "KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY");
}

static int park_and_clean_up(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    int cleaned = kolk_sleep(2 * MS);
    record(self->f, "%s(%s)", self->name, kolk_status_name(cleaned));
    return status;
}

static int leave_some_over(void *userdata, void **ret_result) {
    struct scene *scenes = userdata;
    kolk_loop *loop = kolk_loop_current();
    (void)ret_result;
    kolk_create_task(loop, park_and_clean_up, &scenes[0], NULL, NULL, NULL);
    kolk_sleep(0);
    kolk_create_task(loop, park_and_clean_up, &scenes[1], NULL, NULL, NULL);
    return 0;
}

/* What the main task leaves over is cancelled; clean-up may wait, and is waited for. What was ready to start when the main
 * task ended does start, as in asyncio. */
static void leftovers_are_seen_to_their_end(void **state) {
    struct fixture *f = *state;
    struct scene scenes[] = {{.f = f, .name = "parked"}, {.f = f, .name = "fresh"}};
    assert_int_equal(kolk_run(leave_some_over, scenes, NULL, NULL), 0);
    assert_record(f, "parked(KOLK_ECANCELED) fresh(KOLK_ECANCELED) parked(KOLK_OK) fresh(KOLK_OK)");
}

static int make_block(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = strdup("a block");
    return 0;
}

/* A result that the caller takes is the caller's. */
static void the_result_outlives_the_loop(void **state) {
    (void)state;
    void *result = NULL;
    assert_int_equal(kolk_run(make_block, NULL, &result, NULL), 0);
    assert_string_equal(result, "a block");
    free(result);
}

/* ---- kolk_loop_cancel_all ---- */

/* All tasks are cancelled, and what they await while they clean up is waited for; the loop stays open. */
static void cancelling_all_waits_for_their_clean_up(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"}, b = {.f = f, .name = "b"};
    kolk_task *first = spawn_with(f, park_and_clean_up, &a), *second = spawn_with(f, park_and_clean_up, &b);
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_record(f, "a(KOLK_ECANCELED) b(KOLK_ECANCELED) a(KOLK_OK) b(KOLK_OK)");
    assert_int_equal(kolk_task_result(first, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_task_result(second, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    kolk_task_unref(first);
    kolk_task_unref(second);
    void *result = NULL;
    kolk_task *third = spawn(f, return_tea);
    drive_until(f, kolk_task_as_future(third));
    assert_int_equal(kolk_task_result(third, &result), 0);
    assert_string_equal(result, "tea");
    kolk_task_unref(third);
}

/* Tasks that never started never run, and without any nothing happens. */
static void cancelling_all_may_find_nothing_to_do(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"};
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "callback"), NULL, NULL), 0);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    kolk_task *task = spawn_with(f, park_and_clean_up, &a);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_null(strstr(f->record, "a("));
    kolk_task_unref(task);
    drive_during(f, MS);
    assert_record(f, "callback");
}

static int swallow_and_sleep(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_sleep(1000 * SECOND);
    int status = kolk_sleep(2 * MS);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    *ret_result = "all the same";
    return status;
}

/* A task that swallows the request is told once, and waited for until it has ended in its own way. */
static void a_task_that_goes_on_is_waited_for(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"};
    kolk_task *task = spawn_with(f, swallow_and_sleep, &a);
    void *result = NULL;
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "all the same");
    assert_record(f, "a(KOLK_OK)");
    kolk_task_unref(task);
}

static int say_and_sleep(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record(self->f, "made");
    int status = kolk_sleep(MS);
    record(self->f, "made(%s)", kolk_status_name(status));
    return status;
}

static int make_another(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task *made = NULL;
    int status = kolk_sleep(1000 * SECOND);
    kolk_create_task(kolk_loop_current(), say_and_sleep, self, NULL, NULL, &made);
    record(self->f, "%s(%s)", self->name, kolk_status_name(kolk_await(kolk_task_as_future(made), NULL)));
    kolk_task_unref(made);
    return status;
}

/* Clean-up may make tasks and await them. */
static void a_clean_up_may_make_tasks(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"};
    kolk_task *task = spawn_with(f, make_another, &a);
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_record(f, "made made(KOLK_OK) a(KOLK_OK)");
    assert_int_equal(join(f, task), KOLK_ECANCELED);
}

static int fail_in_clean_up(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_sleep(1000 * SECOND);
    return KOLK_EIO;
}

/* A clean-up that fails is reported, if nobody holds the task. */
static void a_failing_clean_up_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_task_unref(spawn(f, fail_in_clean_up));
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_record(f, "unhandled(KOLK_EIO)");
}

static int clean_up_and_drop_the_loop(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    self->f->loop = kolk_loop_unref(self->f->loop);
    return status;
}

/* Whoever cleans up may drop the last reference to the loop, which is closed when the turn has ended. */
static void cancelling_all_survives_who_drops_the_loop(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"};
    assert_int_equal(kolk_create_task(f->loop, clean_up_and_drop_the_loop, &a, NULL, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_null(f->loop);
    assert_record(f, "a(KOLK_ECANCELED)");
}

static void try_to_close(void *userdata) {
    struct fixture *f = userdata;
    record(f, "close(%s)", kolk_status_name(kolk_loop_close(f->loop)));
}

static int await_behind_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *inner = NULL, *shield = NULL;
    kolk_future_new(self->f->loop, &inner);
    kolk_future_set_datum(inner, self->f, try_to_close);
    kolk_shield(inner, &shield);
    kolk_future_unref(inner);
    int status = kolk_await(shield, NULL);
    kolk_future_unref(shield);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    return status;
}

/* What the requests destroy cannot close the loop among them: every task is seen to its end. */
static void cancelling_all_survives_who_closes_the_loop(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"}, b = {.f = f, .name = "b"};
    assert_int_equal(kolk_create_task(f->loop, await_behind_a_shield, &a, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_create_task(f->loop, await_behind_a_shield, &b, NULL, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_cancel_all(f->loop), 0);
    assert_record(f, "close(KOLK_EBUSY) close(KOLK_EBUSY) a(KOLK_ECANCELED) b(KOLK_ECANCELED)");
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
}

static void cancel_all_inside(void *userdata) {
    struct fixture *f = userdata;
    record(f, "%s", kolk_status_name(kolk_loop_cancel_all(f->loop)));
}

/* Inside the loop nobody can wait for all to end; without a loop there is none; a closed one has none. */
static void cancelling_all_from_inside_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"};
    kolk_task *task = spawn_with(f, park_and_clean_up, &a);
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_all_inside, f, NULL, NULL), 0);
    drive_once(f);
    assert_record(f, "KOLK_EBUSY");
    assert_int_equal(kolk_task_cancelling(task), 0);
    assert_int_equal(kolk_loop_cancel_all(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_cancel_all(f->loop), KOLK_ECLOSED);
    kolk_task_unref(task);
}

/* ---- kolk_create_task_of ---- */

static kolk_coroutine *make(struct fixture *f, kolk_coroutine_fn fn, void *userdata) {
    kolk_coroutine *made = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, fn, userdata, NULL, 0, &made), 0);
    return made;
}

static int record_task(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    record(f, "%s %d", kolk_task_name(kolk_task_current()), kolk_coroutine_current() != NULL);
    int status = kolk_sleep(MS);
    *ret_result = "tea";
    return status;
}

/* A task drives a coroutine that exists already, keeps it alive, and takes its name over. */
static void a_task_drives_a_coroutine(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *coroutine = make(f, record_task, f);
    kolk_task *task = NULL;
    void *result = NULL;
    assert_int_equal(kolk_coroutine_set_name(coroutine, "co_1"), 0);
    assert_string_equal(kolk_coroutine_name(coroutine), "co_1");
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), 0);
    assert_string_equal(kolk_task_name(task), "co_1");
    kolk_coroutine_unref(coroutine);
    assert_record(f, "");
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "co_1 1");
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    kolk_task_unref(task);
}

/* From then on nobody else can resume it, nor make another task of it; it can be looked at. */
static void a_coroutine_that_a_task_drives_is_busy(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *coroutine = make(f, record_task, f);
    kolk_task *task = NULL, *second = NULL;
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), 0);
    for (int started = 0; started < 2; started++) {
        assert_int_equal(kolk_create_task_of(coroutine, NULL, &second), KOLK_EBUSY);
        assert_int_equal(kolk_coroutine_next(coroutine, NULL), KOLK_EBUSY);
        assert_int_equal(kolk_coroutine_throw(coroutine, kolk_error_of(KOLK_EIO), NULL), KOLK_EBUSY);
        assert_int_equal(kolk_coroutine_close(coroutine), KOLK_EBUSY);
        drive_once(f);
    }
    assert_null(second);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(kolk_coroutine_get_state(coroutine), KOLK_COROUTINE_CLOSED);
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &second), KOLK_EEXITED);
    kolk_coroutine_unref(coroutine);
}

static int yield_once(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return kolk_yield("a value", NULL);
}

/* One that was started, one that has ended, and none at all are refused. */
static void only_a_fresh_coroutine_becomes_a_task(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *coroutine = make(f, yield_once, NULL);
    kolk_task *task = NULL;
    assert_int_equal(kolk_coroutine_next(coroutine, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), KOLK_EBUSY);
    assert_int_equal(kolk_coroutine_close(coroutine), 0);
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), KOLK_EEXITED);
    assert_int_equal(kolk_create_task_of(NULL, NULL, &task), KOLK_EINVAL);
    assert_null(task);
    kolk_coroutine_unref(coroutine);
}

/* One that cannot become a task stays as it was, and can be driven otherwise. */
static void a_coroutine_that_becomes_no_task_stays_fresh(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *coroutine = make(f, yield_once, NULL);
    kolk_task_options wrong = {.size = 1};
    kolk_task *task = NULL;
    void *value = NULL;
    assert_int_equal(kolk_create_task_of(coroutine, &wrong, &task), KOLK_EINVAL);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_create_task_of(coroutine, NULL, &task);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_null(task);
    assert_int_equal(kolk_coroutine_get_state(coroutine), KOLK_COROUTINE_CREATED);
    assert_int_equal(kolk_coroutine_next(coroutine, &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "a value");
    kolk_coroutine_unref(coroutine);
}

/* A name takes memory as well: at whichever allocation it fails, there is no task, and the coroutine runs later. */
static void a_named_coroutine_that_becomes_no_task_stays_fresh(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *coroutine = make(f, record_task, f);
    kolk_task *task = NULL;
    assert_int_equal(kolk_coroutine_set_name(coroutine, "named"), 0);
    /* Backwards, as memory that was got before a failure is kept for the next attempt. */
    for (size_t n = 3; !task && n-- > 0;) {
        failing_allocator_arm(&f->memory, n, 0);
        int status = kolk_create_task_of(coroutine, NULL, &task);
        failing_allocator_disarm(&f->memory);
        assert_int_equal(status, f->memory.failures ? KOLK_ENOMEM : 0);
        assert_int_equal(kolk_loop_all_tasks(f->loop, NULL, 0), task != NULL);
        assert_int_equal(kolk_coroutine_get_state(coroutine), KOLK_COROUTINE_CREATED);
        if (!task)
            drive_during(f, 0);
        assert_record(f, "");
    }
    assert_int_equal(join(f, task), 0);
    assert_record(f, "named 1");
    kolk_coroutine_unref(coroutine);
}

/* A task of a coroutine that is cancelled before its start never runs it; nobody complains that it was not started. */
static void a_coroutine_of_a_cancelled_task_never_runs(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_coroutine *coroutine = make(f, record_task, f);
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_int_equal(kolk_coroutine_get_state(coroutine), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(coroutine);
    assert_record(f, "");
}

/* ---- Never started ---- */

static void record_message(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    record(userdata, "[%s: %s]", kolk_status_name(kolk_error_status(error)), kolk_error_message(error));
}

/* A coroutine that is dropped without ever having been started is reported with its name: somebody forgot to await it. */
static void one_that_never_started_is_reported(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_message, f, NULL), 0);
    kolk_coroutine *forgotten = make(f, return_tea, NULL);
    assert_int_equal(kolk_coroutine_set_name(forgotten, "co_1"), 0);
    assert_null(kolk_coroutine_unref(forgotten));
    assert_non_null(strstr(f->record, "[KOLK_ENOTSTARTED: "));
    assert_non_null(strstr(f->record, "never started"));
    assert_non_null(strstr(f->record, "co_1"));
    clear_record(f);
    assert_null(kolk_coroutine_unref(make(f, return_tea, NULL)));
    assert_non_null(strstr(f->record, "never started"));
}

/* One that was closed, or has run, is nobody's fault. */
static void one_that_was_closed_is_not_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_coroutine *closed = make(f, return_tea, NULL), *ran = make(f, return_tea, NULL), *thrown = make(f, return_tea, NULL);
    assert_int_equal(kolk_coroutine_close(closed), 0);
    assert_int_equal(kolk_coroutine_next(ran, NULL), KOLK_COROUTINE_RETURNED);
    assert_int_equal(kolk_coroutine_throw(thrown, kolk_error_of(KOLK_EIO), NULL), KOLK_EIO);
    kolk_coroutine_unref(closed);
    kolk_coroutine_unref(ran);
    kolk_coroutine_unref(thrown);
    assert_record(f, "");
    assert_int_equal(f->unhandled, 0);
}

static int say_name(void *userdata, void **ret_result) {
    (void)ret_result;
    say(userdata);
    return 0;
}

static int forget_one(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    kolk_coroutine *co[3];
    static const char *const names[] = {"co_1", "co_2", "co_3"}, *const texts[] = {"in co_1", "in co_2", "in co_3"};
    (void)ret_result;
    for (size_t i = 0; i < COUNT(co); i++) {
        kolk_coroutine_new(f->loop, say_name, word(f, texts[i]), NULL, 0, &co[i]);
        kolk_coroutine_set_name(co[i], names[i]);
    }
    kolk_coroutine_unref(co[0]);
    int status = kolk_yield_from(co[1], NULL);
    record(f, "in main");
    kolk_task *task = NULL;
    kolk_create_task_of(co[2], NULL, &task);
    if (status == 0)
        status = kolk_await(kolk_task_as_future(task), NULL);
    kolk_task_unref(task);
    kolk_coroutine_unref(co[1]);
    kolk_coroutine_unref(co[2]);
    return status;
}

/* Of three coroutines one is awaited, one becomes a task, and one is forgotten. */
static void a_coroutine_runs_only_when_it_is_awaited_or_scheduled(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    assert_int_equal(run_task(f, forget_one, f), 0);
    assert_record(f, "unhandled(KOLK_ENOTSTARTED) in co_2 in main in co_3");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule plain[] = {
        RULE(the_result_comes_out),
        RULE(the_error_comes_out),
        RULE(a_cancelled_main_task_says_so),
        RULE(run_with_makes_the_loop_of_ones_choice),
        RULE(run_with_no_options_is_run),
        RULE(a_loop_that_cannot_be_made_is_told),
        RULE(running_out_of_memory_is_told),
        RULE(leftovers_are_seen_to_their_end),
        RULE(the_result_outlives_the_loop),
        RULE(one_that_never_started_is_reported),
        RULE(one_that_was_closed_is_not_reported),
    };
    static const struct rule matrix[] = {
        RULE(running_inside_of_a_loop_is_refused),
        RULE(cancelling_all_waits_for_their_clean_up),
        RULE(cancelling_all_may_find_nothing_to_do),
        RULE(a_task_that_goes_on_is_waited_for),
        RULE(a_clean_up_may_make_tasks),
        RULE(a_failing_clean_up_is_reported),
        RULE(cancelling_all_from_inside_is_refused),
        RULE(cancelling_all_survives_who_drops_the_loop),
        RULE(cancelling_all_survives_who_closes_the_loop),
        RULE(a_task_drives_a_coroutine),
        RULE(a_coroutine_that_a_task_drives_is_busy),
        RULE(only_a_fresh_coroutine_becomes_a_task),
        RULE(a_coroutine_that_becomes_no_task_stays_fresh),
        RULE(a_named_coroutine_that_becomes_no_task_stays_fresh),
        RULE(a_coroutine_of_a_cancelled_task_never_runs),
        RULE(a_coroutine_runs_only_when_it_is_awaited_or_scheduled),
    };
    return run_plain("run", plain, COUNT(plain)) + run_matrix("run tasks", matrix, COUNT(matrix));
}
