/* What can be said of tasks: which there are, what each one does and waits for, where it came from. */
#include "support/driver.h"
#include "support/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What tasks here get: something to wait for, and whom to look at. */
struct scene {
    struct fixture *f;
    kolk_future *future;
    kolk_task *task;
    kolk_semaphore *semaphore;
    kolk_stream *stream;
    struct scene *members;
    int count;
    char *text;
};

static kolk_task *spawn_named(struct fixture *f, kolk_coroutine_fn fn, void *userdata, const char *name, const char *location) {
    kolk_task_options options = {.size = sizeof options, .name = name, .location = location};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, fn, userdata, NULL, &options, &task), 0);
    return task;
}

static kolk_task_info info_of(const kolk_task *task) {
    kolk_task_info info = {.size = sizeof info};
    assert_int_equal(kolk_task_get_info(task, &info), 0);
    return info;
}

static const char *const states[] = {"starting", "ready", "running", "waiting", "ended"};

/* Asserts what a task that waits says of it. */
static void assert_waits_for(const kolk_task *task, const char *awaits, const kolk_future *awaited) {
    kolk_task_info info = info_of(task);
    assert_string_equal(states[info.state], "waiting");
    assert_string_equal(info.awaits, awaits);
    assert_ptr_equal(info.awaited, awaited);
}

/* Cancels a task, and sees to its end. */
static void end(struct fixture *f, kolk_task *task) {
    kolk_task_cancel(task);
    join(f, task);
}

/* ---- Bodies ---- */

static int wait_for_future(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return kolk_await(self->future, NULL);
}

static int wait_for_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return kolk_await(kolk_task_as_future(self->task), NULL);
}

static int wait_for_time(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return kolk_sleep(1000 * SECOND);
}

static int wait_for_permit(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return kolk_semaphore_acquire(self->semaphore);
}

static int wait_for_bytes(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    char byte;
    (void)ret_result;
    return (int)kolk_stream_read(self->stream, &byte, 1);
}

static int wait_for_members(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group *group = NULL;
    int status = kolk_task_group_enter(0, &group);
    for (int i = 0; status == 0 && i < self->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "member %d", i + 1);
        kolk_task_options options = {.size = sizeof options, .name = name, .location = "group.c:7"};
        status = kolk_task_group_create_task(group, wait_for_future, self, NULL, &options, &self->members[i].task);
    }
    status = kolk_task_group_leave(group, status);
    kolk_task_group_unref(group);
    for (int i = 0; i < self->count; i++)
        self->members[i].task = kolk_task_unref(self->members[i].task);
    return status;
}

static int return_at_once(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return 0;
}

/* ---- Which tasks there are ---- */

/* All tasks that have not ended are listed, in the order they were made. */
static void all_tasks_are_listed_in_order(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *made[4], *listed[6] = {NULL};
    assert_int_equal(kolk_loop_all_tasks(f->loop, NULL, 0), 0);
    for (size_t i = 0; i < COUNT(made); i++)
        made[i] = spawn_with(f, i == 1 ? return_at_once : wait_for_future, &scene);
    assert_int_equal(kolk_loop_all_tasks(f->loop, listed, COUNT(listed)), 4);
    for (size_t i = 0; i < COUNT(made); i++)
        assert_ptr_equal(listed[i], made[i]);
    drive_during(f, MS);

    kolk_task *two[3] = {NULL, NULL, NULL};
    assert_int_equal(kolk_loop_all_tasks(f->loop, two, 2), 3);
    assert_ptr_equal(two[0], made[0]);
    assert_ptr_equal(two[1], made[2]);
    assert_null(two[2]);
    assert_int_equal(kolk_loop_all_tasks(f->loop, NULL, 0), 3);

    kolk_future_set_result(scene.future, NULL, NULL);
    for (size_t i = 0; i < COUNT(made); i++)
        assert_int_equal(join(f, made[i]), 0);
    assert_int_equal(kolk_loop_all_tasks(f->loop, listed, COUNT(listed)), 0);
    kolk_future_unref(scene.future);
}

