/* Scopes: a part of a task that is timed, cancelled or shielded apart from the rest. What asyncio.timeout() does in a corner,
 * an edge scope does there too; level scopes are trio's. */
#include "support/driver.h"

/* What bodies get that need more than the fixture. */
struct scene {
    struct fixture *f;
    kolk_scope *scope; /* For others to cancel or move. */
    kolk_future *future;
    kolk_task *task;
    uint32_t flags;
    int64_t outer_ns, inner_ns;
};

/* Records how something ended, and passes that on. */
static int told(struct fixture *f, const char *what, int status) {
    record(f, "%s(%s)", what, kolk_status_name(status));
    return status;
}

/* The same for leaving a scope, with what the scope says of itself before. */
static int leave(struct fixture *f, const char *what, kolk_scope *scope, int status) {
    int expired = kolk_scope_expired(scope), cancelled = kolk_scope_cancelled(scope);
    const char *because = expired == 1 && cancelled == 1 ? ", expired" : cancelled == 1 ? ", cancelled" : "";
    int left = kolk_scope_leave(scope, status);
    record(f, "%s(%s%s)", what, kolk_status_name(left), because);
    return left;
}

/* Nothing of the loop waits for anything any more. */
static void assert_idle(struct fixture *f) {
    drive_during(f, MS);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
    assert_int_equal(plan.ready, 0);
}

static int is_waiting(void *recorded) { return ((struct fixture *)recorded)->recorded > 0; }

/* Drives until a body has recorded something, and then as long as it takes to reach its next wait. */
static void drive_to_its_wait(struct fixture *f) {
    drive_for(f, is_waiting, f);
    drive_during(f, MS);
}

/* ---- Time-outs ---- */

static int time_out(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "enter", kolk_timeout(2 * MS, &scope));
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    return leave(f, "leave", scope, status);
}

static int wait_without_time(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    for (int moved = 0; moved < 2; moved++) {
        kolk_scope *scope = NULL;
        told(f, "enter", kolk_timeout(moved ? SECOND : 0, &scope));
        if (moved)
            told(f, "move", kolk_scope_reschedule(scope, kolk_loop_time(f->loop)));
        leave(f, "leave", scope, kolk_sleep(0));
    }
    return 0;
}

/* A deadline that has come ends the first wait, even one that only lets others run. */
static void without_time_the_first_wait_times_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, wait_without_time, f), 0);
    assert_record(f, "enter(KOLK_OK) leave(KOLK_ETIMEDOUT, expired) "
                     "enter(KOLK_OK) move(KOLK_OK) leave(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

/* A body that takes too long is cancelled where it waits, and has timed out. */
static void a_body_that_takes_too_long_times_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, time_out, f), KOLK_ETIMEDOUT);
    assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

static int expire_and_look(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int64_t when = kolk_loop_time(self->f->loop) + 3 * MS;
    int status = kolk_timeout_at(when, &self->scope);
    record(self->f, "%s", kolk_scope_when(self->scope) == when ? "as asked for" : "another time");
    if (status == 0)
        status = kolk_sleep(10 * SECOND);
    record(self->f, "%s", kolk_loop_time(self->f->loop) >= when ? "in time" : "early");
    return kolk_scope_leave(self->scope, status);
}

/* A deadline does not come early. */
static void a_deadline_does_not_come_early(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, expire_and_look, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "as asked for in time");
}

static int end_in_time(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    const int outcomes[] = {0, KOLK_EIO, KOLK_ECANCELED};
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        kolk_scope *scope = NULL;
        int status = kolk_timeout(10 * SECOND, &scope);
        if (status == 0)
            status = kolk_sleep(MS / 4);
        told(f, "sleep", status);
        leave(f, "leave", scope, outcomes[i]);
    }
    return told(f, "sleep", kolk_sleep(0));
}

/* What ends in time ends as it would have without; no timer is left. */
static void what_ends_in_time_keeps_its_outcome(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, end_in_time, f), 0);
    assert_record(f, "sleep(KOLK_OK) leave(KOLK_OK) sleep(KOLK_OK) leave(KOLK_EIO) sleep(KOLK_OK) leave(KOLK_ECANCELED) "
                     "sleep(KOLK_OK)");
    assert_idle(f);
}

static int leave_before_it_expires(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "enter", kolk_timeout(2 * MS, &scope));
    leave(f, "leave", scope, 0);
    return told(f, "sleep", kolk_sleep(6 * MS));
}

/* A deadline that would have come after the body is done does not come. */
static void a_scope_that_was_left_does_not_expire(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, leave_before_it_expires, f), 0);
    assert_record(f, "enter(KOLK_OK) leave(KOLK_OK) sleep(KOLK_OK)");
}

static int wait_with_a_past_deadline(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    const int64_t past[] = {kolk_loop_time(f->loop), kolk_loop_time(f->loop) - SECOND, 0, INT64_MIN};
    for (size_t i = 0; i < COUNT(past); i++) {
        kolk_scope *scope = NULL;
        kolk_timeout_at(past[i], &scope);
        leave(f, "leave", scope, kolk_sleep(10 * SECOND));
    }
    kolk_scope *scope = NULL;
    kolk_timeout(-1, &scope);
    return leave(f, "leave", scope, kolk_sleep(10 * SECOND));
}

/* A deadline in the past expires on the next turn, at the first wait. */
static void a_deadline_in_the_past_expires_at_the_first_wait(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, wait_with_a_past_deadline, f), KOLK_ETIMEDOUT);
    assert_record(f, "leave(KOLK_ETIMEDOUT, expired) leave(KOLK_ETIMEDOUT, expired) leave(KOLK_ETIMEDOUT, expired) "
                     "leave(KOLK_ETIMEDOUT, expired) leave(KOLK_ETIMEDOUT, expired)");
}

static int finish_with_a_past_deadline(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(self->f, "enter", kolk_timeout(0, &scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    leave(self->f, "leave", scope, status);
    return told(self->f, "sleep", kolk_sleep(MS));
}

/* A body that does not wait is done before a deadline in the past expires; nor does that reach it later. */
static void a_deadline_in_the_past_spares_a_body_that_does_not_wait(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(run_task(f, finish_with_a_past_deadline, &scene), 0);
    assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) sleep(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int swallow(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(2 * MS, &scope);
    told(f, "sleep", kolk_sleep(10 * SECOND));
    told(f, "again", kolk_sleep(MS));
    leave(f, "leave", scope, 0);
    return told(f, "after", kolk_sleep(MS));
}

/* An edge scope that expires is told once. Who swallows that goes on, and has not timed out. */
static void an_expiry_that_is_swallowed_is_over(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, swallow, f), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) again(KOLK_OK) leave(KOLK_OK, expired) after(KOLK_OK)");
}

static int fail_when_late(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(2 * MS, &scope);
    return leave(f, "leave", scope, kolk_sleep(10 * SECOND) == KOLK_ECANCELED ? KOLK_EIO : 0);
}

/* A body that answers its expiry with another error has failed with that. */
static void an_error_in_answer_to_an_expiry_counts(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, fail_when_late, f), KOLK_EIO);
    assert_record(f, "leave(KOLK_EIO, expired)");
}

