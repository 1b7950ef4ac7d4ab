/* Outsiders: a thread that does not own the loop, and a forked child. They are refused, and change nothing, until the child
 * takes the loop over. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/turns.h"
#include "support/watcher.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct foreign {
    struct fixture *f;
    int fd;
    kolk_future *future;
    kolk_handle *handle;
    int expected; /* The status each call must return. */
    char wrong[512];
};

static void expect(struct foreign *foreign, const char *what, int status) {
    if (status != foreign->expected) {
        size_t used = strlen(foreign->wrong);
        snprintf(foreign->wrong + used, sizeof foreign->wrong - used, "%s=%s ", what, kolk_status_name(status));
    }
}

/* Calls everything a loop can be asked for; the answers must all be `expected`. */
static void *ask_everything(void *userdata) {
    struct foreign *a = userdata;
    kolk_loop *loop = a->f->loop;
    kolk_plan plan;
    kolk_future *future = NULL;
    int destroyed = 0;
    expect(a, "run_once", kolk_loop_run_once(loop));
    expect(a, "run_forever", kolk_loop_run_forever(loop));
    expect(a, "run_until_complete", kolk_loop_run_until_complete(loop, a->future));
    expect(a, "stop", kolk_loop_stop(loop));
    expect(a, "close", kolk_loop_close(loop));
    expect(a, "is_running", kolk_loop_is_running(loop));
    expect(a, "prepare", kolk_loop_prepare(loop, &plan));
    expect(a, "wait", kolk_loop_wait(loop, 0));
    expect(a, "dispatch", kolk_loop_dispatch(loop, NULL, NULL));
    expect(a, "get_fd", kolk_loop_get_fd(loop));
    expect(a, "call_soon", kolk_loop_call_soon(loop, nothing, &destroyed, count_destroy, NULL));
    expect(a, "call_later", kolk_loop_call_later(loop, 0, nothing, &destroyed, count_destroy, NULL));
    expect(a, "call_at", kolk_loop_call_at(loop, 0, nothing, &destroyed, count_destroy, NULL));
    expect(a, "add_reader", kolk_loop_add_reader(loop, a->fd, nothing, &destroyed, count_destroy));
    expect(a, "add_writer", kolk_loop_add_writer(loop, a->fd, nothing, &destroyed, count_destroy));
    expect(a, "set_exception_handler", kolk_loop_set_exception_handler(loop, record_exception, &destroyed, count_destroy));
    expect(a, "remove_reader", kolk_loop_remove_reader(loop, a->fd));
    expect(a, "remove_writer", kolk_loop_remove_writer(loop, a->fd));
    expect(a, "future_new", kolk_future_new(loop, &future));
    expect(a, "future_result", kolk_future_result(a->future, NULL));
    expect(a, "future_cancel", kolk_future_cancel(a->future));
    expect(a, "handle_cancel", kolk_handle_cancel(a->handle));
    if (destroyed != 6)
        expect(a, "destroyed", destroyed);
    if (kolk_future_unref(a->future) != a->future)
        expect(a, "future_unref", 0);
    if (kolk_handle_unref(a->handle) != a->handle)
        expect(a, "handle_unref", 0);
    return NULL;
}

static struct foreign make_foreign(struct fixture *f, int fd, int expected) {
    struct foreign foreign = {.f = f, .fd = fd, .future = new_future(f), .expected = expected};
    assert_int_equal(kolk_loop_call_later(f->loop, 5 * MS, say, word(f, "timer"), NULL, &foreign.handle), 0);
    return foreign;
}

/* A thread that does not own the loop is refused everything except what is open to any thread, and changes nothing. */
static void a_wrong_thread_is_refused(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    struct foreign foreign = make_foreign(f, pair[0], KOLK_ETHREAD);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_everything, &foreign), 0);
    pthread_join(thread, NULL);
    assert_string_equal(foreign.wrong, "");

    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_during(f, 10 * MS);
    assert_record(f, "read(x) timer");
    kolk_future_unref(foreign.future);
    kolk_handle_unref(foreign.handle);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* A forked child is refused everything, and nothing it tries reaches the parent's loop. */
