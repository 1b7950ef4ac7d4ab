/* An event loop in ten lines, on the selector alone: mini_loop HOST PORT.
 *
 * Begins a connection, and calls whoever belongs to a descriptor that is ready. The pointer kept with a registration is what is
 * to be called. Ends after ten seconds if nothing happens. */
#include <kolk/selector.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is to be called when a descriptor is ready. Returns whether the loop is to go on. */
struct callback {
    int (*call)(int fd);
};

static int connected(int fd) {
    int problem = 0;
    socklen_t length = sizeof problem;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length);
    puts(problem == 0 ? "connected!" : "refused!");
    return 0;
}

/* The event loop. */
static int run(kolk_selector *selector) {
    const int64_t ten_seconds = INT64_C(10000000000);
    int count, go_on = 1;
    do {
        kolk_selector_key ready[16];
        count = kolk_selector_select(selector, ten_seconds, ready, 16);
        for (int i = 0; i < count; i++)
            go_on &= ((struct callback *)ready[i].data)->call(ready[i].fd);
    } while (go_on && count > 0);
    return count;
}

static int begin_connection(const char *host, const char *port) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    if (getaddrinfo(host, port, &hints, &address) != 0)
        return -1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(address);
    return fd;
}

int main(int argc, char **argv) {
    struct callback on_connected = {connected};
    kolk_selector *selector = NULL;
    int fd = argc == 3 ? begin_connection(argv[1], argv[2]) : -1;
    if (fd < 0) {
        fputs("usage: mini_loop ADDRESS PORT, both as numbers\n", stderr);
        return 2;
    }
    int status = kolk_selector_new(NULL, &selector, NULL);
    if (status == 0)
        status = kolk_selector_register(selector, fd, KOLK_EVENT_WRITE, &on_connected);
    if (status == 0)
        status = run(selector);
    if (status <= 0)
        fprintf(stderr, "mini_loop: %s\n", status < 0 ? kolk_status_message(status) : "nothing happened for ten seconds");
    kolk_selector_destroy(selector);
    close(fd);
    return status <= 0;
}
