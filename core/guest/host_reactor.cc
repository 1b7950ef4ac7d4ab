#include "core/guest/host_reactor.hh"

#include "core/error.hh"
#include "core/platform/descriptor.hh"

#include <errno.h>
#include <string.h>

namespace kolk {

namespace {

struct slot {
    uint64_t token;
    uint32_t events; /* watched for; 0: not watched */
    uint32_t ready;  /* for what, since it was last collected */
    int next;        /* in the queue */
    bool queued;     /* may outlast the watch: then `ready` is 0, and the queue skips it */
    bool muted;      /* the host does not watch it at the moment */
    bool doubtful;   /* what the host tells may be old */
};

struct host_state {
    const kolk_allocator *memory;
    void (*notify)(void *userdata);
    void *notify_userdata;
    const kolk_host_ops *host; /* nullptr: there is none now */
    void *userdata;
    slot *slots; /* by descriptor */
    uint32_t capacity;
    int first, last; /* the queue of descriptors that are ready; first is -1 when there are none */
    bool refused;    /* the host did not want to watch something again */

    [[nodiscard]] slot *find(int fd) noexcept {
        return fd >= 0 && uint32_t(fd) < capacity && slots[fd].events ? &slots[fd] : nullptr;
    }
    [[nodiscard]] int ask(int fd, uint32_t events) noexcept { return host ? host->watch(userdata, fd, events) : 0; }
};

int host_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    auto *self = create<host_state>(*config->allocator, host_state{config->allocator, config->notify, config->notify_userdata,
                                                                   nullptr, nullptr, nullptr, 0, -1, -1, false});
    if (!self)
        return -ENOMEM;
    *ret_state = self;
    return 0;
}

void host_close(void *state) noexcept {
    auto *self = static_cast<host_state *>(state);
    if (!self)
        return;
    release(*self->memory, self->slots, self->capacity * sizeof(slot));
    destroy(*self->memory, self);
}

bool reserve(host_state *self, uint32_t count) noexcept {
    if (count <= self->capacity)
        return true;
    uint32_t larger = count < 32 ? 64 : count * 2;
    auto *slots = static_cast<slot *>(allocate(*self->memory, larger * sizeof(slot)));
    if (!slots)
        return false;
    memset(slots, 0, larger * sizeof(slot));
    if (self->capacity)
        memcpy(slots, self->slots, self->capacity * sizeof(slot));
    release(*self->memory, self->slots, self->capacity * sizeof(slot));
    self->slots = slots;
    self->capacity = larger;
    return true;
}

int host_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<host_state *>(state);
    slot *known = self->find(fd);
    if (!events && !known)
        return 0;
    if (events && !reserve(self, uint32_t(fd) + 1))
        return -ENOMEM;
    int status = known && known->muted && !events ? 0 : self->ask(fd, events);
    if (status < 0 && events)
        return -errno_of_status(status);
    slot &changed = self->slots[fd];
    changed.events = events;
    changed.token = token;
    changed.ready = 0; /* it may be a new file behind the number; the host will tell again */
    changed.muted = changed.doubtful = false;
    return 0;
}

/* The first that is ready, -1 when none is. */
int first_ready(host_state *self) noexcept {
    for (; self->first >= 0 && !self->slots[self->first].ready; self->first = self->slots[self->first].next)
        self->slots[self->first].queued = false;
    return self->first;
}

void forget(host_state *self, int fd) noexcept {
    slot &gone = self->slots[fd];
    if (!gone.muted)
        (void)self->ask(fd, 0);
    gone.events = 0;
    gone.muted = false;
}

/* What was closed meanwhile is left unwatched. */
int unmute(host_state *self, int fd) noexcept {
    slot &muted = self->slots[fd];
    int status = self->ask(fd, muted.events);
    muted.muted = status < 0;
    if (status >= 0 || status == KOLK_EBADF)
        return 0;
    self->refused = true;
    return status;
}