/* ---- What one is doing ---- */

static int look_at_oneself(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_task_info info = {.size = sizeof info};
    int status = kolk_task_get_info(kolk_task_current(), &info);
    record(f, "%s '%s' %d", states[info.state], info.awaits, info.awaited == NULL);
    return status;
}

/* A task starts, runs, waits, is ready, and ends. */
static void a_task_passes_through_its_states(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_for_future, &scene);
    assert_int_equal(info_of(task).state, KOLK_TASK_STARTING);
    drive_during(f, MS);
    assert_int_equal(info_of(task).state, KOLK_TASK_WAITING);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(info_of(task).state, KOLK_TASK_READY);
    assert_string_equal(info_of(task).awaits, "");
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(info_of(task).state, KOLK_TASK_ENDED);
    assert_string_equal(info_of(task).awaits, "");
    assert_null(info_of(task).awaited);
    kolk_task_unref(task);

    assert_int_equal(run_task(f, look_at_oneself, f), 0);
    assert_record(f, "running '' 1");
    kolk_future_unref(scene.future);
}

static int yield_once(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return kolk_sleep(0);
}

static void record_state(void *userdata) {
    struct scene *self = userdata;
    kolk_task_info info = {.size = sizeof info};
    kolk_task_get_info(self->task, &info);
    record(self->f, "%s", states[info.state]);
}

/* A task that only lets others run is ready. */
static void a_task_that_lets_others_run_is_ready(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    scene.task = spawn_with(f, yield_once, &scene);
    kolk_loop_call_soon(f->loop, record_state, &scene, NULL, NULL);
    drive_once(f);
    assert_record(f, "ready");
    assert_int_equal(join(f, scene.task), 0);
}

static int look_at_who_awaits(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record_state(self);
    return 0;
}

static int make_and_await(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task *inner = NULL;
    int status = kolk_create_task(self->f->loop, look_at_who_awaits, self, NULL, NULL, &inner);
    if (status == 0)
        status = kolk_await(kolk_task_as_future(inner), NULL);
    kolk_task_unref(inner);
    return status;
}

/* Seen from the one that runs, who awaits it waits. */
static void who_awaits_the_running_one_waits(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    scene.task = spawn_with(f, make_and_await, &scene);
    assert_int_equal(join(f, kolk_task_ref(scene.task)), 0);
    assert_record(f, "waiting");
    kolk_task_unref(scene.task);
}

