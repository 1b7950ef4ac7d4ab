/* Calls: what was asked for soon, later or at a certain time runs once, in its order, unless it is cancelled. */
#include "support/callbacks.h"
#include "support/driver.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void at(struct fixture *f, int64_t when_ns, const char *text) {
    assert_int_equal(kolk_loop_call_at(f->loop, when_ns, say, word(f, text), NULL, NULL), 0);
}

/* ---- call_soon ---- */

/* Callbacks run in the order they were asked for. */
static void callbacks_run_first_in_first_out(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    soon(f, "b");
    soon(f, "c");
    assert_int_equal(drive_once(f), 3);
    assert_record(f, "a b c");
}

/* Nothing is called from inside the call that asked for it. */
static void nothing_runs_inside_call_soon(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "a");
}

static void say_and_ask_for_b(void *userdata) {
    struct fixture *f = userdata;
    record(f, "a");
    kolk_loop_call_soon(f->loop, say, word(f, "b"), NULL, NULL);
}

/* What a callback asks for belongs to the next turn. */
static void what_a_callback_adds_runs_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, say_and_ask_for_b, f, NULL, NULL), 0);
    soon(f, "c");
    assert_int_equal(drive_once(f), 2);
    assert_record(f, "a c");
    assert_int_equal(drive_once(f), 1);
    assert_record(f, "a c b");
}

/* Userdata is destroyed after the callback it belongs to, and once. */
static void userdata_is_destroyed_after_the_call(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "a"), unsay, NULL), 0);
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "a ~a");
}

/* A callback can be missing its destroy function, but not its function; the userdata is destroyed in either case. */
static void a_call_without_a_function_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, NULL, word(f, "soon"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, NULL, word(f, "later"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_at(f->loop, 0, NULL, word(f, "at"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, NULL, word(f, "safe"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_reader(f->loop, 0, NULL, word(f, "reader"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_writer(f->loop, 1, NULL, word(f, "writer"), unsay), KOLK_EINVAL);
    assert_record(f, "~soon ~later ~at ~safe ~reader ~writer");
}

/* A callback that is cancelled does not run; its userdata is gone when cancel returns. */
static void a_cancelled_callback_does_not_run(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "a"), unsay, &handle), 0);
    soon(f, "b");
    assert_int_equal(kolk_handle_cancel(handle), 0);
    assert_record(f, "~a");
    drive_once(f);
    assert_record(f, "~a b");
    kolk_handle_unref(handle);
}

static void cancel_handle(void *userdata) { kolk_handle_cancel(*(kolk_handle **)userdata); }

/* A callback may cancel one that is due in the same turn. */
static void a_callback_cancels_the_next_of_its_turn(void **state) {
    struct fixture *f = *state;
    kolk_handle *victim = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_handle, &victim, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "victim"), unsay, &victim), 0);
    soon(f, "last");
    drive_once(f);
    assert_record(f, "~victim last");
    kolk_handle_unref(victim);
}

struct self_cancel {
    struct fixture *f;
    kolk_handle *handle;
};

static void cancel_myself(void *userdata) {
    struct self_cancel *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_handle_cancel(self->handle)));
    self->handle = kolk_handle_unref(self->handle);
}

/* A callback that is running is too late to be cancelled, and may drop its own handle. */
static void a_callback_cannot_cancel_itself(void **state) {
    struct fixture *f = *state;
    struct self_cancel self = {.f = f};
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_myself, &self, NULL, &self.handle), 0);
    drive_once(f);
    assert_record(f, "KOLK_EALREADY");
    assert_null(self.handle);
}

static int say_in_a_task(void *userdata, void **ret_result) {
    (void)ret_result;
    say(userdata);
    return 0;
}

static void soon_with_handle(struct fixture *f, const char *text) {
    kolk_handle *handle;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, text), NULL, &handle), 0);
    kolk_handle_unref(handle);
}

static void soon_as_task(struct fixture *f, const char *text) {
    assert_int_equal(kolk_create_task(f->loop, say_in_a_task, word(f, text), NULL, NULL, NULL), 0);
}

