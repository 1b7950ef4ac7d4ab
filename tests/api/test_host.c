/* What a host may ask of a loop: whether anything is left to happen, and an orderly end; and the reactor that is a host. */
#include "support/callbacks.h"
#include "support/turns.h"

#include <unistd.h>

/* ---- Alive ---- */

static void assert_alive(struct fixture *f, int expected) { assert_int_equal(kolk_loop_alive(f->loop), expected); }

static void a_callback_that_is_due_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    assert_alive(f, 0);
    call_soon(f, nothing, NULL);
    assert_alive(f, 1);
    dispatch_all(f);
    assert_alive(f, 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    while (kolk_loop_alive(f->loop))
        dispatch(f);
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 60 * SECOND, nothing, NULL, NULL, &handle), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    assert_alive(f, 0);
}

static void a_timer_that_runs_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_timer *timer = NULL;
    assert_int_equal(kolk_timer_new(f->loop, nothing, NULL, NULL, &timer), 0);
    assert_alive(f, 0);
    assert_int_equal(kolk_timer_start(timer, kolk_loop_time(f->loop) + 60 * SECOND), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_timer_stop(timer), 1);
    assert_alive(f, 0);
    kolk_timer_unref(timer);
}

static void a_watch_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    assert_alive(f, 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, NULL, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_loop_remove_writer(f->loop, pair[0]), 1);
    assert_alive(f, 0);
    close_pair(pair);
}

static int await_it(void *future, void **ret_result) {
    (void)ret_result;
    return kolk_await(future, NULL);
}

static void a_task_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_alive(f, 0);
    kolk_task *task = spawn_with(f, await_it, future);
    dispatch_all(f);
    assert_alive(f, 1);
    assert_int_equal(kolk_future_set_result(future, NULL, NULL), 0);
    assert_int_equal(join(f, task), 0);
    assert_alive(f, 0);
    kolk_future_unref(future);
}

static int serve_nobody(kolk_stream *stream, void *userdata) {
    (void)stream;
    (void)userdata;
    return 0;
}

static void a_server_keeps_a_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_server *server = NULL;
    assert_int_equal(kolk_start_server(f->loop, serve_nobody, NULL, NULL, "127.0.0.1", 0, NULL, &server, NULL), 0);
    assert_alive(f, 1);
    assert_int_equal(kolk_server_close(server), 0);
    dispatch_all(f);
    assert_alive(f, 0);
    kolk_server_unref(server);
}

/* A waker, a hook, the descriptor for a host, a future that nobody sets: of these nothing comes by itself. */
static void what_only_others_can_set_going_keeps_no_loop_alive(void **state) {
    struct fixture *f = *state;
    kolk_waker *waker = NULL;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &waker), 0);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, nothing, NULL, NULL), 0);
    kolk_loop_get_fd(f->loop);
    assert_alive(f, 0);
    kolk_waker_unref(waker);
    kolk_future_unref(future);
}

static void a_loop_that_is_closed_is_not_asked(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_alive(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_alive(f->loop), KOLK_ECLOSED);
}

/* ---- An orderly end ---- */

static int take_leave(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(60 * SECOND);
    record(userdata, "%s", kolk_status_name(status));
    record(userdata, "bye(%d)", kolk_sleep(2 * MS));
    return status;
}

static kolk_future *shut_down(struct fixture *f) {
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_shutdown_async(f->loop, &future), 0);
    return future;
}

static void an_orderly_end_lets_tasks_wait_while_they_clean_up(void **state) {
    struct fixture *f = *state;
    kolk_task *task = spawn(f, take_leave);
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    assert_int_equal(kolk_future_done(end), 0);
    drive_until(f, end);
    assert_record(f, "KOLK_ECANCELED bye(0)");
    assert_int_equal(kolk_future_result(end, NULL), 0);
    assert_int_equal(kolk_task_done(task), 1);
    kolk_task_unref(task);
    kolk_future_unref(end);
}

static void an_orderly_end_without_tasks_is_done(void **state) {
    struct fixture *f = *state;
    kolk_future *end = shut_down(f);
    drive_until(f, end);
    assert_int_equal(kolk_future_result(end, NULL), 0);
    kolk_future_unref(end);
}

/* A task that takes no notice is waited for, and told again when asked again. */
static int sleep_through(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "%s", kolk_status_name(kolk_sleep(60 * SECOND)));
    record(userdata, "%s", kolk_status_name(kolk_sleep(60 * SECOND)));
    return 0;
}

static void asking_for_an_orderly_end_again_cancels_again(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, sleep_through));
    dispatch_all(f);
    kolk_future *first = shut_down(f);
    drive_during(f, 2 * MS);
    assert_int_equal(kolk_future_done(first), 0);
    kolk_future *second = shut_down(f);
    drive_until(f, first);
    drive_until(f, second);
    assert_record(f, "KOLK_ECANCELED KOLK_ECANCELED");
    kolk_future_unref(first);
    kolk_future_unref(second);
}

