/* A server and its client in one program, on one thread. */
#include <kolk/kolk.h>

#include <stdio.h>

/* Serves one connection, in a task of its own. */
static int answer(kolk_stream *stream, void *userdata) {
    const void *data = NULL;
    char request[256];
    char path[64];
    char page[256];
    (void)userdata;

    int64_t length = kolk_stream_read_until(stream, "\r\n\r\n", 4, &data);
    if (length <= 0)
        return (int)length;
    snprintf(request, sizeof request, "%.*s", (int)length, (const char *)data); // bytes become a string
    if (sscanf(request, "GET %63s HTTP/1.0", path) != 1)
        return kolk_stream_write(stream, "HTTP/1.0 400 Bad Request\r\n\r\n", 28);
    int size = snprintf(page, sizeof page, "HTTP/1.0 200 OK\r\n\r\nthis is %s\n", path);
    return kolk_stream_write(stream, page, (size_t)size);
}

/* Asks for one page and prints what comes back. */
static int fetch(const char *host, uint16_t port, const char *path) {
    kolk_stream *stream = NULL;
    kolk_error *error = NULL;
    char text[512];

    int64_t status = kolk_open_connection(host, port, NULL, &stream, &error);
    if (status < 0)
        return kolk_raise(error);
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\n\r\n", path);
    status = kolk_stream_write(stream, text, (size_t)size);
    while (status >= 0 && (status = kolk_stream_read(stream, text, sizeof text)) > 0)
        fwrite(text, 1, (size_t)status, stdout);
    kolk_stream_unref(stream);
    return (int)status;
}

static int serve_and_fetch(void *userdata, void **ret_result) {
    kolk_server *server = NULL;
    kolk_error *error = NULL;
    (void)userdata;
    (void)ret_result;

    int status = kolk_start_server(kolk_loop_current(), answer, NULL, NULL, "127.0.0.1", 0, NULL, &server, &error);
    if (status < 0)
        return kolk_raise(error);
    status = fetch("127.0.0.1", (uint16_t)kolk_server_port(server), "/hello");
    kolk_server_unref(server);
    return status;
}

int main(void) {
    kolk_error *error = NULL;
    int status = kolk_run(serve_and_fetch, NULL, NULL, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", kolk_error_message(error));
    kolk_error_unref(error);
    return status < 0;
}
