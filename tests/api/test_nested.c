/* Waiting in the middle of a callback, where nothing can be awaited: what runs meanwhile, and what does not. */
#include "support/driver.h"

#include <stdlib.h>
#include <unistd.h>

struct scene {
    struct fixture *f;
    const char *name;
    kolk_future *future;
    kolk_task *task;
    struct scene *other;
    int fds[2];
};

static void nest(struct scene *self) {
    record(self->f, "%s<", self->name);
    int status = kolk_loop_run_nested(self->f->loop, self->future);
    record(self->f, "%s>%s", self->name, kolk_status_name(status));
}

static void nest_in_callback(void *scene) { nest(scene); }

static int nest_in_task(void *scene, void **ret_result) {
    (void)ret_result;
    nest(scene);
    return 0;
}

static kolk_future *sleep_for(struct fixture *f, int64_t delay_ns) {
    kolk_future *future = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, delay_ns, &future), 0);
    return future;
}

static void soon(struct fixture *f, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_soon(f->loop, fn, userdata, NULL, NULL), 0);
}

static void later(struct fixture *f, int64_t delay_ns, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_later(f->loop, delay_ns, fn, userdata, NULL, NULL), 0);
}

static void settle(void *future) { kolk_future_set_result(future, NULL, NULL); }

static void say_and_settle(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "later");
    settle(self->future);
}

/* Runs three times; after that, if it has a future, a timer finishes it. */
static int say_thrice(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    for (int i = 1; i <= 3; i++) {
        record(self->f, "%s%d", self->name, i);
        int status = kolk_sleep(0);
        if (status < 0)
            return status;
    }
    return self->future ? kolk_loop_call_later(self->f->loop, MS, say_and_settle, self, NULL, NULL) : 0;
}

/* ---- What runs meanwhile ---- */

/* From a callback, turns run until the future is done: callbacks, tasks and timers, those that are made meanwhile too. */
static void everything_else_runs_meanwhile(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "callback", .future = new_future(f)},
                 other = {.f = f, .name = "t", .future = self.future};
    soon(f, nest_in_callback, &self);
    soon(f, say, word(f, "soon"));
    kolk_task *task = spawn_with(f, say_thrice, &other);
    drive_once(f);
    assert_record(f, "callback< soon t1 t2 t3 later callback>KOLK_OK");
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(self.future);
}

/* From a task, everything but that task runs. */
static void a_task_may_wait_like_this_as_well(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "task", .future = new_future(f)}, other = {.f = f, .name = "t", .future = self.future};
    kolk_task *waiting = spawn_with(f, nest_in_task, &self), *task = spawn_with(f, say_thrice, &other);
    assert_int_equal(join(f, waiting), 0);
    assert_record(f, "task< t1 t2 t3 later task>KOLK_OK");
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(self.future);
}

struct step_scene {
    kolk_step step;
    struct scene *scene;
};

static int nest_in_step(void *state, void **ret_value) {
    struct step_scene *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    nest(self->scene);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    KOLK_STEP_END(&self->step);
}

/* So may a task without a stack of its own. */
static void a_step_task_may_wait_like_this_as_well(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "step", .future = new_future(f)}, other = {.f = f, .name = "t", .future = self.future};
    struct step_scene step = {.scene = &self};
    kolk_task *waiting = NULL, *task = spawn_with(f, say_thrice, &other);
    assert_int_equal(kolk_create_step_task(f->loop, nest_in_step, &step, sizeof step, NULL, NULL, &waiting), 0);
    assert_int_equal(join(f, waiting), 0);
    assert_record(f, "t1 t2 step< t3 later step>KOLK_OK");
    assert_int_equal(join(f, task), 0);
    kolk_future_unref(self.future);
}

static int return_tea(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = "tea";
    return 0;
}

static void run_task_inside(void *userdata) {
    struct scene *self = userdata;
    void *result = NULL;
    kolk_task *task = NULL;
    kolk_create_task(self->f->loop, return_tea, NULL, NULL, NULL, &task);
    int status = kolk_loop_run_nested(self->f->loop, kolk_task_as_future(task));
    kolk_task_result(task, &result);
    record(self->f, "%s %s", kolk_status_name(status), (char *)result);
    kolk_task_unref(task);
}

/* The answer of a task can be waited for, which is what it is for. */
static void a_callback_gets_the_answer_of_a_task(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f};
    soon(f, run_task_inside, &self);
    drive_once(f);
    assert_record(f, "KOLK_OK tea");
}