static int sleep_a_little(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "late(%d)", kolk_sleep(2 * MS));
    return 0;
}

static int start_another(void *userdata, void **ret_result) {
    struct fixture *f = userdata;
    (void)ret_result;
    int status = kolk_sleep(60 * SECOND);
    record(f, "%s %d", kolk_status_name(status), kolk_create_task(f->loop, sleep_a_little, f, NULL, NULL, NULL));
    return status;
}

static void a_task_made_during_an_orderly_end_is_waited_for(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, start_another));
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    drive_until(f, end);
    assert_record(f, "KOLK_ECANCELED 0 late(0)");
    kolk_future_unref(end);
}

static void nobody_need_keep_the_future_of_an_orderly_end(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, take_leave));
    dispatch_all(f);
    kolk_future_unref(shut_down(f));
    drive_during(f, 100 * MS);
    assert_record(f, "KOLK_ECANCELED bye(0)");
}

/* A host that loses its patience closes the loop all the same. */
static void closing_ends_an_orderly_end(void **state) {
    struct fixture *f = *state;
    kolk_task_unref(spawn(f, take_leave));
    dispatch_all(f);
    kolk_future *end = shut_down(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_future_unref(end);
    assert_int_equal(kolk_loop_shutdown_async(f->loop, &end), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_shutdown_async(NULL, &end), KOLK_EINVAL);
}

/* ---- The reactor that is a host, without one ---- */

static kolk_loop *loop_without_host(struct failing_allocator *memory) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = kolk_host_reactor(), .allocator = &memory->hook};
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    failing_allocator_init(memory);
    if (kolk_loop_new(&options, &loop, &error) != 0)
        fail_msg("%s", kolk_error_message(error));
    return loop;
}

static void end_loop(kolk_loop *loop, const struct failing_allocator *memory) {
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
    assert_int_equal(failing_allocator_live_blocks(memory), 0);
}

static void count_up(void *counter) { ++*(int *)counter; }

/* What is ready already needs no host. */
static void without_a_host_a_loop_runs_what_is_ready(void **state) {
    struct failing_allocator memory;
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    int calls = 0;
    assert_int_equal(kolk_loop_call_soon(loop, count_up, &calls, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(loop, count_up, &calls, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, 0, count_up, &calls, NULL, NULL), 0);
    for (int i = 0; i < 10 && calls < 3; i++)
        assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    assert_int_equal(calls, 3);
    end_loop(loop, &memory);
}

static void without_a_host_a_loop_does_not_sleep(void **state) {
    struct failing_allocator memory;
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    assert_int_equal(kolk_loop_call_later(loop, 60 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_once(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_run_forever(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_wait(loop, kolk_loop_time(loop) + 60 * SECOND), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_get_fd(loop), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    end_loop(loop, &memory);
}

static void without_a_host_descriptors_are_kept(void **state) {
    struct failing_allocator memory;
    int pair[2];
    (void)state;
    kolk_loop *loop = loop_without_host(&memory);
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(kolk_loop_add_writer(loop, pair[0], nothing, NULL, NULL), 0);
    assert_int_equal(kolk_loop_dispatch(loop, NULL, NULL), 0);
    assert_int_equal(kolk_loop_remove_writer(loop, pair[0]), 1);
    assert_int_equal(kolk_loop_remove_reader(loop, pair[0]), 1);
    close_pair(pair);
    end_loop(loop, &memory);
}

static void the_reactor_that_is_a_host_is_one_table(void **state) {
    (void)state;
    assert_ptr_equal(kolk_host_reactor(), kolk_host_reactor());
    assert_int_equal(kolk_host_reactor()->abi, KOLK_REACTOR_ABI);
    assert_int_equal(kolk_host_reactor()->size, sizeof(kolk_reactor_ops));
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_callback_that_is_due_keeps_a_loop_alive),
        RULE(a_timer_that_runs_keeps_a_loop_alive),
        RULE(a_watch_keeps_a_loop_alive),
        RULE(a_task_keeps_a_loop_alive),
        RULE(a_server_keeps_a_loop_alive),
        RULE(what_only_others_can_set_going_keeps_no_loop_alive),
        RULE(a_loop_that_is_closed_is_not_asked),
        RULE(an_orderly_end_lets_tasks_wait_while_they_clean_up),
        RULE(an_orderly_end_without_tasks_is_done),
        RULE(asking_for_an_orderly_end_again_cancels_again),
        RULE(a_task_made_during_an_orderly_end_is_waited_for),
        RULE(nobody_need_keep_the_future_of_an_orderly_end),
        RULE(closing_ends_an_orderly_end),
    };
    static const struct rule bare[] = {
        RULE(without_a_host_a_loop_runs_what_is_ready),
        RULE(without_a_host_a_loop_does_not_sleep),
        RULE(without_a_host_descriptors_are_kept),
        RULE(the_reactor_that_is_a_host_is_one_table),
    };
    return run_matrix("host", rules, COUNT(rules)) + run_bare("host reactor", bare, COUNT(bare));
}
