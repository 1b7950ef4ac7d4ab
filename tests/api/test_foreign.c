/* A kind of coroutine that somebody else brings along, as the binding of a language does: here, one that plays a script. */
#include "support/driver.h"

/* What an actor does when it is resumed. */
enum act { YIELD, AWAIT, PAUSE, RETURN, FAIL, RAISE };

struct line {
    enum act act;
    void *value; /* What is yielded, awaited or returned; the words that are raised. */
    int status;  /* What it fails with. */
};

/* Plays its lines, one each time it is resumed, and records how that was: the status it was told, what was sent, or after "="
 * the outcome of the future it awaited. The last line is played again and again. */
struct actor {
    struct fixture *f;
    const char *name;
    const struct line *lines;
    size_t count;
    int swallows; /* Plays on when an error is thrown in. */
    size_t at;
    kolk_future *awaited;
    int resumed;
    int destroyed;
    int dirty; /* A value stood in *ret_value already. */
    kolk_coroutine *self;
    int state; /* Of itself while it is running. */
};

static int perform(struct actor *self, void **ret_value) {
    const struct line *line = &self->lines[self->at];
    kolk_error *error = NULL;
    if (self->at + 1 < self->count)
        self->at++;
    switch (line->act) {
    case YIELD:
        *ret_value = line->value;
        return KOLK_COROUTINE_YIELDED;
    case AWAIT:
        *ret_value = self->awaited = line->value;
        return KOLK_COROUTINE_AWAITING;
    case PAUSE:
        return KOLK_COROUTINE_AWAITING;
    case RETURN:
        *ret_value = line->value;
        return KOLK_COROUTINE_RETURNED;
    case FAIL:
        return line->status;
    default:
        kolk_error_new(line->status, line->value, NULL, &error);
        return kolk_raise(error);
    }
}

static int play(void *frame, int status, void *sent, void **ret_value) {
    struct actor *self = frame;
    self->resumed++;
    self->dirty += *ret_value != NULL;
    if (self->self)
        self->state = kolk_coroutine_get_state(self->self);
    const char *how = status < 0 ? kolk_status_name(status) : sent ? (char *)sent : "";
    int outcome = status < 0 || !self->awaited ? status : kolk_future_result(self->awaited, NULL);
    record(self->f, "%s(%s%s)", self->name, outcome != status ? "=" : "", outcome != status ? kolk_status_name(outcome) : how);
    self->awaited = NULL;
    return outcome < 0 && !self->swallows ? outcome : perform(self, ret_value);
}

static void bury(void *frame) {
    struct actor *self = frame;
    self->destroyed++;
    record(self->f, "~%s", self->name);
}

static const kolk_coroutine_ops theatre = {.size = sizeof theatre, .kind = "script", .resume = play, .destroy = bury};

#define ACTOR(fixture, called, ...)                                                                                            \
    {                                                                                                                          \
        .f = (fixture), .name = (called), .lines = (const struct line[]){__VA_ARGS__},                                         \
        .count = sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line)                                              \
    }

static kolk_coroutine *make(struct actor *actor) {
    kolk_coroutine *made = NULL;
    assert_int_equal(kolk_foreign_coroutine_new(actor->f->loop, &theatre, actor, &made), 0);
    assert_non_null(made);
    return made;
}

static kolk_task *make_task(struct actor *actor) {
    kolk_task *made = NULL;
    assert_int_equal(kolk_create_foreign_task(actor->f->loop, &theatre, actor, NULL, &made), 0);
    assert_non_null(made);
    return made;
}

/* ---- As a generator ---- */

/* Making one runs no code; values come out and go in; the frame is destroyed when it has ended, whoever still holds it. */
static void values_go_in_and_out(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0}, {YIELD, "two", 0}, {RETURN, "end", 0});
    kolk_coroutine *self = make(&actor);
    void *value = NULL;
    assert_record(f, "");
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "one");
    assert_int_equal(kolk_coroutine_send(self, "tea", &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "two");
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "end");
    assert_record(f, "a() a(tea) a() ~a");
    assert_null(kolk_coroutine_error(self));
    kolk_coroutine_unref(self);
    assert_int_equal(actor.destroyed, 1);
    assert_int_equal(actor.dirty, 0);
}

