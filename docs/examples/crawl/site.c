#include "site.h"

#include <kolk/task.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { usual_numbers = 50 };

static const int64_t millisecond = 1000000;

static int write_text(kolk_stream *stream, const char *text) { return kolk_stream_write(stream, text, strlen(text)); }

static int answer(kolk_stream *stream, const char *status, const char *type, const char *body) {
    char head[256];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
             type, strlen(body));
    int written = write_text(stream, head);
    return written < 0 ? written : write_text(stream, body);
}

static int answer_html(kolk_stream *stream, const char *status, const char *body) {
    return answer(stream, status, "text/html; charset=utf-8", body);
}

static int redirect(kolk_stream *stream, const char *location) {
    char head[256];
    snprintf(head, sizeof head, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
             location);
    return write_text(stream, head);
}

/* ---- the pages ---- */

static int serve_index(kolk_stream *stream) {
    return answer_html(
        stream, "200 OK",
        "<!doctype html><title>Numbers</title><h1>Numbers</h1>"
        "<p>Begin with <a href='number/1'>one</a> or with <a href='/latest'>the latest</a>."
        "<p>There is also <a href='about'>a page about all this</a>, <a href='slow'>a slow one</a>, "
        "<a href='loop/a'>one that goes round</a>, <a href='gone'>one that is gone</a> and "
        "<a href='broken'>one that breaks off</a>; and everything <a href='numbers.txt'>as text</a>."
        "<p>Not of this site: <a href='http://192.0.2.1/'>elsewhere</a>, <a href='mailto:n@example.org'>mail</a>.");
}

/* What comes after a number in the Collatz sequence; the cycles of the site come from here. */
static unsigned successor(unsigned number) { return number % 2 == 0 ? number / 2 : 3 * number + 1; }

static void write_number(FILE *page, unsigned number, unsigned last_number) {
    fprintf(page, "<!doctype html><title>%u</title><h1>%u</h1><p>It can be divided by", number, number);
    for (unsigned divisor = 1; divisor <= number; divisor++)
        if (number % divisor == 0)
            fprintf(page, " <a href='%u'>%u</a>", divisor, divisor);
    fprintf(page, ".<p>Halved if even, else times three plus one: ");
    if (successor(number) <= last_number)
        fprintf(page, "<a href='../number/%u'>%u</a>", successor(number), successor(number));
    else
        fprintf(page, "%u", successor(number));
    fprintf(page, ".<p><a href='/number/%u#top'>Next</a>, or back to <a href='..'>all</a>.", number + 1);
}

static int serve_number(kolk_stream *stream, const struct site_options *site, unsigned number) {
    int status = site->delay_ns > 0 ? kolk_sleep(site->delay_ns) : 0;
    if (status < 0)
        return status;
    char *text = NULL;
    size_t length;
    FILE *page = open_memstream(&text, &length);
    if (!page)
        return KOLK_ENOMEM;
    write_number(page, number, site->numbers);
    bool complete = !ferror(page);
    complete &= fclose(page) == 0 && text;
    status = complete ? answer_html(stream, "200 OK", text) : KOLK_ENOMEM;
    free(text);
    return status;
}

static int serve_text(kolk_stream *stream, unsigned last_number) {
    char *text = malloc(12 * (size_t)last_number + 1);
    size_t used = 0;
    if (!text)
        return KOLK_ENOMEM;
    for (unsigned number = 1; number <= last_number; number++)
        used += (size_t)sprintf(text + used, "%u\n", number);
    int status = answer(stream, "200 OK", "text/plain", text);
    free(text);
    return status;
}

static int serve_latest(kolk_stream *stream, unsigned last_number) {
    char location[32];
    snprintf(location, sizeof location, "/number/%u", last_number);
    return redirect(stream, location);
}

static int serve_chunk(kolk_stream *stream, const char *text) {
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    int status = write_text(stream, size);
    if (status == 0)
        status = write_text(stream, text);
    return status < 0 ? status : write_text(stream, "\r\n");
}

static int serve_about(kolk_stream *stream) {
    static const char *const parts[] = {
        "<!doctype html><title>About</title><h1>About</h1>",
        "<p>This page is made while it is sent, part by part,",
        " and a link may well be cut in two: <a hre",
        "f='number/27'>the longest way</a> below fifty.",
    };
    int status = write_text(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n"
                                    "Connection: close\r\n\r\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == 0; i++) {
        status = serve_chunk(stream, parts[i]);
        if (status == 0)
            status = kolk_sleep(20 * millisecond);
    }
    return status < 0 ? status : write_text(stream, "0\r\n\r\n");
}

/* While this task sleeps the others are served. */
static int serve_slow(kolk_stream *stream) {
    int status = kolk_sleep(500 * millisecond);
    return status < 0 ? status : answer_html(stream, "200 OK", "<!doctype html><title>Slow</title><p>Worth waiting for.");
}

static int serve_broken(kolk_stream *stream) {
    return write_text(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"
                              "<!doctype html><title>Broken</title><p>What comes now is import");
}

/* ---- the server ---- */

static int serve_page(kolk_stream *stream, const struct site_options *site, const char *path) {
    unsigned number;
    char end;
    if (strcmp(path, "/") == 0)
        return serve_index(stream);
    if (sscanf(path, "/number/%u%c", &number, &end) == 1 && number >= 1 && number <= site->numbers)
        return serve_number(stream, site, number);
    if (strcmp(path, "/about") == 0)
        return serve_about(stream);
    if (strcmp(path, "/slow") == 0)
        return serve_slow(stream);
    if (strcmp(path, "/broken") == 0)
        return serve_broken(stream);
    if (strcmp(path, "/numbers.txt") == 0)
        return serve_text(stream, site->numbers);
    if (strcmp(path, "/latest") == 0)
        return serve_latest(stream, site->numbers);
    if (strcmp(path, "/loop/a") == 0)
        return redirect(stream, "b");
    if (strcmp(path, "/loop/b") == 0)
        return redirect(stream, "/loop/a");
    if (strcmp(path, "/gone") == 0)
        return answer_html(stream, "410 Gone", "<!doctype html><title>Gone</title>");
    return answer_html(stream, "404 Not Found", "<!doctype html><title>Not found</title>");
}

static int serve_connection(kolk_stream *stream, void *userdata) {
    const void *request;
    char path[256] = "";
    int64_t length = kolk_stream_read_until(stream, "\r\n\r\n", 4, &request);
    if (length <= 0)
        return length == KOLK_EEOF ? 0 : (int)length;
    char *head = strndup(request, (size_t)length);
    if (!head)
        return KOLK_ENOMEM;
    int found = sscanf(head, "GET %255s HTTP/1.", path);
    free(head);
    return found == 1 ? serve_page(stream, userdata, path) : answer_html(stream, "400 Bad Request", "");
}

int site_start(kolk_loop *loop, const struct site_options *options, kolk_server **ret_server, kolk_error **ret_error) {
    struct site_options *site = malloc(sizeof *site);
    if (!site)
        return kolk_error_new(KOLK_ENOMEM, NULL, NULL, ret_error), KOLK_ENOMEM;
    *site = options ? *options : (struct site_options){0};
    if (site->numbers == 0)
        site->numbers = usual_numbers;
    return kolk_start_server(loop, serve_connection, site, free, "127.0.0.1", 0, NULL, ret_server, ret_error);
}

void site_url(const kolk_server *server, char ret_url[site_url_size]) {
    snprintf(ret_url, site_url_size, "http://127.0.0.1:%d/", kolk_server_port(server));
}
