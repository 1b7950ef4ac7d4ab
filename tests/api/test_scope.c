/* Scopes: a part of a task that is timed, cancelled or shielded apart from the rest. Here: who enters and leaves them, and
 * when, in tasks of every kind. */
#include "support/scopes.h"

/* ---- Order, ends, and who may do what ---- */

static int leave_in_the_wrong_order(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_timeout(10 * SECOND, &outer);
    kolk_timeout(10 * SECOND, &inner);
    leave_scope(f, "outer", outer, 0);
    leave_scope(f, "inner", inner, KOLK_EIO);
    return leave_scope(f, "outer", outer, 0);
}

/* Scopes are left from the inside out; one that is not the innermost stays. */
static void scopes_are_left_from_the_inside_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, leave_in_the_wrong_order, f), 0);
    assert_record(f, "outer(KOLK_EBUSY) inner(KOLK_EIO) outer(KOLK_OK)");
    assert_idle(f);
}

static int forget_to_leave(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    for (int i = 0; i < 3; i++)
        kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 10 * SECOND, &self->scope);
    return kolk_sleep(0);
}

/* Scopes that are not left end with their task, and their timers with them. */
static void a_scope_ends_with_its_task(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct scene scene = {.f = f, .flags = kinds[i]};
        assert_int_equal(run_task(f, forget_to_leave, &scene), 0);
    }
    assert_idle(f);
}

static int leave_somebody_elses(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "another's", kolk_scope_leave(self->scope, 0));
    record(self->f, "%d", kolk_scope_cancel(self->scope));
    return 0;
}

/* Another task cannot leave a scope, but can cancel it; nor can anybody outside of tasks. */
static void a_scope_is_left_by_its_own_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
    drive_to_its_wait(f);
    assert_true(kolk_scope_leave(scene.scope, 0) < 0);
    assert_int_equal(run_task(f, leave_somebody_elses, &scene), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "enter(KOLK_OK) another's(KOLK_EINVAL) 1 await(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int enter_wrongly(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "flags", kolk_scope_enter(4, KOLK_NEVER, &scope));
    told(f, "nowhere", kolk_scope_enter(0, KOLK_NEVER, NULL));
    told(f, "leave", kolk_scope_leave(NULL, 0));
    return scope ? KOLK_EINVAL : 0;
}

/* What makes no sense is refused. */
static void what_cannot_be_entered_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_scope *scope = NULL;
    assert_int_equal(kolk_scope_enter(0, KOLK_NEVER, &scope), KOLK_ENOTASK);
    assert_int_equal(kolk_timeout(MS, &scope), KOLK_ENOTASK);
    assert_int_equal(kolk_timeout_at(0, &scope), KOLK_ENOTASK);
    assert_null(scope);
    assert_int_equal(kolk_scope_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_scope_reschedule(NULL, 0), KOLK_EINVAL);
    assert_int_equal(run_task(f, enter_wrongly, f), 0);
    assert_record(f, "flags(KOLK_EINVAL) nowhere(KOLK_EINVAL) leave(KOLK_EINVAL)");
}

static int park_in_scope(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 1000 * SECOND, &self->scope);
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    return leave_scope(self->f, "leave", self->scope, status);
}

/* The end of the loop ends what is inside, shielded or not. */
static void closing_the_loop_ends_what_is_inside(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    struct scene scenes[COUNT(kinds)];
    kolk_task *tasks[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        scenes[i] = (struct scene){.f = f, .future = new_future(f), .flags = kinds[i]};
        tasks[i] = spawn_with(f, park_in_scope, &scenes[i]);
    }
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_int_equal(kolk_task_result(tasks[i], NULL), KOLK_ECANCELED);
        kolk_task_unref(tasks[i]);
        kolk_future_unref(scenes[i].future);
    }
    assert_record(f, "await(KOLK_ECANCELED) leave(KOLK_ECANCELED) await(KOLK_ECANCELED) leave(KOLK_ECANCELED) "
                     "await(KOLK_ECANCELED) leave(KOLK_ECANCELED) await(KOLK_ECANCELED) leave(KOLK_ECANCELED)");
}

