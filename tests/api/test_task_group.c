/* Tasks that end together: the rules of asyncio.TaskGroup. How groups are cancelled is in test_task_group_cancel.c. */
#include "support/task_groups.h"

/* ---- Ending well ---- */

static int return_its_name(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    *ret_result = (void *)self->name;
    return 0;
}

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

/* ---- What is refused ---- */

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
        RULE(what_makes_no_sense_is_refused),
        RULE(a_group_may_be_large),
        RULE(no_member_outlives_its_group),
    };
    static const struct rule plain[] = {
        RULE(without_memory_nothing_is_left_over),
    };
    return run_matrix("task_group", matrix, COUNT(matrix)) + run_plain("task_group without memory", plain, COUNT(plain));
}
