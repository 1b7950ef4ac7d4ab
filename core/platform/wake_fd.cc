#include "core/platform/wake_fd.hh"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace kolk {

int wake_fd_open() noexcept {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void wake_fd_signal(int fd) noexcept {
    int saved = errno;
    uint64_t one = 1;
    /* EAGAIN means that the counter is full, so it is readable. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void wake_fd_clear(int fd) noexcept {
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

int replace_fd(int fd, int other) noexcept {
    if (other < 0)
        return other;
    int number = fd >= 0 && dup3(other, fd, O_CLOEXEC) < 0 ? errno : 0;
    close(other);
    return -number;
}

void close_fd(int fd) noexcept {
    if (fd >= 0)
        close(fd);
}

} // namespace kolk
