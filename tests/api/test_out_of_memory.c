/* Every allocation fails once, and every allocation from one on fails: each time the program is told, and nothing is left over.
 */
#include "support/driver.h"
#include "support/network.h"
#include "support/resources.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Uses a loop, and returns 0 or the status that stopped it. What it leaves behind, closing the loop must clean up. */
typedef int (*scenario_fn)(kolk_loop *loop);

static void nothing(void *userdata) { (void)userdata; }

#define TRY(call)                                                                                                              \
    do {                                                                                                                       \
        int try_status = (int)(call);                                                                                          \
        if (try_status < 0)                                                                                                    \
            return try_status;                                                                                                 \
    } while (0)

/* ---- Scenarios ---- */

static int use_loop(kolk_loop *loop) {
    for (int i = 0; i < 100; i++)
        TRY(kolk_loop_call_soon(loop, nothing, NULL, NULL, NULL));
    TRY(kolk_loop_run_once(loop));
    for (int i = 0; i < 100; i++)
        TRY(kolk_loop_call_soon_threadsafe(loop, nothing, NULL, NULL));
    TRY(kolk_loop_run_once(loop));
    kolk_handle *handle = NULL;
    TRY(kolk_loop_call_soon(loop, nothing, NULL, NULL, &handle));
    TRY(kolk_handle_cancel(handle));
    kolk_handle_unref(handle);
    return 0;
}

static int watch_pairs(kolk_loop *loop, int pairs[][2], int count) {
    for (int i = 0; i < count; i++) {
        TRY(kolk_loop_add_reader(loop, pairs[i][0], nothing, NULL, NULL));
        TRY(kolk_loop_add_writer(loop, pairs[i][0], nothing, NULL, NULL));
    }
    TRY(kolk_loop_run_once(loop));
    for (int i = 0; i < count; i++) {
        TRY(kolk_loop_remove_reader(loop, pairs[i][0]));
        TRY(kolk_loop_remove_writer(loop, pairs[i][0]));
    }
    return 0;
}

static int use_descriptors(kolk_loop *loop) {
    int pairs[20][2];
    for (size_t i = 0; i < COUNT(pairs); i++)
        open_pair(pairs[i]);
    int status = watch_pairs(loop, pairs, COUNT(pairs));
    /* Removing takes no memory. */
    for (size_t i = 0; i < COUNT(pairs); i++) {
        kolk_loop_remove_reader(loop, pairs[i][0]);
        kolk_loop_remove_writer(loop, pairs[i][0]);
        close_pair(pairs[i]);
    }
    return status;
}

static int use_timers(kolk_loop *loop) {
    for (int i = 0; i < 100; i++)
        TRY(kolk_loop_call_later(loop, i * 1000, nothing, NULL, NULL, NULL));
    for (int i = 0; i < 20; i++) {
        kolk_timer *timer = NULL;
        TRY(kolk_timer_new(loop, nothing, NULL, NULL, &timer));
        int status = kolk_timer_start(timer, kolk_loop_time(loop) + i);
        kolk_timer_unref(timer);
        TRY(status);
    }
    kolk_waker *waker = NULL;
    TRY(kolk_waker_new(loop, nothing, NULL, NULL, &waker));
    kolk_waker_wake(waker);
    int status = kolk_loop_run_once(loop);
    kolk_waker_unref(waker);
    return status;
}

static void ignore_done(kolk_future *future, void *userdata) { (void)future, (void)userdata; }

static int use_one_future(kolk_loop *loop, kolk_future *future, int i) {
    for (int k = 0; k < 3; k++)
        TRY(kolk_future_add_done_callback(future, ignore_done, NULL, NULL));
    if (i % 3 == 0)
        return kolk_future_set_result(future, future, NULL);
    if (i % 3 == 1)
        return kolk_future_cancel(future);
    kolk_error *error = NULL;
    int status = kolk_error_new(KOLK_EIO, "failed on purpose", NULL, &error);
    int set = kolk_future_set_error(future, error);
    kolk_error_unref(error);
    kolk_future_error(future);
    (void)loop;
    return status < 0 ? status : set;
}

