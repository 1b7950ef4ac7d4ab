/* tcp_echo: a server that sends back what it gets, one task per connection. Prints "port N" and serves until it is killed. */
#include "bench.h"

#include <kolk/server.h>

#include <stdio.h>

static int echo(kolk_stream *stream, void *userdata) {
    (void)userdata;
    for (;;) {
        const void *data = NULL;
        int64_t length = kolk_stream_receive(stream, &data);
        if (length <= 0)
            return (int)length;
        int status = kolk_stream_write(stream, data, (size_t)length);
        if (status < 0)
            return status;
    }
}

static void complain(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    (void)userdata;
    fprintf(stderr, "tcp_echo: %s\n", kolk_error_message(error));
}

int main(void) {
    kolk_loop *loop = NULL;
    kolk_server *server = NULL;
    kolk_server_options options = {.size = sizeof options, .backlog = 4096};

    bench_raise_descriptor_limit();
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");
    bench_check(kolk_loop_set_exception_handler(loop, complain, NULL, NULL), "kolk_loop_set_exception_handler");
    bench_check(kolk_start_server(loop, echo, NULL, NULL, "127.0.0.1", 0, &options, &server, NULL), "kolk_start_server");
    printf("port %d\n", bench_check(kolk_server_port(server), "kolk_server_port"));
    fflush(stdout);
    return bench_check(kolk_loop_run_forever(loop), "kolk_loop_run_forever");
}
