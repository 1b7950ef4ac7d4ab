/* Turns inside of turns, as a dialog needs them that a callback opens. */
#include "support/turns.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void dispatch_is_refused_inside_a_callback(void **state) {
    struct fixture *f = *state;
    call_soon(f, dispatch_within, f);
    call_soon(f, say, word(f, "next"));
    drive_once(f);
    assert_record(f, "outer KOLK_EBUSY next");
}

/* The rest of the turn outside comes first, in its order; and is not run again by it. */
static void an_inner_turn_runs_the_rest_of_the_outer_one_first(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, say, word(f, "a"));
    call_soon(f, dispatch_within, f);
    call_soon(f, say, word(f, "b"));
    call_soon(f, say, word(f, "c"));
    drive_once(f);
    assert_record(f, "a outer b c done");
}

static void allow_and_dispatch(void *userdata) {
    struct fixture *f = userdata;
    record(f, "before(%d)", kolk_loop_set_nesting(f->loop, 1));
    dispatch_within(f);
    record(f, "before(%d)", kolk_loop_set_nesting(f->loop, 0));
    dispatch_within(f);
}

static void nesting_may_be_allowed_for_one_call(void **state) {
    struct fixture *f = *state;
    call_soon(f, allow_and_dispatch, f);
    call_soon(f, say, word(f, "inner"));
    drive_once(f);
    assert_record(f, "before(0) outer inner done before(1) outer KOLK_EBUSY");
}

struct inner_budget {
    struct fixture *f;
    uint32_t max_items;
};

static void dispatch_with_budget(void *userdata) {
    struct inner_budget *inner = userdata;
    kolk_budget budget = {.size = sizeof budget, .max_items = inner->max_items};
    kolk_progress progress = {0, 0};
    int status = kolk_loop_dispatch(inner->f->loop, &budget, &progress);
    record(inner->f, "inner(%d,%u,%u)", status, progress.items, progress.more);
}

static void an_inner_turn_keeps_its_budget(void **state) {
    struct fixture *f = *state;
    struct inner_budget inner = {.f = f, .max_items = 2};
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, dispatch_with_budget, &inner);
    call_soon(f, say, word(f, "a"));
    call_soon(f, say, word(f, "b"));
    call_soon(f, say, word(f, "c"));
    drive_once(f);
    assert_record(f, "a b inner(0,2,1) c");
}

struct modal {
    struct fixture *f;
    int pair[2];
    int readable, rang, posted, slept;
};

static void mark_readable(void *userdata) {
    struct modal *modal = userdata;
    char byte;
    modal->readable += (int)read(modal->pair[0], &byte, 1);
}

static void mark_rang(void *userdata) { ((struct modal *)userdata)->rang = 1; }
static void mark_posted(void *userdata) { ((struct modal *)userdata)->posted = 1; }

static int mark_slept(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(MS);
    ((struct modal *)userdata)->slept = status == 0;
    return status;
}

static void *post_mark(void *userdata) {
    struct modal *modal = userdata;
    if (kolk_loop_call_soon_threadsafe(modal->f->loop, mark_posted, modal, NULL) != 0)
        abort();
    return NULL;
}

static void run_modal(struct modal *modal) {
    pthread_t thread;
    kolk_loop *loop = modal->f->loop;
    int status = kolk_loop_set_nesting(loop, 1);
    if (status == 0)
        status = kolk_loop_call_later(loop, MS, mark_rang, modal, NULL, NULL);
    if (status == 0)
        status = kolk_create_task(loop, mark_slept, modal, NULL, NULL, NULL);
    if (status == 0 && pthread_create(&thread, NULL, post_mark, modal) == 0)
        pthread_join(thread, NULL);
    if (write(modal->pair[1], "x", 1) != 1)
        status = KOLK_EIO;
    for (int i = 0; i < 20000 && status == 0; i++) {
        status = kolk_loop_dispatch(loop, NULL, NULL);
        if (modal->readable && modal->rang && modal->posted && modal->slept)
            break;
        nanosleep(&(struct timespec){.tv_nsec = MS / 10}, NULL);
    }
    record(modal->f, "%d: %d %d %d %d", status, modal->readable, modal->rang, modal->posted, modal->slept);
    kolk_loop_set_nesting(loop, 0);
}

static void run_modal_callback(void *userdata) { run_modal(userdata); }

static int run_modal_task(void *userdata, void **ret_result) {
    (void)ret_result;
    run_modal(userdata);
    return 0;
}

static void open_modal(struct fixture *f, struct modal *modal) {
    *modal = (struct modal){.f = f};
    open_pair(modal->pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, modal->pair[0], mark_readable, modal, NULL), 0);
}

static void close_modal(struct modal *modal) {
    kolk_loop_remove_reader(modal->f->loop, modal->pair[0]);
    close_pair(modal->pair);
}

static void everything_goes_on_in_the_turns_of_a_callback(void **state) {
    struct fixture *f = *state;
    struct modal modal;
    open_modal(f, &modal);
    call_soon(f, run_modal_callback, &modal);
    drive_once(f);
    assert_record(f, "0: 1 1 1 1");
    close_modal(&modal);
}

