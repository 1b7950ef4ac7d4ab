/* Sends back what it receives, on every connection at once: echo_server [PORT]. Ends with Ctrl-C. */
#include <kolk/kolk.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* One connection, in a task of its own. The stream is closed when it returns. */
static int echo(kolk_stream *stream, void *userdata) {
    const void *data;
    int64_t length;
    (void)userdata;
    while ((length = kolk_stream_receive(stream, &data)) > 0) {
        int status = kolk_stream_write(stream, data, (size_t)length);
        if (status < 0)
            return status;
    }
    return (int)length;
}

static void stop(void *loop) { kolk_loop_stop(loop); }

static kolk_waker *bell;

static void on_signal(int number) {
    int interrupted_errno = errno;
    (void)number;
    kolk_waker_wake(bell);
    errno = interrupted_errno;
}

static int serve(kolk_loop *loop, uint16_t port, kolk_error **ret_error) {
    kolk_server *server = NULL;
    int status = kolk_start_server(loop, echo, NULL, NULL, "127.0.0.1", port, NULL, &server, ret_error);
    if (status == 0)
        status = kolk_waker_new(loop, stop, loop, NULL, &bell);
    if (status == 0) {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        printf("listening on 127.0.0.1 port %d\n", kolk_server_port(server));
        fflush(stdout);
        status = kolk_loop_run_forever(loop);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
    }
    kolk_loop_close(loop);
    kolk_waker_unref(bell);
    kolk_server_unref(server);
    return status;
}

int main(int argc, char **argv) {
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    int port = argc > 1 ? atoi(argv[1]) : 0;
    if (argc > 2 || port < 0 || port > UINT16_MAX) {
        fputs("usage: echo_server [PORT]\n", stderr);
        return 2;
    }
    int status = kolk_loop_new(NULL, &loop, &error);
    if (status == 0)
        status = serve(loop, (uint16_t)port, &error);
    if (status < 0)
        fprintf(stderr, "echo_server: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    kolk_loop_unref(loop);
    return status < 0;
}
