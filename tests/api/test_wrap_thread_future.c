/* Futures for threads that a loop awaits. */
#include "support/thread_futures.h"

struct awaiting {
    struct fixture *f;
    kolk_thread_future *future;
    pthread_t resumed_on;
    void *result;
};

static int await_thread_future(void *userdata, void **ret_result) {
    struct awaiting *self = userdata;
    kolk_future *wrapped = NULL;
    (void)ret_result;
    int status = kolk_wrap_thread_future(self->f->loop, self->future, &wrapped);
    if (status == 0)
        status = kolk_await(wrapped, &self->result);
    self->resumed_on = pthread_self();
    record(self->f, "%s", kolk_status_name(status));
    kolk_future_unref(wrapped);
    return status;
}

/* A thread that finishes the future resumes the task that awaits it, on the loop's thread, and wakes the loop for that. */
static void finishing_on_a_thread_resumes_the_task_on_the_loops_thread(void **state) {
    struct fixture *f = *state;
    struct awaiting awaiting = {.f = f, .future = thread_future_of(f)};
    kolk_task *task = spawn_with(f, await_thread_future, &awaiting);
    pthread_t thread = start_thread(set_result_in_thread, awaiting.future);
    assert_int_equal(join(f, task), 0);
    pthread_join(thread, NULL);
    assert_true(pthread_equal(awaiting.resumed_on, pthread_self()));
    assert_ptr_equal(awaiting.result, awaiting.future);
    assert_record(f, "KOLK_OK");
    kolk_thread_future_unref(awaiting.future);
}

struct inside {
    struct fixture *f;
    kolk_thread_future *pending, *done;
    kolk_future *wrapped;
    int called;
};

static void ask_inside(void *userdata) {
    struct inside *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_future_result(self->wrapped, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_thread_future_result(self->pending, KOLK_NEVER, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_thread_future_wait(self->done, 1)));
    record(self->f, "%s", kolk_status_name(kolk_thread_future_result(self->pending, 0, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_thread_future_result(self->done, 0, NULL)));
    self->called++;
}

/* Inside a loop no call blocks: the loop's future says that it is pending, the thread's that it is no place to wait. */
static void inside_a_loop_nothing_blocks(void **state) {
    struct fixture *f = *state;
    struct inside inside = {.f = f, .pending = thread_future_of(f), .done = thread_future_of(f)};
    inside.wrapped = wrap(f, inside.pending);
    finish_with_result(inside.done);
    int64_t began = now_ns();
    assert_int_equal(kolk_loop_call_soon(f->loop, ask_inside, &inside, NULL, NULL), 0);
    drive_until_count(f, &inside.called, 1);
    assert_true(now_ns() - began < 5 * SECOND);
    assert_record(f, "KOLK_EPENDING KOLK_EBUSY KOLK_EBUSY KOLK_ETIMEDOUT KOLK_OK");
    kolk_future_unref(inside.wrapped);
    kolk_thread_future_unref(inside.pending);
    kolk_thread_future_unref(inside.done);
}

/* What is done when it is wrapped is done at once. */
static void wrapping_a_done_future_is_done_at_once(void **state) {
    struct fixture *f = *state;
    void (*const ways[])(kolk_thread_future *) = {finish_with_result, finish_with_error, finish_by_cancelling};
    const int outcomes[] = {0, KOLK_EIO, KOLK_ECANCELED};
    for (size_t i = 0; i < COUNT(ways); i++) {
        kolk_thread_future *future = thread_future_of(f);
        ways[i](future);
        kolk_future *wrapped = wrap(f, future);
        kolk_thread_future_unref(future);
        assert_int_equal(kolk_future_done(wrapped), 1);
        assert_int_equal(kolk_future_result(wrapped, NULL), outcomes[i]);
        kolk_future_unref(wrapped);
    }
}

struct doomed {
    kolk_thread_future *future;
    kolk_error *error; /* NULL: cancels. */
};

static void *fail_in_thread(void *userdata) {
    struct doomed *self = userdata;
    if (self->error)
        kolk_thread_future_set_error(self->future, self->error);
    else
        kolk_thread_future_cancel(self->future);
    kolk_error_unref(self->error);
    return NULL;
}

/* An error crosses with its words. */
static void an_error_crosses_with_its_words(void **state) {
    struct fixture *f = *state;
    struct doomed doomed = {.future = thread_future_of(f)};
    assert_int_equal(kolk_error_new(KOLK_ENONAME, "no such host", NULL, &doomed.error), 0);
    kolk_future *wrapped = wrap(f, doomed.future);
    pthread_t thread = start_thread(fail_in_thread, &doomed);
    drive_until(f, wrapped);
    pthread_join(thread, NULL);
    kolk_thread_future_unref(doomed.future);
    assert_int_equal(kolk_future_result(wrapped, NULL), KOLK_ENONAME);
    assert_string_equal(kolk_error_message(kolk_future_error(wrapped)), "no such host");
    kolk_future_unref(wrapped);
}

/* The result is kept for the loop's future, when nobody else keeps it. */
static void a_result_lives_as_long_as_the_loops_future(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    void *result = NULL;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *wrapped = wrap(f, future);
    kolk_thread_future_set_result(future, &destroyed, count_destroy);
    kolk_thread_future_unref(future);
    drive_until(f, wrapped);
    assert_int_equal(kolk_future_result(wrapped, &result), 0);
    assert_ptr_equal(result, &destroyed);
    assert_int_equal(destroyed, 0);
    kolk_future_unref(wrapped);
    assert_int_equal(destroyed, 1);
}

static void record_done(kolk_future *future, void *userdata) {
    record(userdata, "done(%s)", kolk_status_name(kolk_future_result(future, NULL)));
}

/* The loop's future need not be kept for its callbacks to be called. */
static void a_dropped_wrapper_calls_its_callbacks(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *wrapped = wrap(f, future);
    assert_int_equal(kolk_future_add_done_callback(wrapped, record_done, f, NULL), 0);
    kolk_future_unref(wrapped);
    kolk_thread_future_set_result(future, NULL, NULL);
    kolk_thread_future_unref(future);
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "done(KOLK_OK)");
}

