#include "core/platform/timer_fd.hh"

#include <errno.h>
#include <sys/timerfd.h>

namespace kolk {

int timer_fd_open() noexcept {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void timer_fd_set(int fd, int64_t when_ns) noexcept {
    itimerspec at = {};
    if (when_ns != INT64_MAX) {
        /* All zero would disarm: a deadline in the past is one nanosecond after the start of the clock. */
        int64_t when = when_ns > 0 ? when_ns : 1;
        at.it_value.tv_sec = when / 1'000'000'000;
        at.it_value.tv_nsec = when % 1'000'000'000;
    }
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr);
}

} // namespace kolk
