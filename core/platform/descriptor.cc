#include "core/platform/descriptor.hh"

#include <kolk/error.h>

#include <sys/stat.h>

namespace kolk {

int check_pollable(int fd) noexcept {
    struct stat info;
    if (fstat(fd, &info) < 0)
        return KOLK_EBADF;
    return S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) ? int(KOLK_ENOTSUP) : 0;
}

} // namespace kolk
