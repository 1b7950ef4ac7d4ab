/* Tasks of every kind await each other: on a stack of their own, step by step, and of a kind that somebody else brings along.
 *
 * All bodies here do the same: await the link below, say how that ended, and pass it on; the lowest awaits a future. */
#include "support/driver.h"

#include <stdio.h>

enum kind { FIBER, STEP, FOREIGN, KINDS };

enum { TEN = 10, LONGEST = 3 };

static const char *const kind_names[KINDS] = {"fiber", "step", "foreign"};

/* One link of a chain of tasks. */
struct link {
    struct fixture *f;
    enum kind kind;
    kolk_future *awaited;
    int swallows;
    kolk_task *task;
};

/* The status of the link, and its result if that is good. */
static int pass_on(struct link *self, int status, void *result, void **ret_result) {
    if (status < 0)
        record(self->f, "%s(%s)", kind_names[self->kind], kolk_status_name(status));
    else
        record(self->f, "%s(%d)", kind_names[self->kind], (int)(intptr_t)result);
    if (status < 0 && self->swallows) {
        *ret_result = (void *)(intptr_t)TEN;
        return 0;
    }
    *ret_result = status < 0 ? NULL : result;
    return status;
}

static int fiber_body(void *userdata, void **ret_result) {
    struct link *self = userdata;
    void *result = NULL;
    int status = kolk_await(self->awaited, &result);
    return pass_on(self, status, result, ret_result);
}

struct step_link {
    kolk_step step;
    struct link *link;
};

static int step_body(void *state, void **ret_value) {
    struct step_link *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->link->awaited));
    return pass_on(self->link, self->step.status, kolk_step_result(&self->step), ret_value);
    KOLK_STEP_END(&self->step);
}

/* What a binding would do: hand out the future, and when resumed take its outcome, with its words. */
static int foreign_body(void *frame, int status, void *sent, void **ret_value) {
    struct link *self = frame;
    void *result = NULL;
    (void)sent;
    if (status == 0) {
        status = kolk_future_result(self->awaited, &result);
        if (status == KOLK_EPENDING) {
            *ret_value = self->awaited;
            return KOLK_COROUTINE_AWAITING;
        }
        if (status < 0 && status != KOLK_ECANCELED)
            kolk_raise(kolk_error_ref(kolk_future_error(self->awaited)));
    }
    return pass_on(self, status, result, ret_value);
}

static const kolk_coroutine_ops foreign = {.size = sizeof foreign, .kind = "foreign", .resume = foreign_body};

static void start(struct link *self) {
    struct step_link step = {.link = self};
    int status = self->kind == FIBER ? kolk_create_task(self->f->loop, fiber_body, self, NULL, NULL, &self->task)
                 : self->kind == STEP
                     ? kolk_create_step_task(self->f->loop, step_body, &step, sizeof step, NULL, NULL, &self->task)
                     : kolk_create_foreign_task(self->f->loop, &foreign, self, NULL, &self->task);
    assert_int_equal(status, 0);
}

static kolk_coroutine *make_coroutine(struct link *self) {
    kolk_coroutine *made = NULL;
    struct step_link step = {.link = self};
    int status = self->kind == FIBER  ? kolk_coroutine_new(self->f->loop, fiber_body, self, NULL, 0, &made)
                 : self->kind == STEP ? kolk_step_coroutine_new(self->f->loop, step_body, &step, sizeof step, NULL, &made)
                                      : kolk_foreign_coroutine_new(self->f->loop, &foreign, self, &made);
    assert_int_equal(status, 0);
    return made;
}

/* A chain of these kinds, outermost first, in which each awaits the next and the last one awaits the future. */
static void start_chain(struct fixture *f, struct link *chain, const enum kind *kinds, size_t length, kolk_future *future) {
    for (size_t i = length; i-- > 0;) {
        chain[i] = (struct link){.f = f, .kind = kinds[i], .awaited = future};
        start(&chain[i]);
        future = kolk_task_as_future(chain[i].task);
    }
    drive_once(f);
}