static void read_byte(void *userdata) {
    struct scene *self = userdata;
    char byte = 0;
    record(self->f, "%d", (int)read(self->fds[0], &byte, 1));
    kolk_loop_remove_reader(self->f->loop, self->fds[0]);
    kolk_future_set_result(self->future, NULL, NULL);
}

static void write_byte(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%d", (int)write(self->fds[1], "x", 1));
}

/* Descriptors are looked at as well. */
static void descriptors_are_served_meanwhile(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "io", .future = new_future(f)};
    open_pair(self.fds);
    assert_int_equal(kolk_loop_add_reader(f->loop, self.fds[0], read_byte, &self, NULL), 0);
    soon(f, nest_in_callback, &self);
    later(f, MS, write_byte, &self);
    drive_once(f);
    assert_record(f, "io< 1 1 io>KOLK_OK");
    kolk_future_unref(self.future);
    close_pair(self.fds);
}

/* One that is done already is not waited for: nobody else runs. */
static void what_is_done_is_not_waited_for(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "done", .future = new_future(f)};
    settle(self.future);
    soon(f, nest_in_callback, &self);
    soon(f, say, word(f, "next"));
    drive_once(f);
    assert_record(f, "done< done>KOLK_OK next");
    kolk_future_unref(self.future);
}

static void record_current(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%d%d%d", kolk_task_current() == NULL, kolk_coroutine_current() == NULL,
           kolk_loop_current() == self->f->loop);
    settle(self->future);
}

static int nest_and_look(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    nest(self);
    record(self->f, "%d%d", kolk_task_current() == self->task, kolk_coroutine_current() != NULL);
    return kolk_sleep(0);
}

/* Meanwhile no task is the current one, except in a task; afterwards it is the one that called. */
static void the_current_task_is_the_one_that_runs(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)};
    self.task = spawn_with(f, nest_and_look, &self);
    soon(f, record_current, &self);
    assert_int_equal(join(f, self.task), 0);
    assert_record(f, "a< 111 a>KOLK_OK 11");
    kolk_future_unref(self.future);
}

/* The budget of a host does not count inside: what was asked for is waited for. */
static void a_budget_does_not_count_inside(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a"}, sleeper = {.f = f, .name = "t"};
    kolk_task *task = NULL;
    soon(f, nest_in_callback, &self);
    assert_int_equal(kolk_create_task(f->loop, say_thrice, &sleeper, NULL, NULL, &task), 0);
    self.future = kolk_task_as_future(task);
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_record(f, "a< t1 t2 t3 a>KOLK_OK");
    kolk_task_unref(task);
}

static void posted(struct fixture *f, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, fn, userdata, NULL), 0);
}

/* A call that another thread posted may wait for what the one posted behind it does. */
static void posted_calls_run_inside_a_posted_call(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "posted", .future = new_future(f)};
    posted(f, nest_in_callback, &self);
    posted(f, say_and_settle, &self);
    posted(f, say, word(f, "last"));
    drive_until(f, self.future);
    drive_during(f, MS);
    assert_record(f, "posted< later last posted>KOLK_OK");
    kolk_future_unref(self.future);
}

static void post_the_end(void *userdata) {
    struct scene *self = userdata;
    kolk_loop_call_soon_threadsafe(self->f->loop, say_and_settle, self, NULL);
}

static void ask_for_the_end_and_nest(void *userdata) {
    struct scene *self = userdata;
    kolk_loop_call_soon(self->f->loop, post_the_end, self, NULL, NULL);
    nest(self);
}

/* It may also wait for one that is posted meanwhile. */
static void what_is_posted_meanwhile_runs_inside_a_posted_call(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "posted", .future = new_future(f)};
    posted(f, ask_for_the_end_and_nest, &self);
    drive_until(f, self.future);
    assert_record(f, "posted< later posted>KOLK_OK");
    kolk_future_unref(self.future);
}

static void nest_and_read(void *userdata) {
    nest(userdata);
    read_byte(userdata);
}

static void bury(void *userdata) { record(((struct scene *)userdata)->f, "~io"); }

static void remove_and_settle(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%d", kolk_loop_remove_reader(self->f->loop, self->fds[0]));
    settle(self->future);
}

