/* Functions that stop in the middle: the protocol of Python's generators. */
#include "support/driver.h"

#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static kolk_coroutine *make(struct fixture *f, kolk_coroutine_fn fn, void *userdata) {
    kolk_coroutine *made = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, fn, userdata, NULL, 0, &made), 0);
    assert_non_null(made);
    return made;
}

static void *number(intptr_t value) { return (void *)value; }

/* Resumes it with next(), and asserts that it yields this number. */
static void assert_yields(kolk_coroutine *coroutine, intptr_t expected) {
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(coroutine, &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, expected);
}

static int count_to_three(void *userdata, void **ret_result) {
    record(userdata, "started");
    for (intptr_t i = 1; i <= 3; i++) {
        int status = kolk_yield(number(i), NULL);
        if (status < 0)
            return status;
    }
    *ret_result = "the end";
    return 0;
}

/* Making one runs no code; each next() runs to the following yield, the last one to the end. */
static void next_runs_to_the_following_yield(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *three = make(f, count_to_three, f);
    assert_record(f, "");
    assert_yields(three, 1);
    assert_record(f, "started");
    assert_yields(three, 2);
    assert_yields(three, 3);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(three, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "the end");
    assert_null(kolk_coroutine_error(three));
    kolk_coroutine_unref(three);
}

/* One that has ended cannot be resumed in any way; ending it again is fine. */
static void an_ended_one_stays_ended(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *three = make(f, count_to_three, f);
    while (kolk_coroutine_next(three, NULL) == KOLK_COROUTINE_YIELDED)
        ;
    void *value = f;
    assert_int_equal(kolk_coroutine_next(three, &value), KOLK_EEXITED);
    assert_int_equal(kolk_coroutine_send(three, f, &value), KOLK_EEXITED);
    assert_int_equal(kolk_coroutine_throw(three, kolk_error_of(KOLK_EIO), &value), KOLK_EEXITED);
    assert_ptr_equal(value, f);
    assert_int_equal(kolk_coroutine_close(three), 0);
    assert_int_equal(kolk_coroutine_get_state(three), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(three);
}

static int record_state(void *userdata, void **ret_result) {
    kolk_coroutine **self = userdata;
    *ret_result = number(kolk_coroutine_get_state(*self));
    int status = kolk_yield(*ret_result, NULL);
    return status;
}

/* Created, running, suspended, closed. */
static void it_passes_through_four_states(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = NULL;
    void *seen = NULL;
    self = make(f, record_state, &self);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_CREATED);
    assert_int_equal(kolk_coroutine_next(self, &seen), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)seen, KOLK_COROUTINE_RUNNING);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_SUSPENDED);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_RETURNED);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(self);
    assert_int_equal(kolk_coroutine_get_state(NULL), KOLK_EINVAL);
}

/* What a generator of multiples is made from. */
struct multiples {
    struct fixture *f;
    intptr_t n;
    intptr_t multiply_by;
};

static int generate_multiples(void *userdata, void **ret_result) {
    struct multiples *self = userdata;
    (void)ret_result;
    for (;;) {
        void *sent = NULL;
        self->n *= self->multiply_by;
        int status = kolk_yield(number(self->n), &sent);
        if (status == KOLK_ECANCELED)
            return status;
        if (status < 0)
            record(self->f, "Something went wrong: %s", kolk_error_message(kolk_raised()));
        else if (sent)
            self->multiply_by = (intptr_t)sent;
    }
}

