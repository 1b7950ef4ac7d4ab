/* Futures in the order in which they finish. */
#include "support/driver.h"

#include <stdlib.h>

static kolk_completion_queue *new_queue(struct fixture *f) {
    kolk_completion_queue *queue = NULL;
    assert_int_equal(kolk_completion_queue_new(f->loop, &queue), 0);
    assert_non_null(queue);
    return queue;
}

static void add(kolk_completion_queue *queue, kolk_future *future, uint64_t tag) {
    assert_int_equal(kolk_completion_queue_add(queue, future, tag), 0);
}

/* Adds so many pending futures with the tags 1, 2, 3 ... */
static void add_new(struct fixture *f, kolk_completion_queue *queue, kolk_future **ret_futures, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ret_futures[i] = new_future(f);
        add(queue, ret_futures[i], i + 1);
    }
}

static void drop_futures(kolk_future **futures, size_t count) {
    for (size_t i = 0; i < count; i++)
        kolk_future_unref(futures[i]);
}

/* Records the tags of all that are done, with how they ended unless well, and drops them. */
static void record_done(struct fixture *f, kolk_completion_queue *queue) {
    kolk_completion one;
    while (kolk_completion_queue_poll(queue, &one) == 1) {
        int status = kolk_future_result(one.future, NULL);
        record(f, status == 0 ? "%d" : "%d(%s)", (int)one.tag, kolk_status_name(status));
        kolk_future_unref(one.future);
    }
}

/* Completions come in the order in which the futures finished, however they ended. */
static void completions_come_in_the_order_of_finishing(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[4];
    add_new(f, queue, futures, COUNT(futures));
    kolk_future_set_result(futures[2], "tea", NULL);
    kolk_future_set_error(futures[0], kolk_error_of(KOLK_EIO));
    kolk_future_cancel(futures[3]);
    drive_during(f, MS);
    kolk_future_set_result(futures[1], "milk", NULL);
    drive_during(f, MS);
    record_done(f, queue);
    assert_record(f, "3 1(KOLK_EIO) 4(KOLK_ECANCELED) 2");
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* A future that is done when it is added stands in line behind those that finished before. */
static void what_is_done_finishes_when_it_is_added(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2], *done = new_future(f);
    add_new(f, queue, futures, COUNT(futures));
    kolk_future_set_result(done, "tea", NULL);
    kolk_future_set_result(futures[1], "milk", NULL);
    add(queue, done, 9);
    kolk_future_set_result(futures[0], "sugar", NULL);
    drive_during(f, MS);
    record_done(f, queue);
    assert_record(f, "2 9 1");
    drop_futures(futures, COUNT(futures));
    kolk_future_unref(done);
    kolk_completion_queue_unref(queue);
}

/* Each completion is taken once. Until then it is counted. */
static void each_completion_is_taken_once(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2];
    kolk_completion one;
    assert_int_equal(kolk_completion_queue_count(queue), 0);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 0);
    add_new(f, queue, futures, COUNT(futures));
    assert_int_equal(kolk_completion_queue_count(queue), 2);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 0);
    kolk_future_set_result(futures[1], "tea", NULL);
    drive_during(f, MS);
    assert_int_equal(kolk_completion_queue_count(queue), 2);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 1);
    assert_ptr_equal(one.future, futures[1]);
    assert_true(one.tag == 2);
    assert_int_equal(kolk_completion_queue_count(queue), 1);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 0);
    kolk_future_unref(one.future);
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* The same future may be added more than once, and the same tag; each comes back. */
static void one_future_may_be_added_twice(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f), *other = new_queue(f);
    kolk_future *future = new_future(f);
    add(queue, future, 1);
    add(other, future, 7);
    add(queue, future, UINT64_MAX);
    add(queue, future, 1);
    kolk_future_set_result(future, "tea", NULL);
    kolk_future_unref(future);
    drive_during(f, MS);
    record_done(f, other);
    record_done(f, queue);
    assert_record(f, "7 1 -1 1");
    kolk_completion_queue_unref(queue);
    kolk_completion_queue_unref(other);
}

