/* Task groups that are cancelled: with their host, by a member or from outside, one in the other; and in level mode, where the
 * rules are those of trio's nursery. */
#include "support/task_groups.h"

/* ---- Cancelling ---- */

/* A task that is cancelled in its block cancels the members, waits for them, and ends as cancelled. */
static void a_host_cancelled_in_its_block_cancels_the_members(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_TASK_GROUP_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .status = KOLK_ECANCELED, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, host_that_waits, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "begun block(KOLK_ECANCELED) a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_ECANCELED) 1 "
                         "after(KOLK_OK)");
        kolk_future_unref(scene.future);
    }
}

/* A task that is cancelled while it leaves cancels the members, and goes on waiting for them. */
static void a_host_cancelled_while_leaving_cancels_the_members(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_TASK_GROUP_LEVEL; level++) {
        struct scene scene = {.f = f, .status = KOLK_ECANCELED, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, host_that_waits, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "begun a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_ECANCELED) 1 after(KOLK_OK)");
    }
}

/* Members that end well in spite of it do not make the cancellation undone. */
static void a_host_stays_cancelled_when_members_end_well(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .status = 0};
    kolk_task *task = spawn_with(f, host_that_waits, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "begun a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_ECANCELED) 1 after(KOLK_OK)");
}

/* A member that answers with a failure is what the group ends with; the cancellation is told at the next wait. */
static void a_failure_beside_a_cancellation_loses_neither(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .status = KOLK_EPIPE};
    kolk_task *task = spawn_with(f, host_that_waits, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_EPIPE);
    assert_record(f, "begun a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_EPIPE) 1 after(KOLK_ECANCELED)");
}

static int swallow_once(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    for (int i = 0; i < 2; i++)
        told(self->f, self->name, kolk_sleep(1000 * SECOND));
    return 0;
}

static int host_of_one(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member"};
    int status = kolk_task_group_enter(self->flags, &self->group);
    if (status == 0)
        status = add(self->group, swallow_once, &member);
    record(f, "begun");
    status = leave(f, "left", self->group, status);
    self->group = kolk_task_group_unref(self->group);
    return status;
}

/* Cancelling a group ends its members and its block; the task goes on behind it. */
static void a_group_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_TASK_GROUP_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .status = KOLK_ECANCELED, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, host_that_waits, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_group_cancel(scene.group), 1);
        assert_int_equal(kolk_task_group_cancel(scene.group), 0);
        assert_int_equal(join(f, task), 0);
        assert_non_null(strstr(f->record, "a(KOLK_ECANCELED)"));
        assert_non_null(strstr(f->record, "b(KOLK_ECANCELED)"));
        assert_non_null(strstr(f->record, "block(KOLK_ECANCELED)"));
        assert_string_equal(strstr(f->record, "left("), "left(KOLK_OK) 0 after(KOLK_OK)");
        kolk_future_unref(scene.future);
    }
}

static int cancel_own_group(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member", .status = KOLK_ECANCELED};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, hang, &member);
    kolk_sleep(MS / 4);
    record(f, "%d", kolk_task_group_cancel(group));
    status = leave(f, "left", group, status);
    record(f, "%s", kolk_status_name(kolk_task_group_cancel(group)));
    kolk_task_group_unref(group);
    told(f, "after", kolk_sleep(0));
    return status;
}

/* A block may cancel its own group and leave it without a wait; what was left cannot be cancelled. */
static void a_block_may_cancel_its_group(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_own_group, f), 0);
    assert_record(f, "1 member(KOLK_ECANCELED) left(KOLK_OK) KOLK_ECLOSED after(KOLK_OK)");
}

/* A group that is cancelled along with its task ends as cancelled. */
static void a_cancellation_of_the_host_outranks_that_of_the_group(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f), .status = KOLK_ECANCELED};
    kolk_task *task = spawn_with(f, host_that_waits, &scene);
    drive_to_its_wait(f);
    kolk_task_group_cancel(scene.group);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    kolk_future_unref(scene.future);
}

static int cancel_its_group(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record(self->f, "%d", kolk_task_group_cancel(self->group));
    return told(self->f, self->name, kolk_sleep(10 * SECOND)) == KOLK_ECANCELED ? 0 : KOLK_EUNSPECIFIED;
}

