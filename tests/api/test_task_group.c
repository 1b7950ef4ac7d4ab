/* Tasks that end together: the rules of asyncio.TaskGroup, and of trio's nursery in level mode. */
#include "support/driver.h"

#include <stdio.h>
#include <stdlib.h>

/* What hosts and members get. */
struct scene {
    struct fixture *f;
    const char *name;
    kolk_task_group *group;
    kolk_future *future;
    kolk_task *task;
    uint32_t flags;
    int status;
    int64_t delay_ns;
};

/* Records how something ended, and passes that on. */
static int told(struct fixture *f, const char *what, int status) {
    record(f, "%s(%s)", what, kolk_status_name(status));
    return status;
}

static int add(kolk_task_group *group, kolk_coroutine_fn fn, void *userdata) {
    return kolk_task_group_create_task(group, fn, userdata, NULL, NULL, NULL);
}

static int leave(struct fixture *f, const char *what, kolk_task_group *group, int status) {
    return told(f, what, kolk_task_group_leave(group, status));
}

static int is_waiting(void *recorded) { return ((struct fixture *)recorded)->recorded > 0; }

/* Drives until a body has recorded something, and then as long as it takes to reach its next wait. */
static void drive_to_its_wait(struct fixture *f) {
    drive_for(f, is_waiting, f);
    drive_during(f, MS);
}

/* ---- Members ---- */

static int sleep_and_say(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, self->name, kolk_sleep(self->delay_ns));
}

/* Sleeps until it is cancelled; how it ends then is in the scene. */
static int hang(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, self->name, kolk_sleep(1000 * SECOND));
    return self->status;
}

static int await_it(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, self->name, kolk_await(self->future, NULL));
}

static int fail_at_once(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    record(self->f, "%s fails", self->name);
    return kolk_raise(error);
}

static int return_its_name(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    *ret_result = (void *)self->name;
    return 0;
}

/* ---- Ending well ---- */

static int host_of_three(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene members[] = {{.f = f, .name = "c", .delay_ns = 9 * MS},
                              {.f = f, .name = "a", .delay_ns = 1 * MS},
                              {.f = f, .name = "b", .delay_ns = 5 * MS}};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++)
        status = add(group, sleep_and_say, &members[i]);
    record(f, "%d members", kolk_task_group_count(group));
    status = leave(f, "left", group, status);
    record(f, "%d members", kolk_task_group_count(group));
    kolk_task_group_unref(group);
    return status;
}

/* A group is left when all its members have ended. */
static void a_group_is_left_when_all_have_ended(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_three, f), 0);
    const char *const members[] = {"a(KOLK_OK)", "b(KOLK_OK)", "c(KOLK_OK)"},
                      *left = strstr(f->record, "left(KOLK_OK) 0 members");
    assert_non_null(left);
    for (size_t i = 0; i < COUNT(members); i++) {
        const char *ended = strstr(f->record, members[i]);
        assert_true(ended && ended < left);
    }
}

static int host_of_none(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    const int outcomes[] = {0, KOLK_EIO, KOLK_ECANCELED};
    kolk_loop_call_soon(f->loop, say, word(f, "others"), NULL, NULL);
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        kolk_task_group *group = NULL;
        kolk_task_group_enter(0, &group);
        leave(f, "left", group, outcomes[i]);
        kolk_task_group_unref(group);
    }
    return kolk_sleep(0);
}

/* Without members there is nothing to wait for; the block's outcome is the group's. */
static void a_group_without_members_is_left_at_once(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_none, f), 0);
    assert_record(f, "left(KOLK_OK) left(KOLK_EIO) left(KOLK_ECANCELED) others");
}

static int host_that_reads_results(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene members[] = {{.f = f, .name = "tea"}, {.f = f, .name = "cake"}};
    kolk_task *tasks[2] = {NULL, NULL};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++)
        status = kolk_task_group_create_task(group, return_its_name, &members[i], NULL, NULL, &tasks[i]);
    status = kolk_task_group_leave(group, status);
    for (size_t i = 0; i < COUNT(tasks); i++) {
        void *result = NULL;
        int outcome = kolk_task_result(tasks[i], &result);
        record(f, "%s", outcome == 0 ? (char *)result : kolk_status_name(outcome));
        kolk_task_unref(tasks[i]);
    }
    kolk_task_group_unref(group);
    return status;
}

