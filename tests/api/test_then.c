/* What comes after a future: then, catch, follow. */
#include "support/driver.h"

#include <stdlib.h>

static kolk_future *then(kolk_future *before, kolk_then_fn fn, void *userdata) {
    kolk_future *next = NULL;
    assert_int_equal(kolk_future_then(before, fn, userdata, NULL, &next), 0);
    assert_non_null(next);
    return next;
}

static kolk_future *catch_error(kolk_future *before, kolk_catch_fn fn, void *userdata) {
    kolk_future *next = NULL;
    assert_int_equal(kolk_future_catch(before, fn, userdata, NULL, &next), 0);
    assert_non_null(next);
    return next;
}

static int status_of(kolk_future *future) { return kolk_future_result(future, NULL); }

static const char *text_of(kolk_future *future) {
    void *result = NULL;
    assert_int_equal(kolk_future_result(future, &result), 0);
    return result;
}

static int say_result(void *result, void *userdata, kolk_future *next) {
    (void)next;
    record(userdata, "then(%s)", result ? (const char *)result : "NULL");
    return 0;
}

static int say_error(kolk_error *error, void *userdata, kolk_future *next) {
    (void)next;
    record(userdata, "catch(%s)", kolk_status_name(kolk_error_status(error)));
    return 0;
}

static int must_not_be_called(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)next;
    record(userdata, "called");
    return 0;
}

static int must_not_catch(kolk_error *error, void *userdata, kolk_future *next) {
    (void)error, (void)next;
    record(userdata, "caught");
    return 0;
}

static int pass_on(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)userdata, (void)next;
    return 0;
}

/* ---- The chain of the tutorials: read, append, write ---- */

static void free_text(void *text) { free(text); }

static int append(void *result, void *userdata, kolk_future *next) {
    const char *text = result;
    record(userdata, "append");
    char *longer = malloc(strlen(text) + sizeof " and more");
    if (!longer)
        return KOLK_ENOMEM;
    strcpy(longer, text);
    strcat(longer, " and more");
    return kolk_future_set_result(next, longer, free_text);
}

static int write_down(void *result, void *userdata, kolk_future *next) {
    (void)next;
    record(userdata, "write(%s)", (const char *)result);
    return 0;
}

struct chain {
    kolk_future *read, *appended, *written, *caught;
};

static struct chain make_chain(struct fixture *f) {
    struct chain c = {.read = new_future(f)};
    c.appended = then(c.read, append, f);
    c.written = then(c.appended, write_down, f);
    c.caught = catch_error(c.written, say_error, f);
    return c;
}

static void drop_chain(struct chain *c) {
    kolk_future_unref(c->read);
    kolk_future_unref(c->appended);
    kolk_future_unref(c->written);
    kolk_future_unref(c->caught);
}

/* A value flows from step to step; the catch at the end is not needed. */
static void a_value_flows_through_the_steps(void **state) {
    struct fixture *f = *state;
    struct chain c = make_chain(f);
    kolk_future_set_result(c.read, "text", NULL);
    drive_until(f, c.caught);
    assert_record(f, "append write(text and more)");
    assert_string_equal(text_of(c.caught), "text and more");
    drop_chain(&c);
}

/* An error of the first step reaches the catch and nothing else. */
static void an_error_skips_to_the_catch(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct chain c = make_chain(f);
    kolk_future_set_error(c.read, kolk_error_of(KOLK_EACCESS));
    drive_until(f, c.caught);
    assert_record(f, "catch(KOLK_EACCESS)");
    assert_int_equal(status_of(c.caught), 0);
    drop_chain(&c);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* All handles but the first may be dropped at once: the chain runs by itself. */
static void a_chain_runs_without_its_handles(void **state) {
    struct fixture *f = *state;
    struct chain c = make_chain(f);
    kolk_future_unref(c.appended);
    kolk_future_unref(c.written);
    kolk_future_unref(c.caught);
    kolk_future_set_result(c.read, "text", NULL);
    kolk_future_unref(c.read);
    drive_during(f, MS);
    assert_record(f, "append write(text and more)");
}

/* ---- When and how the function is called ---- */

/* Functions are called through the loop, not from inside the call that finished the future; also when it was done before. */
static void functions_are_called_through_the_loop(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f);
    kolk_future *first = then(before, say_result, f);
    kolk_future_set_result(before, "tea", NULL);
    kolk_future *second = then(before, say_result, f);
    assert_record(f, "");
    assert_int_equal(kolk_future_done(first), 0);
    assert_int_equal(kolk_future_done(second), 0);
    drive_until(f, second);
    assert_record(f, "then(tea) then(tea)");
    kolk_future_unref(first);
    kolk_future_unref(second);
    kolk_future_unref(before);
}