static void a_forked_child_is_refused_and_harms_nothing(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    drive_during(f, MS);
    struct foreign foreign = make_foreign(f, pair[0], KOLK_EFORKED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ask_everything(&foreign);
        expect(&foreign, "call_soon_threadsafe", kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL));
        kolk_loop_unref(f->loop);
        if (*foreign.wrong)
            dprintf(2, "in the child: %s\n", foreign.wrong);
        _exit(*foreign.wrong ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_during(f, 10 * MS);
    assert_record(f, "read(x) timer");
    kolk_future_unref(foreign.future);
    kolk_handle_unref(foreign.handle);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

struct forking {
    struct fixture *f;
    int forked;
    pid_t child;
    int fired;
};

/* The parent asks for a call soon; the child lets it, and goes on in the same turn afterwards. */
static void fork_inside(void *userdata) {
    struct forking *self = userdata;
    self->child = fork();
    self->forked = 1;
    if (self->child == 0) {
        alarm(30);
        pause_ms(20);
    } else {
        kolk_loop_call_later(self->f->loop, 60 * MS, increment, &self->fired, NULL, NULL);
    }
}

/* A child that was forked inside a callback and finishes the turn does not move the timer that the parent's host waits for. */
static void a_child_forked_inside_leaves_the_timers_alone(void **state) {
    struct fixture *f = *state;
    struct forking forking = {.f = f};
    pid_t parent = getpid();
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, MS, fork_inside, &forking, NULL, NULL), 0);
    while (!forking.forked)
        drive_once(f);
    if (getpid() != parent)
        _exit(0);
    assert_true(forking.child > 0);
    drive_until_count(f, &forking.fired, 1);
    int status = -1;
    assert_int_equal(waitpid(forking.child, &status, 0), forking.child);
    assert_int_equal(status, 0);
}

struct asked {
    kolk_loop *loop;
    int statuses[5];
    int destroyed;
};

static void *ask_from_here(void *userdata) {
    struct asked *asked = userdata;
    kolk_future *future = NULL;
    asked->statuses[0] = kolk_loop_set_plan_hook(asked->loop, nothing, &asked->destroyed, count_destroy);
    asked->statuses[1] = kolk_loop_set_nesting(asked->loop, 1);
    asked->statuses[2] = kolk_loop_set_hooks(asked->loop, NULL, &asked->destroyed, count_destroy);
    asked->statuses[3] = kolk_loop_alive(asked->loop);
    asked->statuses[4] = kolk_loop_shutdown_async(asked->loop, &future);
    return NULL;
}

static void another_thread_is_refused(void **state) {
    struct fixture *f = *state;
    struct asked asked = {.loop = f->loop};
    in_a_thread(ask_from_here, &asked);
    for (size_t i = 0; i < COUNT(asked.statuses); i++)
        assert_int_equal(asked.statuses[i], KOLK_ETHREAD);
    assert_int_equal(asked.destroyed, 2);
}

/* ---- A child that takes the loop over ---- */

enum { CHILD_IS_FINE = 0, NOT_REFUSED = 10, NOT_TAKEN_OVER = 11, ANOTHER_HANDLE = 12, NOT_WORKING = 13 };

struct heirloom {
    struct fixture *f;
    kolk_task *task;
    int pair[2];
    int readable;
    int handle;
};

static void read_heirloom(void *userdata) {
    struct heirloom *heirloom = userdata;
    char byte;
    heirloom->readable += read(heirloom->pair[0], &byte, 1) == 1;
}

static int sleep_on(void *userdata, void **ret_result) {
    (void)ret_result;
    record(userdata, "slept(%d)", kolk_sleep(30 * MS));
    return 0;
}

static int is_inherited(void *userdata) {
    struct heirloom *heirloom = userdata;
    return heirloom->readable && kolk_task_done(heirloom->task) && strcmp(heirloom->f->record, "slept(0) post") == 0;
}

static void inherit(struct heirloom *heirloom) {
    struct fixture *f = heirloom->f;
    in_a_thread(post_some, f);
    drive_until(f, kolk_task_as_future(heirloom->task));
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    assert_int_equal(write(heirloom->pair[1], "x", 1), 1);
    drive_for(f, is_inherited, heirloom);
}

