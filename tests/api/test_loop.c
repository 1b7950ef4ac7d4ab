/* The loop: how it is made, run, nested, stopped and closed, and who owns it. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/resources.h"
#include "support/simulation.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Running, nesting, closing ---- */

struct nested {
    struct fixture *f;
    kolk_future *future;
};

static void run_from_inside(void *userdata) {
    struct nested *nested = userdata;
    struct fixture *f = nested->f;
    record(f, "%s", kolk_status_name(kolk_loop_run_once(f->loop)));
    record(f, "%s", kolk_status_name(kolk_loop_run_forever(f->loop)));
    record(f, "%s", kolk_status_name(kolk_loop_run_until_complete(f->loop, nested->future)));
    record(f, "%s", kolk_status_name(kolk_loop_dispatch(f->loop, NULL, NULL)));
    record(f, "%s", kolk_status_name(kolk_loop_close(f->loop)));
}

/* A loop cannot be run or closed from inside itself, and goes on when someone tries. */
static void a_loop_cannot_be_run_or_closed_from_inside(void **state) {
    struct fixture *f = *state;
    struct nested nested = {.f = f, .future = new_future(f)};
    assert_int_equal(kolk_loop_call_soon(f->loop, run_from_inside, &nested, NULL, NULL), 0);
    soon(f, "on");
    drive_once(f);
    assert_record(f, "KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY on");
    kolk_future_unref(nested.future);
}

static void record_where(void *userdata) {
    struct fixture *f = userdata;
    record(f, "%s %d", kolk_loop_current() == f->loop ? "mine" : "other", kolk_loop_is_running(f->loop));
}

/* Inside a callback the loop is current and running; outside it is neither. */
static void the_current_loop_is_known_inside_callbacks(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, record_where, f, NULL, NULL), 0);
    assert_null(kolk_loop_current());
    assert_int_equal(kolk_loop_is_running(f->loop), 0);
    drive_once(f);
    assert_record(f, "mine 1");
    assert_null(kolk_loop_current());
    assert_int_equal(kolk_loop_is_running(f->loop), 0);
}

struct inner {
    struct fixture *f;
    kolk_loop *loop;
};

static void say_inner(void *userdata) {
    struct inner *inner = userdata;
    record(inner->f, "inner:%d", kolk_loop_current() == inner->loop);
}

static void run_inner(void *userdata) {
    struct inner *inner = userdata;
    kolk_loop_call_soon(inner->loop, say_inner, inner, NULL, NULL);
    record(inner->f, "ran:%d", kolk_loop_run_once(inner->loop));
    record(inner->f, "outer:%d", kolk_loop_current() == inner->f->loop);
}

/* Another loop of the same thread may be run inside a callback; the outer one is current again afterwards. */
static void another_loop_may_be_run_inside_a_callback(void **state) {
    struct fixture *f = *state;
    struct inner inner = {.f = f};
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops};
    assert_int_equal(kolk_loop_new(&options, &inner.loop, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, run_inner, &inner, NULL, NULL), 0);
    drive_once(f);
    assert_record(f, "inner:1 ran:1 outer:1");
    assert_int_equal(kolk_loop_close(inner.loop), 0);
    kolk_loop_unref(inner.loop);
}

struct pending {
    int called;
    int destroyed;
};

static void call_pending(void *userdata) { ((struct pending *)userdata)->called++; }
static void destroy_pending(void *userdata) { ((struct pending *)userdata)->destroyed++; }

/* Closing destroys everything that was pending, without calling it. */
static void closing_destroys_what_was_pending(void **state) {
    struct fixture *f = *state;
    int pair[2];
    struct pending p = {0, 0};
    open_pair(pair);
    assert_int_equal(kolk_loop_call_soon(f->loop, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(p.called, 0);
    assert_int_equal(p.destroyed, 7);
    close_pair(pair);
}

struct both_ways {
    struct fixture *f;
    int fd;
};

static void remove_both(void *userdata) {
    struct both_ways *self = userdata;
    record(self->f, "~reader");
    kolk_loop_remove_reader(self->f->loop, self->fd);
    kolk_loop_remove_writer(self->f->loop, self->fd);
}

/* What is destroyed by the closing may remove its neighbours, which are then destroyed once all the same. */
static void closing_survives_who_removes_both_ways(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct both_ways both = {.f = f, .fd = pair[0]};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, &both, remove_both), 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, word(f, "writer"), unsay), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_true(strcmp(f->record, "~reader ~writer") == 0 || strcmp(f->record, "~writer ~reader") == 0);
    close_pair(pair);
}