/* Created, running, suspended, closed, as for any other kind; outside none is the current one. */
static void it_passes_through_four_states(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0}, {RETURN, NULL, 0});
    actor.self = make(&actor);
    assert_int_equal(kolk_coroutine_get_state(actor.self), KOLK_COROUTINE_CREATED);
    assert_int_equal(kolk_coroutine_next(actor.self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(actor.state, KOLK_COROUTINE_RUNNING);
    assert_null(kolk_coroutine_current());
    assert_int_equal(kolk_coroutine_get_state(actor.self), KOLK_COROUTINE_SUSPENDED);
    assert_int_equal(kolk_coroutine_next(actor.self, NULL), KOLK_COROUTINE_RETURNED);
    assert_int_equal(kolk_coroutine_get_state(actor.self), KOLK_COROUTINE_CLOSED);
    assert_int_equal(kolk_coroutine_next(actor.self, NULL), KOLK_EEXITED);
    assert_int_equal(actor.resumed, 2);
    kolk_coroutine_unref(actor.self);
}

/* One that has not started takes no value, and is not resumed to find that out. */
static void nothing_can_be_sent_to_one_that_has_not_started(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0});
    kolk_coroutine *self = make(&actor);
    assert_int_equal(kolk_coroutine_send(self, "tea", NULL), KOLK_ENOTSTARTED);
    assert_int_equal(actor.resumed, 0);
    assert_int_equal(kolk_coroutine_send(self, NULL, NULL), KOLK_COROUTINE_YIELDED);
    kolk_coroutine_unref(self);
}

static int record_thrown(void *frame, int status, void *sent, void **ret_value) {
    struct actor *self = frame;
    (void)sent;
    record(self->f, "%s: %s", kolk_status_name(status), status < 0 ? kolk_error_message(kolk_raised()) : "");
    *ret_value = "a value";
    return status < 0 ? status : KOLK_COROUTINE_YIELDED;
}

/* An error that is thrown in comes with its words; one that is not caught comes out again, the same object. */
static void an_error_is_thrown_in_with_its_words(void **state) {
    struct fixture *f = *state;
    static const kolk_coroutine_ops ops = {.size = sizeof ops, .kind = "thrown", .resume = record_thrown, .destroy = bury};
    struct actor actor = {.f = f, .name = "a"};
    kolk_coroutine *self = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &ops, &actor, &self), 0);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_error_new(KOLK_EPIPE, "thrown", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_throw(self, error, NULL), KOLK_EPIPE);
    assert_ptr_equal(kolk_coroutine_error(self), error);
    assert_record(f, "KOLK_OK:  KOLK_EPIPE: thrown ~a");
    kolk_error_unref(error);
    kolk_coroutine_unref(self);
}

/* One that catches an error goes on. */
static void a_caught_error_is_over(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0}, {YIELD, "two", 0}, {RETURN, NULL, 0});
    actor.swallows = 1;
    kolk_coroutine *self = make(&actor);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_coroutine_throw(self, kolk_error_of(KOLK_EIO), &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "two");
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "a() a(KOLK_EIO) a() ~a");
    kolk_coroutine_unref(self);
}

/* One that fails hands its status to who resumed it, and keeps its words. */
static void a_failure_has_a_status_and_words(void **state) {
    struct fixture *f = *state;
    struct actor worded = ACTOR(f, "a", {RAISE, "no such song", KOLK_ENOENT}), plain = ACTOR(f, "b", {FAIL, NULL, KOLK_EIO});
    kolk_coroutine *a = make(&worded), *b = make(&plain);
    void *value = f;
    assert_int_equal(kolk_coroutine_next(a, &value), KOLK_ENOENT);
    assert_ptr_equal(value, f);
    assert_string_equal(kolk_error_message(kolk_coroutine_error(a)), "no such song");
    assert_int_equal(kolk_coroutine_next(b, NULL), KOLK_EIO);
    assert_int_equal(kolk_error_status(kolk_coroutine_error(b)), KOLK_EIO);
    assert_record(f, "a() ~a b() ~b");
    kolk_coroutine_unref(a);
    kolk_coroutine_unref(b);
}

/* Closing tells it KOLK_ECANCELED and destroys its frame; closing again does nothing. */
static void closing_tells_it_to_end(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0});
    kolk_coroutine *self = make(&actor);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_record(f, "a() a(KOLK_ECANCELED) ~a");
    assert_int_equal(kolk_coroutine_close(self), 0);
    kolk_coroutine_unref(self);
    assert_record(f, "a() a(KOLK_ECANCELED) ~a");
}

