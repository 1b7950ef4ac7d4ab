/**
 * @file duration.hpp
 * Durations of std::chrono as kolk counts them: nanoseconds, never fewer than asked for.
 */
#ifndef KOLK_DURATION_HPP
#define KOLK_DURATION_HPP

#include <kolk/loop.h>

#include <chrono>

namespace kolk {

/** Longer than anything: no limit. */
inline constexpr std::chrono::nanoseconds never{KOLK_NEVER};

/** Rounded up to nanoseconds; what is too long to count is #KOLK_NEVER. */
template <class Rep, class Period>
constexpr int64_t nanoseconds_of(std::chrono::duration<Rep, Period> duration) noexcept {
    // Compared as floating point, because the comparison of two durations may overflow itself.
    std::chrono::duration<double, std::nano> about = duration;
    if (about.count() >= 9.2e18)
        return KOLK_NEVER;
    if (about.count() <= -9.2e18)
        return -KOLK_NEVER;
    return std::chrono::ceil<std::chrono::duration<int64_t, std::nano>>(duration).count();
}

} // namespace kolk

#endif
