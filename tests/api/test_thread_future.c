/* Futures for threads, without a loop. The bridges are test_wrap_thread_future.c and test_run_threadsafe.c. */
#include "support/thread_futures.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- Results and waiting ---- */

/* A result is handed to who asks, and destroyed with the future. */
static void a_result_is_handed_to_who_asks(void **state) {
    (void)state;
    int destroyed = 0;
    void *result = NULL;
    kolk_thread_future *future = new_thread_future();
    assert_int_equal(kolk_thread_future_done(future), 0);
    assert_int_equal(kolk_thread_future_set_result(future, &destroyed, count_destroy), 0);
    assert_int_equal(kolk_thread_future_done(future), 1);
    assert_int_equal(kolk_thread_future_cancelled(future), 0);
    assert_int_equal(kolk_thread_future_wait(future, KOLK_NEVER), 0);
    assert_int_equal(kolk_thread_future_result(future, 0, &result), 0);
    assert_ptr_equal(result, &destroyed);
    assert_int_equal(kolk_thread_future_result(future, KOLK_NEVER, NULL), 0);
    assert_null(kolk_thread_future_error(future));
    assert_ptr_equal(kolk_thread_future_ref(future), future);
    assert_null(kolk_thread_future_unref(future));
    assert_int_equal(destroyed, 0);
    assert_null(kolk_thread_future_unref(future));
    assert_int_equal(destroyed, 1);
}

/* An error is raised to who asks, with its words. */
static void an_error_is_raised_to_who_asks(void **state) {
    (void)state;
    kolk_error *error = NULL;
    void *result = NULL;
    kolk_thread_future *future = new_thread_future();
    assert_int_equal(kolk_error_new(KOLK_EIO, "no disk", NULL, &error), 0);
    assert_int_equal(kolk_thread_future_set_error(future, error), 0);
    kolk_error_unref(error);
    assert_int_equal(kolk_thread_future_wait(future, SECOND), 0);
    assert_int_equal(kolk_thread_future_result(future, SECOND, &result), KOLK_EIO);
    assert_null(result);
    assert_string_equal(kolk_error_message(kolk_thread_future_error(future)), "no disk");
    kolk_thread_future_unref(future);
}

