/* A result that is not there yet: the rules of asyncio.Future, on every reactor and in every mode. */
#include "support/driver.h"

#include <stdlib.h>

static const char *outcome(kolk_future *future) {
    void *result = NULL;
    int status = kolk_future_result(future, &result);
    return status == 0 ? (result ? result : "nothing") : kolk_status_name(status);
}

static void record_done(kolk_future *future, void *userdata) {
    struct word *self = userdata;
    record(self->fixture, "%s(%s)", self->text, outcome(future));
}

static void when_done(struct fixture *f, kolk_future *future, const char *text) {
    assert_int_equal(kolk_future_add_done_callback(future, record_done, word(f, text), NULL), 0);
}

/* A new future has no outcome of any kind. */
static void a_new_future_is_pending(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    void *result = f;
    assert_int_equal(kolk_future_done(future), 0);
    assert_int_equal(kolk_future_cancelled(future), 0);
    assert_int_equal(kolk_future_result(future, &result), KOLK_EPENDING);
    assert_ptr_equal(result, f);
    assert_null(kolk_future_error(future));
    assert_ptr_equal(kolk_future_loop(future), f->loop);
    assert_null(kolk_future_unref(future));
}

/* A result finishes it. */
static void a_result_finishes_a_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_result(future, "tea", NULL), 0);
    assert_int_equal(kolk_future_done(future), 1);
    assert_int_equal(kolk_future_cancelled(future), 0);
    assert_string_equal(outcome(future), "tea");
    assert_string_equal(outcome(future), "tea");
    assert_null(kolk_future_error(future));
    assert_int_equal(kolk_future_result(future, NULL), 0);
    kolk_future_unref(future);
}

/* An error finishes it; status and words can be asked for. */
static void an_error_finishes_a_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    assert_int_equal(kolk_future_set_error(future, error), 0);
    kolk_error_unref(error);

    void *result = f;
    assert_int_equal(kolk_future_done(future), 1);
    assert_int_equal(kolk_future_cancelled(future), 0);
    assert_int_equal(kolk_future_result(future, &result), KOLK_EREFUSED);
    assert_ptr_equal(result, f);
    assert_string_equal(kolk_error_message(kolk_future_error(future)), "port 81 refused");
    kolk_future_unref(future);
}

/* Cancelling finishes it at once. */
static void cancelling_finishes_a_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_cancel(future), 1);
    assert_int_equal(kolk_future_done(future), 1);
    assert_int_equal(kolk_future_cancelled(future), 1);
    assert_int_equal(kolk_future_result(future, NULL), KOLK_ECANCELED);
    kolk_future_unref(future);
}

/* A future is finished once; later attempts are refused and change nothing. */
static void a_future_is_finished_once(void **state) {
    struct fixture *f = *state;
    for (int first = 0; first < 3; first++) {
        clear_record(f);
        kolk_future *future = new_future(f);
        if (first == 0)
            kolk_future_set_result(future, "tea", NULL);
        else if (first == 1)
            kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
        else
            kolk_future_cancel(future);
        const char *before = outcome(future);
        assert_int_equal(kolk_future_set_result(future, word(f, "refused"), unsay), KOLK_EALREADY);
        assert_record(f, "~refused");
        assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EPIPE)), KOLK_EALREADY);
        assert_int_equal(kolk_future_cancel(future), 0);
        assert_string_equal(outcome(future), before);
        assert_int_equal(kolk_future_cancelled(future), first == 2);
        kolk_future_unref(future);
    }
}

/* The result is destroyed with the future, not before. */
static void the_result_lives_as_long_as_the_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_result(future, word(f, "result"), unsay), 0);
    assert_int_equal(kolk_future_result(future, NULL), 0);
    assert_ptr_equal(kolk_future_ref(future), future);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "");
    kolk_future_unref(future);
    assert_record(f, "~result");
}

/* Callbacks run through the loop, in the order they were added, never inside the call that finished the future. */
static void callbacks_run_through_the_loop_in_order(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    when_done(f, future, "a");
    when_done(f, future, "b");
    when_done(f, future, "c");
    kolk_future_set_result(future, "tea", NULL);
    assert_record(f, "");
    assert_int_equal(drive_once(f), 3);
    assert_record(f, "a(tea) b(tea) c(tea)");
    kolk_future_unref(future);
}

