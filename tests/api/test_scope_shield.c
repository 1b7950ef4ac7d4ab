/* Scopes that shield: what a task is told meanwhile is held until the shield is left. */
#include "support/scopes.h"

static int await_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    status = leave_scope(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* A request from outside has no effect inside a shield; the first wait behind it is told. */
static void a_shield_holds_a_cancellation_until_it_is_left(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, await_shielded, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(kolk_task_cancelling(task), 1);
        drive_during(f, MS);
        assert_int_equal(kolk_future_done(scene.future), 0);
        assert_record(f, "enter(KOLK_OK)");
        kolk_future_set_result(scene.future, NULL, NULL);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED)");
        kolk_future_unref(scene.future);
    }
}

static int await_in_scope_in_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *shield = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    told(self->f, "enter", kolk_scope_enter(self->flags, KOLK_NEVER, &inner));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    kolk_scope_cancel(inner);
    told(self->f, "sleep", kolk_sleep(10 * SECOND));
    told(self->f, "again", kolk_sleep(0));
    status = leave_scope(self->f, "inner", inner, KOLK_ECANCELED);
    told(self->f, "shielded", kolk_sleep(0));
    status = leave_scope(self->f, "shield", shield, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* A shield covers the scopes inside it, and they work inside it as they do elsewhere. */
static void a_shield_covers_the_scopes_inside(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, await_in_scope_in_shield, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        drive_during(f, MS);
        assert_record(f, "enter(KOLK_OK)");
        kolk_future_set_result(scene.future, NULL, NULL);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_string_equal(f->record, level ? "enter(KOLK_OK) await(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_ECANCELED) "
                                               "inner(KOLK_OK, cancelled) shielded(KOLK_OK) shield(KOLK_OK) "
                                               "after(KOLK_ECANCELED)"
                                             : "enter(KOLK_OK) await(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_OK) "
                                               "inner(KOLK_OK, cancelled) shielded(KOLK_OK) shield(KOLK_OK) "
                                               "after(KOLK_ECANCELED)");
        kolk_future_unref(scene.future);
    }
}

static int shield_what_was_cancelled(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *shield = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    int status = told(f, "shielded", kolk_sleep(MS / 4));
    leave_scope(f, "leave", shield, status);
    status = told(f, "after", kolk_sleep(10 * SECOND));
    told(f, "again", kolk_sleep(0));
    return status;
}

/* A request that was made just before, and not told yet, is held too; it is told once. */
static void a_shield_holds_a_cancellation_that_was_not_told_yet(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, shield_what_was_cancelled, f), KOLK_ECANCELED);
    assert_record(f, "shielded(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED) again(KOLK_OK)");
}

static int take_back_in_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope));
    int status = kolk_await(self->future, NULL);
    record(self->f, "left %d", kolk_task_uncancel(kolk_task_current()));
    leave_scope(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(0));
}

/* A request that is held can be taken back. */
static void what_a_shield_holds_can_be_taken_back(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, take_back_in_shield, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "enter(KOLK_OK) left 0 leave(KOLK_OK) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int await_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, "outer", kolk_await(kolk_task_as_future(self->task), NULL));
}

/* A request that comes down a chain of tasks stops at the shield: those above wait until the shielded one has ended. */
static void a_shield_holds_what_comes_down_a_chain(void **state) {
    struct fixture *f = *state;
    struct scene inner = {.f = f, .future = new_future(f)};
    inner.task = spawn_with(f, await_shielded, &inner);
    struct scene outer = {.f = f, .task = inner.task};
    kolk_task *task = spawn_with(f, await_task, &outer);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_during(f, MS);
    assert_record(f, "enter(KOLK_OK)");
    kolk_future_set_result(inner.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED) outer(KOLK_ECANCELED)");
    kolk_task_unref(inner.task);
    kolk_future_unref(inner.future);
}

