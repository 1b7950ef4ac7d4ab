/**
 * @file error.h
 * What can go wrong: status codes, and error objects that say it in words.
 *
 * Functions return a status: 0 or more is success, less is one of the codes below. The numbers are kolk's own, the same on
 * every platform, and never reused. Where words help, an error object comes with the code: it carries a message with the
 * names and numbers of the case ("connect to 127.0.0.1 port 81: connection refused"), the system's errno where there was
 * one, and the error that caused it. Error objects never change once made and may be shared between threads.
 *
 * Every code also exists as a static object (kolk_error_of()), so that an error can be reported when memory is gone.
 */
#ifndef KOLK_ERROR_H
#define KOLK_ERROR_H

#include <kolk/api.h>

/** All status codes: name, number, message. One list, so that nothing can drift apart. */
#define KOLK_STATUSES(X)                                                                                                       \
    X(ECANCELED, -1, "the operation was cancelled")                                                                            \
    X(ETIMEDOUT, -2, "the time allowed for it ran out")                                                                        \
    X(ENOMEM, -3, "out of memory")                                                                                             \
    X(EINVAL, -4, "an argument is not valid")                                                                                  \
    X(EBUSY, -5, "it is already running or in use")                                                                            \
    X(ECLOSED, -6, "it has been closed")                                                                                       \
    X(EPENDING, -7, "the result is not there yet")                                                                             \
    X(EALREADY, -8, "it already happened")                                                                                     \
    X(ETHREAD, -9, "called from a thread that does not own the loop")                                                          \
    X(EFORKED, -10, "the loop was made before fork and belongs to the parent process")                                         \
    X(ENOTASK, -11, "only a coroutine can do this, and none is running here")                                                  \
    X(ENOTSUP, -12, "not supported here")                                                                                      \
    X(EEXIST, -13, "it is there already")                                                                                      \
    X(ENOENT, -14, "there is no such thing")                                                                                   \
    X(ELIMIT, -15, "beyond a fixed limit")                                                                                     \
    X(EBADF, -16, "the descriptor is not open")                                                                                \
    X(EMFILE, -17, "no more descriptors can be opened")                                                                        \
    X(EREFUSED, -18, "connection refused")                                                                                     \
    X(ERESET, -19, "connection reset by the peer")                                                                             \
    X(EUNREACH, -20, "host or network unreachable")                                                                            \
    X(ENONAME, -21, "host name not found")                                                                                     \
    X(EPIPE, -22, "the other end no longer reads")                                                                             \
    X(EADDRINUSE, -23, "address in use")                                                                                       \
    X(EADDRNOTAVAIL, -24, "address not available on this host")                                                                \
    X(EACCESS, -25, "permission denied")                                                                                       \
    X(EEOF, -26, "the stream ended too early")                                                                                 \
    X(EIO, -27, "the system call failed")                                                                                      \
    X(EPLUGIN, -28, "the module is not a usable reactor")                                                                      \
    X(EEXITED, -29, "the coroutine has ended")                                                                                 \
    X(ENOTSTARTED, -30, "the coroutine was not started")                                                                       \
    X(EYIELD, -31, "a value was yielded where none is taken")                                                                  \
    X(EUNSPECIFIED, -32, "an error without a code")

#ifdef __cplusplus
extern "C" {
#endif

/** Status codes. */
typedef enum kolk_status {
    KOLK_OK = 0, /**< Success. */
#define KOLK_STATUS_ENUMERATOR(name, number, message) KOLK_##name = number,
    KOLK_STATUSES(KOLK_STATUS_ENUMERATOR)
#undef KOLK_STATUS_ENUMERATOR
} kolk_status;

/** An error in words. Counted; immutable; any thread. */
typedef struct kolk_error kolk_error;

/**
 * The name of a status code: "KOLK_ECANCELED". Static; "KOLK_?" for a number that is none.
 *
 * @threads{any} @since 0.1
 */
KOLK_API const char *kolk_status_name(int status) KOLK_NOEXCEPT;

/**
 * The general message of a status code, in English. Static.
 *
 * @threads{any} @since 0.1
 */
KOLK_API const char *kolk_status_message(int status) KOLK_NOEXCEPT;

/**
 * Makes an error object.
 *
 * @param status     A negative status; 0 or more becomes #KOLK_EUNSPECIFIED, so that an error never looks like success.
 * @param message    Copied. NULL: the general message of @p status.
 * @param cause      What led to this one, or NULL. Borrowed: the new error takes a reference of its own.
 * @param ret_error  Receives the error. @ref owned_by_caller. When memory is gone it receives the static object of
 *                   @p status instead, so it is always set.
 * @return 0, or #KOLK_ENOMEM when the message or cause could not be kept; #KOLK_EINVAL when @p ret_error is NULL.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_error_new(int status, const char *message, kolk_error *cause, kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * kolk_error_new() with the place where it is made.
 *
 * @param status     As in kolk_error_new().
 * @param message    As in kolk_error_new().
 * @param cause      As in kolk_error_new().
 * @param location   #KOLK_HERE. Static. NULL: none.
 * @param ret_error  As in kolk_error_new().
 * @return as kolk_error_new().
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_error_new_at(int status, const char *message, kolk_error *cause, const char *location,
                               kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * The static error object of a status: general message, no cause. Never fails, never allocates; ref and unref do nothing.
 *
 * @threads{any} @since 0.1
 */
KOLK_API kolk_error *kolk_error_of(int status) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{any} @since 0.1 */
KOLK_API kolk_error *kolk_error_ref(kolk_error *self) KOLK_NOEXCEPT;

/** One owner fewer. Accepts NULL. Returns NULL. @threads{any} @since 0.1 */
KOLK_API kolk_error *kolk_error_unref(kolk_error *self) KOLK_NOEXCEPT;

/** The status; 0 for NULL, which is no error. @threads{any} @since 0.1 */
KOLK_API int kolk_error_status(const kolk_error *self) KOLK_NOEXCEPT;

/** The message. Lives as long as @p self; "no error" for NULL. @threads{any} @since 0.1 */
KOLK_API const char *kolk_error_message(const kolk_error *self) KOLK_NOEXCEPT;

/** The system's errno behind this error, or 0. @threads{any} @since 0.1 */
KOLK_API int kolk_error_os(const kolk_error *self) KOLK_NOEXCEPT;

/** The error that caused this one, or NULL. @ref borrowed from @p self. @threads{any} @since 0.1 */
KOLK_API kolk_error *kolk_error_cause(const kolk_error *self) KOLK_NOEXCEPT;

/** Where it was made, as given to kolk_error_new_at(); "" when nobody said. @threads{any} @since 0.1 */
KOLK_API const char *kolk_error_location(const kolk_error *self) KOLK_NOEXCEPT;

/** The name of the task that was running when it was made; "" when there was none, or it had none. @threads{any} @since 0.1 */
KOLK_API const char *kolk_error_task(const kolk_error *self) KOLK_NOEXCEPT;

/**
 * Everything that is known about an error as text: one line for it and one for each cause, with names of statuses, tasks and
 * places.
 *
 * @param self  The error; NULL: "no error".
 * @param text  Receives as much as fits, always ended by NUL. May be NULL when @p size is 0.
 * @param size  Bytes there is room for.
 * @return the length of the whole text without the NUL; #KOLK_EINVAL.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_error_format(const kolk_error *self, char *text, size_t size) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
