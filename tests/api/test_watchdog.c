/* Turns that take too long, and who hears of it. */
#include "support/driver.h"
#include "support/resources.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a turn may be where stalls are wanted; and where none must be reported, on a machine that is busy with other things.
 */
enum { SHORT_MS = 2, LONG_MS = 300 };

enum { KEPT_FRAMES = 64, PATIENCE_S = 30, USED_UP = 8 * 1024 };

/* What a handler was told. It is another thread that writes it: the counters are written last. */
struct stalls {
    int told, destroyed, destroyed_while_running, running;
    int wait_for_close; /* The handler lingers until somebody else is about to wait for it. */
    int reached;        /* Somebody is. */
    int wrong_size;
    int64_t shortest;
    uint32_t frame_count;
    void *frames[KEPT_FRAMES];
    char task[64], location[128], text[16384];
};

static int get(const int *counter) { return __atomic_load_n(counter, __ATOMIC_ACQUIRE); }
static void set(int *counter, int value) { __atomic_store_n(counter, value, __ATOMIC_RELEASE); }

static void nap(int64_t duration_ns) {
    struct timespec left = {.tv_sec = duration_ns / SECOND, .tv_nsec = duration_ns % SECOND};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void note_stall(const kolk_stall *stall, void *userdata) {
    struct stalls *self = userdata;
    set(&self->running, 1);
    self->wrong_size |= stall->size != sizeof *stall || stall->frame_count > KEPT_FRAMES;
    if (self->told == 0 || stall->duration_ns < self->shortest)
        self->shortest = stall->duration_ns;
    self->frame_count = stall->frame_count;
    memcpy(self->frames, stall->frames, stall->frame_count * sizeof *stall->frames);
    copy(self->task, sizeof self->task, stall->task);
    copy(self->location, sizeof self->location, stall->location);
    copy(self->text, sizeof self->text, stall->text);
    __atomic_add_fetch(&self->told, 1, __ATOMIC_RELEASE);
    while (self->wait_for_close && !get(&self->reached))
        nap(MS / 10);
    if (self->wait_for_close)
        nap(20 * MS);
    set(&self->running, 0);
}

static void note_destroy(void *userdata) {
    struct stalls *self = userdata;
    self->destroyed_while_running += get(&self->running);
    self->destroyed++;
}

/* Where a program hangs. In a section of its own, so that its addresses are known. */
__attribute__((noinline, section("kolk_test_blocking"))) static void block_until_told(const struct stalls *stalls, int told) {
    for (int64_t waited = 0; get(&stalls->told) < told && waited < PATIENCE_S * SECOND; waited += MS)
        nap(MS);
}

extern const char __start_kolk_test_blocking[], __stop_kolk_test_blocking[];

static int stack_contains_block(const struct stalls *stalls) {
    for (uint32_t i = 0; i < stalls->frame_count; i++) {
        const char *address = stalls->frames[i];
        if (address > __start_kolk_test_blocking && address < __stop_kolk_test_blocking)
            return 1;
    }
    return 0;
}

static void watch(struct fixture *f, int64_t threshold_ms, struct stalls *stalls) {
    assert_int_equal(kolk_loop_watch_stalls(f->loop, threshold_ms * MS, note_stall, stalls, note_destroy), 0);
}

/* One more stall, from inside a callback. */
static void stall_once(void *userdata) {
    struct stalls *stalls = userdata;
    block_until_told(stalls, get(&stalls->told) + 1);
}

static void call(struct fixture *f, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_soon(f->loop, fn, userdata, NULL, NULL), 0);
    drive_once(f);
}

static void stall_and_linger(void *userdata) {
    stall_once(userdata);
    nap(20 * SHORT_MS * MS);
}

/* A callback that blocks is reported, once, however long it goes on, in each way to drive a loop. */
static void a_blocking_callback_is_reported_once(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    call(f, stall_and_linger, &stalls);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(stalls.told, 1);
    assert_int_equal(stalls.wrong_size, 0);
    assert_true(stalls.shortest >= SHORT_MS * MS);
    finish_loop(f);
}

/* The report has the stack of the blocking thread, with what blocks. */
static void the_stack_contains_what_blocks(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 1);
    assert_true(stack_contains_block(&stalls));
    assert_non_null(strstr(stalls.text, "test_watchdog+0x"));
    assert_non_null(strstr(stalls.text, "libkolk.so"));
    finish_loop(f);
}