/* After the group the results of its members are there. */
static void the_results_are_there_when_the_group_was_left(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_that_reads_results, f), 0);
    assert_record(f, "tea cake");
}

static int add_members(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(MS);
    record(self->f, "%s", self->name);
    struct scene *next = self + 1;
    return status == 0 && next->name ? add(self->group, add_members, next) : status;
}

static int host_of_a_growing_group(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    struct scene members[] = {{.f = f, .name = "first", .group = group},
                              {.f = f, .name = "second", .group = group},
                              {.f = f, .name = "third", .group = group},
                              {.f = f}};
    if (status == 0)
        status = add(group, add_members, &members[0]);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* Members may add members, also while the group is being left; they are waited for too. */
static void members_may_add_members(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_a_growing_group, f), 0);
    assert_record(f, "first second third left(KOLK_OK)");
}

static int cancel_one_member(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene cancelled = {.f = f, .name = "cancelled", .status = KOLK_ECANCELED};
    struct scene other = {.f = f, .name = "other", .future = self->future};
    kolk_task_group *group = NULL;
    kolk_task *task = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = kolk_task_group_create_task(group, hang, &cancelled, NULL, NULL, &task);
    if (status == 0)
        status = add(group, await_it, &other);
    kolk_sleep(MS / 4);
    kolk_task_cancel(task);
    kolk_task_unref(task);
    told(f, "block", kolk_sleep(MS / 4));
    kolk_future_set_result(self->future, NULL, NULL);
    status = leave(f, "left", group, status);
    record(f, "%d errors", kolk_task_group_error_count(group));
    kolk_task_group_unref(group);
    return status;
}

/* A member that is cancelled alone has not failed: the group goes on without it. */
static void a_member_that_is_cancelled_alone_does_not_end_the_group(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, cancel_one_member, &scene), 0);
    assert_record(f, "cancelled(KOLK_ECANCELED) block(KOLK_OK) other(KOLK_OK) left(KOLK_OK) 0 errors");
    kolk_future_unref(scene.future);
}

/* ---- Failing ---- */

static int host_with_a_failing_member(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"}, other = {.f = f, .name = "other", .status = KOLK_ECANCELED};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, hang, &other);
    if (status == 0)
        status = kolk_sleep(0);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    if (status == 0)
        status = told(f, "block", kolk_await(self->future, NULL));
    status = leave(f, "left", group, status);
    record(f, "%s; %d error: %s", kolk_error_message(kolk_raised()), kolk_task_group_error_count(group),
           kolk_error_message(kolk_task_group_error(group, 0)));
    kolk_task_group_unref(group);
    told(f, "after", kolk_sleep(0));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return status;
}

/* The first that fails cancels the others and the block, and is what the group ends with, in its words. Nothing of that is left
 * behind. */
static void the_first_failure_cancels_the_rest_and_the_block(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, host_with_a_failing_member, &scene), KOLK_EREFUSED);
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    assert_non_null(strstr(f->record, "block(KOLK_ECANCELED)"));
    assert_non_null(strstr(f->record, "other(KOLK_ECANCELED)"));
    const char *end = strstr(f->record, "left(");
    assert_non_null(end);
    assert_string_equal(end, "left(KOLK_EREFUSED) port 81 refused; 1 error: port 81 refused after(KOLK_OK) 0");
    assert_int_equal(f->unhandled, 0);
    kolk_future_unref(scene.future);
}

static int fail_while_being_left(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"}, other = {.f = f, .name = "other", .status = KOLK_ECANCELED};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, hang, &other);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    told(f, "after", kolk_sleep(0));
    return status;
}

/* So it is when the group is being left already. */
static void a_failure_while_the_group_is_left_cancels_the_rest(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, fail_while_being_left);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "port 81 refused");
    assert_record(f, "one fails other(KOLK_ECANCELED) left(KOLK_EREFUSED) after(KOLK_OK)");
    kolk_task_unref(task);
}

static int swallow_in_the_block(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    told(f, "block", kolk_sleep(10 * SECOND));
    told(f, "again", kolk_sleep(MS / 4));
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    return status;
}

/* A block that swallows what it is told goes on, and the group has failed all the same. */
static void a_failure_that_the_block_swallows_is_told_at_the_end(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, swallow_in_the_block, f), KOLK_EREFUSED);
    assert_record(f, "one fails block(KOLK_ECANCELED) again(KOLK_OK) left(KOLK_EREFUSED)");
}