/* What is known of a task: its name, its kind, where it was made, how often it was asked to end. */
static void a_task_is_known_by_name_kind_and_place(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_named(f, wait_for_future, &scene, "fetch 3", "crawl.c:120");
    kolk_task *plain = spawn_with(f, wait_for_future, &scene);
    kolk_task_info info = info_of(task);
    assert_string_equal(info.name, "fetch 3");
    assert_string_equal(info.kind, "fiber");
    assert_string_equal(info.location, "crawl.c:120");
    assert_int_equal(info.cancelling, 0);
    assert_int_equal(info.reserved, 0);
    assert_null(info.parent);
    info = info_of(plain);
    assert_string_equal(info.name, "");
    assert_true(info.location[0] != '\0');

    /* What is too long is cut. */
    char place[200];
    memset(place, 'x', sizeof place - 1);
    place[sizeof place - 1] = '\0';
    kolk_task *far = spawn_named(f, wait_for_future, &scene, NULL, place);
    info = info_of(far);
    assert_int_equal(strlen(info.location), sizeof info.location - 1);

    drive_during(f, MS);
    kolk_task_cancel(task);
    assert_int_equal(info_of(task).cancelling, 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    end(f, plain);
    end(f, far);
    kolk_future_unref(scene.future);
}

struct waiting_step {
    kolk_step step;
    kolk_future *future;
};

static int wait_in_steps(void *state, void **ret_value) {
    struct waiting_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    if (self->step.status < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

static int wait_from_afar(void *frame, int status, void *sent, void **ret_value) {
    struct scene *self = frame;
    (void)sent;
    if (status < 0)
        return status;
    if (kolk_future_done(self->future))
        return KOLK_COROUTINE_RETURNED;
    *ret_value = self->future;
    return KOLK_COROUTINE_AWAITING;
}

static const kolk_coroutine_ops lua_ops = {.size = sizeof lua_ops, .kind = "lua", .resume = wait_from_afar};

/* Each kind of task says which it is, and what it waits for. */
static void each_kind_of_task_says_which_it_is(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    struct waiting_step step = {.future = scene.future};
    kolk_task *steps = NULL, *foreign = NULL, *driven = NULL;
    kolk_coroutine *coroutine = NULL;
    kolk_task_options options = {.size = sizeof options, .location = "lua.c:1"};
    assert_int_equal(kolk_create_step_task(f->loop, wait_in_steps, &step, sizeof step, NULL, NULL, &steps), 0);
    assert_int_equal(kolk_create_foreign_task(f->loop, &lua_ops, &scene, &options, &foreign), 0);
    assert_int_equal(kolk_coroutine_new(f->loop, wait_for_future, &scene, NULL, 0, &coroutine), 0);
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &driven), 0);
    drive_during(f, MS);
    assert_string_equal(info_of(steps).kind, "step");
    assert_string_equal(info_of(foreign).kind, "lua");
    assert_string_equal(info_of(driven).kind, "fiber");
    assert_string_equal(info_of(foreign).location, "lua.c:1");
    assert_true(info_of(steps).location[0] != '\0');
    assert_waits_for(steps, "future", scene.future);
    assert_waits_for(foreign, "future", scene.future);
    assert_waits_for(driven, "future", scene.future);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, steps), 0);
    assert_int_equal(join(f, foreign), 0);
    assert_int_equal(join(f, driven), 0);
    kolk_coroutine_unref(coroutine);
    kolk_future_unref(scene.future);
}

/* A task that drove a coroutine of another kind says so after its end as well, when the coroutine is gone. */
static void a_task_that_has_ended_keeps_its_kind(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_coroutine *coroutine = NULL;
    kolk_task *task = NULL;
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &lua_ops, &scene, &coroutine), 0);
    assert_int_equal(kolk_create_task_of(coroutine, NULL, &task), 0);
    kolk_coroutine_unref(coroutine);
    assert_string_equal(info_of(task).kind, "lua");
    kolk_future_set_result(scene.future, NULL, NULL);
    drive_until(f, kolk_task_as_future(task));
    assert_string_equal(states[info_of(task).state], "ended");
    assert_string_equal(info_of(task).kind, "lua");
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

struct nesting_step {
    kolk_step step;
    struct scene *scene;
};

static void look_at_it(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%s", states[info_of(self->task).state]);
    kolk_future_set_result(self->future, NULL, NULL);
}

static int nest_in_steps(void *state, void **ret_value) {
    struct nesting_step *self = state;
    (void)ret_value;
    kolk_loop_call_soon(self->scene->f->loop, look_at_it, self->scene, NULL, NULL);
    return kolk_loop_run_nested(self->scene->f->loop, self->scene->future);
}

/* A step task that runs the loop nested is on the stack, and so it is running, as another task is. */
static void a_step_task_on_the_stack_is_running(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    struct nesting_step step = {.scene = &scene};
    assert_int_equal(kolk_create_step_task(f->loop, nest_in_steps, &step, sizeof step, NULL, NULL, &scene.task), 0);
    assert_int_equal(join(f, scene.task), 0);
    assert_record(f, "running");
    kolk_future_unref(scene.future);
}

