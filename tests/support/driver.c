#include "driver.h"

#include "resources.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REACTOR_COUNT = 8, PATIENCE_MS = 5000 };

static const char *const mode_names[] = {"own", "thirds", "handle"};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- Reactors ---- */

size_t reactors_under_test(const char **ret_names, size_t capacity) {
    static char buffer[256];
    const char *chosen = getenv("KOLK_TEST_REACTORS");
    snprintf(buffer, sizeof buffer, "%s", chosen && *chosen ? chosen : "epoll poll select libevent");
    size_t count = 0;
    for (char *name = strtok(buffer, " "); name && count < capacity; name = strtok(NULL, " "))
        ret_names[count++] = name;
    return count;
}

/* A reactor that is not built into the library is a module in the directory that KOLK_TEST_MODULES names. */
const kolk_reactor_ops *reactor_under_test(const char *name) {
    const kolk_reactor_ops *ops = NULL;
    if (kolk_reactor_find(name, &ops, NULL) == 0)
        return ops;
    const char *directory = getenv("KOLK_TEST_MODULES");
    char path[4096];
    snprintf(path, sizeof path, "%s/kolk-reactor-%s.so", directory ? directory : "", name);
    kolk_error *error = NULL;
    if (kolk_reactor_load(path, &ops, &error) < 0) {
        fprintf(stderr, "reactor %s: %s: %s\n", name, path, kolk_error_message(error));
        kolk_error_unref(error);
        return NULL;
    }
    return ops;
}

/* ---- The matrix ---- */

/* What a test is made from before it has a fixture. */
struct entry {
    const char *reactor;
    enum drive_mode mode;
    char name[160];
};

static const char *pattern;

void select_tests(int argc, char **argv) {
    pattern = argc > 1 ? argv[1] : NULL;
    if (pattern)
        cmocka_set_test_filter(pattern);
}

static int set_up(void **state) {
    const struct entry *entry = *state;
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    *state = f;
    f->reactor = entry->reactor;
    f->mode = entry->mode;
    f->ops = reactor_under_test(entry->reactor);
    assert_non_null(f->ops);
    failing_allocator_init(&f->memory);
    f->fds = open_fds();
    f->threads = running_threads();
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
    kolk_error *error = NULL;
    if (kolk_loop_new(&options, &f->loop, &error) != 0)
        fail_msg("%s", kolk_error_message(error));
    return 0;
}

void finish_loop(struct fixture *f) {
    if (f->loop) {
        assert_int_equal(kolk_loop_close(f->loop), 0);
        f->loop = kolk_loop_unref(f->loop);
    }
    /* A name that is being resolved cannot be called back: its thread ends, and gives back what it holds, a little later. */
    settle_threads(f->threads);
    assert_int_equal(failing_allocator_mistakes(&f->memory), 0);
    assert_int_equal(failing_allocator_live_blocks(&f->memory), 0);
    assert_int_equal(failing_allocator_live_bytes(&f->memory), 0);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    finish_loop(f);
    assert_int_equal(running_threads(), f->threads);
    assert_int_equal(open_fds(), f->fds);
    free(f);
    return 0;
}

static struct CMUnitTest make_test(const struct rule *rule, struct entry *entry, const char *prefix) {
    size_t used = (size_t)snprintf(entry->name, sizeof entry->name, "%s", prefix);
    snprintf(entry->name + used, sizeof entry->name - used, "%s", rule->name);
    for (char *c = entry->name + used; *c; c++)
        if (*c == '_')
            *c = ' ';
    return (struct CMUnitTest){.name = entry->name, .test_func = rule->check, .initial_state = entry};
}

static void *end_at_once(void *nothing) { return nothing; }

/* The thread sanitizer starts a thread of its own with the first one of the program, which is not to be counted. */
static void start_first_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_at_once, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

static int rules_left;

/* A rule that ends the program would pass, and all that come after it with it. */
static void fail_when_left(void) {
    if (rules_left) {
        fprintf(stderr, "the program ended in the middle of the rules\n");
        _exit(EXIT_FAILURE);
    }
}