static int use_futures(kolk_loop *loop) {
    for (int i = 0; i < 12; i++) {
        kolk_future *future = NULL;
        TRY(kolk_future_new(loop, &future));
        int status = use_one_future(loop, future, i);
        kolk_future_unref(future);
        TRY(status);
    }
    return kolk_loop_run_once(loop);
}

static int run_to_the_end(kolk_loop *loop, kolk_future *future) {
    TRY(kolk_loop_run_until_complete(loop, future));
    return kolk_future_result(future, NULL);
}

static int gather_sleeps(kolk_loop *loop, kolk_future **sleeps, size_t count) {
    for (size_t i = 0; i < count; i++)
        TRY(kolk_sleep_async(loop, (int64_t)i * 10000, &sleeps[i]));
    kolk_future *all = NULL;
    TRY(kolk_gather(loop, sleeps, count, 0, &all));
    int status = run_to_the_end(loop, all);
    kolk_future_unref(all);
    return status;
}

static int use_gather(kolk_loop *loop) {
    kolk_future *sleeps[8] = {NULL};
    int status = gather_sleeps(loop, sleeps, COUNT(sleeps));
    for (size_t i = 0; i < COUNT(sleeps); i++)
        kolk_future_unref(sleeps[i]);
    return status;
}

static int wait_for_one(kolk_loop *loop, kolk_future *future, int64_t timeout_ns, int expected) {
    kolk_future *limited = NULL;
    TRY(kolk_wait_for_async(future, timeout_ns, &limited));
    int status = run_to_the_end(loop, limited);
    kolk_future_unref(limited);
    return status == expected ? 0 : status < 0 ? status : KOLK_EUNSPECIFIED;
}

static int use_wait_for(kolk_loop *loop) {
    kolk_future *quick = NULL, *slow = NULL;
    int status = kolk_sleep_async(loop, 10000, &quick);
    if (status == 0)
        status = wait_for_one(loop, quick, SECOND, 0);
    if (status == 0)
        status = kolk_sleep_async(loop, 1000 * SECOND, &slow);
    if (status == 0)
        status = wait_for_one(loop, slow, 10000, KOLK_ETIMEDOUT);
    kolk_future_unref(quick);
    kolk_future_unref(slow);
    return status;
}

static int sleep_a_little(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    TRY(kolk_sleep(0));
    return kolk_sleep(1000);
}

static int count_down(void *userdata, void **ret_result) {
    (void)userdata, (void)ret_result;
    for (intptr_t i = 3; i > 0; i--)
        TRY(kolk_yield((void *)i, NULL));
    return 0;
}

static int run_children(void *userdata, void **ret_result) {
    kolk_loop *loop = userdata;
    (void)ret_result;
    for (int i = 0; i < 5; i++) {
        kolk_task_options options = {.size = sizeof options, .name = "child"};
        kolk_task *child = NULL;
        TRY(kolk_create_task(loop, sleep_a_little, loop, NULL, &options, &child));
        int status = kolk_wait_for(kolk_task_as_future(child), SECOND, NULL);
        kolk_task_unref(child);
        TRY(status);
    }
    kolk_coroutine *counter = NULL;
    TRY(kolk_coroutine_new(loop, count_down, loop, NULL, 0, &counter));
    int step = KOLK_COROUTINE_YIELDED;
    while (step == KOLK_COROUTINE_YIELDED)
        step = kolk_coroutine_next(counter, NULL);
    kolk_coroutine_unref(counter);
    return step;
}

static int run_main(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata) {
    kolk_task *task = NULL;
    TRY(kolk_create_task(loop, fn, userdata, NULL, NULL, &task));
    int status = run_to_the_end(loop, kolk_task_as_future(task));
    kolk_task_unref(task);
    return status;
}

static int use_tasks(kolk_loop *loop) { return run_main(loop, run_children, loop); }

static int go_on_later(void *result, void *userdata, kolk_future *next) {
    kolk_future *later = NULL;
    TRY(kolk_sleep_async(userdata, 1000, &later));
    int status = kolk_future_follow(next, later);
    kolk_future_unref(later);
    (void)result;
    return status;
}

