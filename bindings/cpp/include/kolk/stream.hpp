/**
 * @file stream.hpp
 * A TCP connection to read from and write to.
 */
#ifndef KOLK_STREAM_HPP
#define KOLK_STREAM_HPP

#include <kolk/task.hpp>

#include <cstring>
#include <span>
#include <string_view>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

/** A connection. Buffers must stay until a read or write is done; awaited at once, they do. */
class stream : public counted<kolk_stream, kolk_stream_ref, kolk_stream_unref> {
  public:
    using counted::counted;

    /** Reads what is there, at least one byte; 0 when the peer has closed its side. */
    future<size_t> read(void *buffer, size_t capacity) noexcept {
        kolk_future *made = nullptr;
        int status = kolk_stream_read_async(get(), buffer, capacity, &made);
        return future<size_t>::made(status, made);
    }
    /** The same. */
    template <class Byte, size_t N>
    requires(sizeof(Byte) == 1) future<size_t> read(std::span<Byte, N> buffer)
    noexcept { return read(buffer.data(), buffer.size()); }

    /** Writes all of it. */
    future<void> write(const void *data, size_t length) noexcept {
        kolk_future *made = nullptr;
        int status = kolk_stream_write_async(get(), data, length, &made);
        return future<void>::made(status, made);
    }
    /** The same. */
    future<void> write(std::string_view text) noexcept { return write(text.data(), text.size()); }

    int write_eof() noexcept { return kolk_stream_write_eof(get()); }       /**< As kolk_stream_write_eof(). */
    int close() noexcept { return kolk_stream_close(get()); }               /**< As kolk_stream_close(). */
    kolk_error *error() const noexcept { return kolk_stream_error(get()); } /**< As kolk_stream_error(). */
};

/** Connects: `kolk::stream peer = co_await kolk::open_connection("example.org", 80)`. */
inline future<stream> open_connection(const char *host, uint16_t port, const kolk_connect_options *options = nullptr,
                                      kolk_loop *loop = kolk_loop_current()) noexcept {
    kolk_future *made = nullptr;
    int status = kolk_open_connection_async(loop, host, port, options, &made);
    return future<stream>::made(status, made);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
