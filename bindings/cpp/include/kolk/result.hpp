/**
 * @file result.hpp
 * A value, or why there is none: what can fail without throwing.
 */
#ifndef KOLK_RESULT_HPP
#define KOLK_RESULT_HPP

#include <kolk/error.hpp>

#include <cstdlib>
#include <memory>
#include <type_traits>
#include <utility>

namespace kolk {

/** What stands for a value where there is none. */
struct nothing {
    friend bool operator==(nothing, nothing) noexcept { return true; }
};

/** T, or nothing for void. */
template <class T>
using something = std::conditional_t<std::is_void_v<T>, nothing, T>;

inline namespace KOLK_CPP_NAMESPACE {

/**
 * A T, or an error. In a coroutine `co_await std::move(result)` is its value, or else the end of this task with its error.
 *
 * Tells of its error in three ways: status() as a number, code() for those who speak std::error_code, error() with the words.
 */
template <class T>
class [[nodiscard]] result {
    static_assert(!std::is_reference_v<T>, "a result holds a value; for a reference use a pointer");

  public:
    using value_type = T; /**< What it holds; may be void. */

    result(something<T> value) noexcept : ok_(true) { std::construct_at(&value_, std::move(value)); } /**< A value. */
    result(const class error &why) noexcept : ok_(false), error_(kolk_error_ref(why.get())) {}        /**< An error. */

    /** Of a status: an error when it is negative. */
    static result of_status(int status) noexcept requires std::is_void_v<T> {
        return status < 0 ? result(kolk_error_of(status), owned{}) : result(nothing());
    }

    /** Takes a reference to an error over. */
    static result failed(kolk_error *why) noexcept { return result(why, owned{}); }

    /** The general error of a status. */
    static result failed(int status) noexcept { return result(kolk_error_of(status), owned{}); }

    result(result &&other) noexcept : ok_(other.ok_) {
        if (ok_)
            std::construct_at(&value_, std::move(other.value_));
        else
            error_ = kolk_error_ref(other.error_);
    }
    result &operator=(result &&other) noexcept {
        if (this != &other) {
            std::destroy_at(this);
            std::construct_at(this, std::move(other));
        }
        return *this;
    }
    ~result() {
        if (ok_)
            std::destroy_at(&value_);
        else
            kolk_error_unref(error_);
    }

    bool has_value() const noexcept { return ok_; }                             /**< Whether there is a value. */
    explicit operator bool() const noexcept { return ok_; }                     /**< Whether there is a value. */
    int status() const noexcept { return ok_ ? 0 : kolk_error_status(error_); } /**< 0, or why there is none. */
    std::error_code code() const noexcept { return code_of(status()); }         /**< The same. */
    bool cancelled() const noexcept { return status() == KOLK_ECANCELED; }      /**< Whether it was cancelled. */
    const char *message() const noexcept { return kolk_error_message(ok_ ? nullptr : error_); } /**< In words. */

    /** The error; only when there is one. */
    class error error() const noexcept {
        return error::share(ok_ ? nullptr : error_);
    }

    /** The value. Without one it throws the error, or ends the program where exceptions are off. */
    something<T> &value() & {
        require();
        return value_;
    }
    /** The same, moved out. */
    T value() && {
        require();
        if constexpr (!std::is_void_v<T>)
            return std::move(value_);
    }

    something<T> &operator*() &noexcept { return value_; }              /**< The value; only when there is one. */
    something<T> &&operator*() &&noexcept { return std::move(value_); } /**< The value; only when there is one. */
    something<T> *operator->() noexcept { return &value_; }             /**< The value; only when there is one. */

    /** The value, or else this. */
    something<T> value_or(something<T> otherwise) &&noexcept { return ok_ ? std::move(value_) : std::move(otherwise); }

  private:
    struct owned {};
    result(kolk_error *why, owned) noexcept : ok_(false), error_(why) {}

    void require() const {
        if (ok_) [[likely]]
            return;
#if KOLK_CPP_EXCEPTIONS
        throw error();
#else
        std::abort();
#endif
    }

    bool ok_;
    union {
        something<T> value_;
        kolk_error *error_;
    };
};

/** What a call hands out: its value, for failures throw; or where exceptions are off, a result. */
#if KOLK_CPP_EXCEPTIONS
template <class T>
using returned = T;
#else
template <class T>
using returned = result<T>;
#endif

namespace detail {

template <class T>
returned<T> hand_out(result<T> &&from) {
#if KOLK_CPP_EXCEPTIONS
    return std::move(from).value();
#else
    return std::move(from);
#endif
}

} // namespace detail

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