static int recover(kolk_error *error, void *userdata, kolk_future *next) {
    (void)userdata, (void)next;
    return kolk_error_status(error) == KOLK_ECANCELED ? 0 : kolk_error_status(error);
}

static int chain_steps(kolk_loop *loop, kolk_future *first) {
    kolk_future *last = kolk_future_ref(first);
    int status = 0;
    for (int i = 0; i < 6 && status == 0; i++) {
        kolk_future *next = NULL;
        if (i % 3 == 0)
            status = kolk_future_then(last, go_on_later, loop, NULL, &next);
        else if (i % 3 == 1)
            status = kolk_future_catch(last, recover, loop, NULL, &next);
        else
            status = kolk_shield(last, &next);
        if (status == 0) {
            kolk_future_unref(last);
            last = next;
        }
    }
    if (status == 0)
        status = run_to_the_end(loop, last);
    kolk_future_unref(last);
    return status;
}

static int use_then(kolk_loop *loop) {
    kolk_future *first = NULL;
    TRY(kolk_sleep_async(loop, 1000, &first));
    int status = chain_steps(loop, first);
    kolk_future_unref(first);
    return status;
}

static int wait_for_some(kolk_loop *loop, kolk_future **sleeps, size_t count) {
    for (size_t i = 0; i < count; i++)
        TRY(kolk_sleep_async(loop, (int64_t)i * 10000, &sleeps[i]));
    const int32_t kinds[] = {KOLK_FIRST_COMPLETED, KOLK_FIRST_ERROR, KOLK_ALL_COMPLETED};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        kolk_future *some = NULL;
        TRY(kolk_wait_async(loop, sleeps, count, kinds[i], SECOND, &some));
        int status = run_to_the_end(loop, some);
        kolk_future_unref(some);
        TRY(status);
    }
    return 0;
}

static int use_wait(kolk_loop *loop) {
    kolk_future *sleeps[12] = {NULL};
    int status = wait_for_some(loop, sleeps, COUNT(sleeps));
    for (size_t i = 0; i < COUNT(sleeps); i++)
        kolk_future_unref(sleeps[i]);
    return status;
}

static int fill_queue(kolk_loop *loop, kolk_completion_queue *queue, int count) {
    for (int i = 0; i < count; i++) {
        kolk_future *sleep = NULL;
        TRY(kolk_sleep_async(loop, i * 1000, &sleep));
        int status = kolk_completion_queue_add(queue, sleep, (uint64_t)i);
        kolk_future_unref(sleep);
        TRY(status);
    }
    return 0;
}

static int take_all(void *userdata, void **ret_result) {
    kolk_completion one;
    int status;
    (void)ret_result;
    while ((status = kolk_completion_queue_next(userdata, SECOND, &one)) == 1)
        kolk_future_unref(one.future);
    return status;
}

static int empty_queue(kolk_loop *loop, kolk_completion_queue *queue) {
    TRY(fill_queue(loop, queue, 6));
    kolk_future *next = NULL;
    TRY(kolk_completion_queue_next_async(queue, &next));
    int status = run_to_the_end(loop, next);
    kolk_future_unref(next);
    TRY(status);
    return run_main(loop, take_all, queue);
}

static int use_completion_queue(kolk_loop *loop) {
    kolk_completion_queue *queue = NULL;
    TRY(kolk_completion_queue_new(loop, &queue));
    int status = empty_queue(loop, queue);
    kolk_completion_queue_unref(queue);
    return status;
}

static int hold_permit(void *userdata, void **ret_result) {
    kolk_semaphore *semaphore = userdata;
    (void)ret_result;
    TRY(kolk_semaphore_acquire(semaphore));
    int status = kolk_sleep(1000);
    kolk_semaphore_release(semaphore);
    return status;
}

static int share_permits(kolk_loop *loop, kolk_semaphore *semaphore) {
    for (int i = 0; i < 6; i++)
        TRY(kolk_create_task(loop, hold_permit, semaphore, NULL, NULL, NULL));
    kolk_future *permit = NULL;
    TRY(kolk_semaphore_acquire_async(semaphore, &permit));
    int status = run_to_the_end(loop, permit);
    kolk_future_unref(permit);
    TRY(status);
    return kolk_semaphore_release(semaphore);
}