/* The caller gets the queue's reference: with it the result lives. */
static void a_taken_future_belongs_to_the_taker(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = new_future(f);
    kolk_completion one;
    add(queue, future, 1);
    kolk_future_set_result(future, word(f, "tea"), unsay);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 1);
    kolk_completion_queue_unref(queue);
    void *result = NULL;
    assert_int_equal(kolk_future_result(one.future, &result), 0);
    say(result);
    kolk_future_unref(one.future);
    assert_record(f, "tea ~tea");
}

/* Being in a queue is not being read: an error that was dropped with the queue is reported. */
static void errors_stay_unread(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = new_future(f);
    add(queue, future, 1);
    kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "");
    kolk_completion_queue_unref(queue);
    assert_record(f, "unhandled(KOLK_EIO)");
}

/* A queue that is dropped lets go of what is in it, at every stage; pending futures go on. */
static void a_dropped_queue_leaves_its_futures_alone(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[3];
    add_new(f, queue, futures, COUNT(futures));
    kolk_future_set_result(futures[0], "arrived", NULL);
    drive_during(f, MS);
    kolk_future_set_result(futures[1], "on the way", NULL);
    assert_ptr_equal(kolk_completion_queue_ref(queue), queue);
    assert_null(kolk_completion_queue_unref(queue));
    assert_int_equal(kolk_completion_queue_count(queue), 3);
    assert_null(kolk_completion_queue_unref(queue));
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(futures[2]), 0);
    kolk_future_set_result(futures[2], "late", NULL);
    drive_during(f, MS);
    drop_futures(futures, COUNT(futures));
}

/* ---- Tasks that wait ---- */

struct taker {
    struct fixture *f;
    kolk_completion_queue *queue;
    const char *name;
    int64_t timeout_ns;
    int most; /* 0: until it is empty, or fails */
};

static int take(void *userdata, void **ret_result) {
    struct taker *t = userdata;
    (void)ret_result;
    for (int taken = 0; t->most == 0 || taken < t->most; taken++) {
        kolk_completion one;
        int status = kolk_completion_queue_next(t->queue, t->timeout_ns, &one);
        if (status <= 0) {
            record(t->f, "%s:%s", t->name, status == 0 ? "empty" : kolk_status_name(status));
            return status;
        }
        record(t->f, "%s:%d", t->name, (int)one.tag);
        kolk_future_unref(one.future);
    }
    return 0;
}