static void everything_goes_on_in_the_turns_of_a_task(void **state) {
    struct fixture *f = *state;
    struct modal modal;
    open_modal(f, &modal);
    assert_int_equal(run_task(f, run_modal_task, &modal), 0);
    assert_record(f, "0: 1 1 1 1");
    close_modal(&modal);
}

struct reentrant {
    struct fixture *f;
    int pair[2];
    int depth, deepest, calls;
};

static void read_nothing_and_dispatch(void *userdata) {
    struct reentrant *reader = userdata;
    reader->calls++;
    reader->depth++;
    reader->deepest = reader->depth > reader->deepest ? reader->depth : reader->deepest;
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(reader->f->loop, NULL, NULL);
    reader->depth--;
}

/* What is on the stack does not go on: a reader that has not read yet is not called inside itself. */
static void a_reader_on_the_stack_is_not_called_by_its_own_turns(void **state) {
    struct fixture *f = *state;
    struct reentrant reader = {.f = f};
    open_pair(reader.pair);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, reader.pair[0], read_nothing_and_dispatch, &reader, NULL), 0);
    assert_int_equal(write(reader.pair[1], "x", 1), 1);
    while (reader.calls < 3)
        drive_once(f);
    assert_int_equal(reader.deepest, 1);
    kolk_loop_remove_reader(f->loop, reader.pair[0]);
    close_pair(reader.pair);
}

static void count_call(void *counter) { ++*(int *)counter; }

struct both_ways {
    struct fixture *f;
    int pair[2];
    int handle; /* Negative: the reactor has none. */
    int reads, writes, writes_inside, awake;
};

static void dispatch_before_reading(void *userdata) {
    struct both_ways *both = userdata;
    kolk_loop *loop = both->f->loop;
    char byte;
    if (both->reads++ > 0) {
        both->reads += (int)read(both->pair[0], &byte, 1);
        return;
    }
    kolk_loop_dispatch(loop, NULL, NULL);
    both->awake = both->handle >= 0 && poll(&(struct pollfd){.fd = both->handle, .events = POLLIN}, 1, 0) != 0;
    kolk_loop_add_writer(loop, both->pair[0], count_call, &both->writes, NULL);
    for (int i = 0; i < 3; i++)
        kolk_loop_dispatch(loop, NULL, NULL);
    both->writes_inside = both->writes;
    kolk_loop_remove_writer(loop, both->pair[0]);
    kolk_loop_dispatch(loop, NULL, NULL);
    both->awake += both->handle >= 0 && poll(&(struct pollfd){.fd = both->handle, .events = POLLIN}, 1, 0) != 0;
}

/* Nor does it keep a host awake meanwhile; the other direction of its descriptor goes on. */
static void a_reader_on_the_stack_is_watched_again_when_it_returns(void **state) {
    struct fixture *f = *state;
    struct both_ways both = {.f = f, .handle = kolk_loop_get_fd(f->loop)};
    open_pair(both.pair);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, both.pair[0], dispatch_before_reading, &both, NULL), 0);
    assert_int_equal(write(both.pair[1], "x", 1), 1);
    while (both.reads < 3)
        drive_once(f);
    assert_int_equal(both.awake, 0);
    assert_int_equal(both.writes_inside, 3);
    kolk_loop_remove_reader(f->loop, both.pair[0]);
    close_pair(both.pair);
}

static void nesting_is_0_or_1(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 1);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 1);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 0);
    assert_int_equal(kolk_loop_set_nesting(f->loop, 2), KOLK_EINVAL);
    assert_int_equal(kolk_loop_set_nesting(f->loop, -1), KOLK_EINVAL);
    assert_int_equal(kolk_loop_set_nesting(NULL, 1), KOLK_EINVAL);
}

static void wait_and_dispatch(void *fixture) {
    struct fixture *f = fixture;
    int status = kolk_loop_wait(f->loop, KOLK_NEVER);
    record(f, "wait(%s)", kolk_status_name(status == KOLK_ENOTSUP ? 0 : status));
    kolk_loop_dispatch(f->loop, NULL, NULL);
    record(f, "back");
}

/* Inside of a turn that is not over there is no sleep: without an end to it, this one would be for ever. */
static void an_inner_wait_does_not_sleep_through_the_outer_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_set_nesting(f->loop, 1), 0);
    call_soon(f, wait_and_dispatch, f);
    call_soon(f, say, word(f, "other"));
    drive_once(f);
    assert_record(f, "wait(KOLK_OK) other back");
    assert_int_equal(kolk_loop_set_nesting(f->loop, 0), 1);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(an_inner_wait_does_not_sleep_through_the_outer_turn),
        RULE(dispatch_is_refused_inside_a_callback),
        RULE(an_inner_turn_runs_the_rest_of_the_outer_one_first),
        RULE(nesting_may_be_allowed_for_one_call),
        RULE(an_inner_turn_keeps_its_budget),
        RULE_IN_REAL_TIME(everything_goes_on_in_the_turns_of_a_callback),
        RULE_IN_REAL_TIME(everything_goes_on_in_the_turns_of_a_task),
        RULE(a_reader_on_the_stack_is_not_called_by_its_own_turns),
        RULE(a_reader_on_the_stack_is_watched_again_when_it_returns),
        RULE(nesting_is_0_or_1),
    };
    return run_matrix("nesting", matrix, COUNT(matrix));
}
