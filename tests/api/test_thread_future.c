/* Futures for threads, and the bridges between them and loops. */
#include "support/driver.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void pause_ms(int ms) { nanosleep(&(struct timespec){.tv_nsec = ms * MS}, NULL); }

static pthread_t start_thread(void *(*fn)(void *), void *userdata) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, userdata), 0);
    return thread;
}

static kolk_thread_future *new_thread_future(void) {
    kolk_thread_future *future = NULL;
    assert_int_equal(kolk_thread_future_new(NULL, &future), 0);
    return future;
}

/* ---- Without a loop: results and waiting ---- */

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

static void finish_with_result(kolk_thread_future *future) { kolk_thread_future_set_result(future, NULL, NULL); }
static void finish_with_error(kolk_thread_future *future) { kolk_thread_future_set_error(future, kolk_error_of(KOLK_EIO)); }
static void finish_by_cancelling(kolk_thread_future *future) { kolk_thread_future_cancel(future); }

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

struct waiter {
    kolk_thread_future *future;
    int64_t timeout;
    int64_t took;
    int status;
    void *result;
};

static void *wait_in_thread(void *userdata) {
    struct waiter *self = userdata;
    int64_t began = now_ns();
    self->status = kolk_thread_future_result(self->future, self->timeout, &self->result);
    self->took = now_ns() - began;
    return NULL;
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

/* ---- Without a loop: callbacks ---- */

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

static void *set_result_in_thread(void *future) {
    pause_ms(5);
    kolk_thread_future_set_result(future, future, NULL);
    return NULL;
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

/* ---- Without a loop: races ---- */

enum { RACES = 3000 };

struct race {
    kolk_thread_future *future;
    pthread_barrier_t barrier;
    int set, cancelled, called, destroyed, released;
};

static void count_call(kolk_thread_future *future, void *userdata) {
    (void)future;
    __atomic_add_fetch(&((struct race *)userdata)->called, 1, __ATOMIC_RELAXED);
}
static void count_release(void *userdata) { __atomic_add_fetch(&((struct race *)userdata)->released, 1, __ATOMIC_RELAXED); }
static void count_destroyed(void *userdata) { __atomic_add_fetch(&((struct race *)userdata)->destroyed, 1, __ATOMIC_RELAXED); }

static void *set_in_race(void *userdata) {
    struct race *race = userdata;
    for (int i = 0; i < RACES; i++) {
        pthread_barrier_wait(&race->barrier);
        kolk_thread_future *mine = kolk_thread_future_ref(race->future);
        race->set += kolk_thread_future_set_result(mine, race, count_destroyed) == 0;
        kolk_thread_future_unref(mine);
        pthread_barrier_wait(&race->barrier);
    }
    return NULL;
}

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

/* ---- Without a loop: misuse, fork, memory ---- */

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

/* ---- A loop waits for a thread ---- */

/* One whose memory is the fixture's. */
static kolk_thread_future *thread_future_of(struct fixture *f) {
    kolk_thread_future *future = NULL;
    assert_int_equal(kolk_thread_future_new(&f->memory.hook, &future), 0);
    return future;
}

static kolk_future *wrap(struct fixture *f, kolk_thread_future *future) {
    kolk_future *wrapped = NULL;
    assert_int_equal(kolk_wrap_thread_future(f->loop, future, &wrapped), 0);
    return wrapped;
}

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

/* ---- A thread waits for a loop ---- */

struct job {
    struct fixture *f;
    kolk_loop *loop;
    kolk_coroutine_fn fn;
    const kolk_task_options *options;
    kolk_thread_future *future;
    int gone; /* How often destroy was called for the task. */
    int began, status, done;
    int result_destroyed;
    void *result;
    char message[32];
    pthread_t ran_on;
};

static void count_job(void *userdata) { __atomic_add_fetch(&((struct job *)userdata)->gone, 1, __ATOMIC_RELAXED); }

static int start_job(struct job *job) {
    return kolk_run_threadsafe(job->loop ? job->loop : job->f->loop, job->fn, job, count_job, job->options, &job->future);
}

static void *run_and_wait(void *userdata) {
    struct job *job = userdata;
    job->status = start_job(job);
    if (job->status == 0) {
        job->status = kolk_thread_future_result(job->future, 30 * SECOND, &job->result);
        snprintf(job->message, sizeof job->message, "%s", kolk_error_message(kolk_thread_future_error(job->future)));
    }
    job->future = kolk_thread_future_unref(job->future);
    __atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int sleep_and_return(void *userdata, void **ret_result) {
    struct job *job = userdata;
    job->began++;
    job->ran_on = pthread_self();
    *ret_result = job;
    return kolk_sleep(MS);
}

static int is_gone(void *job) { return __atomic_load_n(&((struct job *)job)->gone, __ATOMIC_RELAXED); }

/* A thread runs a task on a loop that sleeps, and blocks until it has its result. */
static void a_thread_runs_a_task_and_gets_its_result(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = sleep_and_return};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, 0);
    assert_ptr_equal(job.result, &job);
    assert_true(pthread_equal(job.ran_on, pthread_self()));
    assert_int_equal(job.gone, 1);
}

static int fail_with_words(void *userdata, void **ret_result) {
    kolk_error *error = NULL;
    (void)userdata, (void)ret_result;
    kolk_error_new(KOLK_EREFUSED, "not today", NULL, &error);
    return kolk_raise(error);
}

/* The error of the task is the thread's to handle, with its words, and nobody else is told. */
static void a_thread_gets_the_error_of_its_task(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f, .fn = fail_with_words};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, KOLK_EREFUSED);
    assert_string_equal(job.message, "not today");
    assert_record(f, "");
}