/* Cancelling the loop's future cancels the thread's. */
static void cancelling_the_loops_future_cancels_the_threads(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *wrapped = wrap(f, future);
    assert_int_equal(kolk_future_set_result(wrapped, NULL, NULL), KOLK_ENOTSUP);
    assert_int_equal(kolk_future_cancel(wrapped), 1);
    assert_int_equal(kolk_future_cancelled(wrapped), 1);
    assert_int_equal(kolk_thread_future_cancelled(future), 1);
    assert_int_equal(kolk_future_cancel(wrapped), 0);
    kolk_future_unref(wrapped);
    kolk_thread_future_unref(future);
}

/* Cancelling the thread's future, on any thread, cancels the loop's. */
static void cancelling_the_threads_future_cancels_the_loops(void **state) {
    struct fixture *f = *state;
    struct doomed doomed = {.future = thread_future_of(f)};
    kolk_future *wrapped = wrap(f, doomed.future);
    pthread_t thread = start_thread(fail_in_thread, &doomed);
    drive_until(f, wrapped);
    pthread_join(thread, NULL);
    assert_int_equal(kolk_future_cancelled(wrapped), 1);
    kolk_future_unref(wrapped);
    kolk_thread_future_unref(doomed.future);
}

/* Cancelling a task cancels what it awaits, on this side and on the other. */
static void cancelling_the_task_cancels_the_threads_future(void **state) {
    struct fixture *f = *state;
    struct awaiting awaiting = {.f = f, .future = thread_future_of(f)};
    kolk_task *task = spawn_with(f, await_thread_future, &awaiting);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(kolk_thread_future_cancelled(awaiting.future), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "KOLK_ECANCELED");
    kolk_thread_future_unref(awaiting.future);
}

/* What is running goes on when the loop's future is cancelled, and its result comes too late for that. */
static void a_running_future_goes_on(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *wrapped = wrap(f, future);
    assert_int_equal(kolk_thread_future_set_running(future), 0);
    assert_int_equal(kolk_future_cancel(wrapped), 1);
    assert_int_equal(kolk_future_cancelled(wrapped), 1);
    assert_int_equal(kolk_thread_future_done(future), 0);
    assert_int_equal(kolk_thread_future_set_result(future, &destroyed, count_destroy), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancelled(wrapped), 1);
    kolk_future_unref(wrapped);
    kolk_thread_future_unref(future);
    assert_int_equal(destroyed, 1);
}

/* Several may wrap one; each hears of it. */
static void several_may_wrap_one(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *all[3] = {wrap(f, future), wrap(f, future), wrap(f, future)}, *gathered = NULL;
    assert_int_equal(kolk_gather(f->loop, all, COUNT(all), 0, &gathered), 0);
    pthread_t thread = start_thread(set_result_in_thread, future);
    drive_until(f, gathered);
    pthread_join(thread, NULL);
    assert_int_equal(kolk_future_result(gathered, NULL), 0);
    kolk_future_unref(gathered);
    for (size_t i = 0; i < COUNT(all); i++)
        kolk_future_unref(all[i]);
    kolk_thread_future_unref(future);
}

/* Closing the loop ends its future and leaves the thread's alone, which may be finished later. */
static void closing_the_loop_leaves_the_threads_future_alone(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *future = thread_future_of(f);
    kolk_future *wrapped = wrap(f, future), *late = NULL;
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_future_cancelled(wrapped), 1);
    assert_int_equal(kolk_thread_future_done(future), 0);
    assert_int_equal(kolk_wrap_thread_future(f->loop, future, &late), KOLK_ECLOSED);
    assert_int_equal(kolk_thread_future_set_result(future, NULL, NULL), 0);
    kolk_future_unref(wrapped);
    kolk_thread_future_unref(future);
}

