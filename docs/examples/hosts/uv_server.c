/* A server on libuv that answers with tasks of kolk: it crawls.
 *
 *     uv_server [PORT]
 *     $ nc 127.0.0.1 PORT
 *     http://127.0.0.1/
 *     60 of 60 pages, 15040 bytes, 1 failed, 0.51 s
 *
 * Everything of the network that clients see is libuv's: accepting, reading, writing. What takes several steps is a task, one
 * per client, which reads like a blocking program: a line, the crawl, the answer. Each callback of libuv that a task waits for
 * sets a future. Whoever has no site at hand is served one, by kolk, in the same uv_run().
 *
 * Ctrl-C ends it in order: the tasks are cancelled, say so to their clients, and are waited for. */
#include "crawl/crawler.h"
#include "crawl/site.h"

#include <kolk/kolk.h>
#include <kolk/uv.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct server {
    uv_loop_t uv;
    uv_tcp_t listener;
    uv_signal_t interrupt;
    kolk_loop *loop;
    kolk_guest *guest;
    kolk_server *site;
};

struct client {
    struct server *server;
    uv_tcp_t tcp;
    uv_write_t write;
    kolk_future *event; /* What the task waits for: a read or a write. */
    char line[1024];    /* What was read and not yet answered. */
    size_t length;
    char text[256]; /* Being written. */
};

/* ---- libuv's callbacks, and tasks that wait for them ---- */

/* What came of it is in the pointer, as kolk's own operations do it. It may have been given up meanwhile. */
static void happen(struct client *client, ssize_t result) {
    kolk_future_set_result(client->event, (void *)(intptr_t)result, NULL);
}

static int wait_for_event(struct client *client, intptr_t *ret_result) {
    void *result = NULL;
    int status = kolk_await(client->event, &result);
    client->event = kolk_future_unref(client->event);
    *ret_result = (intptr_t)result;
    return status;
}

static void give_room(uv_handle_t *tcp, size_t suggested, uv_buf_t *ret_buffer) {
    struct client *client = tcp->data;
    (void)suggested;
    *ret_buffer = uv_buf_init(client->line + client->length, (unsigned)(sizeof client->line - client->length));
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buffer) {
    (void)buffer;
    if (count == 0) // It only seemed so.
        return;
    uv_read_stop(tcp);
    happen(tcp->data, count);
}

/* Returns the bytes that came; 0 or a negative status when no more will. */
static int64_t read_some(struct client *client) {
    intptr_t count = 0;
    int status = kolk_future_new(client->server->loop, &client->event);
    if (status < 0)
        return status;
    uv_read_start((uv_stream_t *)&client->tcp, give_room, on_read);
    status = wait_for_event(client, &count);
    uv_read_stop((uv_stream_t *)&client->tcp);
    return status < 0 ? status : count < 0 ? 0 : count;
}

static void on_written(uv_write_t *write, int uv_status) { happen(write->data, uv_status); }

/* A client that has gone is noticed when it is read from. */
static int write_text(struct client *client) {
    uv_buf_t buffer = uv_buf_init(client->text, (unsigned)strlen(client->text));
    intptr_t uv_status = 0;
    int status = kolk_future_new(client->server->loop, &client->event);
    if (status < 0)
        return status;
    client->write.data = client;
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written) < 0)
        kolk_future_cancel(client->event);
    return wait_for_event(client, &uv_status);
}

/* ---- what a client is answered ---- */

static int crawl(struct client *client, const char *url) {
    const int64_t second = 1000000000;
    struct crawler *crawler = NULL;
    struct crawler_progress found;
    kolk_error *error = NULL;
    int status = crawler_start(client->server->loop, NULL, url, NULL, NULL, &crawler, &error);
    if (status == 0)
        status = kolk_wait_for(crawler_future(crawler), 10 * second, NULL);
    if (status == 0) {
        crawler_get_progress(crawler, &found);
        snprintf(client->text, sizeof client->text,
                 "%" PRIu64 " of %" PRIu64 " pages, %" PRIu64 " bytes, %" PRIu64 " failed, %.2f s\n", found.done, found.found,
                 found.bytes, found.failed, (double)found.elapsed_ns / second);
    } else {
        snprintf(client->text, sizeof client->text, "%s\n", error ? kolk_error_message(error) : kolk_status_message(status));
    }
    kolk_error_unref(error);
    crawler_finish(crawler);
    return status == KOLK_ECANCELED ? status : write_text(client);
}

static int serve(void *userdata, void **ret_result) {
    struct client *client = userdata;
    int64_t count = 1;
    int status = 0;
    (void)ret_result;
    while (status == 0 && client->length < sizeof client->line && (count = read_some(client)) > 0) {
        client->length += (size_t)count;
        for (char *end; status == 0 && (end = memchr(client->line, '\n', client->length));) {
            *end = '\0';
            client->line[strcspn(client->line, "\r")] = '\0';
            status = crawl(client, client->line);
            client->length -= (size_t)(end + 1 - client->line);
            memmove(client->line, end + 1, client->length);
        }
    }
    if (status < 0 || count < 0) { // Cancelled: there is still time for a word.
        strcpy(client->text, "the server ends\n");
        write_text(client);
    }
    return 0;
}