static void drop_chain(struct link *chain, size_t length) {
    for (size_t i = 0; i < length; i++)
        kolk_task_unref(chain[i].task);
}

/* Calls the rule for each chain of three kinds. */
static void for_each_chain(struct fixture *f, void (*rule)(struct fixture *f, const enum kind *kinds)) {
    for (int i = 0; i < KINDS * KINDS * KINDS; i++) {
        const enum kind kinds[LONGEST] = {(enum kind)(i / (KINDS * KINDS)), (enum kind)(i / KINDS % KINDS),
                                          (enum kind)(i % KINDS)};
        clear_record(f);
        rule(f, kinds);
    }
}

/* Whatever awaits whatever, the answer is ten. */
static void every_kind_awaits_every_kind(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < KINDS * KINDS; i++) {
        const enum kind kinds[] = {(enum kind)(i / KINDS), (enum kind)(i % KINDS)};
        struct link chain[2];
        kolk_future *future = new_future(f);
        void *result = NULL;
        start_chain(f, chain, kinds, 2, future);
        assert_int_equal(kolk_future_set_result(future, (void *)(intptr_t)TEN, NULL), 0);
        drive_until(f, kolk_task_as_future(chain[0].task));
        assert_int_equal(kolk_task_result(chain[0].task, &result), 0);
        assert_int_equal((intptr_t)result, TEN);
        drop_chain(chain, 2);
        kolk_future_unref(future);
    }
    assert_record(f, "fiber(10) fiber(10) step(10) fiber(10) foreign(10) fiber(10) "
                     "fiber(10) step(10) step(10) step(10) foreign(10) step(10) "
                     "fiber(10) foreign(10) step(10) foreign(10) foreign(10) foreign(10)");
}

static int delegate(void *userdata, void **ret_result) { return kolk_yield_from(userdata, ret_result); }

/* A coroutine of every kind can be delegated to by a fiber, and driven by a task of its own: ten again. */
static void every_kind_is_a_coroutine(void **state) {
    struct fixture *f = *state;
    for (int kind = 0; kind < KINDS; kind++) {
        kolk_future *future = new_future(f);
        struct link delegated = {.f = f, .kind = (enum kind)kind, .awaited = future}, driven = delegated;
        kolk_coroutine *sub = make_coroutine(&delegated), *body = make_coroutine(&driven);
        kolk_task *delegating = spawn_with(f, delegate, sub), *driving = NULL;
        void *result = NULL;
        assert_int_equal(kolk_create_task_of(body, NULL, &driving), 0);
        drive_once(f);
        assert_int_equal(kolk_future_set_result(future, (void *)(intptr_t)TEN, NULL), 0);
        drive_until(f, kolk_task_as_future(delegating));
        drive_until(f, kolk_task_as_future(driving));
        assert_int_equal(kolk_task_result(delegating, &result), 0);
        assert_int_equal((intptr_t)result, TEN);
        result = NULL;
        assert_int_equal(kolk_task_result(driving, &result), 0);
        assert_int_equal((intptr_t)result, TEN);
        kolk_coroutine_unref(sub);
        kolk_coroutine_unref(body);
        kolk_task_unref(delegating);
        kolk_task_unref(driving);
        kolk_future_unref(future);
    }
}

static void check_cancelled(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    char expected[128];
    kolk_future *future = new_future(f);
    start_chain(f, chain, kinds, LONGEST, future);
    assert_int_equal(kolk_task_cancel(chain[0].task), 1);
    drive_until(f, kolk_task_as_future(chain[0].task));
    snprintf(expected, sizeof expected, "%s(KOLK_ECANCELED) %s(KOLK_ECANCELED) %s(KOLK_ECANCELED)", kind_names[kinds[2]],
             kind_names[kinds[1]], kind_names[kinds[0]]);
    assert_record(f, expected);
    assert_int_equal(kolk_future_cancelled(future), 1);
    for (size_t i = 0; i < LONGEST; i++)
        assert_int_equal(kolk_future_cancelled(kolk_task_as_future(chain[i].task)), 1);
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
}