static void *wrap_in_thread(void *userdata) {
    struct awaiting *self = userdata;
    kolk_future *wrapped = NULL;
    return (void *)(intptr_t)kolk_wrap_thread_future(self->f->loop, self->future, &wrapped);
}

/* The loop's future is made on the loop's thread. */
static void wrapping_on_a_wrong_thread_is_refused(void **state) {
    struct fixture *f = *state;
    struct awaiting awaiting = {.f = f, .future = thread_future_of(f)};
    kolk_future *wrapped = NULL;
    void *status = NULL;
    pthread_join(start_thread(wrap_in_thread, &awaiting), &status);
    assert_int_equal((intptr_t)status, KOLK_ETHREAD);
    assert_int_equal(kolk_wrap_thread_future(NULL, awaiting.future, &wrapped), KOLK_EINVAL);
    assert_int_equal(kolk_wrap_thread_future(f->loop, NULL, &wrapped), KOLK_EINVAL);
    assert_int_equal(kolk_wrap_thread_future(f->loop, awaiting.future, NULL), KOLK_EINVAL);
    assert_null(wrapped);
    kolk_thread_future_unref(awaiting.future);
}

/* The thread's result and the loop's cancellation meet at every possible moment; nothing is lost, and nothing used too late. */
static void a_result_and_a_cancellation_of_the_loops_future_may_meet(void **state) {
    struct fixture *f = *state;
    struct race race = {0};
    int outcomes = 0;
    pthread_barrier_init(&race.barrier, NULL, 2);
    pthread_t thread = start_thread(set_in_race, &race);
    for (int i = 0; i < RACES; i++) {
        race.future = thread_future_of(f);
        kolk_future *wrapped = wrap(f, race.future);
        pthread_barrier_wait(&race.barrier);
        if (i % 3 == 0)
            kolk_loop_dispatch(f->loop, NULL, NULL);
        race.cancelled += kolk_future_cancel(wrapped);
        outcomes += kolk_future_done(wrapped) == 1;
        pthread_barrier_wait(&race.barrier);
        kolk_future_unref(wrapped);
        kolk_thread_future_unref(race.future);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&race.barrier);
    drive_during(f, MS); /* What is still on its way keeps its future. */
    assert_int_equal(outcomes, RACES);
    assert_int_equal(race.destroyed, RACES);
}

/* The thread's result and the end of the loop meet at every possible moment. */
static void a_result_and_the_end_of_the_loop_may_meet(void **state) {
    (void)state;
    struct race race = {0};
    int ended = 0;
    pthread_barrier_init(&race.barrier, NULL, 2);
    pthread_t thread = start_thread(set_in_race, &race);
    for (int i = 0; i < RACES; i++) {
        kolk_loop *loop = NULL;
        kolk_future *wrapped = NULL;
        race.future = new_thread_future();
        int made = kolk_loop_new(NULL, &loop, NULL) == 0 && kolk_wrap_thread_future(loop, race.future, &wrapped) == 0;
        pthread_barrier_wait(&race.barrier);
        kolk_loop_close(loop);
        ended += made && kolk_future_done(wrapped) == 1;
        kolk_future_unref(wrapped);
        kolk_loop_unref(loop);
        pthread_barrier_wait(&race.barrier);
        kolk_thread_future_unref(race.future);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&race.barrier);
    assert_int_equal(ended, RACES);
    assert_int_equal(race.destroyed, RACES);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule bare[] = {
        RULE(a_result_and_the_end_of_the_loop_may_meet),
    };
    static const struct rule rules[] = {
        RULE(finishing_on_a_thread_resumes_the_task_on_the_loops_thread),
        RULE(inside_a_loop_nothing_blocks),
        RULE(wrapping_a_done_future_is_done_at_once),
        RULE(an_error_crosses_with_its_words),
        RULE(a_result_lives_as_long_as_the_loops_future),
        RULE(a_dropped_wrapper_calls_its_callbacks),
        RULE(cancelling_the_loops_future_cancels_the_threads),
        RULE(cancelling_the_threads_future_cancels_the_loops),
        RULE(cancelling_the_task_cancels_the_threads_future),
        RULE(a_running_future_goes_on),
        RULE(several_may_wrap_one),
        RULE(closing_the_loop_leaves_the_threads_future_alone),
        RULE(wrapping_on_a_wrong_thread_is_refused),
        RULE(a_result_and_a_cancellation_of_the_loops_future_may_meet),
    };
    return run_bare("wrap thread future, bare", bare, COUNT(bare)) + run_matrix("wrap thread future", rules, COUNT(rules));
}
