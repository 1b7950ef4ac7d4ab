/* Linux's epoll: the default where it exists.
 *
 * The kernel keeps the set and hands back the token, so there is nothing to keep here: no table of descriptors, no memory per
 * descriptor. The price is that `collect` does not know what a failed descriptor was watched for; it reports both directions
 * together with the hang-up, and kolk takes of them what it asked for. */
#include <kolk/reactor.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr uint32_t readable = KOLK_EVENT_READ, writable = KOLK_EVENT_WRITE, hung_up = KOLK_EVENT_HANGUP;
constexpr int batch = 512;

struct epoll_state {
    const kolk_allocator *allocator;
    int fd;
    bool coarse;               /* the kernel has no epoll_pwait2: milliseconds are all there is */
    epoll_event events[batch]; /* so that `collect` needs neither memory nor a deep stack */
};

int epoll_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    const kolk_allocator *allocator = config->allocator;
    auto *self = static_cast<epoll_state *>(allocator->allocate(allocator->userdata, sizeof(epoll_state)));
    if (!self)
        return -ENOMEM;
    self->allocator = allocator;
    self->coarse = false;
    self->fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->fd < 0) {
        int number = errno;
        allocator->release(allocator->userdata, self, sizeof(epoll_state));
        return -number;
    }
    *ret_state = self;
    return 0;
}

void epoll_close(void *state) noexcept {
    auto *self = static_cast<epoll_state *>(state);
    if (!self)
        return;
    if (self->fd >= 0)
        close(self->fd);
    self->allocator->release(self->allocator->userdata, self, sizeof(epoll_state));
}

int epoll_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<epoll_state *>(state);
    if (!events) {
        /* Closing a descriptor may have removed it already, and its number may belong to something epoll never knew. */
        if (epoll_ctl(self->fd, EPOLL_CTL_DEL, fd, nullptr) == 0 || errno == ENOENT || errno == EBADF || errno == EPERM)
            return 0;
        return -errno;
    }
    epoll_event event;
    /* A half-closed peer is news for a reader only: a writer with a full buffer would be woken for nothing, again and again. */
    event.events = events & KOLK_EVENT_READ ? uint32_t(EPOLLIN | EPOLLRDHUP) : 0u;
    event.events |= events & KOLK_EVENT_WRITE ? uint32_t(EPOLLOUT) : 0u;
    /* A read stops short of urgent data, which who waits for edges must know; a level would stay and be reported for ever. */
    event.events |= events & KOLK_EVENT_EDGE ? uint32_t(EPOLLET | EPOLLPRI) : 0u;
    event.data.u64 = token;
    /* Most descriptors are registered once and never changed, so ADD is the better guess; it also finds out by itself that a
     * number belongs to a new file. */
    if (epoll_ctl(self->fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    if (errno == EEXIST && epoll_ctl(self->fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    return -errno;
}

/* The kernel's own 64-bit timespec: epoll_pwait2 takes it on 32-bit systems as well. */
struct kernel_timespec {
    int64_t seconds;
    int64_t nanoseconds;
};

int sleep_and_take(epoll_state *self, int64_t timeout_ns, int capacity) noexcept {
    if (timeout_ns <= 0)
        return epoll_wait(self->fd, self->events, capacity, timeout_ns < 0 ? -1 : 0);
#ifdef SYS_epoll_pwait2
    /* By number: C libraries older than the kernel call have no function for it. */
    if (!self->coarse) {
        kernel_timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        long count = syscall(SYS_epoll_pwait2, self->fd, self->events, capacity, &timeout, nullptr, 0);
        if (count >= 0 || errno != ENOSYS)
            return int(count);
        self->coarse = true;
    }
#endif
    int64_t ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    constexpr int64_t longest = 0x7fffffff;
    return epoll_wait(self->fd, self->events, capacity, int(ms < longest ? ms : longest));
}

int epoll_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<epoll_state *>(state);
    int count = sleep_and_take(self, timeout_ns, capacity < batch ? int(capacity) : batch);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t seen = self->events[i].events;
        uint32_t events = 0;
        if (seen & (EPOLLIN | EPOLLRDHUP))
            events |= readable;
        if (seen & EPOLLOUT)
            events |= writable;
        if (seen & EPOLLPRI)
            events |= readable | hung_up;
        if (seen & EPOLLRDHUP)
            events |= hung_up;
        if (seen & (EPOLLERR | EPOLLHUP))
            events |= readable | writable | hung_up;
        ret_ready[i] = {self->events[i].data.u64, events, 0};
    }
    return count;
}

/* Polling the epoll descriptor leaves the kernel's list of ready descriptors as it is. */
int epoll_sleep(void *state, int64_t timeout_ns) noexcept {
    pollfd self = {static_cast<epoll_state *>(state)->fd, POLLIN, 0};
    timespec timeout = {time_t(timeout_ns / 1000000000), long(timeout_ns % 1000000000)};
    int count = ppoll(&self, 1, timeout_ns < 0 ? nullptr : &timeout, nullptr);
    return count >= 0 ? count : errno == EINTR ? 0 : -errno;
}

int epoll_get_fd(void *state) noexcept { return static_cast<epoll_state *>(state)->fd; }

/* The old set is shared with the parent: closing our end leaves it alone, removing from it would not. The number stays the
 * same, because a host may know it. */
int epoll_after_fork(void *state) noexcept {
    auto *self = static_cast<epoll_state *>(state);
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0)
        return -errno;
    int number = dup3(fresh, self->fd, O_CLOEXEC) < 0 ? errno : 0;
    close(fresh);
    return -number;
}

const kolk_reactor_ops epoll_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "epoll",
    .caps = KOLK_REACTOR_EDGE | KOLK_REACTOR_WAIT | KOLK_REACTOR_WAIT_ANYWHERE | KOLK_REACTOR_GET_FD | KOLK_REACTOR_AFTER_FORK,
    .open = epoll_open,
    .close = epoll_close,
    .watch = epoll_watch,
    .collect = epoll_collect,
    .wait = epoll_sleep,
    .get_fd = epoll_get_fd,
    .after_fork = epoll_after_fork,
    .submit = nullptr,
    .cancel = nullptr,
    .now = nullptr,
    .stay = nullptr,
};

} // namespace

extern "C" int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &epoll_reactor;
    return 0;
}