/* A reader that waits before it has read is not called again inside, and one that is removed inside lives until it returns. */
static void a_reader_on_the_stack_is_not_called_again(void **state) {
    struct fixture *f = *state;
    static const kolk_callback_fn ends[] = {say_and_settle, remove_and_settle};
    static const char *const records[] = {"io< later io>KOLK_OK 1 ~io", "io< 1 io>KOLK_OK 1 ~io"};
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct scene self = {.f = f, .name = "io", .future = new_future(f)};
        open_pair(self.fds);
        write_byte(&self);
        clear_record(f);
        assert_int_equal(kolk_loop_add_reader(f->loop, self.fds[0], nest_and_read, &self, bury), 0);
        later(f, MS, ends[i], &self);
        drive_until(f, self.future);
        drive_during(f, MS);
        assert_string_equal(f->record, records[i]);
        kolk_future_unref(self.future);
        close_pair(self.fds);
    }
}

static int let_others_run(void *counter, void **ret_result) {
    (void)ret_result;
    while (kolk_sleep(0) == 0)
        ++*(int *)counter;
    return 0;
}

/* Waiting like this leaves no trace in the turns that follow: one turn runs what there is once. */
static void turns_are_as_long_as_before(void **state) {
    struct fixture *f = *state;
    int counters[2] = {0, 0};
    struct scene self = {.f = f, .name = "a", .future = sleep_for(f, MS)};
    for (size_t i = 0; i < COUNT(counters); i++)
        assert_int_equal(kolk_create_task(f->loop, let_others_run, &counters[i], NULL, NULL, NULL), 0);
    soon(f, nest_in_callback, &self);
    drive_until(f, self.future);
    assert_record(f, "a< a>KOLK_OK");
    for (int i = 0; i < 3; i++) {
        int before = counters[0] + counters[1];
        assert_int_equal(drive_once(f), 2);
        assert_int_equal(counters[0] + counters[1] - before, 2);
    }
    kolk_future_unref(self.future);
}

/* A budget that ends in the middle of a queue leaves its order alone, whatever a wait has run of it. */
static void the_order_under_a_budget_is_kept(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)};
    static const char *const names[] = {"1", "2", "3"};
    for (size_t i = 0; i < COUNT(names); i++)
        soon(f, say, word(f, names[i]));
    soon(f, nest_in_callback, &self);
    soon(f, say, word(f, "4"));
    soon(f, say_and_settle, &self);
    soon(f, say, word(f, "5"));
    soon(f, say, word(f, "6"));
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
        record(f, "|");
    }
    assert_record(f, "1 2 | 3 a< 4 later 5 6 a>KOLK_OK | | |");
    kolk_future_unref(self.future);
}

/* ---- What does not ---- */

static int nest_and_sleep(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    nest(self);
    int status = kolk_sleep(SECOND * 1000);
    record(self->f, "%s", kolk_status_name(status));
    return status;
}

static void cancel_task(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "cancel=%d", kolk_task_cancel(self->task));
    settle(self->future);
}

/* A task that waits like this can be cancelled meanwhile, and sees it at its next wait; what it waits for is left alone. */
static void a_cancellation_is_seen_afterwards(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)};
    self.task = spawn_with(f, nest_and_sleep, &self);
    later(f, MS, cancel_task, &self);
    assert_int_equal(join(f, self.task), KOLK_ECANCELED);
    assert_record(f, "a< cancel=1 a>KOLK_OK KOLK_ECANCELED");
    assert_int_equal(kolk_future_result(self.future, NULL), 0);
    kolk_future_unref(self.future);
}

static int await_future(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    int status = kolk_await(self->future, ret_result);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    return status;
}

/* Who awaits a task that is on the stack goes on waiting, and others do not wait for it. */
static void who_awaits_a_task_on_the_stack_goes_on_waiting(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)}, waiter = {.f = f, .name = "waiter"};
    kolk_task *nesting = spawn_with(f, nest_in_task, &self);
    waiter.future = kolk_task_as_future(nesting);
    kolk_task *waiting = spawn_with(f, await_future, &waiter);
    later(f, MS, say_and_settle, &self);
    assert_int_equal(join(f, waiting), 0);
    assert_record(f, "a< later a>KOLK_OK waiter(KOLK_OK)");
    kolk_task_unref(nesting);
    kolk_future_unref(self.future);
}

/* ---- Nested twice ---- */