static int stall_in_task(void *userdata, void **ret_result) {
    (void)ret_result;
    stall_once(userdata);
    return 0;
}

/* A task that blocks is called by its name and by the place where it was made; its stack ends where the task begins. */
static void a_blocking_task_is_named(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    kolk_task_options options = {.size = sizeof options, .name = "import", .location = "import.c:42"};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, stall_in_task, &stalls, NULL, &options, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(stalls.told, 1);
    assert_string_equal(stalls.task, "import");
    assert_string_equal(stalls.location, "import.c:42");
    assert_non_null(strstr(stalls.text, "'import'"));
    assert_non_null(strstr(stalls.text, "import.c:42"));
    assert_true(stack_contains_block(&stalls));
    assert_true(stalls.frame_count < KEPT_FRAMES);
    finish_loop(f);
}

/* Where nobody said where a task was made, the call that made it is looked up. */
static void a_task_without_a_location_has_that_of_its_call(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    assert_int_equal(join(f, spawn_with(f, stall_in_task, &stalls)), 0);
    assert_string_equal(stalls.task, "");
    assert_non_null(strstr(stalls.location, "test_watchdog+0x"));
    finish_loop(f);
}

/* A callback has no task. */
static void a_blocking_callback_has_no_name(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {.task = "?", .location = "?"};
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    assert_string_equal(stalls.task, "");
    assert_string_equal(stalls.location, "");
    assert_non_null(strstr(stalls.text, "in a callback"));
    finish_loop(f);
}

/* A budget is kept between callbacks. What a single one takes is a stall. */
static void a_stall_within_a_budget_is_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    const kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    watch(f, SHORT_MS, &stalls);
    assert_int_equal(kolk_loop_call_soon(f->loop, stall_once, &stalls, NULL, NULL), 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_int_equal(stalls.told, 1);
    finish_loop(f);
}

/* Two turns that take too long are two stalls. */
static void each_stall_is_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 2);
    assert_true(stalls.shortest >= SHORT_MS * MS);
    finish_loop(f);
}

static void stop(void *loop) { kolk_loop_stop(loop); }

/* A loop that sleeps does not stall. The stall afterwards shows that somebody was watching. */
static void a_sleeping_loop_is_not_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, LONG_MS, &stalls);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "going to sleep"), NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, 3 * LONG_MS * MS, stop, f->loop, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "going to sleep");
    assert_int_equal(get(&stalls.told), 0);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 1);
    assert_true(stalls.shortest >= LONG_MS * MS);
    finish_loop(f);
}

/* Nor does one that nobody runs. */
static void a_loop_between_turns_is_not_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, LONG_MS, &stalls);
    call(f, say, word(f, "once"));
    nap(2 * LONG_MS * MS);
    assert_int_equal(get(&stalls.told), 0);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 1);
    finish_loop(f);
}

struct chain {
    struct fixture *f;
    int64_t end;
    int stop_failed;
};

static void go_on(void *userdata) {
    struct chain *self = userdata;
    int64_t now = kolk_loop_time(self->f->loop);
    if (now >= self->end || kolk_loop_call_soon(self->f->loop, go_on, self, NULL, NULL) < 0)
        self->stop_failed = kolk_loop_stop(self->f->loop);
}

struct nap_inside {
    struct fixture *f;
    int status;
};

static void sleep_inside(void *userdata) {
    struct nap_inside *self = userdata;
    kolk_future *future = NULL;
    self->status = kolk_sleep_async(self->f->loop, 3 * LONG_MS * MS, &future);
    if (self->status == 0)
        self->status = kolk_loop_run_nested(self->f->loop, future);
    kolk_future_unref(future);
}

/* A callback that waits by running the loop holds up nobody. */
static void a_nested_wait_is_not_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    struct nap_inside inside = {.f = f, .status = 1};
    watch(f, LONG_MS, &stalls);
    call(f, sleep_inside, &inside);
    assert_int_equal(inside.status, 0);
    assert_int_equal(get(&stalls.told), 0);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 1);
    finish_loop(f);
}

/* A loop that is busy with many short callbacks does not stall. */
static void many_short_callbacks_are_not_reported(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, LONG_MS, &stalls);
    struct chain chain = {.f = f, .end = kolk_loop_time(f->loop) + 3 * LONG_MS * MS};
    assert_int_equal(kolk_loop_call_soon(f->loop, go_on, &chain, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_int_equal(chain.stop_failed, 0);
    assert_int_equal(get(&stalls.told), 0);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 1);
    finish_loop(f);
}

