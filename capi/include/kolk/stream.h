/**
 * @file stream.h
 * A TCP connection to read from and write to.
 *
 * The plain functions are for tasks on a stack of their own: they look like blocking calls and park the task while they wait.
 * Those that end in `_async` return a future and are for everyone else. Each tries the system call first and waits only when
 * it must.
 *
 * One read and one write may be under way at a time; a second one gets #KOLK_EBUSY. After a failure kolk_stream_error() says in
 * words what happened, with the peer's address.
 *
 * Writing waits until the kernel has taken everything, so a slow peer slows the writer down and nothing piles up in between.
 */
#ifndef KOLK_STREAM_H
#define KOLK_STREAM_H

#include <kolk/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A connection. Counted; belongs to a loop. */
typedef struct kolk_stream kolk_stream;

/** How to connect. Zero in a member means the default. */
typedef struct kolk_connect_options {
    uint32_t size;      /**< sizeof(kolk_connect_options). */
    uint32_t family;    /**< 4 or 6: only this IP version. 0: both, in the order the resolver gives. */
    int64_t timeout_ns; /**< For resolving and all addresses tried. 0: no limit but the system's; less: none is left. */
    size_t limit;       /**< How far kolk_stream_read_until() looks, in bytes. 0: 64 KiB. */
} kolk_connect_options;

/**
 * Inside a task: resolves @p host, off the loop's thread, and connects to the first of its addresses that answers.
 *
 * @param host        A name or an address, IPv4 or IPv6; at most 253 bytes.
 * @param port        1 to 65535.
 * @param options     NULL: all defaults.
 * @param ret_stream  Receives the stream. @ref owned_by_caller.
 * @param ret_error   Receives the reason when this fails, with host and port; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_EREFUSED, #KOLK_ERESET, #KOLK_ETIMEDOUT, #KOLK_EUNREACH, also when no name server answers, #KOLK_ENONAME,
 *         #KOLK_EADDRNOTAVAIL, #KOLK_EACCESS, #KOLK_EMFILE, #KOLK_EIO; #KOLK_ENOTSUP for an IP version that is not there;
 *         #KOLK_ELIMIT for a descriptor that the reactor cannot watch, or when no thread can be started to resolve on;
 *         #KOLK_ECANCELED; #KOLK_ECLOSED when the loop is closing; #KOLK_EINVAL, #KOLK_ENOMEM; #KOLK_EFORKED;
 *         #KOLK_ENOTASK outside of a task on a stack of its own.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_open_connection(const char *host, uint16_t port, const kolk_connect_options *options,
                                  kolk_stream **ret_stream, kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * The same as a future; its result is a kolk_stream, which lives as long as the future: take a reference.
 *
 * @param loop        Where the stream will live.
 * @param host        Copied.
 * @param port        1 to 65535.
 * @param options     NULL: all defaults.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_open_connection_async(kolk_loop *loop, const char *host, uint16_t port, const kolk_connect_options *options,
                                        kolk_future **ret_future) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_stream *kolk_stream_ref(kolk_stream *self) KOLK_NOEXCEPT;

/** One owner fewer; the last one closes. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1 */
KOLK_API kolk_stream *kolk_stream_unref(kolk_stream *self) KOLK_NOEXCEPT;

/**
 * Inside a task: reads what is there, waiting until something is.
 *
 * @param self      The stream.
 * @param buffer    Filled with up to @p capacity bytes.
 * @param capacity  At least 1.
 * @return how many bytes were read; 0 when the peer has closed its side; #KOLK_ERESET, #KOLK_EIO, #KOLK_ECANCELED,
 * #KOLK_ECLOSED, #KOLK_EBUSY when another read is under way, #KOLK_ENOTASK outside of such a task, #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int64_t kolk_stream_read(kolk_stream *self, void *buffer, size_t capacity) KOLK_NOEXCEPT;

/**
 * The same as a future; its result is the number of bytes, as `(intptr_t)result`.
 *
 * @param self        The stream.
 * @param buffer      Must stay valid until the future is done, also after it was cancelled.
 * @param capacity    At least 1.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EBUSY, #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_read_async(kolk_stream *self, void *buffer, size_t capacity, kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Inside a task: like kolk_stream_read(), into memory that all streams of the loop share. Costs no buffer per connection.
 *
 * @param self      The stream.
 * @param ret_data  Receives where the bytes are. @ref borrowed until this task waits for anything again, except in a
 *                  kolk_stream_write() of these bytes, which keeps what it needs.
 * @return as kolk_stream_read(); at most 64 KiB.
 * @threads{loop} @since 0.1
 */