/* A task takes them one by one, as they finish, and is told when there are no more: as_completed(). */
static void a_task_takes_them_as_they_finish(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[3];
    add_new(f, queue, futures, COUNT(futures));
    struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER};
    kolk_task *task = spawn_with(f, take, &t);
    const int order[] = {2, 0, 1};
    for (size_t i = 0; i < COUNT(order); i++) {
        kolk_future_set_result(futures[order[i]], "tea", NULL);
        drive_during(f, MS);
    }
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a:3 a:1 a:2 a:empty");
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* Tasks are served in the order in which they came, each with one; what is left over can be polled. */
static void tasks_are_served_in_order(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[4];
    add_new(f, queue, futures, COUNT(futures));
    struct taker takers[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    kolk_task *tasks[COUNT(takers)];
    for (size_t i = 0; i < COUNT(takers); i++) {
        takers[i].f = f;
        takers[i].queue = queue;
        takers[i].timeout_ns = KOLK_NEVER;
        takers[i].most = 1;
        tasks[i] = spawn_with(f, take, &takers[i]);
    }
    drive_during(f, MS);
    for (size_t i = COUNT(futures); i > 0; i--)
        kolk_future_set_result(futures[i - 1], "tea", NULL);
    for (size_t i = 0; i < COUNT(takers); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    record_done(f, queue);
    assert_record(f, "a:4 b:3 c:2 1");
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* When the last one was taken, every task that still waits is told that there is nothing left. */
static void all_tasks_hear_that_it_is_empty(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    add_new(f, queue, &future, 1);
    struct taker a = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER}, b = a, c = a;
    b.name = "b";
    c.name = "c";
    kolk_task *tasks[] = {spawn_with(f, take, &a), spawn_with(f, take, &b), spawn_with(f, take, &c)};
    drive_during(f, MS);
    assert_record(f, "");
    kolk_future_set_result(future, "tea", NULL);
    for (size_t i = 0; i < COUNT(tasks); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_record(f, "a:1 a:empty b:empty c:empty");
    kolk_future_unref(future);
    kolk_completion_queue_unref(queue);
}

/* When the time is up a task is told, and nothing is cancelled or lost. */
static void a_time_out_cancels_nothing(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    add_new(f, queue, &future, 1);
    struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = 2 * MS};
    int64_t until = kolk_loop_time(f->loop) + 2 * MS;
    assert_int_equal(run_task(f, take, &t), KOLK_ETIMEDOUT);
    assert_true(kolk_loop_time(f->loop) >= until);
    assert_int_equal(kolk_future_done(future), 0);
    assert_int_equal(kolk_completion_queue_count(queue), 1);
    kolk_future_set_result(future, "tea", NULL);
    drive_during(f, MS);
    record_done(f, queue);
    assert_record(f, "a:KOLK_ETIMEDOUT 1");
    kolk_future_unref(future);
    kolk_completion_queue_unref(queue);
}

/* Without time a task takes what is there, and does not wait. */
static void without_time_only_what_is_there_is_taken(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2];
    add_new(f, queue, futures, COUNT(futures));
    kolk_future_set_result(futures[1], "tea", NULL);
    drive_during(f, MS);
    const int64_t none[] = {0, INT64_MIN};
    for (size_t i = 0; i < COUNT(none); i++) {
        struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = none[i]};
        assert_int_equal(run_task(f, take, &t), KOLK_ETIMEDOUT);
    }
    assert_record(f, "a:2 a:KOLK_ETIMEDOUT a:KOLK_ETIMEDOUT");
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* A task that is cancelled while it waits takes nothing; the next one gets it. */
static void a_cancelled_task_takes_nothing(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    add_new(f, queue, &future, 1);
    struct taker a = {.f = f, .queue = queue, .name = "a", .timeout_ns = 10 * SECOND}, b = a;
    b.name = "b";
    kolk_task *first = spawn_with(f, take, &a), *second = spawn_with(f, take, &b);
    drive_during(f, MS);
    assert_int_equal(kolk_task_cancel(first), 1);
    assert_int_equal(join(f, first), KOLK_ECANCELED);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(join(f, second), 0);
    assert_record(f, "a:KOLK_ECANCELED b:1 b:empty");
    kolk_future_unref(future);
    kolk_completion_queue_unref(queue);
}

struct cancelling {
    struct fixture *f;
    kolk_task *task;
};

static void cancel_task(kolk_future *future, void *userdata) {
    struct cancelling *c = userdata;
    (void)future;
    record(c->f, "cancel");
    kolk_task_cancel(c->task);
}

/* Cancelled after one was handed to it, but before it ran, a task gives it back: to who waits, and to the front. */
static void what_was_handed_to_a_cancelled_task_is_not_lost(void **state) {
    struct fixture *f = *state;
    for (int others = 0; others < 2; others++) {
        clear_record(f);
        kolk_completion_queue *queue = new_queue(f);
        kolk_future *futures[2];
        add_new(f, queue, futures, COUNT(futures));
        struct taker a = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER}, b = a;
        b.name = "b";
        struct cancelling c = {.f = f, .task = spawn_with(f, take, &a)};
        kolk_task *second = others ? spawn_with(f, take, &b) : NULL;
        drive_during(f, MS);
        /* On the turn after this the completion arrives, is handed over, and this callback runs; then the task would. */
        assert_int_equal(kolk_future_add_done_callback(futures[1], cancel_task, &c, NULL), 0);
        kolk_future_set_result(futures[1], "tea", NULL);
        kolk_future_set_result(futures[0], "milk", NULL);
        assert_int_equal(join(f, c.task), KOLK_ECANCELED);
        if (second)
            assert_int_equal(join(f, second), 0);
        record_done(f, queue);
        assert_int_equal(kolk_completion_queue_count(queue), 0);
        if (second)
            assert_record(f, "cancel a:KOLK_ECANCELED b:1 b:2 b:empty");
        else
            assert_record(f, "cancel a:KOLK_ECANCELED 2 1");
        drop_futures(futures, COUNT(futures));
        kolk_completion_queue_unref(queue);
    }
}

