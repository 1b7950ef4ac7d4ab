#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "poll_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A watch is the host's own, with a function, or a guest's. */
struct watch {
    int fd;
    short events;
    void (*fn)(void *userdata);
    void *userdata;
    struct visitor *visitor;
};

struct timer {
    int64_t due;
    uint64_t order; /* Equal ones fire in the order they were made. */
    void (*fn)(void *userdata);
    void *userdata;
};

/* A guest, as the adapter knows it: one timer, one flag for posts. Everything else is in the loop's list of watches. */
struct visitor {
    struct poll_loop *loop;
    kolk_guest *guest; /* Not owned: it outlives its stay, and this ends with it. */
    int64_t deadline;
    int posted; /* Set by any thread. */
    struct visitor *next;
};

struct poll_loop {
    struct watch *watches;
    size_t watch_count, watch_capacity;
    struct pollfd *polled;
    size_t polled_capacity;
    struct timer *timers;
    size_t timer_count, timer_capacity;
    uint64_t orders;
    struct visitor *visitors;
    unsigned visits; /* Grows with each that ends: who walks through the list starts again. */
    int doorbell[2];
    int stopped;
};

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    abort();
}

static void open_doorbell(struct poll_loop *self) {
    if (pipe2(self->doorbell, O_NONBLOCK | O_CLOEXEC) != 0)
        die("pipe2");
}

struct poll_loop *poll_loop_new(void) {
    struct poll_loop *self = calloc(1, sizeof *self);
    if (!self)
        die("calloc");
    open_doorbell(self);
    return self;
}

void poll_loop_free(struct poll_loop *self) {
    close(self->doorbell[0]);
    close(self->doorbell[1]);
    free(self->watches);
    free(self->polled);
    free(self->timers);
    free(self);
}

void poll_loop_after_fork(struct poll_loop *self) {
    close(self->doorbell[0]);
    close(self->doorbell[1]);
    open_doorbell(self);
}

/* ---- Watches ---- */

static struct watch *find_watch(struct poll_loop *self, int fd, const struct visitor *visitor) {
    for (size_t i = 0; i < self->watch_count; i++)
        if (self->watches[i].fd == fd && self->watches[i].visitor == visitor)
            return &self->watches[i];
    return NULL;
}

static struct watch *add_watch(struct poll_loop *self) {
    if (self->watch_count == self->watch_capacity) {
        size_t capacity = self->watch_capacity ? self->watch_capacity * 2 : 16;
        struct watch *more = realloc(self->watches, capacity * sizeof *more);
        if (!more)
            return NULL;
        self->watches = more;
        self->watch_capacity = capacity;
    }
    return &self->watches[self->watch_count++];
}

static int set_watch(struct poll_loop *self, const struct watch *wanted) {
    struct watch *watch = find_watch(self, wanted->fd, wanted->visitor);
    if (wanted->events == 0) {
        if (watch)
            *watch = self->watches[--self->watch_count];
        return 0;
    }
    if (!watch)
        watch = add_watch(self);
    if (!watch)
        return KOLK_ENOMEM;
    *watch = *wanted;
    return 0;
}

void poll_loop_watch(struct poll_loop *self, int fd, void (*fn)(void *userdata), void *userdata) {
    if (set_watch(self, &(struct watch){.fd = fd, .events = fn ? POLLIN : 0, .fn = fn, .userdata = userdata}) != 0)
        die("watch");
}

/* ---- Timers ---- */

void poll_loop_call_later(struct poll_loop *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    if (self->timer_count == self->timer_capacity) {
        self->timer_capacity = self->timer_capacity ? self->timer_capacity * 2 : 16;
        self->timers = realloc(self->timers, self->timer_capacity * sizeof *self->timers);
        if (!self->timers)
            die("realloc");
    }
    self->timers[self->timer_count++] =
        (struct timer){.due = now_ns() + delay_ns, .order = self->orders++, .fn = fn, .userdata = userdata};
}

