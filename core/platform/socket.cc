#include "core/platform/socket.hh"

#include "core/platform/wake_fd.hh"

#include <kolk/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kolk {

namespace {

static_assert(sizeof(sockaddr_in6) <= sizeof socket_address{}.bytes && sizeof(sockaddr_in) <= sizeof(sockaddr_in6));

sockaddr *native(socket_address &address) noexcept { return reinterpret_cast<sockaddr *>(address.bytes); }
const sockaddr *native(const socket_address &address) noexcept { return reinterpret_cast<const sockaddr *>(address.bytes); }

template <class T>
socket_address wrap(const T &from) noexcept {
    socket_address address;
    memcpy(address.bytes, &from, sizeof from);
    address.size = sizeof from;
    return address;
}

sockaddr_in ip4(uint16_t port) noexcept {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    return address;
}

sockaddr_in6 ip6(uint16_t port) noexcept {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    return address;
}

uint16_t port_of(const socket_address &address) noexcept {
    if (address_family(address) == 6)
        return ntohs(reinterpret_cast<const sockaddr_in6 *>(address.bytes)->sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in *>(address.bytes)->sin_port);
}

/* Small messages leave at once: an answer must not wait for the acknowledgement of the one before. */
void send_at_once(int fd) noexcept {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int status_of_lookup(int code, int number) noexcept {
    switch (code) {
    case EAI_AGAIN: /* no name server has answered */
        return KOLK_EUNREACH;
    case EAI_MEMORY:
        return KOLK_ENOMEM;
    case EAI_FAIL:
        return KOLK_EIO;
    case EAI_SYSTEM:
        return number == EMFILE || number == ENFILE ? int(KOLK_EMFILE) : int(KOLK_EIO);
    default:
        return KOLK_ENONAME;
    }
}

} // namespace

bool parse_address(const char *host, uint16_t port, socket_address &ret_address) noexcept {
    sockaddr_in v4 = ip4(port);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        ret_address = wrap(v4);
        return true;
    }
    sockaddr_in6 v6 = ip6(port);
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        ret_address = wrap(v6);
        return true;
    }
    return false;
}

socket_address make_address(well_known which, uint16_t port) noexcept {
    if (which == well_known::any4 || which == well_known::loopback4) {
        sockaddr_in address = ip4(port);
        address.sin_addr.s_addr = htonl(which == well_known::any4 ? INADDR_ANY : INADDR_LOOPBACK);
        return wrap(address);
    }
    sockaddr_in6 address = ip6(port);
    address.sin6_addr = which == well_known::any6 ? in6_addr(IN6ADDR_ANY_INIT) : in6_addr(IN6ADDR_LOOPBACK_INIT);
    return wrap(address);
}

int address_family(const socket_address &address) noexcept { return native(address)->sa_family == AF_INET6 ? 6 : 4; }

void format_address(const socket_address &address, char *text) noexcept {
    char digits[INET6_ADDRSTRLEN] = "?";
    const void *number = address_family(address) == 6
                             ? static_cast<const void *>(&reinterpret_cast<const sockaddr_in6 *>(address.bytes)->sin6_addr)
                             : &reinterpret_cast<const sockaddr_in *>(address.bytes)->sin_addr;
    inet_ntop(native(address)->sa_family, number, digits, sizeof digits);
    snprintf(text, address_text, "%s port %u", digits, unsigned(port_of(address)));
}

int lookup_name(const char *host, uint16_t port, int family, socket_address *ret_addresses, int capacity,
                lookup_failure &ret_failure) noexcept {
    addrinfo hints = {}, *found;
    hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    char service[8];
    snprintf(service, sizeof service, "%u", unsigned(port));
    int code = getaddrinfo(host, service, &hints, &found);
    if (code) {
        ret_failure = {gai_strerror(code), code == EAI_SYSTEM ? errno : 0};
        return status_of_lookup(code, ret_failure.os);
    }
    int count = 0;
    for (addrinfo *one = found; one && count < capacity; one = one->ai_next)
        if (one->ai_addrlen <= sizeof ret_addresses->bytes) {
            memcpy(ret_addresses[count].bytes, one->ai_addr, one->ai_addrlen);
            ret_addresses[count++].size = one->ai_addrlen;
        }
    freeaddrinfo(found);
    return count ? count : int(KOLK_ENONAME);
}

int socket_connect(const socket_address &to, int &ret_fd) noexcept {
    int fd = socket(native(to)->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    send_at_once(fd);
    /* Interrupted, a connect goes on by itself like one in progress. */
    int number = connect(fd, native(to), to.size) == 0 ? 0 : errno;
    if (number && number != EINPROGRESS && number != EINTR) {
        close_fd(fd);
        return -number;
    }
    ret_fd = fd;
    return number ? 1 : 0;
}

int socket_listen(const socket_address &at, int backlog, bool both_versions, int &ret_fd, uint16_t &ret_port) noexcept {
    int fd = socket(native(at)->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1, only6 = !both_versions;
    socket_address bound;
    socklen_t size = sizeof bound.bytes;
    bool done = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                (address_family(at) == 4 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6) == 0) &&
                bind(fd, native(at), at.size) == 0 && listen(fd, backlog) == 0 && getsockname(fd, native(bound), &size) == 0;
    if (!done) {
        int number = errno;
        close_fd(fd);
        return -number;
    }
    ret_fd = fd;
    ret_port = port_of(bound);
    return 0;
}

int socket_accept(int listener, socket_address &ret_peer) noexcept {
    for (;;) {
        socklen_t size = sizeof ret_peer.bytes;
        int fd = accept4(listener, native(ret_peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            ret_peer.size = size;
            send_at_once(fd);
            return fd;
        }
        if (errno != EINTR)
            return -errno;
    }
}

int socket_connected(int fd) noexcept {
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0)
        return -errno;
    if (number)
        return -number;
    /* The reason is told once. A process that was forked meanwhile may have been told it instead. */
    socket_address peer;
    size = sizeof peer.bytes;
    return getpeername(fd, native(peer), &size) < 0 ? -errno : 0;
}

int64_t socket_receive(int fd, void *buffer, size_t capacity) noexcept {
    for (;;) {
        ssize_t count = recv(fd, buffer, capacity, 0);
        if (count >= 0)
            return count;
        if (errno != EINTR)
            return -errno;
    }
}

int64_t socket_send(int fd, const void *data, size_t length) noexcept {
    for (;;) {
        ssize_t count = send(fd, data, length, MSG_NOSIGNAL);
        if (count >= 0)
            return count;
        if (errno != EINTR)
            return -errno;
    }
}

int socket_end_writing(int fd) noexcept { return shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

bool would_block(int64_t result) noexcept { return result == -EAGAIN || result == -EWOULDBLOCK; }
bool out_of_descriptors(int64_t result) noexcept {
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}
bool connection_is_gone(int64_t result) noexcept {
    switch (-result) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

} // namespace kolk
