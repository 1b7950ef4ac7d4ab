/* Variables of a task: inherited when it is made, its own from then on. */
#include "support/driver.h"

/* Keys are addresses; what stands there does not matter. */
static const char color, shape;

struct scene {
    struct fixture *f;
    const char *name;
    kolk_future *future;
    kolk_coroutine_fn child; /* Of those that have one. */
};

static void record_value(struct fixture *f, const char *who, const void *key) {
    void *value = "untouched";
    int status = kolk_local_get(key, &value);
    if (status < 0)
        record(f, "%s=%s", who, kolk_status_name(status));
    else
        record(f, "%s=%s", who, status == 1 ? (value ? (char *)value : "NULL") : value ? "not cleared" : "none");
}

/* ---- Setting and reading ---- */

static int set_and_get(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    record_value(f, "before", &color);
    told(f, "set", kolk_local_set(&color, "red", NULL));
    record_value(f, "color", &color);
    record_value(f, "shape", &shape);
    told(f, "set", kolk_local_set(&shape, "round", NULL));
    told(f, "set", kolk_local_set(&color, "blue", NULL));
    int status = kolk_sleep(0);
    record_value(f, "color", &color);
    record_value(f, "shape", &shape);
    told(f, "set", kolk_local_set(&shape, NULL, NULL));
    record_value(f, "shape", &shape);
    return status;
}

/* Each key has its own value, the one that was set last; NULL is one too. */
static void each_key_has_the_value_that_was_set_last(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, set_and_get, f), 0);
    assert_record(f, "before=none set(KOLK_OK) color=red shape=none set(KOLK_OK) set(KOLK_OK) color=blue shape=round "
                     "set(KOLK_OK) shape=NULL");
}

enum { KEYS = 500 };

static int set_many_keys(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    static char keys[KEYS];
    (void)ret_result;
    int wrong = 0;
    for (int round = 0; round < 2; round++) {
        for (intptr_t i = 0; i < KEYS; i++)
            wrong += kolk_local_set(&keys[i], (void *)(i * 2 + round), NULL) != 0;
        for (intptr_t i = 0; i < KEYS; i++) {
            void *value = NULL;
            wrong += kolk_local_get(&keys[i], &value) != 1 || value != (void *)(i * 2 + round);
        }
    }
    record(f, "%d wrong", wrong);
    return 0;
}

/* There may be many keys. */
static void there_may_be_many_keys(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, set_many_keys, f), 0);
    assert_record(f, "0 wrong");
}

static int take_turns(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_local_set(&color, (void *)self->name, NULL);
    for (int i = 0; i < 3; i++) {
        int status = kolk_sleep(0);
        if (status < 0)
            return status;
        record_value(self->f, self->name, &color);
    }
    return 0;
}

/* Tasks that take turns see each their own. */
static void each_task_sees_its_own(void **state) {
    struct fixture *f = *state;
    struct scene a = {.f = f, .name = "a"}, b = {.f = f, .name = "b"};
    kolk_task *first = spawn_with(f, take_turns, &a), *second = spawn_with(f, take_turns, &b);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    assert_record(f, "a=a b=b a=a b=b a=a b=b");
}

/* ---- Inheriting ---- */

static int look(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record_value(self->f, self->name, &color);
    return 0;
}

static int await_child(kolk_task *child) {
    int status = kolk_await(kolk_task_as_future(child), NULL);
    kolk_task_unref(child);
    return status;
}

static int change_after_making_a_child(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    struct scene early = {.f = f, .name = "early"}, late = {.f = f, .name = "late"};
    kolk_task *first = NULL, *second = NULL;
    kolk_local_set(&color, "red", NULL);
    kolk_create_task(f->loop, look, &early, NULL, NULL, &first);
    kolk_local_set(&color, "blue", NULL);
    kolk_create_task(f->loop, look, &late, NULL, NULL, &second);
    int status = await_child(first);
    int other = await_child(second);
    return status < 0 ? status : other;
}

