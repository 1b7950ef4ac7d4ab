#include "core/platform/descriptor.hh"

#include <kolk/error.h>

#include <poll.h>
#include <sys/stat.h>

namespace kolk {

int check_pollable(int fd) noexcept {
    struct stat info;
    if (fstat(fd, &info) < 0)
        return KOLK_EBADF;
    return S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) ? int(KOLK_ENOTSUP) : 0;
}

bool is_readable(int fd) noexcept {
    pollfd one = {fd, POLLIN, 0};
    return poll(&one, 1, 0) > 0;
}

bool is_writable(int fd) noexcept {
    pollfd one = {fd, POLLOUT, 0};
    return poll(&one, 1, 0) > 0;
}

} // namespace kolk