static void cancel_both(kolk_future *future, void *userdata) {
    struct cancelling *both = userdata;
    cancel_task(future, &both[0]);
    cancel_task(future, &both[1]);
}

/* What several cancelled tasks give back stands in the order in which it finished, before what came later. */
static void what_is_given_back_keeps_its_order(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[3];
    add_new(f, queue, futures, COUNT(futures));
    struct taker a = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER}, b = a;
    b.name = "b";
    struct cancelling both[] = {{f, spawn_with(f, take, &a)}, {f, spawn_with(f, take, &b)}};
    drive_during(f, MS);
    assert_int_equal(kolk_future_add_done_callback(futures[2], cancel_both, both, NULL), 0);
    for (size_t i = 0; i < COUNT(futures); i++)
        kolk_future_set_result(futures[i], "tea", NULL);
    assert_int_equal(join(f, both[0].task), KOLK_ECANCELED);
    assert_int_equal(join(f, both[1].task), KOLK_ECANCELED);
    record_done(f, queue);
    assert_record(f, "cancel cancel a:KOLK_ECANCELED b:KOLK_ECANCELED 1 2 3");
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* Outside of a task nobody can wait. */
static void outside_of_a_task_nobody_can_wait(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    kolk_completion one;
    add_new(f, queue, &future, 1);
    assert_int_equal(kolk_completion_queue_next(queue, KOLK_NEVER, &one), KOLK_ENOTASK);
    assert_int_equal(kolk_completion_queue_count(queue), 1);
    kolk_future_unref(future);
    kolk_completion_queue_unref(queue);
}

/* A task that waits keeps the queue, should everybody else drop it. */
static void a_waiting_task_keeps_the_queue(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    add_new(f, queue, &future, 1);
    struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER, .most = 1};
    kolk_task *task = spawn_with(f, take, &t);
    drive_during(f, MS);
    kolk_completion_queue_unref(queue);
    kolk_future_set_result(future, "tea", NULL);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a:1");
    kolk_future_unref(future);
}

/* ---- Futures that wait ---- */

static kolk_future *next_async(kolk_completion_queue *queue) {
    kolk_future *next = NULL;
    assert_int_equal(kolk_completion_queue_next_async(queue, &next), 0);
    assert_non_null(next);
    return next;
}

/* The future of the next one is done when there is something to take, and takes nothing. */
static void the_next_future_says_that_there_is_something(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2], *early = next_async(queue), *another = next_async(queue);
    add_new(f, queue, futures, COUNT(futures));
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(early), 0);
    kolk_future_set_result(futures[1], "tea", NULL);
    drive_until(f, early);
    drive_until(f, another);
    kolk_future *late = next_async(queue);
    assert_int_equal(kolk_future_done(late), 1);
    record_done(f, queue);
    assert_record(f, "2");
    kolk_future *later = next_async(queue);
    assert_int_equal(kolk_future_done(later), 0);
    kolk_future_unref(early);
    kolk_future_unref(another);
    kolk_future_unref(late);
    kolk_future_unref(later);
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* A task that waits comes first: while it takes what arrives, there is nothing to be told of. */
static void a_waiting_task_comes_before_futures(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2], *next = next_async(queue);
    add_new(f, queue, futures, COUNT(futures));
    struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = KOLK_NEVER, .most = 1};
    kolk_task *task = spawn_with(f, take, &t);
    drive_during(f, MS);
    kolk_future_set_result(futures[0], "tea", NULL);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(kolk_future_done(next), 0);
    kolk_future_set_result(futures[1], "milk", NULL);
    drive_until(f, next);
    record_done(f, queue);
    assert_record(f, "a:1 2");
    kolk_future_unref(next);
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* It can be cancelled and dropped like any future, and keeps the queue as long as it lives. */
static void the_next_future_may_be_cancelled_and_dropped(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL, *cancelled = next_async(queue), *kept = next_async(queue);
    add_new(f, queue, &future, 1);
    kolk_future_unref(next_async(queue));
    assert_int_equal(kolk_future_cancel(cancelled), 1);
    assert_int_equal(kolk_future_cancelled(cancelled), 1);
    kolk_completion_queue_unref(queue);
    kolk_future_set_result(future, "tea", NULL);
    drive_until(f, kept);
    assert_int_equal(kolk_future_result(kept, NULL), 0);
    kolk_future_unref(cancelled);
    kolk_future_unref(kept);
    kolk_future_unref(future);
}

