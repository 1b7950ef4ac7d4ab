/* kolk as the guest of an ev_loop.
 *
 * Time: libev counts from a cached moment that stands still while callbacks run, in seconds that are doubles. Its timers are
 * early by as much as the callbacks before took. So the timer looks at kolk's own clock when it fires, and sleeps on for what
 * is left; the host's time is not touched, because the program may rely on it.
 *
 * Posts: ev_async comes in the next pass, may be sent by any thread, costs no system call while the host is awake, and is
 * renewed by ev_loop_fork(). libev keeps the pipe of its first one for good, as it does for signals.
 *
 * libev ends the program when its own memory runs out, unless ev_set_allocator() says otherwise: that is the host's affair. It
 * does so, too, when there is no descriptor left for that pipe; so it is tried before whether there is one. */
#include "kolk/libev.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct stay {
    kolk_loop *loop;   /* Borrowed: it outlives the stay. */
    kolk_guest *guest; /* Borrowed. Set before the host calls anyone back. */
    struct ev_loop *host;
    ev_timer timer;
    ev_async soon; /* Started where there are posts. */
    int64_t deadline_ns;
    ev_io **watches; /* By descriptor; NULL where none was ever watched, stopped where none is now. */
    size_t capacity; /* Of watches. */
};

/* What is called back may end the stay: nothing of it is touched after the guest had its turn. */

static void on_ready(struct ev_loop *host, ev_io *io, int what) {
    struct stay *self = io->data;
    uint32_t events = (what & EV_READ ? KOLK_EVENT_READ : 0u) | (what & EV_WRITE ? KOLK_EVENT_WRITE : 0u);
    /* libev found the descriptor closed, and has stopped its watch. */
    if (what & EV_ERROR)
        events |= KOLK_EVENT_INVALID;
    /* A child that has no use for kolk may run its host; there it would be told again and again. */
    if (kolk_guest_ready(self->guest, io->fd, events) == KOLK_EFORKED)
        ev_io_stop(host, io);
}

static void on_soon(struct ev_loop *host, ev_async *soon, int what) {
    (void)host;
    (void)what;
    struct stay *self = soon->data;
    kolk_guest_turn(self->guest);
}

static void start_timer(struct stay *self, int64_t delay_ns) {
    ev_timer_stop(self->host, &self->timer);
    ev_timer_set(&self->timer, (double)delay_ns * 1e-9, 0.);
    ev_timer_start(self->host, &self->timer);
}

static void on_timer(struct ev_loop *host, ev_timer *timer, int what) {
    (void)host;
    (void)what;
    struct stay *self = timer->data;
    int64_t left = self->deadline_ns - kolk_loop_time(self->loop);
    if (left > 0)
        start_timer(self, left);
    else
        kolk_guest_turn(self->guest);
}

static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct stay *self = userdata;
    self->deadline_ns = deadline_ns;
    if (deadline_ns == KOLK_NEVER) {
        ev_timer_stop(self->host, &self->timer);
        return 0;
    }
    int64_t now = kolk_loop_time(self->loop);
    start_timer(self, deadline_ns > now ? deadline_ns - now : 0);
    return 0;
}

static int post(void *userdata) {
    struct stay *self = userdata;
    ev_async_send(self->host, &self->soon);
    return 0;
}

static int reserve(struct stay *self, size_t count) {
    if (count <= self->capacity)
        return 0;
    ev_io **grown = realloc(self->watches, count * 2 * sizeof *grown);
    if (grown == NULL)
        return KOLK_ENOMEM;
    memset(grown + self->capacity, 0, (count * 2 - self->capacity) * sizeof *grown);
    self->watches = grown;
    self->capacity = count * 2;
    return 0;
}

static ev_io *watch_of(struct stay *self, int fd) {
    if (self->watches[fd] == NULL)
        self->watches[fd] = calloc(1, sizeof(ev_io));
    return self->watches[fd];
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct stay *self = userdata;
    if (fd >= 0 && (size_t)fd < self->capacity && self->watches[fd] != NULL)
        ev_io_stop(self->host, self->watches[fd]);
    if (events == 0)
        return 0;
    if (fcntl(fd, F_GETFD) < 0)
        return KOLK_EBADF;
    ev_io *io = reserve(self, (size_t)fd + 1) < 0 ? NULL : watch_of(self, fd);
    if (io == NULL)
        return KOLK_ENOMEM;
    /* Set anew also when nothing changes: libev then tells the kernel of a new file behind a known number. */
    ev_io_init(io, on_ready, fd, (events & KOLK_EVENT_READ ? EV_READ : 0) | (events & KOLK_EVENT_WRITE ? EV_WRITE : 0));
    io->data = self;
    ev_io_start(self->host, io);
    return 0;
}

static void leave(void *userdata) {
    struct stay *self = userdata;
    for (size_t fd = 0; fd < self->capacity; fd++) {
        if (self->watches[fd] != NULL)
            ev_io_stop(self->host, self->watches[fd]);
        free(self->watches[fd]);
    }
    ev_timer_stop(self->host, &self->timer);
    ev_async_stop(self->host, &self->soon);
    free(self->watches);
    free(self);
}

static struct stay *enter(kolk_loop *loop, struct ev_loop *host) {
    struct stay *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->loop = loop;
    self->host = host;
    self->deadline_ns = KOLK_NEVER;
    ev_init(&self->timer, on_timer);
    ev_async_init(&self->soon, on_soon);
    self->timer.data = self->soon.data = self;
    return self;
}

/* What libev needs for its pipe. */
static int can_open_descriptor(void) {
    int probe = eventfd(0, EFD_CLOEXEC);
    if (probe >= 0)
        close(probe);
    return probe >= 0;
}

static int refuse(int status, const char *message, kolk_error **ret_error) {
    if (ret_error != NULL)
        kolk_error_new(status, message, NULL, ret_error);
    return status;
}

static const kolk_host_ops ops = {.size = sizeof ops, .watch = watch, .set_deadline = set_deadline, .post = post};

int kolk_libev_attach(kolk_loop *loop, struct ev_loop *host, const kolk_guest_options *options, kolk_guest **ret_guest,
                      kolk_error **ret_error) {
    if (host == NULL || ret_guest == NULL)
        return refuse(KOLK_EINVAL, host == NULL ? "the ev_loop is NULL" : "ret_guest is NULL", ret_error);
    uint32_t way = options != NULL ? options->way : KOLK_GUEST_ANY;
    int may_post = way != KOLK_GUEST_FRAME && way != KOLK_GUEST_HANDLE;
    if (may_post && !can_open_descriptor())
        return refuse(KOLK_EMFILE, "libev needs a descriptor for its ev_async", ret_error);
    struct stay *self = enter(loop, host);
    if (self == NULL)
        return refuse(KOLK_ENOMEM, NULL, ret_error);

    /* Before there is a guest: what is sent earlier is lost. */
    if (may_post)
        ev_async_start(host, &self->soon);
    kolk_guest *guest = NULL;
    int status = kolk_guest_new(loop, &ops, self, leave, options, &guest, ret_error);
    if (status < 0)
        return status;
    self->guest = guest;
    if (kolk_guest_way(guest) == KOLK_GUEST_HANDLE)
        ev_async_stop(host, &self->soon);
    *ret_guest = guest;
    return 0;
}
