/* Scopes that are cancelled: by edge, which is told once, and by level, where every wait fails until the scope is left, as in
 * trio. */
#include "support/scopes.h"

/* ---- Cancelling a scope ---- */

/* A scope that is cancelled ends what is inside, and the task goes on behind it. */
static void a_scope_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = kinds[i]};
        clear_record(f);
        kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_scope_cancelled(scene.scope), 0);
        assert_int_equal(kolk_scope_cancel(scene.scope), 1);
        assert_int_equal(kolk_scope_cancel(scene.scope), 0);
        assert_int_equal(kolk_scope_cancelled(scene.scope), 1);
        assert_int_equal(kolk_scope_expired(scene.scope), 0);
        assert_int_equal(join(f, task), 0);
        assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
        assert_int_equal(kolk_future_cancelled(scene.future), 1);
        kolk_future_unref(scene.future);
    }
}

static int cancel_oneself(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(KOLK_NEVER, &scope);
    record(f, "%d", kolk_scope_cancel(scope));
    leave_scope(f, "without a wait", scope, 0);
    told(f, "after", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    leave_scope(f, "with one", scope, status);
    told(f, "after", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    leave_scope(f, "failing", scope, KOLK_EIO);
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return told(f, "after", kolk_sleep(0));
}

/* A task may cancel its own scope. Without a wait in between nothing of that is left when the scope is. */
static void a_scope_cancelled_from_inside_leaves_nothing_behind(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_oneself, f), 0);
    assert_record(f, "1 without a wait(KOLK_OK, cancelled) after(KOLK_OK) "
                     "sleep(KOLK_ECANCELED) with one(KOLK_OK, cancelled) after(KOLK_OK) "
                     "failing(KOLK_EIO, cancelled) 0 after(KOLK_OK)");
}

static int cancel_scope_after_cancellation(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    told(f, "swallowed", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    leave_scope(f, "leave", scope, 0);
    told(f, "after", kolk_sleep(0));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return 0;
}

/* Nor is it in a task that was cancelled before, and has swallowed that. */
static void a_scope_leaves_nothing_behind_in_a_task_that_was_cancelled(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_scope_after_cancellation, f), 0);
    assert_record(f, "swallowed(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK) 1");
}

static int cancel_task_and_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    for (int scope_first = 0; scope_first < 2; scope_first++) {
        kolk_scope *scope = NULL;
        kolk_timeout(KOLK_NEVER, &scope);
        if (scope_first)
            kolk_scope_cancel(scope);
        kolk_task_cancel(kolk_task_current());
        if (!scope_first)
            kolk_scope_cancel(scope);
        leave_scope(f, "leave", scope, 0);
        told(f, "after", kolk_sleep(0));
        told(f, "again", kolk_sleep(0));
    }
    return 0;
}

/* What comes from outside, and was not told inside, is told behind the scope. */
static void a_request_from_outside_outlives_the_scope(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_task_and_scope, f), 0);
    assert_record(f, "leave(KOLK_OK, cancelled) after(KOLK_ECANCELED) again(KOLK_OK) "
                     "leave(KOLK_OK, cancelled) after(KOLK_ECANCELED) again(KOLK_OK)");
}

static int clean_up_past_the_deadline(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_timeout(2 * MS, &scope);
    told(f, "told", kolk_sleep(10 * SECOND));
    int status = told(f, "clean-up", kolk_sleep(10 * SECOND));
    return leave_scope(f, "leave", scope, status);
}

static int cancel_scope_beside_an_earlier_request(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(f, "told", kolk_sleep(10 * SECOND));
    return leave_scope(f, "leave", scope, status);
}

/* A request that was there before the scope and is told inside of it comes from outside all the same. */
static void an_earlier_cancellation_that_is_told_inside_counts(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, clean_up_past_the_deadline, f), KOLK_ECANCELED);
    assert_record(f, "told(KOLK_ECANCELED) clean-up(KOLK_ECANCELED) leave(KOLK_ECANCELED, expired)");
    clear_record(f);
    assert_int_equal(run_task(f, cancel_scope_beside_an_earlier_request, f), KOLK_ECANCELED);
    assert_record(f, "told(KOLK_ECANCELED) leave(KOLK_ECANCELED, cancelled)");
}

