/* libevent as a host, twice: with its own watches, and with the reactor "libevent" on the same base. */
#include "host.h"

#include <kolk/libevent.h>

#include <event2/event.h>
#include <stdlib.h>

enum { MOST_FDS = 4096 };

struct libevent_host {
    struct event_base *base;
    struct event *watches[MOST_FDS];
    void (*on_ready[MOST_FDS])(void *userdata);
    void *ready_userdata[MOST_FDS];
};

struct call {
    struct event *timer;
    void (*fn)(void *userdata);
    void *userdata;
};

static void *host_open(void) {
    struct libevent_host *self = calloc(1, sizeof *self);
    if (self != NULL)
        self->base = event_base_new();
    if (self != NULL && self->base == NULL) {
        free(self);
        self = NULL;
    }
    return self;
}

static void host_close(void *host) {
    struct libevent_host *self = host;
    for (int fd = 0; fd < MOST_FDS; fd++)
        if (self->watches[fd] != NULL)
            event_free(self->watches[fd]);
    event_base_free(self->base);
    free(self);
}

static int host_attach(void *host, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct libevent_host *self = host;
    return kolk_libevent_attach(loop, self->base, options, ret_guest, ret_error);
}

static void host_run(void *host) {
    struct libevent_host *self = host;
    event_base_loop(self->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void host_stop(void *host) {
    struct libevent_host *self = host;
    event_base_loopbreak(self->base);
}

static void on_call(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    struct call call = *(struct call *)userdata;
    event_free(call.timer);
    free(userdata);
    call.fn(call.userdata);
}

static void host_call_later(void *host, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct libevent_host *self = host;
    struct call *call = malloc(sizeof *call);
    if (call == NULL)
        abort();
    *call = (struct call){event_new(self->base, -1, 0, on_call, call), fn, userdata};
    int64_t us = (delay_ns + 999) / 1000;
    struct timeval delay = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    // Not event_base_once(): without a delay that would run in the same pass.
    if (call->timer == NULL || event_add(call->timer, &delay) < 0)
        abort();
}

static void on_ready(evutil_socket_t fd, short what, void *host) {
    (void)what;
    struct libevent_host *self = host;
    self->on_ready[fd](self->ready_userdata[fd]);
}

static void host_watch(void *host, int fd, void (*fn)(void *userdata), void *userdata) {
    struct libevent_host *self = host;
    if (fd < 0 || fd >= MOST_FDS)
        abort();
    if (self->watches[fd] != NULL)
        event_free(self->watches[fd]);
    self->watches[fd] = NULL;
    if (fn == NULL)
        return;
    self->on_ready[fd] = fn;
    self->ready_userdata[fd] = userdata;
    self->watches[fd] = event_new(self->base, fd, EV_READ | EV_PERSIST, on_ready, self);
    if (self->watches[fd] == NULL || event_add(self->watches[fd], NULL) < 0)
        abort();
}

static void host_after_fork(void *host) {
    struct libevent_host *self = host;
    if (event_reinit(self->base) < 0)
        abort();
}

static void *host_native(void *host) {
    struct libevent_host *self = host;
    return self->base;
}

/* The clock of a base is a coarse one, of up to four milliseconds, and epoll counts in whole ones. */
static struct host libevent = {
    .name = "libevent",
    .ways = 1 << KOLK_GUEST_FRAME | 1 << KOLK_GUEST_HANDLE | 1 << KOLK_GUEST_THREAD | 1 << KOLK_GUEST_REACTOR,
    .granularity = 5000000,
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
    int failed = run_conformance(&libevent, argc, argv);
    struct host with_reactor = libevent;
    with_reactor.name = "libevent, reactor";
    with_reactor.ways = 1 << KOLK_GUEST_REACTOR;
    with_reactor.hosted = "libevent";
    with_reactor.native = host_native;
    return run_conformance(&with_reactor, argc, argv) != 0 || failed != 0;
}