static int await_in_time_out(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(self->f, "enter", kolk_timeout(10 * SECOND, &scope));
    return leave(self->f, "leave", scope, told(self->f, "await", kolk_await(self->future, NULL)));
}

/* When what it waits for was cancelled by somebody, that is no expiry. */
static void the_cancellation_of_what_is_awaited_is_passed_on(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_in_time_out, &scene);
    drive_to_its_wait(f);
    kolk_future_cancel(scene.future);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_ECANCELED)");
    kolk_future_unref(scene.future);
}

/* A task that is cancelled from outside is cancelled, and has not timed out. */
static void a_cancellation_from_outside_is_passed_on(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, await_in_time_out, &scene);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_ECANCELED)");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_future_unref(scene.future);
    assert_idle(f);
}

static int expire_at_once(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "enter", kolk_timeout_at(kolk_loop_time(f->loop), &scope));
    int status = kolk_sleep(10 * SECOND);
    return told(f, "leave", kolk_scope_leave(scope, status));
}

/* Who is cancelled from outside and then expires, before he has run again, is cancelled. */
static void a_cancellation_outranks_an_expiry(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, expire_at_once);
    drive_once(f);
    assert_record(f, "enter(KOLK_OK)");
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) leave(KOLK_ECANCELED)");
}

static void cancel_task(void *task) { kolk_task_cancel(task); }

static int expire_and_be_cancelled(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int64_t now = kolk_loop_time(f->loop);
    kolk_scope *scope = NULL;
    int status = kolk_timeout_at(now, &scope);
    if (status == 0)
        status = kolk_loop_call_at(f->loop, now, cancel_task, kolk_task_current(), NULL, NULL);
    if (status == 0)
        status = kolk_sleep(10 * SECOND);
    status = kolk_scope_leave(scope, status);
    /* Whichever was told first, nobody forgets the cancellation. */
    return status == KOLK_ETIMEDOUT ? kolk_sleep(10 * SECOND) : status;
}

/* A cancellation that comes in the same turn as the expiry, just after it, is not lost. */
static void a_cancellation_is_not_lost_beside_an_expiry(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, expire_and_be_cancelled);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
}

static int swallow_then_expire(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(10 * SECOND, &scope);
    told(self->f, "await", kolk_await(self->future, NULL));
    if (self->flags)
        record(self->f, "left %d", kolk_task_uncancel(kolk_task_current()));
    kolk_scope_reschedule(scope, kolk_loop_time(self->f->loop));
    return leave(self->f, "leave", scope, told(self->f, "sleep", kolk_sleep(10 * SECOND)));
}

/* A cancellation that was swallowed inside still counts at the end, unless it was taken back. */
static void a_cancellation_that_was_taken_back_does_not_count(void **state) {
    struct fixture *f = *state;
    for (uint32_t taken_back = 0; taken_back < 2; taken_back++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = taken_back};
        clear_record(f);
        kolk_task *task = spawn_with(f, swallow_then_expire, &scene);
        drive_during(f, MS);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(join(f, task), taken_back ? KOLK_ETIMEDOUT : KOLK_ECANCELED);
        assert_record(f, taken_back ? "await(KOLK_ECANCELED) left 0 sleep(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)"
                                    : "await(KOLK_ECANCELED) sleep(KOLK_ECANCELED) leave(KOLK_ECANCELED, expired)");
        kolk_future_unref(scene.future);
    }
}

static int clean_up_with_a_limit(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = told(f, "cancelled", kolk_sleep(10 * SECOND));
    kolk_scope *scope = NULL;
    kolk_timeout(2 * MS, &scope);
    leave(f, "leave", scope, kolk_sleep(10 * SECOND));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return status;
}

/* A cancellation from before the scope was entered does not come from outside a second time. */
static void an_earlier_cancellation_does_not_count(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, clean_up_with_a_limit);
    drive_during(f, MS);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "cancelled(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) 1");
}

static int nest(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_timeout(self->outer_ns, &outer);
    kolk_timeout(self->inner_ns, &inner);
    int status = told(self->f, "sleep", kolk_sleep(10 * SECOND));
    status = leave(self->f, "inner", inner, status);
    if (status == KOLK_ETIMEDOUT)
        status = told(self->f, "between", kolk_sleep(0));
    return leave(self->f, "outer", outer, status);
}

/* Of two scopes the one that expires times out, the other does not. */
static void of_nested_scopes_the_one_that_expires_times_out(void **state) {
    struct fixture *f = *state;
    struct scene inner_first = {.f = f, .outer_ns = 100 * SECOND, .inner_ns = 2 * MS};
    assert_int_equal(run_task(f, nest, &inner_first), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) inner(KOLK_ETIMEDOUT, expired) between(KOLK_OK) outer(KOLK_OK)");

    clear_record(f);
    struct scene outer_first = {.f = f, .outer_ns = 2 * MS, .inner_ns = 100 * SECOND};
    assert_int_equal(run_task(f, nest, &outer_first), KOLK_ETIMEDOUT);
    assert_record(f, "sleep(KOLK_ECANCELED) inner(KOLK_ECANCELED) outer(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

static int nest_with_one_deadline(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    int64_t when = kolk_loop_time(f->loop);
    kolk_timeout_at(when, &outer);
    kolk_timeout_at(when, &inner);
    int status = kolk_sleep(10 * SECOND);
    status = told(f, "inner", kolk_scope_leave(inner, status));
    status = leave(f, "outer", outer, status);
    told(f, "after", kolk_sleep(0));
    return status;
}

/* When both expire at once it is the outer one that has timed out, and nothing is left over. */
static void of_scopes_that_expire_at_once_the_outer_one_times_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, nest_with_one_deadline, f), KOLK_ETIMEDOUT);
    assert_record(f, "inner(KOLK_ECANCELED) outer(KOLK_ETIMEDOUT, expired) after(KOLK_OK)");
}

static int wait_for_within(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(self->outer_ns, &scope);
    int status = told(self->f, "wait_for", kolk_wait_for(self->future, self->inner_ns, NULL));
    return leave(self->f, "leave", scope, status);
}

/* A wait with a limit of its own inside a scope: each tells its own expiry. */
static void a_limited_wait_in_a_scope_tells_its_own_limit(void **state) {
    struct fixture *f = *state;
    struct scene wait_first = {.f = f, .future = new_future(f), .outer_ns = 100 * SECOND, .inner_ns = 2 * MS};
    assert_int_equal(run_task(f, wait_for_within, &wait_first), KOLK_ETIMEDOUT);
    assert_record(f, "wait_for(KOLK_ETIMEDOUT) leave(KOLK_ETIMEDOUT)");

    clear_record(f);
    struct scene scope_first = {.f = f, .future = new_future(f), .outer_ns = 2 * MS, .inner_ns = 100 * SECOND};
    assert_int_equal(run_task(f, wait_for_within, &scope_first), KOLK_ETIMEDOUT);
    assert_record(f, "wait_for(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)");
    assert_int_equal(kolk_future_cancelled(scope_first.future), 1);
    kolk_future_unref(wait_first.future);
    kolk_future_unref(scope_first.future);
    assert_idle(f);
}

