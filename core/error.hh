/* Error objects: a status, words for it, the errno behind it, the error that caused it.
 *
 * Immutable and atomically counted, so that threads may share them. There is one static object per status: what must be
 * reported when memory is gone is reported with that. */
#pragma once

#include "core/allocator.hh"

#include <kolk/error.h>

#include <atomic>

struct kolk_error {
    std::atomic<uint32_t> refs;
    int32_t status;
    int32_t os;
    uint32_t bytes;       /* what was allocated; 0 for the static objects, which are never counted */
    kolk::allocator from; /* the process default at the time: it may be replaced later */
    kolk_error *cause;    /* owned */
    const char *message;  /* behind this struct, or static */
    const char *location; /* static */
    char task[32];        /* the name of the one that was running */
};

namespace kolk {

using error = ::kolk_error;

[[nodiscard]] const char *status_name(int status) noexcept;
[[nodiscard]] const char *status_message(int status) noexcept;

/* The one that is always there. */
[[nodiscard]] error *static_error(int status) noexcept;

/* The same for any status; one that is not ours keeps its number, if there is memory for it. */
[[nodiscard]] error *error_of(int status) noexcept;

error *ref(error *self) noexcept;   /* returns self */
error *unref(error *self) noexcept; /* returns nullptr */

/* The status that stands for an errno value; KOLK_EIO for those without one of their own. */
[[nodiscard]] int status_of_errno(int number) noexcept;

/* The other way round, for what passes through a reactor. */
[[nodiscard]] int errno_of_status(int status) noexcept;

/* A new error with a formatted message, or the static one of this status when memory is gone. Never nullptr. The cause is
 * borrowed. */
[[nodiscard]] [[gnu::format(printf, 4, 5)]] error *make_error(int status, int os, error *cause, const char *format,
                                                              ...) noexcept;

/* The same with the place where it is made. */
[[nodiscard]] error *make_error_at(int status, error *cause, const char *location, const char *message) noexcept;

/* Everything about it as text. Returns the length of the whole. */
[[nodiscard]] size_t format_error(const error *self, char *text, size_t size) noexcept;

/* Hands an error to an optional out parameter, taking the caller's reference either way. Returns its status. */
int deliver(error *what, error **ret_error) noexcept;

} // namespace kolk
