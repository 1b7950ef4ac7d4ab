#include "core/platform/condition.hh"

#include <time.h>

namespace kolk {

condition::~condition() {
    if (opened_)
        pthread_cond_destroy(&native_);
}

bool condition::open() noexcept {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    opened_ = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&native_, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return opened_;
}

void condition::wait(mutex &held) noexcept { pthread_cond_wait(&native_, &held.native_); }

void condition::wait_until(mutex &held, int64_t when) noexcept {
    timespec deadline = {time_t(when / 1'000'000'000), long(when % 1'000'000'000)};
    pthread_cond_timedwait(&native_, &held.native_, &deadline);
}

void condition::notify_all() noexcept { pthread_cond_broadcast(&native_); }

} // namespace kolk