/* What it waits for is told in words, and as a future if it is one. */
static void what_a_task_waits_for_is_told_in_words(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(kolk_semaphore_new(f->loop, 0, &scene.semaphore), 0);
    kolk_task *sleeping = spawn_named(f, wait_for_time, &scene, "fetch 3", NULL);
    kolk_task *acquiring = spawn_with(f, wait_for_permit, &scene);
    kolk_task *awaiting = spawn_with(f, wait_for_future, &scene);

    struct scene on_task = {.f = f, .task = sleeping};
    kolk_task *joining = spawn_with(f, wait_for_task, &on_task);

    struct scene on_all = {.f = f};
    assert_int_equal(kolk_gather(f->loop, &scene.future, 1, 0, &on_all.future), 0);
    kolk_task *gathering = spawn_with(f, wait_for_future, &on_all);

    struct scene member = {.f = f}, host = {.f = f, .future = scene.future, .members = &member, .count = 1};
    kolk_task *hosting = spawn_with(f, wait_for_members, &host);

    drive_during(f, MS);
    assert_waits_for(sleeping, "sleep", NULL);
    assert_waits_for(acquiring, "semaphore", NULL);
    assert_waits_for(awaiting, "future", scene.future);
    assert_waits_for(joining, "task 'fetch 3'", kolk_task_as_future(sleeping));
    assert_waits_for(gathering, "gather", on_all.future);
    assert_waits_for(hosting, "task group", NULL);

    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, awaiting), 0);
    assert_int_equal(join(f, gathering), 0);
    assert_int_equal(join(f, hosting), 0);
    end(f, acquiring);
    end(f, joining);
    end(f, sleeping);
    kolk_semaphore_unref(scene.semaphore);
    kolk_future_unref(on_all.future);
    kolk_future_unref(scene.future);
}

/* So it is for a connection that is read from. */
static void a_task_that_reads_says_so(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    uint16_t port;
    int listener = listen_on_loopback(4, 1, &port);
    kolk_future *connecting = NULL;
    void *result = NULL;
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", port, NULL, &connecting), 0);
    drive_until(f, connecting);
    assert_int_equal(kolk_future_result(connecting, &result), 0);
    scene.stream = kolk_stream_ref(result);
    kolk_future_unref(connecting);
    int peer = accept_one(listener);
    kolk_task *task = spawn_with(f, wait_for_bytes, &scene);
    drive_during(f, MS);
    assert_waits_for(task, "stream read", NULL);
    end(f, task);
    kolk_stream_close(scene.stream);
    kolk_stream_unref(scene.stream);
    close(peer);
    close(listener);
}

/* ---- Who belongs to whom ---- */

/* The parent is who awaits it. */
static void the_parent_is_who_awaits_it(void **state) {
    struct fixture *f = *state;
    struct scene bottom = {.f = f, .future = new_future(f)};
    kolk_task *inner = spawn_with(f, wait_for_future, &bottom);
    struct scene top = {.f = f, .task = inner};
    kolk_task *outer = spawn_with(f, wait_for_task, &top);
    drive_during(f, MS);
    assert_ptr_equal(info_of(inner).parent, outer);
    assert_null(info_of(outer).parent);
    kolk_future_set_result(bottom.future, NULL, NULL);
    assert_int_equal(join(f, outer), 0);
    assert_null(info_of(inner).parent);
    assert_int_equal(join(f, inner), 0);
    kolk_future_unref(bottom.future);
}