static void settle_outer_first(void *userdata) {
    struct scene *outer = userdata;
    settle(outer->future);
    kolk_loop_call_soon(outer->f->loop, say_and_settle, outer->other, NULL, NULL);
}

/* An outer wait returns after the inner ones, however early its future is done. */
static void an_outer_wait_returns_after_the_inner_one(void **state) {
    struct fixture *f = *state;
    struct scene inner = {.f = f, .name = "inner", .future = new_future(f)};
    struct scene outer = {.f = f, .name = "outer", .future = new_future(f), .other = &inner};
    soon(f, nest_in_callback, &outer);
    soon(f, nest_in_callback, &inner);
    later(f, MS, settle_outer_first, &outer);
    drive_once(f);
    assert_record(f, "outer< inner< later inner>KOLK_OK outer>KOLK_OK");
    kolk_future_unref(outer.future);
    kolk_future_unref(inner.future);
}

static void settle_inner_first(void *userdata) {
    struct scene *outer = userdata;
    settle(outer->other->future);
    kolk_loop_call_later(outer->f->loop, MS, say_and_settle, outer, NULL, NULL);
}

/* An inner wait that is over lets the outer one go on. */
static void an_inner_wait_may_be_over_first(void **state) {
    struct fixture *f = *state;
    struct scene inner = {.f = f, .name = "inner", .future = new_future(f)};
    struct scene outer = {.f = f, .name = "outer", .future = new_future(f), .other = &inner};
    kolk_task *task = spawn_with(f, nest_in_task, &outer);
    soon(f, nest_in_callback, &inner);
    soon(f, settle_inner_first, &outer);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "outer< inner< inner>KOLK_OK later outer>KOLK_OK");
    kolk_future_unref(outer.future);
    kolk_future_unref(inner.future);
}

/* Waits may be nested deeper, in tasks and callbacks by turns. */
static void waits_nest_in_tasks_and_callbacks(void **state) {
    struct fixture *f = *state;
    struct scene scenes[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};
    kolk_task *tasks[2];
    kolk_future *future = new_future(f);
    for (size_t i = 0; i < COUNT(scenes); i++) {
        scenes[i].f = f;
        scenes[i].future = future;
    }
    tasks[0] = spawn_with(f, nest_in_task, &scenes[0]);
    soon(f, nest_in_callback, &scenes[1]);
    tasks[1] = spawn_with(f, nest_in_task, &scenes[2]);
    soon(f, nest_in_callback, &scenes[3]);
    soon(f, settle, future);
    assert_int_equal(join(f, tasks[0]), 0);
    assert_int_equal(join(f, tasks[1]), 0);
    assert_record(f, "a< b< c< d< d>KOLK_OK c>KOLK_OK b>KOLK_OK a>KOLK_OK");
    kolk_future_unref(future);
}

/* ---- Stopping ---- */

static void stop_loop(void *loop) { kolk_loop_stop(loop); }

/* Stopping ends the nested turns and the outer ones. */
static void stopping_ends_all_turns(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)}, inner = {.f = f, .name = "b", .future = new_future(f)};
    soon(f, nest_in_callback, &self);
    soon(f, nest_in_callback, &inner);
    later(f, MS, stop_loop, f->loop);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "a< b< b>KOLK_EPENDING a>KOLK_EPENDING");
    kolk_future *never = new_future(f);
    clear_record(f);
    soon(f, nest_in_callback, &self);
    later(f, MS, stop_loop, f->loop);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, never), KOLK_EPENDING);
    assert_record(f, "a< a>KOLK_EPENDING");
    kolk_future_unref(never);
    kolk_future_unref(self.future);
    kolk_future_unref(inner.future);
}

/* A stop is over when the run that it stopped has returned: the next one runs, and so do waits in it. */
static void a_stop_is_over_with_its_run(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)},
                 next = {.f = f, .name = "b", .future = sleep_for(f, 3 * MS)};
    soon(f, nest_in_callback, &self);
    later(f, MS, stop_loop, f->loop);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    clear_record(f);
    soon(f, nest_in_callback, &next);
    drive_until(f, next.future);
    drive_during(f, MS);
    assert_record(f, "b< b>KOLK_OK");
    kolk_future_unref(self.future);
    kolk_future_unref(next.future);
}

/* ---- What is refused ---- */