/* Values go in with send() and errors with throw(), and both come out at the yield: 2, 6, 18, 54. */
static void values_and_errors_are_sent_in(void **state) {
    struct fixture *f = *state;
    struct multiples self = {.f = f, .n = 1, .multiply_by = 2};
    kolk_coroutine *g = make(f, generate_multiples, &self);
    void *value = NULL;
    kolk_error *error = NULL;
    assert_yields(g, 2);
    assert_int_equal(kolk_coroutine_send(g, number(3), &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, 6);
    assert_yields(g, 18);
    assert_int_equal(kolk_error_new(KOLK_EINVAL, "Stop it already!", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_throw(g, error, &value), KOLK_COROUTINE_YIELDED);
    kolk_error_unref(error);
    assert_int_equal((intptr_t)value, 54);
    assert_record(f, "Something went wrong: Stop it already!");
    assert_int_equal(kolk_coroutine_close(g), 0);
    assert_int_equal(kolk_coroutine_get_state(g), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(g);
}

/* A coroutine that has not started takes no value: there is no yield that would return it. */
static void nothing_can_be_sent_to_one_that_has_not_started(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *three = make(f, count_to_three, f);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_send(three, f, &value), KOLK_ENOTSTARTED);
    assert_int_equal(kolk_coroutine_get_state(three), KOLK_COROUTINE_CREATED);
    assert_record(f, "");
    assert_int_equal(kolk_coroutine_send(three, NULL, &value), KOLK_COROUTINE_YIELDED);
    assert_int_equal((intptr_t)value, 1);
    kolk_coroutine_unref(three);
}

/* An error thrown into one that has not started ends it, and no code runs. */
static void an_error_thrown_before_the_start_ends_it(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *three = make(f, count_to_three, f);
    assert_int_equal(kolk_coroutine_throw(three, kolk_error_of(KOLK_EPIPE), NULL), KOLK_EPIPE);
    assert_int_equal(kolk_coroutine_get_state(three), KOLK_COROUTINE_CLOSED);
    assert_int_equal(kolk_error_status(kolk_coroutine_error(three)), KOLK_EPIPE);
    assert_record(f, "");
    kolk_coroutine_unref(three);
}

static int fail_with_words(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    int status = kolk_raise(error);
    record(f, "%s", kolk_status_name(status));
    return status;
}

static int fail_without_words(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return KOLK_EBADF;
}

/* One that fails hands its status to who resumed it, and keeps the error: with words if it had some. */
static void a_failure_has_a_status_and_words(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *worded = make(f, fail_with_words, f), *plain = make(f, fail_without_words, f);
    void *value = f;
    assert_int_equal(kolk_coroutine_next(worded, &value), KOLK_EREFUSED);
    assert_ptr_equal(value, f);
    assert_record(f, "KOLK_EREFUSED");
    assert_string_equal(kolk_error_message(kolk_coroutine_error(worded)), "port 81 refused");
    assert_int_equal(kolk_coroutine_next(plain, NULL), KOLK_EBADF);
    assert_int_equal(kolk_error_status(kolk_coroutine_error(plain)), KOLK_EBADF);
    kolk_coroutine_unref(worded);
    kolk_coroutine_unref(plain);
}

static int raise_one_return_another(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "an older story", NULL, &error);
    kolk_raise(error);
    return KOLK_EPIPE;
}

/* Words belong to the status they were raised with: one that fails otherwise later does not inherit them. */
static void words_belong_to_their_status(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, raise_one_return_another, f);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_EPIPE);
    assert_int_equal(kolk_error_status(kolk_coroutine_error(self)), KOLK_EPIPE);
    kolk_coroutine_unref(self);
}

static int raise_nothing(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_raise(NULL);
    record(userdata, "%s %s", kolk_status_name(status), kolk_status_name(kolk_error_status(kolk_raised())));
    return status;
}

/* Raising NULL still is a failure. Outside of a coroutine, raising only drops the error. */
static void raising_null_is_a_failure_without_a_code(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, raise_nothing, f);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_EUNSPECIFIED);
    assert_record(f, "KOLK_EUNSPECIFIED KOLK_EUNSPECIFIED");
    kolk_coroutine_unref(self);

    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EIO, "for nobody", NULL, &error), 0);
    assert_int_equal(kolk_raise(error), KOLK_EIO);
    assert_null(kolk_raised());
}

static int record_thrown(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_yield(NULL, NULL);
    record(userdata, "%s: %s", kolk_status_name(status), kolk_error_message(kolk_raised()));
    return status;
}

/* An error that is thrown in and not caught comes out again, the same object. */
static void an_error_that_is_not_caught_comes_out_again(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, record_thrown, f);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EPIPE, "thrown", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_coroutine_throw(self, error, NULL), KOLK_EPIPE);
    assert_record(f, "KOLK_EPIPE: thrown");
    assert_ptr_equal(kolk_coroutine_error(self), error);
    kolk_error_unref(error);
    kolk_coroutine_unref(self);
}

