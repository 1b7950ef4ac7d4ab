/**
 * @file server.h
 * Accepts connections and runs a task for each.
 */
#ifndef KOLK_SERVER_H
#define KOLK_SERVER_H

#include <kolk/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A listening server. Counted; belongs to a loop. */
typedef struct kolk_server kolk_server;

/**
 * The body of the task that serves one connection. The stream is closed when it returns.
 *
 * @param stream    @ref borrowed.
 * @param userdata  As given to kolk_start_server(). Alive as long as the server or one of its connections is.
 * @return 0, or a negative status, which goes to the loop's exception handler unless it says that the peer is gone or the task
 *         was cancelled (#KOLK_ERESET, #KOLK_EPIPE, #KOLK_ECANCELED).
 */
typedef int (*kolk_connection_fn)(kolk_stream *stream, void *userdata);

/** How to serve. Zero in a member means the default. */
typedef struct kolk_server_options {
    uint32_t size;       /**< sizeof(kolk_server_options). */
    uint32_t backlog;    /**< Connections the kernel may hold until they are accepted. 0: 4096. */
    size_t stack_size;   /**< Of the connections' tasks, up to 1 GiB. 0: 64 KiB. */
    size_t stream_limit; /**< kolk_connect_options::limit of the streams. */
} kolk_server_options;

/**
 * Starts listening. Each connection is served by a task of its own.
 *
 * Out of descriptors, the server tells the loop's exception handler once, pauses for 100 ms and tries again, as long as it
 * takes.
 *
 * @param loop        Where the tasks run.
 * @param fn          What they run.
 * @param userdata    Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy     May be NULL. Called when the server and its connections are gone, or when this call fails.
 * @param host        An address to bind, IPv4 or IPv6; "localhost" for both loopback addresses; NULL for all addresses. Not a
 *                    name: resolving could block.
 * @param port        0: any free one, kolk_server_port() tells.
 * @param options     NULL: all defaults.
 * @param ret_server  Receives the server. @ref owned_by_caller.
 * @param ret_error   Receives the reason when this fails, with host and port; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_EADDRINUSE, #KOLK_EADDRNOTAVAIL, #KOLK_EACCESS, #KOLK_EMFILE, #KOLK_EIO; #KOLK_ENOTSUP for an IP version
 *         that is not there; #KOLK_ELIMIT for a descriptor that the reactor cannot watch, or a stack beyond 1 GiB;
 *         #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_start_server(kolk_loop *loop, kolk_connection_fn fn, void *userdata, kolk_destroy_fn destroy,
                               const char *host, uint16_t port, const kolk_server_options *options, kolk_server **ret_server,
                               kolk_error **ret_error) KOLK_NOEXCEPT;

/** One more owner. Accepts NULL. Returns @p self. @threads{loop} @since 0.1 */
KOLK_API kolk_server *kolk_server_ref(kolk_server *self) KOLK_NOEXCEPT;

/** One owner fewer; the last one closes. Accepts NULL. Returns NULL; @p self on a wrong thread, where nothing is done.
 * @threads{loop} @since 0.1 */
KOLK_API kolk_server *kolk_server_unref(kolk_server *self) KOLK_NOEXCEPT;

/** The port it listens on; #KOLK_ECLOSED, #KOLK_EINVAL. @threads{loop} @since 0.1 */
KOLK_API int kolk_server_port(const kolk_server *self) KOLK_NOEXCEPT;

/** How many connections are being served now; #KOLK_EINVAL. @threads{loop} @since 0.1 */
KOLK_API int kolk_server_connections(const kolk_server *self) KOLK_NOEXCEPT;

/**
 * Stops listening; connections being served go on. Closing twice is fine.
 *
 * @return 0; #KOLK_EINVAL, #KOLK_ETHREAD, #KOLK_EFORKED.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_server_close(kolk_server *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