static void try_to_run(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_loop_run_forever(self->f->loop)));
    record(self->f, "%s", kolk_status_name(kolk_loop_run_once(self->f->loop)));
    record(self->f, "%s", kolk_status_name(kolk_loop_dispatch(self->f->loop, NULL, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_loop_close(self->f->loop)));
    settle(self->future);
}

/* Meanwhile the loop counts as running: it cannot be run in another way, nor closed. */
static void the_loop_counts_as_running(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)};
    soon(f, nest_in_callback, &self);
    soon(f, try_to_run, &self);
    drive_once(f);
    assert_record(f, "a< KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY a>KOLK_OK");
    kolk_future_unref(self.future);
}

/* A loop that is not running has other ways to be run. */
static void a_loop_that_is_not_running_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_run_nested(f->loop, future), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_nested(NULL, future), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_nested(f->loop, NULL), KOLK_EINVAL);
    kolk_future_unref(future);
}

static void nest_wrongly(void *userdata) {
    struct scene *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_loop_run_nested(self->f->loop, self->future)));
    record(self->f, "%s", kolk_status_name(kolk_loop_run_nested(self->f->loop, NULL)));
}

/* A future of another loop cannot be waited for, nor none. */
static void a_future_of_another_loop_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f};
    kolk_loop *other = NULL;
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &self.future), 0);
    soon(f, nest_wrongly, &self);
    drive_once(f);
    assert_record(f, "KOLK_EINVAL KOLK_EINVAL");
    kolk_future_unref(self.future);
    kolk_loop_unref(other);
}

static int nest_for_oneself(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    nest_wrongly(self);
    self->other->future = self->future;
    self->future = self->other->other->future;
    nest(self);
    return 0;
}

/* A task that is on the stack cannot end before this returns: neither it nor who runs meanwhile can wait for it so. */
static void a_task_on_the_stack_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene end = {.f = f, .future = new_future(f)};
    struct scene callback = {.f = f, .name = "callback", .other = &end};
    struct scene self = {.f = f, .name = "task", .other = &callback};
    self.task = spawn_with(f, nest_for_oneself, &self);
    self.future = kolk_task_as_future(self.task);
    soon(f, nest_in_callback, &callback);
    soon(f, settle, end.future);
    assert_int_equal(join(f, self.task), 0);
    assert_record(f, "KOLK_EINVAL KOLK_EINVAL task< callback< callback>KOLK_EINVAL task>KOLK_OK");
    kolk_future_unref(end.future);
}

static int nest_in_clean_up(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_sleep(SECOND * 1000);
    nest(self);
    return status;
}

/* While the loop closes nobody waits. */
static void a_closing_loop_is_refused(void **state) {
    struct fixture *f = *state;
    struct scene self = {.f = f, .name = "a", .future = new_future(f)};
    kolk_task *task = spawn_with(f, nest_in_clean_up, &self);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "a< a>KOLK_ECLOSED");
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    kolk_task_unref(task);
    kolk_future_unref(self.future);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(everything_else_runs_meanwhile),
        RULE(a_task_may_wait_like_this_as_well),
        RULE(a_step_task_may_wait_like_this_as_well),
        RULE(a_callback_gets_the_answer_of_a_task),
        RULE(descriptors_are_served_meanwhile),
        RULE(what_is_done_is_not_waited_for),
        RULE(the_current_task_is_the_one_that_runs),
        RULE(a_budget_does_not_count_inside),
        RULE(posted_calls_run_inside_a_posted_call),
        RULE(what_is_posted_meanwhile_runs_inside_a_posted_call),
        RULE_IN_REAL_TIME(a_reader_on_the_stack_is_not_called_again),
        RULE_IN_REAL_TIME(turns_are_as_long_as_before),
        RULE(the_order_under_a_budget_is_kept),
        RULE(a_cancellation_is_seen_afterwards),
        RULE(who_awaits_a_task_on_the_stack_goes_on_waiting),
        RULE(an_outer_wait_returns_after_the_inner_one),
        RULE(an_inner_wait_may_be_over_first),
        RULE(waits_nest_in_tasks_and_callbacks),
        RULE(stopping_ends_all_turns),
        RULE(a_stop_is_over_with_its_run),
        RULE(the_loop_counts_as_running),
        RULE(a_loop_that_is_not_running_is_refused),
        RULE(a_future_of_another_loop_is_refused),
        RULE(a_task_on_the_stack_is_refused),
        RULE(a_closing_loop_is_refused),
    };
    return run_matrix("nested", rules, COUNT(rules));
}