static struct timer *earliest_timer(struct poll_loop *self) {
    struct timer *best = NULL;
    for (size_t i = 0; i < self->timer_count; i++) {
        struct timer *timer = &self->timers[i];
        if (!best || timer->due < best->due || (timer->due == best->due && timer->order < best->order))
            best = timer;
    }
    return best;
}

/* Those that are due now; what they add waits for the next round. */
static void fire_timers(struct poll_loop *self) {
    int64_t now = now_ns();
    uint64_t limit = self->orders;
    for (;;) {
        struct timer *best = earliest_timer(self);
        if (!best || best->due > now || best->order >= limit)
            return;
        struct timer timer = *best;
        *best = self->timers[--self->timer_count];
        timer.fn(timer.userdata);
    }
}

/* ---- The adapter ---- */

static int watch_for_guest(void *userdata, int fd, uint32_t events) {
    struct visitor *visitor = userdata;
    short wanted = (short)((events & KOLK_EVENT_READ ? POLLIN : 0) | (events & KOLK_EVENT_WRITE ? POLLOUT : 0));
    return set_watch(visitor->loop, &(struct watch){.fd = fd, .events = wanted, .visitor = visitor});
}

static int set_deadline_for_guest(void *userdata, int64_t deadline_ns) {
    struct visitor *visitor = userdata;
    visitor->deadline = deadline_ns;
    return 0;
}

static int post_for_guest(void *userdata) {
    struct visitor *visitor = userdata;
    __atomic_store_n(&visitor->posted, 1, __ATOMIC_RELEASE);
    /* A pipe that is full wakes the host as well. */
    if (write(visitor->loop->doorbell[1], "", 1) != 1 && errno != EAGAIN)
        return KOLK_EIO;
    return 0;
}

static void forget_guest(void *userdata) {
    struct visitor *visitor = userdata;
    struct poll_loop *self = visitor->loop;
    for (struct visitor **link = &self->visitors; *link; link = &(*link)->next)
        if (*link == visitor) {
            *link = visitor->next;
            break;
        }
    self->visits++;
    free(visitor);
}

static const kolk_host_ops poll_loop_ops = {
    .size = sizeof(kolk_host_ops),
    .watch = watch_for_guest,
    .set_deadline = set_deadline_for_guest,
    .post = post_for_guest,
};

int poll_loop_attach(struct poll_loop *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                     kolk_error **ret_error) {
    struct visitor *visitor = malloc(sizeof *visitor);
    if (!visitor)
        return KOLK_ENOMEM;
    *visitor = (struct visitor){.loop = self, .deadline = KOLK_NEVER, .next = self->visitors};
    self->visitors = visitor;
    int status = kolk_guest_new(loop, &poll_loop_ops, visitor, forget_guest, options, ret_guest, ret_error);
    if (status == 0)
        visitor->guest = *ret_guest;
    return status;
}

int poll_loop_registered(const struct poll_loop *self) {
    int count = 0;
    for (size_t i = 0; i < self->watch_count; i++)
        count += self->watches[i].visitor != NULL;
    for (struct visitor *visitor = self->visitors; visitor; visitor = visitor->next)
        count += 1 + (visitor->deadline != KOLK_NEVER) + __atomic_load_n(&visitor->posted, __ATOMIC_RELAXED);
    return count;
}

static int is_due(struct visitor *visitor) {
    int due = __atomic_exchange_n(&visitor->posted, 0, __ATOMIC_ACQUIRE);
    if (visitor->deadline == KOLK_NEVER || visitor->deadline > now_ns())
        return due;
    visitor->deadline = KOLK_NEVER;
    return 1;
}

static void give_turns(struct poll_loop *self) {
    for (struct visitor *visitor = self->visitors, *next; visitor; visitor = next) {
        next = visitor->next;
        unsigned visits = self->visits;
        if (is_due(visitor))
            kolk_guest_turn(visitor->guest);
        if (self->visits != visits)
            return; /* The list is another one. Whoever was left out is still due. */
    }
}