/* A task begins with what its maker had when it was made, not when it starts. */
static void a_task_begins_with_what_its_maker_had(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, change_after_making_a_child, f), 0);
    assert_record(f, "early=red late=blue");
}

static int change_and_look(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record_value(self->f, "child", &color);
    kolk_local_set(&color, "green", NULL);
    kolk_local_set(&shape, "round", NULL);
    int status = kolk_await(self->future, NULL);
    record_value(self->f, "child", &color);
    return status;
}

static int change_on_both_sides(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task *child = NULL;
    kolk_local_set(&color, "red", NULL);
    kolk_create_task(self->f->loop, change_and_look, self, NULL, NULL, &child);
    kolk_sleep(0);
    record_value(self->f, "parent", &color);
    record_value(self->f, "parent", &shape);
    kolk_local_set(&color, "blue", NULL);
    kolk_future_set_result(self->future, NULL, NULL);
    int status = await_child(child);
    record_value(self->f, "parent", &color);
    return status;
}

/* What either sets later the other does not see. */
static void what_either_sets_later_the_other_does_not_see(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, change_on_both_sides, &scene), 0);
    assert_record(f, "child=red parent=red parent=none child=green parent=blue");
    kolk_future_unref(scene.future);
}

static int make_a_child(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task *child = NULL;
    int status = kolk_create_task(self->f->loop, self->child, self + 1, NULL, NULL, &child);
    return status < 0 ? status : await_child(child);
}

static int begin_the_line(void *userdata, void **ret_result) {
    kolk_local_set(&color, "red", NULL);
    return make_a_child(userdata, ret_result);
}

/* So it goes on from generation to generation. */
static void a_value_passes_down_the_generations(void **state) {
    struct fixture *f = *state;
    struct scene scenes[] = {{.f = f, .child = make_a_child},
                             {.f = f, .child = make_a_child},
                             {.f = f, .child = look},
                             {.f = f, .name = "great-grandchild"}};
    assert_int_equal(run_task(f, begin_the_line, &scenes[0]), 0);
    assert_record(f, "great-grandchild=red");
}

static int keep_a_value(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    kolk_local_set(&color, "red", NULL);
    int status = kolk_await(self->future, NULL);
    return status < 0 ? status : look(userdata, ret_result);
}

/* A task that was not made by one has nobody to inherit from. */
static void a_task_made_outside_of_tasks_begins_with_nothing(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "outside", .future = new_future(f)};
    kolk_task *task = spawn_with(f, keep_a_value, &scene);
    drive_during(f, MS);
    assert_int_equal(run_task(f, look, &scene), 0);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "outside=none outside=red");
    kolk_future_unref(scene.future);
}

/* ---- Kinds of tasks ---- */

struct looking_step {
    kolk_step step;
    struct fixture *f;
};

static int look_in_steps(void *state, void **ret_value) {
    struct looking_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    record_value(self->f, "step", &color);
    kolk_local_set(&color, "green", NULL);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    record_value(self->f, "step", &color);
    KOLK_STEP_END(&self->step);
}

static int look_from_afar(void *frame, int status, void *sent, void **ret_value) {
    struct scene *self = frame;
    (void)status, (void)sent;
    record_value(self->f, "foreign", &color);
    if (self->name)
        return KOLK_COROUTINE_RETURNED;
    self->name = "seen once";
    kolk_local_set(&color, "black", NULL);
    *ret_value = NULL;
    return KOLK_COROUTINE_AWAITING;
}

static const kolk_coroutine_ops foreign_ops = {.size = sizeof foreign_ops, .kind = "foreign", .resume = look_from_afar};