KOLK_API int64_t kolk_stream_receive(kolk_stream *self, const void **ret_data) KOLK_NOEXCEPT;

/**
 * Inside a task: reads until @p separator has come, and no further.
 *
 * @param self              The stream.
 * @param separator         The bytes to look for.
 * @param separator_length  At least 1.
 * @param ret_data          Receives where the bytes are, separator included. @ref borrowed from the stream until its next read.
 * @return their number; 0 when the peer closed and nothing was left; #KOLK_EEOF when it closed before the separator came, and
 *         #KOLK_ELIMIT when the stream's limit was reached first: what was read stays for the next read. Otherwise as
 *         kolk_stream_read(), and #KOLK_ENOMEM.
 * @threads{loop} @since 0.1
 */
KOLK_API int64_t kolk_stream_read_until(kolk_stream *self, const void *separator, size_t separator_length,
                                        const void **ret_data) KOLK_NOEXCEPT;

/**
 * Inside a task: writes all of it, waiting whenever the peer is slow.
 *
 * @param self    The stream.
 * @param data    The bytes; may be what kolk_stream_receive() returned.
 * @param length  How many; 0 is fine.
 * @return 0; #KOLK_EPIPE and #KOLK_ERESET when the peer is gone (no signal is raised), #KOLK_EIO, #KOLK_ECANCELED (part of
 *         it may have been written), #KOLK_ECLOSED, #KOLK_EBUSY when another write is under way, #KOLK_ENOTASK, #KOLK_EINVAL,
 *         #KOLK_ENOMEM.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_write(kolk_stream *self, const void *data, size_t length) KOLK_NOEXCEPT;

/**
 * The same as a future with a NULL result.
 *
 * @param self        The stream.
 * @param data        Must stay valid until the future is done, also after it was cancelled.
 * @param length      How many bytes.
 * @param ret_future  Receives the future. @ref owned_by_caller.
 * @return 0; #KOLK_EBUSY, #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_write_async(kolk_stream *self, const void *data, size_t length,
                                     kolk_future **ret_future) KOLK_NOEXCEPT;

/**
 * Tells the peer that nothing more will be written; reading goes on.
 *
 * @return 0; #KOLK_EBUSY while a write is under way, #KOLK_EIO, #KOLK_ECLOSED, #KOLK_EINVAL.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_write_eof(kolk_stream *self) KOLK_NOEXCEPT;

/**
 * Closes at once. A read or write under way ends with #KOLK_ECLOSED. Closing twice is fine.
 *
 * @return 0; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_close(kolk_stream *self) KOLK_NOEXCEPT;

/** The last failure of this stream in words, or NULL. A call that was refused, cancelled or ended by closing is none. @ref
 * borrowed until the next failure. @threads{loop} @since 0.1 */
KOLK_API kolk_error *kolk_stream_error(const kolk_stream *self) KOLK_NOEXCEPT;

/**
 * The peer's address: "127.0.0.1 port 80", "::1 port 80".
 *
 * @param self      The stream.
 * @param buffer    Receives the text, always terminated.
 * @param capacity  64 is enough.
 * @return its length; #KOLK_EINVAL, #KOLK_ELIMIT when it does not fit, #KOLK_ECLOSED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_peer_name(const kolk_stream *self, char *buffer, size_t capacity) KOLK_NOEXCEPT;

/** The descriptor, for setsockopt and the like; #KOLK_ECLOSED, #KOLK_EINVAL. It stays the stream's. @threads{loop} @since 0.1
 */
KOLK_API int kolk_stream_fd(const kolk_stream *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