static int give_up_cancelled(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)userdata, (void)next;
    return KOLK_ECANCELED;
}

static int fail_with_pipe(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)userdata, (void)next;
    return KOLK_EPIPE;
}

static int fail_in_words(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)userdata;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EPIPE, "the reader left", NULL, &error);
    int status = kolk_future_set_error(next, error);
    kolk_error_unref(error);
    return status;
}

/* A status that the function returns is what the next future fails with. */
static void a_returned_status_fails_the_next_future(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f);
    kolk_future_set_result(before, "tea", NULL);
    kolk_future *failed = then(before, fail_with_pipe, NULL), *cancelled = then(before, give_up_cancelled, NULL);
    kolk_future *worded = then(before, fail_in_words, NULL);
    drive_until(f, worded);
    assert_int_equal(status_of(failed), KOLK_EPIPE);
    assert_int_equal(kolk_future_cancelled(cancelled), 1);
    assert_string_equal(kolk_error_message(kolk_future_error(worded)), "the reader left");
    kolk_future_unref(failed);
    kolk_future_unref(cancelled);
    kolk_future_unref(worded);
    kolk_future_unref(before);
}

static int set_and_fail(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)userdata;
    kolk_future_set_result(next, "set", NULL);
    return KOLK_EIO;
}

/* What the function did to the future counts more than what it returns. */
static void what_was_set_counts_more_than_what_is_returned(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *next = then(before, set_and_fail, NULL);
    kolk_future_set_result(before, "tea", NULL);
    drive_until(f, next);
    assert_string_equal(text_of(next), "set");
    kolk_future_unref(next);
    kolk_future_unref(before);
}

static int finish_later(void *result, void *userdata, kolk_future *next) {
    (void)result;
    *(kolk_future **)userdata = kolk_future_ref(next);
    return KOLK_EPENDING;
}

/* With KOLK_EPENDING the function says that somebody finishes it later. */
static void a_step_can_be_finished_later(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *later = NULL, *next = then(before, finish_later, &later);
    kolk_future_set_result(before, "tea", NULL);
    drive_during(f, MS);
    assert_ptr_equal(later, next);
    assert_int_equal(kolk_future_done(next), 0);
    assert_int_equal(kolk_future_set_result(later, "more tea", NULL), 0);
    kolk_future_unref(later);
    drive_until(f, next);
    assert_string_equal(text_of(next), "more tea");
    kolk_future_unref(next);
    kolk_future_unref(before);
}

static int go_on_with(void *result, void *userdata, kolk_future *next) {
    (void)result;
    return kolk_future_follow(next, userdata);
}

static int recover_with(kolk_error *error, void *userdata, kolk_future *next) {
    (void)error;
    return kolk_future_follow(next, userdata);
}

/* A step that takes time ends as the future it follows. */
static void a_step_can_follow_another_future(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *work = new_future(f), *next = then(before, go_on_with, work);
    kolk_future_set_result(before, "tea", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(next), 0);
    kolk_future_set_result(work, word(f, "worked"), unsay);
    kolk_future_unref(work);
    drive_until(f, next);
    void *result = NULL;
    assert_int_equal(kolk_future_result(next, &result), 0);
    say(result);
    kolk_future_unref(next);
    kolk_future_unref(before);
    drive_during(f, MS);
    assert_record(f, "worked ~worked");
}

/* A catch that has nothing better makes NULL of an error; what it sets or follows counts instead. */
static void a_catch_makes_a_result_of_an_error(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *work = new_future(f);
    kolk_future *plain = catch_error(before, say_error, f), *recovered = catch_error(before, recover_with, work);
    kolk_future_set_error(before, kolk_error_of(KOLK_EIO));
    drive_until(f, plain);
    void *result = f;
    assert_int_equal(kolk_future_result(plain, &result), 0);
    assert_null(result);
    kolk_future_set_result(work, "from work", NULL);
    drive_until(f, recovered);
    assert_string_equal(text_of(recovered), "from work");
    kolk_future_unref(plain);
    kolk_future_unref(recovered);
    kolk_future_unref(work);
    kolk_future_unref(before);
}