static int run_all(const char *suite, struct CMUnitTest *tests, struct entry *entries, size_t count) {
    start_first_thread();
    atexit(fail_when_left);
    rules_left = 1;
    int failed = _cmocka_run_group_tests(suite, tests, count, NULL, NULL);
    rules_left = 0;
    free(tests);
    free(entries);
    return failed;
}

int run_matrix(const char *suite, const struct rule *rules, size_t count) {
    const char *names[REACTOR_COUNT];
    size_t reactors = reactors_under_test(names, REACTOR_COUNT);
    size_t capacity = count * reactors * COUNT(mode_names), used = 0;
    struct CMUnitTest *tests = calloc(capacity, sizeof *tests);
    struct entry *entries = calloc(capacity, sizeof *entries);
    if (!tests || !entries)
        abort();
    for (size_t reactor = 0; reactor < reactors; reactor++) {
        const kolk_reactor_ops *ops = reactor_under_test(names[reactor]);
        for (size_t mode = 0; mode < COUNT(mode_names); mode++) {
            if (mode == DRIVE_HANDLE && ops && !(ops->caps & KOLK_REACTOR_GET_FD))
                continue;
            for (size_t i = 0; i < count; i++, used++) {
                char prefix[80];
                snprintf(prefix, sizeof prefix, "%s/%s: ", names[reactor], mode_names[mode]);
                entries[used] = (struct entry){.reactor = names[reactor], .mode = (enum drive_mode)mode};
                tests[used] = make_test(&rules[i], &entries[used], prefix);
                tests[used].setup_func = set_up;
                tests[used].teardown_func = tear_down;
            }
        }
    }
    return run_all(suite, tests, entries, used);
}

static int run_list(const char *suite, const struct rule *rules, size_t count, int with_fixture) {
    const char *names[REACTOR_COUNT];
    if (reactors_under_test(names, REACTOR_COUNT) == 0)
        abort();
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    struct entry *entries = calloc(count, sizeof *entries);
    if (!tests || !entries)
        abort();
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){.reactor = names[0], .mode = DRIVE_OWN};
        tests[i] = make_test(&rules[i], &entries[i], "");
        if (with_fixture) {
            tests[i].setup_func = set_up;
            tests[i].teardown_func = tear_down;
        } else {
            tests[i].initial_state = NULL;
        }
    }
    return run_all(suite, tests, entries, count);
}

int run_plain(const char *suite, const struct rule *rules, size_t count) { return run_list(suite, rules, count, 1); }

int run_bare(const char *suite, const struct rule *rules, size_t count) { return run_list(suite, rules, count, 0); }

/* ---- The record ---- */

void record(struct fixture *f, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int more = snprintf(f->record + f->recorded, sizeof f->record - f->recorded, "%s%s", f->recorded ? " " : "", text);
    f->recorded += (size_t)more;
    if (f->recorded >= sizeof f->record)
        f->recorded = sizeof f->record - 1; /* A record that is too long is cut, and compares unequal. */
}

void clear_record(struct fixture *f) {
    f->recorded = 0;
    f->record[0] = '\0';
}

void *word(struct fixture *f, const char *text) {
    assert_true(f->word_count < WORD_COUNT);
    struct word *made = &f->words[f->word_count++];
    *made = (struct word){.fixture = f, .text = text};
    return made;
}

void say(void *word) {
    struct word *self = word;
    record(self->fixture, "%s", self->text);
}

void unsay(void *word) {
    struct word *self = word;
    record(self->fixture, "~%s", self->text);
}

void count_destroy(void *counter) { ++*(int *)counter; }

static void record_unhandled(kolk_loop *loop, kolk_error *error, void *userdata) {
    struct fixture *f = userdata;
    (void)loop;
    f->unhandled++;
    record(f, "unhandled(%s)", kolk_status_name(kolk_error_status(error)));
}

void watch_errors(struct fixture *f) {
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_unhandled, f, NULL), 0);
}

/* ---- Driving ---- */

static int dispatch(struct fixture *f) {
    kolk_progress progress = {0, 0};
    int status = kolk_loop_dispatch(f->loop, NULL, &progress);
    return status < 0 ? status : (int)progress.items;
}

