/* Task groups and tasks without a stack: as hosts, which leave in two calls, and as members. */
#include "support/task_groups.h"

struct group_step {
    kolk_step step;
    struct fixture *f;
    kolk_task_group *group;
    kolk_future *future; /* What the group's end is waited for with. */
    struct scene *members;
    int count;
    int status;
    int woken; /* How often, before the group could be left. */
};

/* A step function that hosts a group. */
static int host_in_steps(void *state, void **ret_value) {
    struct group_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    self->status = kolk_task_group_enter(0, &self->group);
    for (int i = 0; self->status == 0 && i < self->count; i++)
        self->status = add(self->group, self->members[i].name[0] == '!' ? fail_at_once : sleep_and_say, &self->members[i]);
    record(self->f, "begun");
    for (;;) {
        int left = kolk_task_group_leave_async(self->group, self->status, &self->future);
        if (left != KOLK_EPENDING) {
            kolk_task_group_unref(self->group);
            if (told(self->f, "left", left) < 0)
                return left;
            break;
        }
        record(self->f, "pending");
        KOLK_STEP_AWAIT(&self->step, ret_value, self->future);
        told(self->f, "woken", self->step.status);
    }
    *ret_value = "tea";
    KOLK_STEP_END(&self->step);
}

static kolk_task *spawn_step_host(struct fixture *f, struct scene *members, int count) {
    struct group_step state = {.f = f, .members = members, .count = count};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, host_in_steps, &state, sizeof state, NULL, NULL, &task), 0);
    return task;
}

/* Tasks that wait by returning leave a group in two calls. */
static void a_step_task_leaves_in_two_calls(void **state) {
    struct fixture *f = *state;
    struct scene members[] = {{.f = f, .name = "b", .delay_ns = 200 * MS}, {.f = f, .name = "a", .delay_ns = MS}};
    assert_int_equal(join(f, spawn_step_host(f, members, 2)), 0);
    assert_record(f, "begun pending a(KOLK_OK) b(KOLK_OK) woken(KOLK_OK) left(KOLK_OK)");
    clear_record(f);
    assert_int_equal(join(f, spawn_step_host(f, NULL, 0)), 0);
    assert_record(f, "begun left(KOLK_OK)");
}

/* They are told of failures in the same way. */
static void a_step_task_is_told_of_failures(void **state) {
    struct fixture *f = *state;
    struct scene members[] = {{.f = f, .name = "other", .delay_ns = 1000 * SECOND}, {.f = f, .name = "!"}};
    kolk_task *task = spawn_step_host(f, members, 2);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "port 81 refused");
    const char *fails = strstr(f->record, "! fails"), *other = strstr(f->record, "other(KOLK_ECANCELED)");
    assert_true(fails && other && fails < other);
    assert_string_equal(strstr(f->record, "left("), "left(KOLK_EREFUSED)");
    kolk_task_unref(task);
}

/* Cancelled while it waits, it cancels the members and leaves when they have ended. */
static void a_step_task_cancelled_while_leaving_cancels_the_members(void **state) {
    struct fixture *f = *state;
    struct scene members[] = {{.f = f, .name = "a", .delay_ns = 1000 * SECOND}};
    kolk_task *task = spawn_step_host(f, members, 1);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    const char *member = strstr(f->record, "a(KOLK_ECANCELED)"), *left = strstr(f->record, "left(KOLK_ECANCELED)");
    assert_true(member && left && member < left);
}

static int clean_up_in_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    kolk_scope *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    told(self->f, self->name, kolk_await(self->future, NULL));
    kolk_scope_leave(shield, 0);
    return status;
}

static int host_level_in_steps(void *state, void **ret_value) {
    struct group_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    self->status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &self->group);
    if (self->status == 0)
        self->status = add(self->group, clean_up_in_shield, self->members);
    self->members->group = self->group;
    KOLK_STEP_SLEEP(&self->step, ret_value, MS / 4);
    if (self->count)
        kolk_task_group_cancel(self->group);
    record(self->f, "begun");
    while (kolk_task_group_leave_async(self->group, self->status, &self->future) == KOLK_EPENDING && self->woken < 1000) {
        KOLK_STEP_AWAIT(&self->step, ret_value, self->future);
        self->woken++;
    }
    record(self->f, "%s, %d members", self->woken < 1000 ? "left" : "woken in vain", kolk_task_group_count(self->group));
    kolk_task_group_unref(self->group);
    KOLK_STEP_END(&self->step);
}