static int end_slowly(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(10 * SECOND);
    kolk_sleep(2 * MS);
    record(f, "ended");
    return status;
}

static int await_slow_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(2 * MS, &scope);
    int status = told(self->f, "await", kolk_await(kolk_task_as_future(self->task), NULL));
    return leave(self->f, "leave", scope, status);
}

/* An expiry cancels the task that is awaited, and waits for it to end. */
static void an_expiry_waits_for_the_awaited_task_to_end(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .task = spawn(f, end_slowly)};
    assert_int_equal(run_task(f, await_slow_task, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "ended await(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)");
    assert_int_equal(join(f, scene.task), KOLK_ECANCELED);
}

/* ---- Moving the deadline ---- */

static int move_deadline(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    int status = kolk_timeout(self->outer_ns, &scope);
    int64_t when = self->inner_ns == KOLK_NEVER ? KOLK_NEVER : kolk_loop_time(self->f->loop) + self->inner_ns;
    if (status == 0)
        status = kolk_scope_reschedule(scope, when);
    record(self->f, "%s", kolk_scope_when(scope) == when ? "moved" : "not moved");
    if (status == 0)
        status = kolk_sleep(6 * MS);
    return leave(self->f, "leave", scope, status);
}

/* A deadline can be moved away, nearer, into the past, and be taken off. */
static void a_deadline_can_be_moved(void **state) {
    struct fixture *f = *state;
    struct scene later = {.f = f, .outer_ns = 2 * MS, .inner_ns = 100 * SECOND};
    struct scene never = {.f = f, .outer_ns = 2 * MS, .inner_ns = KOLK_NEVER};
    struct scene past = {.f = f, .outer_ns = 100 * SECOND, .inner_ns = -SECOND};
    assert_int_equal(run_task(f, move_deadline, &later), 0);
    assert_int_equal(run_task(f, move_deadline, &never), 0);
    assert_int_equal(run_task(f, move_deadline, &past), KOLK_ETIMEDOUT);
    assert_record(f, "moved leave(KOLK_OK) moved leave(KOLK_OK) moved leave(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

static int sleep_without_deadline(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_timeout(KOLK_NEVER, &self->scope));
    record(self->f, "%s", kolk_scope_when(self->scope) == KOLK_NEVER ? "never" : "sometime");
    int status = kolk_sleep(10 * SECOND);
    return leave(self->f, "leave", self->scope, status);
}

/* A scope without a deadline gets one from somebody else. */
static void a_deadline_can_be_given_later(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    kolk_task *task = spawn_with(f, sleep_without_deadline, &scene);
    drive_to_its_wait(f);
    assert_int_equal(kolk_scope_reschedule(scene.scope, kolk_loop_time(f->loop) + MS), 0);
    assert_int_equal(join(f, task), KOLK_ETIMEDOUT);
    assert_record(f, "enter(KOLK_OK) never leave(KOLK_ETIMEDOUT, expired)");
}

static int reschedule_too_late(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(0, &scope);
    int status = kolk_sleep(10 * SECOND);
    told(f, "expired", kolk_scope_reschedule(scope, KOLK_NEVER));
    record(f, "%d", kolk_scope_cancel(scope));
    told(f, "leave", kolk_scope_leave(scope, status));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    told(f, "cancelled", kolk_scope_reschedule(scope, KOLK_NEVER));
    return kolk_scope_leave(scope, 0);
}

/* What has expired or was cancelled has no deadline any more, nor can it be cancelled again. */
static void an_expired_scope_cannot_be_moved(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, reschedule_too_late, f), 0);
    assert_record(f, "expired(KOLK_EALREADY) 0 leave(KOLK_ETIMEDOUT) cancelled(KOLK_EALREADY)");
}

/* ---- Cancelling a scope ---- */

static int wait_to_be_cancelled(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    leave(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(0));
}

/* A scope that is cancelled ends what is inside, and the task goes on behind it. */
static void a_scope_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = kinds[i]};
        clear_record(f);
        kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_scope_cancelled(scene.scope), 0);
        assert_int_equal(kolk_scope_cancel(scene.scope), 1);
        assert_int_equal(kolk_scope_cancel(scene.scope), 0);
        assert_int_equal(kolk_scope_cancelled(scene.scope), 1);
        assert_int_equal(kolk_scope_expired(scene.scope), 0);
        assert_int_equal(join(f, task), 0);
        assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
        assert_int_equal(kolk_future_cancelled(scene.future), 1);
        kolk_future_unref(scene.future);
    }
}

static int cancel_oneself(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_timeout(KOLK_NEVER, &scope);
    record(f, "%d", kolk_scope_cancel(scope));
    leave(f, "without a wait", scope, 0);
    told(f, "after", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    leave(f, "with one", scope, status);
    told(f, "after", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    leave(f, "failing", scope, KOLK_EIO);
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return told(f, "after", kolk_sleep(0));
}

/* A task may cancel its own scope. Without a wait in between nothing of that is left when the scope is. */
static void a_scope_cancelled_from_inside_leaves_nothing_behind(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_oneself, f), 0);
    assert_record(f, "1 without a wait(KOLK_OK, cancelled) after(KOLK_OK) "
                     "sleep(KOLK_ECANCELED) with one(KOLK_OK, cancelled) after(KOLK_OK) "
                     "failing(KOLK_EIO, cancelled) 0 after(KOLK_OK)");
}

static int cancel_scope_after_cancellation(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    told(f, "swallowed", kolk_sleep(0));
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    leave(f, "leave", scope, 0);
    told(f, "after", kolk_sleep(0));
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    return 0;
}

/* Nor is it in a task that was cancelled before, and has swallowed that. */
static void a_scope_leaves_nothing_behind_in_a_task_that_was_cancelled(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_scope_after_cancellation, f), 0);
    assert_record(f, "swallowed(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK) 1");
}

static int cancel_task_and_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    for (int scope_first = 0; scope_first < 2; scope_first++) {
        kolk_scope *scope = NULL;
        kolk_timeout(KOLK_NEVER, &scope);
        if (scope_first)
            kolk_scope_cancel(scope);
        kolk_task_cancel(kolk_task_current());
        if (!scope_first)
            kolk_scope_cancel(scope);
        leave(f, "leave", scope, 0);
        told(f, "after", kolk_sleep(0));
        told(f, "again", kolk_sleep(0));
    }
    return 0;
}

/* What comes from outside, and was not told inside, is told behind the scope. */
static void a_request_from_outside_outlives_the_scope(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_task_and_scope, f), 0);
    assert_record(f, "leave(KOLK_OK, cancelled) after(KOLK_ECANCELED) again(KOLK_OK) "
                     "leave(KOLK_OK, cancelled) after(KOLK_ECANCELED) again(KOLK_OK)");
}

static int clean_up_past_the_deadline(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_timeout(2 * MS, &scope);
    told(f, "told", kolk_sleep(10 * SECOND));
    int status = told(f, "clean-up", kolk_sleep(10 * SECOND));
    return leave(f, "leave", scope, status);
}

