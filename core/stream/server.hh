/* Accepts connections and runs a task for each. */
#pragma once

#include "core/loop/timer_wheel.hh"
#include "core/stream/stream.hh"

#include <kolk/server.h>

namespace kolk {

/* One listening socket. */
struct listener final : watcher, ready_item {
    ::kolk_server *of = nullptr;
    int fd = -1;

    listener() noexcept;
};

struct server_request {
    const char *host; /* nullptr: all addresses */
    uint16_t port;
    uint32_t backlog;
    size_t stack_size;
    size_t stream_limit;
};

} // namespace kolk

struct kolk_server final : kolk::counted, kolk::resource, kolk::timer_node {
    kolk::listener listeners[2]; /* one per IP version, where two are needed */
    kolk_connection_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;
    size_t stack_size, stream_limit;
    uint32_t connections = 0;
    uint16_t port = 0;
    int os = 0;                        /* the errno of the last failure to listen */
    bool listens = false;              /* and the loop counts it */
    bool short_of_descriptors = false; /* and the loop was told */

    kolk_server(kolk::loop &on, kolk_connection_fn serve, void *data, kolk_destroy_fn release) noexcept;
    ~kolk_server();

    [[nodiscard]] int listen(const kolk::server_request &request, kolk_error *&ret_error) noexcept;
    void accept(kolk::listener &from) noexcept;
    void resume() noexcept; /* when a pause is over */
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return listeners[0].fd < 0; }
    void ref() noexcept { refs++; }
    void unref() noexcept; /* the last one closes; connections go on */
    void connection_ended() noexcept;

  private:
    [[nodiscard]] int listen_on(kolk::listener &slot, const kolk::socket_address &at, uint32_t backlog, bool both) noexcept;
    [[nodiscard]] int listen_once(const kolk::server_request &request) noexcept;
    [[nodiscard]] int serve(int fd, const kolk::socket_address &peer) noexcept;
    void pause(int status, int number) noexcept;
};

namespace kolk {
using server = ::kolk_server;
}