/* If nobody can ask any more, the loop's exception handler is told. */
static void the_error_of_a_task_that_nobody_waits_for_is_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f};
    assert_int_equal(kolk_run_threadsafe(f->loop, fail_with_words, &job, count_job, NULL, NULL), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EREFUSED)");
}

static void record_thread_done(kolk_thread_future *future, void *userdata) {
    record(userdata, "told(%s)", kolk_status_name(kolk_thread_future_result(future, 0, NULL)));
}

/* A callback is somebody who asks, though its future was dropped. */
static void the_error_is_told_to_a_callback(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct job job = {.f = f, .fn = fail_with_words};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_add_done_callback(job.future, record_thread_done, f, NULL), 0);
    kolk_thread_future_unref(job.future);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "told(KOLK_EREFUSED)");
}

static void count_result(void *userdata) {
    __atomic_add_fetch(&((struct job *)userdata)->result_destroyed, 1, __ATOMIC_RELAXED);
}

/* The result is destroyed with the future. */
static void the_result_of_the_task_is_the_futures(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .destroy_result = count_result};
    struct job job = {.f = f, .fn = sleep_and_return, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    void *result = NULL;
    assert_int_equal(kolk_thread_future_result(job.future, KOLK_NEVER, &result), 0);
    assert_ptr_equal(result, &job);
    assert_int_equal(job.result_destroyed, 0);
    kolk_thread_future_unref(job.future);
    assert_int_equal(job.result_destroyed, 1);
}

static int insist(void *userdata, void **ret_result) {
    struct job *job = userdata;
    job->began++;
    *ret_result = job;
    record(job->f, "%s", kolk_status_name(kolk_sleep(1000 * SECOND)));
    return 0;
}

/* A task that returns a result although it was cancelled returns it to nobody, and it is destroyed. */
static void a_result_that_comes_too_late_is_destroyed(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .destroy_result = count_result};
    struct job job = {.f = f, .fn = insist, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_until_count(f, &job.began, 1);
    assert_int_equal(kolk_thread_future_cancel(job.future), 1);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(kolk_thread_future_result(job.future, KOLK_NEVER, NULL), KOLK_ECANCELED);
    assert_int_equal(job.result_destroyed, 1);
    kolk_thread_future_unref(job.future);
    assert_int_equal(job.result_destroyed, 1);
}

/* Not a long sleep: where time is virtual, that is over before the other thread has moved. */
static int wait_for_ever(void *userdata, void **ret_result) {
    struct job *job = userdata;
    kolk_future *never = NULL;
    (void)ret_result;
    kolk_future_new(kolk_loop_current(), &never);
    __atomic_add_fetch(&job->began, 1, __ATOMIC_RELEASE);
    int status = kolk_await(never, NULL);
    kolk_future_unref(never);
    record(job->f, "%s", kolk_status_name(status));
    return status;
}

static void *cancel_when_begun(void *userdata) {
    struct job *job = userdata;
    job->status = start_job(job);
    while (!__atomic_load_n(&job->began, __ATOMIC_ACQUIRE))
        pause_ms(1);
    job->done = kolk_thread_future_cancel(job->future);
    job->status = kolk_thread_future_result(job->future, 0, NULL);
    job->future = kolk_thread_future_unref(job->future);
    return NULL;
}