static int cancel_scope_beside_an_earlier_request(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_timeout(KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(f, "told", kolk_sleep(10 * SECOND));
    return leave(f, "leave", scope, status);
}

/* A request that was there before the scope and is told inside of it comes from outside all the same. */
static void an_earlier_cancellation_that_is_told_inside_counts(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, clean_up_past_the_deadline, f), KOLK_ECANCELED);
    assert_record(f, "told(KOLK_ECANCELED) clean-up(KOLK_ECANCELED) leave(KOLK_ECANCELED, expired)");
    clear_record(f);
    assert_int_equal(run_task(f, cancel_scope_beside_an_earlier_request, f), KOLK_ECANCELED);
    assert_record(f, "told(KOLK_ECANCELED) leave(KOLK_ECANCELED, cancelled)");
}

static int swallow_and_cancel_the_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_scope_enter(0, KOLK_NEVER, &scope);
    told(f, "told", kolk_sleep(MS));
    kolk_scope_cancel(scope);
    leave(f, "leave", scope, 0);
    return told(f, "after", kolk_sleep(0));
}

/* One that was told inside and dealt with is over; what the scope asked for besides ends with the scope. */
static void what_was_told_inside_is_not_told_again(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, swallow_and_cancel_the_scope, f), 0);
    assert_record(f, "told(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
}

static int cancel_outer_inside_inner(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_timeout(KOLK_NEVER, &outer);
    kolk_timeout(KOLK_NEVER, &inner);
    kolk_scope_cancel(outer);
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    status = leave(f, "inner", inner, status);
    status = leave(f, "outer", outer, status);
    return status;
}

/* Cancelling an outer scope passes through the inner one. */
static void cancelling_an_outer_scope_passes_through_the_inner(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_outer_inside_inner, f), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) inner(KOLK_ECANCELED) outer(KOLK_OK, cancelled)");
}

/* A task that is cancelled along with its scope is cancelled. */
static void a_cancellation_outranks_that_of_a_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
    drive_to_its_wait(f);
    kolk_scope_cancel(scene.scope);
    kolk_task_cancel(task);
    join(f, task);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) leave(KOLK_ECANCELED, cancelled) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

/* ---- Level ---- */

static int wait_in_every_way(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_semaphore *semaphore = NULL;
    kolk_semaphore_new(f->loop, 0, &semaphore);
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &self->scope);
    kolk_scope_cancel(self->scope);
    for (int i = 0; i < 2; i++) {
        told(f, "sleep", kolk_sleep(10 * SECOND));
        told(f, "others", kolk_sleep(0));
        told(f, "semaphore", kolk_semaphore_acquire(semaphore));
    }
    told(f, "await", kolk_await(self->future, NULL));
    kolk_future *futures[2];
    for (int i = 0; i < 2; i++)
        kolk_future_new(f->loop, &futures[i]);
    told(f, "wait_for", kolk_wait_for(futures[0], 10 * SECOND, NULL));
    told(f, "wait", kolk_wait(&futures[1], 1, KOLK_ALL_COMPLETED, 10 * SECOND));
    for (int i = 0; i < 2; i++)
        kolk_future_unref(futures[i]);
    leave(f, "leave", self->scope, KOLK_ECANCELED);
    kolk_semaphore_unref(semaphore);
    return told(f, "after", kolk_sleep(MS / 4));
}

/* In a level scope that was cancelled every wait fails, of whatever kind, until the scope is left. */
static void every_wait_in_a_cancelled_level_scope_fails(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    assert_int_equal(run_task(f, wait_in_every_way, &scene), 0);
    assert_record(f, "sleep(KOLK_ECANCELED) others(KOLK_ECANCELED) semaphore(KOLK_ECANCELED) "
                     "sleep(KOLK_ECANCELED) others(KOLK_ECANCELED) semaphore(KOLK_ECANCELED) "
                     "await(KOLK_ECANCELED) wait_for(KOLK_ECANCELED) wait(KOLK_ECANCELED) "
                     "leave(KOLK_OK, cancelled) after(KOLK_OK)");
    assert_int_equal(kolk_future_cancelled(scene.future), 1);
    kolk_future_unref(scene.future);
}

static int swallow_in_a_loop(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int refused = 0;
    kolk_scope *scope = NULL;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 2 * MS, &scope);
    while (refused < 1000 && kolk_sleep(1000 * SECOND) < 0)
        refused++;
    record(self->f, "refused %d", refused);
    return leave(self->f, "leave", scope, KOLK_ECANCELED);
}

/* A body that swallows in a loop is refused each time: it cannot go on sleeping. */
static void a_level_scope_refuses_who_swallows(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .flags = KOLK_SCOPE_LEVEL};
    assert_int_equal(run_task(f, swallow_in_a_loop, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "refused 1000 leave(KOLK_ETIMEDOUT, expired)");
    assert_idle(f);
}

static void set_flag(void *flag) { *(int *)flag = 1; }

static int wait_for_others(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    int flag = 0, tries = 0;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    kolk_handle *handle = NULL;
    kolk_loop_call_soon(self->f->loop, set_flag, &flag, NULL, &handle);
    while (!flag && tries++ < 100000)
        kolk_sleep(0);
    kolk_handle_cancel(handle);
    kolk_handle_unref(handle);
    record(self->f, "%s", flag ? "others ran" : "nobody else ran");
    return leave(self->f, "leave", scope, KOLK_ECANCELED);
}

/* A body that swallows for ever takes its turns with others: it does not stop the loop. */
static void who_swallows_in_a_level_scope_does_not_stop_the_loop(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, wait_for_others, &scene), 0);
    assert_record(f, "others ran leave(KOLK_OK, cancelled)");
}

static int await_what_is_done(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &scope);
    kolk_scope_cancel(scope);
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    return leave(self->f, "leave", scope, status);
}

/* What is there already needs no wait, and can be had. */
static void what_is_there_can_be_had_in_a_cancelled_level_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(run_task(f, await_what_is_done, &scene), 0);
    assert_record(f, "await(KOLK_OK) leave(KOLK_OK, cancelled)");
    kolk_future_unref(scene.future);
}

static int nest_in_level(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &outer);
    kolk_scope_enter(self->flags, KOLK_NEVER, &inner);
    kolk_scope_cancel(outer);
    told(f, "inside", kolk_sleep(10 * SECOND));
    told(f, "inside", kolk_sleep(10 * SECOND));
    leave(f, "inner", inner, KOLK_ECANCELED);
    int status = told(f, "between", kolk_sleep(10 * SECOND));
    return leave(f, "outer", outer, status);
}

/* A level scope reaches into the scopes inside it, edge or level. */
static void a_level_scope_reaches_into_those_inside(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        clear_record(f);
        struct scene scene = {.f = f, .flags = level};
        assert_int_equal(run_task(f, nest_in_level, &scene), 0);
        assert_record(f, "inside(KOLK_ECANCELED) inside(KOLK_ECANCELED) inner(KOLK_ECANCELED) between(KOLK_ECANCELED) "
                         "outer(KOLK_OK, cancelled)");
    }
}

static int cancel_inner_level(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &outer);
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &inner);
    kolk_scope_cancel(inner);
    kolk_sleep(10 * SECOND);
    int status = leave(f, "inner", inner, kolk_sleep(10 * SECOND));
    told(f, "between", kolk_sleep(MS / 4));
    return leave(f, "outer", outer, status);
}

