/* At most so many at once. */
#include "support/driver.h"

struct worker {
    struct fixture *f;
    kolk_semaphore *semaphore;
    const char *name;
    int64_t hold_ns;
    int *inside;
    int *most;
};

static kolk_semaphore *new_semaphore(struct fixture *f, uint32_t permits) {
    kolk_semaphore *semaphore = NULL;
    assert_int_equal(kolk_semaphore_new(f->loop, permits, &semaphore), 0);
    return semaphore;
}

static int work(void *userdata, void **ret_result) {
    struct worker *w = userdata;
    (void)ret_result;
    int status = kolk_semaphore_acquire(w->semaphore);
    record(w->f, "%s%s", w->name, status == 0 ? "" : "!");
    if (status < 0)
        return status;
    if (w->inside && ++*w->inside > *w->most)
        *w->most = *w->inside;
    status = kolk_sleep(w->hold_ns);
    if (w->inside)
        --*w->inside;
    kolk_semaphore_release(w->semaphore);
    return status;
}

/* Permits are counted down and up. */
static void permits_are_counted(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 2);
    kolk_future *futures[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(kolk_semaphore_acquire_async(semaphore, &futures[i]), 0);
    drive_until(f, futures[0]);
    drive_until(f, futures[1]);
    assert_int_equal(kolk_future_done(futures[2]), 0);
    assert_int_equal(kolk_semaphore_permits(semaphore), 0);
    assert_int_equal(kolk_semaphore_release(semaphore), 0);
    drive_until(f, futures[2]);
    assert_int_equal(kolk_semaphore_permits(semaphore), 0);
    assert_int_equal(kolk_semaphore_release(semaphore), 0);
    assert_int_equal(kolk_semaphore_release(semaphore), 0);
    assert_int_equal(kolk_semaphore_permits(semaphore), 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kolk_future_result(futures[i], NULL), 0);
        kolk_future_unref(futures[i]);
    }
    kolk_semaphore_unref(semaphore);
}

/* Never more than the permits are inside, and everyone gets in. */
static void never_more_than_the_permits_are_inside(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 3);
    int inside = 0, most = 0;
    struct worker workers[20];
    kolk_task *tasks[COUNT(workers)];
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){.f = f,
                                     .semaphore = semaphore,
                                     .name = ".",
                                     .hold_ns = (int64_t)(i % 3) * MS / 4,
                                     .inside = &inside,
                                     .most = &most};
        tasks[i] = spawn_with(f, work, &workers[i]);
    }
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_int_equal(most, 3);
    assert_int_equal(inside, 0);
    assert_int_equal(kolk_semaphore_permits(semaphore), 3);
    kolk_semaphore_unref(semaphore);
}

/* Those who wait are served in the order they came. */
static void waiters_are_served_in_order(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 1);
    const char *const names[] = {"a", "b", "c", "d", "e"};
    struct worker workers[COUNT(names)];
    kolk_task *tasks[COUNT(names)];
    for (size_t i = 0; i < COUNT(names); i++) {
        workers[i] = (struct worker){.f = f, .semaphore = semaphore, .name = names[i], .hold_ns = MS / 4};
        tasks[i] = spawn_with(f, work, &workers[i]);
    }
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_record(f, "a b c d e");
    kolk_semaphore_unref(semaphore);
}

/* A newcomer does not overtake those who wait, even when a permit was just given back. */
static void a_newcomer_does_not_overtake(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    struct worker first = {.f = f, .semaphore = semaphore, .name = "first"};
    struct worker second = {.f = f, .semaphore = semaphore, .name = "second"};
    kolk_task *a = spawn_with(f, work, &first);
    drive_during(f, MS);
    kolk_task *b = spawn_with(f, work, &second);
    kolk_semaphore_release(semaphore);
    assert_int_equal(join(f, a), 0);
    assert_int_equal(join(f, b), 0);
    assert_record(f, "first second");
    kolk_semaphore_unref(semaphore);
}

/* A waiter that is cancelled takes no permit with it, and the next one gets in. */
static void a_cancelled_waiter_takes_no_permit(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    struct worker first = {.f = f, .semaphore = semaphore, .name = "first"};
    struct worker second = {.f = f, .semaphore = semaphore, .name = "second"};
    kolk_task *a = spawn_with(f, work, &first), *b = spawn_with(f, work, &second);
    drive_during(f, MS);
    kolk_task_cancel(a);
    assert_int_equal(join(f, a), KOLK_ECANCELED);
    kolk_semaphore_release(semaphore);
    assert_int_equal(join(f, b), 0);
    assert_record(f, "first! second");
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    kolk_semaphore_unref(semaphore);
}