static int use_semaphore(kolk_loop *loop) {
    kolk_semaphore *semaphore = NULL;
    TRY(kolk_semaphore_new(loop, 2, &semaphore));
    int status = share_permits(loop, semaphore);
    /* The tasks use it until the loop has ended them. */
    int closed = kolk_loop_close(loop);
    kolk_semaphore_unref(semaphore);
    return status < 0 ? status : closed;
}

static int echo(kolk_stream *stream, void *userdata) {
    (void)userdata;
    for (;;) {
        const void *line = NULL;
        int64_t n = kolk_stream_read_until(stream, "\n", 1, &line);
        if (n <= 0)
            return (int)n;
        TRY(kolk_stream_write(stream, line, (size_t)n));
    }
}

static int talk(kolk_stream *stream) {
    char byte;
    const void *line = NULL;
    for (int i = 0; i < 3; i++) {
        TRY(kolk_stream_write(stream, "hello\n", 6));
        int64_t n = kolk_stream_read_until(stream, "\n", 1, &line);
        if (n != 6)
            return n < 0 ? (int)n : KOLK_EEOF;
    }
    TRY(kolk_stream_write_eof(stream));
    int64_t n = kolk_stream_read(stream, &byte, 1);
    return n > 0 ? KOLK_EUNSPECIFIED : (int)n;
}

static int talk_to_port(void *userdata, void **ret_result) {
    (void)ret_result;
    /* A number and a name, so that connecting with and without the resolver is tried. */
    const char *const hosts[] = {"127.0.0.1", "localhost"};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        kolk_connect_options options = {.size = sizeof options, .family = 4, .timeout_ns = 10 * SECOND};
        kolk_stream *stream = NULL;
        TRY(kolk_open_connection(hosts[i], (uint16_t)(uintptr_t)userdata, &options, &stream, NULL));
        int status = talk(stream);
        kolk_stream_unref(stream);
        TRY(status);
    }
    return 0;
}

static int use_streams(kolk_loop *loop) {
    kolk_server *server = NULL;
    TRY(kolk_start_server(loop, echo, NULL, NULL, "127.0.0.1", 0, NULL, &server, NULL));
    int status = run_main(loop, talk_to_port, (void *)(uintptr_t)kolk_server_port(server));
    kolk_server_unref(server);
    return status;
}

static int fail_to_connect(void *userdata, void **ret_result) {
    (void)ret_result;
    kolk_error *error = NULL;
    int status = kolk_open_connection("127.0.0.1", (uint16_t)(uintptr_t)userdata, NULL, &(kolk_stream *){NULL}, &error);
    /* With or without memory for the words, there is an error. */
    int told = kolk_error_status(error);
    kolk_error_unref(error);
    return told == status ? status : KOLK_EUNSPECIFIED;
}

static int use_refusal(kolk_loop *loop) {
    uint16_t port;
    int reserved = reserve_port(&port);
    int status = run_main(loop, fail_to_connect, (void *)(uintptr_t)port);
    close(reserved);
    return status == KOLK_EREFUSED ? 0 : status;
}

/* ---- The loop of failures ---- */

/* Gives up when a scenario neither ends nor fails. */
static void give_up(void *loop) { kolk_loop_stop(loop); }

struct run {
    const kolk_reactor_ops *ops;
    scenario_fn scenario;
    struct failing_allocator memory;
    int told; /* Errors of KOLK_ENOMEM at the exception handler. */
};

static void count_told(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    ((struct run *)userdata)->told += kolk_error_status(error) == KOLK_ENOMEM;
}

static int run_scenario(struct run *run) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = run->ops, .allocator = &run->memory.hook};
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    int status = kolk_loop_new(&options, &loop, &error);
    if (status < 0) {
        int told = kolk_error_status(error);
        kolk_error_unref(error);
        return told == status ? status : KOLK_EUNSPECIFIED;
    }
    status = kolk_loop_set_exception_handler(loop, count_told, run, NULL);
    if (status == 0)
        status = kolk_loop_call_later(loop, 20 * SECOND, give_up, loop, NULL, NULL);
    if (status == 0)
        status = run->scenario(loop);
    int closed = kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return closed < 0 ? KOLK_EUNSPECIFIED : status;
}