/* An inner one that was cancelled is over when it is left. */
static void a_level_scope_ends_where_it_is_left(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, cancel_inner_level, f), 0);
    assert_record(f, "inner(KOLK_OK, cancelled) between(KOLK_OK) outer(KOLK_OK)");
}

static int wait_twice(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    told(self->f, "again", kolk_sleep(0));
    return leave(self->f, "leave", self->scope, status);
}

/* A task that is cancelled while in a level scope is told once: it is not the scope that was cancelled. */
static void a_task_is_cancelled_by_edge_also_in_a_level_scope(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_twice, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_ECANCELED) again(KOLK_OK) leave(KOLK_ECANCELED)");
    kolk_future_unref(scene.future);
}

/* ---- Shield ---- */

static int await_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    status = leave(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* A request from outside has no effect inside a shield; the first wait behind it is told. */
static void a_shield_holds_a_cancellation_until_it_is_left(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, await_shielded, &scene);
        drive_to_its_wait(f);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(kolk_task_cancelling(task), 1);
        drive_during(f, MS);
        assert_int_equal(kolk_future_done(scene.future), 0);
        assert_record(f, "enter(KOLK_OK)");
        kolk_future_set_result(scene.future, NULL, NULL);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED)");
        kolk_future_unref(scene.future);
    }
}

static int await_in_scope_in_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *shield = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    told(self->f, "enter", kolk_scope_enter(self->flags, KOLK_NEVER, &inner));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    kolk_scope_cancel(inner);
    told(self->f, "sleep", kolk_sleep(10 * SECOND));
    told(self->f, "again", kolk_sleep(0));
    status = leave(self->f, "inner", inner, KOLK_ECANCELED);
    told(self->f, "shielded", kolk_sleep(0));
    status = leave(self->f, "shield", shield, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* A shield covers the scopes inside it, and they work inside it as they do elsewhere. */
static void a_shield_covers_the_scopes_inside(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .future = new_future(f), .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, await_in_scope_in_shield, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        drive_during(f, MS);
        assert_record(f, "enter(KOLK_OK)");
        kolk_future_set_result(scene.future, NULL, NULL);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_string_equal(f->record, level ? "enter(KOLK_OK) await(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_ECANCELED) "
                                               "inner(KOLK_OK, cancelled) shielded(KOLK_OK) shield(KOLK_OK) "
                                               "after(KOLK_ECANCELED)"
                                             : "enter(KOLK_OK) await(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_OK) "
                                               "inner(KOLK_OK, cancelled) shielded(KOLK_OK) shield(KOLK_OK) "
                                               "after(KOLK_ECANCELED)");
        kolk_future_unref(scene.future);
    }
}

static int shield_what_was_cancelled(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *shield = NULL;
    kolk_task_cancel(kolk_task_current());
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    int status = told(f, "shielded", kolk_sleep(MS / 4));
    leave(f, "leave", shield, status);
    status = told(f, "after", kolk_sleep(10 * SECOND));
    told(f, "again", kolk_sleep(0));
    return status;
}

/* A request that was made just before, and not told yet, is held too; it is told once. */
static void a_shield_holds_a_cancellation_that_was_not_told_yet(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, shield_what_was_cancelled, f), KOLK_ECANCELED);
    assert_record(f, "shielded(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED) again(KOLK_OK)");
}

static int take_back_in_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope));
    int status = kolk_await(self->future, NULL);
    record(self->f, "left %d", kolk_task_uncancel(kolk_task_current()));
    leave(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(0));
}

/* A request that is held can be taken back. */
static void what_a_shield_holds_can_be_taken_back(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, take_back_in_shield, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "enter(KOLK_OK) left 0 leave(KOLK_OK) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int await_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, "outer", kolk_await(kolk_task_as_future(self->task), NULL));
}

/* A request that comes down a chain of tasks stops at the shield: those above wait until the shielded one has ended. */
static void a_shield_holds_what_comes_down_a_chain(void **state) {
    struct fixture *f = *state;
    struct scene inner = {.f = f, .future = new_future(f)};
    inner.task = spawn_with(f, await_shielded, &inner);
    struct scene outer = {.f = f, .task = inner.task};
    kolk_task *task = spawn_with(f, await_task, &outer);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    drive_during(f, MS);
    assert_record(f, "enter(KOLK_OK)");
    kolk_future_set_result(inner.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED) outer(KOLK_ECANCELED)");
    kolk_task_unref(inner.task);
    kolk_future_unref(inner.future);
}

static int shield_an_awaited_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope);
    int status = told(self->f, "shielded", kolk_await(kolk_task_as_future(self->task), NULL));
    return kolk_scope_leave(self->scope, status);
}

static int await_future(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, "await", kolk_await(self->future, NULL));
}

/* What is awaited from inside a shield is not cancelled either. */
static void a_shield_covers_what_is_awaited(void **state) {
    struct fixture *f = *state;
    struct scene awaited = {.f = f, .future = new_future(f)};
    struct scene scene = {.f = f, .task = spawn_with(f, await_future, &awaited)};
    kolk_task *task = spawn_with(f, shield_an_awaited_task, &scene);
    drive_during(f, MS);
    kolk_task_cancel(task);
    drive_during(f, MS);
    assert_record(f, "");
    assert_int_equal(kolk_task_cancelling(scene.task), 0);
    kolk_future_set_result(awaited.future, NULL, NULL);
    join(f, task);
    assert_record(f, "await(KOLK_OK) shielded(KOLK_OK)");
    assert_int_equal(join(f, scene.task), 0);
    kolk_future_unref(awaited.future);
}

static int sleep_in_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &scope);
    int status = told(self->f, "shielded", kolk_sleep(100 * MS));
    return leave(self->f, "leave", scope, status);
}

static int await_the_task(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    return kolk_await(kolk_task_as_future(self->task), ret_result);
}

static int await_by_two_ways(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_future *ways[2] = {self->future, kolk_task_as_future(self->task)}, *all = NULL;
    int status = kolk_gather(self->f->loop, ways, COUNT(ways), 0, &all);
    if (status == 0)
        status = kolk_await(all, NULL);
    kolk_future_unref(all);
    return told(self->f, "gather", status);
}

/* One request that reaches a task by two ways is held by its shield like any other. */
static void a_shield_holds_a_request_that_comes_by_two_ways(void **state) {
    struct fixture *f = *state;
    for (int indirect = 0; indirect < 2; indirect++) {
        struct scene scene = {.f = f};
        clear_record(f);
        scene.task = spawn_with(f, sleep_in_a_shield, &scene);
        kolk_task *between = spawn_with(f, await_the_task, &scene);
        scene.future = kolk_task_as_future(indirect ? between : scene.task);
        kolk_task *waiting = spawn_with(f, await_by_two_ways, &scene);
        drive_during(f, MS);
        assert_int_equal(kolk_task_cancel(waiting), 1);
        assert_int_equal(join(f, waiting), KOLK_ECANCELED);
        join(f, between);
        join(f, scene.task);
        assert_record(f, "shielded(KOLK_OK) leave(KOLK_OK) gather(KOLK_ECANCELED)");
    }
}