static void drop_future(void *future) { kolk_future_unref(future); }

/* What the closing destroys may drop objects of the loop, which is not dropped with them. */
static void closing_survives_who_drops_objects(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, future, drop_future), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
}

static void drop_handler(void *f) { record(f, "dropped"); }

static void set_another_handler(void *userdata) {
    struct fixture *f = userdata;
    record(f, "%s", kolk_status_name(kolk_loop_set_exception_handler(f->loop, record_exception, f, drop_handler)));
}

/* An exception handler that goes with the loop cannot leave another one behind. */
static void an_exception_handler_set_by_the_closing_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, f, set_another_handler), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_future_unref(future);
    assert_record(f, "dropped KOLK_ECLOSED");
}

/* Closing twice is fine; asking a closed loop for anything is answered. */
static void a_closed_loop_answers(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);

    kolk_plan plan;
    kolk_handle *handle = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_loop_run_once(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_run_forever(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_wait(f->loop, 0), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_get_fd(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_soon(f->loop, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_at(f->loop, 0, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(destroyed, 7);
    assert_null(handle);
    assert_string_equal(kolk_loop_reactor(f->loop), f->reactor);
    kolk_future_unref(future);
    close_pair(pair);
}

/* The last reference closes a loop that nobody closed. */
static void the_last_reference_closes_the_loop(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    assert_int_equal(kolk_loop_call_soon(f->loop, nothing, &destroyed, count_destroy, NULL), 0);
    assert_ptr_equal(kolk_loop_ref(f->loop), f->loop);
    assert_null(kolk_loop_unref(f->loop));
    assert_int_equal(destroyed, 0);
    f->loop = kolk_loop_unref(f->loop);
    assert_int_equal(destroyed, 1);
}

static void drop_the_loop(void *userdata) {
    struct fixture *f = userdata;
    f->loop = kolk_loop_unref(f->loop);
    record(f, "dropped");
}

/* The last reference may be dropped inside of the loop, which finishes its turn and closes. */
static void the_last_reference_may_be_dropped_inside(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, word(f, "pending"), unsay, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, drop_the_loop, f, NULL, NULL), 0);
    soon(f, "same turn");
    drive_once(f);
    assert_record(f, "dropped same turn ~pending");
}

/* The loop knows its reactor, and its clock runs forwards. */
static void the_loop_knows_its_reactor_and_its_time(void **state) {
    struct fixture *f = *state;
    assert_string_equal(kolk_loop_reactor(f->loop), f->reactor);
    int64_t before = kolk_loop_time(f->loop);
    pause_ms(2);
    int64_t after = kolk_loop_time(f->loop);
    assert_true(after - before >= 2 * MS);
}

/* ---- Errors that nobody reads ---- */

/* An error that nobody read reaches the exception handler. */
static void an_unread_error_reaches_the_exception_handler(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EIO)");
}

struct one_shot {
    struct fixture *f;
    int calls;
    int nested; /* Errors that it makes itself, before it goes. */
};

static void drop_an_error(struct fixture *f) {
    kolk_future *future = new_future(f);
    kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
    kolk_future_unref(future);
}

static void handle_one(kolk_loop *loop, kolk_error *error, void *userdata) {
    struct one_shot *self = userdata;
    (void)error;
    self->calls++;
    if (self->nested-- > 0)
        drop_an_error(self->f);
    kolk_loop_set_exception_handler(loop, NULL, NULL, NULL);
    record(self->f, "call(%d)", self->calls);
}

static void destroy_one_shot(void *userdata) {
    struct one_shot *self = userdata;
    record(self->f, "destroyed");
    free(self);
}

/* A handler that replaces itself is released when the last of its calls has returned. */
static void an_exception_handler_may_replace_itself(void **state) {
    struct fixture *f = *state;
    for (int nested = 0; nested <= 1; nested++) {
        struct one_shot *one_shot = calloc(1, sizeof *one_shot);
        assert_non_null(one_shot);
        *one_shot = (struct one_shot){.f = f, .nested = nested};
        clear_record(f);
        assert_int_equal(kolk_loop_set_exception_handler(f->loop, handle_one, one_shot, destroy_one_shot), 0);
        drop_an_error(f);
        drop_an_error(f);
        assert_record(f, nested ? "call(2) call(2) destroyed" : "call(1) destroyed");
    }
}

/* A new exception handler replaces the old one, whose userdata is destroyed; NULL leaves nobody. */
static void an_exception_handler_can_be_replaced(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &destroyed, count_destroy), 0);
    watch_errors(f);
    assert_int_equal(destroyed, 1);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, NULL, NULL, NULL), 0);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* ---- Running on its own: not a matter of reactor or mode ---- */