static int turn_in_thirds(struct fixture *f) {
    kolk_plan plan;
    int status = kolk_loop_prepare(f->loop, &plan);
    if (status < 0)
        return status;
    if (!plan.ready) {
        status = kolk_loop_wait(f->loop, plan.deadline_ns);
        if (status == KOLK_ENOTSUP && !(f->ops->caps & KOLK_REACTOR_WAIT))
            nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
        else if (status < 0)
            return status;
    }
    return dispatch(f);
}

static int turn_by_handle(struct fixture *f) {
    struct pollfd handle = {.fd = kolk_loop_get_fd(f->loop), .events = POLLIN};
    if (handle.fd < 0)
        return handle.fd;
    int ready = poll(&handle, 1, PATIENCE_MS);
    if (ready < 0 && errno == EINTR)
        return 0;
    if (ready != 1)
        fail_msg("handle was not readable for %d ms", PATIENCE_MS);
    return dispatch(f);
}

static int turn(struct fixture *f) {
    switch (f->mode) {
    case DRIVE_OWN:
        return kolk_loop_run_once(f->loop);
    case DRIVE_THIRDS:
        return turn_in_thirds(f);
    default:
        return turn_by_handle(f);
    }
}

int drive_once(struct fixture *f) {
    int64_t limit = now_ns() + 30 * SECOND;
    int items = turn(f);
    /* A host may wake up for nothing: a signal, or a frame in which nothing was due. */
    while (items == 0 && f->mode != DRIVE_OWN) {
        if (now_ns() > limit)
            fail_msg("nothing happened for 30 s");
        items = turn(f);
    }
    return items;
}

static int is_done(void *future) { return kolk_future_done(future); }

void drive_for(struct fixture *f, int (*condition)(void *context), void *context) {
    int64_t limit = now_ns() + 30 * SECOND;
    while (!condition(context)) {
        int items = turn(f);
        if (items < 0)
            fail_msg("driving failed with %s", kolk_status_name(items));
        if (now_ns() > limit)
            fail_msg("not there after 30 s; the record is \"%s\"", f->record);
    }
}

static void give_up(void *loop) { kolk_loop_stop(loop); }

static void run_until_complete(struct fixture *f, kolk_future *future) {
    kolk_handle *guard = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 30 * SECOND, give_up, f->loop, NULL, &guard), 0);
    int status = kolk_loop_run_until_complete(f->loop, future);
    kolk_handle_cancel(guard);
    kolk_handle_unref(guard);
    if (status != 0)
        fail_msg("%s; the record is \"%s\"", status == KOLK_EPENDING ? "not there after 30 s" : kolk_status_name(status),
                 f->record);
}

void drive_until(struct fixture *f, kolk_future *future) {
    assert_non_null(future);
    if (f->mode == DRIVE_OWN)
        run_until_complete(f, future);
    else
        drive_for(f, is_done, future);
    assert_int_equal(kolk_future_done(future), 1);
}

struct count {
    const int *counter;
    int expected;
};

static int is_reached(void *context) {
    struct count *count = context;
    return *count->counter >= count->expected;
}

void drive_until_count(struct fixture *f, const int *counter, int expected) {
    drive_for(f, is_reached, &(struct count){.counter = counter, .expected = expected});
}

void drive_during(struct fixture *f, int64_t duration_ns) {
    kolk_future *later = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, duration_ns, &later), 0);
    drive_until(f, later);
    kolk_future_unref(later);
}

/* ---- Tasks, futures, descriptors ---- */

kolk_task *spawn_with(struct fixture *f, kolk_coroutine_fn fn, void *userdata) {
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(f->loop, fn, userdata, NULL, NULL, &task), 0);
    return task;
}

kolk_task *spawn(struct fixture *f, kolk_coroutine_fn fn) { return spawn_with(f, fn, f); }

int join(struct fixture *f, kolk_task *task) {
    drive_until(f, kolk_task_as_future(task));
    int status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

int run_task(struct fixture *f, kolk_coroutine_fn fn, void *userdata) { return join(f, spawn_with(f, fn, userdata)); }

kolk_future *new_future(struct fixture *f) {
    kolk_future *future = NULL;
    assert_int_equal(kolk_future_new(f->loop, &future), 0);
    return future;
}

void open_pair(int ret_pair[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_pair), 0);
}

void close_pair(int pair[2]) {
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}