static int clean_up_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    record(f, "begun");
    int status = kolk_sleep(1000 * SECOND);
    told(f, "cancelled", status);
    kolk_scope *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, kolk_loop_time(f->loop) + 2 * MS, &shield);
    int hung = told(f, "clean-up", kolk_sleep(1000 * SECOND));
    leave(f, "leave", shield, hung);
    return status;
}

/* A clean-up that hangs is ended by the shield's own deadline; the task has been cancelled as before. */
static void a_shield_ends_at_its_own_deadline(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, clean_up_shielded, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "begun cancelled(KOLK_ECANCELED) clean-up(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired)");
    }
    assert_idle(f);
}

static int hang_shielded(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD | self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "sleep", kolk_sleep(1000 * SECOND));
    leave(self->f, "leave", self->scope, status);
    status = told(self->f, "after", kolk_sleep(1000 * SECOND));
    told(self->f, "again", kolk_sleep(0));
    return status;
}

/* A shield that expires says so, whatever it holds; what it holds is told behind it, once. */
static void a_shield_that_expires_does_not_lose_a_cancellation(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        struct scene scene = {.f = f, .flags = level};
        clear_record(f);
        kolk_task *task = spawn_with(f, hang_shielded, &scene);
        drive_to_its_wait(f);
        kolk_task_cancel(task);
        drive_during(f, MS);
        assert_record(f, "enter(KOLK_OK)");
        assert_int_equal(kolk_scope_reschedule(scene.scope, kolk_loop_time(f->loop)), 0);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) after(KOLK_ECANCELED) "
                         "again(KOLK_OK)");
    }
}

static int wait_behind_a_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope);
    record(self->f, "begun");
    int status = kolk_await(self->future, NULL);
    leave(self->f, "leave", self->scope, status);
    status = kolk_sleep(10 * SECOND);
    record(self->f, "%s", kolk_error_message(kolk_raised()));
    return status;
}

/* What is told behind a shield has the words it was asked with. */
static void a_shield_keeps_the_words_of_a_cancellation(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_behind_a_shield, &scene);
    drive_to_its_wait(f);
    assert_int_equal(kolk_task_cancel_with(task, "enough"), 1);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "begun leave(KOLK_OK) enough");
    kolk_future_unref(scene.future);
}

static int shield_in_level(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *level = NULL, *shield = NULL;
    kolk_scope_enter(KOLK_SCOPE_LEVEL, KOLK_NEVER, &level);
    kolk_scope_cancel(level);
    told(f, "refused", kolk_sleep(MS / 4));
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    told(f, "shielded", kolk_sleep(MS / 4));
    told(f, "shielded", kolk_sleep(0));
    leave(f, "shield", shield, 0);
    int status = told(f, "refused", kolk_sleep(MS / 4));
    return leave(f, "level", level, status);
}

/* In a level scope that was cancelled, waits work inside a shield, and fail again behind it. */
static void a_shield_opens_a_cancelled_level_scope(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, shield_in_level, f), 0);
    assert_record(f, "refused(KOLK_ECANCELED) shielded(KOLK_OK) shielded(KOLK_OK) shield(KOLK_OK) refused(KOLK_ECANCELED) "
                     "level(KOLK_OK, cancelled)");
}

static int expire_around_shield(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *shield = NULL;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop), &outer);
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &shield);
    int status = told(self->f, "shielded", kolk_sleep(2 * MS));
    status = leave(self->f, "shield", shield, status);
    status = told(self->f, "behind", kolk_sleep(10 * SECOND));
    return leave(self->f, "outer", outer, status);
}

/* A scope around a shield that expires is no less outside than a request: it is told behind the shield. */
static void a_shield_holds_the_expiry_of_a_scope_around_it(void **state) {
    struct fixture *f = *state;
    for (uint32_t level = 0; level <= KOLK_SCOPE_LEVEL; level++) {
        clear_record(f);
        struct scene scene = {.f = f, .flags = level};
        assert_int_equal(run_task(f, expire_around_shield, &scene), KOLK_ETIMEDOUT);
        assert_record(f, "shielded(KOLK_OK) shield(KOLK_OK) behind(KOLK_ECANCELED) outer(KOLK_ETIMEDOUT, expired)");
    }
}

static int nest_shields(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &outer);
    kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &inner);
    record(self->f, "entered");
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    status = leave(self->f, "inner", inner, status);
    status = told(self->f, "between", kolk_sleep(0));
    status = leave(self->f, "outer", outer, status);
    return told(self->f, "after", kolk_sleep(10 * SECOND));
}

/* Of two shields the outer one has to be left too. */
static void shields_nest(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, nest_shields, &scene);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    kolk_future_set_result(scene.future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "entered await(KOLK_OK) inner(KOLK_OK) between(KOLK_OK) outer(KOLK_OK) after(KOLK_ECANCELED)");
    kolk_future_unref(scene.future);
}

/* ---- Order, ends, and who may do what ---- */

static int leave_in_the_wrong_order(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *outer = NULL, *inner = NULL;
    kolk_timeout(10 * SECOND, &outer);
    kolk_timeout(10 * SECOND, &inner);
    leave(f, "outer", outer, 0);
    leave(f, "inner", inner, KOLK_EIO);
    return leave(f, "outer", outer, 0);
}

/* Scopes are left from the inside out; one that is not the innermost stays. */
static void scopes_are_left_from_the_inside_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, leave_in_the_wrong_order, f), 0);
    assert_record(f, "outer(KOLK_EBUSY) inner(KOLK_EIO) outer(KOLK_OK)");
    assert_idle(f);
}

static int forget_to_leave(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    for (int i = 0; i < 3; i++)
        kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 10 * SECOND, &self->scope);
    return kolk_sleep(0);
}

/* Scopes that are not left end with their task, and their timers with them. */
static void a_scope_ends_with_its_task(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct scene scene = {.f = f, .flags = kinds[i]};
        assert_int_equal(run_task(f, forget_to_leave, &scene), 0);
    }
    assert_idle(f);
}

static int leave_somebody_elses(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "another's", kolk_scope_leave(self->scope, 0));
    record(self->f, "%d", kolk_scope_cancel(self->scope));
    return 0;
}

/* Another task cannot leave a scope, but can cancel it; nor can anybody outside of tasks. */
static void a_scope_is_left_by_its_own_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f, .future = new_future(f)};
    kolk_task *task = spawn_with(f, wait_to_be_cancelled, &scene);
    drive_to_its_wait(f);
    assert_true(kolk_scope_leave(scene.scope, 0) < 0);
    assert_int_equal(run_task(f, leave_somebody_elses, &scene), 0);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "enter(KOLK_OK) another's(KOLK_EINVAL) 1 await(KOLK_ECANCELED) leave(KOLK_OK, cancelled) after(KOLK_OK)");
    kolk_future_unref(scene.future);
}

static int enter_wrongly(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "flags", kolk_scope_enter(4, KOLK_NEVER, &scope));
    told(f, "nowhere", kolk_scope_enter(0, KOLK_NEVER, NULL));
    told(f, "leave", kolk_scope_leave(NULL, 0));
    return scope ? KOLK_EINVAL : 0;
}