static int clean_up(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_yield("working", NULL);
    record(userdata, "clean-up(%s)", kolk_status_name(status));
    return status;
}

/* Closing ends it at its yield, where its clean-up runs; closing twice is fine. */
static void closing_runs_the_clean_up(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, clean_up, f);
    kolk_coroutine_next(self, NULL);
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_record(f, "clean-up(KOLK_ECANCELED)");
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_CLOSED);
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_record(f, "clean-up(KOLK_ECANCELED)");
    kolk_coroutine_unref(self);
}

/* Closing one that never started runs no code. */
static void closing_before_the_start_runs_nothing(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, count_to_three, f);
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_CLOSED);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_EEXITED);
    assert_record(f, "");
    kolk_coroutine_unref(self);
}

static int return_well_when_closed(void *userdata, void **ret_result) {
    (void)userdata;
    kolk_yield(NULL, NULL);
    *ret_result = "ignored";
    return 0;
}

static int fail_when_closed(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_yield(NULL, NULL);
    return KOLK_EIO;
}

/* One that is being closed may return instead of failing; a failure of another kind is told. */
static void closing_tells_of_a_failure_in_the_clean_up(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *well = make(f, return_well_when_closed, NULL), *badly = make(f, fail_when_closed, NULL);
    kolk_coroutine_next(well, NULL);
    kolk_coroutine_next(badly, NULL);
    assert_int_equal(kolk_coroutine_close(well), 0);
    assert_int_equal(kolk_coroutine_close(badly), KOLK_EIO);
    assert_int_equal(kolk_coroutine_get_state(badly), KOLK_COROUTINE_CLOSED);
    kolk_coroutine_unref(well);
    kolk_coroutine_unref(badly);
}

static int refuse_once(void *userdata, void **ret_result) {
    (void)ret_result;
    if (kolk_yield(NULL, NULL) < 0)
        record(userdata, "not yet=%s", kolk_status_name(kolk_yield("still here", NULL)));
    return KOLK_ECANCELED;
}

/* One that yields while it is being closed stays suspended, and can be closed again. */
static void a_yield_during_close_is_an_error(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, refuse_once, f);
    kolk_coroutine_next(self, NULL);
    assert_int_equal(kolk_coroutine_close(self), KOLK_EYIELD);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_SUSPENDED);
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_record(f, "not yet=KOLK_ECANCELED");
    kolk_coroutine_unref(self);
}

/* Dropping the last reference closes it first. */
static void dropping_the_last_reference_closes(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, clean_up, f);
    kolk_coroutine_next(self, NULL);
    assert_ptr_equal(kolk_coroutine_ref(self), self);
    assert_null(kolk_coroutine_unref(self));
    assert_record(f, "");
    assert_null(kolk_coroutine_unref(self));
    assert_record(f, "clean-up(KOLK_ECANCELED)");
}

struct nested_drop {
    kolk_loop *inner;
    kolk_coroutine *coroutine;
};

static void drop_coroutine(void *userdata) {
    struct nested_drop *self = userdata;
    self->coroutine = kolk_coroutine_unref(self->coroutine);
}

static void drop_it_in_the_inner_loop(void *userdata) {
    struct nested_drop *self = userdata;
    kolk_loop_call_soon(self->inner, drop_coroutine, self, NULL, NULL);
    kolk_loop_run_once(self->inner);
}

/* The last reference may be dropped inside a callback of another loop: the clean-up runs all the same. */
static void dropping_inside_of_another_loop_closes(void **state) {
    struct fixture *f = *state;
    struct nested_drop nested = {.coroutine = make(f, clean_up, f)};
    assert_int_equal(kolk_loop_new(NULL, &nested.inner, NULL), 0);
    kolk_coroutine_next(nested.coroutine, NULL);
    assert_int_equal(kolk_loop_call_soon(f->loop, drop_it_in_the_inner_loop, &nested, NULL, NULL), 0);
    drive_once(f);
    assert_record(f, "clean-up(KOLK_ECANCELED)");
    kolk_loop_unref(nested.inner);
}

