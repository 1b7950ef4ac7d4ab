#include "simulation.h"

#include <errno.h>
#include <string.h>

static int64_t simulated_clock(void *userdata) {
    struct simulation *self = userdata;
    self->now_ns += self->step_ns;
    return self->now_ns;
}

static int simulation_open(const kolk_reactor_config *config, void **ret_state) {
    if (!config->host)
        return -EINVAL;
    *ret_state = config->host;
    return 0;
}

static void simulation_close(void *state) { (void)state; }

static struct simulated_watch *find(struct simulation *self, int fd) {
    for (size_t i = 0; i < self->watch_count; i++)
        if (self->watches[i].fd == fd)
            return &self->watches[i];
    return NULL;
}

static int simulation_watch(void *state, int fd, uint32_t events, uint64_t token) {
    struct simulation *self = state;
    struct simulated_watch *watch = find(self, fd);
    if (events == 0) {
        if (watch)
            *watch = self->watches[--self->watch_count];
        return 0;
    }
    if (!watch) {
        if (self->watch_count == SIMULATION_CAPACITY)
            return -ENOSPC;
        watch = &self->watches[self->watch_count++];
    }
    *watch = (struct simulated_watch){.fd = fd, .events = events, .token = token};
    return 0;
}

/* Moves what the script has for this moment into the answer; what nobody watches is dropped. */
static int take_due(struct simulation *self, kolk_ready *ret_ready, uint32_t capacity) {
    uint32_t count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < self->script_length; i++) {
        struct simulated_event event = self->script[i];
        if (event.when_ns > self->now_ns || count == capacity) {
            self->script[kept++] = event;
            continue;
        }
        const struct simulated_watch *watch = find(self, event.fd);
        uint32_t events = watch ? event.events & (watch->events | KOLK_EVENT_HANGUP | KOLK_EVENT_INVALID) : 0;
        if (events)
            ret_ready[count++] = (kolk_ready){.token = watch->token, .events = events};
    }
    self->script_length = kept;
    return (int)count;
}

static int64_t next_event(const struct simulation *self) {
    int64_t next = KOLK_NEVER;
    for (size_t i = 0; i < self->script_length; i++)
        if (self->script[i].when_ns < next)
            next = self->script[i].when_ns;
    return next;
}

static int simulation_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) {
    struct simulation *self = state;
    self->collects++;
    self->long_collects += timeout_ns != 0;
    int count = take_due(self, ret_ready, capacity);
    if (count > 0 || timeout_ns == 0)
        return count;
    int64_t until = timeout_ns < 0 || timeout_ns > KOLK_NEVER - self->now_ns ? KOLK_NEVER : self->now_ns + timeout_ns;
    int64_t next = next_event(self);
    if (next < until)
        until = next;
    if (until == KOLK_NEVER)
        return -EDEADLK;
    if (until > self->now_ns)
        self->now_ns = until;
    return take_due(self, ret_ready, capacity);
}

static const kolk_reactor_ops simulation_ops = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "simulation",
    .open = simulation_open,
    .close = simulation_close,
    .watch = simulation_watch,
    .collect = simulation_collect,
};

void simulation_add(struct simulation *self, int64_t when_ns, int fd, uint32_t events) {
    if (self->script_length < SIMULATION_CAPACITY)
        self->script[self->script_length++] = (struct simulated_event){.when_ns = when_ns, .fd = fd, .events = events};
}

kolk_loop_options simulation_options(struct simulation *self) {
    return (kolk_loop_options){.size = sizeof(kolk_loop_options),
                               .reactor_ops = &simulation_ops,
                               .host = self,
                               .clock = simulated_clock,
                               .clock_userdata = self};
}