/* What makes no sense is refused. */
static void what_cannot_be_entered_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_scope *scope = NULL;
    assert_int_equal(kolk_scope_enter(0, KOLK_NEVER, &scope), KOLK_ENOTASK);
    assert_int_equal(kolk_timeout(MS, &scope), KOLK_ENOTASK);
    assert_int_equal(kolk_timeout_at(0, &scope), KOLK_ENOTASK);
    assert_null(scope);
    assert_int_equal(kolk_scope_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_scope_reschedule(NULL, 0), KOLK_EINVAL);
    assert_int_equal(run_task(f, enter_wrongly, f), 0);
    assert_record(f, "flags(KOLK_EINVAL) nowhere(KOLK_EINVAL) leave(KOLK_EINVAL)");
}

static int park_in_scope(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 1000 * SECOND, &self->scope);
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    return leave(self->f, "leave", self->scope, status);
}

/* The end of the loop ends what is inside, shielded or not. */
static void closing_the_loop_ends_what_is_inside(void **state) {
    struct fixture *f = *state;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    struct scene scenes[COUNT(kinds)];
    kolk_task *tasks[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        scenes[i] = (struct scene){.f = f, .future = new_future(f), .flags = kinds[i]};
        tasks[i] = spawn_with(f, park_in_scope, &scenes[i]);
    }
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_int_equal(kolk_task_result(tasks[i], NULL), KOLK_ECANCELED);
        kolk_task_unref(tasks[i]);
        kolk_future_unref(scenes[i].future);
    }
    assert_record(f, "await(KOLK_ECANCELED) leave(KOLK_ECANCELED) await(KOLK_ECANCELED) leave(KOLK_ECANCELED) "
                     "await(KOLK_ECANCELED) leave(KOLK_ECANCELED) await(KOLK_ECANCELED) leave(KOLK_ECANCELED)");
}

static int clean_up_in_a_new_scope(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    kolk_scope *scope = NULL;
    int entered = kolk_scope_enter(KOLK_SCOPE_SHIELD, kolk_loop_time(f->loop) + SECOND, &scope);
    if (entered == 0)
        kolk_scope_leave(scope, kolk_sleep(MS));
    record(f, "%s", entered == 0 || entered == KOLK_ECLOSED ? "cleaned up" : kolk_status_name(entered));
    return status;
}

/* A clean-up at the end of the loop may enter scopes, or is told that it cannot. */
static void a_clean_up_at_the_end_may_enter_scopes(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_create_task(f->loop, clean_up_in_a_new_scope, f, NULL, NULL, NULL), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "cleaned up");
}

/* ---- Other kinds of tasks ---- */

struct scoped_step {
    kolk_step step;
    struct fixture *f;
    kolk_scope *scope;
    kolk_future *future;
    uint32_t flags;
};

static kolk_task *spawn_step(struct fixture *f, kolk_step_fn fn, uint32_t flags, kolk_future *future) {
    struct scoped_step state = {.f = f, .flags = flags, .future = future};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_step_task(f->loop, fn, &state, sizeof state, NULL, NULL, &task), 0);
    return task;
}

static int time_out_in_steps(void *state, void **ret_value) {
    struct scoped_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    told(self->f, "enter", kolk_scope_enter(self->flags, kolk_loop_time(self->f->loop) + 2 * MS, &self->scope));
    KOLK_STEP_SLEEP(&self->step, ret_value, 10 * SECOND);
    told(self->f, "sleep", self->step.status);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    told(self->f, "again", self->step.status);
    leave(self->f, "leave", self->scope, KOLK_ECANCELED);
    KOLK_STEP_SLEEP(&self->step, ret_value, 0);
    if (told(self->f, "after", self->step.status) < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* Scopes of step tasks are the same: edge and level. */
static void steps_time_out_like_others(void **state) {
    struct fixture *f = *state;
    assert_int_equal(join(f, spawn_step(f, time_out_in_steps, 0, NULL)), 0);
    assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_OK) leave(KOLK_ETIMEDOUT, expired) after(KOLK_OK)");
    clear_record(f);
    assert_int_equal(join(f, spawn_step(f, time_out_in_steps, KOLK_SCOPE_LEVEL, NULL)), 0);
    assert_record(f, "enter(KOLK_OK) sleep(KOLK_ECANCELED) again(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) "
                     "after(KOLK_OK)");
    assert_idle(f);
}

static int shield_in_steps(void *state, void **ret_value) {
    struct scoped_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    told(self->f, "enter", kolk_scope_enter(KOLK_SCOPE_SHIELD, KOLK_NEVER, &self->scope));
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
    told(self->f, "await", self->step.status);
    leave(self->f, "leave", self->scope, self->step.status);
    KOLK_STEP_SLEEP(&self->step, ret_value, 10 * SECOND);
    if (told(self->f, "after", self->step.status) < 0)
        return self->step.status;
    KOLK_STEP_END(&self->step);
}

/* So are their shields. */
static void steps_are_shielded_like_others(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_task *task = spawn_step(f, shield_in_steps, 0, future);
    drive_to_its_wait(f);
    kolk_task_cancel(task);
    drive_during(f, MS);
    assert_record(f, "enter(KOLK_OK)");
    kolk_future_set_result(future, NULL, NULL);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "enter(KOLK_OK) await(KOLK_OK) leave(KOLK_OK) after(KOLK_ECANCELED)");
    kolk_future_unref(future);
}

static int generate(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_timeout(2 * MS, &self->scope);
    int status = kolk_yield("a value", NULL);
    if (status == 0)
        status = told(self->f, "inside", kolk_sleep(10 * SECOND));
    return leave(self->f, "leave", self->scope, status);
}

static int drive_generator(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_coroutine *generator = NULL;
    kolk_coroutine_new(self->f->loop, generate, self, NULL, 0, &generator);
    void *value = NULL;
    int step = kolk_coroutine_next(generator, &value);
    record(self->f, "%s", step == KOLK_COROUTINE_YIELDED ? (char *)value : kolk_status_name(step));
    step = told(self->f, "next", kolk_coroutine_next(generator, &value));
    kolk_coroutine_unref(generator);
    told(self->f, "after", kolk_sleep(0));
    return step;
}

/* A scope that is entered in a generator is the driving task's; it times out inside the generator. */
static void a_generator_times_out_inside(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, drive_generator, &scene), KOLK_ETIMEDOUT);
    assert_record(f, "a value inside(KOLK_ECANCELED) leave(KOLK_ETIMEDOUT, expired) next(KOLK_ETIMEDOUT) after(KOLK_OK)");
}

static int interleave(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_coroutine *generator = NULL;
    kolk_scope *own = NULL;
    kolk_coroutine_new(self->f->loop, generate, self, NULL, 0, &generator);
    kolk_coroutine_next(generator, NULL);
    kolk_timeout(10 * SECOND, &own);
    /* It is told to end, and tries to leave. */
    kolk_coroutine_close(generator);
    kolk_coroutine_unref(generator);
    leave(self->f, "own", own, 0);
    return leave(self->f, "generator's", self->scope, 0);
}

/* Scopes of a task and of the generators it drives are one stack. */
static void a_generator_cannot_leave_under_its_task(void **state) {
    struct fixture *f = *state;
    struct scene scene = {.f = f};
    assert_int_equal(run_task(f, interleave, &scene), 0);
    assert_record(f, "leave(KOLK_EBUSY) own(KOLK_OK) generator's(KOLK_OK)");
}