/* Cancelling from the thread ends its future at once, and cancels the task on the loop. */
static void cancelling_from_the_thread_cancels_the_task(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    pthread_t thread = start_thread(cancel_when_begun, &job);
    drive_for(f, is_gone, &job);
    pthread_join(thread, NULL);
    assert_int_equal(job.done, 1);
    assert_int_equal(job.status, KOLK_ECANCELED);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(job.gone, 1);
}

/* A task that is cancelled before it began is not begun. */
static void a_task_that_is_cancelled_on_its_way_is_not_made(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_cancel(job.future), 1);
    assert_int_equal(job.gone, 0);
    drive_for(f, is_gone, &job);
    assert_int_equal(job.gone, 1);
    assert_int_equal(job.began, 0);
    kolk_thread_future_unref(job.future);
}

static int cancel_me(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    kolk_task_cancel_with(kolk_task_current(), "I had enough");
    return kolk_sleep(SECOND);
}

/* A task that ends as cancelled leaves its future cancelled, with the words there are. */
static void a_cancelled_task_leaves_its_future_cancelled(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = cancel_me};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_cancelled(job.future), 1);
    assert_string_equal(kolk_error_message(kolk_thread_future_error(job.future)), "I had enough");
    kolk_thread_future_unref(job.future);
}

/* A closed loop refuses, and what it was given is released once. */
static void a_closed_loop_refuses(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(start_job(&job), KOLK_ECLOSED);
    assert_int_equal(job.gone, 1);
    assert_null(job.future);
}

static int has_begun(void *job) { return __atomic_load_n(&((struct job *)job)->began, __ATOMIC_ACQUIRE); }

/* A loop that is closed under a task lets the thread go that waits for it. */
static void closing_the_loop_lets_the_waiting_thread_go(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    pthread_t thread = start_thread(run_and_wait, &job);
    drive_for(f, has_begun, &job);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(job.status, KOLK_ECANCELED);
    assert_int_equal(job.gone, 1);
    assert_record(f, "KOLK_ECANCELED");
}

/* So does one that is closed before the task was made. */
static void closing_the_loop_lets_a_thread_go_whose_task_was_not_made(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    struct waiter waiter = {.future = job.future, .timeout = KOLK_NEVER};
    pthread_t thread = start_thread(wait_in_thread, &waiter);
    pause_ms(5);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(waiter.status, KOLK_ECANCELED);
    assert_int_equal(job.gone, 1);
    assert_int_equal(job.began, 0);
    kolk_thread_future_unref(job.future);
}

struct step {
    struct fixture *f;
    const char *text;
    int *count;
};

static void say_step(void *userdata) {
    struct step *self = userdata;
    record(self->f, "%s", self->text);
    ++*self->count;
}

static int run_step(void *userdata, void **ret_result) {
    (void)ret_result;
    say_step(userdata);
    return 0;
}

/* Tasks of one thread begin in their order, a turn after the calls that came with them. */
static void tasks_of_one_thread_begin_in_their_order(void **state) {
    struct fixture *f = *state;
    int count = 0;
    struct step a = {f, "call", &count}, b = {f, "task 1", &count}, c = {f, "task 2", &count}, d = {f, "call", &count};
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say_step, &a, NULL), 0);
    assert_int_equal(kolk_run_threadsafe(f->loop, run_step, &b, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_run_threadsafe(f->loop, run_step, &c, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say_step, &d, NULL), 0);
    drive_until_count(f, &count, 4);
    drive_during(f, MS);
    assert_record(f, "call call task 1 task 2");
}

/* A thread does not wait for a task of its own loop, which nobody would run meanwhile. */
static void the_loops_own_thread_does_not_wait(void **state) {
    struct fixture *f = *state;
    struct job job = {.f = f, .fn = sleep_and_return};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_wait(job.future, KOLK_NEVER), KOLK_EBUSY);
    assert_int_equal(kolk_thread_future_wait(job.future, 1), KOLK_EBUSY);
    assert_int_equal(kolk_thread_future_wait(job.future, 0), KOLK_ETIMEDOUT);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_wait(job.future, KOLK_NEVER), 0);
    kolk_thread_future_unref(job.future);
}