static int shield_an_awaited_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope);
    int status = told(self->f, "shielded", kolk_await(kolk_task_as_future(self->task), NULL));
    return kolk_scope_leave(self->scope, status);
}

static int await_future(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, "await", kolk_await(self->future, NULL));
}

/* What is awaited from inside a shield is not cancelled either. */
static void a_shield_covers_what_is_awaited(void **state) {
    struct fixture *f = *state;
    struct scene awaited = {.f = f, .future = new_future(f)};
    struct scene scene = {.f = f, .task = spawn_with(f, await_future, &awaited)};
    kolk_task *task = spawn_with(f, shield_an_awaited_task, &scene);
    drive_during(f, MS);
    kolk_task_cancel(task);
    drive_during(f, MS);
    assert_record(f, "");
    assert_int_equal(kolk_task_cancelling(scene.task), 0);
    kolk_future_set_result(awaited.future, NULL, NULL);
    join(f, task);
    assert_record(f, "await(KOLK_OK) shielded(KOLK_OK)");
    assert_int_equal(join(f, scene.task), 0);
    kolk_future_unref(awaited.future);
}

static int sleep_in_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &scope);
    int status = told(self->f, "shielded", kolk_sleep(100 * MS));
    return leave_scope(self->f, "leave", scope, status);
}

static int await_the_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    return kolk_await(kolk_task_as_future(self->task), ret_result);
}

static int await_by_two_ways(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *ways[2] = {self->future, kolk_task_as_future(self->task)}, *all = NULL;
    int status = kolk_gather(self->f->loop, ways, COUNT(ways), 0, &all);
    if (status == 0)
        status = kolk_await(all, NULL);
    kolk_future_unref(all);
    return told(self->f, "gather", status);
}

/* One request that reaches a task by two ways is held by its shield like any other. */
static void a_shield_holds_a_request_that_comes_by_two_ways(void **state) {
    struct fixture *f = *state;
    for (int indirect = 0; indirect < 2; indirect++) {
        struct scene scene = {.f = f};
        clear_record(f);
        scene.task = spawn_with(f, sleep_in_a_shield, &scene);
        kolk_task *between = spawn_with(f, await_the_task, &scene);
        scene.future = kolk_task_as_future(indirect ? between : scene.task);
        kolk_task *waiting = spawn_with(f, await_by_two_ways, &scene);
        drive_during(f, MS);
        assert_int_equal(kolk_task_cancel(waiting), 1);
        assert_int_equal(join(f, waiting), KOLK_ECANCELED);
        join(f, between);
        join(f, scene.task);
        assert_record(f, "shielded(KOLK_OK) leave(KOLK_OK) gather(KOLK_ECANCELED)");
    }
}

static int clean_up_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    record(f, "begun");
    int status = kolk_sleep(1000 * SECOND);
    told(f, "cancelled", status);
    kolk_scope *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, kolk_loop_time(f->loop) + 2 * MS, &shield);
    int hung = told(f, "clean-up", kolk_sleep(1000 * SECOND));
    leave_scope(f, "leave", shield, hung);
    return status;
}

/* A clean-up that hangs is ended by the shield's own deadline; the task has been cancelled as before. */
static void a_shield_ends_at_its_own_deadline(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, clean_up_shielded, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "begun cancelled(KOLK_ECANCELED) clean-up(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)");
    }
    assert_idle(f);
}

static int hang_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "sleep", kolk_sleep(1000 * SECOND));
    leave_scope(self->f, "leave", self->scope, status);
    status = told(self->f, "after", kolk_sleep(1000 * SECOND));
    told(self->f, "again", kolk_sleep(0));
    return status;
}

/* A shield that expires says so, whatever it holds; what it holds is told behind it, once. */
static void a_shield_that_expires_does_not_lose_a_cancellation(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, hang_shielded, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        drive_during(f, MS);
        assert_record(f, "enter(KOLK_OK)");
        assert_int_equal(kolk_scope_reschedule(scene.scope, kolk_loop_time(f->loop)), 0);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) after(KOLK_ECANCELED) "
                         "again(KOLK_OK)");
    }
}

