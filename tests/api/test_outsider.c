/* Outsiders: a thread that does not own the loop, and a forked child. They are refused, and change nothing. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/watcher.h"

#include <pthread.h>
#include <stdio.h>
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

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_wrong_thread_is_refused),
        RULE(a_forked_child_is_refused_and_harms_nothing),
        RULE(a_child_forked_inside_leaves_the_timers_alone),
    };
    return run_matrix("outsider", matrix, COUNT(matrix));
}