/* Or else the task whose group it is in; who awaits it comes first. */
static void the_parent_of_a_member_is_its_host(void **state) {
    struct fixture *f = *state;
    struct scene members[2] = {{.f = f}, {.f = f}};
    struct scene host = {.f = f, .future = new_future(f), .members = members, .count = 2};
    kolk_task *hosting = spawn_with(f, wait_for_members, &host);
    drive_during(f, MS);
    kolk_task *awaiting = spawn_with(f, wait_for_task, &members[1]);
    drive_during(f, MS);
    assert_ptr_equal(info_of(members[0].task).parent, hosting);
    assert_ptr_equal(info_of(members[1].task).parent, awaiting);
    assert_null(info_of(hosting).parent);
    kolk_future_set_result(host.future, NULL, NULL);
    assert_int_equal(join(f, hosting), 0);
    assert_int_equal(join(f, awaiting), 0);
    kolk_future_unref(host.future);
}

/* ---- As text ---- */

/* The whole text, to be freed. */
static char *format(struct fixture *f) {
    int length = kolk_loop_format_tasks(f->loop, NULL, 0);
    assert_true(length >= 0);
    char *text = malloc((size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(kolk_loop_format_tasks(f->loop, text, (size_t)length + 1), length);
    assert_int_equal(strlen(text), length);
    return text;
}

static int count_lines(const char *text) {
    int lines = 0;
    while ((text = strchr(text, '\n')) && text++)
        lines++;
    return lines;
}

/* Without tasks there is no text. */
static void without_tasks_there_is_no_text(void **state) {
    struct fixture *f = *state;
    char text[8] = "before";
    assert_int_equal(kolk_loop_format_tasks(f->loop, text, sizeof text), 0);
    assert_string_equal(text, "");
}

/* One task a line, below the one it belongs to: name, state, what it waits for if it waits, kind, place. */
static void the_tree_is_text(void **state) {
    struct fixture *f = *state;
    struct scene members[2] = {{.f = f}, {.f = f}};
    struct scene host = {.f = f, .future = new_future(f), .members = members, .count = 2};
    kolk_task *hosting = spawn_named(f, wait_for_members, &host, "crawl", "crawl.c:10");
    drive_during(f, MS);
    kolk_task *awaiting = spawn_named(f, wait_for_task, &members[1], "index", "index.c:20");
    drive_during(f, MS);
    kolk_task *fresh = spawn_named(f, return_at_once, NULL, NULL, "main.c:30");
    struct waiting_step step = {.future = host.future};
    kolk_task_options options = {.size = sizeof options, .name = "step", .location = "step.c:40"};
    kolk_task *steps = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, wait_in_steps, &step, sizeof step, NULL, &options, &steps), 0);

    char *text = format(f);
    assert_string_equal(text, "crawl  waiting  task group  (fiber)  crawl.c:10\n"
                              "  member 1  waiting  future  (fiber)  group.c:7\n"
                              "index  waiting  task 'member 2'  (fiber)  index.c:20\n"
                              "  member 2  waiting  future  (fiber)  group.c:7\n"
                              "(no name)  starting  (fiber)  main.c:30\n"
                              "step  starting  (step)  step.c:40\n");
    free(text);

    kolk_future_set_result(host.future, NULL, NULL);
    assert_int_equal(join(f, fresh), 0);
    assert_int_equal(join(f, steps), 0);
    assert_int_equal(join(f, hosting), 0);
    assert_int_equal(join(f, awaiting), 0);
    kolk_future_unref(host.future);
}

static int host_two_levels(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task_group *outer = NULL, *inner = NULL;
    int status = kolk_task_group_enter(0, &outer);
    kolk_task_options first = {.size = sizeof first, .name = "host", .location = "a.c:1"};
    kolk_task_options second = {.size = sizeof second, .name = "own", .location = "a.c:2"};
    if (status == 0)
        status = kolk_task_group_create_task(outer, wait_for_members, &self[1], NULL, &first, NULL);
    if (status == 0)
        status = kolk_task_group_enter(0, &inner);
    if (status == 0)
        status = kolk_task_group_create_task(inner, wait_for_future, self, NULL, &second, NULL);
    status = kolk_task_group_leave(inner, status);
    kolk_task_group_unref(inner);
    status = kolk_task_group_leave(outer, status);
    kolk_task_group_unref(outer);
    return status;
}