static int drop_myself(void *userdata, void **ret_result) {
    (void)ret_result;
    struct fixture *f = userdata;
    record(f, "%s", kolk_coroutine_unref(kolk_coroutine_current()) ? "kept" : "dropped");
    record(f, "%s", kolk_status_name(kolk_yield(NULL, NULL)));
    return 0;
}

/* One that drops the last reference to itself lives until who resumed it has it back. */
static void one_may_drop_the_last_reference_to_itself(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, drop_myself, f);
    kolk_coroutine_next(self, NULL);
    assert_record(f, "dropped KOLK_ECANCELED");
}

static int sleep_inside(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_sleep(0)));
    return 0;
}

/* A coroutine that no task drives cannot sleep: nothing would wake it. */
static void without_a_task_nobody_can_sleep(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, sleep_inside, f);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_ENOTASK");
    kolk_coroutine_unref(self);
}

struct owner {
    struct fixture *f;
    int destroyed;
};

static int end_at_once(void *userdata, void **ret_result) {
    struct owner *owner = userdata;
    (void)ret_result;
    record(owner->f, "ran, destroyed %d", owner->destroyed);
    return 0;
}

static void destroy_owner(void *userdata) { ((struct owner *)userdata)->destroyed++; }

/* Its userdata is destroyed once: when it is gone, started or not, or when it could not be made. */
static void userdata_is_destroyed_once(void **state) {
    struct fixture *f = *state;
    struct owner started = {.f = f}, created = {.f = f}, refused = {.f = f};
    kolk_coroutine *self = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, end_at_once, &started, destroy_owner, 0, &self), 0);
    kolk_coroutine_next(self, NULL);
    kolk_coroutine_unref(self);
    assert_record(f, "ran, destroyed 0");
    assert_int_equal(started.destroyed, 1);
    assert_int_equal(kolk_coroutine_new(f->loop, end_at_once, &created, destroy_owner, 0, &self), 0);
    kolk_coroutine_unref(self);
    assert_int_equal(created.destroyed, 1);
    self = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, NULL, &refused, destroy_owner, 0, &self), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_new(f->loop, end_at_once, &refused, destroy_owner, SIZE_MAX, &self), KOLK_ELIMIT);
    assert_int_equal(kolk_coroutine_new(f->loop, end_at_once, &refused, destroy_owner, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_new(NULL, end_at_once, &refused, destroy_owner, 0, &self), KOLK_EINVAL);
    assert_int_equal(refused.destroyed, 4);
    assert_null(self);
}

struct self_test {
    struct fixture *f;
    kolk_coroutine *self;
};

static int resume_myself(void *userdata, void **ret_result) {
    struct self_test *t = userdata;
    (void)ret_result;
    record(t->f, "%s", kolk_status_name(kolk_coroutine_next(t->self, NULL)));
    record(t->f, "%s", kolk_status_name(kolk_coroutine_send(t->self, NULL, NULL)));
    record(t->f, "%s", kolk_status_name(kolk_coroutine_throw(t->self, kolk_error_of(KOLK_EIO), NULL)));
    record(t->f, "%s", kolk_status_name(kolk_coroutine_close(t->self)));
    return 0;
}

