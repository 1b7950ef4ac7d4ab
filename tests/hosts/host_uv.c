/* libuv as a host. uv_run() within uv_run() is not allowed there, so that there are no modal loops. */
#include "host.h"

#include <kolk/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { MOST_FDS = 4096 };

struct reader {
    uv_poll_t poll;
    void (*fn)(void *userdata);
    void *userdata;
};

struct uv_host {
    uv_loop_t loop;
    uv_async_t anchor; /* uv_run() goes on also when nobody waits for anything. */
    struct reader *readers[MOST_FDS];
};

struct call {
    union {
        uv_handle_t any;
        uv_timer_t timer;
        uv_idle_t idle;
    } handle;
    void (*fn)(void *userdata);
    void *userdata;
};

/* What fails here is no fault of kolk's. */
static void must(int status, const char *what) {
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    abort();
}

static void free_data(uv_handle_t *handle) { free(handle->data); }

static void *host_open(void) {
    struct uv_host *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    must(uv_loop_init(&self->loop), "uv_loop_init");
    must(uv_async_init(&self->loop, &self->anchor, NULL), "uv_async_init");
    return self;
}

static void end_reader(struct uv_host *self, int fd) {
    if (self->readers[fd] != NULL)
        uv_close((uv_handle_t *)&self->readers[fd]->poll, free_data);
    self->readers[fd] = NULL;
}

static void host_close(void *host) {
    struct uv_host *self = host;
    for (int fd = 0; fd < MOST_FDS; fd++)
        end_reader(self, fd);
    uv_close((uv_handle_t *)&self->anchor, NULL);
    must(uv_run(&self->loop, UV_RUN_DEFAULT), "uv_run");
    must(uv_loop_close(&self->loop), "uv_loop_close, of a loop that the guest has left");
    free(self);
}

static int host_attach(void *host, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct uv_host *self = host;
    return kolk_uv_attach(loop, &self->loop, options, ret_guest, ret_error);
}

static void host_run(void *host) {
    struct uv_host *self = host;
    uv_run(&self->loop, UV_RUN_DEFAULT);
}

static void host_stop(void *host) {
    struct uv_host *self = host;
    uv_stop(&self->loop);
}

static void make_call(struct call *call) {
    void (*fn)(void *userdata) = call->fn;
    void *userdata = call->userdata;
    uv_close(&call->handle.any, free_data);
    fn(userdata);
}

static void on_timer(uv_timer_t *timer) { make_call(timer->data); }
static void on_idle(uv_idle_t *idle) { make_call(idle->data); }

/* Soon is the next turn. Not a timer of 0 ms: a callback that starts another keeps libuv 1.44 from doing anything else. */
static void host_call_later(void *host, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct uv_host *self = host;
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->fn = fn;
    call->userdata = userdata;
    if (delay_ns <= 0) {
        uv_idle_init(&self->loop, &call->handle.idle);
        uv_idle_start(&call->handle.idle, on_idle);
    } else {
        uv_timer_init(&self->loop, &call->handle.timer);
        uv_update_time(&self->loop);
        uv_timer_start(&call->handle.timer, on_timer, (uint64_t)(delay_ns + 999999) / 1000000, 0);
    }
    call->handle.any.data = call;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct reader *reader = poll->data;
    (void)status;
    (void)events;
    reader->fn(reader->userdata);
}

static void host_watch(void *host, int fd, void (*fn)(void *userdata), void *userdata) {
    struct uv_host *self = host;
    if (fd < 0 || fd >= MOST_FDS)
        abort();
    end_reader(self, fd);
    if (fn == NULL)
        return;
    struct reader *reader = self->readers[fd] = calloc(1, sizeof *reader);
    if (reader == NULL)
        abort();
    reader->fn = fn;
    reader->userdata = userdata;
    must(uv_poll_init(&self->loop, &reader->poll, fd), "uv_poll_init");
    reader->poll.data = reader;
    must(uv_poll_start(&reader->poll, UV_READABLE, on_readable), "uv_poll_start");
}

static void host_after_fork(void *host) {
    struct uv_host *self = host;
    must(uv_loop_fork(&self->loop), "uv_loop_fork");
}

static const struct host uv = {
    .name = "uv",
    .ways = 1 << KOLK_GUEST_FRAME | 1 << KOLK_GUEST_HANDLE | 1 << KOLK_GUEST_THREAD | 1 << KOLK_GUEST_REACTOR,
    .granularity = 1000000,
    .open = host_open,
    .close = host_close,
    .attach = host_attach,
    .run = host_run,
    .stop = host_stop,
    .call_later = host_call_later,
    .watch = host_watch,
    .after_fork = host_after_fork,
};

int main(int argc, char **argv) {
    host_close(host_open()); /* The first loop makes a pipe for signals, which the process keeps. */
    return run_conformance(&uv, argc, argv) != 0;
}