static void stop_loop(void *userdata) {
    struct fixture *f = userdata;
    record(f, "stop");
    kolk_loop_stop(f->loop);
    kolk_loop_call_soon(f->loop, say, word(f, "next"), NULL, NULL);
}

/* Stopping lets the current turn finish; what belongs to the next one waits for the next run. */
static void stop_ends_the_run_after_the_current_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_loop, f, NULL, NULL), 0);
    soon(f, "same turn");
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "stop same turn");
    assert_int_equal(kolk_loop_run_once(f->loop), 1);
    assert_record(f, "stop same turn next");
}

static void say_and_ask_for_b(void *userdata) {
    struct fixture *f = userdata;
    record(f, "a");
    kolk_loop_call_soon(f->loop, say, word(f, "b"), NULL, NULL);
}

/* Stopping before a run makes it one turn long. */
static void stop_before_a_run_makes_it_one_turn_long(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, say_and_ask_for_b, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "a");
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "a b");
}

/* A run for a future that was stopped first says so. */
static void a_stopped_run_until_complete_is_pending(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_loop, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_EPENDING);
    kolk_future_unref(future);
}

/* Whatever the outcome of the future, the run that waited for it went well. */
static void run_until_complete_does_not_judge_the_outcome(void **state) {
    struct fixture *f = *state;
    kolk_future *ok = new_future(f), *failed = new_future(f), *cancelled = new_future(f);
    kolk_future_set_result(ok, NULL, NULL);
    kolk_future_set_error(failed, kolk_error_of(KOLK_EIO));
    kolk_future_cancel(cancelled);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, ok), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, failed), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, cancelled), 0);
    assert_int_equal(kolk_future_result(failed, NULL), KOLK_EIO);
    kolk_future_unref(ok);
    kolk_future_unref(failed);
    kolk_future_unref(cancelled);
}

static void settle_and_drop(void *future) {
    kolk_future_set_result(future, NULL, NULL);
    kolk_future_unref(future);
}

/* A run keeps the future it waits for. */
static void run_until_complete_keeps_the_future_alive(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_call_soon(f->loop, settle_and_drop, future, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), 0);
}

/* A future of another loop would never be done here. */
static void run_until_complete_refuses_a_foreign_future(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &future), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, NULL), KOLK_EINVAL);
    kolk_future_unref(future);
    kolk_loop_close(other);
    kolk_loop_unref(other);
}

struct thread_loop {
    pthread_t thread;
    int count;
};

static void *run_a_loop(void *userdata) {
    struct thread_loop *self = userdata;
    kolk_loop *loop = NULL;
    if (kolk_loop_new(NULL, &loop, NULL) != 0)
        return NULL;
    for (int i = 0; i < 1000; i++)
        kolk_loop_call_soon(loop, increment, &self->count, NULL, NULL);
    kolk_loop_run_once(loop);
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return NULL;
}

/* Loops of different threads know nothing of each other. */
static void each_thread_may_have_its_loop(void **state) {
    (void)state;
    struct thread_loop loops[4];
    for (size_t i = 0; i < COUNT(loops); i++) {
        loops[i].count = 0;
        assert_int_equal(pthread_create(&loops[i].thread, NULL, run_a_loop, &loops[i]), 0);
    }
    for (size_t i = 0; i < COUNT(loops); i++) {
        pthread_join(loops[i].thread, NULL);
        assert_int_equal(loops[i].count, 1000);
    }
}

/* Who has borrowed a loop may own it after all, also when its last owner has gone; its objects do not notice. */
static void a_loop_that_is_borrowed_can_be_owned_again(void **state) {
    kolk_loop *loop = NULL;
    kolk_future *future = NULL;
    (void)state;
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_int_equal(kolk_future_new(loop, &future), 0);
    kolk_loop_unref(loop);
    kolk_loop *again = kolk_loop_ref(kolk_future_loop(future));
    assert_int_equal(kolk_loop_is_closed(again), 1);
    kolk_loop_unref(again);
    assert_int_equal(kolk_future_result(future, NULL), KOLK_EPENDING);
    kolk_future_unref(future);
}

static void drop_it_here(void *loop) { kolk_loop_unref(loop); }
static void own_it_again(void *kept) { *(kolk_loop **)kept = kolk_loop_ref(kolk_loop_current()); }