static void ask_for_all_kinds(void *userdata) {
    struct fixture *f = userdata;
    soon(f, "1");
    soon_as_task(f, "2");
    soon(f, "3");
    soon_with_handle(f, "4");
    soon(f, "5");
}

/* Calls with a handle, calls without one and tasks take their turns in the order they came. */
static void all_kinds_run_in_the_order_they_came(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_int_equal(kolk_loop_call_soon(f->loop, ask_for_all_kinds, f, NULL, NULL), 0);
    soon_with_handle(f, "b");
    soon(f, "c");
    soon_as_task(f, "d");
    soon(f, "e");
    assert_int_equal(drive_once(f), 6);
    assert_record(f, "a b c d e");
    soon(f, "6");
    assert_int_equal(drive_once(f), 6);
    assert_record(f, "a b c d e 1 2 3 4 5 6");
}

enum { CROWD = 1000 };

struct crowd {
    kolk_loop *loop;
    struct member {
        struct crowd *crowd;
        int number;
    } members[CROWD];
    int next;
    int misplaced;
    int rounds;
    int destroyed;
};

static void take_place(void *userdata) {
    struct member *self = userdata;
    struct crowd *crowd = self->crowd;
    crowd->misplaced += self->number != crowd->next;
    crowd->next = (crowd->next + 1) % CROWD;
    if (crowd->next == 0)
        crowd->rounds++;
    if (crowd->rounds < 3)
        kolk_loop_call_soon(crowd->loop, take_place, self, NULL, NULL);
}

static void count_destroyed(void *userdata) { ((struct member *)userdata)->crowd->destroyed++; }

static void form_crowd(struct crowd *crowd, kolk_loop *loop, kolk_destroy_fn destroy) {
    *crowd = (struct crowd){.loop = loop};
    for (int i = 0; i < CROWD; i++) {
        crowd->members[i] = (struct member){crowd, i};
        assert_int_equal(kolk_loop_call_soon(loop, take_place, &crowd->members[i], destroy, NULL), 0);
    }
}

/* However many calls there are, they keep their order from turn to turn. */
static void a_crowd_keeps_its_order(void **state) {
    struct fixture *f = *state;
    static struct crowd crowd;
    form_crowd(&crowd, f->loop, NULL);
    for (int turn = 0; turn < 3; turn++)
        drive_once(f);
    assert_int_equal(crowd.rounds, 3);
    assert_int_equal(crowd.misplaced, 0);
}

/* Calls that find no memory to be noted together are noted one by one, in order. */
static void calls_do_without_memory_for_many(void **state) {
    struct fixture *f = *state;
    failing_allocator_arm(&f->memory, 1, 0);
    soon(f, "a");
    soon(f, "b");
    soon(f, "c");
    failing_allocator_disarm(&f->memory);
    drive_once(f);
    soon(f, "d");
    drive_once(f);
    assert_record(f, "a b c d");
}

struct chain {
    kolk_loop *loop;
    int stop;
};

static void chain_on(void *userdata) {
    struct chain *chain = userdata;
    if (!chain->stop)
        kolk_loop_call_soon(chain->loop, chain_on, chain, NULL, NULL);
}

/* Callbacks that always ask for another one keep neither descriptors nor timers from being served. */
static void a_full_ready_queue_starves_nobody(void **state) {
    struct fixture *f = *state;
    struct chain chain = {.loop = f->loop};
    int pair[2], reads = 0;
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], increment, &reads, NULL), 0);
    kolk_loop_call_soon(f->loop, chain_on, &chain, NULL, NULL);
    drive_during(f, 5 * MS);
    assert_true(reads > 0);
    chain.stop = 1;
    kolk_loop_remove_reader(f->loop, pair[0]);
    close_pair(pair);
}

/* ---- call_later, call_at ---- */