/* A new handler takes the place of the old one, which is released. */
static void a_handler_is_replaced(void **state) {
    struct fixture *f = *state;
    struct stalls first = {0}, second = {0};
    watch(f, SHORT_MS, &first);
    call(f, stall_once, &first);
    watch(f, SHORT_MS, &second);
    assert_int_equal(first.destroyed, 1);
    call(f, stall_once, &second);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(first.told, 1);
    assert_int_equal(second.told, 1);
    assert_int_equal(first.destroyed, 1);
    assert_int_equal(second.destroyed, 1);
    finish_loop(f);
}

/* NULL ends the watch, and the last watch takes the thread along. */
static void without_a_handler_nobody_watches(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0}, unused = {0};
    watch(f, SHORT_MS, &stalls);
    assert_int_equal(running_threads(), f->threads + 1);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, 0, NULL, &unused, note_destroy), 0);
    assert_int_equal(settle_threads(f->threads), f->threads);
    assert_int_equal(stalls.destroyed, 1);
    assert_int_equal(unused.destroyed, 1);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, 0, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(stalls.destroyed, 1);
    finish_loop(f);
}

/* A loop that was not watched pays for no thread; one that closes takes its handler along. */
static void closing_ends_the_watch(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    assert_int_equal(running_threads(), f->threads);
    watch(f, SHORT_MS, &stalls);
    assert_int_equal(stalls.destroyed, 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(stalls.destroyed, 1);
    assert_int_equal(settle_threads(f->threads), f->threads);
    finish_loop(f);
}

/* A handler that is running is waited for before it is released. */
static void closing_waits_for_the_handler(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {.wait_for_close = 1};
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    set(&stalls.reached, 1);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(stalls.told, 1);
    assert_int_equal(stalls.running, 0);
    assert_int_equal(stalls.destroyed, 1);
    assert_int_equal(stalls.destroyed_while_running, 0);
    finish_loop(f);
}

struct replacement {
    struct fixture *f;
    struct stalls *old, *new;
    int status;
};

static void stall_and_replace(void *userdata) {
    struct replacement *self = userdata;
    stall_once(self->old);
    set(&self->old->reached, 1);
    self->status = kolk_loop_watch_stalls(self->f->loop, PATIENCE_S * SECOND, note_stall, self->new, note_destroy);
}

/* So is one that is replaced in the very turn that it is told of. */
static void replacing_waits_for_the_handler(void **state) {
    struct fixture *f = *state;
    struct stalls old = {.wait_for_close = 1}, new = {0};
    struct replacement replacement = {.f = f, .old = &old, .new = &new, .status = 1};
    watch(f, SHORT_MS, &old);
    call(f, stall_and_replace, &replacement);
    assert_int_equal(replacement.status, 0);
    assert_int_equal(old.destroyed, 1);
    assert_int_equal(old.destroyed_while_running, 0);
    assert_int_equal(new.destroyed, 0);
    finish_loop(f);
}

static int stall_when_cancelled(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(SECOND);
    stall_once(userdata);
    return status;
}

/* A task that blocks while its loop is closing is reported too. */
static void a_closing_loop_is_still_watched(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    assert_int_equal(kolk_create_task(f->loop, stall_when_cancelled, &stalls, NULL, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(stalls.told, 1);
    assert_int_equal(stalls.destroyed, 1);
    finish_loop(f);
}

struct attempt {
    kolk_loop *loop;
    struct stalls stalls;
    int status;
};

static void *watch_elsewhere(void *userdata) {
    struct attempt *self = userdata;
    self->status = kolk_loop_watch_stalls(self->loop, SECOND, note_stall, &self->stalls, note_destroy);
    return NULL;
}

/* A refused call releases what it was given and leaves the handler that was there. */
static void a_refused_handler_is_released(void **state) {
    struct fixture *f = *state;
    struct stalls kept = {0}, refused = {0};
    watch(f, SHORT_MS, &kept);
    assert_int_equal(kolk_loop_watch_stalls(NULL, SECOND, note_stall, &refused, note_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, MS - 1, note_stall, &refused, note_destroy), KOLK_EINVAL);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, -SECOND, note_stall, &refused, note_destroy), KOLK_EINVAL);
    assert_int_equal(refused.destroyed, 3);
    failing_allocator_arm(&f->memory, 1, 0);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, SECOND, note_stall, &refused, note_destroy), KOLK_ENOMEM);
    assert_true(failing_allocator_disarm(&f->memory) > 0);
    assert_int_equal(refused.destroyed, 4);
    struct attempt attempt = {.loop = f->loop};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch_elsewhere, &attempt), 0);
    pthread_join(thread, NULL);
    assert_int_equal(attempt.status, KOLK_ETHREAD);
    assert_int_equal(attempt.stalls.destroyed, 1);

    call(f, stall_once, &kept);
    assert_int_equal(kept.told, 1);
    assert_int_equal(kept.destroyed, 0);
    finish_loop(f);
}