/* ---- Memory ---- */

static int enter_often(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    size_t before = 0;
    for (int i = 0; i < 10000; i++) {
        kolk_scope *outer = NULL, *inner = NULL;
        int status = kolk_timeout(10 * SECOND, &outer);
        if (status == 0)
            status = kolk_scope_enter(KOLK_SCOPE_SHIELD | KOLK_SCOPE_LEVEL, KOLK_NEVER, &inner);
        if (status < 0)
            return status;
        kolk_scope_leave(inner, 0);
        kolk_scope_leave(outer, 0);
        if (i == 100)
            before = failing_allocator_live_bytes(&f->memory);
    }
    record(f, "%d more", (int)(failing_allocator_live_bytes(&f->memory) - before));
    return 0;
}

/* Scopes that come and go do not pile up. */
static void scopes_do_not_pile_up(void **state) {
    struct fixture *f = *state;
    assert_int_equal(run_task(f, enter_often, f), 0);
    assert_record(f, "0 more");
}

static int use_scopes(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    const uint32_t kinds[] = {0, KOLK_SCOPE_LEVEL, KOLK_SCOPE_SHIELD, KOLK_SCOPE_LEVEL | KOLK_SCOPE_SHIELD};
    kolk_scope *scopes[COUNT(kinds)];
    for (size_t i = 0; i < COUNT(kinds); i++) {
        int status = kolk_scope_enter(kinds[i], kolk_loop_time(f->loop) + (int64_t)i * 10000, &scopes[i]);
        while (status < 0 && i-- > 0)
            kolk_scope_leave(scopes[i], status);
        if (status < 0)
            return status;
    }
    int status = kolk_sleep(SECOND);
    for (size_t i = COUNT(kinds); i-- > 0;)
        status = kolk_scope_leave(scopes[i], status);
    return status == KOLK_ETIMEDOUT || status == KOLK_ECANCELED ? 0 : status;
}

static int try_scopes(kolk_loop *loop, struct fixture *f) {
    kolk_task *task = NULL;
    int status = kolk_create_task(loop, use_scopes, f, NULL, NULL, &task);
    if (status == 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(task));
    if (status == 0)
        status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

/* Each allocation fails once, and all from each on: the task is told, and nothing is left over. */
static void without_memory_no_scope_is_entered(void **state) {
    struct fixture *f = *state;
    for (int sticky = 0; sticky < 2; sticky++) {
        size_t n = 0, failures = 0;
        do {
            finish_loop(f);
            kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
            assert_int_equal(kolk_loop_new(&options, &f->loop, NULL), 0);
            failing_allocator_arm(&f->memory, ++n, sticky);
            int status = try_scopes(f->loop, f);
            failing_allocator_disarm(&f->memory);
            failures = f->memory.failures;
            if (status != 0 && (status != KOLK_ENOMEM || failures == 0))
                fail_msg("allocation %zu: %s", n, kolk_status_name(status));
        } while (failures > 0);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_body_that_takes_too_long_times_out),
        RULE(without_time_the_first_wait_times_out),
        RULE(a_deadline_does_not_come_early),
        RULE(what_ends_in_time_keeps_its_outcome),
        RULE(a_scope_that_was_left_does_not_expire),
        RULE(a_deadline_in_the_past_expires_at_the_first_wait),
        RULE(a_deadline_in_the_past_spares_a_body_that_does_not_wait),
        RULE(an_expiry_that_is_swallowed_is_over),
        RULE(an_error_in_answer_to_an_expiry_counts),
        RULE(the_cancellation_of_what_is_awaited_is_passed_on),
        RULE(a_cancellation_from_outside_is_passed_on),
        RULE(a_cancellation_outranks_an_expiry),
        RULE(a_cancellation_is_not_lost_beside_an_expiry),
        RULE(a_cancellation_that_was_taken_back_does_not_count),
        RULE(an_earlier_cancellation_does_not_count),
        RULE(of_nested_scopes_the_one_that_expires_times_out),
        RULE(of_scopes_that_expire_at_once_the_outer_one_times_out),
        RULE(a_limited_wait_in_a_scope_tells_its_own_limit),
        RULE(an_expiry_waits_for_the_awaited_task_to_end),
        RULE(a_deadline_can_be_moved),
        RULE(a_deadline_can_be_given_later),
        RULE(an_expired_scope_cannot_be_moved),
        RULE(a_scope_can_be_cancelled),
        RULE(a_scope_cancelled_from_inside_leaves_nothing_behind),
        RULE(a_scope_leaves_nothing_behind_in_a_task_that_was_cancelled),
        RULE(a_request_from_outside_outlives_the_scope),
        RULE(an_earlier_cancellation_that_is_told_inside_counts),
        RULE(what_was_told_inside_is_not_told_again),
        RULE(cancelling_an_outer_scope_passes_through_the_inner),
        RULE(a_cancellation_outranks_that_of_a_scope),
        RULE(every_wait_in_a_cancelled_level_scope_fails),
        RULE(a_level_scope_refuses_who_swallows),
        RULE(who_swallows_in_a_level_scope_does_not_stop_the_loop),
        RULE(what_is_there_can_be_had_in_a_cancelled_level_scope),
        RULE(a_level_scope_reaches_into_those_inside),
        RULE(a_level_scope_ends_where_it_is_left),
        RULE(a_task_is_cancelled_by_edge_also_in_a_level_scope),
        RULE(a_shield_holds_a_cancellation_until_it_is_left),
        RULE(a_shield_covers_the_scopes_inside),
        RULE(a_shield_holds_a_cancellation_that_was_not_told_yet),
        RULE(what_a_shield_holds_can_be_taken_back),
        RULE(a_shield_holds_what_comes_down_a_chain),
        RULE(a_shield_holds_a_request_that_comes_by_two_ways),
        RULE(a_shield_covers_what_is_awaited),
        RULE(a_shield_ends_at_its_own_deadline),
        RULE(a_shield_that_expires_does_not_lose_a_cancellation),
        RULE(a_shield_keeps_the_words_of_a_cancellation),
        RULE(a_shield_opens_a_cancelled_level_scope),
        RULE(a_shield_holds_the_expiry_of_a_scope_around_it),
        RULE(shields_nest),
        RULE(scopes_are_left_from_the_inside_out),
        RULE(a_scope_ends_with_its_task),
        RULE(a_scope_is_left_by_its_own_task),
        RULE(what_cannot_be_entered_is_refused),
        RULE(closing_the_loop_ends_what_is_inside),
        RULE(a_clean_up_at_the_end_may_enter_scopes),
        RULE(steps_time_out_like_others),
        RULE(steps_are_shielded_like_others),
        RULE(a_generator_times_out_inside),
        RULE(a_generator_cannot_leave_under_its_task),
        RULE(scopes_do_not_pile_up),
    };
    static const struct rule plain[] = {
        RULE(without_memory_no_scope_is_entered),
    };
    return run_matrix("scope", matrix, COUNT(matrix)) + run_plain("scope without memory", plain, COUNT(plain));
}
