/**
 * @file await.hpp
 * What a task can await, and how it is told of failures.
 */
#ifndef KOLK_AWAIT_HPP
#define KOLK_AWAIT_HPP

#include <kolk/future.hpp>
#include <kolk/promise.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* What waits for a source when it is awaited: an awaiter without await_resume, but with take(), which returns a result. A
 * source is what stands behind co_await: an object (X), or a reference to one that goes on to exist (X &). */
template <class X>
struct awaiter_for;

template <class X>
using awaiter = typename awaiter_for<X>::type;

/* Keeps a future that is somebody else's, if it has to be waited for. */
class borrowed {
  public:
    borrowed(kolk_future *future, int status) noexcept : future_(future), status_(status) {}
    borrowed(borrowed &&other) noexcept : future_(other.future_), status_(other.status_) {}
    ~borrowed() {
        if (held_)
            kolk_future_unref(future_);
    }
    void hold() noexcept {
        kolk_future_ref(future_);
        held_ = true;
    }
    kolk_future *get() const noexcept { return future_; }
    int begin_status() const noexcept { return status_; }

    template <class T>
    static something<T> hand_out(void *pointer) {
        return payload<T>::copy(pointer);
    }

  private:
    kolk_future *future_;
    bool held_ = false;
    int status_;
};

/* Keeps what was given away to be awaited. */
template <class Source>
class kept : public Source {
  public:
    explicit kept(Source &&source) noexcept : Source(std::move(source)) {}
    void hold() const noexcept {}

    template <class T>
    something<T> hand_out(void *pointer) const {
        return claim<T>(static_cast<const Source &>(*this), pointer);
    }
};

template <class T, class Keep>
class future_awaiter : public wait {
  public:
    explicit future_awaiter(Keep keep) noexcept : keep_(std::move(keep)) {
        future = keep_.get();
        status = keep_.begin_status();
    }
    future_awaiter(const future_awaiter &) = delete;

    bool await_ready() noexcept {
        if (!future) [[unlikely]]
            return true;
        status = kolk_future_result(future, &value_);
        return status != KOLK_EPENDING || kolk_future_done(future);
    }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
        keep_.hold();
        waiter = self;
        self.promise().park(*this);
    }
    result<T> take() {
        if (waiter && status >= 0)
            status = kolk_future_result(future, &value_);
        if (status < 0) [[unlikely]]
            return result<T>::failed(why());
        return keep_.template hand_out<T>(value_);
    }

  protected:
    Keep &keeper() noexcept { return keep_; }

  private:
    /* The words of a cancellation are the task's, those of a failure the future's. */
    kolk_error *why() const noexcept {
        if (waiter && kolk_error_status(kolk_raised()) == status)
            return kolk_error_ref(kolk_raised());
        kolk_error *of_future = future ? kolk_future_error(future) : nullptr;
        return kolk_error_status(of_future) == status ? kolk_error_ref(of_future) : kolk_error_of(status);
    }

    [[no_unique_address]] Keep keep_;
    void *value_ = nullptr;
};

template <class T>
struct awaiter_for<future<T>> {
    struct type : future_awaiter<T, kept<future<T>>> {
        explicit type(future<T> &&source) noexcept : future_awaiter<T, kept<future<T>>>(kept(std::move(source))) {}
    };
};
template <class T>
struct awaiter_for<const future<T> &> {
    struct type : future_awaiter<T, borrowed> {
        explicit type(const future<T> &source) noexcept
            : future_awaiter<T, borrowed>(borrowed(source.get(), source.begin_status())) {}
    };
};
template <class T>
struct awaiter_for<future<T> &> : awaiter_for<const future<T> &> {};

/* Futures and tasks of C are borrowed; their result is the pointer. */
template <>
struct awaiter_for<kolk_future *> {
    struct type : future_awaiter<void *, borrowed> {
        explicit type(kolk_future *source) noexcept : future_awaiter(borrowed(source, KOLK_EINVAL)) {}
    };
};
template <>
struct awaiter_for<kolk_future *&> : awaiter_for<kolk_future *> {};
template <>
struct awaiter_for<kolk_future *const &> : awaiter_for<kolk_future *> {};
template <>
struct awaiter_for<kolk_task *> {
    struct type : awaiter<kolk_future *> {
        explicit type(kolk_task *source) noexcept : awaiter<kolk_future *>(kolk_task_as_future(source)) {}
    };
};
template <>
struct awaiter_for<kolk_task *&> : awaiter_for<kolk_task *> {};
template <>
struct awaiter_for<kolk_task *const &> : awaiter_for<kolk_task *> {};

struct pause {};

template <>
struct awaiter_for<pause> {
    struct type : wait {
        explicit type(pause) noexcept {}
        type(const type &) = delete;
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> self) noexcept {
            waiter = self;
            self.promise().park(*this);
        }
        result<void> take() const noexcept {
            return status < 0 ? result<void>::failed(kolk_error_ref(kolk_raised())) : result<void>(nothing());
        }
    };
};

/* The last step, for each way to be told. */
template <class Awaiter>
struct reporting : Awaiter {
    using Awaiter::Awaiter;
    auto await_resume() { return Awaiter::take(); }
};

#if KOLK_CPP_EXCEPTIONS
template <class Awaiter>
struct throwing : Awaiter {
    using Awaiter::Awaiter;
    auto await_resume() {
        // Those that have seen an exception throw it as it was.
        if constexpr (requires { Awaiter::get(); })
            return Awaiter::get();
        else
            return Awaiter::take().value();
    }
};
template <class Awaiter>
using as_usual = throwing<Awaiter>;
#else
template <class Awaiter>
using as_usual = reporting<Awaiter>;
#endif

template <class X>
struct unthrown {
    X &&what;
};

template <class T>
struct last_words {
    explicit last_words(outcome<T> &&from) : how(std::move(from)) {}
    outcome<T> how;
};

/* Gives the value of a result, or ends the coroutine with its error. */
template <class T>
class result_awaiter {
  public:
    explicit result_awaiter(result<T> &&from) noexcept : from_(std::move(from)) {}
    bool await_ready() const noexcept { return bool(from_); }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
        self.promise().fail(kolk_error_ref(from_.error().get()));
        return self.promise().leave();
    }
    T await_resume() {
        if constexpr (!std::is_void_v<T>)
            return std::move(*from_);
    }

  private:
    result<T> from_;
};

/* Ends the coroutine as another one ended. */
template <class T>
class last_words_awaiter {
  public:
    explicit last_words_awaiter(last_words<T> &&words) : words_(std::move(words.how)) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
        self.promise().end_as(std::move(words_));
        return self.promise().leave();
    }
    void await_resume() const noexcept {}

  private:
    outcome<T> words_;
};

} // namespace detail

/** Lets everyone else who is ready run once: `co_await yield_now()`. */
inline detail::pause yield_now() noexcept { return {}; }

/** Awaited, the outcome as a result, whatever happens: `co_await nothrow(stream.read(buffer))`. In one expression with
 * co_await. */
template <class X>
[[nodiscard]] detail::unthrown<X> nothrow(X &&what) noexcept {
    return {std::forward<X>(what)};
}

/** Awaited, ends this task with an error, and all its variables with it: what `co_return error` is to a task<int>, for every
 * task. */
inline result<void> fail(const error &why) noexcept { return why; }
/** The same with the words of a status. */
inline result<void> fail(int status) noexcept { return error(status); }

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