static int wrap(kolk_error *error, void *userdata, kolk_future *next) {
    (void)userdata;
    kolk_error *wrapped = NULL;
    kolk_error_new(KOLK_EIO, "while reading", error, &wrapped);
    int status = kolk_future_set_error(next, wrapped);
    kolk_error_unref(wrapped);
    return status;
}

/* A catch can fail again, with the first error as the cause. */
static void a_catch_can_fail_again(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *next = catch_error(before, wrap, NULL);
    kolk_future_set_error(before, kolk_error_of(KOLK_ERESET));
    drive_until(f, next);
    assert_int_equal(status_of(next), KOLK_EIO);
    assert_int_equal(kolk_error_status(kolk_error_cause(kolk_future_error(next))), KOLK_ERESET);
    kolk_future_unref(next);
    kolk_future_unref(before);
}

/* What does not concern a step goes past it as it is: an error past then, with its words, and a result past catch. */
static void what_does_not_concern_a_step_goes_past_it(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *failed = new_future(f), *fine = new_future(f);
    kolk_future *past_then = then(failed, must_not_be_called, f), *past_catch = catch_error(fine, must_not_catch, f);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    kolk_future_set_error(failed, error);
    kolk_error_unref(error);
    kolk_future_set_result(fine, "tea", NULL);
    drive_until(f, past_then);
    drive_until(f, past_catch);
    assert_record(f, "");
    assert_string_equal(kolk_error_message(kolk_future_error(past_then)), "port 81 refused");
    assert_string_equal(text_of(past_catch), "tea");
    kolk_future_unref(failed);
    kolk_future_unref(past_then);
    kolk_future_unref(fine);
    kolk_future_unref(past_catch);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* An error that nobody catches is reported once, by the end of the chain. */
static void an_error_that_nobody_catches_is_reported_once(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *before = new_future(f), *middle = then(before, say_result, f), *last = then(middle, say_result, f);
    kolk_future_set_error(before, kolk_error_of(KOLK_EIO));
    drive_until(f, last);
    kolk_future_unref(before);
    kolk_future_unref(middle);
    assert_record(f, "");
    kolk_future_unref(last);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EIO)");
}

/* Several steps may come after the same future; they run in the order in which they were added. */
static void one_future_may_have_several_steps(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f);
    kolk_future *steps[] = {then(before, say_result, f), catch_error(before, must_not_catch, f), then(before, write_down, f)};
    kolk_future_set_result(before, "tea", NULL);
    drive_until(f, steps[2]);
    assert_record(f, "then(tea) write(tea)");
    for (size_t i = 0; i < COUNT(steps); i++) {
        assert_string_equal(text_of(steps[i]), "tea");
        kolk_future_unref(steps[i]);
    }
    kolk_future_unref(before);
}

/* The result that was handed on lives as long as the last future that has it. */
static void a_result_lives_as_long_as_the_last_step(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *middle = catch_error(before, must_not_catch, f);
    kolk_future *last = then(middle, pass_on, NULL);
    kolk_future_set_result(before, word(f, "tea"), unsay);
    kolk_future_unref(before);
    kolk_future_unref(middle);
    drive_until(f, last);
    void *result = NULL;
    assert_int_equal(kolk_future_result(last, &result), 0);
    say(result);
    kolk_future_unref(last);
    drive_during(f, MS);
    assert_record(f, "tea ~tea");
}

/* A future that failed is not kept for the sake of those after it, which have the error themselves. */
static void a_future_that_failed_is_let_go(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *self = new_future(f);
    kolk_future *steps[] = {then(before, must_not_be_called, f), catch_error(before, say_error, f)};
    assert_int_equal(kolk_future_follow(self, before), 0);
    assert_int_equal(kolk_future_set_datum(before, word(f, "datum"), unsay), 0);
    kolk_future_set_error(before, kolk_error_of(KOLK_EIO));
    kolk_future_unref(before);
    drive_until(f, self);
    assert_record(f, "catch(KOLK_EIO) ~datum");
    assert_int_equal(status_of(steps[0]), KOLK_EIO);
    assert_int_equal(status_of(self), KOLK_EIO);
    kolk_future_unref(steps[0]);
    kolk_future_unref(steps[1]);
    kolk_future_unref(self);
}

/* ---- Cancelling ---- */