/* One that is running cannot be resumed or closed. */
static void a_running_one_cannot_be_resumed(void **state) {
    struct fixture *f = *state;
    struct self_test t = {.f = f};
    t.self = make(f, resume_myself, &t);
    assert_int_equal(kolk_coroutine_next(t.self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY");
    kolk_coroutine_unref(t.self);
}

static int resume_parent(void *userdata, void **ret_result) {
    struct self_test *t = userdata;
    (void)ret_result;
    record(t->f, "state %d %s", kolk_coroutine_get_state(t->self), kolk_status_name(kolk_coroutine_next(t->self, NULL)));
    return 0;
}

static int resume_child(void *userdata, void **ret_result) {
    (void)ret_result;
    kolk_coroutine *child = NULL;
    struct self_test *t = userdata;
    int status = kolk_coroutine_new(t->f->loop, resume_parent, t, NULL, 0, &child);
    if (status == 0)
        status = kolk_coroutine_next(child, NULL);
    kolk_coroutine_unref(child);
    return status;
}

/* One that waits for another one it resumed counts as running. */
static void one_that_resumed_another_counts_as_running(void **state) {
    struct fixture *f = *state;
    struct self_test t = {.f = f};
    t.self = make(f, resume_child, &t);
    assert_int_equal(kolk_coroutine_next(t.self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "state 1 KOLK_EBUSY");
    kolk_coroutine_unref(t.self);
}

struct relay {
    struct fixture *f;
    const char *name;
    kolk_coroutine *next;
};

static int resume_and_yield(void *userdata, void **ret_result) {
    struct relay *self = userdata;
    void *value = "nobody";
    (void)ret_result;
    if (self->next)
        kolk_coroutine_next(self->next, &value);
    record(self->f, "%s<%s", self->name, (char *)value);
    return kolk_yield((void *)self->name, NULL);
}

/* Coroutines of several loops may resume one another, and each yields to the one that resumed it. */
static void coroutines_of_two_loops_resume_one_another(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    struct relay a = {.f = f, .name = "a"}, b = {.f = f, .name = "b"}, c = {.f = f, .name = "c"};
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_coroutine_new(other, resume_and_yield, &b, NULL, 0, &a.next), 0);
    b.next = make(f, resume_and_yield, &c);
    kolk_coroutine *first = make(f, resume_and_yield, &a);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(first, &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "a");
    assert_record(f, "c<nobody b<c a<b");
    kolk_coroutine_unref(first);
    kolk_coroutine_unref(b.next);
    kolk_coroutine_unref(a.next);
    kolk_loop_unref(other);
}

static int check_current(void *userdata, void **ret_result) {
    struct self_test *t = userdata;
    (void)ret_result;
    record(t->f, "%d", kolk_coroutine_current() == t->self);
    int status = kolk_yield(NULL, NULL);
    record(t->f, "%d", kolk_coroutine_current() == t->self);
    return status;
}

/* The current coroutine is the one that is executing. */
static void the_current_one_is_the_one_that_executes(void **state) {
    struct fixture *f = *state;
    struct self_test a = {.f = f}, b = {.f = f};
    a.self = make(f, check_current, &a);
    b.self = make(f, check_current, &b);
    assert_null(kolk_coroutine_current());
    kolk_coroutine_next(a.self, NULL);
    kolk_coroutine_next(b.self, NULL);
    kolk_coroutine_next(a.self, NULL);
    kolk_coroutine_next(b.self, NULL);
    assert_null(kolk_coroutine_current());
    assert_record(f, "1 1 1 1");
    kolk_coroutine_unref(a.self);
    kolk_coroutine_unref(b.self);
}

struct level {
    struct fixture *f;
    int depth;
};

/* Adds one to what the level below yields. */
static int nest(void *userdata, void **ret_result) {
    struct level *self = userdata;
    (void)ret_result;
    struct level below = {.f = self->f, .depth = self->depth - 1};
    if (self->depth == 0)
        return kolk_yield(number(1), NULL);
    kolk_coroutine *inner = NULL;
    int step = kolk_coroutine_new(self->f->loop, nest, &below, NULL, 32 * 1024, &inner);
    void *value = NULL;
    while (step >= 0 && (step = kolk_coroutine_next(inner, &value)) == KOLK_COROUTINE_YIELDED) {
        int status = kolk_yield(number((intptr_t)value + 1), NULL);
        if (status < 0)
            step = status;
    }
    kolk_coroutine_unref(inner);
    return step;
}

/* Five hundred coroutines that each resume the next pass a value up from the innermost. */
static void five_hundred_levels_pass_a_value_up(void **state) {
    struct fixture *f = *state;
    struct level top = {.f = f, .depth = 500};
    kolk_coroutine *outer = make(f, nest, &top);
    assert_yields(outer, 501);
    assert_int_equal(kolk_coroutine_next(outer, NULL), KOLK_COROUTINE_RETURNED);
    kolk_coroutine_unref(outer);

    /* And dropped half-way, every level is cleaned up. */
    outer = make(f, nest, &top);
    assert_yields(outer, 501);
    kolk_coroutine_unref(outer);
}

static int use_stack(void *userdata, void **ret_result) {
    volatile char frame[40 * 1024];
    size_t *total = userdata;
    (void)ret_result;
    for (size_t i = 0; i < sizeof frame; i += 512)
        frame[i] = (char)i;
    int status = kolk_yield(NULL, NULL);
    for (size_t i = 0; i < sizeof frame; i += 512)
        *total += frame[i] == (char)i;
    return status;
}

/* Each has the stack it was promised, and its content survives what the others do. */
static void stacks_are_as_large_as_promised_and_apart(void **state) {
    struct fixture *f = *state;
    size_t totals[20] = {0};
    kolk_coroutine *all[20];
    for (size_t i = 0; i < COUNT(all); i++) {
        assert_int_equal(kolk_coroutine_new(f->loop, use_stack, &totals[i], NULL, i % 2 ? 0 : 256 * 1024, &all[i]), 0);
        assert_int_equal(kolk_coroutine_next(all[i], NULL), KOLK_COROUTINE_YIELDED);
    }
    for (size_t i = 0; i < COUNT(all); i++) {
        assert_int_equal(kolk_coroutine_next(all[i], NULL), KOLK_COROUTINE_RETURNED);
        assert_int_equal(totals[i], 80);
        kolk_coroutine_unref(all[i]);
    }
}

static int round_up(void *userdata, void **ret_result) {
    (void)ret_result;
    fesetround(FE_UPWARD);
    int status = kolk_yield(NULL, NULL);
    record(userdata, "%s", fegetround() == FE_UPWARD ? "up" : "lost");
    fesetround(FE_TONEAREST);
    return status;
}

/* The rounding mode of one does not leak to who resumes it. */
static void the_rounding_mode_is_each_ones_own(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *self = make(f, round_up, f);
    kolk_coroutine_next(self, NULL);
    int outside = fegetround();
    kolk_coroutine_next(self, NULL);
    assert_int_equal(outside, FE_TONEAREST);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_record(f, "up");
    kolk_coroutine_unref(self);
}

static int await_future(void *userdata, void **ret_result) {
    void *result = NULL;
    int status = kolk_await(userdata, &result);
    *ret_result = result;
    return status;
}

/* A coroutine that awaits a future says so to who drives it, and gets the result when it is resumed after that. */
static void awaiting_is_told_to_whoever_drives(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_coroutine *self = make(f, await_future, future);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_AWAITING);
    assert_ptr_equal(value, future);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "tea");
    kolk_coroutine_unref(self);
    kolk_future_unref(future);
}