/* Timers fire in the order of their deadlines, not in that of the calls. */
static void timers_fire_in_the_order_of_their_deadlines(void **state) {
    struct fixture *f = *state;
    int64_t now = kolk_loop_time(f->loop);
    at(f, now + 9 * MS, "c");
    at(f, now + 1 * MS, "a");
    at(f, now + 5 * MS, "b");
    drive_during(f, 12 * MS);
    assert_record(f, "a b c");
}

/* Timers with equal deadlines fire in the order they were made. */
static void equal_deadlines_fire_in_the_order_they_were_made(void **state) {
    struct fixture *f = *state;
    int64_t when = kolk_loop_time(f->loop) + 2 * MS;
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(kolk_loop_call_at(f->loop, when, say, word(f, names[i]), NULL, NULL), 0);
    drive_during(f, 5 * MS);
    assert_record(f, "a b c d e");
}

struct deadline {
    kolk_loop *loop;
    int64_t when_ns;
    int *early;
    int *fired;
};

static void check_deadline(void *userdata) {
    struct deadline *deadline = userdata;
    *deadline->early += kolk_loop_time(deadline->loop) < deadline->when_ns;
    ++*deadline->fired;
}

/* No timer fires before its time, not even by the microseconds that a coarse kernel clock would round away. */
static void timers_are_never_early(void **state) {
    struct fixture *f = *state;
    enum { TIMERS = 300 };
    static struct deadline deadlines[TIMERS];
    int early = 0, fired = 0;
    int64_t now = kolk_loop_time(f->loop);
    for (int i = 0; i < TIMERS; i++) {
        deadlines[i] =
            (struct deadline){.loop = f->loop, .when_ns = now + (i * 7919 % 20000) * 1000, .early = &early, .fired = &fired};
        assert_int_equal(kolk_loop_call_at(f->loop, deadlines[i].when_ns, check_deadline, &deadlines[i], NULL, NULL), 0);
    }
    drive_until_count(f, &fired, TIMERS);
    assert_int_equal(early, 0);
}

/* A moment that has passed is due on the next turn, after what waits there already. */
static void a_deadline_in_the_past_is_due_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    const int64_t past[] = {0, -1, -SECOND, INT64_MIN};
    for (size_t i = 0; i < COUNT(past); i++) {
        assert_int_equal(kolk_loop_call_later(f->loop, past[i], say, word(f, "later"), NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_at(f->loop, past[i], say, word(f, "at"), NULL, NULL), 0);
        soon(f, "soon");
        assert_int_equal(drive_once(f), 3);
        assert_memory_equal(f->record, "soon ", 5);
        clear_record(f);
    }
}

/* The beginning of time is past too: a loop with nothing else to do does not sleep until then. */
static void a_deadline_at_the_beginning_of_time_is_due(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_at(f->loop, INT64_MIN, say, word(f, "at"), NULL, NULL), 0);
    alarm(30); /* What guards other waits is itself a timer of the loop. */
    drive_once(f);
    alarm(0);
    assert_record(f, "at");
}

/* A delay beyond the end of time is no overflow: the call waits. */
static void a_delay_of_centuries_does_not_overflow(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, INT64_MAX, say, word(f, "late"), NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, INT64_MAX - 1, say, word(f, "late"), NULL, &handle), 0);
    assert_true(kolk_handle_when(handle) > kolk_loop_time(f->loop));
    kolk_handle_unref(handle);
    drive_during(f, 2 * MS);
    assert_record(f, "");
}

/* A cancelled timer does not fire. */
static void a_cancelled_timer_does_not_fire(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 1 * MS, say, word(f, "a"), unsay, &handle), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    assert_record(f, "~a");
    kolk_handle_unref(handle);
    drive_during(f, 4 * MS);
    assert_record(f, "~a");
}

