/* Fetches the front page of a host: fetch HOST [PORT]. */
#include <kolk/kolk.h>
#include <stdio.h>
#include <stdlib.h>

static int fetch(void *userdata, void **ret_result) {
    char **argv = userdata, request[512];
    const void *data;
    kolk_stream *stream;
    kolk_error *error;
    (void)ret_result;
    if (kolk_open_connection(argv[1], argv[2] ? atoi(argv[2]) : 80, NULL, &stream, &error) < 0)
        return kolk_raise(error);

    int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[1]);
    int64_t count = kolk_stream_write(stream, request, (size_t)length);
    while (count >= 0 && (count = kolk_stream_receive(stream, &data)) > 0)
        fwrite(data, 1, (size_t)count, stdout);
    kolk_stream_unref(stream);
    return (int)count;
}

int main(int argc, char **argv) {
    kolk_error *error = NULL;
    if (argc < 2 || kolk_run(fetch, argv, NULL, &error) < 0)
        fprintf(stderr, "fetch: %s\n", argc < 2 ? "which host?" : kolk_error_message(error));
    kolk_error_unref(error);
    return argc < 2 || error;
}
