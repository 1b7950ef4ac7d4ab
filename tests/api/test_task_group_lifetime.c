/* Task groups to their end and beyond: left, never left, abandoned, or awaited by their own members. */
#include "support/task_groups.h"

static int leave_it_to_others(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    self->group = kolk_task_group_ref(group);
    status = kolk_task_group_leave(group, status);
    kolk_task_group_unref(group);
    return status;
}

/* What a group knows it knows as long as somebody holds it. */
static void a_group_that_was_left_still_tells(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, leave_it_to_others, &scene), KOLK_EREFUSED);
    assert_int_equal(kolk_task_group_count(scene.group), 0);
    assert_int_equal(kolk_task_group_error_count(scene.group), 1);
    assert_string_equal(kolk_error_message(kolk_task_group_error(scene.group, 0)), "port 81 refused");
    assert_int_equal(kolk_task_group_cancel(scene.group), KOLK_ECLOSED);
    assert_ptr_equal(kolk_task_group_ref(scene.group), scene.group);
    assert_null(kolk_task_group_unref(scene.group));
    assert_null(kolk_task_group_unref(scene.group));
    assert_null(kolk_task_group_unref(NULL));
    assert_null(kolk_task_group_ref(NULL));
}

static int forget_to_leave(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(self->flags, &group);
    if (status == 0)
        status = add(group, await_it, self);
    kolk_task_group_unref(group);
    return status < 0 ? status : kolk_sleep(MS);
}

/* A task that ends without leaving its group has made a mistake, which is reported; the members are cancelled. */
static void a_group_that_is_never_left_is_reported(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_TASK_GROUP_LEVEL; level++) {
        struct scene scene = {.f = f, .name = "member", .future = new_future(f), .flags = level};
        clear_record(f);
        watch_errors(f);
        f->unhandled = 0;
        assert_int_equal(run_task(f, forget_to_leave, &scene), 0);
        drive_during(f, MS);
        assert_int_equal(f->unhandled, 1);
        assert_non_null(strstr(f->record, "unhandled(KOLK_EBUSY)"));
        assert_non_null(strstr(f->record, "member(KOLK_ECANCELED)"));
        kolk_future_unref(scene.future);
    }
}

static int forget_to_leave_both(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    kolk_scope *scope = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0 && self->future)
        status = add(group, await_it, self);
    if (status == 0)
        status = kolk_scope_enter(0, KOLK_NEVER, &scope);
    kolk_task_group_unref(group);
    return status < 0 ? status : kolk_sleep(MS);
}

static void cancel_the_host(kolk_loop *loop, kolk_error *error, void *userdata) {
    struct scene *self = userdata;
    (void)loop;
    told(self->f, "reported", kolk_error_status(error));
    kolk_task_cancel(self->task);
}

/* Who is told of a group that was never left may cancel its host, which ends as it was about to. */
static void a_host_that_forgot_its_group_may_be_cancelled_when_told(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, cancel_the_host, &scene, NULL), 0);
    scene.task = spawn_with(f, forget_to_leave_both, &scene);
    assert_int_equal(join(f, scene.task), 0);
    assert_record(f, "reported(KOLK_EBUSY)");
}

/* A request to a member that awaits the host comes back to the host, which ends all the same: the member gets its outcome. */
static void a_member_may_await_a_host_that_never_leaves(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "member"};
    watch_errors(f);
    scene.task = spawn_with(f, forget_to_leave_both, &scene);
    scene.future = kolk_task_as_future(scene.task);
    assert_int_equal(join(f, scene.task), 0);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 1);
    assert_record(f, "unhandled(KOLK_EBUSY) member(KOLK_OK)");
}

static int abandon_it(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_task_group *group = NULL;
    kolk_scope *around = NULL, *inside = NULL;
    int status = kolk_scope_enter(0, kolk_loop_time(f->loop) + SECOND, &around);
    if (status == 0)
        status = kolk_task_group_enter(self->flags, &group);
    if (status == 0)
        status = add(group, await_it, self);
    if (status == 0)
        status = kolk_sleep(0);
    if (status == 0)
        status = kolk_scope_enter(0, KOLK_NEVER, &inside);
    told(f, "too early", kolk_task_group_abandon(group));
    kolk_scope_leave(inside, status);
    told(f, "abandoned", kolk_task_group_abandon(group));
    told(f, "again", kolk_task_group_abandon(group));
    record(f, "%d members", kolk_task_group_count(group));
    told(f, "scope", kolk_scope_leave(around, status));
    told(f, "slept", kolk_sleep(0));
    record(f, "%d members, cancelled %d times;", kolk_task_group_count(group), kolk_task_cancelling(kolk_task_current()));
    kolk_task_group_unref(group);
    return status;
}

/* A group that is abandoned is left without waiting; its members are cancelled, which is reported. */
static void an_abandoned_group_is_left_at_once(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    for (uint32_t level = 0; level <= KOLK_TASK_GROUP_LEVEL; level++) {
        struct scene scene = {.f = f, .name = "member", .future = new_future(f), .flags = level};
        clear_record(f);
        assert_int_equal(run_task(f, abandon_it, &scene), 0);
        assert_record(f, "too early(KOLK_EBUSY) unhandled(KOLK_EBUSY) abandoned(KOLK_OK) again(KOLK_EALREADY) 1 members "
                         "scope(KOLK_OK) member(KOLK_ECANCELED) slept(KOLK_OK) 0 members, cancelled 0 times;");
        kolk_future_unref(scene.future);
    }
}

