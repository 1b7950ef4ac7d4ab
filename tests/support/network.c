#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void give_up(const char *what) {
    perror(what);
    abort();
}

static socklen_t loopback(int family, uint16_t port, union address *ret_address) {
    memset(ret_address, 0, sizeof *ret_address);
    if (family == 6) {
        ret_address->v6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        return sizeof ret_address->v6;
    }
    ret_address->v4 =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return sizeof ret_address->v4;
}

static int bind_to_loopback(int family, uint16_t *ret_port) {
    union address address;
    socklen_t length = loopback(family, 0, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, &address.any, length) < 0 || getsockname(fd, &address.any, &length) < 0) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(family == 6 ? address.v6.sin6_port : address.v4.sin_port);
    return fd;
}

int has_ipv6(void) {
    uint16_t port;
    int fd = bind_to_loopback(6, &port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int listen_on_loopback(int family, int backlog, uint16_t *ret_port) {
    int fd = bind_to_loopback(family, ret_port);
    if (fd < 0 || listen(fd, backlog) < 0)
        give_up("listen on loopback");
    return fd;
}

int reserve_port(uint16_t *ret_port) {
    int fd = bind_to_loopback(4, ret_port);
    if (fd < 0)
        give_up("reserve a port");
    return fd;
}

int connect_to_loopback(int family, uint16_t port) {
    union address address;
    socklen_t length = loopback(family, port, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, &address.any, length) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int accept_one(int listener) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (poll(&ready, 1, 10000) != 1)
        give_up("nobody connected");
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        give_up("accept");
    return fd;
}

void close_with_reset(int fd) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

int drain_socket(int fd, size_t *ret_total) {
    static char block[256 * 1024];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n > 0)
            *ret_total += (size_t)n;
        else if (n == 0)
            return 1;
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR)
            return -1;
    }
}
