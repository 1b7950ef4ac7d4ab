/* kolk as the guest of an event_base.
 *
 * Time: libevent counts from a cached moment that stands still while callbacks run, on a clock that may tick every four
 * milliseconds. Its timers are early by as much. So the timer looks at kolk's own clock when it fires, and sleeps on for what
 * is left; the base's time is not touched, because the program may rely on it.
 *
 * Threads: a base without locks cannot be called from another thread, and none tells whether it has them. So another thread
 * rings an eventfd that the base watches; the base's own thread adds a timer without delay, which costs no system call. (An
 * event that is activated by a callback runs in the same pass, before anything else is looked at.)
 *
 * libevent writes to stderr about descriptors that epoll refuses. So they are refused here, before it sees them. */
#include "kolk/libevent.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct stay {
    kolk_loop *loop;   /* Borrowed: it outlives the stay. */
    kolk_guest *guest; /* Borrowed. Set before the base calls anyone back. */
    struct event_base *base;
    pthread_t thread; /* The one that runs the base. */
    struct event *timer;
    struct event *soon;     /* Activated, or a timer without delay. */
    int has_bell;           /* Other threads post. */
    int bell;               /* An eventfd for them, or -1. */
    struct event *doorbell; /* Watches it. */
    int in_turn;            /* The base has called us, and we the guest. */
    int over;               /* It ended in there: freed when we are back. */
    int64_t deadline_ns;
    struct event **watches; /* By descriptor; NULL where none is watched. */
    size_t capacity;        /* Of watches. */
};

static int status_of(int number) {
    switch (number) {
    case EBADF:
        return KOLK_EBADF;
    case EPERM:
        return KOLK_ENOTSUP;
    case ENOMEM:
        return KOLK_ENOMEM;
    case EMFILE:
    case ENFILE:
        return KOLK_EMFILE;
    case ENOSPC:
        return KOLK_ELIMIT;
    default:
        return KOLK_EIO;
    }
}

/* With fd -1 for other reasons than a descriptor. The guest may end its stay in there. */
static void take_turn(struct stay *self, int fd, uint32_t events) {
    self->in_turn = 1;
    int status = fd >= 0 ? kolk_guest_ready(self->guest, fd, events) : kolk_guest_turn(self->guest);
    self->in_turn = 0;
    /* A child that has no use for kolk may run its base; there it would be told again and again. */
    if (status == KOLK_EFORKED && fd >= 0)
        event_del(self->watches[fd]);
    if (self->over)
        free(self);
}

static void on_ready(evutil_socket_t fd, short what, void *userdata) {
    struct stay *self = userdata;
    uint32_t events = (what & EV_READ ? KOLK_EVENT_READ : 0u) | (what & EV_WRITE ? KOLK_EVENT_WRITE : 0u);
    take_turn(self, (int)fd, events);
}

static void on_soon(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    take_turn(userdata, -1, 0);
}

static void on_bell(evutil_socket_t fd, short what, void *userdata) {
    (void)what;
    struct stay *self = userdata;
    eventfd_t rung;
    /* The bell is the parent's, who would miss what the child takes. */
    if (kolk_loop_alive(self->loop) == KOLK_EFORKED)
        event_del(self->doorbell);
    else if (eventfd_read((int)fd, &rung) == 0)
        take_turn(self, -1, 0);
}

static int start_timer(struct stay *self, int64_t delay_ns) {
    int64_t us = delay_ns / 1000 + (delay_ns % 1000 != 0);
    struct timeval rounded_up = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    return event_add(self->timer, &rounded_up) < 0 ? KOLK_ENOMEM : 0;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    struct stay *self = userdata;
    int64_t left = self->deadline_ns - kolk_loop_time(self->loop);
    /* A turn too early is better than none. */
    if (left <= 0 || start_timer(self, left) < 0)
        take_turn(self, -1, 0);
}

static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct stay *self = userdata;
    self->deadline_ns = deadline_ns;
    if (deadline_ns == KOLK_NEVER)
        return event_del(self->timer) < 0 ? KOLK_EIO : 0;
    int64_t now = kolk_loop_time(self->loop);
    return start_timer(self, deadline_ns > now ? deadline_ns - now : 0);
}

static int post(void *userdata) {
    struct stay *self = userdata;
    static const struct timeval at_once = {0, 0};
    if (!pthread_equal(self->thread, pthread_self()))
        return eventfd_write(self->bell, 1) < 0 ? status_of(errno) : 0;
    if (self->in_turn)
        return event_add(self->soon, &at_once) < 0 ? KOLK_ENOMEM : 0;
    event_active(self->soon, EV_TIMEOUT, 1);
    return 0;
}

static void forget(struct stay *self, int fd) {
    if ((size_t)fd >= self->capacity || self->watches[fd] == NULL)
        return;
    event_free(self->watches[fd]);
    self->watches[fd] = NULL;
}