uint32_t still_ready(int fd, uint32_t events) noexcept {
    if (events & KOLK_EVENT_READ && !is_readable(fd))
        events &= ~uint32_t(KOLK_EVENT_READ);
    if (events & KOLK_EVENT_WRITE && !is_writable(fd))
        events &= ~uint32_t(KOLK_EVENT_WRITE);
    return events;
}

int host_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<host_state *>(state);
    uint32_t taken = 0;
    for (int fd; taken < capacity && (fd = first_ready(self)) >= 0;) {
        slot &ready = self->slots[fd];
        uint32_t events = ready.doubtful ? still_ready(fd, ready.ready) : ready.ready;
        if (events)
            ret_ready[taken++] = {ready.token, events, 0};
        if (events & KOLK_EVENT_INVALID)
            forget(self, fd);
        ready.ready = 0; /* leaves the queue with the next look at it */
        if (ready.muted)
            (void)unmute(self, fd);
    }
    return taken || timeout_ns == 0 ? int(taken) : -EOPNOTSUPP;
}

} // namespace

int host_reactor_bind(void *state, const kolk_host_ops &ops, void *userdata) noexcept {
    auto *self = static_cast<host_state *>(state);
    self->host = &ops;
    self->userdata = userdata;
    for (uint32_t fd = 0; fd < self->capacity; fd++) {
        int status = self->slots[fd].events ? self->ask(int(fd), self->slots[fd].events) : 0;
        if (status >= 0)
            continue;
        while (fd-- > 0)
            if (self->slots[fd].events)
                (void)self->ask(int(fd), 0);
        self->host = nullptr;
        return status;
    }
    return 0;
}

void host_reactor_unbind(void *state) noexcept {
    auto *self = static_cast<host_state *>(state);
    for (uint32_t fd = 0; fd < self->capacity; fd++) {
        if (self->slots[fd].events && !self->slots[fd].muted)
            (void)self->ask(int(fd), 0);
        self->slots[fd].muted = false;
    }
    self->host = nullptr;
}

void host_reactor_tell(void *state, int fd, uint32_t events) noexcept {
    auto *self = static_cast<host_state *>(state);
    slot *ready = self->find(fd);
    if (!ready)
        return;
    ready->ready |= events & (ready->events | KOLK_EVENT_HANGUP | KOLK_EVENT_INVALID);
    if (events & (KOLK_EVENT_HANGUP | KOLK_EVENT_INVALID))
        ready->ready |= ready->events;
    if (ready->queued || !ready->ready)
        return;
    ready->queued = true;
    ready->next = -1;
    (self->first < 0 ? self->first : self->slots[self->last].next) = fd;
    self->last = fd;
}

void host_reactor_mute(void *state, int fd) noexcept {
    auto *self = static_cast<host_state *>(state);
    slot *ready = self->find(fd);
    if (!ready)
        return;
    if (!ready->muted && self->ask(fd, 0) >= 0)
        ready->muted = true;
    self->notify(self->notify_userdata);
}

int host_reactor_watch_again(void *state) noexcept {
    auto *self = static_cast<host_state *>(state);
    int status = 0;
    bool refused = std::exchange(self->refused, false);
    for (uint32_t fd = 0; refused && fd < self->capacity; fd++)
        if (self->slots[fd].muted && !self->slots[fd].ready)
            if (int answer = unmute(self, int(fd)); answer < 0)
                status = answer;
    return status;
}

void host_reactor_put_off(void *state, int fd) noexcept {
    auto *self = static_cast<host_state *>(state);
    host_reactor_doubt(state, fd, true);
    self->notify(self->notify_userdata);
}

void host_reactor_doubt(void *state, int fd, bool doubtful) noexcept {
    if (slot *one = static_cast<host_state *>(state)->find(fd))
        one->doubtful = doubtful;
}

constinit const kolk_reactor_ops host_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "host",
    .caps = KOLK_REACTOR_HOSTED,
    .open = host_open,
    .close = host_close,
    .watch = host_watch,
    .collect = host_collect,
    .wait = nullptr,
    .get_fd = nullptr,
    .after_fork = nullptr,
    .submit = nullptr,
    .cancel = nullptr,
    .now = nullptr,
    .stay = nullptr,
};

} // namespace kolk