/* One that is done already is awaited without stopping. */
static void awaiting_what_is_done_does_not_stop(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_future_set_result(future, "tea", NULL);
    kolk_coroutine *self = make(f, await_future, future);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "tea");
    kolk_coroutine_unref(self);
    kolk_future_unref(future);
}

/* Outside of a coroutine nothing can be yielded or awaited. */
static void outside_of_a_coroutine_nothing_stops(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_yield(NULL, NULL), KOLK_ENOTASK);
    assert_int_equal(kolk_await(future, NULL), KOLK_ENOTASK);
    assert_int_equal(kolk_sleep(0), KOLK_ENOTASK);
    assert_null(kolk_raised());
    kolk_future_unref(future);
}

/* A coroutine whose loop is closed cannot go on in the loop's name, but can be let go. */
static void a_coroutine_outlives_its_loop(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *created = make(f, count_to_three, f), *suspended = make(f, clean_up, f), *ended = make(f, clean_up, f);
    kolk_coroutine_next(suspended, NULL);
    kolk_coroutine_next(ended, NULL);
    kolk_coroutine_close(ended);
    clear_record(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_coroutine *refused = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, clean_up, f, NULL, 0, &refused), KOLK_ECLOSED);
    assert_int_equal(kolk_coroutine_get_state(ended), KOLK_COROUTINE_CLOSED);
    assert_null(kolk_coroutine_unref(created));
    assert_null(kolk_coroutine_unref(suspended));
    assert_null(kolk_coroutine_unref(ended));
    assert_record(f, "clean-up(KOLK_ECANCELED)");
}