/* A callback added to a future that is already done waits for the next turn. */
static void a_late_callback_runs_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_set_result(future, "tea", NULL);
    when_done(f, future, "late");
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "late(tea)");
    kolk_future_unref(future);
}

/* Callbacks hear of errors and of cancellation as of results. */
static void callbacks_hear_of_every_outcome(void **state) {
    struct fixture *f = *state;
    kolk_future *failed = new_future(f), *cancelled = new_future(f);
    when_done(f, failed, "failed");
    when_done(f, cancelled, "cancelled");
    kolk_future_set_error(failed, kolk_error_of(KOLK_EIO));
    kolk_future_cancel(cancelled);
    drive_once(f);
    assert_record(f, "failed(KOLK_EIO) cancelled(KOLK_ECANCELED)");
    kolk_future_unref(failed);
    kolk_future_unref(cancelled);
}

/* The order is that of the loop: between what was asked for before and after. */
static void callbacks_stand_in_the_loops_line(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    when_done(f, future, "future");
    kolk_loop_call_soon(f->loop, say, word(f, "before"), NULL, NULL);
    kolk_future_set_result(future, NULL, NULL);
    kolk_loop_call_soon(f->loop, say, word(f, "after"), NULL, NULL);
    drive_once(f);
    assert_record(f, "before future(nothing) after");
    kolk_future_unref(future);
}

/* What a callback was given is destroyed after the call. */
static void userdata_is_destroyed_after_the_call(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, record_done, word(f, "a"), unsay), 0);
    kolk_future_set_result(future, "tea", NULL);
    drive_once(f);
    assert_record(f, "a(tea) ~a");
    kolk_future_unref(future);
}

/* Removing takes back every callback of this function and userdata, and counts them. */
static void removing_takes_back_all_equal_callbacks(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    void *twice = word(f, "twice");
    assert_int_equal(kolk_future_add_done_callback(future, record_done, twice, unsay), 0);
    when_done(f, future, "once");
    assert_int_equal(kolk_future_add_done_callback(future, record_done, twice, unsay), 0);
    assert_int_equal(kolk_future_remove_done_callback(future, record_done, twice), 2);
    assert_record(f, "~twice ~twice");
    assert_int_equal(kolk_future_remove_done_callback(future, record_done, twice), 0);
    kolk_future_set_result(future, "tea", NULL);
    drive_once(f);
    assert_record(f, "~twice ~twice once(tea)");
    kolk_future_unref(future);
}

static void ignore_done(kolk_future *future, void *userdata) {
    (void)future;
    (void)userdata;
}

static void drop_userdata(void *future) { kolk_future_unref(future); }

/* The userdata of a removed callback may hold the last reference to the future. */
static void removing_a_callback_may_drop_the_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, ignore_done, future, drop_userdata), 0);
    assert_int_equal(kolk_future_add_done_callback(future, record_done, word(f, "other"), unsay), 0);
    assert_int_equal(kolk_future_remove_done_callback(future, ignore_done, future), 1);
    assert_record(f, "~other");
}

/* A callback that has been scheduled cannot be taken back. */
static void a_scheduled_callback_cannot_be_removed(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    void *a = word(f, "a");
    assert_int_equal(kolk_future_add_done_callback(future, record_done, a, NULL), 0);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(kolk_future_remove_done_callback(future, record_done, a), 0);
    drive_once(f);
    assert_record(f, "a(tea)");
    kolk_future_unref(future);
}

static void drop_future(kolk_future *future, void *userdata) {
    record(userdata, "dropped");
    kolk_future_unref(future);
}

/* A callback may drop the last other reference; those after it still run. */
static void a_callback_may_drop_the_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, drop_future, f, NULL), 0);
    when_done(f, future, "next");
    kolk_future_set_result(future, "tea", NULL);
    drive_once(f);
    assert_record(f, "dropped next(tea)");
}

