/* Calls that were asked for and can still be taken back. */
#include "support/driver.h"

#include <pthread.h>

/* A call made with call_soon has no time; one made for later has the one it is due at. */
static void a_handle_knows_when_its_call_is_due(void **state) {
    struct fixture *f = *state;
    kolk_handle *soon = NULL, *later = NULL, *at = NULL;
    int64_t before = kolk_loop_time(f->loop);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "soon"), NULL, &soon), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, say, word(f, "later"), NULL, &later), 0);
    assert_int_equal(kolk_loop_call_at(f->loop, before + 3 * SECOND, say, word(f, "at"), NULL, &at), 0);
    int64_t after = kolk_loop_time(f->loop);

    assert_true(kolk_handle_when(soon) == 0);
    assert_true(kolk_handle_when(later) >= before + SECOND && kolk_handle_when(later) <= after + SECOND);
    assert_true(kolk_handle_when(at) == before + 3 * SECOND);
    kolk_handle_unref(soon);
    kolk_handle_unref(later);
    kolk_handle_unref(at);
}

/* A call can be taken back once. */
static void a_call_is_cancelled_once(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, say, word(f, "a"), unsay, &handle), 0);
    assert_int_equal(kolk_handle_cancelled(handle), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    assert_int_equal(kolk_handle_cancelled(handle), 1);
    assert_int_equal(kolk_handle_cancel(handle), KOLK_EALREADY);
    assert_record(f, "~a");
    kolk_handle_unref(handle);
}

/* A call that was made cannot be taken back, and does not count as cancelled. */
static void a_call_that_was_made_cannot_be_cancelled(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "a"), unsay, &handle), 0);
    drive_once(f);
    assert_int_equal(kolk_handle_cancel(handle), KOLK_EALREADY);
    assert_int_equal(kolk_handle_cancelled(handle), 0);
    assert_record(f, "a ~a");
    kolk_handle_unref(handle);
}

/* Dropping a handle does not cancel the call. */
static void dropping_a_handle_does_not_cancel(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "soon"), NULL, &handle), 0);
    assert_null(kolk_handle_unref(handle));
    assert_int_equal(kolk_loop_call_later(f->loop, MS, say, word(f, "later"), NULL, &handle), 0);
    assert_null(kolk_handle_unref(handle));
    drive_during(f, 4 * MS);
    assert_record(f, "soon later");
}

/* A handle outlives its call and its loop. */
static void a_handle_outlives_its_loop(void **state) {
    struct fixture *f = *state;
    kolk_handle *pending = NULL, *called = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "called"), NULL, &called), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, say, word(f, "pending"), unsay, &pending), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "called ~pending");
    assert_true(kolk_handle_cancel(pending) < 0);
    assert_int_equal(kolk_handle_cancel(called), KOLK_EALREADY);
    f->loop = kolk_loop_unref(f->loop);
    assert_ptr_equal(kolk_handle_ref(called), called);
    assert_null(kolk_handle_unref(called));
    assert_null(kolk_handle_unref(called));
    assert_null(kolk_handle_unref(pending));
}

struct cancelled_by_destroy {
    struct fixture *f;
    kolk_handle *other;
};

static void cancel_other(void *userdata) {
    struct cancelled_by_destroy *self = userdata;
    record(self->f, "%d", kolk_handle_cancel(self->other));
}

/* A destroy function may cancel further calls. */
static void a_destroy_function_may_cancel_others(void **state) {
    struct fixture *f = *state;
    struct cancelled_by_destroy self = {.f = f};
    kolk_handle *first = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, &self, cancel_other, &first), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "b"), unsay, &self.other), 0);
    assert_int_equal(kolk_handle_cancel(first), 0);
    assert_record(f, "~b 0");
    kolk_handle_unref(first);
    kolk_handle_unref(self.other);
}

static void *drop_elsewhere(void *userdata) {
    kolk_handle **handle = userdata;
    *handle = kolk_handle_unref(*handle);
    return NULL;
}

/* A handle is dropped on the loop's thread; another one gets it back. */
static void a_wrong_thread_keeps_the_handle(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, say, word(f, "a"), NULL, &handle), 0);
    kolk_handle *kept = handle;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drop_elsewhere, &kept), 0);
    pthread_join(thread, NULL);
    assert_ptr_equal(kept, handle);
    assert_null(kolk_handle_unref(handle));
}

/* NULL is no handle. */
static void null_is_no_handle(void **state) {
    (void)state;
    assert_null(kolk_handle_ref(NULL));
    assert_null(kolk_handle_unref(NULL));
    assert_int_equal(kolk_handle_cancel(NULL), KOLK_EINVAL);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_handle_knows_when_its_call_is_due),
        RULE(a_call_is_cancelled_once),
        RULE(a_call_that_was_made_cannot_be_cancelled),
        RULE(dropping_a_handle_does_not_cancel),
        RULE(a_handle_outlives_its_loop),
        RULE(a_destroy_function_may_cancel_others),
        RULE(a_wrong_thread_keeps_the_handle),
        RULE(null_is_no_handle),
    };
    return run_plain("handle", rules, COUNT(rules));
}