static int clean_up_in_a_new_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    kolk_scope *scope = NULL;
    int entered = kolk_scope_enter(KOLK_SCOPE_SHIELD, kolk_loop_time(f->loop) + SECOND, &scope);
    if (entered == 0)
        kolk_scope_leave(scope, kolk_sleep(MS));
    record(f, "%s", entered == 0 || entered == KOLK_ECLOSED ? "cleaned up" : kolk_status_name(entered));
    return status;
}

/* A clean-up at the end of the loop may enter scopes, or is told that it cannot. */
static void a_clean_up_at_the_end_may_enter_scopes(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_create_task(f->loop, clean_up_in_a_new_scope, f, NULL, NULL, NULL), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "cleaned up");
}

/* ---- Other kinds of tasks ---- */

struct scoped_step {
    kolk_step step;
    struct fixture *f;
    kolk_scope *scope;
    kolk_future *future;
    uint32_t flags;
};

static kolk_task *spawn_step(struct fixture *f, kolk_step_fn fn, uint32_t flags, kolk_future *future) {
    struct scoped_step state = {.f = f, .flags = flags, .future = future};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, fn, &state, sizeof state, NULL, NULL, &task), 0);
    return task;
}

static int time_out_in_steps(void *state, void **ret_value) {
    struct scoped_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    told(self->f, "enter", kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 2 * MS, &self->scope));
    KOLK_STEP_SLEEP(&self->step, ret_value, 10 * SECOND);
    told(self->f, "sleep", self->step.status);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    told(self->f, "again", self->step.status);
    leave_scope(self->f, "leave", self->scope, KOLK_ECANCELED);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    if (told(self->f, "after", self->step.status) < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* Scopes of step tasks are the same: edge and level. */
static void steps_time_out_like_others(void **state) {
    struct fixture *f = *state;
    assert_int_equal(join(f, spawn_step(f, time_out_in_steps, 0, NULL)), 0);
    assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_OK) leave(KOLK_ETIMEDOUT, expired) after(KOLK_OK)");
    clear_record(f);
    assert_int_equal(join(f, spawn_step(f, time_out_in_steps, KOLK_SCOPE_LEVEL, NULL)), 0);
    assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) "
                     "after(KOLK_OK)");
    assert_idle(f);
}

static int shield_in_steps(void *state, void **ret_value) {
    struct scoped_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope));
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    told(self->f, "await", self->step.status);
    leave_scope(self->f, "leave", self->scope, self->step.status);
    KOLK_STEP_SLEEP(&self->step, ret_value, 10 * SECOND);
    if (told(self->f, "after", self->step.status) < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* So are their shields. */
static void steps_are_shielded_like_others(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = spawn_step(f, shield_in_steps, 0, future);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    drive_during(f, MS);
    assert_record(f, "enter(KOLK_OK)");
    kolk_future_set_result(future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED)");
    kolk_future_unref(future);
}

static int generate(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_timeout(2 * MS, &self->scope);
    int status = kolk_yield("a value", NULL);
    if (status == 0)
        status = told(self->f, "inside", kolk_sleep(10 * SECOND));
    return leave_scope(self->f, "leave", self->scope, status);
}

static int drive_generator(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_coroutine *generator = NULL;
    kolk_coroutine_new(self->f->loop, generate, self, NULL, 0, &generator);
    void *value = NULL;
    int step = kolk_coroutine_next(generator, &value);
    record(self->f, "%s", step == KOLK_COROUTINE_YIELDED ? (char *)value : kolk_status_name(step));
    step = told(self->f, "next", kolk_coroutine_next(generator, &value));
    kolk_coroutine_unref(generator);
    told(self->f, "after", kolk_sleep(0));
    return step;
}

/* A scope that is entered in a generator is the driving task's; it times out inside the generator. */
static void a_generator_times_out_inside(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, drive_generator, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "a value inside(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) next(KOLK_ETIMEDOUT) after(KOLK_OK)");
}

