/* A future and a task of one's own: my_future [--step].
 *
 * A future keeps a result and the callbacks that want it. A task drives a coroutine: each future that comes out of it gets the
 * task's next step as callback, so that its result goes back in when it is there. That is all; kolk's own add errors,
 * cancellation, and calling back through the loop. The driver does not care how the coroutine is made: with --step it is a
 * function without a stack, and prints the same lines. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: my_future [--step]\n"
                           "\n"
                           "Drives a coroutine over futures, with both made here.\n"
                           "\n"
                           "  --step         the coroutine is a step function, not one with a stack\n";

/* The future. */

enum { MOST_CALLBACKS = 4 };

struct my_future {
    void *result;
    int callback_count;
    struct {
        void (*fn)(struct my_future *self, void *userdata);
        void *userdata;
        const char *name;
    } callbacks[MOST_CALLBACKS];
};

static void my_future_add_done_callback(struct my_future *self, void (*fn)(struct my_future *self, void *userdata),
                                        void *userdata, const char *name) {
    if (self->callback_count == MOST_CALLBACKS)
        return;
    self->callbacks[self->callback_count].fn = fn;
    self->callbacks[self->callback_count].userdata = userdata;
    self->callbacks[self->callback_count++].name = name;
}

/* Calls back at once, from inside: this is what kolk_future_set_result() does not do. */
static void my_future_set_result(struct my_future *self, void *result) {
    self->result = result;
    printf("cblist [");
    for (int i = 0; i < self->callback_count; i++)
        printf("%s%s", i ? ", " : "", self->callbacks[i].name);
    puts("]");
    for (int i = 0; i < self->callback_count; i++)
        self->callbacks[i].fn(self, self->callbacks[i].userdata);
}

/* Awaiting is handing oneself out and returning the result. */
static int my_future_await(struct my_future *self, void **ret_result) {
    int status = kolk_yield(self, NULL);
    if (status >= 0)
        *ret_result = self->result;
    return status;
}

/* The task. */

struct my_task {
    kolk_coroutine *coroutine;
    int status;
};

static void my_task_step(struct my_future *future, void *userdata) {
    struct my_task *self = userdata;
    void *next = NULL;
    printf("sending %s\n", future->result ? "bytes" : "NoneType");
    self->status = kolk_coroutine_send(self->coroutine, future->result, &next);
    if (self->status == KOLK_COROUTINE_YIELDED) {
        puts("got next future");
        my_future_add_done_callback(next, my_task_step, self, "Task.step");
    } else {
        puts("si");
    }
}

static void my_task_start(struct my_task *self) {
    struct my_future first = {0};
    puts(">>sending none to initial future");
    my_future_set_result(&first, NULL);
    puts("...stepping");
    my_task_step(&first, self);
    puts(">>>after priming");
}

/* What is driven: waits for a connection, then for chunks until one is empty. Who finishes these futures is below. */

struct peer {
    struct my_future *pending; /* What the coroutine waits for. */
    struct my_future future;
    int chunks_left;
};

static struct my_future *peer_begin(struct peer *self) {
    self->future = (struct my_future){0};
    self->pending = &self->future;
    return self->pending;
}

static int fetch(void *userdata, void **ret_result) {
    struct peer *peer = userdata;
    void *chunk = NULL;
    (void)ret_result;
    puts("about to yield connection future");
    int status = my_future_await(peer_begin(peer), &chunk);
    if (status < 0)
        return status;
    puts("connected!");
    do
        status = my_future_await(peer_begin(peer), &chunk);
    while (status >= 0 && *(const char *)chunk);
    return status;
}

struct fetch_step {
    kolk_step step;
    struct peer *peer;
};

/* The same without a stack. To await is to hand the future out and return. */
static int fetch_step(void *state, void **ret_value) {
    struct fetch_step *self = state;
    KOLK_STEP_BEGIN(&self->step);
    puts("about to yield connection future");
    KOLK_STEP_YIELD(&self->step, ret_value, peer_begin(self->peer));
    if (self->step.status < 0)
        return self->step.status;
    puts("connected!");
    do {
        KOLK_STEP_YIELD(&self->step, ret_value, peer_begin(self->peer));
        if (self->step.status < 0)
            return self->step.status;
    } while (*(const char *)*ret_value);
    KOLK_STEP_END(&self->step);
}

/* The loop: finishes whatever is pending, first the connection, then chunks, the last one empty. */
static void run(struct peer *peer) {
    bool connected = false;
    while (peer->pending) {
        struct my_future *future = peer->pending;
        peer->pending = NULL;
        if (connected) {
            my_future_set_result(future, peer->chunks_left-- > 0 ? "a chunk" : "");
        } else {
            puts("on connected cb ran");
            connected = true;
            my_future_set_result(future, NULL);
        }
    }
}

static int drive(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    struct peer peer = {.chunks_left = 4};
    struct fetch_step state = {.peer = &peer};
    struct my_task task = {.coroutine = NULL};
    bool step = *(bool *)userdata;
    (void)ret_error;
    int status = step ? kolk_step_coroutine_new(loop, fetch_step, &state, sizeof state, NULL, &task.coroutine)
                      : kolk_coroutine_new(loop, fetch, &peer, NULL, 0, &task.coroutine);
    if (status < 0)
        return status;
    my_task_start(&task);
    run(&peer);
    kolk_coroutine_unref(task.coroutine);
    return task.status;
}

int main(int argc, char **argv) {
    bool step = false;
    const struct argument arguments[] = {{.name = "--step", .flag = &step}, {.name = NULL}};
    struct start start = {.name = "my_future", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, drive, &step);
}