/* One that yields when it is closed stays, and can be closed again. */
static void a_yield_during_close_is_an_error(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {YIELD, "one", 0});
    actor.swallows = 1;
    kolk_coroutine *self = make(&actor);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_coroutine_close(self), KOLK_EYIELD);
    assert_int_equal(kolk_coroutine_get_state(self), KOLK_COROUTINE_SUSPENDED);
    assert_int_equal(actor.destroyed, 0);
    actor.swallows = 0;
    assert_int_equal(kolk_coroutine_close(self), 0);
    assert_int_equal(actor.destroyed, 1);
    kolk_coroutine_unref(self);
}

/* Dropped at a yield it is told to end first; even one that goes on yielding is destroyed once then. */
static void dropping_tells_it_to_end(void **state) {
    struct fixture *f = *state;
    struct actor good = ACTOR(f, "a", {YIELD, "one", 0}), stubborn = ACTOR(f, "b", {YIELD, "one", 0});
    stubborn.swallows = 1;
    kolk_coroutine *a = make(&good), *b = make(&stubborn);
    assert_int_equal(kolk_coroutine_next(a, NULL), KOLK_COROUTINE_YIELDED);
    assert_int_equal(kolk_coroutine_next(b, NULL), KOLK_COROUTINE_YIELDED);
    clear_record(f);
    assert_null(kolk_coroutine_unref(a));
    assert_record(f, "a(KOLK_ECANCELED) ~a");
    assert_null(kolk_coroutine_unref(b));
    assert_true(stubborn.resumed > 1);
    assert_int_equal(stubborn.destroyed, 1);
}

/* One that never started is never resumed, however it ends; its frame is destroyed once. */
static void one_that_never_started_is_only_destroyed(void **state) {
    struct fixture *f = *state;
    for (int way = 0; way < 3; way++) {
        struct actor actor = ACTOR(f, "a", {YIELD, "one", 0});
        kolk_coroutine *self = make(&actor);
        if (way == 0)
            assert_int_equal(kolk_coroutine_close(self), 0);
        else if (way == 1)
            assert_int_equal(kolk_coroutine_throw(self, kolk_error_of(KOLK_EIO), NULL), KOLK_EIO);
        kolk_coroutine_unref(self);
        assert_int_equal(actor.resumed, 0);
        assert_int_equal(actor.destroyed, 1);
    }
}

static int resume_oneself(void *frame, int status, void *sent, void **ret_value) {
    struct actor *self = frame;
    (void)status;
    (void)sent;
    (void)ret_value;
    record(self->f, "%s", kolk_status_name(kolk_coroutine_next(self->self, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_coroutine_throw(self->self, kolk_error_of(KOLK_EIO), NULL)));
    record(self->f, "%s", kolk_status_name(kolk_coroutine_close(self->self)));
    record(self->f, "%s", kolk_coroutine_unref(self->self) ? "kept" : "dropped");
    return KOLK_COROUTINE_RETURNED;
}

/* One that is running cannot be resumed; it may drop the last reference to itself, and is destroyed when it has ended. */
static void a_running_one_cannot_be_resumed(void **state) {
    struct fixture *f = *state;
    static const kolk_coroutine_ops ops = {.size = sizeof ops, .kind = "self", .resume = resume_oneself, .destroy = bury};
    struct actor actor = {.f = f, .name = "a"};
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &ops, &actor, &actor.self), 0);
    assert_int_equal(kolk_coroutine_next(actor.self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY dropped ~a");
}

/* Outside of tasks, what it awaits is told to whoever drives it, and that one says when to go on. */
static void awaiting_is_told_to_whoever_drives(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, future, 0}, {PAUSE, NULL, 0}, {RETURN, "end", 0});
    kolk_coroutine *self = make(&actor);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_AWAITING);
    assert_ptr_equal(value, future);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_AWAITING);
    assert_null(value);
    assert_int_equal(kolk_coroutine_next(self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "end");
    kolk_coroutine_unref(self);
    kolk_future_unref(future);
}