static int host_of_a_race(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    struct scene loser = {.f = f, .name = "loser", .status = KOLK_ECANCELED};
    struct scene winner = {.f = f, .name = "winner", .group = group};
    if (status == 0)
        status = add(group, hang, &loser);
    if (status == 0)
        status = add(group, cancel_its_group, &winner);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* A member that has what was wanted may cancel its group, itself included: that is no failure. */
static void a_member_may_cancel_its_group(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_a_race, f), 0);
    assert_int_equal(strncmp(f->record, "1 ", 2), 0);
    assert_non_null(strstr(f->record, "loser(KOLK_ECANCELED)"));
    assert_non_null(strstr(f->record, "winner(KOLK_ECANCELED)"));
    assert_string_equal(strstr(f->record, "left("), "left(KOLK_OK)");
}

static int cancel_before_the_start(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene member = {.f = f};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, never_run, &member);
    kolk_task_group_cancel(group);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* Members that have not begun when the group ends never do. */
static void a_member_that_has_not_begun_never_does(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_before_the_start, f), 0);
    assert_record(f, "left(KOLK_OK)");
}

static int time_out_a_group(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member", .status = KOLK_ECANCELED};
    kolk_scope *scope = NULL;
    kolk_task_group *group = NULL;
    kolk_timeout(100 * MS, &scope); /* by when the member hangs */
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, hang, &member);
    status = leave(f, "group", group, status);
    kolk_task_group_unref(group);
    return told(f, "scope", kolk_scope_leave(scope, status));
}

/* A time-out around a group ends its members, and is told as such. */
static void a_group_can_time_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, time_out_a_group, f), KOLK_ETIMEDOUT);
    assert_record(f, "member(KOLK_ECANCELED) group(KOLK_ECANCELED) scope(KOLK_ETIMEDOUT)");
}

static int time_out_in_a_group(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member", .future = self->future};
    kolk_scope *scope = NULL;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, await_it, &member);
    kolk_timeout(MS, &scope);
    told(f, "scope", kolk_scope_leave(scope, kolk_sleep(10 * SECOND)));
    kolk_future_set_result(self->future, NULL, NULL);
    status = leave(f, "group", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* One inside the block is the block's affair. */
static void a_time_out_in_the_block_spares_the_members(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, time_out_in_a_group, &scene), 0);
    assert_record(f, "scope(KOLK_ETIMEDOUT) member(KOLK_OK) group(KOLK_OK)");
    kolk_future_unref(scene.future);
}

/* ---- Nesting ---- */

/* A group in a group, each with a member that hangs, and one that fails where `name` says. */
static int nest(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene outer_member = {.f = f, .name = "outer member", .status = KOLK_ECANCELED};
    struct scene inner_member = {.f = f, .name = "inner member", .status = KOLK_ECANCELED};
    struct scene failing = {.f = f, .name = self->name};
    kolk_task_group *outer = NULL, *inner = NULL;
    int status = kolk_task_group_enter(0, &outer);
    if (status == 0)
        status = add(outer, hang, &outer_member);
    if (status == 0)
        status = kolk_task_group_enter(0, &inner);
    if (status == 0)
        status = add(inner, hang, &inner_member);
    if (status == 0)
        status = kolk_sleep(0);
    if (status == 0 && self->name)
        status = add(strcmp(self->name, "inner") == 0 ? inner : outer, fail_at_once, &failing);
    else
        record(f, "begun");
    status = leave(f, "inner", inner, status);
    if (self->status == 1) /* forgive the inner group */
        status = kolk_task_group_cancel(outer) == 1 ? 0 : KOLK_EUNSPECIFIED;
    status = leave(f, "outer", outer, status);
    kolk_task_group_unref(inner);
    kolk_task_group_unref(outer);
    told(f, "after", kolk_sleep(0));
    return status;
}

/* A failure in an inner group ends that one; passed on, it ends the outer one too. */
static void a_failure_ends_the_inner_group_then_the_outer(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "inner"};
    assert_int_equal(run_task(f, nest, &scene), KOLK_EREFUSED);
    assert_record(f, "inner fails inner member(KOLK_ECANCELED) inner(KOLK_EREFUSED) "
                     "outer member(KOLK_ECANCELED) outer(KOLK_EREFUSED) after(KOLK_OK)");
}