/* A member that awaits the task which abandons it is cancelled alone. */
static void a_member_may_await_who_abandons_it(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "member"};
    watch_errors(f);
    kolk_task *task = spawn_with(f, abandon_it, &scene);
    scene.future = kolk_task_as_future(task);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "too early(KOLK_EBUSY) unhandled(KOLK_EBUSY) abandoned(KOLK_OK) again(KOLK_EALREADY) 1 members "
                     "scope(KOLK_OK) member(KOLK_ECANCELED) slept(KOLK_OK) 0 members, cancelled 0 times;");
}

static int abandon_a_failed_one(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    told(f, "block", kolk_sleep(SECOND));
    told(f, "abandoned", kolk_task_group_abandon(group));
    told(f, "cancel", kolk_task_group_cancel(group));
    told(f, "slept", kolk_sleep(0));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    kolk_task_group_unref(group);
    return status;
}

/* Without members it is left, and nothing is reported. What the group asked of the block is taken back. */
static void an_abandoned_group_takes_its_request_back(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    assert_int_equal(run_task(f, abandon_a_failed_one, f), 0);
    assert_record(f, "one fails block(KOLK_ECANCELED) abandoned(KOLK_OK) cancel(KOLK_ECLOSED) slept(KOLK_OK) 0");
    assert_int_equal(f->unhandled, 0);
}

static void try_to_nest(void *userdata) {
    struct fixture *f = userdata;
    kolk_future *future = NULL;
    if (kolk_sleep_async(f->loop, MS, &future) == 0)
        told(f, "nested", kolk_loop_run_nested(f->loop, future));
    kolk_future_unref(future);
}

static int await_behind_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *inner = NULL, *shield = NULL;
    kolk_future_new(self->f->loop, &inner);
    kolk_future_set_datum(inner, self->f, try_to_nest);
    kolk_shield(inner, &shield);
    kolk_future_unref(inner);
    int status = kolk_await(shield, NULL);
    kolk_future_unref(shield);
    return told(self->f, self->name, status);
}

static int host_of_two_behind_shields(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group_enter(0, &self->group);
    int status = add(self->group, await_behind_a_shield, self);
    if (status == 0)
        status = add(self->group, await_behind_a_shield, self);
    return leave(self->f, "left", self->group, status);
}

static void cancel_the_group(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "cancel=%d", kolk_task_group_cancel(self->group));
}

/* What the requests to members destroy cannot run the loop among them: they all end in their turn. */
static void members_end_after_all_were_cancelled(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "member"};
    kolk_task *task = spawn_with(f, host_of_two_behind_shields, &scene);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_the_group, &scene, NULL, NULL), 0);
    assert_int_equal(join(f, task), 0);
    kolk_task_group_unref(scene.group);
    assert_record(f,
                  "nested(KOLK_EBUSY) nested(KOLK_EBUSY) cancel=1 member(KOLK_ECANCELED) member(KOLK_ECANCELED) left(KOLK_OK)");
}

static int host_of_one_that_awaits_it(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = kolk_task_group_create_task(group, await_it, self, NULL, NULL, &self->task);
    status = leave(self->f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* A member that awaits its own host waits for ever, until one of the two, or the loop, says otherwise. */
static void a_circle_of_host_and_member_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    for (int by = 0; by < 3; by++) {
        struct scene scene = {.f = f, .name = "member"};
        kolk_task *host = spawn_with(f, host_of_one_that_awaits_it, &scene);
        scene.future = kolk_task_as_future(host);
        drive_during(f, MS);
        assert_record(f, "");
        if (by < 2)
            assert_int_equal(kolk_task_cancel(by ? host : scene.task), 1);
        else
            assert_int_equal(kolk_loop_close(f->loop), 0);
        if (by < 2)
            drive_until(f, scene.future);
        assert_int_equal(kolk_task_result(host, NULL), by ? KOLK_ECANCELED : 0);
        assert_record(f, by ? "member(KOLK_ECANCELED) left(KOLK_ECANCELED)" : "member(KOLK_ECANCELED) left(KOLK_OK)");
        clear_record(f);
        kolk_task_unref(scene.task);
        kolk_task_unref(host);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_group_that_was_left_still_tells),
        RULE(a_group_that_is_never_left_is_reported),
        RULE(a_host_that_forgot_its_group_may_be_cancelled_when_told),
        RULE(a_member_may_await_a_host_that_never_leaves),
        RULE(an_abandoned_group_is_left_at_once),
        RULE(a_member_may_await_who_abandons_it),
        RULE(an_abandoned_group_takes_its_request_back),
        RULE(members_end_after_all_were_cancelled),
        RULE(a_circle_of_host_and_member_can_be_cancelled),
    };
    return run_matrix("task_group_lifetime", matrix, COUNT(matrix));
}