/* A cancelled one is done, and says so to who asks. */
static void a_cancelled_future_says_so(void **state) {
    (void)state;
    kolk_thread_future *future = new_thread_future();
    assert_int_equal(kolk_thread_future_cancel(future), 1);
    assert_int_equal(kolk_thread_future_done(future), 1);
    assert_int_equal(kolk_thread_future_cancelled(future), 1);
    assert_int_equal(kolk_thread_future_wait(future, SECOND), 0);
    assert_int_equal(kolk_thread_future_result(future, SECOND, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_error_status(kolk_thread_future_error(future)), KOLK_ECANCELED);
    kolk_thread_future_unref(future);
}

/* A future that is done refuses another outcome, and what it was given is released. */
static void the_second_outcome_is_refused(void **state) {
    (void)state;
    void (*const ways[])(kolk_thread_future *) = {finish_with_result, finish_with_error, finish_by_cancelling};
    const int outcomes[] = {0, KOLK_EIO, KOLK_ECANCELED};
    for (size_t i = 0; i < COUNT(ways); i++) {
        int destroyed = 0;
        kolk_error *error = NULL;
        kolk_thread_future *future = new_thread_future();
        ways[i](future);
        assert_int_equal(kolk_error_new(KOLK_ENOENT, "late", NULL, &error), 0);
        assert_int_equal(kolk_thread_future_set_result(future, &destroyed, count_destroy), KOLK_EALREADY);
        assert_int_equal(destroyed, 1);
        assert_int_equal(kolk_thread_future_set_error(future, error), KOLK_EALREADY);
        assert_int_equal(kolk_thread_future_cancel(future), 0);
        assert_int_equal(kolk_thread_future_result(future, 0, NULL), outcomes[i]);
        kolk_error_unref(error);
        kolk_thread_future_unref(future);
    }
}

/* A thread that waits 50 ms for what does not come is told so, not earlier, and the future goes on. */
static void a_wait_ends_when_its_time_is_up(void **state) {
    (void)state;
    struct waiter waiter = {.future = new_thread_future(), .timeout = 50 * MS};
    pthread_join(start_thread(wait_in_thread, &waiter), NULL);
    assert_int_equal(waiter.status, KOLK_ETIMEDOUT);
    assert_true(waiter.took >= 50 * MS);
    assert_int_equal(kolk_thread_future_done(waiter.future), 0);
    assert_int_equal(kolk_thread_future_set_result(waiter.future, NULL, NULL), 0);
    assert_int_equal(kolk_thread_future_wait(waiter.future, 50 * MS), 0);
    kolk_thread_future_unref(waiter.future);
}

/* A look at a pending future does not block. */
static void a_look_does_not_block(void **state) {
    (void)state;
    kolk_thread_future *future = new_thread_future();
    int64_t began = now_ns();
    assert_int_equal(kolk_thread_future_wait(future, 0), KOLK_ETIMEDOUT);
    assert_int_equal(kolk_thread_future_wait(future, INT64_MIN), KOLK_ETIMEDOUT);
    assert_int_equal(kolk_thread_future_result(future, 0, NULL), KOLK_ETIMEDOUT);
    assert_null(kolk_thread_future_error(future));
    assert_true(now_ns() - began < SECOND);
    kolk_thread_future_unref(future);
}

/* All who wait go on when it is done, however long they would have waited. */
static void everyone_who_waits_goes_on(void **state) {
    (void)state;
    void (*const ways[])(kolk_thread_future *) = {finish_with_result, finish_with_error, finish_by_cancelling};
    const int outcomes[] = {0, KOLK_EIO, KOLK_ECANCELED};
    const int64_t timeouts[] = {KOLK_NEVER, KOLK_NEVER - 1, 30 * SECOND, KOLK_NEVER / 2};
    for (size_t way = 0; way < COUNT(ways); way++) {
        kolk_thread_future *future = new_thread_future();
        struct waiter waiters[COUNT(timeouts)];
        pthread_t threads[COUNT(timeouts)];
        for (size_t i = 0; i < COUNT(timeouts); i++) {
            waiters[i] = (struct waiter){.future = future, .timeout = timeouts[i]};
            threads[i] = start_thread(wait_in_thread, &waiters[i]);
        }
        pause_ms(5);
        ways[way](future);
        for (size_t i = 0; i < COUNT(timeouts); i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(waiters[i].status, outcomes[way]);
        }
        kolk_thread_future_unref(future);
    }
}

/* Once it is running it cannot be cancelled; one that was cancelled is not begun. */
static void a_running_future_is_not_cancelled(void **state) {
    (void)state;
    kolk_thread_future *future = new_thread_future();
    assert_int_equal(kolk_thread_future_running(future), 0);
    assert_int_equal(kolk_thread_future_set_running(future), 0);
    assert_int_equal(kolk_thread_future_running(future), 1);
    assert_int_equal(kolk_thread_future_set_running(future), KOLK_EALREADY);
    assert_int_equal(kolk_thread_future_cancel(future), 0);
    assert_int_equal(kolk_thread_future_done(future), 0);
    assert_int_equal(kolk_thread_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(kolk_thread_future_running(future), 0);
    assert_int_equal(kolk_thread_future_set_running(future), KOLK_EALREADY);
    kolk_thread_future_unref(future);

    future = new_thread_future();
    assert_int_equal(kolk_thread_future_cancel(future), 1);
    assert_int_equal(kolk_thread_future_set_running(future), KOLK_ECANCELED);
    kolk_thread_future_unref(future);
}

/* ---- Callbacks ---- */

struct listener {
    char *record;
    const char *name;
    pthread_t thread;
    kolk_thread_future *drop; /* Dropped by the callback. */
    int calls;
};

static void note(kolk_thread_future *future, void *userdata) {
    struct listener *self = userdata;
    self->calls++;
    self->thread = pthread_self();
    strcat(self->record, self->name);
    strcat(self->record, kolk_thread_future_done(future) == 1 ? "" : "?");
    self->drop = kolk_thread_future_unref(self->drop);
}

static void note_end(void *userdata) {
    struct listener *self = userdata;
    strcat(self->record, "~");
}

static void listen_to(kolk_thread_future *future, struct listener *listener) {
    assert_int_equal(kolk_thread_future_add_done_callback(future, note, listener, note_end), 0);
}

/* Callbacks are called in the order in which they were added, on the thread that finishes the future. */
static void callbacks_are_called_in_order_by_who_finishes(void **state) {
    (void)state;
    char record[32] = "";
    struct listener a = {.record = record, .name = "a"}, b = {.record = record, .name = "b"},
                    c = {.record = record, .name = "c"};
    kolk_thread_future *future = new_thread_future();
    listen_to(future, &a);
    listen_to(future, &b);
    listen_to(future, &c);
    pthread_t thread = start_thread(set_result_in_thread, future);
    assert_int_equal(kolk_thread_future_wait(future, KOLK_NEVER), 0);
    pthread_join(thread, NULL);
    assert_string_equal(record, "a~b~c~");
    assert_true(pthread_equal(a.thread, thread) && pthread_equal(b.thread, thread) && pthread_equal(c.thread, thread));
    kolk_thread_future_unref(future);
    assert_string_equal(record, "a~b~c~");
}

/* Cancelling calls them too, before it returns. */
static void cancelling_calls_the_callbacks(void **state) {
    (void)state;
    char record[32] = "";
    struct listener a = {.record = record, .name = "a"};
    kolk_thread_future *future = new_thread_future();
    listen_to(future, &a);
    assert_int_equal(kolk_thread_future_cancel(future), 1);
    assert_string_equal(record, "a~");
    assert_int_equal(kolk_thread_future_cancel(future), 0);
    kolk_thread_future_unref(future);
    assert_string_equal(record, "a~");
}

/* A callback added to a future that is done is called at once, on the thread that adds it. */
static void a_late_callback_is_called_at_once(void **state) {
    (void)state;
    char record[32] = "";
    struct listener a = {.record = record, .name = "a"};
    kolk_thread_future *future = new_thread_future();
    pthread_join(start_thread(set_result_in_thread, future), NULL);
    a.drop = future;
    listen_to(future, &a);
    assert_string_equal(record, "a~");
    assert_true(pthread_equal(a.thread, pthread_self()));
}

/* A callback may drop the last reference; the others are called all the same. */
static void a_callback_may_drop_the_future(void **state) {
    (void)state;
    char record[32] = "";
    kolk_thread_future *future = new_thread_future();
    struct listener a = {.record = record, .name = "a", .drop = future}, b = {.record = record, .name = "b"};
    listen_to(future, &a);
    listen_to(future, &b);
    assert_int_equal(kolk_thread_future_set_result(future, NULL, NULL), 0);
    assert_string_equal(record, "a~b~");
}

/* The callbacks of a future that is dropped while pending are released, and not called. */
static void a_dropped_future_calls_nobody(void **state) {
    (void)state;
    char record[32] = "";
    struct listener a = {.record = record, .name = "a"}, b = {.record = record, .name = "b"};
    kolk_thread_future *future = new_thread_future();
    listen_to(future, &a);
    listen_to(future, &b);
    kolk_thread_future_unref(future);
    assert_string_equal(record, "~~");
}

struct adding {
    struct listener *other;
    char *record;
};

static void add_another(kolk_thread_future *future, void *userdata) {
    struct adding *self = userdata;
    strcat(self->record, "(");
    kolk_thread_future_add_done_callback(future, note, self->other, note_end);
    strcat(self->record, ")");
}

/* A callback that is added by a callback is called at once, before those that wait for their turn. */
static void a_callback_may_add_another(void **state) {
    (void)state;
    char record[32] = "";
    struct listener a = {.record = record, .name = "a"}, b = {.record = record, .name = "b"};
    struct adding adding = {.other = &a, .record = record};
    kolk_thread_future *future = new_thread_future();
    assert_int_equal(kolk_thread_future_add_done_callback(future, add_another, &adding, NULL), 0);
    listen_to(future, &b);
    finish_with_result(future);
    assert_string_equal(record, "(a~)b~");
    kolk_thread_future_unref(future);
}

/* ---- Races ---- */

static void count_call(kolk_thread_future *future, void *userdata) {
    (void)future;
    __atomic_add_fetch(&((struct race *)userdata)->called, 1, __ATOMIC_RELAXED);
}
static void count_release(void *userdata) { __atomic_add_fetch(&((struct race *)userdata)->released, 1, __ATOMIC_RELAXED); }

/* Of a result and a cancellation that come at the same moment one wins, and everybody hears of it once. */
static void a_result_and_a_cancellation_do_not_both_win(void **state) {
    (void)state;
    struct race race = {0};
    pthread_barrier_init(&race.barrier, NULL, 2);
    pthread_t thread = start_thread(set_in_race, &race);
    int late = 0;
    for (int i = 0; i < RACES; i++) {
        race.future = new_thread_future();
        kolk_thread_future_add_done_callback(race.future, count_call, &race, count_release);
        pthread_barrier_wait(&race.barrier);
        int cancelled = kolk_thread_future_cancel(race.future);
        kolk_thread_future_add_done_callback(race.future, count_call, &race, count_release);
        late += kolk_thread_future_result(race.future, KOLK_NEVER, NULL) != (cancelled ? KOLK_ECANCELED : 0);
        race.cancelled += cancelled;
        pthread_barrier_wait(&race.barrier);
        kolk_thread_future_unref(race.future);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&race.barrier);
    assert_int_equal(race.set + race.cancelled, RACES);
    assert_int_equal(race.destroyed, RACES);
    assert_int_equal(race.called, 2 * RACES);
    assert_int_equal(race.released, 2 * RACES);
    assert_int_equal(late, 0);
}

static void *add_in_race(void *userdata) {
    struct race *race = userdata;
    for (int i = 0; i < RACES; i++) {
        pthread_barrier_wait(&race->barrier);
        for (int k = 0; k < 3; k++)
            kolk_thread_future_add_done_callback(race->future, count_call, race, count_release);
        pthread_barrier_wait(&race->barrier);
    }
    return NULL;
}

/* A callback that is added at the moment the future is done is called once, by one thread or the other. */
static void a_callback_added_at_the_end_is_called_once(void **state) {
    (void)state;
    struct race race = {0};
    pthread_barrier_init(&race.barrier, NULL, 2);
    pthread_t thread = start_thread(add_in_race, &race);
    for (int i = 0; i < RACES; i++) {
        race.future = new_thread_future();
        pthread_barrier_wait(&race.barrier);
        kolk_thread_future_set_result(race.future, NULL, NULL);
        pthread_barrier_wait(&race.barrier);
        kolk_thread_future_unref(race.future);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&race.barrier);
    assert_int_equal(race.called, 3 * RACES);
    assert_int_equal(race.released, 3 * RACES);
}

/* ---- Misuse, fork, memory ---- */

/* NULL is no future for threads. */
static void null_is_no_thread_future(void **state) {
    (void)state;
    int gone = 0;
    kolk_thread_future *future = NULL;
    kolk_allocator broken = {.size = sizeof broken};
    assert_int_equal(kolk_thread_future_new(NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_new(&broken, &future), KOLK_EINVAL);
    assert_null(future);
    assert_null(kolk_thread_future_ref(NULL));
    assert_null(kolk_thread_future_unref(NULL));
    assert_int_equal(kolk_thread_future_done(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_cancelled(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_running(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_set_running(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_set_result(NULL, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_set_error(NULL, kolk_error_of(KOLK_EIO)), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_wait(NULL, 0), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_result(NULL, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_error_status(kolk_thread_future_error(NULL)), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_add_done_callback(NULL, note, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(gone, 2);

    future = new_thread_future();
    assert_int_equal(kolk_thread_future_add_done_callback(future, NULL, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(gone, 3);
    assert_int_equal(kolk_thread_future_set_error(future, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_thread_future_done(future), 0);
    kolk_thread_future_unref(future);
}

/* In a child, where nobody is left to finish it, nobody waits: 0, or the number of the check that failed. */
static int use_in_child(kolk_thread_future *future) {
    int gone = 0;
    kolk_thread_future *fresh = NULL;
    const int answers[] = {
        kolk_thread_future_wait(future, KOLK_NEVER),
        kolk_thread_future_result(future, KOLK_NEVER, NULL),
        kolk_thread_future_done(future),
        kolk_thread_future_set_running(future),
        kolk_thread_future_set_result(future, &gone, count_destroy),
        kolk_thread_future_set_error(future, kolk_error_of(KOLK_EIO)),
        kolk_thread_future_cancel(future),
        kolk_thread_future_add_done_callback(future, note, &gone, count_destroy),
        kolk_error_status(kolk_thread_future_error(future)),
    };
    for (size_t i = 0; i < COUNT(answers); i++)
        if (answers[i] != KOLK_EFORKED)
            return (int)i + 1;
    if (gone != 2 || kolk_thread_future_unref(future) != future)
        return 20;
    /* One of the child's own is as good as any. */
    if (kolk_thread_future_new(NULL, &fresh) != 0 || kolk_thread_future_set_result(fresh, NULL, NULL) != 0)
        return 21;
    return kolk_thread_future_wait(fresh, SECOND) == 0 && !kolk_thread_future_unref(fresh) ? 0 : 22;
}

/* A forked child gets an error instead of waiting for a thread that it does not have. */
static void a_forked_child_does_not_wait(void **state) {
    (void)state;
    kolk_thread_future *future = new_thread_future();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(10);
        _exit(use_in_child(future));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(kolk_thread_future_cancel(future), 1);
    kolk_thread_future_unref(future);
}

/* Without memory nothing is made and nothing is kept; finishing takes none. */
static void without_memory_nothing_is_kept(void **state) {
    (void)state;
    struct failing_allocator memory;
    int gone = 0, destroyed = 0;
    kolk_thread_future *future = NULL;
    failing_allocator_init(&memory);
    failing_allocator_arm(&memory, 1, 1);
    assert_int_equal(kolk_thread_future_new(&memory.hook, &future), KOLK_ENOMEM);
    assert_null(future);
    failing_allocator_disarm(&memory);
    assert_int_equal(kolk_thread_future_new(&memory.hook, &future), 0);
    failing_allocator_arm(&memory, 1, 1);
    assert_int_equal(kolk_thread_future_add_done_callback(future, note, &gone, count_destroy), KOLK_ENOMEM);
    assert_int_equal(gone, 1);
    assert_int_equal(failing_allocator_disarm(&memory), 1);
    failing_allocator_arm(&memory, 1, 1);
    assert_int_equal(kolk_thread_future_set_result(future, &destroyed, count_destroy), 0);
    assert_int_equal(kolk_thread_future_wait(future, SECOND), 0);
    kolk_thread_future_unref(future);
    assert_int_equal(destroyed, 1);
    assert_int_equal(failing_allocator_disarm(&memory), 0);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
    assert_int_equal(failing_allocator_mistakes(&memory), 0);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_result_is_handed_to_who_asks),
        RULE(an_error_is_raised_to_who_asks),
        RULE(a_cancelled_future_says_so),
        RULE(the_second_outcome_is_refused),
        RULE(a_wait_ends_when_its_time_is_up),
        RULE(a_look_does_not_block),
        RULE(everyone_who_waits_goes_on),
        RULE(a_running_future_is_not_cancelled),
        RULE(callbacks_are_called_in_order_by_who_finishes),
        RULE(cancelling_calls_the_callbacks),
        RULE(a_late_callback_is_called_at_once),
        RULE(a_callback_may_drop_the_future),
        RULE(a_dropped_future_calls_nobody),
        RULE(a_callback_may_add_another),
        RULE(a_result_and_a_cancellation_do_not_both_win),
        RULE(a_callback_added_at_the_end_is_called_once),
        RULE(null_is_no_thread_future),
        RULE(a_forked_child_does_not_wait),
        RULE(without_memory_nothing_is_kept),
    };
    return run_bare("thread future", rules, COUNT(rules));
}