/* Sockets and pipes can be watched. Of anything else only epoll knows. */
static int check_descriptor(int fd) {
    struct stat about;
    if (fstat(fd, &about) < 0)
        return status_of(errno);
    if (S_ISSOCK(about.st_mode) || S_ISFIFO(about.st_mode))
        return 0;
    struct epoll_event nothing = {0};
    int probe = epoll_create1(EPOLL_CLOEXEC);
    int status = probe < 0 || epoll_ctl(probe, EPOLL_CTL_ADD, fd, &nothing) < 0 ? status_of(errno) : 0;
    if (probe >= 0)
        close(probe);
    return status;
}

static int reserve(struct stay *self, size_t count) {
    if (count <= self->capacity)
        return 0;
    struct event **grown = realloc(self->watches, count * 2 * sizeof *grown);
    if (grown == NULL)
        return KOLK_ENOMEM;
    memset(grown + self->capacity, 0, (count * 2 - self->capacity) * sizeof *grown);
    self->watches = grown;
    self->capacity = count * 2;
    return 0;
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct stay *self = userdata;
    if (fd < 0)
        return KOLK_EBADF;
    /* Also when it only changes: libevent then tells the kernel of a new file behind a known number. */
    forget(self, fd);
    if (events == 0)
        return 0;
    int status = check_descriptor(fd);
    if (status >= 0)
        status = reserve(self, (size_t)fd + 1);
    if (status < 0)
        return status;
    short wanted = EV_PERSIST;
    wanted |= events & KOLK_EVENT_READ ? EV_READ : 0;
    wanted |= events & KOLK_EVENT_WRITE ? EV_WRITE : 0;
    struct event *io = event_new(self->base, fd, wanted, on_ready, self);
    if (io == NULL)
        return KOLK_ENOMEM;
    errno = 0;
    if (event_add(io, NULL) < 0) {
        status = status_of(errno);
        event_free(io);
        return status;
    }
    self->watches[fd] = io;
    return 0;
}

static void remove_doorbell(struct stay *self) {
    self->has_bell = 0;
    if (self->doorbell != NULL)
        event_free(self->doorbell);
    if (self->bell >= 0)
        close(self->bell);
    self->doorbell = NULL;
    self->bell = -1;
}

static int add_doorbell(struct stay *self) {
    self->has_bell = 1;
    self->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->bell < 0)
        return status_of(errno);
    self->doorbell = event_new(self->base, self->bell, EV_READ | EV_PERSIST, on_bell, self);
    if (self->doorbell == NULL)
        return KOLK_ENOMEM;
    errno = 0;
    return event_add(self->doorbell, NULL) < 0 ? status_of(errno) : 0;
}

/* The bell is the parent's, too. */
static int after_fork(void *userdata) {
    struct stay *self = userdata;
    self->thread = pthread_self();
    if (!self->has_bell)
        return 0;
    remove_doorbell(self);
    return add_doorbell(self);
}

static void leave(void *userdata) {
    struct stay *self = userdata;
    remove_doorbell(self);
    for (size_t fd = 0; fd < self->capacity; fd++)
        forget(self, (int)fd);
    if (self->soon != NULL)
        event_free(self->soon);
    if (self->timer != NULL)
        event_free(self->timer);
    free(self->watches);
    if (self->in_turn)
        self->over = 1;
    else
        free(self);
}

static int enter(kolk_loop *loop, struct event_base *base, int with_doorbell, struct stay **ret_self) {
    struct stay *self = calloc(1, sizeof *self);
    if (self == NULL)
        return KOLK_ENOMEM;
    self->loop = loop;
    self->base = base;
    self->thread = pthread_self();
    self->bell = -1;
    self->deadline_ns = KOLK_NEVER;
    self->timer = event_new(base, -1, 0, on_timer, self);
    self->soon = event_new(base, -1, 0, on_soon, self);
    int status = self->timer == NULL || self->soon == NULL ? KOLK_ENOMEM : with_doorbell ? add_doorbell(self) : 0;
    if (status < 0)
        leave(self);
    else
        *ret_self = self;
    return status;
}

static int refuse(int status, const char *message, kolk_error **ret_error) {
    if (ret_error != NULL)
        kolk_error_new(status, message, NULL, ret_error);
    return status;
}

static const kolk_host_ops ops = {
    .size = sizeof ops, .watch = watch, .set_deadline = set_deadline, .post = post, .after_fork = after_fork};

int kolk_libevent_attach(kolk_loop *loop, struct event_base *base, const kolk_guest_options *options, kolk_guest **ret_guest,
                         kolk_error **ret_error) {
    if (base == NULL || ret_guest == NULL)
        return refuse(KOLK_EINVAL, base == NULL ? "the event_base is NULL" : "ret_guest is NULL", ret_error);
    uint32_t way = options != NULL ? options->way : KOLK_GUEST_ANY;
    struct stay *self = NULL;
    int status = enter(loop, base, way == KOLK_GUEST_ANY || way == KOLK_GUEST_THREAD, &self);
    if (status < 0)
        return refuse(status, "libevent cannot make the events for the timer and for posting", ret_error);

    kolk_guest *guest = NULL;
    status = kolk_guest_new(loop, &ops, self, leave, options, &guest, ret_error);
    if (status < 0)
        return status;
    self->guest = guest;
    if (kolk_guest_way(guest) != KOLK_GUEST_THREAD)
        remove_doorbell(self);
    *ret_guest = guest;
    return 0;
}