/* A closed loop has nothing to watch. */
static void a_closed_loop_is_not_watched(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, SECOND, note_stall, &stalls, note_destroy), KOLK_ECLOSED);
    assert_int_equal(stalls.destroyed, 1);
    finish_loop(f);
}

static int urgent;

static void count_urgent(int number) {
    (void)number;
    __atomic_add_fetch(&urgent, 1, __ATOMIC_RELAXED);
}

static void (*urgent_handler(void))(int) {
    struct sigaction current;
    assert_int_equal(sigaction(SIGURG, NULL, &current), 0);
    return current.sa_handler;
}

/* A program that handles SIGURG keeps it, undisturbed; it hears of stalls without a stack. */
static void a_handler_of_the_program_stays(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    struct sigaction mine = {.sa_handler = count_urgent}, before;
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    assert_true(stalls.frame_count > 0);
    sigaction(SIGURG, &mine, &before);
    urgent = 0;
    call(f, stall_once, &stalls);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_ptr_equal(urgent_handler(), count_urgent);
    mine.sa_handler = SIG_DFL;
    sigaction(SIGURG, &mine, NULL);
    assert_int_equal(stalls.told, 2);
    assert_int_equal(stalls.frame_count, 0);
    assert_non_null(strstr(stalls.text, "SIGURG"));
    assert_int_equal(urgent, 0);
    finish_loop(f);
}

/* What SIGURG did before, it does again when nobody is watched any more. */
static void the_signal_is_given_back(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    signal(SIGURG, SIG_IGN);
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    assert_true(stalls.frame_count > 0);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, 0, NULL, NULL, NULL), 0);
    assert_ptr_equal(urgent_handler(), SIG_IGN);
    signal(SIGURG, SIG_DFL);
    finish_loop(f);
}

/* A thread that blocks the signal is reported without a stack. */
static void a_thread_that_blocks_the_signal_has_no_stack(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGURG);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    watch(f, SHORT_MS, &stalls);
    call(f, stall_once, &stalls);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(stalls.told, 1);
    assert_int_equal(stalls.frame_count, 0);
    assert_non_null(strstr(stalls.text, "did not answer"));
    call(f, stall_once, &stalls);
    assert_true(stack_contains_block(&stalls));
    finish_loop(f);
}

struct reader {
    int pair[2];
    char got;
    ssize_t count;
    int error;
};

static void read_blocking(void *userdata) {
    struct reader *self = userdata;
    self->count = read(self->pair[0], &self->got, 1);
    self->error = errno;
}

static void write_one(const kolk_stall *stall, void *userdata) {
    struct reader *self = userdata;
    (void)stall;
    (void)!write(self->pair[1], "x", 1);
}

/* A system call that is interrupted to look at the stack goes on. */
static void an_interrupted_call_goes_on(void **state) {
    struct fixture *f = *state;
    struct reader reader = {.count = 0};
    assert_int_equal(pipe(reader.pair), 0);
    assert_int_equal(kolk_loop_watch_stalls(f->loop, SHORT_MS * MS, write_one, &reader, NULL), 0);
    call(f, read_blocking, &reader);
    assert_int_equal(reader.count, 1);
    assert_int_equal(reader.got, 'x');
    finish_loop(f);
    close_pair(reader.pair);
}

/* A loop of another thread, with a handler of its own. */
struct other {
    struct stalls stalls;
    int status;
};

static int stall_a_loop(struct stalls *stalls) {
    kolk_loop *loop = NULL;
    int status = kolk_loop_new(NULL, &loop, NULL);
    if (status < 0)
        return status;
    status = kolk_loop_watch_stalls(loop, SHORT_MS * MS, note_stall, stalls, note_destroy);
    if (status == 0)
        status = kolk_loop_call_soon(loop, stall_once, stalls, NULL, NULL);
    if (status == 0)
        status = kolk_loop_run_once(loop);
    if (status >= 0)
        status = kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return status;
}