/* Cancelling what comes after cancels what it waits for, however many steps lie between. */
static void cancelling_goes_back_to_the_first(void **state) {
    struct fixture *f = *state;
    struct chain c = make_chain(f);
    assert_int_equal(kolk_future_cancel(c.caught), 1);
    assert_int_equal(kolk_future_cancelled(c.read), 1);
    drive_until(f, c.caught);
    assert_record(f, "catch(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(c.written), 1);
    assert_int_equal(status_of(c.caught), 0);
    assert_int_equal(kolk_future_cancel(c.caught), 0);
    drop_chain(&c);
}

/* A future that is cancelled goes past then like an error, and the next one counts as cancelled. */
static void a_cancellation_goes_past_then(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *next = then(before, must_not_be_called, f);
    kolk_future_cancel(before);
    drive_until(f, next);
    assert_int_equal(kolk_future_cancelled(next), 1);
    assert_record(f, "");
    kolk_future_unref(next);
    kolk_future_unref(before);
}

/* Cancelled after the future before was done, but before its turn came, a step is not called. */
static void a_step_that_is_cancelled_in_time_is_not_called(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    kolk_future *before = new_future(f), *next = NULL;
    kolk_future_set_result(before, "tea", NULL);
    assert_int_equal(kolk_future_then(before, finish_later, &destroyed, count_destroy, &next), 0);
    assert_int_equal(kolk_future_cancel(next), 1);
    assert_int_equal(kolk_future_cancelled(next), 1);
    assert_int_equal(destroyed, 1);
    drive_during(f, MS);
    assert_int_equal(destroyed, 1);
    assert_int_equal(kolk_future_cancel(next), 0);
    kolk_future_unref(next);
    kolk_future_unref(before);
}

/* Once its function has been called, a step is cancelled like any future, and while it follows one, that one is. */
static void a_step_that_was_called_is_cancelled_itself(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *later = NULL, *work = new_future(f);
    kolk_future *open = then(before, finish_later, &later), *following = then(before, go_on_with, work);
    kolk_future_set_result(before, "tea", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancel(open), 1);
    assert_int_equal(kolk_future_cancelled(open), 1);
    assert_int_equal(kolk_future_set_result(later, NULL, NULL), KOLK_EALREADY);
    assert_int_equal(kolk_future_cancel(following), 1);
    assert_int_equal(kolk_future_cancelled(work), 1);
    drive_until(f, following);
    assert_int_equal(kolk_future_cancelled(following), 1);
    kolk_future_unref(open);
    kolk_future_unref(later);
    kolk_future_unref(following);
    kolk_future_unref(work);
    kolk_future_unref(before);
}

static int end_slowly(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(30 * SECOND);
    record(userdata, "told");
    kolk_sleep(0);
    record(userdata, "ended");
    return status;
}

static int await_it(void *userdata, void **ret_result) { return kolk_await(userdata, ret_result); }

/* A task that awaits the end of a chain cancels the task at its beginning, and both have ended then. */
static void cancelling_passes_through_to_tasks(void **state) {
    struct fixture *f = *state;
    kolk_task *worker = spawn(f, end_slowly);
    kolk_future *next = then(kolk_task_as_future(worker), must_not_be_called, f);
    kolk_task *waiter = spawn_with(f, await_it, next);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(waiter), 1);
    assert_int_equal(join(f, waiter), KOLK_ECANCELED);
    assert_record(f, "told ended");
    assert_int_equal(kolk_future_cancelled(next), 1);
    kolk_future_unref(next);
    kolk_task_unref(worker);
}

static int carry_on_once(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    record(f, "%s", kolk_status_name(kolk_sleep(30 * SECOND)));
    return kolk_sleep(30 * SECOND);
}

/* A request that the task at the beginning did not follow can be repeated. */
static void a_request_to_cancel_can_be_repeated(void **state) {
    struct fixture *f = *state;
    kolk_task *worker = spawn(f, carry_on_once);
    kolk_future *middle = then(kolk_task_as_future(worker), must_not_be_called, f), *last = new_future(f);
    assert_int_equal(kolk_future_follow(last, middle), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancel(last), 1);
    drive_during(f, MS);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(kolk_future_done(last), 0);
    assert_int_equal(kolk_future_cancel(last), 1);
    drive_until(f, last);
    assert_int_equal(kolk_task_done(worker), 1);
    assert_int_equal(kolk_future_cancelled(last), 1);
    kolk_future_unref(last);
    kolk_future_unref(middle);
    kolk_task_unref(worker);
}