static int stop_in_the_middle(void *frame, int status, void *sent, void **ret_value) {
    struct actor *self = frame;
    kolk_future *future = ret_value ? (kolk_future *)self->lines->value : NULL;
    kolk_stream *stream = NULL;
    (void)status;
    (void)sent;
    record(self->f, "%s", kolk_status_name(kolk_yield("a value", NULL)));
    record(self->f, "%s", kolk_status_name(kolk_await(future, NULL)));
    record(self->f, "%s", kolk_status_name(kolk_sleep(MS)));
    record(self->f, "%s", kolk_status_name(kolk_open_connection("127.0.0.1", 9, NULL, &stream, NULL)));
    return KOLK_COROUTINE_RETURNED;
}

static int resume_once(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_coroutine_next(userdata, NULL);
}

/* It has no stack of its own to stop on: what waits in the middle of a function is refused, by hand, in a task of its own, and
 * resumed in one that has a stack. */
static void it_stops_by_returning_only(void **state) {
    struct fixture *f = *state;
    static const kolk_coroutine_ops ops = {.size = sizeof ops, .kind = "middle", .resume = stop_in_the_middle};
    kolk_future *future = new_future(f);
    struct line line = {AWAIT, future, 0};
    struct actor actor = {.f = f, .name = "a", .lines = &line};
    kolk_coroutine *self = NULL, *inside = NULL;
    kolk_task *task = NULL;
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &ops, &actor, &self), 0);
    assert_int_equal(kolk_coroutine_next(self, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK");
    clear_record(f);
    assert_int_equal(kolk_create_foreign_task(f->loop, &ops, &actor, NULL, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK");
    clear_record(f);
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &ops, &actor, &inside), 0);
    assert_int_equal(run_task(f, resume_once, inside), KOLK_COROUTINE_RETURNED);
    assert_record(f, "KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK KOLK_ENOTASK");
    kolk_coroutine_unref(inside);
    kolk_coroutine_unref(self);
    kolk_future_unref(future);
}

/* ---- What cannot be made ---- */

/* A table of the wrong size, or one that cannot resume, is refused. */
static void a_wrong_table_is_refused(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {RETURN, NULL, 0});
    const kolk_coroutine_ops empty = {0}, small = {.size = sizeof small - 1, .kind = "small", .resume = play},
                             lame = {.size = sizeof lame, .kind = "lame", .destroy = bury};
    const kolk_coroutine_ops *const wrong[] = {NULL, &empty, &small, &lame};
    kolk_coroutine *coroutine = NULL;
    kolk_task *task = NULL;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(kolk_foreign_coroutine_new(f->loop, wrong[i], &actor, &coroutine), KOLK_EINVAL);
        assert_int_equal(kolk_create_foreign_task(f->loop, wrong[i], &actor, NULL, &task), KOLK_EINVAL);
    }
    assert_null(coroutine);
    assert_null(task);
    assert_int_equal(actor.resumed, 0);
    assert_int_equal(actor.destroyed, 2); /* By the one that could. */
}

/* When one cannot be made its frame is destroyed. */
static void the_frame_of_one_that_cannot_be_made_is_destroyed(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {RETURN, NULL, 0});
    kolk_coroutine *coroutine = NULL;
    kolk_task *task = NULL;
    kolk_task_options wrong = {.size = 1};
    assert_int_equal(kolk_foreign_coroutine_new(NULL, &theatre, &actor, &coroutine), KOLK_EINVAL);
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &theatre, &actor, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_create_foreign_task(NULL, &theatre, &actor, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_create_foreign_task(f->loop, &theatre, &actor, &wrong, &task), KOLK_EINVAL);
    assert_int_equal(actor.destroyed, 4);
    failing_allocator_arm(&f->memory, 1, 1);
    int first = kolk_foreign_coroutine_new(f->loop, &theatre, &actor, &coroutine);
    int second = kolk_create_foreign_task(f->loop, &theatre, &actor, NULL, &task);
    failing_allocator_disarm(&f->memory);
    assert_int_equal(first, KOLK_ENOMEM);
    assert_int_equal(second, KOLK_ENOMEM);
    assert_int_equal(actor.destroyed, 6);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_foreign_coroutine_new(f->loop, &theatre, &actor, &coroutine), KOLK_ECLOSED);
    assert_int_equal(kolk_create_foreign_task(f->loop, &theatre, &actor, NULL, &task), KOLK_ECLOSED);
    assert_int_equal(actor.destroyed, 8);
    assert_null(coroutine);
    assert_null(task);
    assert_int_equal(actor.resumed, 0);
}

struct refusal {
    struct actor *actor;
    int statuses[2];
};