static void *stall_elsewhere(void *userdata) {
    struct other *self = userdata;
    self->status = stall_a_loop(&self->stalls);
    return NULL;
}

/* Loops on several threads are watched together; each handler hears of its own loop. */
static void loops_on_several_threads_are_watched(void **state) {
    struct fixture *f = *state;
    struct stalls mine = {0};
    struct other others[4] = {{.status = 1}, {.status = 1}, {.status = 1}, {.status = 1}};
    pthread_t threads[COUNT(others)];
    watch(f, SHORT_MS, &mine);
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, stall_elsewhere, &others[i]), 0);
    call(f, stall_once, &mine);
    for (size_t i = 0; i < COUNT(others); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(mine.told, 1);
    assert_true(stack_contains_block(&mine));
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(others[i].status, 0);
        assert_int_equal(others[i].stalls.told, 1);
        assert_true(stack_contains_block(&others[i].stalls));
        assert_int_equal(others[i].stalls.destroyed, 1);
    }
    finish_loop(f);
}

/* Watches come and go on several threads, the last one again and again. */
static void *come_and_go(void *userdata) {
    struct other *self = userdata;
    kolk_loop *loop = NULL;
    self->status = kolk_loop_new(NULL, &loop, NULL);
    for (int i = 0; i < 50 && self->status == 0; i++) {
        self->status = kolk_loop_watch_stalls(loop, SECOND, note_stall, &self->stalls, note_destroy);
        if (self->status == 0)
            self->status = kolk_loop_watch_stalls(loop, 0, NULL, NULL, NULL);
    }
    kolk_loop_unref(loop);
    return NULL;
}

static void watches_come_and_go_on_any_thread(void **state) {
    struct fixture *f = *state;
    struct other others[4] = {{.status = 1}, {.status = 1}, {.status = 1}, {.status = 1}};
    pthread_t threads[COUNT(others)];
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &others[i]), 0);
    for (size_t i = 0; i < COUNT(others); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(others[i].status, 0);
        assert_int_equal(others[i].stalls.destroyed, 50);
    }
    assert_int_equal(settle_threads(f->threads), f->threads);
}

struct nested {
    struct stalls *outer;
    struct stalls inner;
    kolk_callback_fn inner_call;
    int status;
};

static void stall_both(void *userdata) {
    struct nested *self = userdata;
    block_until_told(&self->inner, 1);
    block_until_told(self->outer, 1);
}

static void run_inner_loop(void *userdata) {
    struct nested *self = userdata;
    kolk_loop *loop = NULL;
    self->status = kolk_loop_new(NULL, &loop, NULL);
    if (self->status < 0)
        return;
    self->status = kolk_loop_watch_stalls(loop, SHORT_MS * MS, note_stall, &self->inner, note_destroy);
    kolk_loop_call_soon(loop, self->inner_call, self, NULL, NULL);
    kolk_loop_run_once(loop);
    kolk_loop_unref(loop);
}

/* A loop that runs in a callback of another one holds up both. */
static void a_nested_loop_stalls_both(void **state) {
    struct fixture *f = *state;
    struct stalls outer = {0};
    struct nested nested = {.outer = &outer, .inner_call = stall_both, .status = 1};
    watch(f, SHORT_MS, &outer);
    call(f, run_inner_loop, &nested);
    assert_int_equal(nested.status, 0);
    assert_int_equal(outer.told, 1);
    assert_int_equal(nested.inner.told, 1);
    assert_int_equal(nested.inner.destroyed, 1);
    finish_loop(f);
}

static void stall_inner(void *userdata) {
    struct nested *self = userdata;
    stall_and_linger(&self->inner);
}

/* What is too long for one loop may be short enough for another. */
static void each_loop_has_its_own_threshold(void **state) {
    struct fixture *f = *state;
    struct stalls patient = {0};
    struct nested nested = {.inner_call = stall_inner, .status = 1};
    watch(f, PATIENCE_S * 1000, &patient);
    call(f, run_inner_loop, &nested);
    assert_int_equal(nested.inner.told, 1);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(patient.told, 0);
    finish_loop(f);
}