/* A future that is dropped right after it was finished still calls back. */
static void callbacks_keep_a_finished_future_alive(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    when_done(f, future, "a");
    kolk_future_set_result(future, "tea", NULL);
    kolk_future_unref(future);
    drive_once(f);
    assert_record(f, "a(tea)");
}

/* A pending future that is dropped destroys what its callbacks were given, without calling them. */
static void a_dropped_pending_future_calls_nobody(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, record_done, word(f, "a"), unsay), 0);
    assert_int_equal(kolk_future_add_done_callback(future, record_done, word(f, "b"), unsay), 0);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_true(strcmp(f->record, "~a ~b") == 0 || strcmp(f->record, "~b ~a") == 0);
}

static void add_another(kolk_future *future, void *userdata) {
    struct fixture *f = userdata;
    record(f, "first");
    kolk_future_add_done_callback(future, record_done, word(f, "second"), NULL);
}

/* A callback that a callback adds runs on the turn after. */
static void a_callback_added_by_a_callback_runs_a_turn_later(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(future, add_another, f, NULL), 0);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(drive_once(f), 1);
    assert_record(f, "first");
    assert_int_equal(drive_once(f), 1);
    assert_record(f, "first second(tea)");
    kolk_future_unref(future);
}

static void finish_next(kolk_future *future, void *next) {
    (void)future;
    kolk_future_set_result(next, "passed on", NULL);
}

/* A long chain of futures that finish one another takes no stack. */
static void a_long_chain_takes_no_stack(void **state) {
    struct fixture *f = *state;
    enum { LENGTH = 20000 };
    kolk_future **chain = calloc(LENGTH, sizeof *chain);
    for (int i = 0; i < LENGTH; i++)
        chain[i] = new_future(f);
    for (int i = 0; i + 1 < LENGTH; i++)
        assert_int_equal(kolk_future_add_done_callback(chain[i], finish_next, chain[i + 1], NULL), 0);
    kolk_future_set_result(chain[0], "start", NULL);
    drive_until(f, chain[LENGTH - 1]);
    assert_string_equal(outcome(chain[LENGTH - 1]), "passed on");
    for (int i = 0; i < LENGTH; i++)
        kolk_future_unref(chain[i]);
    free(chain);
}

/* An error that nobody asked for goes to the loop's exception handler when the future is dropped. */
static void an_unread_error_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *future = new_future(f);
    kolk_future_set_error(future, kolk_error_of(KOLK_EPIPE));
    drive_during(f, MS);
    assert_record(f, "");
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EPIPE)");
}

/* An error that was read, either way, is nobody else's business; nor is a result or a cancellation. */
static void an_error_that_was_read_is_not_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *by_result = new_future(f), *by_error = new_future(f), *fine = new_future(f), *cancelled = new_future(f);
    kolk_future_set_error(by_result, kolk_error_of(KOLK_EIO));
    kolk_future_set_error(by_error, kolk_error_of(KOLK_EIO));
    kolk_future_set_result(fine, "tea", NULL);
    kolk_future_cancel(cancelled);
    assert_int_equal(kolk_future_result(by_result, NULL), KOLK_EIO);
    assert_int_equal(kolk_error_status(kolk_future_error(by_error)), KOLK_EIO);
    kolk_future_unref(by_result);
    kolk_future_unref(by_error);
    kolk_future_unref(fine);
    kolk_future_unref(cancelled);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

static void cancel_in_callback(kolk_future *future, void *userdata) {
    (void)future;
    kolk_future_cancel(userdata);
}

/* A callback may cancel another future whose callbacks are yet to be scheduled. */
static void a_callback_may_cancel_another_future(void **state) {
    struct fixture *f = *state;
    kolk_future *first = new_future(f), *second = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(first, cancel_in_callback, second, NULL), 0);
    when_done(f, second, "second");
    kolk_future_set_result(first, NULL, NULL);
    drive_until(f, second);
    drive_during(f, MS);
    assert_record(f, "second(KOLK_ECANCELED)");
    kolk_future_unref(first);
    kolk_future_unref(second);
}