/* A step task whose level group is cancelled, in its block or when it leaves, goes on waiting for members that clean up. It is
 * not woken in vain. */
static void a_step_task_waits_for_a_cancelled_level_group(void **state) {
    struct fixture *f = *state;
    for (int in_block = 0; in_block < 2; in_block++) {
        struct scene member = {.f = f, .name = "clean-up", .future = new_future(f)};
        struct group_step steps = {.f = f, .members = &member, .count = in_block};
        kolk_task *task = NULL;
        clear_record(f);
        assert_int_equal(kolk_create_step_task(f->loop, host_level_in_steps, &steps, sizeof steps, NULL, NULL, &task), 0);
        drive_to_its_wait(f);
        if (!in_block)
            assert_int_equal(kolk_task_group_cancel(member.group), 1);
        drive_during(f, MS);
        kolk_future_set_result(member.future, NULL, NULL);
        int status = join(f, task);
        drive_during(f, MS);
        kolk_future_unref(member.future);
        assert_int_equal(status, 0);
        assert_record(f, "begun clean-up(KOLK_OK) left, 0 members");
    }
}

static int ask_twice(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_task_group *group = NULL;
    kolk_future *first = NULL, *second = NULL, *third = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, await_it, self);
    told(f, "leave", kolk_task_group_leave_async(group, status, &first));
    told(f, "leave", kolk_task_group_leave_async(group, status, &second));
    kolk_future_unref(first);
    kolk_future_unref(second);
    told(f, "leave", kolk_task_group_leave_async(group, status, &third));
    kolk_future_set_result(self->future, NULL, NULL);
    told(f, "ended", kolk_await(third, NULL));
    kolk_future_unref(third);
    status = told(f, "leave", kolk_task_group_leave_async(group, status, &third));
    kolk_task_group_unref(group);
    return status;
}

/* The future that stands for a group's end may be dropped, and asked for again. */
static void the_end_of_a_group_may_be_asked_for_again(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "member", .future = new_future(f)};
    assert_int_equal(run_task(f, ask_twice, &scene), 0);
    assert_record(f, "leave(KOLK_EPENDING) leave(KOLK_EPENDING) leave(KOLK_EPENDING) member(KOLK_OK) ended(KOLK_OK) "
                     "leave(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int leave_with_a_future(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member", .status = KOLK_ECANCELED};
    kolk_task_group *group = NULL;
    kolk_future *ended = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, hang, &member);
    if (status == 0)
        status = kolk_sleep(0);
    told(f, "leave", kolk_task_group_leave_async(group, status, &ended));
    record(f, "%d", kolk_future_cancel(ended));
    kolk_await(ended, NULL);
    record(f, "%d members", kolk_task_group_count(group));
    kolk_future *none = NULL;
    told(f, "leave", kolk_task_group_leave_async(group, status, &none));
    record(f, "%s", none ? "a future" : "no future");
    told(f, "leave", kolk_task_group_leave_async(group, status, &none));
    kolk_future_unref(ended);
    kolk_task_group_unref(group);
    return kolk_sleep(0);
}

/* Cancelling the future that stands for the group's end cancels the members; it is done when they have ended. */
static void cancelling_the_end_of_a_group_cancels_the_members(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, leave_with_a_future, &scene), 0);
    const char *rest = strstr(f->record, "member(KOLK_ECANCELED) 0 members leave(KOLK_");
    assert_non_null(rest);
    assert_non_null(strstr(rest, "no future leave(KOLK_EALREADY)"));
    assert_int_equal(strncmp(f->record, "leave(KOLK_EPENDING) 1 ", 23), 0);
}

static int swallow_in_steps(void *state, void **ret_value) {
    struct group_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (self->count = 0; self->count < 1000; self->count++) {
        KOLK_STEP_SLEEP(&self->step, ret_value, 1000 * SECOND);
        if (self->step.status == 0)
            break;
    }
    record(self->f, "refused %d", self->count);
    KOLK_STEP_END(&self->step);
}

static int host_of_a_swallowing_step(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct group_step step = {.f = f};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &group);
    kolk_task_options options = {.size = sizeof options, .group = group};
    if (status == 0)
        status = kolk_create_step_task(f->loop, swallow_in_steps, &step, sizeof step, NULL, &options, NULL);
    if (status == 0)
        status = kolk_sleep(MS);
    kolk_task_group_cancel(group);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* A step task that swallows cannot hold up a level group either. */
