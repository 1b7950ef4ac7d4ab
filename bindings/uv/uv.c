/* kolk as the guest of a uv_loop_t.
 *
 * Memory: libuv owns the memory of a handle from its initialisation until the callback of uv_close(), a turn later. So each
 * handle has memory of its own, which that callback frees, and none of them knows of the stay any more when it is closed.
 *
 * Time: libuv counts in milliseconds, from a moment that it reads once per turn. A timer for "in 100 ms" is early by as much as
 * the callbacks before took. Here the deadline is made a time of libuv's clock, rounded up, and the difference to that moment
 * is what the timer is given. The sleep begins with the same stale moment, so it is read anew right before it. Only a prepare
 * handle of the program's that is older than ours is called in between, and what it takes the sleep is too long.
 *
 * A descriptor is watched by a new uv_poll_t each time: only uv_poll_init() asks the kernel whether it can be watched. What
 * cannot ends the program in uv_run(). */
#include "kolk/uv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct watch {
    uv_poll_t poll; /* First: it is freed as a handle. */
    struct stay *stay;
    int fd;
    int events; /* UV_READABLE, UV_WRITABLE. */
};

struct stay {
    kolk_loop *loop;   /* Borrowed: it outlives the stay. */
    kolk_guest *guest; /* Borrowed. Set before the host calls anyone back. */
    uv_loop_t *host;
    uv_async_t *bell;       /* Rung from any thread. It alone keeps uv_run() going. NULL in KOLK_GUEST_FRAME. */
    uv_timer_t *timer;      /* From the first deadline on. */
    uv_prepare_t *sleep;    /* As the timer. Called right before the host sleeps. */
    int64_t deadline_ns;    /* On the loop's clock. */
    struct watch **watches; /* By descriptor; NULL where none is watched. */
    size_t capacity;        /* Of watches. */
};

static void free_handle(uv_handle_t *handle) { free(handle); }

/* What the program has closed behind our back is not given back: nobody says when its memory is free. */
static void close_handle(void *handle) {
    if (handle != NULL && !uv_is_closing(handle))
        uv_close(handle, free_handle);
}

static int status_of(int uv_status) {
    switch (uv_status) {
    case UV_ENOMEM:
        return KOLK_ENOMEM;
    case UV_EBADF:
        return KOLK_EBADF;
    case UV_EPERM: /* What epoll says of a file. */
        return KOLK_ENOTSUP;
    case UV_EEXIST: /* Another handle has it. */
        return KOLK_EBUSY;
    case UV_EMFILE:
    case UV_ENFILE:
        return KOLK_EMFILE;
    default:
        return uv_status < 0 ? KOLK_EIO : 0;
    }
}

/* ---- what the host calls: this may end the stay, so nothing of it is touched after the guest had its turn ---- */

static void on_bell(uv_async_t *bell) {
    struct stay *self = bell->data;
    kolk_guest_turn(self->guest);
}

static void on_sleep(uv_prepare_t *sleep) { uv_update_time(sleep->loop); }

static void start_timer(struct stay *self);
static void on_ready(uv_poll_t *poll, int uv_status, int what);

static void on_timer(uv_timer_t *timer) {
    struct stay *self = timer->data;
    /* The loop may have a clock of its own, which goes slower. */
    if (kolk_loop_time(self->loop) < self->deadline_ns)
        start_timer(self);
    else
        kolk_guest_turn(self->guest);
}

/* libuv stops a watch because of an error, which is told by the next read or write; until somebody does one, the watch goes on.
 * A descriptor that is not there any more cannot be watched: that would end the program. */
static uint32_t go_on(struct watch *watch) {
    if (fcntl(watch->fd, F_GETFD) < 0 || uv_poll_start(&watch->poll, watch->events, on_ready) < 0)
        return KOLK_EVENT_INVALID;
    return 0;
}

static void on_ready(uv_poll_t *poll, int uv_status, int what) {
    struct watch *watch = poll->data;
    struct stay *self = watch->stay;
    uint32_t events = 0;
    if (uv_status < 0) {
        events = go_on(watch);
        what = watch->events;
    }
    events |= (what & UV_READABLE ? KOLK_EVENT_READ : 0u) | (what & UV_WRITABLE ? KOLK_EVENT_WRITE : 0u);
    /* A child that has no use for kolk may run its host; there it would be told again and again. */
    if (kolk_guest_ready(self->guest, watch->fd, events) == KOLK_EFORKED)
        uv_poll_stop(poll);
}

/* ---- timer and bell ---- */

static int post(void *userdata) {
    struct stay *self = userdata;
    return status_of(uv_async_send(self->bell));
}

static void start_timer(struct stay *self) {
    const uint64_t millisecond = 1000000;
    int64_t left = self->deadline_ns - kolk_loop_time(self->loop);
    uint64_t when = (uv_hrtime() + (uint64_t)(left > 0 ? left : 0) + millisecond - 1) / millisecond;
    uint64_t now = uv_now(self->host);
    if (left > 0 && when > now) {
        uv_timer_start(self->timer, on_timer, when - now, 0);
        return;
    }
    /* Before 1.45 uv_run() goes on with timers that are due until there are none, and looks at nothing else. */
    uv_timer_stop(self->timer);
    uv_async_send(self->bell);
}

