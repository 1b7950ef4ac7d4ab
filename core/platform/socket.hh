/* TCP sockets, as far as streams and servers need them. Every descriptor is non-blocking and closed on exec from the start.
 * Failures are negated errno values; interrupted calls are repeated. */
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kolk {

/* An IPv4 or IPv6 address with a port, in the system's own form. */
struct socket_address {
    alignas(4) unsigned char bytes[28];
    uint32_t size = 0;
};

/* Whether `host` is an address in digits, and then that address. */
[[nodiscard]] bool parse_address(const char *host, uint16_t port, socket_address &ret_address) noexcept;
enum class well_known { any4, any6, loopback4, loopback6 };
[[nodiscard]] socket_address make_address(well_known which, uint16_t port) noexcept;

/* "127.0.0.1 port 80". At most address_text bytes with the terminator. */
constexpr size_t address_text = 64;
void format_address(const socket_address &address, char *text) noexcept;
[[nodiscard]] int address_family(const socket_address &address) noexcept; /* 4, 6 */

/* Why a name was not resolved: in the resolver's words, which are static, and the errno where the system failed. */
struct lookup_failure {
    const char *why = nullptr;
    int os = 0;
};

/* Resolves a name, which may take long: not on a loop's thread. family 4, 6 or 0. How many addresses were written, or a
 * negative status of kolk. */
[[nodiscard]] int lookup_name(const char *host, uint16_t port, int family, socket_address *ret_addresses, int capacity,
                              lookup_failure &ret_failure) noexcept;

/* A new socket that is connected (0) or connecting (1: writable when that is over). */
[[nodiscard]] int socket_connect(const socket_address &to, int &ret_fd) noexcept;
[[nodiscard]] int socket_listen(const socket_address &at, int backlog, bool both_versions, int &ret_fd,
                                uint16_t &ret_port) noexcept;
[[nodiscard]] int socket_accept(int listener, socket_address &ret_peer) noexcept;

/* How connecting ended: 0, or the negated errno of what went wrong; -ENOTCONN where that was told already. */
[[nodiscard]] int socket_connected(int fd) noexcept;

[[nodiscard]] int64_t socket_receive(int fd, void *buffer, size_t capacity) noexcept;
[[nodiscard]] int64_t socket_send(int fd, const void *data, size_t length) noexcept; /* raises no SIGPIPE */
[[nodiscard]] int socket_end_writing(int fd) noexcept;

/* The errno values that callers tell apart. */
[[nodiscard]] bool would_block(int64_t result) noexcept;
[[nodiscard]] bool out_of_descriptors(int64_t result) noexcept;
[[nodiscard]] bool connection_is_gone(int64_t result) noexcept; /* of accept: this one connection failed, others may not */

} // namespace kolk