static void count_call(kolk_future *future, void *userdata) {
    (void)future;
    ((struct fixture *)userdata)->unhandled += 1000; /* Nothing else counts this far. */
}

static void count_drop(void *userdata) { ((struct fixture *)userdata)->unhandled++; }

/* Closing the loop destroys callbacks that were pending or scheduled; the futures stay valid. */
static void a_future_outlives_its_loop(void **state) {
    struct fixture *f = *state;
    kolk_future *pending = new_future(f), *done = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(pending, count_call, f, count_drop), 0);
    assert_int_equal(kolk_future_add_done_callback(done, count_call, f, count_drop), 0);
    kolk_future_set_result(done, "tea", NULL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(f->unhandled, 2);
    assert_string_equal(outcome(done), "tea");
    assert_int_equal(kolk_future_add_done_callback(done, count_call, f, count_drop), KOLK_ECLOSED);
    assert_int_equal(kolk_future_add_done_callback(pending, count_call, f, count_drop), KOLK_ECLOSED);
    assert_int_equal(f->unhandled, 4);
    f->loop = kolk_loop_unref(f->loop);
    assert_int_equal(kolk_future_done(done), 1);
    kolk_future_unref(pending);
    kolk_future_unref(done);
}

static void settle(void *future) { kolk_future_set_result(future, "settled", NULL); }

static void ignore_call(void *userdata) { (void)userdata; }

/* A future that is finished while the loop closes calls nobody any more, and lets go of what its callbacks were given. */
static void a_future_finished_by_the_closing_calls_nobody(void **state) {
    struct fixture *f = *state;
    kolk_future *futures[] = {new_future(f), new_future(f), new_future(f)};
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_call_soon(f->loop, ignore_call, futures[0], settle, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, ignore_call, futures[1], settle, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], ignore_call, futures[2], settle), 0);
    for (size_t i = 0; i < COUNT(futures); i++)
        assert_int_equal(kolk_future_add_done_callback(futures[i], count_call, f, count_drop), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(f->unhandled, COUNT(futures));
    for (size_t i = 0; i < COUNT(futures); i++) {
        assert_string_equal(outcome(futures[i]), "settled");
        kolk_future_unref(futures[i]);
    }
    close_pair(pair);
}

/* A future of sleep is done after the delay, and not before. */
static void a_sleep_is_done_after_its_delay(void **state) {
    struct fixture *f = *state;
    kolk_future *sleep = NULL;
    int64_t until = kolk_loop_time(f->loop) + 3 * MS;
    assert_int_equal(kolk_sleep_async(f->loop, 3 * MS, &sleep), 0);
    assert_int_equal(kolk_future_done(sleep), 0);
    drive_until(f, sleep);
    assert_true(kolk_loop_time(f->loop) >= until);
    assert_string_equal(outcome(sleep), "nothing");
    kolk_future_unref(sleep);
}

/* A sleep can be cancelled; nothing happens when its time comes. */
static void a_sleep_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_future *sleep = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, 3 * MS, &sleep), 0);
    when_done(f, sleep, "sleep");
    assert_int_equal(kolk_future_cancel(sleep), 1);
    drive_until(f, sleep);
    drive_during(f, 5 * MS);
    assert_record(f, "sleep(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(sleep), 1);
    kolk_future_unref(sleep);
}

/* Of two sleeps the shorter is done first, whichever was made first. */
static void sleeps_end_in_the_order_of_their_deadlines(void **state) {
    struct fixture *f = *state;
    kolk_future *longer = NULL, *shorter = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, 200 * MS, &longer), 0);
    assert_int_equal(kolk_sleep_async(f->loop, 2 * MS, &shorter), 0);
    when_done(f, longer, "longer");
    when_done(f, shorter, "shorter");
    drive_until(f, longer);
    drive_during(f, MS);
    assert_record(f, "shorter(nothing) longer(nothing)");
    kolk_future_unref(longer);
    kolk_future_unref(shorter);
}