/* The other end of a connection whose task could not be made hears of it by its connection ending. */
static int says_out_of_memory(const struct run *run, int status) {
    if (status == KOLK_ENOMEM)
        return 1;
    return run->memory.failures > 0 && (status == KOLK_EEOF || status == KOLK_ERESET || status == KOLK_EPIPE);
}

static void check_attempt(struct run *run, size_t n, int sticky, int fds, int threads) {
    char where[96];
    snprintf(where, sizeof where, "%s, allocation %zu %s", run->ops->name, n, sticky ? "and all later" : "once");
    failing_allocator_init(&run->memory);
    kolk_set_default_allocator(&run->memory.hook);
    failing_allocator_arm(&run->memory, n, sticky);
    int status = run_scenario(run);
    settle_threads(threads);
    failing_allocator_disarm(&run->memory);
    kolk_set_default_allocator(NULL);
    if (status < 0 && !says_out_of_memory(run, status))
        fail_msg("%s: %s", where, kolk_status_name(status));
    if (run->memory.failures == 0 && status < 0)
        fail_msg("%s: %s though nothing failed", where, kolk_status_name(status));
    if (failing_allocator_live_blocks(&run->memory) != 0)
        fail_msg("%s: %zu blocks left, %zu bytes", where, failing_allocator_live_blocks(&run->memory),
                 failing_allocator_live_bytes(&run->memory));
    if (failing_allocator_mistakes(&run->memory) != 0)
        fail_msg("%s: released wrongly", where);
    if (open_fds() != fds)
        fail_msg("%s: %d descriptors left", where, open_fds() - fds);
    if (running_threads() != threads)
        fail_msg("%s: %d threads left", where, running_threads() - threads);
}

static void fail_every_allocation_of(scenario_fn scenario) {
    const char *names[8];
    size_t count = reactors_under_test(names, COUNT(names));
    int fds = open_fds(), threads = running_threads();
    for (size_t i = 0; i < count; i++)
        for (int sticky = 0; sticky < 2; sticky++) {
            struct run run = {.ops = reactor_under_test(names[i]), .scenario = scenario};
            assert_non_null(run.ops);
            /* A name is looked up by a thread, in real time. */
            if (scenario == use_streams && run.ops->caps & KOLK_REACTOR_CLOCK)
                continue;
            size_t n = 0;
            do
                check_attempt(&run, ++n, sticky, fds, threads);
            while (run.memory.failures > 0);
            /* A scenario without an allocation would prove nothing. */
            assert_true(n > 1);
        }
}

static void calls(void **state) {
    (void)state;
    fail_every_allocation_of(use_loop);
}

static void descriptors(void **state) {
    (void)state;
    fail_every_allocation_of(use_descriptors);
}

static void timers_and_wakers(void **state) {
    (void)state;
    fail_every_allocation_of(use_timers);
}

static void futures(void **state) {
    (void)state;
    fail_every_allocation_of(use_futures);
}

static void gather(void **state) {
    (void)state;
    fail_every_allocation_of(use_gather);
}

static void wait_for(void **state) {
    (void)state;
    fail_every_allocation_of(use_wait_for);
}

static void then_and_shield(void **state) {
    (void)state;
    fail_every_allocation_of(use_then);
}

static void wait(void **state) {
    (void)state;
    fail_every_allocation_of(use_wait);
}

static void completion_queues(void **state) {
    (void)state;
    fail_every_allocation_of(use_completion_queue);
}

static void tasks_and_coroutines(void **state) {
    (void)state;
    fail_every_allocation_of(use_tasks);
}

static void semaphores(void **state) {
    (void)state;
    fail_every_allocation_of(use_semaphore);
}

static void an_echo_over_streams(void **state) {
    (void)state;
    fail_every_allocation_of(use_streams);
}

static void a_refused_connection(void **state) {
    (void)state;
    fail_every_allocation_of(use_refusal);
}

/* ---- What takes no memory ---- */

