/**
 * @file scope.hpp
 * A part of a task that can be cancelled, timed or shielded apart from the rest.
 */
#ifndef KOLK_SCOPE_HPP
#define KOLK_SCOPE_HPP

#include <kolk/duration.hpp>
#include <kolk/task.hpp>

namespace kolk {

/**
 * A scope of the running task, from construction until leave(), or at the latest the destructor. Only leave() tells a deadline
 * of the scope's own from a cancellation that came from outside; with_scope() and wait_for() call it.
 */
class scope {
  public:
    /** Enters one that expires so long from now. @p flags: 0, or #KOLK_SCOPE_LEVEL and #KOLK_SCOPE_SHIELD. */
    template <class Rep, class Period>
    explicit scope(std::chrono::duration<Rep, Period> timeout, uint32_t flags = 0) noexcept {
        int64_t delay = nanoseconds_of(timeout), when;
        if (__builtin_add_overflow(kolk_loop_current() ? kolk_loop_time(kolk_loop_current()) : 0, delay, &when))
            when = KOLK_NEVER;
        status_ = kolk_scope_enter(flags, delay == KOLK_NEVER ? KOLK_NEVER : when, &self_);
    }
    explicit scope(uint32_t flags = 0) noexcept : scope(never, flags) {} /**< Enters one without a deadline. */
    scope(const scope &) = delete;
    ~scope() {
        if (self_)
            kolk_scope_leave(self_, 0);
    }

    /** 0, or why it could not be entered. */
    int begin_status() const noexcept { return status_; }

    /** Leaves it. @p status is what the block ended with; returns what it comes to: see kolk_scope_leave(). */
    int leave(int status = 0) noexcept {
        if (!self_)
            return status_ < 0 ? status_ : int(KOLK_EALREADY);
        int left = kolk_scope_leave(self_, status);
        if (left != KOLK_EBUSY)
            self_ = nullptr;
        return left;
    }

    int cancel() noexcept { return kolk_scope_cancel(self_); }                           /**< Cancels what is inside. */
    bool cancelled() const noexcept { return self_ && kolk_scope_cancelled(self_) > 0; } /**< As kolk_scope_cancelled(). */
    bool expired() const noexcept { return self_ && kolk_scope_expired(self_) > 0; }     /**< As kolk_scope_expired(). */
    kolk_scope *get() const noexcept { return self_; }                                   /**< Borrowed; NULL when left. */

    /** Moves the deadline to so long from now. */
    template <class Rep, class Period>
    int reschedule(std::chrono::duration<Rep, Period> timeout) noexcept {
        int64_t when;
        if (__builtin_add_overflow(kolk_loop_time(kolk_loop_current()), nanoseconds_of(timeout), &when))
            when = KOLK_NEVER;
        return kolk_scope_reschedule(self_, when);
    }

  private:
    kolk_scope *self_ = nullptr;
    int status_;
};

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* What a block came to, told by what its scope says of its status. */
template <class T>
outcome<T> as_left(outcome<T> &&ended, int left) {
    if (left == ended.status())
        return std::move(ended);
    if constexpr (std::is_void_v<T>) {
        if (left >= 0) {
            remains<void> nothing_;
            std::construct_at(&nothing_.value);
            return outcome<void>(ending::value, nothing_);
        }
    } else if (left >= 0) {
        return std::move(ended); // cancelled by its own scope: there is no value to go on with
    }
    kolk_error *words = kolk_raised();
    return outcome<T>(kolk_error_status(words) == left ? kolk_error_ref(words) : kolk_error_of(left));
}

template <class T>
task<T> in_scope(task<T> body, std::chrono::nanoseconds timeout, uint32_t flags) {
    scope around(timeout, flags);
    if (around.begin_status() < 0)
        co_await last_words<T>(outcome<T>(kolk_error_of(around.begin_status())));
    outcome<T> ended = co_await settled<T>(std::move(body));
    int left = around.leave(ended.status());
    outcome<T> told = as_left(std::move(ended), left);
    co_await last_words<T>(std::move(told));
    if constexpr (!std::is_void_v<T>)
        co_return error(KOLK_EUNSPECIFIED); // not reached
}

template <class Body>
using task_of_scope = std::invoke_result_t<Body &, scope &>;

template <class Body>
task_of_scope<Body> in_scope_with(Body body, std::chrono::nanoseconds timeout, uint32_t flags) {
    using T = typename task_of_scope<Body>::value_type;
    scope around(timeout, flags);
    if (around.begin_status() < 0)
        co_await last_words<T>(outcome<T>(kolk_error_of(around.begin_status())));
    outcome<T> ended = co_await settled<T>(body(around));
    int left = around.leave(ended.status());
    outcome<T> told = as_left(std::move(ended), left);
    co_await last_words<T>(std::move(told));
    if constexpr (!std::is_void_v<T>)
        co_return error(KOLK_EUNSPECIFIED); // not reached
}

} // namespace detail

/**
 * Runs a task inside a scope of its own, as part of the task that awaits this: it fails with #KOLK_ETIMEDOUT when the time was
 * up. With #KOLK_SCOPE_SHIELD, requests to cancel from outside wait until it is over.
 */
template <class T, class Rep, class Period>
task<T> with_scope(std::chrono::duration<Rep, Period> timeout, task<T> body, uint32_t flags = 0) {
    return detail::in_scope(std::move(body), std::chrono::nanoseconds(nanoseconds_of(timeout)), flags);
}

/** The same for a block that has business with its scope: @p body is called with it, and returns a task. */
template <class Body, class Rep, class Period>
requires std::is_invocable_v<Body &, scope &> detail::task_of_scope<Body> with_scope(std::chrono::duration<Rep, Period> timeout,
                                                                                     Body body, uint32_t flags = 0) {
    return detail::in_scope_with(std::move(body), std::chrono::nanoseconds(nanoseconds_of(timeout)), flags);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
