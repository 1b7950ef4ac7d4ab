#include "core/stream/server.hh"

#include "core/error.hh"
#include "core/platform/wake_fd.hh"
#include "core/task/sleep.hh"

#include <string.h>

using namespace kolk;

namespace {

/* So many connections are accepted before others get their turn. */
constexpr int most_per_turn = 64;
constexpr int64_t pause_when_short = 100'000'000;
/* A free port of one IP version may be taken in the other. */
constexpr int port_attempts = 16;

/* A connection being served: what its task is given. */
struct connection {
    server *of;  /* kept by its count of connections */
    stream *via; /* referenced */

    connection(server &from, stream &with) noexcept : of(&from), via(&with) { from.connections++; }

    static int run(void *userdata, void **) noexcept {
        auto &self = *static_cast<connection *>(userdata);
        int status = self.of->fn(self.via, self.of->userdata);
        switch (status) {
        case KOLK_ERESET:
        case KOLK_EPIPE:
        case KOLK_ECANCELED: /* the peer's or the program's way to end it, and no news */
            return 0;
        }
        error *why = self.via->failure;
        return why && why->status == status ? raise(kolk::ref(why)) : status;
    }

    static void release(void *userdata) noexcept {
        auto *self = static_cast<connection *>(userdata);
        server *of = self->of;
        self->via->close();
        self->via->unref();
        of->owner->objects.destroy(self);
        of->connection_ended();
    }
};

void resume_accepting(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<server &>(static_cast<timer_node &>(item));
    if (closing || self.closed())
        return;
    self.resume();
}

/* This host has no IPv6, or no such address of it. */
bool without_ip6(int status) noexcept { return status == KOLK_ENOTSUP || status == KOLK_EADDRNOTAVAIL; }

} // namespace

kolk::listener::listener() noexcept
    : watcher{[](watcher &self, uint32_t) noexcept {
          auto &mine = static_cast<listener &>(self);
          if (!mine.linked())
              mine.of->owner->make_ready(mine);
      }},
      ready_item([](ready_item &item, bool closing) noexcept {
          auto &mine = static_cast<listener &>(item);
          if (!closing)
              mine.of->accept(mine);
      }) {}

kolk_server::kolk_server(loop &on, kolk_connection_fn serve, void *data, kolk_destroy_fn release) noexcept
    : counted(on), resource([](resource &self) noexcept { static_cast<server &>(self).close(); }), timer_node(resume_accepting),
      fn(serve), userdata(data), destroy(release) {
    for (listener &one : listeners)
        one.of = this;
}

kolk_server::~kolk_server() {
    close();
    destroy_userdata(destroy, userdata);
}

void kolk_server::unref() noexcept {
    if (--refs > 0)
        return;
    close();
    if (connections == 0)
        dispose_of(*this);
}

void kolk_server::connection_ended() noexcept {
    if (--connections == 0 && refs == 0)
        dispose_of(*this);
}

void kolk_server::close() noexcept {
    (void)owner->stop_timer(*this);
    for (listener &one : listeners)
        if (one.fd >= 0) {
            (void)owner->selector().remove(one.fd);
            close_fd(std::exchange(one.fd, -1));
            if (one.linked())
                owner->un_ready(one);
        }
    if (resource::linked())
        resource::unlink();
    if (std::exchange(listens, false))
        owner->listening--;
}

int kolk_server::listen_on(listener &slot, const socket_address &at, uint32_t backlog, bool both) noexcept {
    int fd;
    int number = socket_listen(at, int(backlog), both, fd, port);
    if (number < 0) {
        os = -number;
        return status_of_errno(os);
    }
    /* Level-triggered everywhere: what one turn leaves over is reported again. */
    int status = owner->selector().add(fd, KOLK_EVENT_READ, static_cast<watcher *>(&slot));
    if (status < 0) {
        close_fd(fd);
        return status;
    }
    slot.fd = fd;
    return 0;
}

