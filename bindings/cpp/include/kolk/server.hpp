/**
 * @file server.hpp
 * Accepts connections and runs a coroutine for each.
 */
#ifndef KOLK_SERVER_HPP
#define KOLK_SERVER_HPP

#include <kolk/spawn.hpp>
#include <kolk/stream.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* On the fiber that the server made for a connection: the coroutine is a task that this one awaits. */
template <class Handler>
int serve(kolk_stream *connection, void *handler) noexcept {
    auto body = [&]() -> result<task<void>> {
#if KOLK_CPP_EXCEPTIONS
        try {
            return (*static_cast<Handler *>(handler))(share<stream>(connection));
        } catch (...) {
            return error_of(std::current_exception());
        }
#else
        return (*static_cast<Handler *>(handler))(share<stream>(connection));
#endif
    }();
    if (!body)
        return kolk_raise(kolk_error_ref(body.error().get()));
    task_handle<void> served = spawn(std::move(*body));
    return served ? kolk_await(served.get(), nullptr) : served.begin_status();
}

} // namespace detail

/** A listening server. */
class server : public counted<kolk_server, kolk_server_ref, kolk_server_unref> {
  public:
    using counted::counted;

    int port() const noexcept { return kolk_server_port(get()); }               /**< As kolk_server_port(). */
    int connections() const noexcept { return kolk_server_connections(get()); } /**< As kolk_server_connections(). */
    int close() noexcept { return kolk_server_close(get()); }                   /**< As kolk_server_close(). */
};

/**
 * Starts listening: @p handler is called with a kolk::stream for each connection and returns a task<void>, which serves it. The
 * stream is closed when that has ended. The handler is kept as long as the server or one of its connections is there.
 */
template <class Handler>
requires std::is_invocable_r_v<task<void>, Handler &, stream> result<server>
start_server(Handler handler, const char *host, uint16_t port, const kolk_server_options *options = nullptr,
             kolk_loop *loop = kolk_loop_current()) noexcept {
    auto *box = new (std::nothrow) Handler(std::move(handler));
    if (!box)
        return result<server>::failed(KOLK_ENOMEM);
    kolk_server *made;
    kolk_error *why;
    auto destroy = [](void *kept) { delete static_cast<Handler *>(kept); };
    if (kolk_start_server(loop, detail::serve<Handler>, box, destroy, host, port, options, &made, &why) < 0)
        return result<server>::failed(why);
    return server(made);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
