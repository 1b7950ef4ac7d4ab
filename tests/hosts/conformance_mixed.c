/* A guest beside the other things that can be done with a loop: hooks, and running it by its own functions during the stay. */
#include "conformance.h"

#include <stdlib.h>

/* What the hooks saw. */
struct seen {
    int enters, leaves;
    int depth, deepest;
    int sleeps;
    int outside; /* Callbacks that were run without having been announced. */
};

static void on_enter(void *userdata) {
    struct seen *seen = userdata;
    seen->enters++;
    seen->depth++;
    seen->deepest = seen->depth > seen->deepest ? seen->depth : seen->deepest;
}

static void on_leave(void *userdata) {
    struct seen *seen = userdata;
    seen->leaves++;
    seen->depth--;
}

static void on_sleep(void *userdata) { ((struct seen *)userdata)->sleeps++; }

static const kolk_loop_hooks hooks = {
    .size = sizeof hooks, .enter = on_enter, .leave = on_leave, .before_wait = on_sleep, .after_wait = on_sleep};

struct observed {
    struct visit *v;
    struct seen *seen;
};

static void look(void *userdata) {
    struct observed *observed = userdata;
    observed->seen->outside += observed->seen->depth != 1;
    arrive(observed->v);
}

static void *post_look(void *userdata) {
    struct observed *observed = userdata;
    sleep_ns(5 * MS);
    if (kolk_loop_call_soon_threadsafe(observed->v->f.loop, look, observed, NULL) != 0)
        abort();
    return NULL;
}

/* The host sleeps, not kolk: so an interpreter's lock is the host's to release. */
static void hooks_enclose_what_a_guest_runs_and_nothing_sleeps(void **state) {
    struct visit *v = *state;
    struct seen seen = {0};
    struct observed observed = {.v = v, .seen = &seen};
    assert_int_equal(kolk_loop_set_hooks(v->f.loop, &hooks, &seen, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, look, &observed, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, look, &observed, NULL, NULL), 0);
    pthread_t thread = start_thread(post_look, &observed);
    run_until(v, 3);
    pthread_join(thread, NULL);
    assert_int_equal(kolk_loop_set_hooks(v->f.loop, NULL, NULL, NULL), 0);
    assert_int_equal(seen.outside, 0);
    assert_int_equal(seen.enters, seen.leaves);
    assert_int_equal(seen.deepest, 1);
    assert_int_equal(seen.sleeps, 0);
}

struct answer {
    struct visit *v;
    int status;
    int64_t due, came;
    int ticks;
};

static void tick(void *userdata) {
    struct answer *answer = userdata;
    answer->ticks++;
}

/* Runs its loop until a future of it is done that needs a wait. */
static void wait_here(struct answer *answer, int (*run)(kolk_loop *loop, kolk_future *future)) {
    kolk_loop *loop = answer->v->f.loop;
    kolk_future *future = NULL;
    answer->status = kolk_loop_call_later(loop, MS, tick, answer, NULL, NULL);
    answer->due = kolk_loop_time(loop) + 5 * MS;
    if (answer->status == 0)
        answer->status = kolk_sleep_async(loop, 5 * MS, &future);
    if (answer->status == 0)
        answer->status = run(loop, future);
    answer->came = kolk_loop_time(loop);
    kolk_future_unref(future);
    arrive(answer->v);
}

static void nest(void *userdata) { wait_here(userdata, kolk_loop_run_nested); }

static void assert_waited(const struct answer *answer) {
    assert_int_equal(answer->status, 0);
    assert_int_equal(answer->ticks, 1);
    assert_true(answer->came >= answer->due);
}

static void goes_on(struct visit *v) {
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(v->f.loop, arrive, v, NULL), 0);
    run_until(v, 2);
}

/* The host stands still meanwhile; where a thread of kolk's waits in its place, the two must not be in each other's way. */
static void a_callback_of_a_guest_may_wait_for_a_future(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        struct answer answer = {.v = v};
        assert_int_equal(kolk_loop_call_later(v->f.loop, MS, nest, &answer, NULL, NULL), 0);
        run_until(v, 1);
        assert_waited(&answer);
    }
    goes_on(v);
}

static void run_by_itself(void *userdata) { wait_here(userdata, kolk_loop_run_until_complete); }

static void a_guest_may_be_run_by_itself_during_its_stay(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        struct answer answer = {.v = v};
        host_call_later(v, MS, run_by_itself, &answer);
        run_until(v, 1);
        assert_waited(&answer);
    }
    goes_on(v);
}

static void wait_by_itself(void *userdata) {
    struct answer *answer = userdata;
    kolk_loop *loop = answer->v->f.loop;
    answer->due = kolk_loop_time(loop) + 5 * MS;
    answer->status = kolk_loop_wait(loop, answer->due);
    answer->came = kolk_loop_time(loop);
}

static void a_guest_may_be_waited_with_during_its_stay(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        struct answer answer = {.v = v, .ticks = 1};
        run_for(v, 5 * MS);
        sleep_ns(5 * MS); /* By now, a thread of kolk's waits. */
        wait_by_itself(&answer);
        assert_waited(&answer);
    }
    goes_on(v);
}

static void count_change(void *counter) { __atomic_add_fetch((int *)counter, 1, __ATOMIC_RELAXED); }

/* A program may want to know what its host is told. */
static void a_plan_hook_is_told_beside_the_host(void **state) {
    struct visit *v = *state;
    kolk_plan plan;
    int changes = 0;
    assert_int_equal(kolk_loop_set_plan_hook(v->f.loop, count_change, &changes, NULL), 0);
    run_for(v, 5 * MS);
    assert_int_equal(kolk_loop_prepare(v->f.loop, &plan), 0);
    changes = 0;
    assert_int_equal(kolk_loop_call_soon(v->f.loop, arrive, v, NULL, NULL), 0);
    assert_int_equal(changes, 1);
    run_until(v, 1);
    assert_int_equal(kolk_loop_set_plan_hook(v->f.loop, NULL, NULL, NULL), 0);
}

static const struct host_rule rules[] = {
    HOST_RULE(hooks_enclose_what_a_guest_runs_and_nothing_sleeps),
    HOST_RULE_THAT_NEEDS(a_callback_of_a_guest_may_wait_for_a_future, NEEDS_DETACHED),
    HOST_RULE_THAT_NEEDS(a_guest_may_be_run_by_itself_during_its_stay, NEEDS_DETACHED),
    HOST_RULE_THAT_NEEDS(a_guest_may_be_waited_with_during_its_stay, NEEDS_DETACHED),
    HOST_RULE(a_plan_hook_is_told_beside_the_host),
};

const struct host_rules mixed_rules = {rules, COUNT(rules)};