static int wait_behind_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope);
    record(self->f, "begun");
    int status = kolk_await(self->future, NULL);
    leave_scope(self->f, "leave", self->scope, status);
    status = kolk_sleep(10 * SECOND);
    record(self->f, "%s", kolk_error_message(kolk_raised()));
    return status;
}

/* What is told behind a shield has the words it was asked with. */
static void a_shield_keeps_the_words_of_a_cancellation(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_behind_a_shield, &scene);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel_with(task, "enough"), 1);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "begun leave(KOLK_OK) enough");
    kolk_future_unref(scene.future);
}

static int shield_in_level(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *level = NULL, *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &level);
    kolk_scope_cancel(level);
    told(f, "refused", kolk_sleep(MS / 4));
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    told(f, "shielded", kolk_sleep(MS / 4));
    told(f, "shielded", kolk_sleep(0));
    leave_scope(f, "shield", shield, 0);
    int status = told(f, "refused", kolk_sleep(MS / 4));
    return leave_scope(f, "level", level, status);
}

/* In a level scope that was cancelled, waits work inside a shield, and fail again behind it. */
static void a_shield_opens_a_cancelled_level_scope(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, shield_in_level, f), 0);
    assert_record(f, "refused(KOLK_ECANCELED) shielded(KOLK_OK) shielded(KOLK_OK) shield(KOLK_OK) refused(KOLK_ECANCELED) "
                     "level(KOLK_OK, cancelled)");
}

static int expire_around_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *shield = NULL;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop), &outer);
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    int status = told(self->f, "shielded", kolk_sleep(2 * MS));
    status = leave_scope(self->f, "shield", shield, status);
    status = told(self->f, "behind", kolk_sleep(10 * SECOND));
    return leave_scope(self->f, "outer", outer, status);
}

/* A scope around a shield that expires is no less outside than a request: it is told behind the shield. */
static void a_shield_holds_the_expiry_of_a_scope_around_it(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        clear_record(f);
        struct scene scene = {.f = f, .flags = level};
        assert_int_equal(run_task(f, expire_around_shield, &scene), KOLK_ETIMEDOUT);
        assert_record(f, "shielded(KOLK_OK) shield(KOLK_OK) behind(KOLK_ECANCELED) outer(KOLK_ETIMEDOUT, expired)");
    }
}

static int nest_shields(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &outer);
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &inner);
    record(self->f, "entered");
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    status = leave_scope(self->f, "inner", inner, status);
    status = told(self->f, "between", kolk_sleep(0));
    status = leave_scope(self->f, "outer", outer, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* Of two shields the outer one has to be left too. */
static void shields_nest(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, nest_shields, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "entered await(KOLK_OK) inner(KOLK_OK) between(KOLK_OK) outer(KOLK_OK) after(KOLK_ECANCELED)");
    kolk_future_unref(scene.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_shield_holds_a_cancellation_until_it_is_left),
        RULE(a_shield_covers_the_scopes_inside),
        RULE(a_shield_holds_a_cancellation_that_was_not_told_yet),
        RULE(what_a_shield_holds_can_be_taken_back),
        RULE(a_shield_holds_what_comes_down_a_chain),
        RULE(a_shield_holds_a_request_that_comes_by_two_ways),
        RULE(a_shield_covers_what_is_awaited),
        RULE(a_shield_ends_at_its_own_deadline),
        RULE(a_shield_that_expires_does_not_lose_a_cancellation),
        RULE(a_shield_keeps_the_words_of_a_cancellation),
        RULE(a_shield_opens_a_cancelled_level_scope),
        RULE(a_shield_holds_the_expiry_of_a_scope_around_it),
        RULE(shields_nest),
    };
    return run_matrix("scope_shield", matrix, COUNT(matrix));
}