static int join_a_group_that_was_left(void *userdata, void **ret_result) {
    struct refusal *self = userdata;
    kolk_task_group *group = NULL;
    kolk_task_options options = {.size = sizeof options};
    (void)ret_result;
    int status = kolk_task_group_enter(0, &group);
    if (status < 0)
        return status;
    options.group = group;
    kolk_task_group_cancel(group);
    self->statuses[0] = kolk_create_foreign_task(self->actor->f->loop, &theatre, self->actor, &options, NULL);
    kolk_task_group_leave(group, 0);
    self->statuses[1] = kolk_create_foreign_task(self->actor->f->loop, &theatre, self->actor, &options, NULL);
    kolk_task_group_unref(group);
    return 0;
}

/* So is that of one whose group does not take it. */
static void the_frame_of_one_that_its_group_refuses_is_destroyed(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {RETURN, NULL, 0});
    struct refusal refusal = {.actor = &actor};
    assert_int_equal(run_task(f, join_a_group_that_was_left, &refusal), 0);
    assert_int_equal(refusal.statuses[0], KOLK_ECANCELED);
    assert_int_equal(refusal.statuses[1], KOLK_ECLOSED);
    assert_record(f, "~a ~a");
}

/* ---- As a task ---- */

/* A task starts on the next turn, awaits futures, and has the result of its coroutine. */
static void a_task_awaits_and_returns(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, future, 0}, {RETURN, "tea", 0});
    kolk_task *task = make_task(&actor);
    void *result = NULL;
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "a()");
    drive_during(f, MS);
    assert_record(f, "a()");
    assert_int_equal(kolk_future_set_result(future, "ignored", NULL), 0);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a() a() ~a");
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    assert_int_equal(actor.dirty, 0);
    kolk_task_unref(task);
    assert_int_equal(actor.destroyed, 1);
    kolk_future_unref(future);
}

/* That the future is done is all it is told: the outcome, good or bad, is there to be asked for. */
static void the_outcome_is_there_to_be_asked_for(void **state) {
    struct fixture *f = *state;
    kolk_future *failed = new_future(f), *cancelled = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, failed, 0}, {AWAIT, cancelled, 0}, {RETURN, NULL, 0});
    actor.swallows = 1;
    kolk_task *task = make_task(&actor);
    drive_once(f);
    assert_int_equal(kolk_future_set_error(failed, kolk_error_of(KOLK_EIO)), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_future_cancel(cancelled), 1);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a() a(=KOLK_EIO) a(=KOLK_ECANCELED) ~a");
    kolk_future_unref(failed);
    kolk_future_unref(cancelled);
}

/* Awaiting what is done already goes on. */
static void what_is_done_is_not_waited_for(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, future, 0}, {AWAIT, future, 0}, {RETURN, NULL, 0});
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(join(f, make_task(&actor)), 0);
    assert_record(f, "a() a() a() ~a");
    kolk_future_unref(future);
}

/* Awaiting nothing lets everyone else who is ready run once. */
static void awaiting_nothing_lets_others_run(void **state) {
    struct fixture *f = *state;
    struct actor a = ACTOR(f, "a", {PAUSE, NULL, 0}, {PAUSE, NULL, 0}, {RETURN, NULL, 0});
    struct actor b = ACTOR(f, "b", {PAUSE, NULL, 0}, {RETURN, NULL, 0});
    kolk_task *first = make_task(&a), *second = make_task(&b);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "callback"), NULL, NULL), 0);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    assert_record(f, "a() b() callback a() b() ~b a() ~a");
}

/* What a task yields is refused: nobody is there to take it. One that catches that goes on. */
static void what_a_task_yields_is_refused(void **state) {
    struct fixture *f = *state;
    struct actor a = ACTOR(f, "a", {YIELD, "for nobody", 0});
    struct actor b = ACTOR(f, "b", {YIELD, "for nobody", 0}, {RETURN, NULL, 0});
    b.swallows = 1;
    assert_int_equal(join(f, make_task(&a)), KOLK_EYIELD);
    assert_record(f, "a() a(KOLK_EYIELD) ~a");
    clear_record(f);
    assert_int_equal(join(f, make_task(&b)), 0);
    assert_record(f, "b() b(KOLK_EYIELD) ~b");
}