/* A future that a task finishes is finished by nobody else. */
static void only_the_task_finishes_its_future(void **state) {
    struct fixture *f = *state;
    int gone = 0;
    struct job job = {.f = f, .fn = sleep_and_return};
    assert_int_equal(start_job(&job), 0);
    assert_int_equal(kolk_thread_future_set_running(job.future), KOLK_ENOTSUP);
    assert_int_equal(kolk_thread_future_set_result(job.future, &gone, count_destroy), KOLK_ENOTSUP);
    assert_int_equal(gone, 1);
    assert_int_equal(kolk_thread_future_set_error(job.future, kolk_error_of(KOLK_EIO)), KOLK_ENOTSUP);
    drive_for(f, is_gone, &job);
    drive_during(f, MS);
    assert_int_equal(kolk_thread_future_result(job.future, 0, NULL), 0);
    kolk_thread_future_unref(job.future);
}

static int record_name(void *userdata, void **ret_result) {
    struct job *job = userdata;
    (void)ret_result;
    record(job->f, "%s", kolk_task_name(kolk_task_current()));
    return 0;
}

/* The options are copied, names too; a group is none of this thread's. */
static void options_are_copied(void **state) {
    struct fixture *f = *state;
    char name[] = "fetcher";
    kolk_task_options options = {.size = sizeof options, .name = name};
    struct job job = {.f = f, .fn = record_name, .options = &options};
    assert_int_equal(start_job(&job), 0);
    memset(name, 'x', sizeof name);
    memset(&options, 0xff, sizeof options);
    drive_for(f, is_gone, &job);
    assert_record(f, "fetcher");
    kolk_thread_future_unref(job.future);

    options = (kolk_task_options){.size = sizeof options, .group = (kolk_task_group *)&options};
    assert_int_equal(start_job(&job), KOLK_EINVAL);
    options = (kolk_task_options){.size = sizeof options - 1};
    assert_int_equal(start_job(&job), KOLK_EINVAL);
    assert_int_equal(kolk_run_threadsafe(f->loop, NULL, &job, count_job, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_run_threadsafe(NULL, record_name, &job, count_job, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(job.gone, 5);
}

/* A task that cannot be made leaves the reason in the future. */
static void a_task_that_cannot_be_made_leaves_the_reason(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .stack_size = SIZE_MAX / 2};
    struct job job = {.f = f, .fn = sleep_and_return, .options = &options};
    assert_int_equal(start_job(&job), 0);
    drive_for(f, is_gone, &job);
    assert_int_equal(kolk_thread_future_result(job.future, 0, NULL), KOLK_ELIMIT);
    assert_int_equal(job.gone, 1);
    kolk_thread_future_unref(job.future);
}

/* ---- Two loops ---- */

struct other_loop {
    kolk_loop *loop;
    pthread_barrier_t ready;
    kolk_future *end;
};

static void end_other(void *userdata) {
    struct other_loop *self = userdata;
    kolk_future_set_result(self->end, NULL, NULL);
}

static void *run_other(void *userdata) {
    struct other_loop *self = userdata;
    if (kolk_loop_new(NULL, &self->loop, NULL) == 0)
        kolk_future_new(self->loop, &self->end);
    pthread_barrier_wait(&self->ready);
    kolk_loop_run_until_complete(self->loop, self->end);
    kolk_future_unref(self->end);
    kolk_loop_close(self->loop);
    kolk_loop_unref(self->loop);
    return NULL;
}

static int ask_other(void *userdata, void **ret_result) {
    struct job *job = userdata;
    kolk_future *answer = NULL;
    int status = start_job(job);
    if (status == 0)
        status = kolk_wrap_thread_future(job->f->loop, job->future, &answer);
    if (status == 0)
        status = kolk_await(answer, ret_result);
    record(job->f, "%s", kolk_status_name(status));
    kolk_future_unref(answer);
    return status;
}

/* A task of one loop awaits a task of another, on another thread; cancelling reaches across too. */
static void a_task_awaits_a_task_of_another_loop(void **state) {
    struct fixture *f = *state;
    struct other_loop other = {0};
    pthread_barrier_init(&other.ready, NULL, 2);
    pthread_t thread = start_thread(run_other, &other);
    pthread_barrier_wait(&other.ready);
    assert_non_null(other.end);
    kolk_loop_ref(other.loop); /* The one who ends it may still be ringing when it is gone. */

    struct job quick = {.f = f, .loop = other.loop, .fn = sleep_and_return};
    assert_int_equal(run_task(f, ask_other, &quick), 0);
    assert_true(pthread_equal(quick.ran_on, thread));
    kolk_thread_future_unref(quick.future);

    struct fixture elsewhere = {0};
    struct job slow = {.f = f, .loop = other.loop, .fn = wait_for_ever};
    kolk_task *asking = spawn_with(f, ask_other, &slow);
    drive_during(f, MS);
    slow.f = &elsewhere; /* The task over there records there. */
    while (!has_begun(&slow))
        pause_ms(1);
    assert_int_equal(kolk_task_cancel(asking), 1);
    while (!is_gone(&slow))
        pause_ms(1);
    slow.f = f;
    assert_int_equal(join(f, asking), KOLK_ECANCELED);
    kolk_thread_future_unref(slow.future);

    assert_int_equal(kolk_loop_call_soon_threadsafe(other.loop, end_other, &other, NULL), 0);
    pthread_join(thread, NULL);
    kolk_loop_unref(other.loop);
    pthread_barrier_destroy(&other.ready);
    assert_record(f, "KOLK_OK KOLK_ECANCELED");
    assert_string_equal(elsewhere.record, "KOLK_ECANCELED");
}

/* ---- Many at once ---- */

enum { RUNNERS = 3, RUNS = 300 };

struct runner {
    kolk_loop *loop;
    int number;
    int odd; /* Outcomes that should not have been. */
    int gone;
    int *finished;
};

static void count_runner(void *userdata) { __atomic_add_fetch(&((struct runner *)userdata)->gone, 1, __ATOMIC_RELAXED); }

static int sleep_a_moment(void *userdata, void **ret_result) {
    *ret_result = userdata;
    int status = kolk_sleep(0);
    return status < 0 ? status : kolk_sleep(0);
}

static void nothing(void *userdata) { (void)userdata; }

static void *run_often(void *userdata) {
    struct runner *self = userdata;
    for (int i = 0; i < RUNS; i++) {
        kolk_thread_future *future = NULL;
        void *result = NULL;
        if (kolk_run_threadsafe(self->loop, sleep_a_moment, self, count_runner, NULL, &future) != 0) {
            self->odd++;
            continue;
        }
        int cancelled = i % 3 == self->number % 3 ? kolk_thread_future_cancel(future) : 0;
        int status = kolk_thread_future_result(future, 30 * SECOND, &result);
        self->odd += cancelled ? status != KOLK_ECANCELED : status != 0 || result != self;
        kolk_thread_future_unref(future);
    }
    __atomic_add_fetch(self->finished, 1, __ATOMIC_RELEASE);
    kolk_loop_call_soon_threadsafe(self->loop, nothing, NULL, NULL); /* so that the loop looks */
    return NULL;
}

static int are_finished(void *finished) { return __atomic_load_n((int *)finished, __ATOMIC_ACQUIRE) == RUNNERS; }

/* Threads that start, wait for and cancel tasks at the same time get what is theirs. */
static void many_threads_run_tasks_at_once(void **state) {
    struct fixture *f = *state;
    struct runner runners[RUNNERS];
    pthread_t threads[RUNNERS];
    int finished = 0;
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.loop = f->loop, .number = i, .finished = &finished};
        threads[i] = start_thread(run_often, &runners[i]);
    }
    drive_for(f, are_finished, &finished);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    drive_during(f, MS);
    for (int i = 0; i < RUNNERS; i++) {
        assert_int_equal(runners[i].odd, 0);
        assert_int_equal(runners[i].gone, RUNS);
    }
}