/* The members of all its groups stand below a task, each once, and theirs below them. */
static void groups_in_groups_are_indented(void **state) {
    struct fixture *f = *state;
    struct scene members[2] = {{.f = f}, {.f = f}};
    kolk_future *future = new_future(f);
    struct scene scenes[] = {{.f = f, .future = future}, {.f = f, .future = future, .members = members, .count = 2}};
    kolk_task *task = spawn_named(f, host_two_levels, scenes, "top", "top.c:1");
    drive_during(f, MS);
    char *text = format(f);
    assert_int_equal(count_lines(text), 5);
    assert_int_equal(strncmp(text, "top  waiting  task group  (fiber)  top.c:1\n  ", 45), 0);
    assert_non_null(strstr(text, "\n  own  waiting  future  (fiber)  a.c:2\n"));
    assert_non_null(strstr(text, "\n  host  waiting  task group  (fiber)  a.c:1\n"
                                 "    member 1  waiting  future  (fiber)  group.c:7\n"
                                 "    member 2  waiting  future  (fiber)  group.c:7\n"));
    free(text);
    kolk_future_set_result(future, NULL, NULL);
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(future);
}

/* What does not fit is left out; the length is always that of the whole, and the text always ends. */
static void what_does_not_fit_is_left_out(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *tasks[2];
    for (int i = 0; i < 2; i++)
        tasks[i] = spawn_named(f, wait_for_future, &scene, i ? "second" : "first", "main.c:1");
    drive_during(f, MS);
    char *whole = format(f);
    size_t length = strlen(whole);
    for (size_t size = 1; size <= length + 2; size++) {
        char *text = malloc(size + 1);
        memset(text, '#', size + 1);
        assert_int_equal(kolk_loop_format_tasks(f->loop, text, size), length);
        assert_int_equal(strlen(text), size <= length ? size - 1 : length);
        assert_int_equal(strncmp(text, whole, strlen(text)), 0);
        assert_int_equal(text[size], '#');
        free(text);
    }
    char untouched = '#';
    assert_int_equal(kolk_loop_format_tasks(f->loop, &untouched, 0), length);
    assert_int_equal(untouched, '#');
    free(whole);
    for (int i = 0; i < 2; i++)
        end(f, tasks[i]);
    kolk_future_unref(scene.future);
}

/* A task that two await is listed once. */
static void a_task_that_two_await_is_listed_once(void **state) {
    struct fixture *f = *state;
    struct scene bottom = {.f = f, .future = new_future(f)};
    struct scene top = {.f = f, .task = spawn_named(f, wait_for_future, &bottom, "awaited", "a.c:1")};
    kolk_task *first = spawn_named(f, wait_for_task, &top, "first", "a.c:2");
    kolk_task *second = spawn_named(f, wait_for_task, &top, "second", "a.c:3");
    drive_during(f, MS);
    char *text = format(f);
    assert_string_equal(text, "first  waiting  task 'awaited'  (fiber)  a.c:2\n"
                              "  awaited  waiting  future  (fiber)  a.c:1\n"
                              "second  waiting  task 'awaited'  (fiber)  a.c:3\n");
    free(text);
    kolk_future_set_result(bottom.future, NULL, NULL);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    assert_int_equal(join(f, top.task), 0);
    kolk_future_unref(bottom.future);
}

