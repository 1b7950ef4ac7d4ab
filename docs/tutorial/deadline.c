/* Pages that take their time, and a client that does not wait for ever. */
#include <kolk/kolk.h>

#include <stdio.h>
#include <string.h>

#define MILLISECONDS INT64_C(1000000)

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
    int status = strcmp(path, "/slow") == 0 ? kolk_sleep(10000 * MILLISECONDS) : 0;
    if (status < 0)
        return status;
    int size = snprintf(page, sizeof page, "HTTP/1.0 200 OK\r\n\r\nthis is %s\n", path);
    return kolk_stream_write(stream, page, (size_t)size);
}

struct page {
    uint16_t port;
    const char *path;
    size_t bytes;
};

/* The body of a task, so that it can be given a deadline. */
static int fetch(void *userdata, void **ret_result) {
    struct page *page = userdata;
    kolk_stream *stream = NULL;
    kolk_error *error = NULL;
    char text[512];
    (void)ret_result;

    int64_t status = kolk_open_connection("127.0.0.1", page->port, NULL, &stream, &error);
    if (status < 0)
        return kolk_raise(error);
    int size = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\n\r\n", page->path);
    status = kolk_stream_write(stream, text, (size_t)size);
    while (status >= 0 && (status = kolk_stream_read(stream, text, sizeof text)) > 0)
        page->bytes += (size_t)status;
    kolk_stream_unref(stream); // also when we were cancelled: clean up, then say so
    return (int)status;
}

static int fetch_in_time(struct page *page) {
    kolk_task *task = NULL;
    int status = kolk_create_task(kolk_loop_current(), fetch, page, NULL, NULL, &task);
    if (status < 0)
        return status;
    status = kolk_wait_for(kolk_task_as_future(task), 200 * MILLISECONDS, NULL);
    if (status < 0)
        printf("%s: %s\n", page->path, kolk_status_message(status));
    else
        printf("%s: %zu bytes\n", page->path, page->bytes);
    kolk_task_unref(task);
    return status == KOLK_ETIMEDOUT ? 0 : status;
}

static int serve_and_fetch(void *userdata, void **ret_result) {
    kolk_server *server = NULL;
    kolk_error *error = NULL;
    (void)userdata;
    (void)ret_result;

    int status = kolk_start_server(kolk_loop_current(), answer, NULL, NULL, "127.0.0.1", 0, NULL, &server, &error);
    if (status < 0)
        return kolk_raise(error);
    struct page pages[] = {{.path = "/quick"}, {.path = "/slow"}, {.path = "/again"}};
    for (size_t i = 0; i < 3 && status >= 0; i++) {
        pages[i].port = (uint16_t)kolk_server_port(server);
        status = fetch_in_time(&pages[i]);
    }
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