/* ---- Dropping ---- */

struct handles {
    kolk_future *before, *next;
};

static int drop_handles(void *result, void *userdata, kolk_future *next) {
    struct handles *h = userdata;
    (void)next;
    h->before = kolk_future_unref(h->before);
    h->next = kolk_future_unref(h->next);
    say(result);
    return 0;
}

/* The function may drop every handle there is: what it was given stays until it returns. */
static void the_function_may_drop_everything(void **state) {
    struct fixture *f = *state;
    struct handles h = {.before = new_future(f)};
    h.next = then(h.before, drop_handles, &h);
    kolk_future_set_result(h.before, word(f, "tea"), unsay);
    drive_during(f, MS);
    assert_null(h.next);
    assert_record(f, "tea ~tea");
}

static int say_word(void *result, void *userdata, kolk_future *next) {
    (void)result, (void)next;
    say(userdata);
    return 0;
}

/* The userdata is released once: after the call, or when there will be none. */
static void userdata_is_released_once(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *called = NULL, *skipped = NULL;
    assert_int_equal(kolk_future_then(before, say_word, word(f, "a"), unsay, &called), 0);
    assert_int_equal(kolk_future_catch(before, must_not_catch, word(f, "b"), unsay, &skipped), 0);
    kolk_future_set_result(before, "tea", NULL);
    drive_until(f, skipped);
    assert_record(f, "a ~a ~b");
    kolk_future_unref(called);
    kolk_future_unref(skipped);
    kolk_future_unref(before);
    assert_record(f, "a ~a ~b");
}

/* ---- Following ---- */

/* Any future of the user's may follow another: its result, its words, its cancellation. */
static void a_future_ends_as_the_one_it_follows(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *selves[3], *others[3];
    for (int i = 0; i < 3; i++) {
        selves[i] = new_future(f);
        others[i] = new_future(f);
        assert_int_equal(kolk_future_follow(selves[i], others[i]), 0);
    }
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    kolk_future_set_result(others[0], word(f, "tea"), unsay);
    kolk_future_set_error(others[1], error);
    kolk_future_cancel(others[2]);
    kolk_error_unref(error);
    for (int i = 0; i < 3; i++) {
        kolk_future_unref(others[i]);
        drive_until(f, selves[i]);
    }
    void *result = NULL;
    assert_int_equal(kolk_future_result(selves[0], &result), 0);
    say(result);
    assert_string_equal(kolk_error_message(kolk_future_error(selves[1])), "port 81 refused");
    assert_int_equal(kolk_future_cancelled(selves[2]), 1);
    for (int i = 0; i < 3; i++)
        kolk_future_unref(selves[i]);
    drive_during(f, MS);
    assert_record(f, "tea ~tea");
}

/* While a future follows another, nobody else can finish it; after that it is done. */
static void a_future_that_follows_cannot_be_finished(void **state) {
    struct fixture *f = *state;
    kolk_future *self = new_future(f), *other = new_future(f), *third = new_future(f);
    int destroyed = 0;
    assert_int_equal(kolk_future_follow(self, other), 0);
    assert_int_equal(kolk_future_follow(self, third), KOLK_EALREADY);
    assert_int_equal(kolk_future_set_result(self, &destroyed, count_destroy), KOLK_EALREADY);
    assert_int_equal(kolk_future_set_error(self, kolk_error_of(KOLK_EIO)), KOLK_EALREADY);
    assert_int_equal(destroyed, 1);
    kolk_future_set_result(other, "tea", NULL);
    drive_until(f, self);
    assert_string_equal(text_of(self), "tea");
    assert_int_equal(kolk_future_follow(self, third), KOLK_EALREADY);
    assert_int_equal(kolk_future_set_result(self, NULL, NULL), KOLK_EALREADY);
    kolk_future_unref(self);
    kolk_future_unref(other);
    kolk_future_unref(third);
}

/* Before its function was called, a step cannot be finished by anybody, nor follow another. */
static void a_step_cannot_be_finished_before_its_time(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *other = new_future(f), *next = then(before, say_result, f);
    assert_int_equal(kolk_future_set_result(next, NULL, NULL), KOLK_ENOTSUP);
    assert_int_equal(kolk_future_set_error(next, kolk_error_of(KOLK_EIO)), KOLK_ENOTSUP);
    assert_int_equal(kolk_future_follow(next, other), KOLK_ENOTSUP);
    kolk_future_set_result(before, "tea", NULL);
    drive_until(f, next);
    assert_record(f, "then(tea)");
    assert_int_equal(kolk_future_set_result(next, NULL, NULL), KOLK_EALREADY);
    kolk_future_unref(next);
    kolk_future_unref(other);
    kolk_future_unref(before);
}