/* Tasks that wait for one another in a circle are listed once each. */
static void a_circle_of_tasks_is_listed(void **state) {
    struct fixture *f = *state;
    struct scene scenes[3] = {{.f = f}, {.f = f}, {.f = f}};
    const char *const names[] = {"one", "two", "three"};
    kolk_task *circle[3];
    for (int i = 0; i < 3; i++)
        circle[i] = spawn_named(f, wait_for_task, &scenes[i], names[i], "circle.c:1");
    for (int i = 0; i < 3; i++)
        scenes[i].task = circle[(i + 1) % 3];
    /* One that waits for the circle is not part of it. */
    struct scene outside = {.f = f, .task = circle[1]};
    kolk_task *waiting = spawn_named(f, wait_for_task, &outside, "outside", "circle.c:2");
    drive_during(f, MS);
    char *text = format(f);
    assert_int_equal(count_lines(text), 4);
    const char *const lines[] = {"one  waiting  task 'two'", "two  waiting  task 'three'", "three  waiting  task 'one'",
                                 "outside  waiting  task 'two'"};
    for (size_t i = 0; i < COUNT(lines); i++) {
        const char *found = strstr(text, lines[i]);
        assert_non_null(found);
        assert_null(strstr(found + 1, lines[i]));
    }
    free(text);
    kolk_task_cancel(circle[0]);
    assert_int_equal(join(f, waiting), KOLK_ECANCELED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(join(f, circle[i]), KOLK_ECANCELED);
}

static int await_gathered(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *other = kolk_task_as_future(self->task), *all = NULL;
    int status = kolk_gather(self->f->loop, &other, 1, 0, &all);
    if (status == 0)
        status = kolk_await(all, NULL);
    kolk_future_unref(all);
    return status;
}

/* So are two that wait for one another through a gather. */
static void a_circle_through_a_gather_is_listed(void **state) {
    struct fixture *f = *state;
    struct scene scenes[2] = {{.f = f}, {.f = f}};
    kolk_task *circle[2];
    for (int i = 0; i < 2; i++)
        circle[i] = spawn_named(f, await_gathered, &scenes[i], i ? "two" : "one", "circle.c:1");
    for (int i = 0; i < 2; i++)
        scenes[i].task = circle[1 - i];
    drive_during(f, MS);
    char *text = format(f);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "one  waiting  gather  (fiber)  circle.c:1\n"));
    assert_non_null(strstr(text, "two  waiting  gather  (fiber)  circle.c:1\n"));
    free(text);
    for (int i = 0; i < 2; i++)
        kolk_task_cancel(circle[i]);
    for (int i = 0; i < 2; i++)
        join(f, circle[i]);
}

enum { DEEP = 1000 };

static int wait_for_the_next(void *userdata, void **ret_result) {
    kolk_task **self = userdata;
    (void)ret_result;
    return self[1] ? kolk_await(kolk_task_as_future(self[1]), NULL) : kolk_sleep(1000 * SECOND);
}

static int format_inside(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int length = kolk_loop_format_tasks(self->f->loop, NULL, 0);
    if (length < 0)
        return length;
    self->text = malloc((size_t)length + 1);
    return kolk_loop_format_tasks(self->f->loop, self->text, (size_t)length + 1) == length ? 0 : KOLK_EINVAL;
}

/* A chain that is a thousand tasks deep is written on the stack of a task, which is small. */
static void a_deep_chain_is_written_on_a_small_stack(void **state) {
    struct fixture *f = *state;
    kolk_task **chain = calloc(DEEP + 1, sizeof *chain);
    for (int i = 0; i < DEEP; i++)
        chain[i] = spawn_named(f, wait_for_the_next, &chain[i], "link", "chain.c:1");
    drive_during(f, MS);
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, format_inside, &scene), 0);
    assert_int_equal(count_lines(scene.text), DEEP + 1);
    /* Line by line two spaces deeper; the last but one is the end of the chain. */
    const char *line = scene.text;
    for (size_t depth = 0; depth < DEEP; depth++) {
        assert_int_equal(strspn(line, " "), 2 * depth);
        assert_int_equal(strncmp(line + 2 * depth, "link  waiting  ", 15), 0);
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(strncmp(line, "(no name)  running  (fiber)  ", 29), 0);
    free(scene.text);
    kolk_task_cancel(chain[0]);
    for (int i = 0; i < DEEP; i++)
        assert_int_equal(join(f, chain[i]), KOLK_ECANCELED);
    free(chain);
}