/* ---- Without memory ---- */

struct scarce {
    struct fixture *f;
    int gone;
    kolk_thread_future *given, *run;
    kolk_future *wrapped;
};

static int return_at_once(void *userdata, void **ret_result) {
    *ret_result = userdata;
    return 0;
}

static void count_scarce(void *userdata) { ((struct scarce *)userdata)->gone++; }

static void ignore_done(kolk_thread_future *future, void *userdata) { (void)future, (void)userdata; }

/* 0, or the status that stopped it. */
static int use_both_bridges(struct scarce *self) {
    kolk_loop *loop = self->f->loop;
    kolk_task_options options = {.size = sizeof options, .name = "scarce"};
    int status = kolk_thread_future_new(&self->f->memory.hook, &self->given);
    if (status == 0)
        status = kolk_thread_future_add_done_callback(self->given, ignore_done, NULL, NULL);
    if (status == 0)
        status = kolk_wrap_thread_future(loop, self->given, &self->wrapped);
    if (status < 0)
        return status;
    status = kolk_run_threadsafe(loop, return_at_once, self, count_scarce, &options, &self->run);
    kolk_thread_future_set_result(self->given, NULL, NULL);
    while (status == 0 && !(kolk_future_done(self->wrapped) == 1 && kolk_thread_future_done(self->run) == 1))
        status = kolk_loop_dispatch(loop, NULL, NULL);
    return status < 0 ? status : kolk_thread_future_result(self->run, 0, NULL);
}