/* ---- The loop ---- */

static int timeout_ms(struct poll_loop *self) {
    struct timer *timer = earliest_timer(self);
    int64_t due = timer ? timer->due : KOLK_NEVER;
    for (struct visitor *visitor = self->visitors; visitor; visitor = visitor->next) {
        if (visitor->deadline < due)
            due = visitor->deadline;
        if (__atomic_load_n(&visitor->posted, __ATOMIC_ACQUIRE))
            return 0;
    }
    if (due == KOLK_NEVER)
        return -1;
    int64_t left = due - now_ns();
    if (left <= 0)
        return 0;
    int64_t rounded_up = left / 1000000 + (left % 1000000 != 0);
    return rounded_up > 1000000 ? 1000000 : (int)rounded_up;
}

static size_t fill_polled(struct poll_loop *self) {
    size_t count = self->watch_count + 1;
    if (self->polled_capacity < count) {
        free(self->polled);
        self->polled_capacity = count * 2;
        self->polled = malloc(self->polled_capacity * sizeof *self->polled);
        if (!self->polled)
            die("malloc");
    }
    self->polled[0] = (struct pollfd){.fd = self->doorbell[0], .events = POLLIN};
    for (size_t i = 0; i < self->watch_count; i++)
        self->polled[i + 1] = (struct pollfd){.fd = self->watches[i].fd, .events = self->watches[i].events};
    return count;
}

static uint32_t events_of(short polled, short watched) {
    if (polled & POLLNVAL)
        return KOLK_EVENT_INVALID;
    short ready = polled & (POLLERR | POLLHUP) ? (short)(watched | polled) : polled;
    return (ready & POLLIN ? KOLK_EVENT_READ : 0) | (ready & POLLOUT ? KOLK_EVENT_WRITE : 0);
}

/* What a round found: callbacks add and end watches, and a loop within this one has rounds of its own. */
struct found {
    struct watch watch;
    short revents;
};

/* Unless it was ended or changed meanwhile. */
static void serve(struct poll_loop *self, const struct found *found) {
    const struct watch *watch = find_watch(self, found->watch.fd, found->watch.visitor);
    if (!watch || watch->events != found->watch.events || watch->fn != found->watch.fn)
        return;
    if (watch->fn)
        watch->fn(watch->userdata);
    else
        kolk_guest_ready(watch->visitor->guest, watch->fd, events_of(found->revents, watch->events));
}

static struct found *take_found(struct poll_loop *self, size_t ready, size_t *ret_count) {
    struct found *found = malloc((ready + 1) * sizeof *found);
    if (!found)
        die("malloc");
    size_t count = 0;
    for (size_t i = 0; i < self->watch_count && count < ready; i++)
        if (self->polled[i + 1].revents)
            found[count++] = (struct found){.watch = self->watches[i], .revents = self->polled[i + 1].revents};
    *ret_count = count;
    return found;
}

static void empty_doorbell(struct poll_loop *self) {
    char bytes[256];
    while (read(self->doorbell[0], bytes, sizeof bytes) > 0)
        ;
}

static void round_once(struct poll_loop *self) {
    size_t count = fill_polled(self);
    int ready = poll(self->polled, count, timeout_ms(self));
    if (ready < 0 && errno != EINTR)
        die("poll");
    struct found *found = ready > 0 ? take_found(self, (size_t)ready, &count) : NULL;
    if (found && self->polled[0].revents)
        empty_doorbell(self);
    fire_timers(self);
    give_turns(self);
    for (size_t i = 0; found && i < count; i++)
        serve(self, &found[i]);
    free(found);
}

void poll_loop_run(struct poll_loop *self) {
    self->stopped = 0;
    while (!self->stopped)
        round_once(self);
}

void poll_loop_stop(struct poll_loop *self) { self->stopped = 1; }

void poll_loop_run_modal(struct poll_loop *self, int (*done)(void *context), void *context) {
    while (!done(context))
        round_once(self);
}