static void own_and_drop_it_again(void *kept) {
    own_it_again(kept);
    kolk_loop_unref(*(kolk_loop **)kept);
    own_it_again(kept);
}

/* The same in the turn in which the last owner goes, after which the loop closes. */
static void a_loop_can_be_owned_again_in_the_turn_that_is_its_last(void **state) {
    static const kolk_callback_fn ways[] = {own_it_again, own_and_drop_it_again};
    (void)state;
    for (size_t i = 0; i < COUNT(ways); i++) {
        kolk_loop *loop = NULL, *kept = NULL;
        assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(loop, drop_it_here, loop, NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(loop, ways[i], &kept, NULL, NULL), 0);
        assert_true(kolk_loop_run_once(loop) >= 0);
        assert_int_equal(kolk_loop_is_closed(kept), 1);
        kolk_loop_unref(kept);
    }
}

static void call_nobody(void *nothing) { (void)nothing; }

/* What a loop releases when it closes may have been its last owner. */
static void the_last_owner_may_go_while_the_loop_closes(void **state) {
    struct failing_allocator memory;
    kolk_loop_options options = {.size = sizeof options, .allocator = &memory.hook};
    kolk_loop *loop = NULL;
    (void)state;
    failing_allocator_init(&memory);
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, SECOND, call_nobody, loop, drop_it_here, NULL), 0);
    assert_int_equal(kolk_loop_close(loop), 0);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
}

static void *drop_loop(void *loop) {
    kolk_loop_unref(loop);
    return NULL;
}

/* A closed loop may be dropped by any thread. */
static void a_closed_loop_may_be_dropped_by_another_thread(void **state) {
    (void)state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    kolk_loop_options options = {.size = sizeof options, .allocator = &memory.hook};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_int_equal(kolk_loop_close(loop), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drop_loop, loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
}

/* ---- Making one ---- */

static void refuse(const kolk_loop_options *options, int expected, const char *word_of_reason) {
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_loop_new(options, &loop, &error), expected);
    assert_null(loop);
    assert_non_null(error);
    assert_int_equal(kolk_error_status(error), expected);
    if (!strstr(kolk_error_message(error), word_of_reason))
        fail_msg("\"%s\" does not say \"%s\"", kolk_error_message(error), word_of_reason);
    kolk_error_unref(error);
    assert_int_equal(kolk_loop_new(options, &loop, NULL), expected);
}

/* A reactor that does not exist is refused with its name in the reason. */
static void an_unknown_reactor_is_refused_by_name(void **state) {
    (void)state;
    kolk_loop_options options = {.size = sizeof options, .reactor = "no-such-reactor"};
    refuse(&options, KOLK_ENOENT, "no-such-reactor");
}

/* A name that could be a path is refused before any file is looked for. */
static void a_name_that_cannot_be_one_is_refused(void **state) {
    (void)state;
    const char *const names[] = {"",
                                 "a/b",
                                 "../epoll",
                                 "e poll",
                                 "epoll.so",
                                 "\xc3\xa9poll",
                                 "a-name-of-more-than-sixty-four-characters-is-not-looked-for-at-all"};
    for (size_t i = 0; i < COUNT(names); i++) {
        kolk_loop_options options = {.size = sizeof options, .reactor = names[i]};
        refuse(&options, KOLK_EINVAL, "");
    }
}

/* Options of a size that no version had are refused, and so is having nowhere to put the loop. */
static void options_of_the_wrong_size_are_refused(void **state) {
    (void)state;
    kolk_loop_options options = {.size = 0};
    refuse(&options, KOLK_EINVAL, "");
    options.size = 3;
    refuse(&options, KOLK_EINVAL, "");
    assert_int_equal(kolk_loop_new(NULL, NULL, NULL), KOLK_EINVAL);
}

/* A reactor's table is checked before it is used. */
static void a_broken_reactor_table_is_refused(void **state) {
    (void)state;
    const kolk_reactor_ops *good = reactor_under_test("poll");
    kolk_reactor_ops broken[] = {*good, *good, *good, *good, *good, *good};
    broken[0].abi = KOLK_REACTOR_ABI + 1;
    broken[1].size = 8;
    broken[2].open = NULL;
    broken[3].watch = NULL;
    broken[4].collect = NULL;
    broken[5].close = NULL;
    for (size_t i = 0; i < COUNT(broken); i++) {
        kolk_loop_options options = {.size = sizeof options, .reactor_ops = &broken[i]};
        refuse(&options, KOLK_EPLUGIN, "");
    }
}