/* Futures that follow each other wait for ever, but one that is cancelled ends them all. */
static void a_circle_ends_by_cancelling(void **state) {
    struct fixture *f = *state;
    kolk_future *circle[3];
    for (int i = 0; i < 3; i++)
        circle[i] = new_future(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kolk_future_follow(circle[i], circle[(i + 1) % 3]), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(circle[1]), 0);
    assert_int_equal(kolk_future_cancel(circle[1]), 1);
    for (int i = 0; i < 3; i++) {
        drive_until(f, circle[i]);
        assert_int_equal(kolk_future_cancelled(circle[i]), 1);
        kolk_future_unref(circle[i]);
    }
}

/* The same when the way back leads through a gathering, from wherever it is cancelled. */
static void a_circle_through_a_gathering_ends_by_cancelling(void **state) {
    struct fixture *f = *state;
    for (int from = 0; from < 2; from++) {
        kolk_future *self = new_future(f), *all = NULL;
        assert_int_equal(kolk_gather(f->loop, &self, 1, 0, &all), 0);
        assert_int_equal(kolk_future_follow(self, all), 0);
        assert_int_equal(kolk_future_cancel(from ? self : all), 1);
        drive_until(f, self);
        drive_until(f, all);
        assert_int_equal(kolk_future_cancelled(self), 1);
        assert_int_equal(kolk_future_cancelled(all), 1);
        kolk_future_unref(self);
        kolk_future_unref(all);
    }
}

/* ---- Long chains ---- */

enum { LINKS = 20000 };

static kolk_future *long_chain(struct fixture *f, kolk_future *first) {
    kolk_future *last = kolk_future_ref(first);
    for (int i = 0; i < LINKS; i++) {
        kolk_future *next = NULL;
        if (i % 2) {
            next = then(last, say_result, f);
        } else {
            next = new_future(f);
            assert_int_equal(kolk_future_follow(next, last), 0);
        }
        kolk_future_unref(last);
        last = next;
    }
    return last;
}

static int cancel_and_drop(void *userdata, void **ret_result) {
    kolk_future *last = userdata;
    (void)ret_result;
    int taken = kolk_future_cancel(last);
    kolk_await(last, NULL);
    kolk_future_unref(last);
    return taken;
}

static int drop(void *userdata, void **ret_result) {
    (void)ret_result;
    kolk_future_unref(userdata);
    return 0;
}

/* A task with little stack can cancel and drop a chain of any length. */
static void a_long_chain_needs_no_stack(void **state) {
    struct fixture *f = *state;
    const kolk_task_options little = {.size = sizeof little, .stack_size = 16384};
    kolk_task *task = NULL;
    kolk_future *first = new_future(f), *last = long_chain(f, first);
    assert_int_equal(kolk_create_task(f->loop, cancel_and_drop, last, NULL, &little, &task), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_future_cancelled(first), 1);
    kolk_future_unref(first);
    kolk_task_unref(task);

    last = first = new_future(f);
    kolk_future_set_result(first, word(f, "tea"), unsay);
    for (int i = 0; i < LINKS; i++) {
        kolk_future *next = then(last, pass_on, NULL);
        kolk_future_unref(last);
        last = next;
    }
    drive_until(f, last);
    assert_int_equal(kolk_create_task(f->loop, drop, last, NULL, &little, &task), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "~tea");
    kolk_task_unref(task);
}

/* ---- The end of the loop, of memory, and misuse ---- */