static int fail_the_block(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene members[] = {{.f = f, .name = "a", .status = KOLK_ECANCELED}, {.f = f, .name = "b", .status = self->status}};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++)
        status = add(group, hang, &members[i]);
    if (status == 0)
        status = kolk_sleep(MS);
    status = leave(f, "left", group, status < 0 ? status : KOLK_EACCESS);
    record(f, "%d errors", kolk_task_group_error_count(group));
    kolk_task_group_unref(group);
    return status;
}

/* A block that fails cancels the members, and its outcome is the group's, whatever they answer. */
static void a_block_that_fails_cancels_the_members(void **state) {
    struct fixture *f = *state;
    struct scene quiet = {.f = f, .status = KOLK_ECANCELED}, failing = {.f = f, .status = KOLK_EPIPE};
    assert_int_equal(run_task(f, fail_the_block, &quiet), KOLK_EACCESS);
    assert_record(f, "a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_EACCESS) 0 errors");
    clear_record(f);
    assert_int_equal(run_task(f, fail_the_block, &failing), KOLK_EACCESS);
    assert_record(f, "a(KOLK_ECANCELED) b(KOLK_ECANCELED) left(KOLK_EACCESS) 1 errors");
}

enum { MANY = 20, KEPT = 16 };

static int host_of_many_failures(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene members[MANY], failing = {.f = f, .name = "first"};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++) {
        members[i] = (struct scene){.f = f, .name = ".", .status = KOLK_EPIPE};
        status = add(group, hang, &members[i]);
    }
    if (status == 0)
        status = kolk_sleep(0);
    if (status == 0)
        status = add(group, fail_at_once, &failing);
    status = kolk_task_group_leave(group, status);
    clear_record(f);
    kolk_error *told_of = kolk_raised();
    told(f, "left", status);
    record(f, "%s because: %s;", strstr(kolk_error_message(told_of), "21") ? "21" : kolk_error_message(told_of),
           kolk_error_message(kolk_error_cause(told_of)));
    record(f, "%d errors", kolk_task_group_error_count(group));
    const int indices[] = {0, 1, KEPT - 1, KEPT, MANY, -1};
    for (size_t i = 0; i < COUNT(indices); i++) {
        kolk_error *error = kolk_task_group_error(group, (uint32_t)indices[i]);
        record(f, "%s", error ? kolk_status_name(kolk_error_status(error)) : "none");
    }
    kolk_task_group_unref(group);
    return status;
}

/* With several failures the group ends with the first; it says how many there were, and keeps sixteen of them. */
static void of_several_failures_the_first_counts(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    assert_int_equal(run_task(f, host_of_many_failures, f), KOLK_EREFUSED);
    assert_record(f, "left(KOLK_EREFUSED) 21 because: port 81 refused; 21 errors KOLK_EREFUSED KOLK_EPIPE KOLK_EPIPE none none "
                     "none");
    assert_int_equal(f->unhandled, 0);
}

static int await_failing_member(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene failing = {.f = f, .name = "one"};
    kolk_task_group *group = NULL;
    kolk_task *task = NULL;
    int status = kolk_task_group_enter(0, &group);
    if (status == 0)
        status = kolk_task_group_create_task(group, fail_at_once, &failing, NULL, NULL, &task);
    if (status == 0)
        status = kolk_await(kolk_task_as_future(task), NULL);
    status = leave(f, "left", group, status);
    kolk_task_group_unref(group);
    kolk_task_unref(task);
    told(f, "after", kolk_sleep(0));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return status;
}

/* A block that awaits the member which fails ends as the group does; it is not cancelled later. */
static void a_block_may_await_its_members(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, await_failing_member, f), KOLK_EREFUSED);
    assert_record(f, "one fails left(KOLK_EREFUSED) after(KOLK_OK) 0");
}

/* ---- Cancelling ---- */

static int host_that_waits(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene members[] = {{.f = f, .name = "a", .status = KOLK_ECANCELED}, {.f = f, .name = "b", .status = self->status}};
    int status = kolk_task_group_enter(self->flags, &self->group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++)
        status = add(self->group, hang, &members[i]);
    record(f, "begun");
    if (status == 0 && self->future)
        status = told(f, "block", kolk_await(self->future, NULL));
    status = leave(f, "left", self->group, status);
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    self->group = kolk_task_group_unref(self->group);
    told(f, "after", kolk_sleep(0));
    return status;
}

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

