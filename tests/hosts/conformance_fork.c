/* A forked child: refused until it says that it wants the loop, at home in it afterwards; the parent notices nothing. */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child could not do; its exit status. */
enum { CHILD_IS_FINE = 0, NOT_REFUSED = 10, NOT_TAKEN_OVER = 11, NO_RUN = 12 };

struct family {
    struct visit *v;
    int pair[2];
    int readable;
};

static void mark_readable(void *userdata) {
    struct family *family = userdata;
    if (take_bytes(family->pair[0]) == 0)
        return; /* The other process has read it. */
    family->readable++;
    arrive(family->v);
}

static void *post_arrival(void *visit) {
    struct visit *v = visit;
    sleep_ns(5 * MS);
    if (kolk_loop_call_soon_threadsafe(v->f.loop, arrive, v, NULL) != 0)
        abort();
    return NULL;
}

static int sleep_and_arrive(void *visit, void **ret_result) {
    (void)ret_result;
    int status = kolk_sleep(2 * MS);
    if (status == 0)
        arrive(visit);
    return status;
}

/* Timers, descriptors, calls from a thread, tasks. Not to be left by an assertion: the child must not go on as the test. */
static int everything_works(struct family *family) {
    struct visit *v = family->v;
    int pair[2];
    pthread_t thread;
    kolk_task *task = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return 0;
    memcpy(family->pair, pair, sizeof pair);
    if (kolk_loop_add_reader(v->f.loop, pair[0], mark_readable, family, NULL) != 0 ||
        kolk_loop_call_later(v->f.loop, 2 * MS, arrive, v, NULL, NULL) != 0 ||
        kolk_create_task(v->f.loop, sleep_and_arrive, v, NULL, NULL, &task) != 0 ||
        pthread_create(&thread, NULL, post_arrival, v) != 0)
        return 0;
    kolk_task_unref(task);
    put_byte(pair[1]);
    run_until(v, 4);
    pthread_join(thread, NULL);
    kolk_loop_remove_reader(v->f.loop, pair[0]);
    close(pair[0]);
    close(pair[1]);
    return family->readable > 0;
}

static int be_the_child(struct family *family) {
    struct visit *v = family->v;
    alarm(8);
    if (kolk_guest_turn(v->guest) != KOLK_EFORKED || kolk_loop_alive(v->f.loop) != KOLK_EFORKED ||
        kolk_guest_detach(v->guest) != KOLK_EFORKED)
        return NOT_REFUSED;
    v->host->after_fork(v->self);
    int status = kolk_loop_after_fork(v->f.loop);
    if (status != 0) {
        fprintf(stderr, "kolk_loop_after_fork: %s\n", kolk_status_name(status));
        return NOT_TAKEN_OVER;
    }
    return everything_works(family) ? CHILD_IS_FINE : NO_RUN;
}

static pid_t fork_child(struct family *family) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(be_the_child(family));
    return child;
}

static int exit_status(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_child_takes_the_guest_over(void **state) {
    struct family family = {.v = *state};
    run_for(family.v, MS);
    assert_int_equal(exit_status(fork_child(&family)), CHILD_IS_FINE);
    assert_true(everything_works(&family));
}

/* At the same time, in their loops of the same descent. */
static void parent_and_child_do_not_disturb_each_other(void **state) {
    struct family family = {.v = *state};
    run_for(family.v, MS);
    pid_t child = fork_child(&family);
    int works = 1;
    for (int i = 0; i < 3; i++)
        works &= everything_works(&family);
    assert_int_equal(exit_status(child), CHILD_IS_FINE);
    assert_true(works);
}

/* What was asked for before is there in both: a timer, a watch. */
static int has_inherited(struct family *family) {
    run_until(family->v, 2);
    return family->readable == 1;
}

static void what_was_under_way_goes_on_in_both(void **state) {
    struct visit *v = *state;
    struct family family = {.v = v};
    open_pair(family.pair);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, family.pair[0], mark_readable, &family, NULL), 0);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 20 * MS, arrive, v, NULL, NULL), 0);
    run_for(v, MS);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(8);
        v->host->after_fork(v->self);
        if (kolk_loop_after_fork(v->f.loop) != 0)
            _exit(NOT_TAKEN_OVER);
        put_byte(family.pair[1]);
        _exit(has_inherited(&family) ? CHILD_IS_FINE : NO_RUN);
    }
    assert_int_equal(exit_status(child), CHILD_IS_FINE);
    put_byte(family.pair[1]);
    assert_true(has_inherited(&family));
    kolk_loop_remove_reader(v->f.loop, family.pair[0]);
    close_pair(family.pair);
}

static const struct host_rule rules[] = {
    HOST_RULE_THAT_NEEDS(a_child_takes_the_guest_over, NEEDS_FORK),
    HOST_RULE_THAT_NEEDS(parent_and_child_do_not_disturb_each_other, NEEDS_FORK),
    HOST_RULE_THAT_NEEDS(what_was_under_way_goes_on_in_both, NEEDS_FORK),
};

const struct host_rules fork_rules = {rules, COUNT(rules)};
