/* POSIX poll: no limit on the number of a descriptor, but each wait costs time for every one that is watched.
 *
 * One array for the kernel, one for the tokens beside it, and a table that finds the place of a descriptor in both. Removing
 * moves the last entry into the hole, so the arrays stay dense. */
#include <kolk/reactor.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

namespace {

constexpr uint32_t readable = KOLK_EVENT_READ, writable = KOLK_EVENT_WRITE, hung_up = KOLK_EVENT_HANGUP;

/* Memory that grows by doubling. What is in it is plain data; the new part is zeroed. */
template <class T>
struct table {
    T *items = nullptr;
    uint32_t capacity = 0;

    bool reserve(const kolk_allocator *from, uint32_t wanted) noexcept {
        if (wanted <= capacity)
            return true;
        uint32_t larger = capacity ? capacity : 16;
        while (larger < wanted)
            larger = larger > UINT32_MAX / 2 ? wanted : larger * 2;
        auto *grown = static_cast<T *>(from->allocate(from->userdata, larger * sizeof(T)));
        if (!grown)
            return false;
        if (capacity)
            memcpy(grown, items, capacity * sizeof(T));
        memset(grown + capacity, 0, (larger - capacity) * sizeof(T));
        release(from);
        items = grown;
        capacity = larger;
        return true;
    }

    void release(const kolk_allocator *to) noexcept {
        if (items)
            to->release(to->userdata, items, capacity * sizeof(T));
    }
};

struct poll_state {
    const kolk_allocator *allocator;
    uint32_t count;         /* entries in use in the two arrays */
    uint32_t next;          /* where `collect` looks first, so that small capacities starve nobody */
    table<pollfd> watched;  /* what the kernel gets */
    table<uint64_t> tokens; /* the token of the entry with the same index */
    table<uint32_t> places; /* descriptor -> index + 1; 0: not watched */
};

int poll_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    const kolk_allocator *allocator = config->allocator;
    auto *self = static_cast<poll_state *>(allocator->allocate(allocator->userdata, sizeof(poll_state)));
    if (!self)
        return -ENOMEM;
    *self = {allocator, 0, 0, {}, {}, {}};
    *ret_state = self;
    return 0;
}

void poll_close(void *state) noexcept {
    auto *self = static_cast<poll_state *>(state);
    if (!self)
        return;
    self->watched.release(self->allocator);
    self->tokens.release(self->allocator);
    self->places.release(self->allocator);
    self->allocator->release(self->allocator->userdata, self, sizeof(poll_state));
}

void forget(poll_state *self, uint32_t index) noexcept {
    uint32_t last = --self->count;
    self->places.items[self->watched.items[index].fd] = 0;
    if (index == last)
        return;
    self->watched.items[index] = self->watched.items[last];
    self->tokens.items[index] = self->tokens.items[last];
    self->places.items[self->watched.items[index].fd] = index + 1;
}

int add(poll_state *self, int fd) noexcept {
    if (fd < 0)
        return -EBADF;
    if (!self->watched.reserve(self->allocator, self->count + 1) || !self->tokens.reserve(self->allocator, self->count + 1) ||
        !self->places.reserve(self->allocator, uint32_t(fd) + 1))
        return -ENOMEM;
    self->watched.items[self->count] = {fd, 0, 0};
    self->places.items[fd] = ++self->count;
    return 0;
}

int poll_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<poll_state *>(state);
    bool known = fd >= 0 && uint32_t(fd) < self->places.capacity && self->places.items[fd];
    if (!events) {
        if (known)
            forget(self, self->places.items[fd] - 1);
        return 0;
    }
    if (!known)
        if (int status = add(self, fd))
            return status;
    uint32_t index = self->places.items[fd] - 1;
    /* A half-closed peer is news for a reader only: a writer with a full buffer would be woken for nothing. */
    int wanted = (events & KOLK_EVENT_READ ? POLLIN | POLLRDHUP : 0) | (events & KOLK_EVENT_WRITE ? POLLOUT : 0);
    self->watched.items[index].events = short(wanted);
    self->tokens.items[index] = token;
    return 0;
}

uint32_t translate(const pollfd &entry) noexcept {
    uint32_t watched = (entry.events & POLLIN ? readable : 0) | (entry.events & POLLOUT ? writable : 0);
    if (entry.revents & POLLNVAL)
        return watched | KOLK_EVENT_INVALID;
    if (entry.revents & (POLLERR | POLLHUP))
        return watched | hung_up;
    return (entry.revents & (POLLIN | POLLRDHUP) ? readable : 0) | (entry.revents & POLLOUT ? writable : 0) |
           (entry.revents & POLLRDHUP ? hung_up : 0);
}

/* Takes nothing: the kernel's answers are overwritten by the next call. */
int poll_wait(void *state, int64_t timeout_ns) noexcept {
    auto *self = static_cast<poll_state *>(state);
    timespec timeout = {time_t(timeout_ns / 1000000000), long(timeout_ns % 1000000000)};
    int count = ppoll(self->watched.items, self->count, timeout_ns < 0 ? nullptr : &timeout, nullptr);
    return count >= 0 ? count : errno == EINTR ? 0 : -errno;
}

int poll_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<poll_state *>(state);
    int ready = poll_wait(state, timeout_ns);
    if (ready < 0)
        return ready;
    uint32_t left = uint32_t(ready), taken = 0;
    for (uint32_t steps = self->count; steps && left && taken < capacity; steps--) {
        uint32_t index = self->next < self->count ? self->next : 0;
        self->next = index + 1;
        pollfd &entry = self->watched.items[index];
        if (!entry.revents)
            continue;
        left--;
        ret_ready[taken++] = {self->tokens.items[index], translate(entry), 0};
        bool closed = entry.revents & POLLNVAL;
        entry.revents = 0; /* once: it may be moved to where it is looked at again */
        if (closed) {
            forget(self, index);
            self->next = index;
        }
    }
    return int(taken);
}

const kolk_reactor_ops poll_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "poll",
    .caps = KOLK_REACTOR_WAIT,
    .open = poll_open,
    .close = poll_close,
    .watch = poll_watch,
    .collect = poll_collect,
    .wait = poll_wait,
    .get_fd = nullptr,
    .after_fork = nullptr,
    .submit = nullptr,
    .cancel = nullptr,
    .now = nullptr,
    .stay = nullptr,
};

} // namespace

extern "C" int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &poll_reactor;
    return 0;
}