static int never_run(void *userdata, void **ret_result) {
    (void)ret_result;
    record(((struct scene *)userdata)->f, "ran");
    return 0;
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

/* ---- Other kinds of tasks ---- */

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

/* ---- Lifetime ---- */

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

static int leave_somebody_elses(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *future = NULL;
    told(self->f, "another's", kolk_task_group_leave(self->group, 0));
    told(self->f, "another's", kolk_task_group_leave_async(self->group, 0, &future));
    kolk_task_group *group = NULL;
    told(self->f, "flags", kolk_task_group_enter(2, &group));
    told(self->f, "nowhere", kolk_task_group_enter(0, NULL));
    told(self->f, "leave", kolk_task_group_leave(NULL, 0));
    return group ? KOLK_EINVAL : 0;
}

/* What makes no sense is refused. */
static void what_makes_no_sense_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_task_group *group = NULL;
    kolk_task *none = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_task_group_enter(0, &group), KOLK_ENOTASK);
    assert_null(group);
    assert_int_equal(kolk_task_group_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_task_group_create_task(NULL, never_run, &destroyed, count_destroy, NULL, &none), KOLK_EINVAL);
    assert_int_equal(destroyed, 1);
    assert_null(none);

    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, host_that_waits, &scene);
    drive_to_its_wait(f);
    clear_record(f);
    assert_int_equal(kolk_task_group_leave(scene.group, 0), KOLK_ENOTASK);
    assert_int_equal(kolk_task_group_abandon(scene.group), KOLK_ENOTASK);
    assert_int_equal(kolk_task_group_abandon(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_task_group_create_task(scene.group, NULL, &destroyed, count_destroy, NULL, &none), KOLK_EINVAL);
    assert_int_equal(destroyed, 2);
    assert_int_equal(run_task(f, leave_somebody_elses, &scene), 0);
    assert_record(f, "another's(KOLK_ENOTASK) another's(KOLK_ENOTASK) flags(KOLK_EINVAL) nowhere(KOLK_EINVAL) "
                     "leave(KOLK_EINVAL)");
    assert_int_equal(kolk_task_group_count(scene.group), 2);
    kolk_task_cancel(task);
    join(f, task);
    kolk_future_unref(scene.future);
}

/* ---- Many, and without memory ---- */

static int end_quickly(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(0);
    ++*(int *)userdata;
    return status;
}

static int host_of_thousands(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int ended = 0;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (int i = 0; status == 0 && i < 2000; i++)
        status = add(group, end_quickly, &ended);
    status = leave(f, "left", group, status);
    record(f, "%d ended", ended);
    kolk_task_group_unref(group);
    return status;
}

/* Two thousand members are waited for like two. */
static void a_group_may_be_large(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, host_of_thousands, f), 0);
    assert_record(f, "left(KOLK_OK) 2000 ended");
}

/* A tree of tasks that do what chance has them do. Whoever waits for long does so in a scope with a deadline. */
struct tree {
    struct fixture *f;
    uint64_t chance;
    int to_make; /* Tasks that may still be made. */
    int alive, outlived, lost;
};

struct branch {
    struct tree *tree;
    int depth;
};