static int make_all_kinds(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_local_set(&color, "red", NULL);
    struct looking_step step = {.f = f};
    struct scene foreign = {.f = f}, driven = {.f = f, .name = "driven"};
    kolk_task *tasks[3] = {NULL, NULL, NULL};
    kolk_coroutine *coroutine = NULL;
    kolk_create_step_task(f->loop, look_in_steps, &step, sizeof step, NULL, NULL, &tasks[0]);
    kolk_create_foreign_task(f->loop, &foreign_ops, &foreign, NULL, &tasks[1]);
    int status = kolk_coroutine_new(f->loop, look, &driven, NULL, 0, &coroutine);
    if (status == 0)
        status = kolk_create_task_of(coroutine, NULL, &tasks[2]);
    kolk_coroutine_unref(coroutine);
    for (int i = 0; i < 3; i++) {
        int ended = await_child(tasks[i]);
        status = status < 0 ? status : ended;
    }
    record_value(f, "parent", &color);
    return status;
}

/* Tasks of all kinds inherit, and have their own. */
static void tasks_of_all_kinds_have_variables(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, make_all_kinds, f), 0);
    assert_record(f, "step=red foreign=red driven=red step=green foreign=black parent=red");
}

static int generate(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    record_value(self->f, "generator", &color);
    kolk_local_set(&color, "green", NULL);
    int status = kolk_yield("a value", NULL);
    record_value(self->f, "generator", &color);
    return status;
}

static int drive_generator(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_coroutine *generator = NULL;
    kolk_local_set(&color, "red", NULL);
    int step = kolk_coroutine_new(self->f->loop, generate, self, NULL, 0, &generator);
    kolk_coroutine_next(generator, NULL);
    record_value(self->f, "task", &color);
    kolk_local_set(&color, "blue", NULL);
    step = kolk_coroutine_next(generator, NULL);
    kolk_coroutine_unref(generator);
    return step;
}

/* The variables that a generator sees are those of the task that drives it. */
static void a_generator_sees_those_of_its_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, drive_generator, &scene), 0);
    assert_record(f, "generator=red task=green generator=blue");
}

/* ---- Destroying ---- */

static int replace(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_local_set(&color, word(f, "red"), unsay);
    record(f, "set");
    kolk_local_set(&color, word(f, "blue"), unsay);
    record(f, "replaced");
    return kolk_sleep(0);
}

/* A value is destroyed when it is replaced, the last one when the task has ended, whoever holds the task. */
static void a_value_is_destroyed_with_its_last_use(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, replace);
    drive_until(f, kolk_task_as_future(task));
    drive_during(f, MS);
    assert_record(f, "set ~red replaced ~blue");
    kolk_task_unref(task);
    assert_record(f, "set ~red replaced ~blue");
}

static int keep(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int status = kolk_await(self->future, NULL);
    record(self->f, "%s ends", self->name);
    return status;
}

static int replace_what_a_child_keeps(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_local_set(&color, word(f, "red"), unsay);
    int status = 0;
    for (int i = 0; i < 3 && status == 0; i++)
        status = kolk_create_task(f->loop, keep, self, NULL, NULL, NULL);
    kolk_local_set(&color, word(f, "blue"), unsay);
    record(f, "replaced");
    return status;
}

/* A value that children have inherited is destroyed once, when the last of them has ended. */
static void an_inherited_value_is_destroyed_once(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "child", .future = new_future(f)};
    assert_int_equal(run_task(f, replace_what_a_child_keeps, &scene), 0);
    drive_during(f, MS);
    assert_record(f, "replaced ~blue");
    kolk_future_set_result(scene.future, NULL, NULL);
    drive_during(f, MS);
    assert_record(f, "replaced ~blue child ends child ends child ends ~red");
    kolk_future_unref(scene.future);
}

static void set_another(void *userdata) {
    struct word *self = userdata;
    unsay(userdata);
    record(self->fixture, "%s", kolk_local_set(&shape, "round", NULL) == 0 ? "set another" : "refused");
}

static int destroy_with_effects(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_local_set(&color, word(f, "red"), set_another);
    kolk_local_set(&color, "blue", NULL);
    record_value(f, "color", &color);
    record_value(f, "shape", &shape);
    return 0;
}