/* Each allocation fails in turn: somebody is told each time, and nothing is left over. */
static void every_allocation_may_fail(void **state) {
    struct fixture *f = *state;
    size_t n = 0, failures;
    do {
        struct scarce scarce = {.f = f};
        failing_allocator_arm(&f->memory, ++n, 0);
        int status = use_both_bridges(&scarce);
        failures = f->memory.failures;
        failing_allocator_disarm(&f->memory);
        kolk_future_unref(scarce.wrapped);
        kolk_thread_future_unref(scarce.given);
        kolk_thread_future_unref(scarce.run);
        for (int i = 0; i < 3; i++)
            assert_true(kolk_loop_dispatch(f->loop, NULL, NULL) == 0);
        assert_int_equal(status, failures ? KOLK_ENOMEM : 0);
        assert_true(scarce.gone <= 1);
        assert_true(scarce.gone == 1 || !scarce.run);
    } while (failures > 0);
    assert_true(n > 3);
}

/* Finishing, cancelling and closing take no memory. */
static void ending_takes_no_memory(void **state) {
    struct fixture *f = *state;
    kolk_thread_future *set = thread_future_of(f), *cancelled = thread_future_of(f), *left = thread_future_of(f);
    kolk_future *wrapped[3] = {wrap(f, set), wrap(f, cancelled), wrap(f, left)};
    struct job job = {.f = f, .fn = wait_for_ever}, late = {.f = f, .fn = wait_for_ever};
    assert_int_equal(start_job(&job), 0);
    drive_until_count(f, &job.began, 1);
    assert_int_equal(start_job(&late), 0);
    failing_allocator_arm(&f->memory, 1, 1);
    int status = kolk_thread_future_set_result(set, NULL, NULL) + kolk_thread_future_cancel(cancelled);
    int asked = kolk_thread_future_cancel(job.future);
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(f->loop, NULL, NULL);
    int done = kolk_future_done(wrapped[0]) + kolk_future_cancelled(wrapped[1]) + kolk_future_cancel(wrapped[2]);
    int closed = kolk_loop_close(f->loop);
    size_t allocations = f->memory.failures;
    failing_allocator_disarm(&f->memory);
    assert_int_equal(status, 1);
    assert_int_equal(asked, 1);
    assert_int_equal(done, 3);
    assert_int_equal(closed, 0);
    /* The late task is not made: that is what memory was asked for. */
    assert_true(allocations >= 1);
    assert_int_equal(job.gone, 1);
    assert_int_equal(late.gone, 1);
    assert_int_equal(kolk_thread_future_result(late.future, 0, NULL), KOLK_ENOMEM);
    for (int i = 0; i < 3; i++)
        kolk_future_unref(wrapped[i]);
    kolk_thread_future_unref(set);
    kolk_thread_future_unref(cancelled);
    kolk_thread_future_unref(left);
    kolk_thread_future_unref(job.future);
    kolk_thread_future_unref(late.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule bare[] = {
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
        RULE(a_thread_runs_a_task_and_gets_its_result),
        RULE(a_thread_gets_the_error_of_its_task),
        RULE(the_error_of_a_task_that_nobody_waits_for_is_reported),
        RULE(the_error_is_told_to_a_callback),
        RULE(the_result_of_the_task_is_the_futures),
        RULE(a_result_that_comes_too_late_is_destroyed),
        RULE(cancelling_from_the_thread_cancels_the_task),
        RULE(a_task_that_is_cancelled_on_its_way_is_not_made),
        RULE(a_cancelled_task_leaves_its_future_cancelled),
        RULE(a_closed_loop_refuses),
        RULE(closing_the_loop_lets_the_waiting_thread_go),
        RULE(closing_the_loop_lets_a_thread_go_whose_task_was_not_made),
        RULE(tasks_of_one_thread_begin_in_their_order),
        RULE(the_loops_own_thread_does_not_wait),
        RULE(only_the_task_finishes_its_future),
        RULE(options_are_copied),
        RULE(a_task_that_cannot_be_made_leaves_the_reason),
        RULE(a_task_awaits_a_task_of_another_loop),
        RULE(many_threads_run_tasks_at_once),
        RULE(every_allocation_may_fail),
        RULE(ending_takes_no_memory),
    };
    return run_bare("thread future", bare, COUNT(bare)) + run_matrix("thread future and loop", rules, COUNT(rules));
}
