/* Scopes with a deadline: what asyncio.timeout() does in a corner, an edge scope does there too. */
#include "support/scopes.h"

/* ---- Time-outs ---- */

static int time_out(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    kolk_scope *scope = NULL;
    told(f, "enter", kolk_timeout(2 * MS, &scope));
    int status = told(f, "sleep", kolk_sleep(10 * SECOND));
    return leave_scope(f, "leave", scope, status);
}

static int wait_without_time(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    for (int moved = 0; moved < 2; moved++) {
        kolk_scope *scope = NULL;
        told(f, "enter", kolk_timeout(moved ? SECOND : 0, &scope));
        if (moved)
            told(f, "move", kolk_scope_reschedule(scope, kolk_loop_time(f->loop)));
        leave_scope(f, "leave", scope, kolk_sleep(0));
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
        leave_scope(f, "leave", scope, outcomes[i]);
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
    leave_scope(f, "leave", scope, 0);
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
        leave_scope(f, "leave", scope, kolk_sleep(10 * SECOND));
    }
    kolk_scope *scope = NULL;
    kolk_timeout(-1, &scope);
    return leave_scope(f, "leave", scope, kolk_sleep(10 * SECOND));
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
    leave_scope(self->f, "leave", scope, status);
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
    leave_scope(f, "leave", scope, 0);
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
    return leave_scope(f, "leave", scope, kolk_sleep(10 * SECOND) == KOLK_ECANCELED ? KOLK_EIO : 0);
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
    return leave_scope(self->f, "leave", scope, told(self->f, "await", kolk_await(self->future, NULL)));
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
    return leave_scope(self->f, "leave", scope, told(self->f, "sleep", kolk_sleep(10 * SECOND)));
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
    leave_scope(f, "leave", scope, kolk_sleep(10 * SECOND));
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
    status = leave_scope(self->f, "inner", inner, status);
    if (status == KOLK_ETIMEDOUT)
        status = told(self->f, "between", kolk_sleep(0));
    return leave_scope(self->f, "outer", outer, status);
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
    status = leave_scope(f, "outer", outer, status);
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
    return leave_scope(self->f, "leave", scope, status);
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
    return leave_scope(self->f, "leave", scope, status);
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
    return leave_scope(self->f, "leave", scope, status);
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
    return leave_scope(self->f, "leave", self->scope, status);
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
    };
    return run_matrix("timeout", matrix, COUNT(matrix));
}
