#include "driver.h"

#include "resources.h"

#include <kolk/sim.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REACTOR_COUNT = 8, PATIENCE_MS = 5000, PATIENCE_S = 30 };

static const char *const mode_names[] = {"own", "thirds", "handle"};

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* ---- Reactors ---- */

size_t reactors_under_test(const char **ret_names, size_t capacity) {
    static char buffer[256];
    const char *chosen = getenv("KOLK_TEST_REACTORS");
    snprintf(buffer, sizeof buffer, "%s", chosen && *chosen ? chosen : "epoll poll select libevent sim");
    size_t count = 0;
    for (char *name = strtok(buffer, " "); name && count < capacity; name = strtok(NULL, " "))
        ret_names[count++] = name;
    return count;
}

/* A reactor that is not built into the library is a module in the directory that KOLK_TEST_MODULES names. */
static const kolk_reactor_ops *load_reactor(const char *name) {
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

const kolk_reactor_ops *reactor_under_test(const char *name) {
    static const kolk_reactor_ops *last;
    if (!last || strcmp(last->name, name) != 0)
        last = load_reactor(name);
    return last;
}

static int has_virtual_time(const kolk_reactor_ops *ops) { return ops && ops->caps & KOLK_REACTOR_CLOCK; }

/* ---- Chance ---- */

static uint64_t number_in_environment(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : 0;
}

/* From punctual to late by more than the rules sleep, so that what was meant to be apart comes together. */
static int64_t lateness_for(uint64_t seed) {
    static const int64_t choices[] = {20 * MS, 0, MS / 10, MS};
    return seed ? choices[seed % COUNT(choices)] : 0;
}

/* ---- The matrix ---- */

/* What a test is made from before it has a fixture. */
struct entry {
    const struct rule *rule;
    const char *reactor;
    enum drive_mode mode;
    uint64_t seed;
    void *checked; /* The fixture of the seed that is being checked; NULL when there are none. */
    int fds, threads;
    char name[192];
};

static const char *pattern, *program = "the program";

void select_tests(int argc, char **argv) {
    program = argv[0];
    pattern = argc > 1 ? argv[1] : NULL;
    if (pattern)
        cmocka_set_test_filter(pattern);
}

static const struct entry *running;

/* Where time is virtual, a loop that waits for what never comes sleeps for ever in one call. */
static void give_up_on_rule(int signal) {
    char text[320];
    int length = snprintf(text, sizeof text, "%s: not there after %d s, with seed %llu\n", running->name, PATIENCE_S,
                          (unsigned long long)running->seed);
    (void)signal;
    if (write(STDERR_FILENO, text, (size_t)length) != length)
        _exit(2);
    _exit(EXIT_FAILURE);
}

static void limit_rule(const struct entry *entry) {
    if (!running)
        signal(SIGALRM, give_up_on_rule);
    running = entry;
    alarm(PATIENCE_S);
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
    f->fds = entry->checked ? entry->fds : open_fds();
    f->threads = entry->checked ? entry->threads : running_threads();
    f->one_of_many = entry->checked != NULL;
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops, .allocator = &f->memory.hook};
    f->seed = entry->seed;
    kolk_sim_options sim = {.size = sizeof sim, .seed = f->seed, .lateness_ns = lateness_for(f->seed)};
    if (has_virtual_time(f->ops)) {
        options.host = &sim;
        limit_rule(entry);
    }
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
    if (!f->one_of_many || failing_allocator_live_blocks(&f->memory))
        settle_threads(f->threads);
    assert_int_equal(failing_allocator_mistakes(&f->memory), 0);
    assert_int_equal(failing_allocator_live_blocks(&f->memory), 0);
    assert_int_equal(failing_allocator_live_bytes(&f->memory), 0);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    finish_loop(f);
    if (!f->one_of_many) {
        alarm(0);
        assert_int_equal(running_threads(), f->threads);
        assert_int_equal(open_fds(), f->fds);
    }
    free(f);
    return 0;
}

/* A fixture for each seed; the one that fails stays in the entry. What was left behind is looked for once, in the end: that
 * takes longer than most rules. A rule about large numbers gets fewer seeds, and that is said. */
static void check_with_seeds(void **state) {
    struct entry *entry = *state;
    uint64_t seeds = number_in_environment("KOLK_TEST_SEEDS");
    long long limit = cpu_ns() + SECOND / 2;
    entry->fds = open_fds();
    entry->threads = running_threads();
    for (entry->seed = 1; entry->seed <= seeds; entry->seed++) {
        if (cpu_ns() > limit) {
            print_message("%s: only %llu of %llu seeds, it takes long\n", entry->name, (unsigned long long)entry->seed - 1,
                          (unsigned long long)seeds);
            break;
        }
        entry->checked = entry;
        if (set_up(&entry->checked) != 0)
            fail_msg("no fixture");
        entry->rule->check(&entry->checked);
        tear_down(&entry->checked);
        entry->checked = NULL;
    }
    alarm(0);
    assert_int_equal(settle_threads(entry->threads), entry->threads);
    assert_int_equal(open_fds(), entry->fds);
}

static int report_seed(void **state) {
    struct entry *entry = *state;
    if (!entry->checked)
        return 0;
    const char *modules = getenv("KOLK_TEST_MODULES");
    print_error("seed %llu fails; replay it with\n"
                "    KOLK_TEST_MODULES=%s KOLK_TEST_REACTORS=%s KOLK_SIM_SEED=%llu %s '%s'\n",
                (unsigned long long)entry->seed, modules ? modules : "", entry->reactor, (unsigned long long)entry->seed,
                program, entry->name);
    return tear_down(&entry->checked);
}