int kolk_server::listen_once(const server_request &request) noexcept {
    uint32_t backlog = request.backlog;
    if (!request.host) {
        int status = listen_on(listeners[0], make_address(well_known::any6, request.port), backlog, true);
        return without_ip6(status) ? listen_on(listeners[0], make_address(well_known::any4, request.port), backlog, false)
                                   : status;
    }
    if (strcmp(request.host, "localhost") != 0) {
        socket_address at;
        (void)parse_address(request.host, request.port, at);
        return listen_on(listeners[0], at, backlog, false);
    }
    int status = listen_on(listeners[0], make_address(well_known::loopback4, request.port), backlog, false);
    if (status < 0)
        return status;
    status = listen_on(listeners[1], make_address(well_known::loopback6, port), backlog, false);
    if (without_ip6(status))
        return 0;
    if (status < 0)
        close();
    return status;
}

int kolk_server::listen(const server_request &request, error *&ret_error) noexcept {
    stack_size = request.stack_size;
    stream_limit = request.stream_limit;
    socket_address digits;
    if (request.host && strcmp(request.host, "localhost") != 0 && !parse_address(request.host, request.port, digits)) {
        ret_error = make_error(KOLK_EINVAL, 0, nullptr,
                               "listen on %s port %u: an address in digits, or \"localhost\", is needed, not a name",
                               request.host, unsigned(request.port));
        return KOLK_EINVAL;
    }
    int status = KOLK_EADDRINUSE;
    for (int attempt = 0; status == KOLK_EADDRINUSE && attempt < (request.port ? 1 : port_attempts); attempt++)
        status = listen_once(request);
    if (status < 0) {
        ret_error = make_error(status, os, nullptr, "listen on %s port %u: %s", request.host ? request.host : "all addresses",
                               unsigned(request.port), status_message(status));
        return status;
    }
    owner->resources.push_back(*this);
    listens = true;
    owner->listening++;
    return 0;
}

int kolk_server::serve(int fd, const socket_address &peer) noexcept {
    stream *via;
    int status = stream::make(*owner, fd, peer, stream_limit, true, via);
    if (status < 0)
        return status;
    auto *what = owner->objects.create<connection>(*this, *via);
    if (!what) {
        via->unref();
        return KOLK_ENOMEM;
    }
    kolk_task_options options = {};
    options.stack_size = stack_size;
    task *runner;
    status = create_task(*owner, connection::run, what, connection::release, {&options, reinterpret_cast<void *>(fn)}, runner);
    if (status < 0) {
        connection::release(what);
        return status;
    }
    runner->unref();
    return 0;
}

/* Nothing more can be accepted now. The connections wait in the kernel; asking again at once would only burn time. */
void kolk_server::pause(int status, int number) noexcept {
    for (listener &one : listeners)
        if (one.fd >= 0)
            (void)owner->selector().arm(one.fd, 0);
    (void)owner->stop_timer(*this);
    owner->start_timer(*this, deadline_after(*owner, pause_when_short));
    if (short_of_descriptors)
        return;
    short_of_descriptors = true;
    error *what = make_error(status, number, nullptr, "accept on port %u: %s; trying again every %lld ms", unsigned(port),
                             status_message(status), static_cast<long long>(pause_when_short / 1'000'000));
    owner->report(*what);
    kolk::unref(what);
}

void kolk_server::resume() noexcept {
    for (listener &one : listeners) {
        int status = one.fd >= 0 ? owner->selector().arm(one.fd, KOLK_EVENT_READ) : 0;
        if (status < 0) {
            pause(status, 0); /* which tells the exception handler, who may drop the server */
            return;
        }
    }
}

void kolk_server::accept(listener &from) noexcept {
    ref(); /* the exception handler may drop the server */
    for (int i = 0; i < most_per_turn && from.fd >= 0; i++) {
        socket_address peer;
        int fd = socket_accept(from.fd, peer);
        if (would_block(fd))
            break;
        if (connection_is_gone(fd))
            continue;
        if (fd < 0) {
            pause(out_of_descriptors(fd) ? status_of_errno(-fd) : int(KOLK_EIO), -fd);
            break;
        }
        int status = serve(fd, peer);
        if (status < 0) {
            pause(status, 0);
            break;
        }
        short_of_descriptors = false;
    }
    unref();
}