/* What destroys a value may set another. */
static void what_destroys_a_value_may_set_another(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, destroy_with_effects, f), 0);
    assert_record(f, "~red set another color=blue shape=round");
}

static int make_and_cancel(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_task *child = NULL;
    kolk_local_set(&color, word(self->f, "red"), unsay);
    int status = kolk_create_task(self->f->loop, look, self, NULL, NULL, &child);
    kolk_task_cancel(child);
    kolk_task_unref(child);
    kolk_local_set(&color, "blue", NULL);
    record(self->f, "replaced");
    return status < 0 ? status : kolk_sleep(MS / 4);
}

/* A task that never began has inherited all the same, and lets go. */
static void a_task_that_never_began_lets_go(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "child"};
    assert_int_equal(run_task(f, make_and_cancel, &scene), 0);
    drive_during(f, MS);
    assert_record(f, "replaced ~red");
}

/* The end of the loop destroys what its tasks have. */
static void closing_the_loop_destroys_the_values(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .name = "child", .future = new_future(f)};
    assert_int_equal(run_task(f, replace_what_a_child_keeps, &scene), 0);
    drive_during(f, MS);
    clear_record(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "child ends child ends child ends ~red");
    kolk_future_unref(scene.future);
}

/* ---- Where there are none ---- */

static void look_in_callback(void *fixture) {
    struct fixture *f = fixture;
    record_value(f, "callback", &color);
    told(f, "set", kolk_local_set(&color, word(f, "red"), unsay));
}

static int set_without_key(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    told(f, "set", kolk_local_set(NULL, word(f, "red"), unsay));
    record_value(f, "get", NULL);
    told(f, "get", kolk_local_get(&color, NULL));
    return 0;
}

/* Outside of tasks there are no variables, nor without a key; what was to be set is destroyed. */
static void what_has_no_place_is_refused(void **state) {
    struct fixture *f = *state;
    look_in_callback(f);
    assert_record(f, "callback=KOLK_ENOTASK ~red set(KOLK_ENOTASK)");
    clear_record(f);
    kolk_loop_call_soon(f->loop, look_in_callback, f, NULL, NULL);
    drive_once(f);
    assert_record(f, "callback=KOLK_ENOTASK ~red set(KOLK_ENOTASK)");
    clear_record(f);
    assert_int_equal(run_task(f, set_without_key, f), 0);
    assert_record(f, "~red set(KOLK_EINVAL) get=KOLK_EINVAL get(KOLK_EINVAL)");
}

/* ---- Memory ---- */

static int set_often(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    size_t before = 0;
    int destroyed = 0;
    for (int i = 0; i < 10000; i++) {
        int status = kolk_local_set(i % 2 ? &color : &shape, &destroyed, count_destroy);
        if (status < 0)
            return status;
        if (i == 100)
            before = failing_allocator_live_bytes(&f->memory);
    }
    record(f, "%d more, %d destroyed", (int)(failing_allocator_live_bytes(&f->memory) - before), destroyed);
    /* The last two are counted elsewhere than on this stack, which is gone by then. */
    kolk_local_set(&color, NULL, NULL);
    kolk_local_set(&shape, NULL, NULL);
    return 0;
}

/* Ten thousand values under two keys take the room of two. */
static void values_that_were_replaced_take_no_room(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, set_often, f), 0);
    assert_record(f, "0 more, 9998 destroyed");
}

static int make_children_often(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    size_t before = 0;
    struct scene quiet = {.f = f, .name = "child"};
    for (int i = 0; i < 1000; i++) {
        kolk_task *child = NULL;
        int status = kolk_local_set(&color, "red", NULL);
        if (status == 0)
            status = kolk_create_task(f->loop, look, &quiet, NULL, NULL, &child);
        if (status == 0)
            status = kolk_local_set(&color, "blue", NULL);
        if (status == 0)
            status = await_child(child);
        if (status < 0)
            return status;
        clear_record(f);
        if (i == 100)
            before = failing_allocator_live_bytes(&f->memory);
    }
    record(f, "%d more", (int)(failing_allocator_live_bytes(&f->memory) - before));
    return 0;
}