/* ---- Callbacks, the end of the loop, of memory, and misuse ---- */

static void drop_queue(void *userdata) {
    kolk_completion_queue **queue = userdata;
    *queue = kolk_completion_queue_unref(*queue);
}

/* A result that is released when the queue lets go of it may use the queue, and drop it. */
static void what_is_released_may_use_the_queue(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *future = NULL;
    kolk_completion one;
    add_new(f, queue, &future, 1);
    kolk_future_set_result(future, &queue, drop_queue);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_int_equal(kolk_completion_queue_poll(queue, &one), 1);
    kolk_future_unref(one.future);
    assert_null(queue);
}

/* When the loop is closed, what is done can still be taken; what is pending has left, and who waits is cancelled. */
static void closing_the_loop_leaves_what_is_done(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f), *other = new_queue(f);
    kolk_future *futures[3], *pending = NULL;
    add_new(f, queue, futures, COUNT(futures));
    add_new(f, other, &pending, 1);
    kolk_future *next = next_async(other);
    struct taker t = {.f = f, .queue = other, .name = "a", .timeout_ns = 10 * SECOND};
    kolk_task *task = spawn_with(f, take, &t);
    kolk_future_set_result(futures[2], "arrived", NULL);
    drive_during(f, MS);
    kolk_future_set_result(futures[0], "on the way", NULL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_future_cancelled(next), 1);
    assert_int_equal(kolk_completion_queue_count(queue), 2);
    assert_int_equal(kolk_completion_queue_count(other), 0);
    record_done(f, queue);
    assert_record(f, "a:KOLK_ECANCELED 3 1");
    assert_int_equal(kolk_future_done(futures[1]), 0);
    assert_int_equal(kolk_completion_queue_add(queue, futures[1], 1), KOLK_ECLOSED);
    assert_int_equal(kolk_completion_queue_next_async(queue, &(kolk_future *){NULL}), KOLK_ECLOSED);
    kolk_task_unref(task);
    kolk_future_unref(next);
    kolk_future_unref(pending);
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
    kolk_completion_queue_unref(other);
}

/* A queue that nobody drops before the loop is closed may be dropped after it, full. */
static void a_full_queue_may_outlive_the_loop(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f);
    kolk_future *futures[2];
    add_new(f, queue, futures, COUNT(futures));
    kolk_future_set_result(futures[0], word(f, "tea"), unsay);
    drive_during(f, MS);
    drop_futures(futures, COUNT(futures));
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "");
    kolk_completion_queue_unref(queue);
    assert_record(f, "~tea");
}

static int take_without_memory(void *userdata, void **ret_result) {
    struct taker *t = userdata;
    failing_allocator_arm(&t->f->memory, 1, 1);
    int status = take(t, ret_result);
    failing_allocator_disarm(&t->f->memory);
    return status;
}

