/* POSIX select: everywhere, but blind beyond FD_SETSIZE.
 *
 * FD_SET on a larger number writes outside the set, so such a descriptor is refused before it gets near one. select cannot
 * tell a hang-up from data: both are readable, and the next read tells them apart. */
#include <kolk/reactor.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/select.h>
#include <time.h>

namespace {

constexpr uint32_t readable = KOLK_EVENT_READ, writable = KOLK_EVENT_WRITE;

struct select_state {
    const kolk_allocator *allocator;
    int end;                     /* one more than the highest descriptor watched */
    int next;                    /* where `collect` looks first, so that small capacities starve nobody */
    fd_set reading, writing;     /* what is watched */
    uint64_t tokens[FD_SETSIZE]; /* valid where a bit is set */
};

/* One call's copies: select overwrites what it is given. */
struct answer {
    fd_set to_read, to_write;
    int count; /* negated errno on failure; 0 after a signal */
};

int select_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    const kolk_allocator *allocator = config->allocator;
    auto *self = static_cast<select_state *>(allocator->allocate(allocator->userdata, sizeof(select_state)));
    if (!self)
        return -ENOMEM;
    self->allocator = allocator;
    self->end = self->next = 0;
    FD_ZERO(&self->reading);
    FD_ZERO(&self->writing);
    *ret_state = self;
    return 0;
}

void select_close(void *state) noexcept {
    auto *self = static_cast<select_state *>(state);
    if (self)
        self->allocator->release(self->allocator->userdata, self, sizeof(select_state));
}

uint32_t watched(const select_state *self, int fd) noexcept {
    return (FD_ISSET(fd, &self->reading) ? readable : 0) | (FD_ISSET(fd, &self->writing) ? writable : 0);
}

void forget(select_state *self, int fd) noexcept {
    FD_CLR(fd, &self->reading);
    FD_CLR(fd, &self->writing);
    while (self->end && !watched(self, self->end - 1))
        self->end--;
}

int select_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<select_state *>(state);
    bool possible = fd >= 0 && fd < FD_SETSIZE;
    if (!events) {
        if (possible)
            forget(self, fd);
        return 0;
    }
    if (!possible)
        return fd < 0 ? -EBADF : -ERANGE;
    forget(self, fd);
    if (events & KOLK_EVENT_READ)
        FD_SET(fd, &self->reading);
    if (events & KOLK_EVENT_WRITE)
        FD_SET(fd, &self->writing);
    self->tokens[fd] = token;
    if (fd >= self->end)
        self->end = fd + 1;
    return 0;
}

void ask(const select_state *self, int64_t timeout_ns, answer *ret_answer) noexcept {
    ret_answer->to_read = self->reading;
    ret_answer->to_write = self->writing;
    timespec timeout = {time_t(timeout_ns / 1000000000), long(timeout_ns % 1000000000)};
    int count =
        pselect(self->end, &ret_answer->to_read, &ret_answer->to_write, nullptr, timeout_ns < 0 ? nullptr : &timeout, nullptr);
    ret_answer->count = count >= 0 ? count : errno == EINTR ? 0 : -errno;
}

/* select refuses the whole set for one closed descriptor and does not say which. */
int report_closed(select_state *self, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    uint32_t taken = 0;
    for (int fd = self->end - 1; fd >= 0 && taken < capacity; fd--)
        if (uint32_t events = watched(self, fd); events && fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            ret_ready[taken++] = {self->tokens[fd], events | KOLK_EVENT_INVALID, 0};
            forget(self, fd);
        }
    return int(taken);
}

int select_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<select_state *>(state);
    answer seen;
    ask(self, timeout_ns, &seen);
    if (seen.count == -EBADF)
        return report_closed(self, ret_ready, capacity);
    if (seen.count <= 0)
        return seen.count;
    uint32_t taken = 0;
    for (int steps = self->end; steps && taken < capacity; steps--) {
        int fd = self->next < self->end ? self->next : 0;
        self->next = fd + 1;
        uint32_t events = (FD_ISSET(fd, &seen.to_read) ? readable : 0) | (FD_ISSET(fd, &seen.to_write) ? writable : 0);
        if (events)
            ret_ready[taken++] = {self->tokens[fd], events, 0};
    }
    return int(taken);
}

int select_wait(void *state, int64_t timeout_ns) noexcept {
    answer seen;
    ask(static_cast<select_state *>(state), timeout_ns, &seen);
    return seen.count == -EBADF ? 1 : seen.count; /* a closed descriptor is something to collect */
}

const kolk_reactor_ops select_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "select",
    .caps = KOLK_REACTOR_WAIT,
    .open = select_open,
    .close = select_close,
    .watch = select_watch,
    .collect = select_collect,
    .wait = select_wait,
    .get_fd = nullptr,
    .after_fork = nullptr,
    .submit = nullptr,
    .cancel = nullptr,
    .now = nullptr,
    .stay = nullptr,
};

} // namespace

extern "C" int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &select_reactor;
    return 0;
}