/* Goes down on a stack until a stall there finds little of it left. */
__attribute__((noinline)) static int stall_below(struct stalls *stalls, uintptr_t bottom) {
    volatile char here[256];
    here[0] = 0;
    if ((uintptr_t)__builtin_frame_address(0) > bottom)
        return stall_below(stalls, bottom) + here[0];
    stall_once(stalls);
    return here[0];
}

static int stall_deep(void *userdata, void **ret_result) {
    (void)ret_result;
    return stall_below(userdata, (uintptr_t)__builtin_frame_address(0) - USED_UP);
}

/* A task that has little of its stack left survives being looked at: its frames are left alone, if need be. */
static void a_cramped_task_survives(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {0};
    watch(f, SHORT_MS, &stalls);
    kolk_task_options options = {.size = sizeof options, .name = "deep", .stack_size = 16 * 1024};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, stall_deep, &stalls, NULL, &options, &task), 0);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(stalls.told, 1);
    assert_string_equal(stalls.task, "deep");
    assert_true(stack_contains_block(&stalls) || strstr(stalls.text, "too little of its stack"));
    finish_loop(f);
}

/* In a child that was forked in the middle of a stall, while the handler was running. */
static int watch_in_child(kolk_loop *inherited) {
    struct stalls refused = {0}, own = {0};
    alarm(PATIENCE_S);
    if (kolk_loop_watch_stalls(inherited, SECOND, note_stall, &refused, note_destroy) != KOLK_EFORKED || refused.destroyed != 1)
        return 1;
#if defined(__SANITIZE_THREAD__)
#define NO_THREADS_IN_CHILD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_THREADS_IN_CHILD 1
#endif
#endif
#ifndef NO_THREADS_IN_CHILD /* The thread sanitizer refuses to start any there. */
    if (stall_a_loop(&own) != 0 || own.destroyed != 1)
        return 2;
#endif
    return own.told == 0 || stack_contains_block(&own) ? 0 : 3;
}

struct forking {
    struct fixture *f;
    struct stalls *stalls;
    int status;
};

static void fork_in_a_stall(void *userdata) {
    struct forking *self = userdata;
    stall_once(self->stalls);
    pid_t child = fork();
    if (child == 0)
        _exit(watch_in_child(self->f->loop));
    int status = -1;
    self->status = waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 100;
    set(&self->stalls->reached, 1);
}

/* A child has nobody who watches, and may begin to; the parent goes on. */
static void a_forked_child_begins_anew(void **state) {
    struct fixture *f = *state;
    struct stalls stalls = {.wait_for_close = 1};
    struct forking forking = {.f = f, .stalls = &stalls, .status = -1};
    watch(f, SHORT_MS, &stalls);
    call(f, fork_in_a_stall, &forking);
    assert_int_equal(forking.status, 0);
    call(f, stall_once, &stalls);
    assert_int_equal(stalls.told, 2);
    finish_loop(f);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_blocking_callback_is_reported_once),
    };
    static const struct rule rules[] = {
        RULE(the_stack_contains_what_blocks),
        RULE(a_blocking_task_is_named),
        RULE(a_task_without_a_location_has_that_of_its_call),
        RULE(a_blocking_callback_has_no_name),
        RULE(a_stall_within_a_budget_is_reported),
        RULE(each_stall_is_reported),
        RULE(a_sleeping_loop_is_not_reported),
        RULE(a_loop_between_turns_is_not_reported),
        RULE(a_nested_wait_is_not_reported),
        RULE(many_short_callbacks_are_not_reported),
        RULE(a_handler_is_replaced),
        RULE(without_a_handler_nobody_watches),
        RULE(closing_ends_the_watch),
        RULE(closing_waits_for_the_handler),
        RULE(replacing_waits_for_the_handler),
        RULE(a_closing_loop_is_still_watched),
        RULE(a_refused_handler_is_released),
        RULE(a_closed_loop_is_not_watched),
        RULE(a_handler_of_the_program_stays),
        RULE(the_signal_is_given_back),
        RULE(a_thread_that_blocks_the_signal_has_no_stack),
        RULE(an_interrupted_call_goes_on),
        RULE(loops_on_several_threads_are_watched),
        RULE(watches_come_and_go_on_any_thread),
        RULE(a_nested_loop_stalls_both),
        RULE(each_loop_has_its_own_threshold),
        RULE(a_cramped_task_survives),
        RULE(a_forked_child_begins_anew),
    };
    return run_matrix("watchdog on each reactor", matrix, COUNT(matrix)) + run_plain("watchdog", rules, COUNT(rules));
}