/* Dealt with, it is no affair of the outer group. */
static void a_failure_in_an_inner_group_can_be_dealt_with(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "inner", .status = 1};
    assert_int_equal(run_task(f, nest, &scene), 0);
    assert_record(f, "inner fails inner member(KOLK_ECANCELED) inner(KOLK_EREFUSED) "
                     "outer member(KOLK_ECANCELED) outer(KOLK_OK) after(KOLK_OK)");
}

/* A failure in the outer group cancels the block, and with it the inner group. */
static void a_failure_in_the_outer_group_cancels_the_inner(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "outer"};
    assert_int_equal(run_task(f, nest, &scene), KOLK_EREFUSED);
    assert_non_null(strstr(f->record, "outer fails"));
    assert_non_null(strstr(f->record, "outer member(KOLK_ECANCELED)"));
    assert_non_null(strstr(f->record, "inner member(KOLK_ECANCELED)"));
    assert_string_equal(strstr(f->record, "inner(KOLK"), "inner(KOLK_ECANCELED) outer(KOLK_EREFUSED) after(KOLK_OK)");
}

/* Cancelling the task ends both, from the inside out. */
static void cancelling_the_host_ends_both_groups(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, nest, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "begun inner member(KOLK_ECANCELED) inner(KOLK_ECANCELED) outer member(KOLK_ECANCELED) "
                     "outer(KOLK_ECANCELED) after(KOLK_OK)");
}

static int host_of_a_host(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "uncle", .delay_ns = MS};
    struct scene child = {.f = f, .status = KOLK_ECANCELED};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, host_that_waits, &child);
    if (status == 0)
        status = kolk_sleep(MS);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    status = leave(f, "grandparent", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* A member may have a group of its own; it is cancelled with all in it. */
static void cancelling_reaches_the_members_of_members(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_a_host, f), KOLK_EREFUSED);
    assert_record(f, "begun uncle fails a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_ECANCELED) 1 after(KOLK_OK) "
                     "grandparent(KOLK_EREFUSED)");
}

static int leave_in_the_wrong_order(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_task_group *outer = NULL, *inner = NULL;
    kolk_scope *scope = NULL;
    kolk_task_group_enter(0, &outer);
    kolk_task_group_enter(0, &inner);
    leave(f, "outer", outer, 0);
    kolk_timeout(10 * SECOND, &scope);
    leave(f, "inner", inner, 0);
    told(f, "scope", kolk_scope_leave(scope, 0));
    leave(f, "inner", inner, 0);
    leave(f, "inner again", inner, 0);
    leave(f, "outer", outer, 0);
    kolk_timeout(10 * SECOND, &scope);
    kolk_task_group_unref(inner);
    kolk_task_group_enter(0, &inner);
    told(f, "scope", kolk_scope_leave(scope, 0));
    leave(f, "inner", inner, 0);
    kolk_task_group_unref(inner);
    kolk_task_group_unref(outer);
    return told(f, "scope", kolk_scope_leave(scope, 0));
}

/* Groups and scopes are left from the inside out, each once. */
static void groups_and_scopes_are_left_from_the_inside_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, leave_in_the_wrong_order, f), 0);
    assert_record(f, "outer(KOLK_EBUSY) inner(KOLK_EBUSY) scope(KOLK_OK) inner(KOLK_OK) inner again(KOLK_EALREADY) "
                     "outer(KOLK_OK) scope(KOLK_EBUSY) inner(KOLK_OK) scope(KOLK_OK)");
}

/* ---- Level ---- */

static int swallow_in_a_loop(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int refused = 0;
    while (refused < 1000 && kolk_sleep(self->delay_ns) < 0)
        refused++;
    record(self->f, "refused %d", refused);
    return 0;
}

static int host_of_a_swallower(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .delay_ns = 1000 * SECOND}, failing = {.f = f, .name = "one"};
    int status = kolk_task_group_enter(self->flags, &self->group);
    if (status == 0)
        status = kolk_task_group_create_task(self->group, swallow_in_a_loop, &member, NULL, NULL, &self->task);
    if (status == 0)
        status = kolk_sleep(0);
    if (status == 0)
        status = add(self->group, fail_at_once, &failing);
    status = leave(f, "left", self->group, status);
    self->group = kolk_task_group_unref(self->group);
    self->task = kolk_task_unref(self->task);
    return status;
}