/* When the loop is closed, what waits is cancelled, no function is called, and all userdata is released. */
static void closing_the_loop_releases_the_steps(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    kolk_future *pending = new_future(f), *done = new_future(f), *later = NULL, *steps[5];
    kolk_future *open = then(done, finish_later, &later), *self = new_future(f);
    kolk_future_set_result(done, "tea", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_future_then(pending, must_not_be_called, &destroyed, count_destroy, &steps[0]), 0);
    assert_int_equal(kolk_future_catch(steps[0], must_not_catch, &destroyed, count_destroy, &steps[1]), 0);
    assert_int_equal(kolk_future_then(done, must_not_be_called, &destroyed, count_destroy, &steps[2]), 0);
    assert_int_equal(kolk_future_catch(done, must_not_catch, &destroyed, count_destroy, &steps[3]), 0);
    assert_int_equal(kolk_future_then(open, must_not_be_called, &destroyed, count_destroy, &steps[4]), 0);
    assert_int_equal(kolk_future_follow(self, pending), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(destroyed, 5);
    assert_record(f, "");
    assert_int_equal(kolk_future_cancelled(steps[0]), 1);
    assert_int_equal(kolk_future_cancelled(steps[1]), 1);
    assert_int_equal(kolk_future_cancelled(steps[2]), 1);
    assert_string_equal(text_of(steps[3]), "tea");
    assert_int_equal(kolk_future_cancelled(steps[4]), 1);
    assert_int_equal(kolk_future_cancelled(self), 1);
    assert_int_equal(kolk_future_done(pending), 0);
    for (size_t i = 0; i < COUNT(steps); i++)
        kolk_future_unref(steps[i]);
    kolk_future_unref(self);
    kolk_future_unref(open);
    kolk_future_unref(later);
    kolk_future_unref(pending);
    kolk_future_unref(done);
}

/* What nobody holds but a circle is gone when the loop is closed. */
static void closing_the_loop_opens_circles(void **state) {
    struct fixture *f = *state;
    kolk_future *one = new_future(f), *other = new_future(f), *self = new_future(f), *all = NULL;
    assert_int_equal(kolk_future_follow(one, other), 0);
    assert_int_equal(kolk_future_follow(other, one), 0);
    assert_int_equal(kolk_gather(f->loop, &self, 1, 0, &all), 0);
    assert_int_equal(kolk_future_follow(self, all), 0);
    kolk_future_unref(one);
    kolk_future_unref(other);
    kolk_future_unref(self);
    kolk_future_unref(all);
    drive_during(f, MS);
    finish_loop(f);
}

/* Without memory there is no next step; the futures are as before, and the userdata is released. */
static void without_memory_nothing_changes(void **state) {
    struct fixture *f = *state;
    kolk_future *before = new_future(f), *self = new_future(f), *next = NULL;
    int destroyed = 0, refused[3] = {0, 0, 0};
    failing_allocator_arm(&f->memory, 1, 1);
    refused[0] = kolk_future_then(before, must_not_be_called, &destroyed, count_destroy, &next);
    refused[1] = kolk_future_catch(before, must_not_catch, &destroyed, count_destroy, &next);
    refused[2] = kolk_future_follow(self, before);
    failing_allocator_disarm(&f->memory);
    for (int i = 0; i < 3; i++)
        assert_int_equal(refused[i], KOLK_ENOMEM);
    assert_int_equal(destroyed, 2);
    assert_null(next);
    kolk_future_set_result(before, "tea", NULL);
    drive_during(f, MS);
    assert_record(f, "");
    assert_int_equal(kolk_future_set_result(self, "set", NULL), 0);
    kolk_future_unref(self);
    kolk_future_unref(before);
}

/* Finishing, passing on and cancelling take no memory. */
static void a_chain_runs_without_memory(void **state) {
    struct fixture *f = *state;
    kolk_future *fine = new_future(f), *failed = new_future(f), *self = new_future(f), *last = new_future(f);
    assert_int_equal(kolk_future_follow(self, fine), 0);
    kolk_future *steps[] = {then(self, say_result, f), then(failed, say_result, f), then(last, say_result, f)};
    kolk_future *caught = catch_error(steps[1], say_error, f);
    kolk_handle *turn = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "turn"), NULL, &turn), 0);
    drive_once(f);
    failing_allocator_arm(&f->memory, 1, 1);
    kolk_future_set_result(fine, "tea", NULL);
    kolk_future_set_error(failed, kolk_error_of(KOLK_EIO));
    int cancelled = kolk_future_cancel(steps[2]);
    while (!kolk_future_done(steps[0]) || !kolk_future_done(caught) || !kolk_future_done(steps[2]))
        if (drive_once(f) < 0)
            break;
    size_t asked = failing_allocator_disarm(&f->memory);
    assert_int_equal(cancelled, 1);
    assert_int_equal(asked, 0);
    assert_record(f, "turn then(tea) catch(KOLK_EIO)");
    kolk_handle_unref(turn);
    for (size_t i = 0; i < COUNT(steps); i++)
        kolk_future_unref(steps[i]);
    kolk_future_unref(caught);
    kolk_future_unref(self);
    kolk_future_unref(fine);
    kolk_future_unref(failed);
    kolk_future_unref(last);
}