/* Words that it raises are those of the task. */
static void words_that_are_raised_are_the_tasks(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {PAUSE, NULL, 0}, {RAISE, "no such song", KOLK_ENOENT});
    kolk_task *task = make_task(&actor);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ENOENT);
    assert_string_equal(kolk_error_message(kolk_task_error(task)), "no such song");
    assert_record(f, "a() a() ~a");
    kolk_task_unref(task);
}

/* A task that awaits itself, or a future of another loop, is told that it cannot. */
static void awaiting_oneself_is_refused(void **state) {
    struct fixture *f = *state;
    struct line line = {AWAIT, NULL, 0};
    struct actor self = {.f = f, .name = "a", .lines = &line, .count = 1};
    kolk_task *task = make_task(&self);
    line.value = kolk_task_as_future(task);
    assert_int_equal(join(f, task), KOLK_EINVAL);
    assert_record(f, "a() a(KOLK_EINVAL) ~a");

    kolk_loop *other = NULL;
    kolk_future *foreign = NULL;
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &foreign), 0);
    struct actor stranger = ACTOR(f, "b", {AWAIT, foreign, 0});
    clear_record(f);
    assert_int_equal(join(f, make_task(&stranger)), KOLK_EINVAL);
    assert_record(f, "b() b(KOLK_EINVAL) ~b");
    kolk_future_unref(foreign);
    kolk_loop_unref(other);
}

static int record_oneself(void *frame, int status, void *sent, void **ret_value) {
    struct actor *self = frame;
    kolk_task_info info = {.size = sizeof info};
    (void)status;
    (void)sent;
    (void)ret_value;
    kolk_task_get_info(kolk_task_current(), &info);
    record(self->f, "%s %s %d", kolk_task_name(kolk_task_current()), info.kind, kolk_loop_current() == self->f->loop);
    return KOLK_COROUTINE_RETURNED;
}

/* The task that runs is the current one, and its kind is called as its table says. */
static void the_running_task_is_the_current_one(void **state) {
    struct fixture *f = *state;
    static const kolk_coroutine_ops ops = {.size = sizeof ops, .kind = "diary", .resume = record_oneself, .destroy = bury};
    struct actor actor = {.f = f, .name = "a"};
    kolk_task_options options = {.size = sizeof options, .name = "writer"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_foreign_task(f->loop, &ops, &actor, &options, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "writer diary 1 ~a");
}

struct careful {
    struct fixture *f;
    kolk_scope *scope;
    int status;
};

static int enter_a_scope(void *frame, int status, void *sent, void **ret_value) {
    struct careful *self = frame;
    (void)sent;
    (void)ret_value;
    record(self->f, "%s", kolk_task_name(kolk_task_current()));
    if (status == 0 && !self->scope)
        status = kolk_scope_enter(0, KOLK_NEVER, &self->scope);
    return status < 0 ? status : self->status;
}

static void clean_up_inside(void *frame) {
    struct careful *self = frame;
    record(self->f, "~%s %s", kolk_task_name(kolk_task_current()), kolk_error_message(kolk_raised()));
    if (self->scope)
        record(self->f, "%s", kolk_status_name(kolk_scope_leave(self->scope, 0)));
    record(self->f, "%s %s", kolk_status_name(kolk_sleep(0)),
           kolk_status_name(kolk_await(kolk_task_as_future(kolk_task_current()), NULL)));
    kolk_raise(kolk_error_of(KOLK_EPIPE)); /* to nobody */
}

static const kolk_coroutine_ops careful_ops = {
    .size = sizeof careful_ops, .kind = "careful", .resume = enter_a_scope, .destroy = clean_up_inside};

/* The frame is destroyed inside the task, however that ended: it can leave what it entered, but not wait. */
static void a_frame_is_destroyed_inside_its_task(void **state) {
    struct fixture *f = *state;
    struct careful ending[] = {{.f = f, .status = KOLK_COROUTINE_RETURNED}, {.f = f, .status = KOLK_EIO}, {.f = f}};
    static const char *const names[] = {"good", "bad", "cancelled"};
    kolk_task *tasks[COUNT(ending)] = {NULL};
    for (size_t i = 0; i < COUNT(ending); i++) {
        kolk_task_options options = {.size = sizeof options, .name = names[i]};
        assert_int_equal(kolk_create_foreign_task(f->loop, &careful_ops, &ending[i], &options, &tasks[i]), 0);
    }
    kolk_task_cancel(tasks[2]);
    assert_int_equal(join(f, tasks[0]), 0);
    assert_int_equal(join(f, tasks[1]), KOLK_EIO);
    assert_int_equal(join(f, tasks[2]), KOLK_ECANCELED);
    assert_record(f, "good ~good no error KOLK_OK KOLK_ENOTASK KOLK_ENOTASK "
                     "bad ~bad no error KOLK_OK KOLK_ENOTASK KOLK_ENOTASK "
                     "~cancelled no error KOLK_ENOTASK KOLK_ENOTASK");
    assert_null(kolk_task_current());
}

/* A task that is cancelled before it started is never resumed; its frame is destroyed. */
static void a_task_cancelled_before_its_start_never_runs(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {RETURN, NULL, 0});
    kolk_task *task = make_task(&actor);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "~a");
}