/* In level mode a member that swallows its cancellation is refused every wait: it cannot hold up the group. */
static void a_level_group_is_not_held_up_by_who_swallows(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .flags = KOLK_TASK_GROUP_LEVEL};
    assert_int_equal(run_task(f, host_of_a_swallower, &scene), KOLK_EREFUSED);
    assert_record(f, "one fails refused 1000 left(KOLK_EREFUSED)");
}

/* In the other mode it goes on, and the group waits for it: asyncio's rule. A second request ends its second wait. */
static void an_edge_group_waits_for_who_swallows(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, host_of_a_swallower, &scene);
    drive_to_its_wait(f);
    assert_record(f, "one fails");
    assert_int_equal(kolk_task_done(task), 0);
    assert_int_equal(kolk_task_group_count(scene.group), 1);
    for (int i = 0; i < 999; i++) {
        assert_int_equal(kolk_task_cancel(scene.task), 1);
        drive_once(f);
    }
    assert_int_equal(join(f, task), KOLK_EREFUSED);
    assert_record(f, "one fails refused 1000 left(KOLK_EREFUSED)");
}

static int clean_up_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    told(f, "refused", kolk_sleep(0));
    kolk_scope *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, kolk_loop_time(f->loop) + 10 * SECOND, &shield);
    told(f, "clean-up", kolk_sleep(MS / 4));
    kolk_scope_reschedule(shield, kolk_loop_time(f->loop) + 2 * MS);
    int hung = told(f, "that hangs", kolk_sleep(1000 * SECOND));
    told(f, "shield", kolk_scope_leave(shield, hung));
    told(f, "refused", kolk_sleep(0));
    return status;
}

static int host_of_a_clean_up(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &self->group);
    if (status == 0)
        status = add(self->group, clean_up_shielded, self);
    record(self->f, "begun");
    status = leave(self->f, "left", self->group, status);
    self->group = kolk_task_group_unref(self->group);
    return status;
}

/* In a level group that was cancelled, a shield lets a clean-up wait; its own deadline ends one that hangs. */
static void a_shielded_clean_up_works_in_a_cancelled_level_group(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, host_of_a_clean_up, &scene);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_group_cancel(scene.group), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "begun refused(KOLK_ECANCELED) clean-up(KOLK_OK) that hangs(KOLK_ECANCELED) shield(KOLK_ETIMEDOUT) "
                     "refused(KOLK_ECANCELED) left(KOLK_OK)");
}

static int wait_in_a_cancelled_block(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &group);
    kolk_task_group_cancel(group);
    for (int i = 0; i < 3; i++)
        status = told(f, "block", kolk_sleep(MS / 4));
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    told(f, "after", kolk_sleep(MS / 4));
    return status;
}

/* The block of a level group is refused every wait too, until it is left. */
static void a_level_group_reaches_its_block(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, wait_in_a_cancelled_block, f), 0);
    assert_record(f, "block(KOLK_ECANCELED) block(KOLK_ECANCELED) block(KOLK_ECANCELED) left(KOLK_OK) after(KOLK_OK)");
}

static int host_of_level_descendants(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    /* The member's own group is edge, but lies in the level one. */
    struct scene member = {.f = f};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &group);
    if (status == 0)
        status = add(group, host_of_one, &member);
    if (status == 0)
        status = kolk_sleep(100 * MS);
    kolk_task_group_cancel(group);
    status = leave(f, "outer", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* It reaches the members of members: an edge group inside cannot hold it up. */
static void a_level_group_reaches_the_groups_inside(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_level_descendants, f), 0);
    assert_record(f, "begun member(KOLK_ECANCELED) member(KOLK_ECANCELED) left(KOLK_ECANCELED) outer(KOLK_OK)");
}

static int group_in_a_scope(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .delay_ns = 1000 * SECOND};
    kolk_scope *scope = NULL;
    kolk_task_group *group = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, kolk_loop_time(f->loop) + 2 * MS, &scope);
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, swallow_in_a_loop, &member);
    status = leave(f, "group", group, status);
    kolk_task_group_unref(group);
    return told(f, "scope", kolk_scope_leave(scope, status));
}

/* A level scope around a group reaches its members too. */
static void a_level_scope_reaches_the_members_of_groups_inside(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, group_in_a_scope, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "refused 1000 group(KOLK_ECANCELED) scope(KOLK_ETIMEDOUT)");
}