/* KOLK_REACTOR chooses for loops whose options do not. */
static void the_environment_chooses_among_known_names(void **state) {
    (void)state;
    kolk_loop *loop = NULL;
    setenv("KOLK_REACTOR", "poll", 1);
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_string_equal(kolk_loop_reactor(loop), "poll");
    kolk_loop_unref(loop);
    kolk_loop_options options = {.size = sizeof options, .reactor = "select"};
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_string_equal(kolk_loop_reactor(loop), "select");
    kolk_loop_unref(loop);
    setenv("KOLK_REACTOR", "no-such-reactor", 1);
    refuse(NULL, KOLK_ENOENT, "no-such-reactor");
    unsetenv("KOLK_REACTOR");
}

/* A reactor that fails ends the run with an error, and leaves the loop in one piece. */
static void a_failing_reactor_fails_the_run(void **state) {
    (void)state;
    struct simulation simulation = {.now_ns = 1};
    kolk_loop_options options = simulation_options(&simulation);
    kolk_loop *loop = NULL;
    int calls = 0;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    /* With nothing to wait for, the simulated reactor refuses to sleep for ever. */
    assert_true(kolk_loop_run_forever(loop) < 0);
    assert_int_equal(kolk_loop_call_soon(loop, increment, &calls, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_once(loop), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

/* A loop that was refused its descriptors says so, and leaves none behind. */
static void a_loop_without_descriptors_is_refused(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NOFILE, &none);
        kolk_loop *loop = NULL;
        int status = kolk_loop_new(NULL, &loop, NULL);
        if (status != KOLK_EMFILE)
            dprintf(2, "kolk_loop_new: %s\n", kolk_status_name(status));
        _exit(status == KOLK_EMFILE && !loop ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A hundred loops one after the other leave nothing behind. */
static void loops_leave_nothing_behind(void **state) {
    (void)state;
    int fds = open_fds();
    for (int i = 0; i < 100; i++) {
        kolk_loop *loop = NULL;
        assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
        assert_int_equal(kolk_loop_close(loop), 0);
        kolk_loop_unref(loop);
    }
    assert_int_equal(open_fds(), fds);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_loop_cannot_be_run_or_closed_from_inside),
        RULE(the_current_loop_is_known_inside_callbacks),
        RULE(another_loop_may_be_run_inside_a_callback),
        RULE(closing_destroys_what_was_pending),
        RULE(closing_survives_who_removes_both_ways),
        RULE(closing_survives_who_drops_objects),
        RULE(an_exception_handler_set_by_the_closing_is_refused),
        RULE(a_closed_loop_answers),
        RULE(the_last_reference_closes_the_loop),
        RULE(the_last_reference_may_be_dropped_inside),
        RULE_IN_REAL_TIME(the_loop_knows_its_reactor_and_its_time),
        RULE(an_unread_error_reaches_the_exception_handler),
        RULE(an_exception_handler_can_be_replaced),
        RULE(an_exception_handler_may_replace_itself),
    };
    static const struct rule plain[] = {
        RULE(stop_ends_the_run_after_the_current_turn),    RULE(stop_before_a_run_makes_it_one_turn_long),
        RULE(a_stopped_run_until_complete_is_pending),     RULE(run_until_complete_does_not_judge_the_outcome),
        RULE(run_until_complete_refuses_a_foreign_future), RULE(run_until_complete_keeps_the_future_alive),
    };
    static const struct rule bare[] = {
        RULE(each_thread_may_have_its_loop),
        RULE(a_loop_that_is_borrowed_can_be_owned_again),
        RULE(a_loop_can_be_owned_again_in_the_turn_that_is_its_last),
        RULE(the_last_owner_may_go_while_the_loop_closes),
        RULE(a_closed_loop_may_be_dropped_by_another_thread),
        RULE(an_unknown_reactor_is_refused_by_name),
        RULE(a_name_that_cannot_be_one_is_refused),
        RULE(options_of_the_wrong_size_are_refused),
        RULE(a_broken_reactor_table_is_refused),
        RULE(the_environment_chooses_among_known_names),
        RULE(a_failing_reactor_fails_the_run),
        RULE(a_loop_without_descriptors_is_refused),
        RULE(loops_leave_nothing_behind),
    };
    return run_matrix("loop", matrix, COUNT(matrix)) + run_plain("loop alone", plain, COUNT(plain)) +
           run_bare("making loops", bare, COUNT(bare));
}
