/* libev as a host. */
#include "host.h"

#include <kolk/libev.h>

#include <ev.h>
#include <stdlib.h>

enum { MOST_FDS = 4096 };

struct watch {
    ev_io io;
    void (*fn)(void *userdata);
    void *userdata;
};

struct libev_host {
    struct ev_loop *loop;
    struct watch *watches[MOST_FDS];
};

struct call {
    ev_timer timer;
    void (*fn)(void *userdata);
    void *userdata;
};

static void *host_open(void) {
    struct libev_host *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->loop = ev_loop_new(EVFLAG_AUTO);
    if (self->loop == NULL) {
        free(self);
        return NULL;
    }
    ev_ref(self->loop); // ev_run() then goes on also when nobody waits for anything.
    return self;
}

static void host_close(void *host) {
    struct libev_host *self = host;
    for (int fd = 0; fd < MOST_FDS; fd++) {
        if (self->watches[fd] != NULL)
            ev_io_stop(self->loop, &self->watches[fd]->io);
        free(self->watches[fd]);
    }
    ev_unref(self->loop);
    ev_loop_destroy(self->loop);
    free(self);
}

static int host_attach(void *host, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct libev_host *self = host;
    return kolk_libev_attach(loop, self->loop, options, ret_guest, ret_error);
}

static void host_run(void *host) {
    struct libev_host *self = host;
    ev_run(self->loop, 0);
}

static void host_stop(void *host) {
    struct libev_host *self = host;
    ev_break(self->loop, EVBREAK_ONE);
}

static void on_call(struct ev_loop *loop, ev_timer *timer, int what) {
    (void)loop;
    (void)what;
    struct call *call = timer->data;
    void (*fn)(void *userdata) = call->fn;
    void *userdata = call->userdata;
    free(call);
    fn(userdata);
}

static void host_call_later(void *host, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct libev_host *self = host;
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL)
        abort();
    call->fn = fn;
    call->userdata = userdata;
    ev_timer_init(&call->timer, on_call, (double)delay_ns * 1e-9, 0.);
    call->timer.data = call;
    ev_timer_start(self->loop, &call->timer);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int what) {
    (void)loop;
    (void)what;
    struct watch *watch = io->data;
    watch->fn(watch->userdata);
}

static void host_watch(void *host, int fd, void (*fn)(void *userdata), void *userdata) {
    struct libev_host *self = host;
    if (fd < 0 || fd >= MOST_FDS)
        abort();
    struct watch *watch = self->watches[fd];
    if (watch != NULL)
        ev_io_stop(self->loop, &watch->io);
    if (fn == NULL)
        return;
    if (watch == NULL)
        watch = self->watches[fd] = calloc(1, sizeof *watch);
    if (watch == NULL)
        abort();
    watch->fn = fn;
    watch->userdata = userdata;
    ev_io_init(&watch->io, on_ready, fd, EV_READ);
    watch->io.data = watch;
    ev_io_start(self->loop, &watch->io);
}

static void host_run_modal(void *host, int (*done)(void *context), void *context) {
    struct libev_host *self = host;
    while (!done(context))
        ev_run(self->loop, EVRUN_ONCE);
}

static void host_after_fork(void *host) {
    struct libev_host *self = host;
    ev_loop_fork(self->loop);
}

static const struct host libev = {
    .name = "libev",
    .ways = 1 << KOLK_GUEST_FRAME | 1 << KOLK_GUEST_HANDLE | 1 << KOLK_GUEST_THREAD | 1 << KOLK_GUEST_REACTOR,
    .granularity = 1000000,
    .open = host_open,
    .close = host_close,
    .attach = host_attach,
    .run = host_run,
    .stop = host_stop,
    .call_later = host_call_later,
    .watch = host_watch,
    .run_modal = host_run_modal,
    .after_fork = host_after_fork,
};

int main(int argc, char **argv) { return run_conformance(&libev, argc, argv) != 0; }
