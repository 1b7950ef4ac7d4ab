/**
 * @file error.hpp
 * What went wrong: kolk_error as an object that can be thrown, and statuses as std::error_code.
 */
#ifndef KOLK_ERROR_HPP
#define KOLK_ERROR_HPP

#include <kolk/error.h>
#include <kolk/exceptions.hpp>

#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace kolk {

namespace statuses {

/* The statuses that the standard library has a word for. */
inline constexpr struct {
    int status;
    std::errc condition;
} conditions[] = {
    {KOLK_ECANCELED, std::errc::operation_canceled},
    {KOLK_ETIMEDOUT, std::errc::timed_out},
    {KOLK_ENOMEM, std::errc::not_enough_memory},
    {KOLK_EINVAL, std::errc::invalid_argument},
    {KOLK_EBUSY, std::errc::device_or_resource_busy},
    {KOLK_EPENDING, std::errc::operation_in_progress},
    {KOLK_ENOTSUP, std::errc::not_supported},
    {KOLK_EEXIST, std::errc::file_exists},
    {KOLK_ENOENT, std::errc::no_such_file_or_directory},
    {KOLK_EBADF, std::errc::bad_file_descriptor},
    {KOLK_EMFILE, std::errc::too_many_files_open},
    {KOLK_EREFUSED, std::errc::connection_refused},
    {KOLK_ERESET, std::errc::connection_reset},
    {KOLK_EUNREACH, std::errc::host_unreachable},
    {KOLK_EPIPE, std::errc::broken_pipe},
    {KOLK_EADDRINUSE, std::errc::address_in_use},
    {KOLK_EADDRNOTAVAIL, std::errc::address_not_available},
    {KOLK_EACCESS, std::errc::permission_denied},
    {KOLK_EIO, std::errc::io_error},
};

class status_category final : public std::error_category {
  public:
    const char *name() const noexcept override { return "kolk"; }
    std::string message(int status) const override { return kolk_status_message(status); }
    std::error_condition default_error_condition(int status) const noexcept override {
        for (const auto &each : conditions)
            if (each.status == status)
                return each.condition;
        return {status, *this};
    }
};

} // namespace statuses

/** The category of kolk's statuses: `error_code(KOLK_EREFUSED, category()) == std::errc::connection_refused`. */
inline const std::error_category &category() noexcept {
    static const statuses::status_category instance;
    return instance;
}

/** A status as std::error_code. 0 and more is success. */
inline std::error_code code_of(int status) noexcept { return {status < 0 ? status : 0, category()}; }

/** The nearest status to a code of any category; #KOLK_EUNSPECIFIED when there is none. */
inline int status_of(const std::error_code &code) noexcept {
    if (code.category() == category())
        return code.value() < 0 ? code.value() : int(KOLK_EUNSPECIFIED);
    for (const auto &each : statuses::conditions)
        if (code == each.condition)
            return each.status;
    return KOLK_EUNSPECIFIED;
}

/** An error with words and causes: a counted reference to a kolk_error, never empty. Copying does not allocate. */
class error final : public std::exception {
  public:
    /** The general words of a status. */
    explicit error(int status) noexcept : self_(kolk_error_of(status)) {}

    /** With words of one's own. When memory is gone, those of the status. */
    error(int status, const char *message) noexcept { kolk_error_new(status, message, nullptr, &self_); }

    /** With words, and what led to it. */
    error(int status, const char *message, const error &cause) noexcept {
        kolk_error_new(status, message, cause.self_, &self_);
    }

    /** Takes a reference over. NULL counts as #KOLK_EUNSPECIFIED. */
    static error adopt(kolk_error *owned) noexcept {
        return error(owned ? owned : kolk_error_of(KOLK_EUNSPECIFIED), adopted{});
    }

    /** One more reference. */
    static error share(kolk_error *borrowed) noexcept { return adopt(kolk_error_ref(borrowed)); }

    error(const error &other) noexcept : std::exception(other), self_(kolk_error_ref(other.self_)) {}
    error &operator=(const error &other) noexcept {
        kolk_error_ref(other.self_);
        kolk_error_unref(std::exchange(self_, other.self_));
        return *this;
    }
    ~error() override { kolk_error_unref(self_); }

    int status() const noexcept { return kolk_error_status(self_); }             /**< A kolk_status, below 0. */
    bool cancelled() const noexcept { return status() == KOLK_ECANCELED; }       /**< Whether it is a cancellation. */
    std::error_code code() const noexcept { return code_of(status()); }          /**< The status as std::error_code. */
    const char *message() const noexcept { return kolk_error_message(self_); }   /**< As long as this object lives. */
    const char *what() const noexcept override { return message(); }             /**< The message. */
    const char *location() const noexcept { return kolk_error_location(self_); } /**< Where it was made, or "". */
    kolk_error *cause() const noexcept { return kolk_error_cause(self_); }       /**< What led to it, or NULL; borrowed. */
    kolk_error *get() const noexcept { return self_; }                           /**< Borrowed. */

  private:
    struct adopted {};
    error(kolk_error *owned, adopted) noexcept : self_(owned) {}

    kolk_error *self_;
};

#if KOLK_CPP_EXCEPTIONS

/** An exception in the words of kolk. */
inline error error_of(std::exception_ptr thrown) noexcept {
    try {
        std::rethrow_exception(std::move(thrown));
    } catch (const error &e) {
        return e;
    } catch (const std::bad_alloc &) {
        return error(KOLK_ENOMEM);
    } catch (const std::system_error &e) {
        return error(status_of(e.code()), e.what());
    } catch (const std::exception &e) {
        return error(KOLK_EUNSPECIFIED, e.what());
    } catch (...) {
        return error(KOLK_EUNSPECIFIED, "something was thrown that is no std::exception");
    }
}

#endif

} // namespace kolk

/** So that a kolk_status converts to std::error_code. Found by argument, hence not in the namespace. */
inline std::error_code make_error_code(kolk_status status) noexcept { return kolk::code_of(status); }

template <>
struct std::is_error_code_enum<kolk_status> : std::true_type {};

#endif