/* A waiter that is cancelled after it was handed the permit, but before it ran, loses none: the next one gets in. */
static void a_permit_handed_to_a_cancelled_waiter_is_not_lost(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    struct worker first = {.f = f, .semaphore = semaphore, .name = "first"};
    struct worker second = {.f = f, .semaphore = semaphore, .name = "second"};
    kolk_task *a = spawn_with(f, work, &first), *b = spawn_with(f, work, &second);
    drive_during(f, MS);
    kolk_semaphore_release(semaphore);
    kolk_task_cancel(a);
    int status = join(f, a);
    assert_int_equal(join(f, b), 0);
    assert_int_equal(status, KOLK_ECANCELED);
    assert_record(f, "first! second");
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    kolk_semaphore_unref(semaphore);
}

/* The same for futures that are cancelled while they wait; once one is done, the permit is its owner's to release. */
static void a_cancelled_future_keeps_no_permit(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    kolk_future *first = NULL, *second = NULL;
    assert_int_equal(kolk_semaphore_acquire_async(semaphore, &first), 0);
    assert_int_equal(kolk_semaphore_acquire_async(semaphore, &second), 0);
    assert_int_equal(kolk_future_cancel(first), 1);
    drive_until(f, first);
    kolk_semaphore_release(semaphore);
    assert_int_equal(kolk_future_cancel(second), 0);
    drive_until(f, second);
    assert_int_equal(kolk_semaphore_permits(semaphore), 0);
    kolk_semaphore_release(semaphore);
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    kolk_future_unref(first);
    kolk_future_unref(second);
    kolk_semaphore_unref(semaphore);
}

static int acquire_with_limit(void *userdata, void **ret_result) {
    struct worker *w = userdata;
    (void)ret_result;
    kolk_future *permit = NULL;
    int status = kolk_semaphore_acquire_async(w->semaphore, &permit);
    if (status == 0)
        status = kolk_wait_for(permit, MS, NULL);
    kolk_future_unref(permit);
    return status;
}

/* Waiting for a permit can be given a limit; the permit that comes later is there for others. */
static void waiting_for_a_permit_can_time_out(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    struct worker w = {.f = f, .semaphore = semaphore};
    assert_int_equal(run_task(f, acquire_with_limit, &w), KOLK_ETIMEDOUT);
    kolk_semaphore_release(semaphore);
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    assert_int_equal(run_task(f, acquire_with_limit, &w), 0);
    assert_int_equal(kolk_semaphore_permits(semaphore), 0);
    kolk_semaphore_unref(semaphore);
}

/* There are no more permits than can be counted. */
static void permits_do_not_overflow(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, UINT32_MAX);
    assert_int_equal(kolk_semaphore_release(semaphore), KOLK_ELIMIT);
    assert_true(kolk_semaphore_permits(semaphore) == UINT32_MAX);
    kolk_semaphore_unref(semaphore);
}

/* Waiters of a loop that is closed are cancelled. */
static void closing_the_loop_ends_the_wait(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    struct worker w = {.f = f, .semaphore = semaphore, .name = "waiter"};
    kolk_future *future = NULL;
    assert_int_equal(kolk_semaphore_acquire_async(semaphore, &future), 0);
    kolk_task *task = spawn_with(f, work, &w);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "waiter!");
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    kolk_task_unref(task);
    kolk_future_unref(future);
    assert_null(kolk_semaphore_unref(semaphore));
}

/* A semaphore that is dropped while someone waits stays until that one is through. */
static void a_waiter_may_outlive_its_semaphore(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 0);
    kolk_future *future = NULL;
    assert_int_equal(kolk_semaphore_acquire_async(semaphore, &future), 0);
    assert_ptr_equal(kolk_semaphore_ref(semaphore), semaphore);
    assert_null(kolk_semaphore_unref(semaphore));
    assert_null(kolk_semaphore_unref(semaphore));
    kolk_future_cancel(future);
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(future), 1);
    kolk_future_unref(future);
}

/* Outside of a task nobody can wait; NULL is no semaphore. */
static void what_cannot_be_acquired_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_semaphore *semaphore = new_semaphore(f, 1), *none = NULL;
    kolk_future *future = NULL;
    assert_int_equal(kolk_semaphore_acquire(semaphore), KOLK_ENOTASK);
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    assert_int_equal(kolk_semaphore_acquire_async(semaphore, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_acquire_async(NULL, &future), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_release(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_new(NULL, 1, &none), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_new(f->loop, 1, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_permits(semaphore), 1);
    assert_null(kolk_semaphore_unref(NULL));
    assert_null(kolk_semaphore_ref(NULL));
    kolk_semaphore_unref(semaphore);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(permits_are_counted),
        RULE(never_more_than_the_permits_are_inside),
        RULE(waiters_are_served_in_order),
        RULE(a_newcomer_does_not_overtake),
        RULE(a_cancelled_waiter_takes_no_permit),
        RULE(a_permit_handed_to_a_cancelled_waiter_is_not_lost),
        RULE(a_cancelled_future_keeps_no_permit),
        RULE(waiting_for_a_permit_can_time_out),
        RULE(permits_do_not_overflow),
        RULE(closing_the_loop_ends_the_wait),
        RULE(a_waiter_may_outlive_its_semaphore),
        RULE(what_cannot_be_acquired_is_refused),
    };
    return run_matrix("semaphore", rules, COUNT(rules));
}