/* Adding takes memory; finishing, waiting and taking do not. */
static void only_adding_takes_memory(void **state) {
    struct fixture *f = *state;
    kolk_completion_queue *queue = new_queue(f), *none = NULL;
    kolk_future *futures[2], *more = new_future(f), *next = NULL;
    add_new(f, queue, futures, COUNT(futures));
    failing_allocator_arm(&f->memory, 1, 1);
    int added = kolk_completion_queue_add(queue, more, 3);
    int waited = kolk_completion_queue_next_async(queue, &next);
    int made = kolk_completion_queue_new(f->loop, &none);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(added, KOLK_ENOMEM);
    assert_int_equal(waited, KOLK_ENOMEM);
    assert_int_equal(made, KOLK_ENOMEM);
    assert_int_equal(kolk_completion_queue_count(queue), 2);

    struct taker t = {.f = f, .queue = queue, .name = "a", .timeout_ns = 10 * SECOND, .most = 2};
    kolk_task *task = spawn_with(f, take_without_memory, &t);
    drive_once(f);
    kolk_future_set_result(futures[1], "tea", NULL);
    kolk_future_cancel(futures[0]);
    while (!kolk_task_done(task) && drive_once(f) >= 0)
        ;
    assert_int_equal(f->memory.failures, 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a:2 a:1");
    kolk_future_unref(more);
    drop_futures(futures, COUNT(futures));
    kolk_completion_queue_unref(queue);
}

/* A thousand come in the order in which they finish. */
static void a_thousand_come_in_order(void **state) {
    struct fixture *f = *state;
    enum { MANY = 1000, STEP = 7 };
    kolk_completion_queue *queue = new_queue(f);
    kolk_future **futures = calloc(MANY, sizeof *futures);
    add_new(f, queue, futures, MANY);
    for (int i = 0; i < MANY; i++)
        kolk_future_set_result(futures[i * STEP % MANY], NULL, NULL);
    drive_during(f, MS);
    int wrong = 0;
    for (int i = 0; i < MANY; i++) {
        kolk_completion one = {NULL, 0};
        int status = kolk_completion_queue_poll(queue, &one);
        wrong += status != 1 || one.tag != (uint64_t)(i * STEP % MANY) + 1;
        kolk_future_unref(one.future);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(kolk_completion_queue_count(queue), 0);
    drop_futures(futures, MANY);
    free(futures);
    kolk_completion_queue_unref(queue);
}

/* NULL and futures of other loops are refused. */
static void what_cannot_be_added_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other_loop = NULL;
    kolk_completion_queue *queue = new_queue(f), *none = NULL;
    kolk_future *foreign = NULL, *next = NULL;
    kolk_completion one;
    assert_int_equal(kolk_loop_new(NULL, &other_loop, NULL), 0);
    assert_int_equal(kolk_future_new(other_loop, &foreign), 0);
    assert_int_equal(kolk_completion_queue_add(queue, foreign, 1), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_add(queue, NULL, 1), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_add(NULL, foreign, 1), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_poll(queue, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_poll(NULL, &one), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_next(queue, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_next(NULL, 0, &one), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_next_async(queue, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_next_async(NULL, &next), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_count(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_new(f->loop, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_completion_queue_new(NULL, &none), KOLK_EINVAL);
    assert_null(kolk_completion_queue_ref(NULL));
    assert_null(kolk_completion_queue_unref(NULL));
    assert_int_equal(kolk_completion_queue_count(queue), 0);
    assert_null(none);
    kolk_future_unref(foreign);
    kolk_loop_unref(other_loop);
    kolk_completion_queue_unref(queue);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(completions_come_in_the_order_of_finishing),
        RULE(what_is_done_finishes_when_it_is_added),
        RULE(each_completion_is_taken_once),
        RULE(one_future_may_be_added_twice),
        RULE(a_taken_future_belongs_to_the_taker),
        RULE(errors_stay_unread),
        RULE(a_dropped_queue_leaves_its_futures_alone),
        RULE(a_task_takes_them_as_they_finish),
        RULE(tasks_are_served_in_order),
        RULE(all_tasks_hear_that_it_is_empty),
        RULE(a_time_out_cancels_nothing),
        RULE(without_time_only_what_is_there_is_taken),
        RULE(a_cancelled_task_takes_nothing),
        RULE(what_was_handed_to_a_cancelled_task_is_not_lost),
        RULE(what_is_given_back_keeps_its_order),
        RULE(outside_of_a_task_nobody_can_wait),
        RULE(a_waiting_task_keeps_the_queue),
        RULE(the_next_future_says_that_there_is_something),
        RULE(a_waiting_task_comes_before_futures),
        RULE(the_next_future_may_be_cancelled_and_dropped),
        RULE(what_is_released_may_use_the_queue),
        RULE(closing_the_loop_leaves_what_is_done),
        RULE(a_full_queue_may_outlive_the_loop),
        RULE(only_adding_takes_memory),
        RULE(a_thousand_come_in_order),
        RULE(what_cannot_be_added_is_refused),
    };
    return run_matrix("completion_queue", rules, COUNT(rules));
}