/* A chain of any kinds is cancelled from the outermost and ends from the innermost. */
static void one_cancellation_passes_through_all_kinds(void **state) { for_each_chain(*state, check_cancelled); }

static void check_cancelled_at_once(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    kolk_future *future = new_future(f);
    start_chain(f, chain, kinds, LONGEST, future);
    assert_int_equal(kolk_future_set_result(future, (void *)(intptr_t)TEN, NULL), 0);
    assert_int_equal(kolk_task_cancel(chain[0].task), 1);
    drive_until(f, kolk_task_as_future(chain[0].task));
    for (size_t i = 0; i < LONGEST; i++)
        assert_int_equal(kolk_task_result(chain[i].task, NULL), KOLK_ECANCELED);
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
}

/* So is one whose innermost has its result already, but has not run. */
static void a_late_cancellation_passes_through_all_kinds(void **state) { for_each_chain(*state, check_cancelled_at_once); }

static void check_swallowed(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    char expected[128];
    kolk_future *future = new_future(f);
    void *result = NULL;
    start_chain(f, chain, kinds, LONGEST, future);
    chain[2].swallows = 1;
    assert_int_equal(kolk_task_cancel(chain[0].task), 1);
    drive_until(f, kolk_task_as_future(chain[0].task));
    snprintf(expected, sizeof expected, "%s(KOLK_ECANCELED) %s(10) %s(10)", kind_names[kinds[2]], kind_names[kinds[1]],
             kind_names[kinds[0]]);
    assert_record(f, expected);
    assert_int_equal(kolk_task_result(chain[0].task, &result), 0);
    assert_int_equal((intptr_t)result, TEN);
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
}

/* When the innermost swallows it, nobody else hears of it. */
static void a_swallowed_cancellation_is_over_for_all(void **state) { for_each_chain(*state, check_swallowed); }

static void check_words(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    kolk_future *future = new_future(f);
    kolk_error *error = NULL;
    start_chain(f, chain, kinds, LONGEST, future);
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error), 0);
    assert_int_equal(kolk_future_set_error(future, error), 0);
    kolk_error_unref(error);
    drive_until(f, kolk_task_as_future(chain[0].task));
    for (size_t i = 0; i < LONGEST; i++) {
        assert_int_equal(kolk_task_result(chain[i].task, NULL), KOLK_EREFUSED);
        assert_string_equal(kolk_error_message(kolk_task_error(chain[i].task)), "port 81 refused");
    }
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
}

/* An error passes through a chain of any kinds with its words. */
static void the_words_of_an_error_pass_through_all_kinds(void **state) { for_each_chain(*state, check_words); }

static void check_tree(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    kolk_future *future = new_future(f);
    start_chain(f, chain, kinds, LONGEST, future);
    for (size_t i = 0; i < LONGEST; i++) {
        kolk_task_info info = {.size = sizeof info};
        assert_int_equal(kolk_task_get_info(chain[i].task, &info), 0);
        assert_string_equal(info.kind, kind_names[kinds[i]]);
        assert_int_equal(info.state, KOLK_TASK_WAITING);
        assert_ptr_equal(info.parent, i > 0 ? chain[i - 1].task : NULL);
        assert_ptr_equal(info.awaited, chain[i].awaited);
    }
    assert_int_equal(kolk_future_set_result(future, (void *)(intptr_t)TEN, NULL), 0);
    drive_until(f, kolk_task_as_future(chain[0].task));
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
}

/* Tasks of all kinds stand in one tree, each below who awaits it. */
static void all_kinds_stand_in_one_tree(void **state) { for_each_chain(*state, check_tree); }