static int be_the_child(struct heirloom *heirloom) {
    kolk_loop *loop = heirloom->f->loop;
    kolk_plan plan;
    alarm(20);
    if (kolk_loop_prepare(loop, &plan) != KOLK_EFORKED || kolk_loop_dispatch(loop, NULL, NULL) != KOLK_EFORKED ||
        kolk_loop_set_nesting(loop, 1) != KOLK_EFORKED || kolk_loop_alive(loop) != KOLK_EFORKED)
        return NOT_REFUSED;
    if (kolk_loop_after_fork(loop) != 0 || kolk_loop_after_fork(loop) != 0)
        return NOT_TAKEN_OVER;
    if (heirloom->handle >= 0 && kolk_loop_get_fd(loop) != heirloom->handle)
        return ANOTHER_HANDLE;
    inherit(heirloom); /* An assertion that fails here leaves as a failure of its own. */
    return CHILD_IS_FINE;
}

static int exit_status(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A task that sleeps, a watch, calls from a thread: all of it goes on in both, and neither notices the other. */
static void a_child_takes_the_loop_over(void **state) {
    struct fixture *f = *state;
    if (!MAY_FORK)
        skip();
    struct heirloom heirloom = {.f = f, .task = spawn(f, sleep_on), .handle = kolk_loop_get_fd(f->loop)};
    open_pair(heirloom.pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, heirloom.pair[0], read_heirloom, &heirloom, NULL), 0);
    dispatch_all(f);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(be_the_child(&heirloom));
    assert_int_equal(exit_status(child), CHILD_IS_FINE);
    inherit(&heirloom);
    kolk_task_unref(heirloom.task);
    kolk_loop_remove_reader(f->loop, heirloom.pair[0]);
    close_pair(heirloom.pair);
}

static void in_the_process_that_made_it_nothing_has_to_be_done(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_after_fork(f->loop), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_after_fork(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_after_fork(f->loop), KOLK_ECLOSED);
}

struct held_hook {
    kolk_loop *loop;
    int pair[2];
    int inside;
};

static void stay_in_hook(void *userdata) {
    struct held_hook *hook = userdata;
    char byte;
    __atomic_store_n(&hook->inside, 1, __ATOMIC_RELEASE);
    while (read(hook->pair[0], &byte, 1) < 0)
        usleep(1000);
}

static void *post_one(void *userdata) {
    struct held_hook *hook = userdata;
    if (kolk_loop_call_soon_threadsafe(hook->loop, nothing, NULL, NULL) != 0)
        abort();
    return NULL;
}

/* A thread that was inside the hook at the moment of the fork is not in the child, which does not wait for it to leave. */
static void a_child_does_not_wait_for_the_hook(void **state) {
    struct fixture *f = *state;
    if (!MAY_FORK)
        skip();
    struct held_hook hook = {.loop = f->loop};
    pthread_t thread;
    open_pair(hook.pair);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, stay_in_hook, &hook, NULL), 0);
    prepare(f);
    assert_int_equal(pthread_create(&thread, NULL, post_one, &hook), 0);
    while (!__atomic_load_n(&hook.inside, __ATOMIC_ACQUIRE))
        usleep(1000);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (kolk_loop_after_fork(f->loop) != 0)
            _exit(NOT_TAKEN_OVER);
        _exit(kolk_loop_close(f->loop) == 0 ? CHILD_IS_FINE : NOT_WORKING);
    }
    int status = child > 0 ? exit_status(child) : -1;
    assert_int_equal(write(hook.pair[1], "x", 1), 1);
    pthread_join(thread, NULL);
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, NULL, NULL, NULL), 0);
    close_pair(hook.pair);
    assert_int_equal(status, CHILD_IS_FINE);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_wrong_thread_is_refused),
        RULE(a_forked_child_is_refused_and_harms_nothing),
        RULE(a_child_forked_inside_leaves_the_timers_alone),
        RULE(another_thread_is_refused),
        RULE_IN_REAL_TIME(a_child_takes_the_loop_over),
        RULE(a_child_does_not_wait_for_the_hook),
        RULE(in_the_process_that_made_it_nothing_has_to_be_done),
    };
    return run_matrix("outsider", matrix, COUNT(matrix));
}
