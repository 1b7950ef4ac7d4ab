#include "core/platform/clock.hh"

#include <time.h>

namespace kolk {

int64_t monotonic_time() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

} // namespace kolk
