/* A reactor from outside the tree: it asks about its descriptors one after the other and sleeps in between.
 *
 * Slow by design, so that nothing stands between the reader and the contract. Built against the installed headers only; see
 * the Makefile beside it. */
#include <kolk/reactor.h>

#include <errno.h>
#include <poll.h>
#include <time.h>

enum { MOST = 4096 };

struct watched {
    int fd; /* -1: free */
    uint32_t events;
    uint64_t token;
};

struct sweep {
    const kolk_allocator *allocator;
    int count; /* entries in use or free again, from the first */
    int next;  /* where the next sweep starts, so that small capacities starve nobody */
    struct watched watched[MOST];
};

static int sweep_open(const kolk_reactor_config *config, void **ret_state) {
    struct sweep *self = config->allocator->allocate(config->allocator->userdata, sizeof *self);
    if (!self)
        return -ENOMEM;
    self->allocator = config->allocator;
    self->count = self->next = 0;
    *ret_state = self;
    return 0;
}

static void sweep_close(void *state) {
    struct sweep *self = state;
    if (self)
        self->allocator->release(self->allocator->userdata, self, sizeof *self);
}

/* Adds, changes and removes: which of these it is shows only here. */
static int sweep_watch(void *state, int fd, uint32_t events, uint64_t token) {
    struct sweep *self = state;
    struct watched *place = NULL;
    for (int i = 0; i < self->count && (!place || place->fd != fd); i++)
        if (self->watched[i].fd == fd || (!place && self->watched[i].fd < 0))
            place = &self->watched[i];
    int known = place && place->fd == fd;
    if (!events) {
        if (known && fd >= 0)
            place->fd = -1; /* removing what is not there succeeds as well */
        return 0;
    }
    if (fd < 0)
        return -EBADF;
    if (!place && self->count == MOST)
        return -ERANGE;
    if (!place)
        place = &self->watched[self->count++];
    *place = (struct watched){fd, events, token};
    return 0;
}

/* One pass over all. Returns how many were found, or a negated errno. */
static int look(struct sweep *self, kolk_ready *ret_ready, uint32_t capacity) {
    uint32_t found = 0;
    for (int steps = self->count; steps && found < capacity; steps--) {
        struct watched *each = &self->watched[self->next++ % self->count];
        self->next %= self->count;
        if (each->fd < 0)
            continue;
        short wanted = (each->events & KOLK_EVENT_READ ? POLLIN : 0) | (each->events & KOLK_EVENT_WRITE ? POLLOUT : 0);
        struct pollfd one = {each->fd, wanted, 0};
        if (poll(&one, 1, 0) < 0)
            return -errno;
        if (!one.revents)
            continue;
        uint32_t ready = (one.revents & POLLIN ? KOLK_EVENT_READ : 0) | (one.revents & POLLOUT ? KOLK_EVENT_WRITE : 0);
        if (one.revents & (POLLERR | POLLHUP)) /* the next read or write tells what it is */
            ready = each->events | KOLK_EVENT_HANGUP;
        if (one.revents & POLLNVAL) /* closed without a word: said once, then forgotten */
            ready = each->events | KOLK_EVENT_INVALID;
        ret_ready[found++] = (kolk_ready){each->token, ready, 0};
        if (ready & KOLK_EVENT_INVALID)
            each->fd = -1;
    }
    return (int)found;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int sweep_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) {
    const struct timespec pause = {0, 500000};
    int64_t begun = now();
    for (;;) {
        int found = look(state, ret_ready, capacity);
        if (found || (timeout_ns >= 0 && now() - begun >= timeout_ns)) /* never early: the clock decides, not the pauses */
            return found;
        if (nanosleep(&pause, NULL) < 0) /* a signal ends the wait, and is no failure */
            return 0;
    }
}

static const kolk_reactor_ops sweep = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "sweep",
    .open = sweep_open,
    .close = sweep_close,
    .watch = sweep_watch,
    .collect = sweep_collect,
};

int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &sweep;
    return 0;
}