static int swallow_and_cancel_the_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_scope_enter(0, KOLK_NEVER, &scope);
    told(f, "told", kolk_sleep(MS));
    kolk_scope_cancel(scope);
    leave_scope(f, "leave", scope, 0);
    return told(f, "after", kolk_sleep(0));
}

/* One that was told inside and dealt with is over; what the scope asked for besides ends with the scope. */
static void what_was_told_inside_is_not_told_again(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, swallow_and_cancel_the_scope, f), 0);
    assert_record(f, "told(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
}

static int cancel_outer_inside_inner(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_timeout(KOLK_NEVER, &outer);
    kolk_timeout(KOLK_NEVER, &inner);
    kolk_scope_cancel(outer);
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    status = leave_scope(f, "inner", inner, status);
    status = leave_scope(f, "outer", outer, status);
    return status;
}

/* Cancelling an outer scope passes through the inner one. */
static void cancelling_an_outer_scope_passes_through_the_inner(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_outer_inside_inner, f), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) inner(KOLK_ECANCELED) outer(KOLK_OK, cancelled)");
}

/* A task that is cancelled along with its scope is cancelled. */
static void a_cancellation_outranks_that_of_a_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
    drive_to_its_wait(f);
    kolk_scope_cancel(scene.scope);
    kolk_task_cancel(task);
    join(f, task);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_ECANCELED, cancelled) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

/* ---- Level ---- */

static int wait_in_every_way(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_semaphore *semaphore = NULL;
    kolk_semaphore_new(f->loop, 0, &semaphore);
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &self->scope);
    kolk_scope_cancel(self->scope);
    for (int i = 0; i < 2; i++) {
        told(f, "sleep", kolk_sleep(10 * SECOND));
        told(f, "others", kolk_sleep(0));
        told(f, "semaphore", kolk_semaphore_acquire(semaphore));
    }
    told(f, "await", kolk_await(self->future, NULL));
    kolk_future *futures[2];
    for (int i = 0; i < 2; i++)
        kolk_future_new(f->loop, &futures[i]);
    told(f, "wait_for", kolk_wait_for(futures[0], 10 * SECOND, NULL));
    told(f, "wait", kolk_wait(&futures[1], 1, KOLK_ALL_COMPLETED, 10 * SECOND));
    for (int i = 0; i < 2; i++)
        kolk_future_unref(futures[i]);
    leave_scope(f, "leave", self->scope, KOLK_ECANCELED);
    kolk_semaphore_unref(semaphore);
    return told(f, "after", kolk_sleep(MS / 4));
}

/* In a level scope that was cancelled every wait fails, of whatever kind, until the scope is left. */
static void every_wait_in_a_cancelled_level_scope_fails(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, wait_in_every_way, &scene), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) others(KOLK_ECANCELED) semaphore(KOLK_ECANCELED) "
                     "sleep(KOLK_ECANCELED) others(KOLK_ECANCELED) semaphore(KOLK_ECANCELED) "
                     "await(KOLK_ECANCELED) wait_for(KOLK_ECANCELED) wait(KOLK_ECANCELED) "
                     "leave(KOLK_OK, cancelled) after(KOLK_OK)");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_future_unref(scene.future);
}

static int swallow_in_a_loop(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int refused = 0;
    kolk_scope *scope = NULL;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 2 * MS, &scope);
    while (refused < 1000 && kolk_sleep(1000 * SECOND) < 0)
        refused++;
    record(self->f, "refused %d", refused);
    return leave_scope(self->f, "leave", scope, KOLK_ECANCELED);
}

