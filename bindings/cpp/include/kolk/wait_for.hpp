/**
 * @file wait_for.hpp
 * At most so long; and not cancelled with me.
 */
#ifndef KOLK_WAIT_FOR_HPP
#define KOLK_WAIT_FOR_HPP

#include <kolk/scope.hpp>
#include <kolk/spawn.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

/** The outcome of @p source, or #KOLK_ETIMEDOUT after it was cancelled and has ended. The result stays where @p source was not
 * given away. */
template <class T, class Rep, class Period>
future<T> wait_for(future<T> &&source, std::chrono::duration<Rep, Period> timeout) noexcept {
    if (!source)
        return std::move(source);
    kolk_future *made = nullptr;
    int status = kolk_wait_for_async(source.get(), nanoseconds_of(timeout), &made);
    return future<T>::made(status, made, source);
}
/** The same. */
template <class T, class Rep, class Period>
future<T> wait_for(const future<T> &source, std::chrono::duration<Rep, Period> timeout) noexcept {
    return wait_for(source.shared(), timeout);
}
/** The same for a task that is running. */
template <class T, class Rep, class Period>
future<T> wait_for(task_handle<T> &&source, std::chrono::duration<Rep, Period> timeout) noexcept {
    return wait_for(std::move(source).as_future(), timeout);
}
/** The same. */
template <class T, class Rep, class Period>
future<T> wait_for(const task_handle<T> &source, std::chrono::duration<Rep, Period> timeout) noexcept {
    return wait_for(source.as_future(), timeout);
}
/** The same for one that runs as part of the task that awaits this. */
template <class T, class Rep, class Period>
task<T> wait_for(task<T> body, std::chrono::duration<Rep, Period> timeout) {
    return with_scope(timeout, std::move(body));
}

/** The outcome of @p source, which goes on when the task that awaits this is cancelled. The result stays where @p source was
 * not given away. */
template <class T>
future<T> shield(future<T> &&source) noexcept {
    if (!source)
        return std::move(source);
    kolk_future *made = nullptr;
    int status = kolk_shield(source.get(), &made);
    return future<T>::made(status, made, source);
}
/** The same. */
template <class T>
future<T> shield(const future<T> &source) noexcept {
    return shield(source.shared());
}
/** The same for a task that is running. */
template <class T>
future<T> shield(task_handle<T> &&source) noexcept {
    return shield(std::move(source).as_future());
}
/** The same. */
template <class T>
future<T> shield(const task_handle<T> &source) noexcept {
    return shield(source.as_future());
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
