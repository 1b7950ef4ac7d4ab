/* The fixture of the rules, and the matrix: each rule for each way the host serves, on each reactor that goes with it. */
#include "conformance.h"

#include "support/resources.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 30, REACTOR_CAPACITY = 8 };

void sleep_ns(int64_t duration_ns) {
    nanosleep(&(struct timespec){.tv_sec = duration_ns / SECOND, .tv_nsec = duration_ns % SECOND}, NULL);
}

void spin(int64_t duration_ns) {
    int64_t end = now_ns() + duration_ns;
    while (now_ns() < end)
        ;
}

pthread_t start_thread(void *(*fn)(void *userdata), void *userdata) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, userdata), 0);
    return thread;
}

void put_byte(int fd) {
    if (write(fd, "x", 1) != 1)
        fprintf(stderr, "no byte could be written to descriptor %d\n", fd);
}

int take_bytes(int fd) {
    char buffer[4096];
    int total = 0;
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;)
        total += (int)got;
    return total;
}

/* ---- Running the host ---- */

void arrive(void *visit) {
    struct visit *v = visit;
    if (--v->awaited == 0)
        v->host->stop(v->self);
}

void run_until(struct visit *v, int arrivals) {
    v->awaited += arrivals;
    if (v->awaited > 0)
        v->host->run(v->self);
}

static void stop(void *visit) {
    struct visit *v = visit;
    v->host->stop(v->self);
}

void run_for(struct visit *v, int64_t duration_ns) {
    v->host->call_later(v->self, duration_ns, stop, v);
    v->host->run(v->self);
}

void host_call_later(struct visit *v, int64_t delay_ns, kolk_callback_fn fn, void *userdata) {
    v->host->call_later(v->self, delay_ns, fn, userdata);
}

struct errand {
    struct visit *v;
    kolk_callback_fn fn;
    void *userdata;
};

static void run_errand(void *userdata) {
    struct errand *errand = userdata;
    errand->fn(errand->userdata);
    errand->v->host->stop(errand->v->self);
}

void host_runs(struct visit *v, kolk_callback_fn fn, void *userdata) {
    struct errand errand = {.v = v, .fn = fn, .userdata = userdata};
    v->host->call_later(v->self, 0, run_errand, &errand);
    v->host->run(v->self);
}

/* ---- A stay ---- */

const char *way_name(uint32_t way) {
    static const char *const names[] = {"any", "frame", "handle", "thread", "reactor"};
    return names[way];
}

static void take_frame(void *userdata);

static void order_frame(struct stay *stay) {
    stay->frame_due = 1;
    stay->visit->host->call_later(stay->visit->self, FRAME_MS * MS, take_frame, stay);
}

static void take_frame(void *userdata) {
    struct stay *stay = userdata;
    stay->frame_due = 0;
    if (!stay->frames) {
        stay->visit->host->stop(stay->visit->self);
        return;
    }
    order_frame(stay); /* Before the turn, so that a modal loop inside it has frames as well. */
    kolk_guest_turn(stay->guest);
}

kolk_loop *make_loop(struct visit *v, const kolk_reactor_ops *ops, uint32_t way) {
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops, .allocator = &v->f.memory.hook};
    if (way == KOLK_GUEST_REACTOR && v->host->hosted)
        options.host = v->host->native(v->self);
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    if (kolk_loop_new(&options, &loop, &error) != 0) {
        print_error("no loop on %s: %s\n", ops->name, kolk_error_message(error));
        kolk_error_unref(error);
    }
    return loop;
}

int begin_stay(struct visit *v, struct stay *stay, kolk_loop *loop, const kolk_guest_options *options) {
    *stay = (struct stay){.visit = v, .loop = loop};
    kolk_error *error = NULL;
    int status = v->host->attach(v->self, loop, options, &stay->guest, &error);
    if (status < 0) {
        print_message("attach: %s\n", error ? kolk_error_message(error) : "no words");
        kolk_error_unref(error);
        return status;
    }
    if (options->way == KOLK_GUEST_FRAME) {
        stay->frames = 1;
        order_frame(stay);
    }
    return status;
}