struct thread_case {
    kolk_coroutine *coroutine;
    int statuses[4];
    kolk_coroutine *kept;
};

static void *resume_elsewhere(void *userdata) {
    struct thread_case *t = userdata;
    t->statuses[0] = kolk_coroutine_next(t->coroutine, NULL);
    t->statuses[1] = kolk_coroutine_send(t->coroutine, NULL, NULL);
    t->statuses[2] = kolk_coroutine_throw(t->coroutine, kolk_error_of(KOLK_EIO), NULL);
    t->statuses[3] = kolk_coroutine_close(t->coroutine);
    t->kept = kolk_coroutine_unref(t->coroutine);
    return NULL;
}

/* A coroutine stays on its thread. */
static void a_wrong_thread_is_refused(void **state) {
    struct fixture *f = *state;
    struct thread_case t = {.coroutine = make(f, count_to_three, f)};
    assert_yields(t.coroutine, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, resume_elsewhere, &t), 0);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < COUNT(t.statuses); i++)
        assert_int_equal(t.statuses[i], KOLK_ETHREAD);
    assert_ptr_equal(t.kept, t.coroutine);
    assert_yields(t.coroutine, 2);
    kolk_coroutine_unref(t.coroutine);
}

/* The lowest and the highest stack. */
struct stacks {
    uintptr_t low, high;
};

static int look_where_it_is(void *userdata, void **ret_result) {
    struct stacks *seen = userdata;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    (void)ret_result;
    seen->low = here < seen->low ? here : seen->low;
    seen->high = here > seen->high ? here : seen->high;
    return kolk_yield(NULL, NULL);
}

/* Ten thousand one after the other live on the stacks of a few. */
static void stacks_are_used_again(void **state) {
    struct fixture *f = *state;
    struct stacks seen = {UINTPTR_MAX, 0};
    for (int i = 0; i < 10000; i++) {
        kolk_coroutine *self = make(f, look_where_it_is, &seen);
        assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
        kolk_coroutine_unref(self);
    }
    assert_true(seen.high - seen.low < 16 * 1024 * 1024);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(next_runs_to_the_following_yield),
        RULE(an_ended_one_stays_ended),
        RULE(it_passes_through_four_states),
        RULE(values_and_errors_are_sent_in),
        RULE(nothing_can_be_sent_to_one_that_has_not_started),
        RULE(an_error_thrown_before_the_start_ends_it),
        RULE(a_failure_has_a_status_and_words),
        RULE(words_belong_to_their_status),
        RULE(raising_null_is_a_failure_without_a_code),
        RULE(an_error_that_is_not_caught_comes_out_again),
        RULE(closing_runs_the_clean_up),
        RULE(closing_before_the_start_runs_nothing),
        RULE(closing_tells_of_a_failure_in_the_clean_up),
        RULE(a_yield_during_close_is_an_error),
        RULE(dropping_the_last_reference_closes),
        RULE(dropping_inside_of_another_loop_closes),
        RULE(one_may_drop_the_last_reference_to_itself),
        RULE(without_a_task_nobody_can_sleep),
        RULE(userdata_is_destroyed_once),
        RULE(a_running_one_cannot_be_resumed),
        RULE(one_that_resumed_another_counts_as_running),
        RULE(coroutines_of_two_loops_resume_one_another),
        RULE(the_current_one_is_the_one_that_executes),
        RULE(five_hundred_levels_pass_a_value_up),
        RULE(stacks_are_as_large_as_promised_and_apart),
        RULE(the_rounding_mode_is_each_ones_own),
        RULE(awaiting_is_told_to_whoever_drives),
        RULE(awaiting_what_is_done_does_not_stop),
        RULE(outside_of_a_coroutine_nothing_stops),
        RULE(a_coroutine_outlives_its_loop),
        RULE(a_wrong_thread_is_refused),
        RULE(stacks_are_used_again),
    };
    return run_plain("coroutine", rules, COUNT(rules));
}