static int make_timer(struct stay *self) {
    uv_timer_t *timer = calloc(1, sizeof *timer);
    uv_prepare_t *sleep = calloc(1, sizeof *sleep);
    if (timer == NULL || sleep == NULL) {
        free(timer);
        free(sleep);
        return KOLK_ENOMEM;
    }
    uv_timer_init(self->host, timer);
    uv_prepare_init(self->host, sleep);
    uv_prepare_start(sleep, on_sleep);
    uv_unref((uv_handle_t *)timer);
    uv_unref((uv_handle_t *)sleep);
    timer->data = self;
    self->timer = timer;
    self->sleep = sleep;
    return 0;
}

static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct stay *self = userdata;
    self->deadline_ns = deadline_ns;
    if (deadline_ns != KOLK_NEVER) {
        int status = self->timer == NULL ? make_timer(self) : 0;
        if (status < 0)
            return status;
        start_timer(self);
    } else if (self->timer != NULL) {
        uv_timer_stop(self->timer);
    }
    return 0;
}

/* ---- descriptors ---- */

static int reserve(struct stay *self, size_t count) {
    if (count <= self->capacity)
        return 0;
    struct watch **grown = realloc(self->watches, count * 2 * sizeof(*grown));
    if (grown == NULL)
        return KOLK_ENOMEM;
    memset(grown + self->capacity, 0, (count * 2 - self->capacity) * sizeof(*grown));
    self->watches = grown;
    self->capacity = count * 2;
    return 0;
}

static void end_watch(struct stay *self, size_t fd) {
    if (fd >= self->capacity || self->watches[fd] == NULL)
        return;
    close_handle(self->watches[fd]);
    self->watches[fd] = NULL;
}

/* libuv makes a descriptor non-blocking, for everyone who has it. It is the program's. */
static int init_poll(uv_loop_t *host, uv_poll_t *poll, int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return UV_EBADF;
    int status = uv_poll_init(host, poll, fd);
    if (status == 0 && !(flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags);
    return status;
}

static int begin_watch(struct stay *self, int fd, int events) {
    struct watch *watch = calloc(1, sizeof *watch);
    int status = watch == NULL ? UV_ENOMEM : init_poll(self->host, &watch->poll, fd);
    if (status < 0) {
        free(watch);
        return status_of(status);
    }
    watch->poll.data = watch;
    watch->stay = self;
    watch->fd = fd;
    watch->events = events;
    uv_unref((uv_handle_t *)&watch->poll);
    status = uv_poll_start(&watch->poll, events, on_ready);
    if (status < 0)
        close_handle(watch);
    else
        self->watches[fd] = watch;
    return status_of(status);
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct stay *self = userdata;
    if (fd < 0)
        return KOLK_EBADF;
    /* Also when the same is wanted as before: the number may be another file's by now. */
    end_watch(self, (size_t)fd);
    if (events == 0)
        return 0;
    int status = reserve(self, (size_t)fd + 1);
    if (status < 0)
        return status;
    return begin_watch(self, fd, (events & KOLK_EVENT_READ ? UV_READABLE : 0) | (events & KOLK_EVENT_WRITE ? UV_WRITABLE : 0));
}

/* ---- the stay ---- */

static int make_bell(struct stay *self) {
    uv_async_t *bell = calloc(1, sizeof *bell);
    int status = bell == NULL ? UV_ENOMEM : uv_async_init(self->host, bell, on_bell);
    if (status < 0) {
        free(bell);
        return status;
    }
    bell->data = self;
    self->bell = bell;
    return 0;
}

/* Before 1.45 a bell that was ringing in the parent is silent for ever in the child. */
static int after_fork(void *userdata) {
    struct stay *self = userdata;
    uv_async_t *inherited = self->bell;
    int status = inherited == NULL ? 0 : make_bell(self);
    if (status == 0)
        close_handle(inherited);
    return status_of(status);
}

static void leave(void *userdata) {
    struct stay *self = userdata;
    for (size_t fd = 0; fd < self->capacity; fd++)
        end_watch(self, fd);
    close_handle(self->timer);
    close_handle(self->sleep);
    close_handle(self->bell);
    free(self->watches);
    free(self);
}

static int refuse(int status, const char *message, kolk_error **ret_error) {
    if (ret_error != NULL)
        kolk_error_new(status, message, NULL, ret_error);
    return status;
}

static int enter(kolk_loop *loop, uv_loop_t *host, const kolk_guest_options *options, struct stay **ret_stay) {
    struct stay *self = calloc(1, sizeof *self);
    if (self == NULL)
        return UV_ENOMEM;
    self->loop = loop;
    self->host = host;
    int is_frame = options != NULL && options->way == KOLK_GUEST_FRAME;
    int status = is_frame ? 0 : make_bell(self);
    if (status < 0)
        free(self);
    else
        *ret_stay = self;
    return status;
}

static const kolk_host_ops ops = {
    .size = sizeof ops, .watch = watch, .set_deadline = set_deadline, .post = post, .after_fork = after_fork};

int kolk_uv_attach(kolk_loop *loop, uv_loop_t *host, const kolk_guest_options *options, kolk_guest **ret_guest,
                   kolk_error **ret_error) {
    if (host == NULL || ret_guest == NULL)
        return refuse(KOLK_EINVAL, host == NULL ? "the uv_loop_t is NULL" : "ret_guest is NULL", ret_error);
    struct stay *self = NULL;
    int status = enter(loop, host, options, &self);
    if (status < 0)
        return refuse(status_of(status), NULL, ret_error);
    status = kolk_guest_new(loop, &ops, self, leave, options, &self->guest, ret_error);
    if (status == 0)
        *ret_guest = self->guest;
    return status;
}