static int return_at_once(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return 0;
}

/* What makes no sense is refused, and what was given with it is released. */
static void what_makes_no_sense_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other_loop = NULL;
    kolk_future *future = new_future(f), *foreign = NULL, *next = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_future_then(NULL, say_result, &destroyed, count_destroy, &next), KOLK_EINVAL);
    assert_int_equal(kolk_future_then(future, NULL, &destroyed, count_destroy, &next), KOLK_EINVAL);
    assert_int_equal(kolk_future_then(future, say_result, &destroyed, count_destroy, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_catch(NULL, say_error, &destroyed, count_destroy, &next), KOLK_EINVAL);
    assert_int_equal(kolk_future_catch(future, NULL, &destroyed, count_destroy, &next), KOLK_EINVAL);
    assert_int_equal(kolk_future_catch(future, say_error, &destroyed, count_destroy, NULL), KOLK_EINVAL);
    assert_int_equal(destroyed, 6);
    assert_null(next);

    assert_int_equal(kolk_loop_new(NULL, &other_loop, NULL), 0);
    assert_int_equal(kolk_future_new(other_loop, &foreign), 0);
    assert_int_equal(kolk_future_follow(future, foreign), KOLK_EINVAL);
    assert_int_equal(kolk_future_follow(future, future), KOLK_EINVAL);
    assert_int_equal(kolk_future_follow(future, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_follow(NULL, future), KOLK_EINVAL);
    kolk_task *task = spawn(f, return_at_once);
    assert_int_equal(kolk_future_follow(kolk_task_as_future(task), future), KOLK_ENOTSUP);
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(foreign);
    kolk_loop_unref(other_loop);

    kolk_loop *loop = kolk_loop_ref(f->loop);
    assert_int_equal(kolk_loop_close(loop), 0);
    assert_int_equal(kolk_future_then(future, say_result, &destroyed, count_destroy, &next), KOLK_ECLOSED);
    assert_int_equal(kolk_future_catch(future, say_error, &destroyed, count_destroy, &next), KOLK_ECLOSED);
    assert_int_equal(destroyed, 8);
    kolk_future_unref(future);
    kolk_loop_unref(loop);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_value_flows_through_the_steps),
        RULE(an_error_skips_to_the_catch),
        RULE(a_chain_runs_without_its_handles),
        RULE(functions_are_called_through_the_loop),
        RULE(a_returned_status_fails_the_next_future),
        RULE(what_was_set_counts_more_than_what_is_returned),
        RULE(a_step_can_be_finished_later),
        RULE(a_step_can_follow_another_future),
        RULE(a_catch_makes_a_result_of_an_error),
        RULE(a_catch_can_fail_again),
        RULE(what_does_not_concern_a_step_goes_past_it),
        RULE(an_error_that_nobody_catches_is_reported_once),
        RULE(one_future_may_have_several_steps),
        RULE(a_result_lives_as_long_as_the_last_step),
        RULE(a_future_that_failed_is_let_go),
        RULE(cancelling_goes_back_to_the_first),
        RULE(a_cancellation_goes_past_then),
        RULE(a_step_that_is_cancelled_in_time_is_not_called),
        RULE(a_step_that_was_called_is_cancelled_itself),
        RULE(cancelling_passes_through_to_tasks),
        RULE(a_request_to_cancel_can_be_repeated),
        RULE(the_function_may_drop_everything),
        RULE(userdata_is_released_once),
        RULE(a_future_ends_as_the_one_it_follows),
        RULE(a_future_that_follows_cannot_be_finished),
        RULE(a_step_cannot_be_finished_before_its_time),
        RULE(a_circle_ends_by_cancelling),
        RULE(a_circle_through_a_gathering_ends_by_cancelling),
        RULE(a_long_chain_needs_no_stack),
        RULE(closing_the_loop_releases_the_steps),
        RULE(closing_the_loop_opens_circles),
        RULE(without_memory_nothing_changes),
        RULE(a_chain_runs_without_memory),
        RULE(what_makes_no_sense_is_refused),
    };
    return run_matrix("then", rules, COUNT(rules));
}