/* A timer may cancel one that is due in the same turn. */
static void a_timer_cancels_its_neighbour_of_the_same_deadline(void **state) {
    struct fixture *f = *state;
    kolk_handle *victim = NULL;
    int64_t when = kolk_loop_time(f->loop) + MS;
    assert_int_equal(kolk_loop_call_at(f->loop, when, cancel_handle, &victim, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_at(f->loop, when, say, word(f, "victim"), unsay, &victim), 0);
    drive_during(f, 4 * MS);
    assert_record(f, "~victim");
    kolk_handle_unref(victim);
}

static void on_signal(int number) { (void)number; }

/* Signals that keep interrupting the wait neither fail the run nor make a timer early. */
static void interrupted_waits_are_taken_up_again(void **state) {
    struct fixture *f = *state;
    struct sigaction old, action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    assert_int_equal(setitimer(ITIMER_REAL, &every_ms, NULL), 0);
    int early = 0, fired = 0;
    struct deadline deadline = {
        .loop = f->loop, .when_ns = kolk_loop_time(f->loop) + 30 * MS, .early = &early, .fired = &fired};
    assert_int_equal(kolk_loop_call_at(f->loop, deadline.when_ns, check_deadline, &deadline, NULL, NULL), 0);
    drive_during(f, 35 * MS);
    struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(fired, 1);
    assert_int_equal(early, 0);
}

/* ---- Budgets, closing ---- */

/* What is asked for while a budget is kept comes after what the budget leaves over. */
static void a_budget_leaves_the_order_alone(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_int_equal(kolk_loop_call_soon(f->loop, ask_for_all_kinds, f, NULL, NULL), 0);
    soon(f, "b");
    soon_with_handle(f, "c");
    soon(f, "d");
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    kolk_progress progress = {.more = 1};
    for (int turn = 0; progress.more; turn++) {
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
        assert_int_equal(progress.items, 1);
        if (turn == 1)
            soon(f, "6");
    }
    assert_record(f, "a b c d 1 2 3 4 5 6");
}

/* Closing releases each of many calls once, whatever a budget left over of them. */
static void closing_destroys_a_crowd_once(void **state) {
    struct fixture *f = *state;
    static struct crowd crowd;
    form_crowd(&crowd, f->loop, count_destroyed);
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_int_equal(crowd.next, 2);
    assert_int_equal(crowd.destroyed, 2);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(crowd.next, 2);
    assert_int_equal(crowd.misplaced, 0);
    assert_int_equal(crowd.destroyed, CROWD);
}

/* Callbacks that always ask for another one do not keep a loop from being closed. */
static void an_endless_chain_does_not_keep_a_loop_open(void **state) {
    struct fixture *f = *state;
    struct chain chain = {.loop = f->loop};
    assert_int_equal(kolk_loop_call_soon(f->loop, chain_on, &chain, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(callbacks_run_first_in_first_out),
        RULE(all_kinds_run_in_the_order_they_came),
        RULE(a_crowd_keeps_its_order),
        RULE(calls_do_without_memory_for_many),
        RULE(nothing_runs_inside_call_soon),
        RULE(what_a_callback_adds_runs_on_the_next_turn),
        RULE(userdata_is_destroyed_after_the_call),
        RULE(a_call_without_a_function_is_refused),
        RULE(a_cancelled_callback_does_not_run),
        RULE(a_callback_cancels_the_next_of_its_turn),
        RULE(a_callback_cannot_cancel_itself),
        RULE_IN_REAL_TIME(a_full_ready_queue_starves_nobody),
        RULE(timers_fire_in_the_order_of_their_deadlines),
        RULE(equal_deadlines_fire_in_the_order_they_were_made),
        RULE(timers_are_never_early),
        RULE(a_deadline_in_the_past_is_due_on_the_next_turn),
        RULE(a_deadline_at_the_beginning_of_time_is_due),
        RULE(a_delay_of_centuries_does_not_overflow),
        RULE(a_cancelled_timer_does_not_fire),
        RULE(a_timer_cancels_its_neighbour_of_the_same_deadline),
        RULE(closing_destroys_a_crowd_once),
        RULE(an_endless_chain_does_not_keep_a_loop_open),
        RULE(a_budget_leaves_the_order_alone),
        RULE(interrupted_waits_are_taken_up_again),
    };
    return run_matrix("call", matrix, COUNT(matrix));
}
