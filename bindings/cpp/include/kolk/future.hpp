/**
 * @file future.hpp
 * A result that is not there yet, with its type.
 */
#ifndef KOLK_FUTURE_HPP
#define KOLK_FUTURE_HPP

#include <kolk/payload.hpp>

namespace kolk {

/** An owner of a kolk_future, whatever its result means. */
using any_future = counted<kolk_future, kolk_future_ref, kolk_future_unref>;

inline namespace KOLK_CPP_NAMESPACE {

/**
 * A future whose result is a T. Copies refer to the same future.
 *
 * Functions that begin something return one. When the beginning failed there is no kolk_future in it; whoever awaits it, or
 * asks for its result, is told then.
 *
 * In a task, `co_await future` gives a copy of the result, `co_await std::move(future)` the result itself, unless it is
 * shared() with others.
 */
template <class T = void>
class [[nodiscard]] future {
  public:
    using value_type = T; /**< What it will hold. */

    future() noexcept : status_(KOLK_EINVAL) {}
    /** Takes a reference over. */
    explicit future(kolk_future *owned) noexcept : self_(owned), status_(owned ? 0 : KOLK_EINVAL) {}
    /** One that could not be begun. */
    static future failed(int status) noexcept {
        future self;
        self.status_ = status;
        return self;
    }
    /** What a function of C made, and returned. */
    static future made(int status, kolk_future *owned) noexcept { return status < 0 ? failed(status) : future(owned); }
    /** The same, for a future that hands on the result of another one. */
    static future made(int status, kolk_future *owned, const future &source) noexcept {
        future self = made(status, owned);
        self.copy_ = source.copy_;
        return self;
    }

    /** The same future, for who leaves the result to others: it is always copied. */
    future shared() const noexcept {
        future self = *this;
        self.copy_ = payload<T>::copy;
        return self;
    }

    /** A pending one, to be finished with set_result() or set_error(). */
    static future make(kolk_loop *loop = kolk_loop_current()) noexcept {
        kolk_future *made_ = nullptr;
        int status = kolk_future_new(loop, &made_);
        return made(status, made_);
    }

    /** 0; #KOLK_EALREADY when it is done; otherwise as kolk_future_set_result(). */
    int set_result(something<T> value = {}) noexcept {
        void *pointer;
        if (!payload<T>::put(std::move(value), &pointer))
            return KOLK_ENOMEM;
        return kolk_future_set_result(get(), pointer, payload<T>::destroy);
    }
    /** As kolk_future_set_error(). */
    int set_error(const error &why) noexcept { return kolk_future_set_error(get(), why.get()); }

    kolk_future *get() const noexcept { return self_.get(); }       /**< Borrowed; NULL when it could not be begun. */
    explicit operator bool() const noexcept { return bool(self_); } /**< Whether it was begun. */
    int begin_status() const noexcept { return status_; }           /**< 0, or why it could not be begun. */
    bool done() const noexcept { return !self_ || kolk_future_done(get()) > 0; }          /**< As kolk_future_done(). */
    bool cancelled() const noexcept { return self_ && kolk_future_cancelled(get()) > 0; } /**< As kolk_future_cancelled(). */
    int cancel() const noexcept { return kolk_future_cancel(get()); }                     /**< As kolk_future_cancel(). */

    /** The outcome; #KOLK_EPENDING while there is none. */
    kolk::result<T> result(std::nothrow_t) const { return outcome(payload<T>::copy); }
    /** The same, thrown. */
    returned<T> result() const { return detail::hand_out(result(std::nothrow)); }

    /** The outcome for the only one to ask: the result is moved out unless it is shared(). */
    kolk::result<T> take(std::nothrow_t) const {
        return outcome([this](void *pointer) { return claim(pointer); });
    }
    /** The same for who has the result as a pointer. */
    something<T> claim(void *pointer) const { return copy_ ? copy_(pointer) : payload<T>::take(pointer); }

  private:
    template <class HandOut>
    kolk::result<T> outcome(HandOut hand_out) const {
        void *pointer = nullptr;
        int status = self_ ? kolk_future_result(get(), &pointer) : status_;
        if (status >= 0)
            return hand_out(pointer);
        if (!self_ || !kolk_future_done(get()))
            return kolk::result<T>::failed(status);
        return error::share(kolk_future_error(get()));
    }

    any_future self_;
    something<T> (*copy_)(void *) = nullptr; /* for who shares it; a pointer, so that what is never shared need not be copied */
    int status_;
};

namespace detail {

/* Makes a T of the result of what was given away to be awaited. */
template <class T, class Source>
something<T> claim(const Source &, void *pointer) {
    return payload<T>::take(pointer);
}
template <class T>
something<T> claim(const future<T> &from, void *pointer) {
    return from.claim(pointer);
}

} // namespace detail

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