static void skip_rule(void **state) {
    (void)state;
    skip();
}

static struct CMUnitTest make_test(const struct rule *rule, struct entry *entry, const char *prefix) {
    int out = rule->real_time && has_virtual_time(reactor_under_test(entry->reactor));
    size_t used = (size_t)snprintf(entry->name, sizeof entry->name, "%s", prefix);
    snprintf(entry->name + used, sizeof entry->name - used, "%s%s", rule->name, out ? " (real time only)" : "");
    for (char *c = entry->name + used; *c; c++)
        if (*c == '_')
            *c = ' ';
    struct CMUnitTest test = {.name = entry->name, .initial_state = entry};
    if (out)
        test.test_func = skip_rule;
    else if (number_in_environment("KOLK_TEST_SEEDS")) {
        test.test_func = check_with_seeds;
        test.teardown_func = report_seed;
    } else {
        test.test_func = rule->check;
        test.setup_func = set_up;
        test.teardown_func = tear_down;
    }
    return test;
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

static struct entry make_entry(const struct rule *rule, const char *reactor, enum drive_mode mode) {
    return (struct entry){.rule = rule, .reactor = reactor, .mode = mode, .seed = number_in_environment("KOLK_SIM_SEED")};
}

int run_matrix(const char *suite, const struct rule *rules, size_t count) {
    const char *names[REACTOR_COUNT] = {"sim"};
    int seeds = number_in_environment("KOLK_TEST_SEEDS") != 0;
    size_t reactors = seeds ? 1 : reactors_under_test(names, REACTOR_COUNT);
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
                entries[used] = make_entry(&rules[i], names[reactor], (enum drive_mode)mode);
                tests[used] = make_test(&rules[i], &entries[used], prefix);
            }
        }
    }
    return run_all(suite, tests, entries, used);
}

static int run_list(const char *suite, const struct rule *rules, size_t count, int with_fixture) {
    const char *names[REACTOR_COUNT] = {"sim"};
    int seeds = number_in_environment("KOLK_TEST_SEEDS") != 0;
    if (seeds && !with_fixture)
        return 0; /* there is no loop to give a seed to */
    if (!seeds && reactors_under_test(names, REACTOR_COUNT) == 0)
        abort();
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    struct entry *entries = calloc(count, sizeof *entries);
    if (!tests || !entries)
        abort();
    for (size_t i = 0; i < count; i++) {
        entries[i] = make_entry(&rules[i], names[0], DRIVE_OWN);
        tests[i] = make_test(&rules[i], &entries[i], "");
        if (!with_fixture) {
            tests[i].setup_func = tests[i].teardown_func = NULL;
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

int told(struct fixture *f, const char *what, int status) {
    record(f, "%s(%s)", what, kolk_status_name(status));
    return status;
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
    int64_t limit = now_ns() + PATIENCE_S * SECOND;
    int items = turn(f);
    /* A host may wake up for nothing: a signal, or a frame in which nothing was due. */
    while (items == 0 && f->mode != DRIVE_OWN) {
        if (now_ns() > limit)
            fail_msg("nothing happened for %d s", PATIENCE_S);
        items = turn(f);
    }
    return items;
}

static int is_done(void *future) { return kolk_future_done(future); }

void drive_for(struct fixture *f, int (*condition)(void *context), void *context) {
    int64_t limit = now_ns() + PATIENCE_S * SECOND;
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
    if (!has_virtual_time(f->ops))
        assert_int_equal(kolk_loop_call_later(f->loop, PATIENCE_S * SECOND, give_up, f->loop, NULL, &guard), 0);
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

static int is_ready(struct fixture *f) {
    kolk_plan plan = {0};
    return kolk_loop_prepare(f->loop, &plan) == 0 && plan.ready;
}

static void do_nothing(void *nothing) { (void)nothing; }

/* Something that is surely ready keeps the turn from waiting, should what looked ready be nothing, as the ring of a waker
 * that is gone. Not more than some turns, as there are rules in which there is always something to run. */
static void run_what_is_ready(struct fixture *f) {
    for (int turns = 0; turns < 16 && is_ready(f); turns++) {
        assert_int_equal(kolk_loop_call_soon(f->loop, do_nothing, NULL, NULL, NULL), 0);
        turn(f);
    }
}

/* In real time the process may be held up anywhere. What is ready before runs before the end is set, so that what it waits for
 * comes first; what became ready too late for the end is made up for. */
void drive_during(struct fixture *f, int64_t duration_ns) {
    int real_time = !has_virtual_time(f->ops);
    kolk_future *later = NULL;
    if (real_time)
        run_what_is_ready(f);
    assert_int_equal(kolk_sleep_async(f->loop, duration_ns, &later), 0);
    drive_until(f, later);
    kolk_future_unref(later);
    if (real_time)
        run_what_is_ready(f);
}

static int is_waiting(void *recorded) { return ((struct fixture *)recorded)->recorded > 0; }

void drive_to_its_wait(struct fixture *f) {
    drive_for(f, is_waiting, f);
    drive_during(f, MS);
}

void assert_idle(struct fixture *f) {
    drive_during(f, MS);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
    assert_int_equal(plan.ready, 0);
}

void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS}, NULL); }

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