/* ---- clients ---- */

static void free_client(uv_handle_t *tcp) {
    struct client *client = tcp->data;
    kolk_future_unref(client->event);
    free(client);
}

/* Of the task, however it ends. */
static void close_client(void *userdata) {
    struct client *client = userdata;
    uv_close((uv_handle_t *)&client->tcp, free_client);
}

static void on_connection(uv_stream_t *listener, int uv_status) {
    struct server *server = listener->data;
    struct client *client = uv_status < 0 ? NULL : calloc(1, sizeof *client);
    if (!client)
        return;
    client->server = server;
    uv_tcp_init(&server->uv, &client->tcp);
    client->tcp.data = client;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) < 0)
        close_client(client);
    else
        kolk_create_task(server->loop, serve, client, close_client, NULL, NULL);
}

/* ---- the end ---- */

/* [end] */
static void on_all_ended(kolk_future *future, void *userdata) {
    struct server *server = userdata;
    (void)future;
    // libuv has nothing to wait for any more: uv_run() returns.
    kolk_guest_detach(server->guest);
}

static void on_interrupt(uv_signal_t *interrupt, int number) {
    struct server *server = interrupt->data;
    kolk_future *ended = NULL;
    (void)number;
    uv_close((uv_handle_t *)interrupt, NULL); // A second Ctrl-C ends the program the hard way.
    uv_close((uv_handle_t *)&server->listener, NULL);
    kolk_server_close(server->site);
    if (kolk_loop_shutdown_async(server->loop, &ended) < 0 ||
        kolk_future_add_done_callback(ended, on_all_ended, server, NULL) < 0)
        kolk_guest_detach(server->guest);
    kolk_future_unref(ended);
}
/* [end] */

/* ---- the program ---- */

static int complain(const char *what, const char *why) {
    fprintf(stderr, "uv_server: %s: %s\n", what, why);
    return -1;
}

static int listen_on(struct server *server, int port) {
    struct sockaddr_in address;
    int length = sizeof address;
    uv_ip4_addr("127.0.0.1", port, &address);
    int status = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server->listener, 128, on_connection);
    if (status == 0)
        status = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length);
    if (status < 0)
        return complain("cannot listen", uv_strerror(status));
    printf("listening on 127.0.0.1 port %d\n", ntohs(address.sin_port));
    return 0;
}

static int invite_kolk(struct server *server) {
    // At most a millisecond at a time, so that libuv's other handles get their turn.
    const kolk_guest_options options = {.size = sizeof options, .max_ns = 1000000};
    kolk_error *error = NULL;
    int status = kolk_loop_new(NULL, &server->loop, &error);
    if (status == 0)
        status = kolk_uv_attach(server->loop, &server->uv, &options, &server->guest, &error);
    if (status < 0)
        complain("no loop", kolk_error_message(error));
    kolk_error_unref(error);
    return status;
}

static int serve_site(struct server *server) {
    char url[site_url_size];
    kolk_error *error = NULL;
    int status = site_start(server->loop, NULL, &server->site, &error);
    if (status < 0)
        complain("no site", kolk_error_message(error));
    kolk_error_unref(error);
    if (status < 0)
        return status;
    site_url(server->site, url);
    printf("a site to crawl is %s\n", url);
    return 0;
}

static int begin(struct server *server, int port) {
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&server->uv);
    uv_tcp_init(&server->uv, &server->listener);
    uv_signal_init(&server->uv, &server->interrupt);
    server->listener.data = server->interrupt.data = server;
    int uv_status = uv_signal_start(&server->interrupt, on_interrupt, SIGINT);
    if (uv_status < 0)
        return complain("Ctrl-C", uv_strerror(uv_status));
    if (invite_kolk(server) < 0 || serve_site(server) < 0 || listen_on(server, port) < 0)
        return -1;
    return fflush(stdout);
}

static void close_if_open(uv_handle_t *handle, void *nothing) {
    (void)nothing;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* kolk leaves first: then all that is left in libuv's loop is the program's, and may be closed. */
static int end(struct server *server) {
    kolk_server_unref(server->site);
    kolk_guest_unref(server->guest);
    kolk_loop_close(server->loop);
    kolk_loop_unref(server->loop);
    uv_walk(&server->uv, close_if_open, NULL);
    uv_run(&server->uv, UV_RUN_DEFAULT);
    int status = uv_loop_close(&server->uv);
    return status < 0 ? complain("libuv's loop", uv_strerror(status)) : 0;
}

int main(int argc, char **argv) {
    struct server server = {0};
    int begun = begin(&server, argc > 1 ? atoi(argv[1]) : 0);
    if (begun == 0)
        uv_run(&server.uv, UV_RUN_DEFAULT);
    if (end(&server) < 0 || begun < 0)
        return 1;
    puts("ended in order");
    return 0;
}
