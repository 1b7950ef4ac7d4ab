/**
 * @file task.hpp
 * A function that waits: a C++20 coroutine over kolk.
 *
 * @code
 * kolk::task<int> answer() {
 *     co_await kolk::sleep(10ms);
 *     co_return 42;
 * }
 * kolk::task<void> ask() {
 *     std::printf("%d\n", co_await answer());
 * }
 * @endcode
 *
 * Calling one runs no code. Awaiting one runs it as part of the task that awaits, as a call does, and costs the loop nothing;
 * spawn() makes a task of its own. Arguments are kept in the frame as they were declared: references must outlive it, and a
 * lambda that is a coroutine must outlive it too if it captures anything.
 */
#ifndef KOLK_TASK_HPP
#define KOLK_TASK_HPP

#include <kolk/await.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

template <class T>
class task;

namespace detail {

template <class T>
class promise;

template <class T>
class promise_values : public promise_base {
  public:
    ~promise_values() { with.clear(how()); }

    void fail(kolk_error *why) noexcept {
        reset();
        with.error = why;
        set_how(ending::error);
    }
    void end_as(outcome<T> &&other) {
        reset();
        with.take(other.with(), other.how());
        set_how(other.how());
    }
    void unhandled_exception() noexcept {
#if KOLK_CPP_EXCEPTIONS
        reset();
        std::construct_at(&with.exception, std::current_exception());
        set_how(ending::exception);
#else
        std::abort(); // thrown by somebody who was compiled with exceptions
#endif
    }

    template <class X>
    requires requires { typename awaiter_for<X>::type; }
    as_usual<awaiter<X>> await_transform(X &&source) { return as_usual<awaiter<X>>(std::forward<X>(source)); }
    template <class X>
    requires requires { typename awaiter_for<X>::type; }
    reporting<awaiter<X>> await_transform(unthrown<X> source) { return reporting<awaiter<X>>(std::forward<X>(source.what)); }
    template <class U>
    result_awaiter<U> await_transform(result<U> &&source) noexcept {
        return result_awaiter<U>(std::move(source));
    }
    last_words_awaiter<T> await_transform(last_words<T> &&source) { return last_words_awaiter<T>(std::move(source)); }

    remains<T> with;

  protected:
    template <class U>
    void set_value(U &&value) {
        std::construct_at(&with.value, std::forward<U>(value));
        set_how(ending::value);
    }

  private:
    /* A destructor may throw after co_return. */
    void reset() noexcept {
        with.clear(how());
        set_how(ending::none);
    }
};

template <class T>
class promise final : public promise_values<T> {
  public:
    task<T> get_return_object() noexcept;
    static task<T> get_return_object_on_allocation_failure() noexcept;

    template <class U = T>
    requires std::is_convertible_v<U &&, T> &&(!std::is_same_v<std::remove_cvref_t<U>, error>)void return_value(U &&value) {
        this->set_value(std::forward<U>(value));
    }
    void return_value(const error &why) noexcept { this->fail(kolk_error_ref(why.get())); }
    void return_value(result<T> &&from) {
        if (from)
            this->set_value(std::move(*from));
        else
            return_value(from.error());
    }
};

template <>
class promise<void> final : public promise_values<void> {
  public:
    task<void> get_return_object() noexcept;
    static task<void> get_return_object_on_allocation_failure() noexcept;

    void return_void() noexcept { set_value(nothing()); }
};

} // namespace detail

/** A coroutine that has not been started, or nothing. Owns its frame. */
template <class T = void>
class [[nodiscard]] task {
  public:
    using value_type = T;                    /**< What it returns. */
    using promise_type = detail::promise<T>; /**< The compiler's. */

    task() noexcept = default;
    task(task &&other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
    task &operator=(task &&other) noexcept {
        std::swap(self_, other.self_);
        return *this;
    }
    ~task() {
        if (self_)
            self_.destroy();
    }

    /** Whether there is a frame. Without memory for one the call returns none, and awaiting it fails with #KOLK_ENOMEM. */
    explicit operator bool() const noexcept { return bool(self_); }

    /** The frame: the caller owns it. */
    std::coroutine_handle<promise_type> release() noexcept { return std::exchange(self_, nullptr); }

  private:
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> owned) noexcept : self_(owned) {}

    std::coroutine_handle<promise_type> self_;
};

namespace detail {

template <class T>
task<T> promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}
template <class T>
task<T> promise<T>::get_return_object_on_allocation_failure() noexcept {
    return {};
}
inline task<void> promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}
inline task<void> promise<void>::get_return_object_on_allocation_failure() noexcept { return {}; }

/* Runs a task as part of the one that awaits it. */
template <class T>
class task_awaiter {
  public:
    explicit task_awaiter(task<T> &&source) noexcept : callee_(source.release()) {}
    task_awaiter(const task_awaiter &) = delete;
    ~task_awaiter() {
        if (callee_)
            callee_.destroy();
    }

    bool await_ready() const noexcept { return !callee_; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
        return callee_.promise().begin(self.promise(), self, callee_);
    }

    outcome<T> settle() {
        if (!callee_)
            return outcome<T>(kolk_error_of(KOLK_ENOMEM));
        outcome<T> ended(callee_.promise().how(), callee_.promise().with);
        bury();
        return ended;
    }
    result<T> take() {
        if (!callee_)
            return result<T>::failed(KOLK_ENOMEM);
        auto &self = callee_.promise();
        bool good = self.how() == ending::value;
        result<T> ended = good ? result<T>(std::move(self.with.value)) : result<T>::failed(self.with.why(self.how()));
        bury();
        return ended;
    }
#if KOLK_CPP_EXCEPTIONS
    T get() {
        if (!callee_)
            throw error(KOLK_ENOMEM);
        auto &self = callee_.promise();
        if (self.how() == ending::exception) {
            std::exception_ptr thrown = std::move(self.with.exception);
            bury();
            std::rethrow_exception(std::move(thrown));
        }
        if (self.how() == ending::error) {
            error why = error::share(self.with.error);
            bury();
            throw why;
        }
        if constexpr (!std::is_void_v<T>) {
            T value = std::move(self.with.value);
            bury();
            return value;
        } else {
            bury();
        }
    }
#endif

  private:
    /* What it had goes before the one that awaits it continues, as at the end of a call. */
    void bury() noexcept { std::exchange(callee_, nullptr).destroy(); }

    std::coroutine_handle<promise<T>> callee_;
};

template <class T>
struct awaiter_for<task<T>> {
    using type = task_awaiter<T>;
};

/* Awaited: how a task ended, to be passed on as it is. */
template <class T>
struct settled {
    explicit settled(task<T> &&source) noexcept : what(std::move(source)) {}
    task<T> what;
};
template <class T>
struct awaiter_for<settled<T>> {
    struct type : task_awaiter<T> {
        explicit type(settled<T> &&source) noexcept : task_awaiter<T>(std::move(source.what)) {}
        outcome<T> get() { return this->settle(); }
        outcome<T> take() { return this->settle(); }
    };
};

} // namespace detail

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