/* NULL is no future, and an error that is none does not finish one. */
static void null_is_no_future(void **state) {
    struct fixture *f = *state;
    assert_null(kolk_future_ref(NULL));
    assert_null(kolk_future_unref(NULL));
    assert_null(kolk_future_loop(NULL));
    assert_int_equal(kolk_error_status(kolk_future_error(NULL)), KOLK_EINVAL);
    assert_int_equal(kolk_future_result(NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_set_result(NULL, word(f, "a"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_future_set_error(NULL, kolk_error_of(KOLK_EIO)), KOLK_EINVAL);
    assert_int_equal(kolk_future_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_add_done_callback(NULL, record_done, word(f, "b"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_future_remove_done_callback(NULL, record_done, NULL), KOLK_EINVAL);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_add_done_callback(future, NULL, word(f, "c"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_future_done(future), 0);
    assert_record(f, "~a ~b ~c");
    kolk_future_unref(future);
}

/* ---- What is kept with a future ---- */

/* A datum is kept until it is replaced, or the future is gone, and destroyed once. */
static void a_datum_is_kept_with_a_future(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    void *first = word(f, "first"), *second = word(f, "second");
    assert_null(kolk_future_datum(future));
    assert_int_equal(kolk_future_set_datum(future, first, unsay), 0);
    assert_ptr_equal(kolk_future_datum(future), first);
    assert_record(f, "");
    assert_int_equal(kolk_future_set_datum(future, second, unsay), 0);
    assert_ptr_equal(kolk_future_datum(future), second);
    assert_record(f, "~first");
    assert_int_equal(kolk_future_set_result(future, "tea", NULL), 0);
    assert_ptr_equal(kolk_future_datum(future), second);
    kolk_future_unref(future);
    assert_record(f, "~first ~second");
}

/* It can be taken away, kept with a future that is done, and needs no destroy function. */
static void a_datum_may_be_set_at_any_time(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_cancel(future);
    assert_int_equal(kolk_future_set_datum(future, word(f, "datum"), unsay), 0);
    assert_int_equal(kolk_future_set_datum(future, NULL, NULL), 0);
    assert_record(f, "~datum");
    assert_null(kolk_future_datum(future));
    assert_int_equal(kolk_future_set_datum(future, f, NULL), 0);
    assert_ptr_equal(kolk_future_datum(future), f);
    kolk_future_unref(future);
    assert_record(f, "~datum");
}

static void record_datum(kolk_future *future, void *userdata) {
    record(userdata, "%s", ((struct word *)kolk_future_datum(future))->text);
}

/* Whoever has the future in hand has the datum: a done callback, for one. */
static void a_callback_finds_the_datum(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_datum(future, word(f, "request 7"), unsay), 0);
    assert_int_equal(kolk_future_add_done_callback(future, record_datum, f, NULL), 0);
    kolk_future_set_result(future, "tea", NULL);
    kolk_future_unref(future);
    drive_once(f);
    assert_record(f, "request 7 ~request 7");
}

static int end_at_once(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return 0;
}

/* A task keeps one like any other future, beyond its end. */
static void a_task_keeps_a_datum(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, end_at_once);
    void *datum = word(f, "datum");
    assert_int_equal(kolk_future_set_datum(kolk_task_as_future(task), datum, unsay), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_ptr_equal(kolk_future_datum(kolk_task_as_future(task)), datum);
    assert_record(f, "");
    kolk_task_unref(task);
    drive_during(f, MS);
    assert_record(f, "~datum");
}

/* A datum that cannot be kept is destroyed, and the one that was there stays. */
static void a_datum_that_cannot_be_kept_is_destroyed(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f), *empty = new_future(f);
    void *kept = word(f, "kept");
    assert_int_equal(kolk_future_set_datum(NULL, word(f, "nowhere"), unsay), KOLK_EINVAL);
    assert_null(kolk_future_datum(NULL));
    assert_record(f, "~nowhere");
    assert_int_equal(kolk_future_set_datum(future, kept, unsay), 0);
    clear_record(f);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_future_set_datum(empty, word(f, "lost"), unsay);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_record(f, "~lost");
    assert_null(kolk_future_datum(empty));
    assert_ptr_equal(kolk_future_datum(future), kept);
    kolk_future_unref(empty);
    clear_record(f);
    kolk_future_unref(future);
    assert_record(f, "~kept");
}

/* A datum may hold the last reference to another future, which has one as well. */
static void a_datum_may_hold_a_future(void **state) {
    struct fixture *f = *state;
    kolk_future *outer = new_future(f), *inner = new_future(f);
    assert_int_equal(kolk_future_set_datum(inner, word(f, "innermost"), unsay), 0);
    assert_int_equal(kolk_future_set_datum(outer, inner, drop_userdata), 0);
    kolk_future_unref(outer);
    assert_record(f, "~innermost");
}

/* ---- Never finished ---- */

static void record_message(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    record(userdata, "%s: %s", kolk_status_name(kolk_error_status(error)), kolk_error_message(error));
}

/* A pending future that is dropped while somebody waits for its callbacks is reported: the message says how many. */
static void a_future_that_nobody_will_finish_is_reported(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_message, f, NULL), 0);
    kolk_future *future = new_future(f);
    for (int i = 0; i < 37; i++)
        assert_int_equal(kolk_future_add_done_callback(future, ignore_done, f, NULL), 0);
    kolk_future_unref(future);
    assert_ptr_equal(strstr(f->record, "KOLK_EPENDING: "), f->record);
    assert_non_null(strstr(f->record, "37"));
}

/* One that nobody waited for, or does any more, or that is done, is not. */
static void a_future_that_nobody_waits_for_is_not_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *alone = new_future(f), *removed = new_future(f), *cancelled = new_future(f);
    assert_int_equal(kolk_future_add_done_callback(removed, ignore_done, f, NULL), 0);
    assert_int_equal(kolk_future_remove_done_callback(removed, ignore_done, f), 1);
    assert_int_equal(kolk_future_add_done_callback(cancelled, ignore_done, f, NULL), 0);
    kolk_future_cancel(cancelled);
    kolk_future_unref(alone);
    kolk_future_unref(removed);
    kolk_future_unref(cancelled);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_new_future_is_pending),
        RULE(a_result_finishes_a_future),
        RULE(an_error_finishes_a_future),
        RULE(cancelling_finishes_a_future),
        RULE(a_future_is_finished_once),
        RULE(the_result_lives_as_long_as_the_future),
        RULE(callbacks_run_through_the_loop_in_order),
        RULE(a_late_callback_runs_on_the_next_turn),
        RULE(callbacks_hear_of_every_outcome),
        RULE(callbacks_stand_in_the_loops_line),
        RULE(userdata_is_destroyed_after_the_call),
        RULE(removing_takes_back_all_equal_callbacks),
        RULE(removing_a_callback_may_drop_the_future),
        RULE(a_scheduled_callback_cannot_be_removed),
        RULE(a_callback_may_drop_the_future),
        RULE(callbacks_keep_a_finished_future_alive),
        RULE(a_dropped_pending_future_calls_nobody),
        RULE(a_callback_added_by_a_callback_runs_a_turn_later),
        RULE(a_long_chain_takes_no_stack),
        RULE(an_unread_error_is_reported),
        RULE(an_error_that_was_read_is_not_reported),
        RULE(a_callback_may_cancel_another_future),
        RULE(a_future_outlives_its_loop),
        RULE(a_future_finished_by_the_closing_calls_nobody),
        RULE(a_sleep_is_done_after_its_delay),
        RULE(a_sleep_can_be_cancelled),
        RULE(sleeps_end_in_the_order_of_their_deadlines),
        RULE(null_is_no_future),
        RULE(a_datum_is_kept_with_a_future),
        RULE(a_datum_may_be_set_at_any_time),
        RULE(a_callback_finds_the_datum),
        RULE(a_task_keeps_a_datum),
        RULE(a_datum_that_cannot_be_kept_is_destroyed),
        RULE(a_datum_may_hold_a_future),
        RULE(a_future_that_nobody_will_finish_is_reported),
        RULE(a_future_that_nobody_waits_for_is_not_reported),
    };
    return run_matrix("future", rules, COUNT(rules));
}