static int interleave(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_coroutine *generator = NULL;
    kolk_scope *own = NULL;
    kolk_coroutine_new(self->f->loop, generate, self, NULL, 0, &generator);
    kolk_coroutine_next(generator, NULL);
    kolk_timeout(10 * SECOND, &own);
    /* It is told to end, and tries to leave. */
    kolk_coroutine_close(generator);
    kolk_coroutine_unref(generator);
    leave_scope(self->f, "own", own, 0);
    return leave_scope(self->f, "generator's", self->scope, 0);
}

/* Scopes of a task and of the generators it drives are one stack. */
static void a_generator_cannot_leave_under_its_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, interleave, &scene), 0);
    assert_record(f, "leave(KOLK_EBUSY) own(KOLK_OK) generator's(KOLK_OK)");
}

/* ---- Memory ---- */

static int enter_often(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    size_t before = 0;
    for (int i = 0; i < 10000; i++) {
        kolk_scope *outer = NULL, *inner = NULL;
        int status = kolk_timeout(10 * SECOND, &outer);
        if (status == 0)
            status = kolk_scope_enter(KOLK_SCOPE_SHIELD | KOLK_SCOPE_LEVEL, KOLK_NEVER, &inner);
        if (status < 0)
            return status;
        kolk_scope_leave(inner, 0);
        kolk_scope_leave(outer, 0);
        if (i == 100)
            before = failing_allocator_live_bytes(&f->memory);
    }
    record(f, "%d more", (int)(failing_allocator_live_bytes(&f->memory) - before));
    return 0;
}

/* Scopes that come and go do not pile up. */
static void scopes_do_not_pile_up(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, enter_often, f), 0);
    assert_record(f, "0 more");
}

static int use_scopes(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    kolk_scope *scopes[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int status = kolk_scope_enter(kinds[i], kolk_loop_time(f->loop) + (int64_t)i * 10000, &scopes[i]);
        while (status < 0 && i-- > 0)
            kolk_scope_leave(scopes[i], status);
        if (status < 0)
            return status;
    }
    int status = kolk_sleep(SECOND);
    for (size_t i = COUNT(kinds); i-- > 0;)
        status = kolk_scope_leave(scopes[i], status);
    return status == KOLK_ETIMEDOUT || status == KOLK_ECANCELED ? 0 : status;
}

static int try_scopes(kolk_loop *loop, struct fixture *f) {
    kolk_task *task = NULL;
    int status = kolk_create_task(loop, use_scopes, f, NULL, NULL, &task);
    if (status == 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    if (status == 0)
        status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

/* Each allocation fails once, and all from each on: the task is told, and nothing is left over. */
static void without_memory_no_scope_is_entered(void **state) {
    struct fixture *f = *state;
    for (int sticky = 0; sticky < 2; sticky++) {
        size_t n = 0, failures = 0;
        do {
            finish_loop(f);
            kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
            assert_int_equal(kolk_loop_new(&options, &f->loop, NULL), 0);
            failing_allocator_arm(&f->memory, ++n, sticky);
            int status = try_scopes(f->loop, f);
            failing_allocator_disarm(&f->memory);
            failures = f->memory.failures;
            if (status != 0 && (status != KOLK_ENOMEM || failures == 0))
                fail_msg("allocation %zu: %s", n, kolk_status_name(status));
        } while (failures > 0);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(scopes_are_left_from_the_inside_out),
        RULE(a_scope_ends_with_its_task),
        RULE(a_scope_is_left_by_its_own_task),
        RULE(what_cannot_be_entered_is_refused),
        RULE(closing_the_loop_ends_what_is_inside),
        RULE(a_clean_up_at_the_end_may_enter_scopes),
        RULE(steps_time_out_like_others),
        RULE(steps_are_shielded_like_others),
        RULE(a_generator_times_out_inside),
        RULE(a_generator_cannot_leave_under_its_task),
        RULE(scopes_do_not_pile_up),
    };
    static const struct rule plain[] = {
        RULE(without_memory_no_scope_is_entered),
    };
    return run_matrix("scope", matrix, COUNT(matrix)) + run_plain("scope without memory", plain, COUNT(plain));
}