static void a_level_group_is_not_held_up_by_steps_that_swallow(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_a_swallowing_step, f), 0);
    assert_record(f, "refused 1000 left(KOLK_OK)");
}

static int fail_in_steps(void *state, void **ret_value) {
    struct group_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_SLEEP(&self->step, ret_value, MS);
    record(self->f, "step fails");
    return KOLK_EPIPE;
    KOLK_STEP_END(&self->step);
}

/* A coroutine of the test's own kind: waits for a future that never comes, and ends when told. */
struct foreign {
    struct fixture *f;
    kolk_future *future;
};

static int foreign_resume(void *frame, int status, void *sent, void **ret_value) {
    struct foreign *self = frame;
    (void)sent;
    if (status == 0 && kolk_future_done(self->future))
        status = kolk_future_result(self->future, NULL);
    if (status < 0)
        return told(self->f, "foreign", status);
    if (kolk_future_done(self->future))
        return KOLK_COROUTINE_RETURNED;
    *ret_value = self->future;
    return KOLK_COROUTINE_AWAITING;
}

static void foreign_destroy(void *frame) { record(((struct foreign *)frame)->f, "~foreign"); }

static const kolk_coroutine_ops foreign_ops = {
    .size = sizeof foreign_ops, .kind = "foreign", .resume = foreign_resume, .destroy = foreign_destroy};

static int host_of_all_kinds(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene fiber = {.f = f, .name = "fiber", .status = KOLK_ECANCELED};
    struct foreign foreign = {.f = f, .future = self->future};
    struct group_step step = {.f = f};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    kolk_task_options options = {.size = sizeof options, .group = group};
    if (status == 0)
        status = kolk_create_task(f->loop, hang, &fiber, NULL, &options, NULL);
    if (status == 0)
        status = kolk_create_foreign_task(f->loop, &foreign_ops, &foreign, &options, NULL);
    if (status == 0)
        status = kolk_create_step_task(f->loop, fail_in_steps, &step, sizeof step, NULL, &options, NULL);
    record(f, "%d members", kolk_task_group_count(group));
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* Tasks of every kind are members alike. */
static void members_may_be_of_every_kind(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, host_of_all_kinds, &scene), KOLK_EPIPE);
    assert_int_equal(strncmp(f->record, "3 members step fails ", 21), 0);
    assert_non_null(strstr(f->record, "fiber(KOLK_ECANCELED)"));
    assert_non_null(strstr(f->record, "foreign(KOLK_ECANCELED) ~foreign"));
    assert_string_equal(strstr(f->record, "left("), "left(KOLK_EPIPE)");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_future_unref(scene.future);
}

/* The end of the loop ends members and hosts, wherever they stand. */
static void closing_the_loop_ends_groups(void **state) {
    struct fixture *f = *state;
    struct scene in_block = {.f = f, .future = new_future(f), .status = KOLK_ECANCELED};
    struct scene leaving = {.f = f, .status = KOLK_ECANCELED, .flags = KOLK_TASK_GROUP_LEVEL};
    kolk_task *tasks[] = {spawn_with(f, host_that_waits, &in_block), spawn_with(f, host_that_waits, &leaving), NULL};
    tasks[2] = spawn_step_host(f, &(struct scene){.f = f, .name = "of steps", .delay_ns = 1000 * SECOND}, 1);
    drive_to_its_wait(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        assert_int_equal(kolk_task_done(tasks[i]), 1);
        assert_int_equal(kolk_task_result(tasks[i], NULL), KOLK_ECANCELED);
        kolk_task_unref(tasks[i]);
    }
    kolk_future_unref(in_block.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_step_task_leaves_in_two_calls),
        RULE(a_step_task_is_told_of_failures),
        RULE(a_step_task_cancelled_while_leaving_cancels_the_members),
        RULE(a_level_group_is_not_held_up_by_steps_that_swallow),
        RULE(a_step_task_waits_for_a_cancelled_level_group),
        RULE(the_end_of_a_group_may_be_asked_for_again),
        RULE(cancelling_the_end_of_a_group_cancels_the_members),
        RULE(members_may_be_of_every_kind),
        RULE(closing_the_loop_ends_groups),
    };
    return run_matrix("task_group_step", matrix, COUNT(matrix));
}