static void check_closed(struct fixture *f, const enum kind *kinds) {
    struct link chain[LONGEST];
    kolk_loop *loop = f->loop, *own = NULL;
    kolk_loop_options options = {.size = sizeof options, .allocator = &f->memory.hook};
    assert_int_equal(kolk_loop_new(&options, &own, NULL), 0);
    kolk_future *future = NULL;
    assert_int_equal(kolk_future_new(own, &future), 0);
    f->loop = own;
    for (size_t i = LONGEST; i-- > 0;) {
        chain[i] = (struct link){
            .f = f, .kind = kinds[i], .awaited = i + 1 < LONGEST ? kolk_task_as_future(chain[i + 1].task) : future};
        start(&chain[i]);
    }
    f->loop = loop;
    assert_true(kolk_loop_run_once(own) > 0);
    assert_int_equal(kolk_loop_close(own), 0);
    for (size_t i = 0; i < LONGEST; i++)
        assert_int_equal(kolk_task_result(chain[i].task, NULL), KOLK_ECANCELED);
    drop_chain(chain, LONGEST);
    kolk_future_unref(future);
    kolk_loop_unref(own);
}

/* The end of the loop ends a chain of any kinds. */
static void closing_the_loop_ends_all_kinds(void **state) { for_each_chain(*state, check_closed); }

static int pause_step(void *state, void **ret_value) {
    struct step_link *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record(self->link->f, "step1");
    KOLK_STEP_AWAIT(&self->step, ret_value, NULL);
    record(self->link->f, "step2");
    KOLK_STEP_END(&self->step);
}

static int pause_fiber(void *userdata, void **ret_result) {
    struct link *self = userdata;
    (void)ret_result;
    record(self->f, "fiber1");
    int status = kolk_sleep(0);
    record(self->f, "fiber2");
    return status;
}

static int pause_foreign(void *frame, int status, void *sent, void **ret_value) {
    struct link *self = frame;
    (void)status;
    (void)sent;
    (void)ret_value;
    record(self->f, "foreign%d", ++self->swallows);
    return self->swallows == 1 ? KOLK_COROUTINE_AWAITING : KOLK_COROUTINE_RETURNED;
}

/* Tasks of all kinds stand in one line: who was ready first runs first. */
static void all_kinds_take_turns(void **state) {
    struct fixture *f = *state;
    static const kolk_coroutine_ops ops = {.size = sizeof ops, .kind = "foreign", .resume = pause_foreign};
    struct link links[4] = {{.f = f}, {.f = f}, {.f = f}, {.f = f}};
    struct step_link step = {.link = &links[1]};
    kolk_task *tasks[4];
    assert_int_equal(kolk_create_task(f->loop, pause_fiber, &links[0], NULL, NULL, &tasks[0]), 0);
    assert_int_equal(kolk_create_step_task(f->loop, pause_step, &step, sizeof step, NULL, NULL, &tasks[1]), 0);
    assert_int_equal(kolk_create_foreign_task(f->loop, &ops, &links[2], NULL, &tasks[2]), 0);
    assert_int_equal(kolk_create_task(f->loop, pause_fiber, &links[3], NULL, NULL, &tasks[3]), 0);
    for (size_t i = 0; i < COUNT(tasks); i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_record(f, "fiber1 step1 foreign1 fiber1 fiber2 step2 foreign2 fiber2");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(every_kind_awaits_every_kind),
        RULE(every_kind_is_a_coroutine),
        RULE(one_cancellation_passes_through_all_kinds),
        RULE(a_late_cancellation_passes_through_all_kinds),
        RULE(a_swallowed_cancellation_is_over_for_all),
        RULE(the_words_of_an_error_pass_through_all_kinds),
        RULE(all_kinds_stand_in_one_tree),
        RULE(closing_the_loop_ends_all_kinds),
        RULE(all_kinds_take_turns),
    };
    return run_matrix("mixing", rules, COUNT(rules));
}
