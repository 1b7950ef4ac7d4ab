/* Plain sockets on loopback, for the side of a connection that is not kolk's. */
#ifndef KOLK_TEST_NETWORK_H
#define KOLK_TEST_NETWORK_H

#include <stddef.h>
#include <stdint.h>

/* 1 when this machine has the address ::1. Where it has not, tests of IPv6 assert how that is refused. */
int has_ipv6(void);

/* A socket that listens on a free port of 127.0.0.1 or ::1 (family 4 or 6), or aborts the program. */
int listen_on_loopback(int family, int backlog, uint16_t *ret_port);

/* A port of 127.0.0.1 where nobody listens, kept free by the returned descriptor. */
int reserve_port(uint16_t *ret_port);

/* A connected socket that does not block, or -1. */
int connect_to_loopback(int family, uint16_t port);

/* Accepts a connection that does not block; waits for it, or aborts. */
int accept_one(int listener);

/* Closes so that the peer gets a reset instead of an end of file. */
void close_with_reset(int fd);

/* Reads what is there without waiting; adds to *ret_total. Returns 1 when the peer has closed, -1 on a reset, 0 otherwise. */
int drain_socket(int fd, size_t *ret_total);

#endif