/* Cancelling cancels what it waits for: the wait is over, and the outcome tells why. */
static void cancelling_reaches_what_is_awaited(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, future, 0}, {RETURN, NULL, 0});
    kolk_task *task = make_task(&actor);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_until(f, kolk_task_as_future(task));
    assert_record(f, "a() a(=KOLK_ECANCELED) ~a");
    assert_int_equal(kolk_future_cancelled(future), 1);
    assert_int_equal(kolk_future_cancelled(kolk_task_as_future(task)), 1);
    kolk_task_unref(task);
    kolk_future_unref(future);
}

/* When what it awaited is there already, it is told to wait no longer all the same. */
static void a_cancellation_after_the_result_is_still_delivered(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, future, 0}, {RETURN, NULL, 0});
    kolk_task *task = make_task(&actor);
    drive_once(f);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "a() a(KOLK_ECANCELED) ~a");
    kolk_future_unref(future);
}

/* One that only let others run is told as well. */
static void a_pausing_task_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {PAUSE, NULL, 0});
    kolk_task *task = make_task(&actor);
    drive_once(f);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "a() a() a(KOLK_ECANCELED) ~a");
}

/* A task may swallow a cancellation: it is told once, and goes on waiting. */
static void a_task_may_swallow_a_cancellation(void **state) {
    struct fixture *f = *state;
    kolk_future *first = new_future(f), *second = new_future(f);
    struct actor actor = ACTOR(f, "a", {AWAIT, first, 0}, {AWAIT, second, 0}, {RETURN, "tea", 0});
    actor.swallows = 1;
    kolk_task *task = make_task(&actor);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_during(f, MS);
    assert_record(f, "a() a(=KOLK_ECANCELED)");
    assert_int_equal(kolk_task_done(task), 0);
    assert_int_equal(kolk_future_set_result(second, NULL, NULL), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "a() a(=KOLK_ECANCELED) a() ~a");
    kolk_future_unref(first);
    kolk_future_unref(second);
}

/* Closing the loop tells parked tasks to end; one that never started is only destroyed. */
static void closing_the_loop_ends_tasks(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    struct actor parked = ACTOR(f, "parked", {AWAIT, future, 0}), fresh = ACTOR(f, "fresh", {RETURN, NULL, 0});
    kolk_task *task = make_task(&parked);
    drive_once(f);
    clear_record(f);
    kolk_task_unref(make_task(&fresh));
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_task_result(task, NULL), KOLK_ECANCELED);
    assert_non_null(strstr(f->record, "parked(=KOLK_ECANCELED) ~parked"));
    assert_int_equal(parked.destroyed, 1);
    assert_int_equal(fresh.resumed, 0);
    assert_int_equal(fresh.destroyed, 1);
    kolk_task_unref(task);
    kolk_future_unref(future);
}

/* One that refuses to end keeps the loop open and does not hang it; the close may be repeated. */
static void a_task_that_refuses_to_end_keeps_the_loop_open(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {PAUSE, NULL, 0});
    actor.swallows = 1;
    kolk_task *task = make_task(&actor);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), KOLK_EBUSY);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    assert_int_equal(actor.destroyed, 0);
    actor.swallows = 0;
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(actor.destroyed, 1);
    kolk_task_unref(task);
}

/* One that was made before can be driven by a task. */
static void a_task_may_drive_one_that_was_made_before(void **state) {
    struct fixture *f = *state;
    struct actor actor = ACTOR(f, "a", {PAUSE, NULL, 0}, {RETURN, "tea", 0});
    kolk_coroutine *self = make(&actor);
    kolk_task *task = NULL;
    void *result = NULL;
    assert_int_equal(kolk_create_task_of(self, NULL, &task), 0);
    kolk_coroutine_unref(self);
    assert_record(f, "");
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    kolk_task_unref(task);
    assert_int_equal(actor.destroyed, 1);
}