void end_stay(struct stay *stay) {
    stay->frames = 0;
    kolk_guest_detach(stay->guest);
    while (stay->frame_due)
        stay->visit->host->run(stay->visit->self);
    stay->guest = kolk_guest_unref(stay->guest);
}

/* ---- The fixture ---- */

/* What a test is made from before it has a fixture. */
struct entry {
    const struct host *host;
    const struct host_rule *rule;
    uint32_t way;
    const kolk_reactor_ops *ops;
    char name[192];
};

static const struct entry *running;

static void give_up(int signal) {
    char text[320];
    int length = snprintf(text, sizeof text, "%s: what it waits for has not come after %d s\n", running->name, PATIENCE_S);
    (void)signal;
    if (write(STDERR_FILENO, text, (size_t)length) != length)
        _exit(2);
    _exit(EXIT_FAILURE);
}

static int set_up(void **state) {
    const struct entry *entry = *state;
    struct visit *v = calloc(1, sizeof *v);
    if (!v)
        return -1;
    *state = v;
    running = entry;
    alarm(PATIENCE_S);
    v->host = entry->host;
    v->way = entry->way;
    v->f.ops = entry->ops;
    v->f.fds = open_fds();
    v->f.threads = running_threads();
    failing_allocator_init(&v->f.memory);
    v->self = v->host->open();
    assert_non_null(v->self);
    if (entry->rule->needs & NEEDS_NOBODY)
        return 0;
    v->f.reactor = entry->ops->name;
    v->options = (kolk_guest_options){
        .size = sizeof v->options, .way = entry->way, .max_items = entry->rule->max_items, .max_ns = entry->rule->max_ns};
    v->f.loop = make_loop(v, entry->ops, entry->way);
    assert_non_null(v->f.loop);
    assert_int_equal(begin_stay(v, &v->stay, v->f.loop, &v->options), 0);
    v->guest = v->stay.guest;
    assert_int_equal(kolk_guest_way(v->guest), entry->way);
    return 0;
}

void end_visit(struct visit *v) {
    if (v->stay.visit)
        end_stay(&v->stay);
    v->guest = NULL;
    finish_loop(&v->f);
    if (v->self)
        v->host->close(v->self);
    v->self = NULL;
}

static int tear_down(void **state) {
    struct visit *v = *state;
    end_visit(v);
    alarm(0);
    assert_int_equal(settle_threads(v->f.threads), v->f.threads);
    assert_int_equal(open_fds(), v->f.fds);
    free(v);
    return 0;
}

/* ---- The matrix ---- */

static int goes_with(uint32_t way, const kolk_reactor_ops *ops) {
    if (!ops || ops->caps & KOLK_REACTOR_CLOCK)
        return 0; /* A host's time is not virtual. */
    switch (way) {
    case KOLK_GUEST_FRAME:
        return 1;
    case KOLK_GUEST_HANDLE:
        return (ops->caps & KOLK_REACTOR_GET_FD) != 0;
    default:
        return (ops->caps & KOLK_REACTOR_WAIT) != 0;
    }
}

static const kolk_reactor_ops *reactor_of_host(const struct host *host) {
    return host->hosted ? reactor_under_test(host->hosted) : kolk_host_reactor();
}

void for_each_stay(const struct host *host, void (*fn)(void *context, uint32_t way, const kolk_reactor_ops *ops),
                   void *context) {
    const char *names[REACTOR_CAPACITY];
    size_t reactors = reactors_under_test(names, REACTOR_CAPACITY);
    const kolk_reactor_ops *ops[REACTOR_CAPACITY];
    for (size_t i = 0; i < reactors; i++)
        ops[i] = reactor_under_test(names[i]);
    for (uint32_t way = KOLK_GUEST_FRAME; way < KOLK_GUEST_REACTOR; way++)
        for (size_t i = 0; i < reactors && host->ways & 1u << way; i++)
            if (goes_with(way, ops[i]))
                fn(context, way, ops[i]);
    if (host->ways & 1u << KOLK_GUEST_REACTOR && reactor_of_host(host))
        fn(context, KOLK_GUEST_REACTOR, reactor_of_host(host));
}

static const struct host_rules *const all_rules[] = {&time_rules, &io_rules,     &wake_rules,  &budget_rules, &nested_rules,
                                                     &end_rules,  &misuse_rules, &mixed_rules, &fork_rules};