static int group_in_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene member = {.f = f, .name = "member", .future = self->future};
    kolk_scope *level = NULL, *shield = NULL;
    kolk_task_group *group = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &level);
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    int status = kolk_task_group_enter(self->flags, &group);
    if (status == 0)
        status = add(group, await_it, &member);
    kolk_scope_cancel(level);
    record(f, "begun");
    status = leave(f, "group", group, status);
    kolk_task_group_unref(group);
    status = told(f, "shield", kolk_scope_leave(shield, status));
    told(f, "behind", kolk_sleep(0));
    kolk_scope_leave(level, KOLK_ECANCELED);
    return told(f, "after", kolk_sleep(0));
}

/* A shield around a group covers its members: from requests, and from a level scope around the shield. */
static void a_shield_around_a_group_covers_its_members(void **state) {
    struct fixture *f = *state;
    for (uint32_t flags = 0; flags <= KOLK_TASK_GROUP_LEVEL; flags++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = flags};
        clear_record(f);
        kolk_task *task = spawn_with(f, group_in_a_shield, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_cancel(task), 1);
        drive_during(f, MS);
        assert_record(f, "begun");
        kolk_future_set_result(scene.future, NULL, NULL);
        join(f, task);
        assert_int_equal(strncmp(f->record, "begun member(KOLK_OK) group(KOLK_OK) shield(KOLK_OK) behind(KOLK_ECANCELED)", 75),
                         0);
        kolk_future_unref(scene.future);
    }
}

/* ---- Members that come too late ---- */

static int add_too_late(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    int destroyed = 0;
    kolk_task *none = NULL;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    kolk_task_options options = {.size = sizeof options, .group = group};
    kolk_task_group_cancel(group);
    told(f, "ending", kolk_task_group_create_task(group, never_run, &destroyed, count_destroy, NULL, &none));
    told(f, "ending", kolk_create_task(f->loop, never_run, &destroyed, count_destroy, &options, &none));
    status = leave(f, "left", group, status);
    told(f, "after", kolk_task_group_create_task(group, never_run, &destroyed, count_destroy, NULL, &none));
    told(f, "after", kolk_create_task(f->loop, never_run, &destroyed, count_destroy, &options, &none));
    record(f, "%d destroyed, %s", destroyed, none ? "a task" : "no task");
    kolk_task_group_unref(group);
    return status;
}

/* A group that is ending or was left takes no members. */
static void a_group_that_is_ending_takes_no_members(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, add_too_late, &scene), 0);
    assert_record(f, "ending(KOLK_ECANCELED) ending(KOLK_ECANCELED) left(KOLK_OK) after(KOLK_ECLOSED) after(KOLK_ECLOSED) "
                     "4 destroyed, no task");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_host_cancelled_in_its_block_cancels_the_members),
        RULE(a_host_cancelled_while_leaving_cancels_the_members),
        RULE(a_host_stays_cancelled_when_members_end_well),
        RULE(a_failure_beside_a_cancellation_loses_neither),
        RULE(a_group_can_be_cancelled),
        RULE(a_block_may_cancel_its_group),
        RULE(a_member_may_cancel_its_group),
        RULE(a_cancellation_of_the_host_outranks_that_of_the_group),
        RULE(a_member_that_has_not_begun_never_does),
        RULE(a_group_can_time_out),
        RULE(a_time_out_in_the_block_spares_the_members),
        RULE(a_failure_ends_the_inner_group_then_the_outer),
        RULE(a_failure_in_an_inner_group_can_be_dealt_with),
        RULE(a_failure_in_the_outer_group_cancels_the_inner),
        RULE(cancelling_the_host_ends_both_groups),
        RULE(cancelling_reaches_the_members_of_members),
        RULE(groups_and_scopes_are_left_from_the_inside_out),
        RULE(a_level_group_is_not_held_up_by_who_swallows),
        RULE(an_edge_group_waits_for_who_swallows),
        RULE(a_shielded_clean_up_works_in_a_cancelled_level_group),
        RULE(a_level_group_reaches_its_block),
        RULE(a_level_group_reaches_the_groups_inside),
        RULE(a_level_scope_reaches_the_members_of_groups_inside),
        RULE(a_shield_around_a_group_covers_its_members),
        RULE(a_group_that_is_ending_takes_no_members),
    };
    return run_matrix("task_group_cancel", matrix, COUNT(matrix));
}
