/**
 * @file sleep.hpp
 * Letting time pass: `co_await kolk::sleep(10ms)`.
 */
#ifndef KOLK_SLEEP_HPP
#define KOLK_SLEEP_HPP

#include <kolk/await.hpp>
#include <kolk/duration.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

/** Done after so long, never earlier. It counts from this call. */
template <class Rep, class Period>
future<void> sleep(std::chrono::duration<Rep, Period> delay, kolk_loop *loop = kolk_loop_current()) noexcept {
    kolk_future *made = nullptr;
    int status = kolk_sleep_async(loop, nanoseconds_of(delay), &made);
    return future<void>::made(status, made);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