struct plan {
    const struct host *host;
    struct CMUnitTest *tests;
    struct entry *entries;
    size_t used;
};

static void skip_rule(void **state) {
    (void)state;
    skip();
}

/* Why a rule cannot be tried here; NULL: it can. */
static const char *what_is_missing(const struct host *host, uint32_t needs) {
    if (needs & NEEDS_MODAL && !host->run_modal)
        return "a host without modal loops";
    if (needs & NEEDS_FORK && !host->after_fork)
        return "a host that cannot be forked";
    if (needs & NEEDS_FORK && !MAY_FORK)
        return "the thread sanitizer does not survive a fork";
    return NULL;
}

static void add_test(struct plan *plan, const struct host_rule *rule, uint32_t way, const kolk_reactor_ops *ops) {
    struct entry *entry = &plan->entries[plan->used];
    struct CMUnitTest *test = &plan->tests[plan->used++];
    *entry = (struct entry){.host = plan->host, .rule = rule, .way = way, .ops = ops};
    const char *missing = what_is_missing(plan->host, rule->needs);
    size_t used = (size_t)(ops ? snprintf(entry->name, sizeof entry->name, "%s/%s/%s: ", plan->host->name, way_name(way),
                                          ops == kolk_host_reactor() ? "host" : ops->name)
                               : snprintf(entry->name, sizeof entry->name, "%s/all: ", plan->host->name));
    snprintf(entry->name + used, sizeof entry->name - used, "%s%s%s%s", rule->name, missing ? " (" : "", missing ? missing : "",
             missing ? ")" : "");
    for (char *c = entry->name + used; *c; c++)
        if (*c == '_')
            *c = ' ';
    *test = (struct CMUnitTest){.name = entry->name, .initial_state = entry};
    test->test_func = missing ? skip_rule : rule->check;
    test->setup_func = missing ? NULL : set_up;
    test->teardown_func = missing ? NULL : tear_down;
}

static int is_for(const struct host_rule *rule, uint32_t way) {
    if (rule->needs & NEEDS_NOBODY)
        return 0;
    if (rule->needs & NEEDS_DETACHED && way == KOLK_GUEST_REACTOR)
        return 0;
    return !(rule->needs & NEEDS_SILENCE && way == KOLK_GUEST_FRAME);
}

static void add_stay(void *context, uint32_t way, const kolk_reactor_ops *ops) {
    for (size_t list = 0; list < COUNT(all_rules); list++)
        for (size_t i = 0; i < all_rules[list]->count; i++)
            if (is_for(&all_rules[list]->rules[i], way))
                add_test(context, &all_rules[list]->rules[i], way, ops);
}

static void *end_at_once(void *nothing) { return nothing; }

static int rules_left;

/* A rule that ends the program would pass, and all that come after it with it. */
static void fail_when_left(void) {
    if (rules_left) {
        fprintf(stderr, "the program ended in the middle of the rules\n");
        _exit(EXIT_FAILURE);
    }
}

int run_conformance(const struct host *host, int argc, char **argv) {
    size_t capacity = together_rules.count;
    for (size_t list = 0; list < COUNT(all_rules); list++)
        capacity += all_rules[list]->count * (3 * REACTOR_CAPACITY + 1);
    struct plan plan = {
        .host = host, .tests = calloc(capacity, sizeof *plan.tests), .entries = calloc(capacity, sizeof *plan.entries)};
    if (!plan.tests || !plan.entries)
        abort();
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (argc > 2)
        cmocka_set_skip_filter(argv[2]);
    for_each_stay(host, add_stay, &plan);
    for (size_t i = 0; i < together_rules.count; i++)
        add_test(&plan, &together_rules.rules[i], 0, NULL);
    /* The thread sanitizer starts a thread of its own with the first one, which is not to be counted. */
    pthread_join(start_thread(end_at_once, NULL), NULL);
    signal(SIGALRM, give_up);
    atexit(fail_when_left);
    rules_left = 1;
    int failed = _cmocka_run_group_tests(host->name, plan.tests, plan.used, NULL, NULL);
    rules_left = 0;
    free(plan.tests);
    free(plan.entries);
    return failed;
}
