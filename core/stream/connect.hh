/* From a host name and a port to a stream. */
#pragma once

#include "core/error.hh"
#include "core/stream/stream.hh"

namespace kolk {

struct connect_request {
    const char *host;
    uint16_t port;
    int family;      /* 4, 6 or 0 for both */
    int64_t timeout; /* 0: none; less: it is over */
    size_t limit;
};

constexpr size_t longest_host = 253;

/* Inside a task. On failure the reason is always set. */
[[nodiscard]] int open_connection(task &self, const connect_request &request, stream *&ret_stream, error *&ret_error) noexcept;

/* As a task of its own; its result is the stream, which it owns. */
[[nodiscard]] int open_connection_async(loop &on, const connect_request &request, future *&ret_future) noexcept;

} // namespace kolk