/* Nor does what a thousand children have inherited. */
static void values_that_were_inherited_take_no_room(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, make_children_often, f), 0);
    assert_record(f, "0 more");
}

struct attempt {
    struct fixture *f;
    int given, destroyed, wrong;
};

static int set_in_child(void *userdata, void **ret_result) {
    struct attempt *self = userdata;
    (void)ret_result;
    self->given++;
    return kolk_local_set(&color, &self->destroyed, count_destroy);
}

static int use_locals(void *userdata, void **ret_result) {
    struct attempt *self = userdata;
    static char keys[10];
    (void)ret_result;
    int status = 0;
    for (size_t i = 0; status == 0 && i < 2 * COUNT(keys); i++) {
        void *before = NULL, *after = NULL;
        int had = kolk_local_get(&keys[i / 2], &before);
        self->given++;
        status = kolk_local_set(&keys[i / 2], &self->destroyed, count_destroy);
        /* A value that could not be set leaves the old one in its place. */
        if (status < 0)
            self->wrong += kolk_local_get(&keys[i / 2], &after) != had || after != before;
    }
    kolk_task *child = NULL;
    if (status == 0)
        status = kolk_create_task(self->f->loop, set_in_child, self, NULL, NULL, &child);
    return status < 0 ? status : await_child(child);
}

static int try_locals(kolk_loop *loop, struct attempt *attempt) {
    kolk_task *task = NULL;
    int status = kolk_create_task(loop, use_locals, attempt, NULL, NULL, &task);
    if (status == 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    if (status == 0)
        status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

/* Each allocation fails once, and all from each on: the task is told, every value is destroyed once, and nothing is left. */
static void without_memory_values_are_destroyed(void **state) {
    struct fixture *f = *state;
    for (int sticky = 0; sticky < 2; sticky++) {
        size_t n = 0, failures = 0;
        do {
            struct attempt attempt = {.f = f};
            finish_loop(f);
            kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
            assert_int_equal(kolk_loop_new(&options, &f->loop, NULL), 0);
            failing_allocator_arm(&f->memory, ++n, sticky);
            int status = try_locals(f->loop, &attempt);
            failing_allocator_disarm(&f->memory);
            failures = f->memory.failures;
            if (status != 0 && (status != KOLK_ENOMEM || failures == 0))
                fail_msg("allocation %zu: %s", n, kolk_status_name(status));
            assert_int_equal(attempt.wrong, 0);
            finish_loop(f);
            assert_int_equal(attempt.destroyed, attempt.given);
        } while (failures > 0);
        assert_true(n > 1);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(each_key_has_the_value_that_was_set_last),
        RULE(there_may_be_many_keys),
        RULE(each_task_sees_its_own),
        RULE(a_task_begins_with_what_its_maker_had),
        RULE(what_either_sets_later_the_other_does_not_see),
        RULE(a_task_made_outside_of_tasks_begins_with_nothing),
        RULE(a_value_passes_down_the_generations),
        RULE(tasks_of_all_kinds_have_variables),
        RULE(a_generator_sees_those_of_its_task),
        RULE(a_value_is_destroyed_with_its_last_use),
        RULE(an_inherited_value_is_destroyed_once),
        RULE(what_destroys_a_value_may_set_another),
        RULE(a_task_that_never_began_lets_go),
        RULE(closing_the_loop_destroys_the_values),
        RULE(what_has_no_place_is_refused),
        RULE(values_that_were_replaced_take_no_room),
        RULE(values_that_were_inherited_take_no_room),
    };
    static const struct rule plain[] = {
        RULE(without_memory_values_are_destroyed),
    };
    return run_matrix("local", matrix, COUNT(matrix)) + run_plain("local without memory", plain, COUNT(plain));
}