/* ---- What is refused ---- */

/* What makes no sense is refused, and a closed loop has nothing to show. */
static void what_cannot_be_inspected_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_for_future, &scene);
    kolk_task_info info = {.size = sizeof info, .state = -1}, small = {.size = 8, .state = -1}, unset = {.state = -1};
    assert_int_equal(kolk_task_get_info(NULL, &info), KOLK_EINVAL);
    assert_int_equal(kolk_task_get_info(task, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_task_get_info(task, &small), KOLK_EINVAL);
    assert_int_equal(kolk_task_get_info(task, &unset), KOLK_EINVAL);
    assert_int_equal(info.state, -1);
    assert_int_equal(small.state, -1);
    assert_int_equal(unset.state, -1);
    assert_int_equal(kolk_loop_all_tasks(NULL, NULL, 0), KOLK_EINVAL);
    assert_int_equal(kolk_loop_all_tasks(f->loop, NULL, 1), KOLK_EINVAL);
    char text[8];
    assert_int_equal(kolk_loop_format_tasks(NULL, text, sizeof text), KOLK_EINVAL);
    assert_int_equal(kolk_loop_format_tasks(f->loop, NULL, 1), KOLK_EINVAL);

    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_all_tasks(f->loop, &task, 1), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_format_tasks(f->loop, text, sizeof text), KOLK_ECLOSED);
    assert_int_equal(info_of(task).state, KOLK_TASK_ENDED);
    kolk_task_unref(task);
    kolk_future_unref(scene.future);
}

/* Looking needs no memory, so that it can be done when there is none: the list then says less of who belongs to whom. */
static void looking_needs_no_memory(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_named(f, wait_for_future, &scene, "waiting", NULL), *listed = NULL;
    char text[256];
    drive_during(f, MS);
    failing_allocator_arm(&f->memory, 1, 1);
    kolk_task_info info = {.size = sizeof info};
    int known = kolk_task_get_info(task, &info);
    int count = kolk_loop_all_tasks(f->loop, &listed, 1);
    assert_int_equal(failing_allocator_disarm(&f->memory), 0);
    failing_allocator_arm(&f->memory, 1, 1);
    int length = kolk_loop_format_tasks(f->loop, text, sizeof text);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(known, 0);
    assert_int_equal(count, 1);
    assert_true(length > 0);
    end(f, task);
    kolk_future_unref(scene.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(all_tasks_are_listed_in_order),
        RULE(a_task_passes_through_its_states),
        RULE(a_task_that_lets_others_run_is_ready),
        RULE(who_awaits_the_running_one_waits),
        RULE(a_task_is_known_by_name_kind_and_place),
        RULE(each_kind_of_task_says_which_it_is),
        RULE(a_task_that_has_ended_keeps_its_kind),
        RULE(a_step_task_on_the_stack_is_running),
        RULE(what_a_task_waits_for_is_told_in_words),
        RULE(a_task_that_reads_says_so),
        RULE(the_parent_is_who_awaits_it),
        RULE(the_parent_of_a_member_is_its_host),
        RULE(without_tasks_there_is_no_text),
        RULE(the_tree_is_text),
        RULE(groups_in_groups_are_indented),
        RULE(what_does_not_fit_is_left_out),
        RULE(a_task_that_two_await_is_listed_once),
        RULE(a_circle_of_tasks_is_listed),
        RULE(a_circle_through_a_gather_is_listed),
        RULE(what_cannot_be_inspected_is_refused),
        RULE(looking_needs_no_memory),
    };
    static const struct rule plain[] = {
        RULE(a_deep_chain_is_written_on_a_small_stack),
    };
    return run_matrix("inspect", matrix, COUNT(matrix)) + run_plain("inspect deep", plain, COUNT(plain));
}