static int sleep_long(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(1000 * SECOND);
    record(userdata, "%s", kolk_status_name(status));
    return status;
}

static int await_long(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_await(userdata, NULL);
}

/* Cancelling, closing and delivering errors need no memory, so that they work when there is none. */
static void cancelling_closing_and_failing_take_no_memory(void **state) {
    struct fixture *f = *state;
    kolk_future *failing = new_future(f), *awaited = new_future(f), *sleeping = NULL;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, 1000 * SECOND, &sleeping), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, NULL, NULL, &handle), 0);
    assert_int_equal(kolk_future_add_done_callback(failing, ignore_done, NULL, NULL), 0);
    kolk_task *sleeper = spawn(f, sleep_long), *waiter = spawn_with(f, await_long, awaited);
    drive_during(f, MS);

    failing_allocator_arm(&f->memory, 1, 1);
    int cancelled = kolk_future_cancel(sleeping) + kolk_task_cancel(sleeper) + kolk_task_cancel(waiter);
    int taken_back = kolk_handle_cancel(handle);
    int failed = kolk_future_set_error(failing, kolk_error_of(KOLK_EIO));
    int ended = 0;
    for (int i = 0; i < 100 && !(kolk_task_done(sleeper) && kolk_task_done(waiter)); i++)
        ended = kolk_loop_dispatch(f->loop, NULL, NULL);
    int reason = kolk_future_result(failing, NULL);
    int sleeper_status = kolk_task_result(sleeper, NULL), waiter_status = kolk_task_result(waiter, NULL);
    size_t asked = failing_allocator_disarm(&f->memory);

    kolk_future_unref(failing);
    kolk_future_unref(awaited);
    kolk_future_unref(sleeping);
    kolk_handle_unref(handle);
    kolk_task_unref(sleeper);
    kolk_task_unref(waiter);
    assert_int_equal(cancelled, 3);
    assert_int_equal(taken_back, 0);
    assert_int_equal(failed, 0);
    assert_int_equal(ended, 0);
    assert_int_equal(reason, KOLK_EIO);
    assert_int_equal(sleeper_status, KOLK_ECANCELED);
    assert_int_equal(waiter_status, KOLK_ECANCELED);
    assert_int_equal(asked, 0);
    assert_record(f, "KOLK_ECANCELED");
}

static size_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A stack that cannot be mapped refuses its task, and nobody else's. */
static void without_address_space_a_task_is_refused(void **state) {
    struct fixture *f = *state;
    enum { STACK = 64 * 1024 * 1024 };
    kolk_task_options options = {.size = sizeof options, .stack_size = STACK};
    struct rlimit old, narrow;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    narrow = old;
    narrow.rlim_cur = address_space() + (rlim_t)4 * STACK;
    assert_int_equal(setrlimit(RLIMIT_AS, &narrow), 0);
    int status = 0, made = 0, destroyed = 0;
    while (status == 0 && made < 10) {
        status = kolk_create_task(f->loop, sleep_long, f, NULL, &options, NULL);
        made += status == 0;
    }
    int refused = kolk_create_task(f->loop, sleep_long, &destroyed, count_destroy, &options, NULL);
    setrlimit(RLIMIT_AS, &old);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_int_equal(refused, KOLK_ENOMEM);
    assert_int_equal(destroyed, 1);
    assert_true(made >= 1);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_memory_equal(f->record, "KOLK_ECANCELED", 14);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule scenarios[] = {
        RULE(calls),
        RULE(descriptors),
        RULE(timers_and_wakers),
        RULE(futures),
        RULE(gather),
        RULE(wait_for),
        RULE(then_and_shield),
        RULE(wait),
        RULE(completion_queues),
        RULE(tasks_and_coroutines),
        RULE(semaphores),
        RULE(an_echo_over_streams),
        RULE(a_refused_connection),
    };
    static const struct rule plain[] = {
        RULE(cancelling_closing_and_failing_take_no_memory),
        RULE(without_address_space_a_task_is_refused),
    };
    return run_bare("out of memory", scenarios, COUNT(scenarios)) + run_plain("without memory", plain, COUNT(plain));
}