/* A body that swallows in a loop is refused each time: it cannot go on sleeping. */
static void a_level_scope_refuses_who_swallows(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .flags = KOLK_SCOPE_LEVEL};
    assert_int_equal(run_task(f, swallow_in_a_loop, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "refused 1000 leave(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

static void set_flag(void *flag) { *(int *)flag = 1; }

static int wait_for_others(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int flag = 0, tries = 0;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    kolk_handle *handle = NULL;
    kolk_loop_call_soon(self->f->loop, set_flag, &flag, NULL, &handle);
    while (!flag && tries++ < 100000)
        kolk_sleep(0);
    kolk_handle_cancel(handle);
    kolk_handle_unref(handle);
    record(self->f, "%s", flag ? "others ran" : "nobody else ran");
    return leave_scope(self->f, "leave", scope, KOLK_ECANCELED);
}

/* A body that swallows for ever takes its turns with others: it does not stop the loop. */
static void who_swallows_in_a_level_scope_does_not_stop_the_loop(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, wait_for_others, &scene), 0);
    assert_record(f, "others ran leave(KOLK_OK, cancelled)");
}

static int await_what_is_done(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    return leave_scope(self->f, "leave", scope, status);
}

/* What is there already needs no wait, and can be had. */
static void what_is_there_can_be_had_in_a_cancelled_level_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(run_task(f, await_what_is_done, &scene), 0);
    assert_record(f, "await(KOLK_OK) leave(KOLK_OK, cancelled)");
    kolk_future_unref(scene.future);
}

static int nest_in_level(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &outer);
    kolk_scope_enter(self->flags, KOLK_NEVER, &inner);
    kolk_scope_cancel(outer);
    told(f, "inside", kolk_sleep(10 * SECOND));
    told(f, "inside", kolk_sleep(10 * SECOND));
    leave_scope(f, "inner", inner, KOLK_ECANCELED);
    int status = told(f, "between", kolk_sleep(10 * SECOND));
    return leave_scope(f, "outer", outer, status);
}

/* A level scope reaches into the scopes inside it, edge or level. */
static void a_level_scope_reaches_into_those_inside(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        clear_record(f);
        struct scene scene = {.f = f, .flags = level};
        assert_int_equal(run_task(f, nest_in_level, &scene), 0);
        assert_record(f, "inside(KOLK_ECANCELED) inside(KOLK_ECANCELED) inner(KOLK_ECANCELED) between(KOLK_ECANCELED) "
                         "outer(KOLK_OK, cancelled)");
    }
}

static int cancel_inner_level(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &outer);
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &inner);
    kolk_scope_cancel(inner);
    kolk_sleep(10 * SECOND);
    int status = leave_scope(f, "inner", inner, kolk_sleep(10 * SECOND));
    told(f, "between", kolk_sleep(MS / 4));
    return leave_scope(f, "outer", outer, status);
}

/* An inner one that was cancelled is over when it is left. */
static void a_level_scope_ends_where_it_is_left(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_inner_level, f), 0);
    assert_record(f, "inner(KOLK_OK, cancelled) between(KOLK_OK) outer(KOLK_OK)");
}

static int wait_twice(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    told(self->f, "again", kolk_sleep(0));
    return leave_scope(self->f, "leave", self->scope, status);
}

/* A task that is cancelled while in a level scope is told once: it is not the scope that was cancelled. */
static void a_task_is_cancelled_by_edge_also_in_a_level_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_twice, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) again(KOLK_OK) leave(KOLK_ECANCELED)");
    kolk_future_unref(scene.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_scope_can_be_cancelled),
        RULE(a_scope_cancelled_from_inside_leaves_nothing_behind),
        RULE(a_scope_leaves_nothing_behind_in_a_task_that_was_cancelled),
        RULE(a_request_from_outside_outlives_the_scope),
        RULE(an_earlier_cancellation_that_is_told_inside_counts),
        RULE(what_was_told_inside_is_not_told_again),
        RULE(cancelling_an_outer_scope_passes_through_the_inner),
        RULE(a_cancellation_outranks_that_of_a_scope),
        RULE(every_wait_in_a_cancelled_level_scope_fails),
        RULE(a_level_scope_refuses_who_swallows),
        RULE(who_swallows_in_a_level_scope_does_not_stop_the_loop),
        RULE(what_is_there_can_be_had_in_a_cancelled_level_scope),
        RULE(a_level_scope_reaches_into_those_inside),
        RULE(a_level_scope_ends_where_it_is_left),
        RULE(a_task_is_cancelled_by_edge_also_in_a_level_scope),
    };
    return run_matrix("scope_cancel", matrix, COUNT(matrix));
}
