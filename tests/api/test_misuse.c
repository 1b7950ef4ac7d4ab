/* Every public function with what nobody should give it: NULL, something of a closed loop, the wrong thread. Each answers with
 * an error, and nothing changes. */
#include "support/driver.h"
#include "support/network.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void nothing(void *userdata) { (void)userdata; }
static void nothing_done(kolk_future *future, void *userdata) { (void)future, (void)userdata; }
static void nothing_raised(kolk_loop *loop, kolk_error *error, void *userdata) { (void)loop, (void)error, (void)userdata; }
static int nothing_run(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return 0;
}
static int nothing_served(kolk_stream *stream, void *userdata) {
    (void)stream, (void)userdata;
    return 0;
}

/* ---- NULL ---- */

/* NULL instead of a loop is refused by whatever takes one, and the userdata is destroyed. */
static void null_is_no_loop(void **state) {
    (void)state;
    int gone = 0;
    kolk_plan plan;
    kolk_handle *handle = NULL;
    kolk_future *future = NULL;
    kolk_task *task = NULL;
    kolk_timer *timer = NULL;
    kolk_waker *waker = NULL;
    kolk_coroutine *coroutine = NULL;
    kolk_semaphore *semaphore = NULL;
    kolk_server *server = NULL;
    assert_null(kolk_loop_ref(NULL));
    assert_null(kolk_loop_unref(NULL));
    assert_int_equal(kolk_loop_close(NULL), KOLK_EINVAL);
    assert_true(kolk_loop_is_closed(NULL) <= 0);
    assert_true(kolk_loop_is_running(NULL) <= 0);
    assert_true(kolk_loop_time(NULL) <= 0);
    (void)kolk_loop_reactor(NULL);
    assert_int_equal(kolk_loop_run_forever(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_until_complete(NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_once(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_stop(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_soon(NULL, nothing, &gone, count_destroy, &handle), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_later(NULL, 0, nothing, &gone, count_destroy, &handle), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_at(NULL, 0, nothing, &gone, count_destroy, &handle), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_soon_threadsafe(NULL, nothing, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_reader(NULL, 0, nothing, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_writer(NULL, 0, nothing, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_remove_reader(NULL, 0), KOLK_EINVAL);
    assert_int_equal(kolk_loop_remove_writer(NULL, 0), KOLK_EINVAL);
    assert_int_equal(kolk_loop_set_exception_handler(NULL, nothing_raised, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_prepare(NULL, &plan), KOLK_EINVAL);
    assert_int_equal(kolk_loop_wait(NULL, 0), KOLK_EINVAL);
    assert_int_equal(kolk_loop_dispatch(NULL, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_get_fd(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_new(NULL, &future), KOLK_EINVAL);
    assert_int_equal(kolk_sleep_async(NULL, 0, &future), KOLK_EINVAL);
    assert_int_equal(kolk_gather(NULL, NULL, 0, 0, &future), KOLK_EINVAL);
    assert_int_equal(kolk_open_connection_async(NULL, "127.0.0.1", 80, NULL, &future), KOLK_EINVAL);
    assert_int_equal(kolk_create_task(NULL, nothing_run, &gone, count_destroy, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_timer_new(NULL, nothing, &gone, count_destroy, &timer), KOLK_EINVAL);
    assert_int_equal(kolk_waker_new(NULL, nothing, &gone, count_destroy, &waker), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_new(NULL, nothing_run, &gone, count_destroy, 0, &coroutine), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_new(NULL, 1, &semaphore), KOLK_EINVAL);
    assert_int_equal(kolk_start_server(NULL, nothing_served, &gone, count_destroy, "127.0.0.1", 0, NULL, &server, NULL),
                     KOLK_EINVAL);
    assert_int_equal(gone, 12);
    assert_true(!handle && !future && !task && !timer && !waker && !coroutine && !semaphore && !server);
}

/* NULL instead of an object is refused by every method. */
static void null_is_no_object(void **state) {
    struct fixture *f = *state;
    int gone = 0;
    char buffer[8];
    const void *data = NULL;
    void *value = NULL;
    kolk_future *future = NULL;
    assert_null(kolk_handle_ref(NULL));
    assert_null(kolk_handle_unref(NULL));
    assert_int_equal(kolk_handle_cancel(NULL), KOLK_EINVAL);
    assert_true(kolk_handle_cancelled(NULL) <= 0);
    (void)kolk_handle_when(NULL);

    assert_null(kolk_future_ref(NULL));
    assert_null(kolk_future_unref(NULL));
    assert_null(kolk_future_loop(NULL));
    assert_true(kolk_future_done(NULL) <= 0);
    assert_true(kolk_future_cancelled(NULL) <= 0);
    assert_int_equal(kolk_future_result(NULL, &value), KOLK_EINVAL);
    assert_int_equal(kolk_error_status(kolk_future_error(NULL)), KOLK_EINVAL);
    assert_int_equal(kolk_future_set_result(NULL, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_future_set_error(NULL, kolk_error_of(KOLK_EIO)), KOLK_EINVAL);
    assert_int_equal(kolk_future_cancel(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_add_done_callback(NULL, nothing_done, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_future_remove_done_callback(NULL, nothing_done, &gone), KOLK_EINVAL);
    assert_int_equal(kolk_wait_for_async(NULL, 0, &future), KOLK_EINVAL);

    assert_null(kolk_task_ref(NULL));
    assert_null(kolk_task_unref(NULL));
    assert_null(kolk_task_as_future(NULL));
    assert_true(kolk_task_done(NULL) <= 0);
    assert_int_equal(kolk_task_result(NULL, &value), KOLK_EINVAL);
    assert_int_equal(kolk_error_status(kolk_task_error(NULL)), KOLK_EINVAL);
    assert_int_equal(kolk_task_cancel(NULL), KOLK_EINVAL);
    (void)kolk_task_name(NULL);
    assert_int_equal(kolk_task_set_name(NULL, "x"), KOLK_EINVAL);

    assert_null(kolk_timer_ref(NULL));
    assert_null(kolk_timer_unref(NULL));
    assert_true(kolk_timer_start(NULL, 0) < 0);
    assert_true(kolk_timer_stop(NULL) <= 0);
    (void)kolk_timer_when(NULL);

    assert_null(kolk_waker_ref(NULL));
    assert_null(kolk_waker_unref(NULL));
    assert_int_equal(kolk_waker_wake(NULL), KOLK_EINVAL);

    assert_null(kolk_coroutine_ref(NULL));
    assert_null(kolk_coroutine_unref(NULL));
    assert_int_equal(kolk_coroutine_next(NULL, &value), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_send(NULL, NULL, &value), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_throw(NULL, kolk_error_of(KOLK_EIO), &value), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_close(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_get_state(NULL), KOLK_EINVAL);
    assert_null(kolk_coroutine_error(NULL));

    assert_null(kolk_semaphore_ref(NULL));
    assert_null(kolk_semaphore_unref(NULL));
    assert_true(kolk_semaphore_acquire(NULL) < 0);
    assert_int_equal(kolk_semaphore_acquire_async(NULL, &future), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_release(NULL), KOLK_EINVAL);
    (void)kolk_semaphore_permits(NULL);

    assert_null(kolk_stream_ref(NULL));
    assert_null(kolk_stream_unref(NULL));
    assert_true(kolk_stream_read(NULL, buffer, 1) < 0);
    assert_true(kolk_stream_receive(NULL, &data) < 0);
    assert_true(kolk_stream_read_until(NULL, "\n", 1, &data) < 0);
    assert_true(kolk_stream_write(NULL, "x", 1) < 0);
    assert_int_equal(kolk_stream_read_async(NULL, buffer, 1, &future), KOLK_EINVAL);
    assert_int_equal(kolk_stream_write_async(NULL, "x", 1, &future), KOLK_EINVAL);
    assert_int_equal(kolk_stream_write_eof(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_stream_close(NULL), KOLK_EINVAL);
    assert_null(kolk_stream_error(NULL));
    assert_int_equal(kolk_stream_peer_name(NULL, buffer, sizeof buffer), KOLK_EINVAL);
    assert_int_equal(kolk_stream_fd(NULL), KOLK_EINVAL);

    assert_null(kolk_server_ref(NULL));
    assert_null(kolk_server_unref(NULL));
    assert_int_equal(kolk_server_port(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_server_connections(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_server_close(NULL), KOLK_EINVAL);
    assert_int_equal(gone, 2);
    assert_null(future);
    assert_null(value);
    assert_record(f, "");
}

/* Nowhere to put the result is refused wherever there must be one, and the userdata is destroyed. */
static void a_place_for_the_result_is_required(void **state) {
    struct fixture *f = *state;
    int gone = 0;
    kolk_error *error = NULL;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_new(NULL, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_prepare(f->loop, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_new(f->loop, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_sleep_async(f->loop, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_gather(f->loop, NULL, 0, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_wait_for_async(future, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", 80, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_timer_new(f->loop, nothing, &gone, count_destroy, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_waker_new(f->loop, nothing, &gone, count_destroy, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_new(f->loop, nothing_run, &gone, count_destroy, 0, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_semaphore_new(f->loop, 1, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_start_server(f->loop, nothing_served, &gone, count_destroy, "127.0.0.1", 0, NULL, NULL, NULL),
                     KOLK_EINVAL);
    assert_int_equal(kolk_reactor_find("epoll", NULL, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_int_equal(kolk_reactor_load("/nowhere/x.so", NULL, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_int_equal(kolk_reactor_names(NULL, 1), KOLK_EINVAL);
    assert_int_equal(kolk_error_new(KOLK_EIO, NULL, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(gone, 4);
    assert_int_equal(kolk_future_done(future), 0);
    kolk_future_unref(future);
}

/* A function is required wherever one would be called. */
static void a_function_to_call_is_required(void **state) {
    struct fixture *f = *state;
    int gone = 0;
    kolk_task *task = NULL;
    kolk_timer *timer = NULL;
    kolk_waker *waker = NULL;
    kolk_coroutine *coroutine = NULL;
    kolk_server *server = NULL;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_create_task(f->loop, NULL, &gone, count_destroy, NULL, &task), KOLK_EINVAL);
    assert_int_equal(kolk_timer_new(f->loop, NULL, &gone, count_destroy, &timer), KOLK_EINVAL);
    assert_int_equal(kolk_waker_new(f->loop, NULL, &gone, count_destroy, &waker), KOLK_EINVAL);
    assert_int_equal(kolk_coroutine_new(f->loop, NULL, &gone, count_destroy, 0, &coroutine), KOLK_EINVAL);
    assert_int_equal(kolk_start_server(f->loop, NULL, &gone, count_destroy, "127.0.0.1", 0, NULL, &server, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_future_add_done_callback(future, NULL, &gone, count_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_run(NULL, NULL, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(gone, 6);
    assert_true(!task && !timer && !waker && !coroutine && !server);
    kolk_future_unref(future);
}

/* NULL is no reactor. */
static void null_is_no_reactor(void **state) {
    (void)state;
    const kolk_reactor_ops *ops = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_reactor_find(NULL, &ops, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_int_equal(kolk_reactor_load(NULL, &ops, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_int_equal(kolk_reactor_load("relative.so", &ops, &error), KOLK_EINVAL);
    error = kolk_error_unref(error);
    assert_true(kolk_reactor_register(NULL, &error) < 0);
    kolk_error_unref(error);
    assert_null(ops);
}

/* ---- One of everything ---- */

struct everything {
    struct fixture *f;
    kolk_handle *handle;
    kolk_future *future;
    kolk_task *task;
    kolk_timer *timer;
    kolk_waker *waker;
    kolk_coroutine *coroutine;
    kolk_semaphore *semaphore;
    kolk_server *server;
    kolk_stream *stream;
    int listener;
    int peer;
    char wrong[1024]; /* Calls that did not answer as they should. */
};

static int wait_for_ever(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    return kolk_sleep(1000 * SECOND);
}

static void make_everything(struct fixture *f, struct everything *e) {
    *e = (struct everything){.f = f, .future = new_future(f), .task = spawn(f, wait_for_ever)};
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, NULL, NULL, &e->handle), 0);
    assert_int_equal(kolk_timer_new(f->loop, nothing, NULL, NULL, &e->timer), 0);
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &e->waker), 0);
    assert_int_equal(kolk_coroutine_new(f->loop, nothing_run, NULL, NULL, 0, &e->coroutine), 0);
    assert_int_equal(kolk_semaphore_new(f->loop, 1, &e->semaphore), 0);
    assert_int_equal(kolk_start_server(f->loop, nothing_served, NULL, NULL, "127.0.0.1", 0, NULL, &e->server, NULL), 0);
    uint16_t port;
    kolk_future *connecting = NULL;
    void *stream = NULL;
    e->listener = listen_on_loopback(4, 4, &port);
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", port, NULL, &connecting), 0);
    drive_until(f, connecting);
    assert_int_equal(kolk_future_result(connecting, &stream), 0);
    e->stream = kolk_stream_ref(stream);
    kolk_future_unref(connecting);
    e->peer = accept_one(e->listener);
}

static void drop_everything(struct everything *e) {
    kolk_handle_unref(e->handle);
    kolk_future_unref(e->future);
    kolk_task_unref(e->task);
    kolk_timer_unref(e->timer);
    kolk_waker_unref(e->waker);
    kolk_coroutine_unref(e->coroutine);
    kolk_semaphore_unref(e->semaphore);
    kolk_server_unref(e->server);
    kolk_stream_unref(e->stream);
    close(e->peer);
    close(e->listener);
}

static void complain(struct everything *e, const char *call, int64_t answer) {
    size_t used = strlen(e->wrong);
    snprintf(e->wrong + used, sizeof e->wrong - used, "%s: %s\n", call, kolk_status_name((int)answer));
}

#define EXPECT(status, call)                                                                                                   \
    do {                                                                                                                       \
        int64_t answer = (call);                                                                                               \
        if (answer != (status))                                                                                                \
            complain(e, #call, answer);                                                                                        \
    } while (0)
#define EXPECT_KEPT(object, call)                                                                                              \
    do {                                                                                                                       \
        if ((call) != (object))                                                                                                \
            complain(e, #call, 0);                                                                                             \
    } while (0)

/* Everything that an object can be asked, on a thread that does not own its loop. */
static void *ask_on_the_wrong_thread(void *userdata) {
    struct everything *e = userdata;
    kolk_loop *loop = e->f->loop;
    int gone = 0;
    char buffer[64];
    void *value = NULL;
    kolk_future *future = NULL;
    kolk_task *task = NULL;
    kolk_timer *timer = NULL;
    kolk_waker *waker = NULL;
    kolk_coroutine *coroutine = NULL;
    kolk_semaphore *semaphore = NULL;
    kolk_server *server = NULL;
    EXPECT(KOLK_ETHREAD, kolk_future_new(loop, &future));
    EXPECT(KOLK_ETHREAD, kolk_sleep_async(loop, 0, &future));
    EXPECT(KOLK_ETHREAD, kolk_gather(loop, &e->future, 1, 0, &future));
    EXPECT(KOLK_ETHREAD, kolk_wait_for_async(e->future, 0, &future));
    EXPECT(KOLK_ETHREAD, kolk_open_connection_async(loop, "127.0.0.1", 80, NULL, &future));
    EXPECT(KOLK_ETHREAD, kolk_create_task(loop, nothing_run, &gone, count_destroy, NULL, &task));
    EXPECT(KOLK_ETHREAD, kolk_timer_new(loop, nothing, &gone, count_destroy, &timer));
    EXPECT(KOLK_ETHREAD, kolk_waker_new(loop, nothing, &gone, count_destroy, &waker));
    EXPECT(KOLK_ETHREAD, kolk_coroutine_new(loop, nothing_run, &gone, count_destroy, 0, &coroutine));
    EXPECT(KOLK_ETHREAD, kolk_semaphore_new(loop, 1, &semaphore));
    EXPECT(KOLK_ETHREAD, kolk_start_server(loop, nothing_served, &gone, count_destroy, "127.0.0.1", 0, NULL, &server, NULL));

    EXPECT(KOLK_ETHREAD, kolk_handle_cancel(e->handle));
    EXPECT(KOLK_ETHREAD, kolk_future_result(e->future, &value));
    EXPECT(KOLK_ETHREAD, kolk_future_set_result(e->future, &gone, count_destroy));
    EXPECT(KOLK_ETHREAD, kolk_future_set_error(e->future, kolk_error_of(KOLK_EIO)));
    EXPECT(KOLK_ETHREAD, kolk_future_cancel(e->future));
    EXPECT(KOLK_ETHREAD, kolk_future_add_done_callback(e->future, nothing_done, &gone, count_destroy));
    EXPECT(KOLK_ETHREAD, kolk_future_remove_done_callback(e->future, nothing_done, NULL));
    EXPECT(KOLK_ETHREAD, kolk_task_result(e->task, &value));
    EXPECT(KOLK_ETHREAD, kolk_task_cancel(e->task));
    EXPECT(KOLK_ETHREAD, kolk_task_set_name(e->task, "x"));
    EXPECT(KOLK_ETHREAD, kolk_timer_start(e->timer, 0));
    EXPECT(KOLK_ETHREAD, kolk_timer_stop(e->timer));
    EXPECT(KOLK_ETHREAD, kolk_coroutine_next(e->coroutine, &value));
    EXPECT(KOLK_ETHREAD, kolk_coroutine_send(e->coroutine, NULL, &value));
    EXPECT(KOLK_ETHREAD, kolk_coroutine_throw(e->coroutine, kolk_error_of(KOLK_EIO), &value));
    EXPECT(KOLK_ETHREAD, kolk_coroutine_close(e->coroutine));
    EXPECT(KOLK_ETHREAD, kolk_semaphore_acquire_async(e->semaphore, &future));
    EXPECT(KOLK_ETHREAD, kolk_semaphore_release(e->semaphore));
    EXPECT(KOLK_ETHREAD, kolk_stream_read_async(e->stream, buffer, 1, &future));
    EXPECT(KOLK_ETHREAD, kolk_stream_write_async(e->stream, buffer, 1, &future));
    EXPECT(KOLK_ETHREAD, kolk_stream_close(e->stream));
    EXPECT(KOLK_ETHREAD, kolk_server_close(e->server));
    EXPECT_KEPT(e->handle, kolk_handle_unref(e->handle));
    EXPECT_KEPT(e->future, kolk_future_unref(e->future));
    EXPECT_KEPT(e->task, kolk_task_unref(e->task));
    EXPECT_KEPT(e->timer, kolk_timer_unref(e->timer));
    EXPECT_KEPT(e->waker, kolk_waker_unref(e->waker));
    EXPECT_KEPT(e->coroutine, kolk_coroutine_unref(e->coroutine));
    EXPECT_KEPT(e->semaphore, kolk_semaphore_unref(e->semaphore));
    EXPECT_KEPT(e->stream, kolk_stream_unref(e->stream));
    EXPECT_KEPT(e->server, kolk_server_unref(e->server));
    /* What is open to any thread. */
    EXPECT_KEPT(loop, kolk_future_loop(e->future));
    EXPECT_KEPT(kolk_task_as_future(e->task), kolk_task_as_future(e->task));
    EXPECT(0, kolk_waker_wake(e->waker));
    EXPECT(0, kolk_loop_is_closed(loop));
    if (kolk_loop_current() || kolk_task_current() || kolk_coroutine_current())
        complain(e, "something is current", 0);
    if (gone != 7)
        complain(e, "userdata destroyed", gone);
    if (future || task || timer || waker || coroutine || semaphore || server || value)
        complain(e, "a result was set", 0);
    return NULL;
}

/* Another thread can neither use, change nor drop what belongs to the loop's. */
static void a_wrong_thread_is_refused_everywhere(void **state) {
    struct fixture *f = *state;
    struct everything e;
    make_everything(f, &e);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_on_the_wrong_thread, &e), 0);
    pthread_join(thread, NULL);
    assert_string_equal(e.wrong, "");
    drive_during(f, MS);
    assert_int_equal(kolk_future_done(e.future), 0);
    assert_int_equal(kolk_task_done(e.task), 0);
    assert_int_equal(kolk_handle_cancelled(e.handle), 0);
    assert_true(kolk_timer_when(e.timer) == KOLK_NEVER);
    assert_int_equal(kolk_coroutine_get_state(e.coroutine), KOLK_COROUTINE_CREATED);
    assert_int_equal(kolk_semaphore_permits(e.semaphore), 1);
    assert_true(kolk_stream_fd(e.stream) >= 0);
    assert_true(kolk_server_port(e.server) > 0);
    drop_everything(&e);
}

/* Everything that an object can be asked after its loop was closed. */
static void ask_after_the_close(struct everything *e) {
    kolk_loop *loop = e->f->loop;
    int gone = 0;
    char buffer[64];
    kolk_future *future = NULL;
    kolk_task *task = NULL;
    kolk_timer *timer = NULL;
    kolk_waker *waker = NULL;
    kolk_coroutine *coroutine = NULL;
    kolk_semaphore *semaphore = NULL;
    kolk_server *server = NULL;
    EXPECT(KOLK_ECLOSED, kolk_future_new(loop, &future));
    EXPECT(KOLK_ECLOSED, kolk_sleep_async(loop, 0, &future));
    EXPECT(KOLK_ECLOSED, kolk_gather(loop, &e->future, 1, 0, &future));
    EXPECT(KOLK_ECLOSED, kolk_wait_for_async(e->future, 0, &future));
    EXPECT(KOLK_ECLOSED, kolk_open_connection_async(loop, "127.0.0.1", 80, NULL, &future));
    EXPECT(KOLK_ECLOSED, kolk_create_task(loop, nothing_run, &gone, count_destroy, NULL, &task));
    EXPECT(KOLK_ECLOSED, kolk_timer_new(loop, nothing, &gone, count_destroy, &timer));
    EXPECT(KOLK_ECLOSED, kolk_waker_new(loop, nothing, &gone, count_destroy, &waker));
    EXPECT(KOLK_ECLOSED, kolk_coroutine_new(loop, nothing_run, &gone, count_destroy, 0, &coroutine));
    EXPECT(KOLK_ECLOSED, kolk_semaphore_new(loop, 1, &semaphore));
    EXPECT(KOLK_ECLOSED, kolk_start_server(loop, nothing_served, &gone, count_destroy, "127.0.0.1", 0, NULL, &server, NULL));
    EXPECT(KOLK_ECLOSED, kolk_future_add_done_callback(e->future, nothing_done, &gone, count_destroy));
    EXPECT(KOLK_ECLOSED, kolk_timer_start(e->timer, 0));
    EXPECT(KOLK_ECLOSED, kolk_semaphore_acquire_async(e->semaphore, &future));
    EXPECT(KOLK_ECLOSED, kolk_stream_read_async(e->stream, buffer, 1, &future));
    EXPECT(KOLK_ECLOSED, kolk_stream_write_async(e->stream, buffer, 1, &future));
    EXPECT(KOLK_ECLOSED, kolk_stream_write_eof(e->stream));
    EXPECT(KOLK_ECLOSED, kolk_stream_fd(e->stream));
    EXPECT(KOLK_ECLOSED, kolk_server_port(e->server));
    EXPECT(0, kolk_server_connections(e->server));
    EXPECT(0, kolk_stream_close(e->stream));
    EXPECT(0, kolk_server_close(e->server));
    EXPECT(1, kolk_loop_is_closed(loop));
    EXPECT(0, kolk_loop_is_running(loop));
    EXPECT(1, kolk_task_done(e->task));
    EXPECT(KOLK_ECANCELED, kolk_task_result(e->task, NULL));
    /* These may answer either way, but must come back. */
    (void)kolk_waker_wake(e->waker);
    (void)kolk_handle_cancel(e->handle);
    (void)kolk_timer_stop(e->timer);
    (void)kolk_semaphore_release(e->semaphore);
    (void)kolk_coroutine_next(e->coroutine, NULL);
    (void)kolk_future_cancel(e->future);
    if (gone != 6)
        complain(e, "userdata destroyed", gone);
    if (future || task || timer || waker || coroutine || semaphore || server)
        complain(e, "a result was set", 0);
}

/* What was made on a loop stays valid after its close, and answers. */
static void everything_answers_after_the_close(void **state) {
    struct fixture *f = *state;
    struct everything e;
    make_everything(f, &e);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    ask_after_the_close(&e);
    assert_string_equal(e.wrong, "");
    drop_everything(&e);
}

/* It stays valid even when the loop itself was dropped before. */
static void everything_outlives_the_last_reference_to_the_loop(void **state) {
    struct fixture *f = *state;
    struct everything e;
    make_everything(f, &e);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    f->loop = kolk_loop_unref(f->loop);
    assert_int_equal(kolk_task_result(e.task, NULL), KOLK_ECANCELED);
    assert_int_equal(kolk_timer_start(e.timer, 0), KOLK_ECLOSED);
    drop_everything(&e);
}

/* Objects may be dropped in any order a garbage collector chooses: here in the order they were made and in reverse, before and
 * after the loop. */
static void objects_may_be_dropped_in_any_order(void **state) {
    struct fixture *f = *state;
    struct everything e;
    make_everything(f, &e);
    drop_everything(&e);
    make_everything(f, &e);
    kolk_stream_unref(e.stream);
    kolk_server_unref(e.server);
    kolk_semaphore_unref(e.semaphore);
    kolk_coroutine_unref(e.coroutine);
    kolk_waker_unref(e.waker);
    f->loop = kolk_loop_unref(f->loop);
    kolk_timer_unref(e.timer);
    kolk_task_unref(e.task);
    kolk_future_unref(e.future);
    kolk_handle_unref(e.handle);
    close(e.peer);
    close(e.listener);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(null_is_no_loop),
        RULE(null_is_no_object),
        RULE(a_place_for_the_result_is_required),
        RULE(a_function_to_call_is_required),
        RULE(null_is_no_reactor),
        RULE(a_wrong_thread_is_refused_everywhere),
        RULE(everything_answers_after_the_close),
        RULE(everything_outlives_the_last_reference_to_the_loop),
        RULE(objects_may_be_dropped_in_any_order),
    };
    return run_plain("misuse", rules, COUNT(rules));
}
