#include "links.h"
#include "network.h"

#include <unistd.h>

static kolk_stream *stream_of(struct fixture *f, kolk_future *connecting) {
    void *result = NULL;
    drive_until(f, connecting);
    if (kolk_future_result(connecting, &result) != 0)
        fail_msg("%s", kolk_error_message(kolk_future_error(connecting)));
    kolk_stream *stream = kolk_stream_ref(result);
    kolk_future_unref(connecting);
    return stream;
}

struct link open_link_with(struct fixture *f, const kolk_connect_options *options) {
    struct link link = {.f = f};
    kolk_future *connecting = NULL;
    link.listener = listen_on_loopback(4, 16, &link.port);
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", link.port, options, &connecting), 0);
    link.stream = stream_of(f, connecting);
    link.peer = accept_one(link.listener);
    return link;
}

struct link open_link(struct fixture *f) {
    return open_link_with(f, NULL);
}

void close_link(struct link *link) {
    kolk_stream_close(link->stream);
    kolk_stream_unref(link->stream);
    if (link->peer >= 0)
        close(link->peer);
    close(link->listener);
}

void peer_writes(struct link *link, const char *text) { assert_int_equal(write(link->peer, text, strlen(text)), strlen(text)); }

void peer_closes(struct link *link) {
    close(link->peer);
    link->peer = -1;
}

void peer_resets(struct link *link) {
    close_with_reset(link->peer);
    link->peer = -1;
}

static void record_bytes(struct link *link, const char *what, int64_t n, const void *data) {
    if (n < 0)
        record(link->f, "%s=%s", what, kolk_status_name((int)n));
    else
        record(link->f, "%s(%.*s)", what, (int)n, (const char *)data);
}

int read_once(void *userdata, void **ret_result) {
    struct link *link = userdata;
    char buffer[64];
    (void)ret_result;
    record_bytes(link, "read", kolk_stream_read(link->stream, buffer, sizeof buffer), buffer);
    return 0;
}

int read_until_once(void *userdata, void **ret_result) {
    struct link *link = userdata;
    const void *data = NULL;
    (void)ret_result;
    int64_t n = kolk_stream_read_until(link->stream, link->separator, strlen(link->separator), &data);
    record_bytes(link, "until", n, data);
    return 0;
}

int write_all(void *userdata, void **ret_result) {
    struct link *link = userdata;
    (void)ret_result;
    int status = kolk_stream_write(link->stream, link->data, link->length);
    record(link->f, "write=%s", kolk_status_name(status));
    return 0;
}

void read_until(struct link *link, const char *separator) {
    link->separator = separator;
    assert_int_equal(run_task(link->f, read_until_once, link), 0);
}
