/* A host that watches kolk's descriptor edge-triggered: it hears of it once, and then not again until something new happens.
 * Between the plain poll() loop and its guests there is an epoll descriptor with EPOLLET on everything. */
#include "host.h"
#include "poll_loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { GUESTS = 8 };

struct visitor {
    struct edge_loop *loop;
    kolk_guest *guest;
    int fd; /* -1: nothing is watched. */
    uint32_t events;
};

struct edge_loop {
    struct poll_loop *base;
    int epoll;
    struct visitor visitors[GUESTS]; /* Free ones have no loop. */
};

static int epoll_events(uint32_t events) {
    return (events & KOLK_EVENT_READ ? EPOLLIN : 0) | (events & KOLK_EVENT_WRITE ? EPOLLOUT : 0);
}

static uint32_t kolk_events(uint32_t events) {
    return (events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? KOLK_EVENT_READ : 0) |
           (events & (EPOLLOUT | EPOLLERR) ? KOLK_EVENT_WRITE : 0);
}

/* One at a time: the next may be a visitor's that has left meanwhile. */
static void on_edge(void *userdata) {
    struct edge_loop *self = userdata;
    struct epoll_event event;
    if (epoll_wait(self->epoll, &event, 1, 0) != 1)
        return;
    struct visitor *visitor = event.data.ptr;
    kolk_guest_ready(visitor->guest, visitor->fd, kolk_events(event.events));
}

static void open_epoll(struct edge_loop *self) {
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0)
        abort();
    poll_loop_watch(self->base, self->epoll, on_edge, self);
}

static void *open_host(void) {
    struct edge_loop *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->base = poll_loop_new();
    open_epoll(self);
    return self;
}

static void close_host(void *userdata) {
    struct edge_loop *self = userdata;
    close(self->epoll);
    poll_loop_free(self->base);
    free(self);
}

/* ---- The adapter ---- */

static int watch_for_guest(void *userdata, int fd, uint32_t events) {
    struct visitor *visitor = userdata;
    int known = visitor->fd == fd;
    struct epoll_event event = {.events = (uint32_t)epoll_events(events) | EPOLLET, .data.ptr = visitor};
    if (!known && events == 0)
        return 0;
    visitor->fd = events ? fd : -1;
    visitor->events = events;
    if (events == 0)
        return epoll_ctl(visitor->loop->epoll, EPOLL_CTL_DEL, fd, NULL) == 0 || errno == ENOENT || errno == EBADF ? 0
                                                                                                                  : KOLK_EIO;
    if (known && epoll_ctl(visitor->loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    return epoll_ctl(visitor->loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : KOLK_EIO;
}

static void forget_guest(void *userdata) { ((struct visitor *)userdata)->loop = NULL; }

static int attach(void *userdata, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                  kolk_error **ret_error) {
    static const kolk_host_ops ops = {.size = sizeof(kolk_host_ops), .watch = watch_for_guest};
    struct edge_loop *self = userdata;
    for (int i = 0; i < GUESTS; i++) {
        struct visitor *visitor = &self->visitors[i];
        if (visitor->loop)
            continue;
        *visitor = (struct visitor){.loop = self, .fd = -1};
        int status = kolk_guest_new(loop, &ops, visitor, forget_guest, options, ret_guest, ret_error);
        if (status == 0)
            visitor->guest = *ret_guest;
        return status;
    }
    return KOLK_ELIMIT;
}

/* ---- The host ---- */

static void run(void *self) { poll_loop_run(((struct edge_loop *)self)->base); }
static void stop(void *self) { poll_loop_stop(((struct edge_loop *)self)->base); }

static void call_later(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    poll_loop_call_later(((struct edge_loop *)self)->base, delay_ns, fn, userdata);
}

static void watch(void *self, int fd, void (*fn)(void *userdata), void *userdata) {
    poll_loop_watch(((struct edge_loop *)self)->base, fd, fn, userdata);
}

static void run_modal(void *self, int (*done)(void *context), void *context) {
    poll_loop_run_modal(((struct edge_loop *)self)->base, done, context);
}

/* An epoll descriptor is shared with the parent: a new one, with all that was watched. */
static void after_fork(void *userdata) {
    struct edge_loop *self = userdata;
    poll_loop_after_fork(self->base);
    poll_loop_watch(self->base, self->epoll, NULL, NULL);
    close(self->epoll);
    open_epoll(self);
    for (int i = 0; i < GUESTS; i++) {
        struct visitor *visitor = &self->visitors[i];
        struct epoll_event event = {.events = (uint32_t)epoll_events(visitor->events) | EPOLLET, .data.ptr = visitor};
        if (visitor->loop && visitor->fd >= 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, visitor->fd, &event) != 0)
            abort();
    }
}

int main(int argc, char **argv) {
    const struct host host = {
        .name = "epoll_edge",
        .ways = 1u << KOLK_GUEST_HANDLE,
        .granularity = 1000000,
        .open = open_host,
        .close = close_host,
        .attach = attach,
        .run = run,
        .stop = stop,
        .call_later = call_later,
        .watch = watch,
        .run_modal = run_modal,
        .after_fork = after_fork,
    };
    return run_conformance(&host, argc, argv);
}