/* One that becomes no task for want of memory stays whose it was, and is destroyed once when it is dropped. */
static void one_that_becomes_no_task_is_still_destroyed(void **state) {
    struct fixture *f = *state;
    kolk_task_options options = {.size = sizeof options, .name = "play"};
    size_t failures = 1;
    for (size_t n = 1; failures; n++) {
        struct actor actor = ACTOR(f, "a", {RETURN, NULL, 0});
        kolk_coroutine *self = make(&actor);
        kolk_task *task = NULL;
        failing_allocator_arm(&f->memory, n, 0);
        int status = kolk_create_task_of(self, &options, &task);
        failing_allocator_disarm(&f->memory);
        failures = f->memory.failures;
        assert_int_equal(status, failures ? KOLK_ENOMEM : 0);
        assert_int_equal(actor.destroyed, 0);
        kolk_coroutine_unref(self);
        assert_int_equal(actor.destroyed, failures ? 1 : 0);
        if (task)
            assert_int_equal(join(f, task), 0);
        assert_int_equal(actor.destroyed, 1);
        assert_int_equal(actor.resumed, failures ? 0 : 1);
    }
}

/* A number that stands for nothing is refused, and told. */
static void an_unknown_number_is_refused(void **state) {
    struct fixture *f = *state;
    struct actor a = ACTOR(f, "a", {FAIL, NULL, KOLK_COROUTINE_AWAITING + 1});
    struct actor b = ACTOR(f, "b", {FAIL, NULL, INT32_MAX}, {RETURN, NULL, 0});
    b.swallows = 1;
    assert_int_equal(join(f, make_task(&a)), KOLK_EINVAL);
    assert_record(f, "a() a(KOLK_EINVAL) ~a");
    clear_record(f);
    assert_int_equal(join(f, make_task(&b)), 0);
    assert_record(f, "b() b(KOLK_EINVAL) ~b");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule plain[] = {
        RULE(values_go_in_and_out),
        RULE(it_passes_through_four_states),
        RULE(nothing_can_be_sent_to_one_that_has_not_started),
        RULE(an_error_is_thrown_in_with_its_words),
        RULE(a_caught_error_is_over),
        RULE(a_failure_has_a_status_and_words),
        RULE(closing_tells_it_to_end),
        RULE(a_yield_during_close_is_an_error),
        RULE(dropping_tells_it_to_end),
        RULE(one_that_never_started_is_only_destroyed),
        RULE(a_running_one_cannot_be_resumed),
        RULE(awaiting_is_told_to_whoever_drives),
        RULE(a_wrong_table_is_refused),
        RULE(the_frame_of_one_that_cannot_be_made_is_destroyed),
        RULE(the_frame_of_one_that_its_group_refuses_is_destroyed),
    };
    static const struct rule matrix[] = {
        RULE(it_stops_by_returning_only),
        RULE(a_task_awaits_and_returns),
        RULE(the_outcome_is_there_to_be_asked_for),
        RULE(what_is_done_is_not_waited_for),
        RULE(awaiting_nothing_lets_others_run),
        RULE(what_a_task_yields_is_refused),
        RULE(words_that_are_raised_are_the_tasks),
        RULE(awaiting_oneself_is_refused),
        RULE(the_running_task_is_the_current_one),
        RULE(a_frame_is_destroyed_inside_its_task),
        RULE(a_task_cancelled_before_its_start_never_runs),
        RULE(cancelling_reaches_what_is_awaited),
        RULE(a_cancellation_after_the_result_is_still_delivered),
        RULE(a_pausing_task_can_be_cancelled),
        RULE(a_task_may_swallow_a_cancellation),
        RULE(closing_the_loop_ends_tasks),
        RULE(a_task_that_refuses_to_end_keeps_the_loop_open),
        RULE(a_task_may_drive_one_that_was_made_before),
        RULE(one_that_becomes_no_task_is_still_destroyed),
        RULE(an_unknown_number_is_refused),
    };
    return run_plain("foreign", plain, COUNT(plain)) + run_matrix("foreign tasks", matrix, COUNT(matrix));
}