/* Sebastiano Vigna's splitmix64. */
static uint32_t draw(struct tree *tree, uint32_t below) {
    uint64_t z = tree->chance += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

static int grow(struct tree *tree, int depth);

static int grow_branch(void *userdata, void **ret_result) {
    struct branch *self = userdata;
    struct tree *tree = self->tree;
    (void)ret_result;
    tree->alive++;
    int status = grow(tree, self->depth);
    tree->alive--;
    return status;
}

static int grow_in_group(struct tree *tree, int depth) {
    struct branch branches[3];
    kolk_task *tasks[COUNT(branches)] = {NULL};
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(draw(tree, 2) ? KOLK_TASK_GROUP_LEVEL : 0, &group);
    if (status < 0)
        return status;
    for (uint32_t i = 0, count = draw(tree, COUNT(branches) + 1); i < count && tree->to_make > 0 && status == 0; i++) {
        tree->to_make--;
        branches[i] = (struct branch){tree, depth + 1};
        status = kolk_task_group_create_task(group, grow_branch, &branches[i], NULL, NULL, &tasks[i]);
        if (draw(tree, 3) == 0)
            status = status < 0 ? status : kolk_sleep(0);
    }
    if (draw(tree, 4) == 0)
        kolk_task_group_cancel(group);
    if (status == 0 && draw(tree, 2))
        status = grow(tree, depth + 1);
    status = kolk_task_group_leave(group, status);
    tree->outlived += kolk_task_group_count(group) != 0;
    for (size_t i = 0; i < COUNT(tasks); i++) {
        tree->outlived += tasks[i] && !kolk_task_done(tasks[i]);
        kolk_task_unref(tasks[i]);
    }
    kolk_task_group_unref(group);
    return status;
}

static int grow_in_scope(struct tree *tree, int depth) {
    kolk_scope *scope = NULL;
    int before = kolk_task_cancelling(kolk_task_current());
    int64_t deadline = kolk_loop_time(tree->f->loop) + draw(tree, 300) * 1000;
    int status = kolk_scope_enter(draw(tree, 4), deadline, &scope);
    if (status < 0)
        return status;
    if (draw(tree, 8) == 0)
        kolk_scope_cancel(scope);
    status = draw(tree, 2) ? grow(tree, depth + 1) : kolk_sleep(1000 * SECOND);
    status = kolk_scope_leave(scope, status);
    /* The scope takes back its own request, and no other. */
    tree->lost += kolk_task_cancelling(kolk_task_current()) < before;
    return status;
}

static int cancel_anyone(struct tree *tree) {
    kolk_task *tasks[64];
    int count = kolk_loop_all_tasks(tree->f->loop, tasks, COUNT(tasks));
    if (count > (int)COUNT(tasks))
        count = COUNT(tasks);
    if (count > 0)
        kolk_task_cancel(tasks[draw(tree, (uint32_t)count)]);
    return kolk_loop_format_tasks(tree->f->loop, NULL, 0) > 0 ? 0 : KOLK_EUNSPECIFIED;
}

static int grow(struct tree *tree, int depth) {
    int status = 0;
    for (uint32_t left = draw(tree, 4) + 1; left > 0; left--) {
        uint32_t what = draw(tree, 8);
        if (what < 2 && depth < 6)
            status = grow_in_group(tree, depth);
        else if (what < 4 && depth < 6)
            status = grow_in_scope(tree, depth);
        else if (what == 4 && draw(tree, 3) == 0)
            status = cancel_anyone(tree);
        else if (what == 5 && draw(tree, 6) == 0)
            status = KOLK_EIO;
        else
            status = kolk_sleep(draw(tree, 100) * 1000);
        /* One in four swallows what he is told. */
        if (status < 0 && draw(tree, 4) != 0)
            return status;
    }
    return status < 0 ? 0 : status;
}

/* One that begins anew until enough tasks have been made, whatever became of those before. */
static int plant(void *userdata, void **ret_result) {
    struct tree *tree = userdata;
    (void)ret_result;
    int status = 0;
    for (int i = 0; i < 100 && tree->to_make > 0; i++)
        status = grow_in_group(tree, 0);
    return status;
}

/* Whatever happens, everything ends, nobody outlives the group he is in, and nothing is left over. */
static void no_member_outlives_its_group(void **state) {
    struct fixture *f = *state;
    int made = 0;
    watch_errors(f);
    for (uint64_t round = 0; round < 20; round++) {
        struct tree tree = {.f = f, .chance = f->seed * 1000 + round, .to_make = 60};
        int status = run_task(f, plant, &tree);
        if (status != 0 && status != KOLK_EIO && status != KOLK_ECANCELED && status != KOLK_ETIMEDOUT)
            fail_msg("round %d: %s", (int)round, kolk_status_name(status));
        if (tree.alive || tree.outlived || tree.lost)
            fail_msg("round %d: %d alive, %d outlived, %d lost", (int)round, tree.alive, tree.outlived, tree.lost);
        assert_int_equal(kolk_loop_all_tasks(f->loop, NULL, 0), 0);
        made += 60 - tree.to_make;
    }
    /* Otherwise chance would have had nothing happen. */
    assert_true(made > 1000);
    assert_int_equal(f->unhandled, 0);
}

static int use_groups(void *userdata, void **ret_result) {
    int *ended = userdata;
    (void)ret_result;
    kolk_task_group *outer = NULL, *inner = NULL;
    int status = kolk_task_group_enter(KOLK_TASK_GROUP_LEVEL, &outer);
    if (status < 0)
        return status;
    for (int i = 0; status == 0 && i < 3; i++)
        status = add(outer, end_quickly, ended);
    int entered = status == 0 ? kolk_task_group_enter(0, &inner) : status;
    status = entered;
    for (int i = 0; status == 0 && i < 3; i++)
        status = add(inner, end_quickly, ended);
    if (entered == 0)
        status = kolk_task_group_leave(inner, status);
    kolk_task_group_unref(inner);
    if (status == 0) {
        kolk_future *future = NULL;
        status = kolk_task_group_leave_async(outer, 0, &future);
        if (status == KOLK_EPENDING)
            (void)kolk_await(future, NULL);
        kolk_future_unref(future);
        status = status == KOLK_EPENDING ? 0 : status;
    }
    int left = kolk_task_group_leave(outer, status);
    kolk_task_group_unref(outer);
    return left == KOLK_EALREADY ? status : left;
}

static int try_groups(kolk_loop *loop, int *ended) {
    kolk_task *task = NULL;
    int status = kolk_create_task(loop, use_groups, ended, NULL, NULL, &task);
    if (status == 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    if (status == 0)
        status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

/* Each allocation fails once, and all from each on: the task is told, and nothing is left over. */
static void without_memory_nothing_is_left_over(void **state) {
    struct fixture *f = *state;
    for (int sticky = 0; sticky < 2; sticky++) {
        size_t n = 0, failures = 0;
        do {
            int ended = 0;
            finish_loop(f);
            kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
            assert_int_equal(kolk_loop_new(&options, &f->loop, NULL), 0);
            failing_allocator_arm(&f->memory, ++n, sticky);
            int status = try_groups(f->loop, &ended);
            failing_allocator_disarm(&f->memory);
            failures = f->memory.failures;
            if (status != 0 && (status != KOLK_ENOMEM || failures == 0))
                fail_msg("allocation %zu: %s", n, kolk_status_name(status));
            if (status == 0)
                assert_int_equal(ended, 6);
        } while (failures > 0);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_group_is_left_when_all_have_ended),
        RULE(a_group_without_members_is_left_at_once),
        RULE(the_results_are_there_when_the_group_was_left),
        RULE(members_may_add_members),
        RULE(a_member_that_is_cancelled_alone_does_not_end_the_group),
        RULE(the_first_failure_cancels_the_rest_and_the_block),
        RULE(a_failure_while_the_group_is_left_cancels_the_rest),
        RULE(a_failure_that_the_block_swallows_is_told_at_the_end),
        RULE(a_block_that_fails_cancels_the_members),
        RULE(of_several_failures_the_first_counts),
        RULE(a_block_may_await_its_members),
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
        RULE(a_step_task_leaves_in_two_calls),
        RULE(a_step_task_is_told_of_failures),
        RULE(a_step_task_cancelled_while_leaving_cancels_the_members),
        RULE(a_level_group_is_not_held_up_by_steps_that_swallow),
        RULE(a_step_task_waits_for_a_cancelled_level_group),
        RULE(the_end_of_a_group_may_be_asked_for_again),
        RULE(cancelling_the_end_of_a_group_cancels_the_members),
        RULE(members_may_be_of_every_kind),
        RULE(a_group_that_was_left_still_tells),
        RULE(a_group_that_is_never_left_is_reported),
        RULE(a_host_that_forgot_its_group_may_be_cancelled_when_told),
        RULE(a_member_may_await_a_host_that_never_leaves),
        RULE(an_abandoned_group_is_left_at_once),
        RULE(a_member_may_await_who_abandons_it),
        RULE(an_abandoned_group_takes_its_request_back),
        RULE(members_end_after_all_were_cancelled),
        RULE(a_circle_of_host_and_member_can_be_cancelled),
        RULE(closing_the_loop_ends_groups),
        RULE(what_makes_no_sense_is_refused),
        RULE(a_group_may_be_large),
        RULE(no_member_outlives_its_group),
    };
    static const struct rule plain[] = {
        RULE(without_memory_nothing_is_left_over),
    };
    return run_matrix("task_group", matrix, COUNT(matrix)) + run_plain("task_group without memory", plain, COUNT(plain));
}
