/**
 * @file generator.hpp
 * A function that hands out one value after another: for a range-for of C++, or for C, as a kolk_coroutine.
 *
 * @code
 * kolk::generator<int> count(int to) {
 *     for (int i = 0; i < to; i++)
 *         co_yield i;
 * }
 * for (int i : count(3))
 *     std::printf("%d\n", i);
 * @endcode
 */
#ifndef KOLK_GENERATOR_HPP
#define KOLK_GENERATOR_HPP

#include <kolk/frames.hpp>
#include <kolk/payload.hpp>

#include <coroutine>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

template <class T>
class generator;

namespace detail {

template <class T>
class generator_promise {
  public:
    static void *operator new(size_t size) noexcept { return take_frame(size); }
    static void operator delete(void *frame, size_t size) noexcept { give_frame(frame, size); }

    generator<T> get_return_object() noexcept;
    static generator<T> get_return_object_on_allocation_failure() noexcept;
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }

    /* What is yielded lives until the generator goes on. */
    struct handed_out {
        generator_promise &self;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void *await_resume() const {
#if KOLK_CPP_EXCEPTIONS
            if (self.thrown_in < 0)
                throw error::adopt(std::exchange(self.words, nullptr));
#endif
            return self.sent;
        }
    };
    handed_out yield_value(const T &value) noexcept {
        yielded = std::addressof(value);
        return {*this};
    }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept {
#if KOLK_CPP_EXCEPTIONS
        thrown_out = std::current_exception();
#else
        std::abort(); // thrown by somebody who was compiled with exceptions
#endif
    }
    template <class X>
    void await_transform(X &&) = delete; // a generator does not wait

    const T *yielded = nullptr;
    void *sent = nullptr;
#if KOLK_CPP_EXCEPTIONS
    int thrown_in = 0;
    kolk_error *words = nullptr;
    std::exception_ptr thrown_out;
#endif
};

template <class T>
int resume_generator(void *frame, int status, void *sent, void **ret_value) noexcept {
    auto self = std::coroutine_handle<generator_promise<T>>::from_address(frame);
    auto &promise = self.promise();
#if KOLK_CPP_EXCEPTIONS
    if (status < 0 && !promise.yielded)
        return status;
    promise.thrown_in = status;
    if (status < 0)
        promise.words = kolk_error_ref(kolk_raised());
#else
    if (status < 0)
        return status; // nothing can be thrown in: it ends here, and its variables go with the frame
#endif
    promise.sent = sent;
    self.resume();
#if KOLK_CPP_EXCEPTIONS
    if (promise.thrown_out)
        return kolk_raise(kolk_error_ref(error_of(std::exchange(promise.thrown_out, nullptr)).get()));
#endif
    if (self.done())
        return KOLK_COROUTINE_RETURNED;
    if constexpr (fits_in_pointer<T>)
        payload<T>::put(T(*promise.yielded), ret_value);
    else if constexpr (owner<T>)
        *ret_value = promise.yielded->get();
    else
        *ret_value = const_cast<T *>(promise.yielded);
    return KOLK_COROUTINE_YIELDED;
}

template <class T>
inline constexpr kolk_coroutine_ops generator_ops = {
    sizeof(kolk_coroutine_ops), 0, "c++ generator", resume_generator<T>,
    [](void *frame) { std::coroutine_handle<>::from_address(frame).destroy(); }};

} // namespace detail

/**
 * A sequence of T, each made when it is asked for. Owns its frame; can be gone through once.
 *
 * In the generator, `void *sent = co_yield value` is what kolk_coroutine_send() sent.
 */
template <class T>
class [[nodiscard]] generator {
  public:
    using value_type = T;                              /**< What it hands out. */
    using promise_type = detail::generator_promise<T>; /**< The compiler's. */

    generator() noexcept = default;
    generator(generator &&other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
    generator &operator=(generator &&other) noexcept {
        std::swap(self_, other.self_);
        return *this;
    }
    ~generator() {
        if (self_)
            self_.destroy();
    }

    /** Whether there is a frame: not when memory was gone. Without one the sequence is empty. */
    explicit operator bool() const noexcept { return bool(self_); }

    /** Where a range-for stands. */
    class iterator {
      public:
        using difference_type = std::ptrdiff_t;           /**< For the standard library. */
        using value_type = T;                             /**< For the standard library. */
        using iterator_concept = std::input_iterator_tag; /**< For the standard library. */

        const T &operator*() const noexcept { return *self_.promise().yielded; } /**< Until it goes on. */
        const T *operator->() const noexcept { return self_.promise().yielded; } /**< Until it goes on. */
        iterator &operator++() {
            generator::go_on(self_);
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &at, std::default_sentinel_t) noexcept { return !at.self_ || at.self_.done(); }

      private:
        friend generator;
        explicit iterator(std::coroutine_handle<promise_type> self) noexcept : self_(self) {}
        std::coroutine_handle<promise_type> self_;
    };

    /** Runs it to its first value. */
    iterator begin() {
        if (self_)
            go_on(self_);
        return iterator(self_);
    }
    std::default_sentinel_t end() const noexcept { return {}; } /**< Its end. */

    /** The frame: the caller owns it. */
    std::coroutine_handle<promise_type> release() noexcept { return std::exchange(self_, nullptr); }

  private:
    friend promise_type;
    explicit generator(std::coroutine_handle<promise_type> owned) noexcept : self_(owned) {}

    static void go_on(std::coroutine_handle<promise_type> self) {
        self.resume();
#if KOLK_CPP_EXCEPTIONS
        if (self.promise().thrown_out)
            std::rethrow_exception(std::exchange(self.promise().thrown_out, nullptr));
#endif
    }

    std::coroutine_handle<promise_type> self_;
};

namespace detail {

template <class T>
generator<T> generator_promise<T>::get_return_object() noexcept {
    return generator<T>(std::coroutine_handle<generator_promise>::from_promise(*this));
}
template <class T>
generator<T> generator_promise<T>::get_return_object_on_allocation_failure() noexcept {
    return {};
}

} // namespace detail

/**
 * Makes a coroutine of it that C can drive by next, send, throw and close. What it yields is handed out as a future's result
 * would be, but what does not fit into a pointer as a pointer into the generator, valid until that goes on.
 *
 * What is thrown in arrives at the co_yield as kolk::error. Where exceptions are off, it ends the generator.
 */
template <class T>
result<coroutine> make_coroutine(kolk_loop *loop, generator<T> from) noexcept {
    if (!from)
        return result<coroutine>::failed(KOLK_ENOMEM);
    kolk_coroutine *made;
    int status = kolk_foreign_coroutine_new(loop, &detail::generator_ops<T>, from.release().address(), &made);
    if (status < 0)
        return result<coroutine>::failed(status);
    return coroutine(made);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
