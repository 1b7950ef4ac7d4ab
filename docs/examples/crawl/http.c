#include "http.h"

#include <kolk/stream.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const uint64_t max_body = UINT64_C(16) << 20;
static const uint64_t max_trailers = UINT64_C(64) << 10;

/* One request under way. */
struct exchange {
    kolk_stream *stream;
    struct http_response *response;
    const char *complaint; /* What is wrong with the answer, when its status is one of ours. Static. */
    bool chunked;
    bool has_length;
    uint64_t length;
};

static int complain(struct exchange *self, int status, const char *complaint) {
    self->complaint = complaint;
    return status;
}

static int malformed(struct exchange *self, const char *complaint) { return complain(self, KOLK_EUNSPECIFIED, complaint); }

static int truncated(struct exchange *self) { return complain(self, KOLK_EEOF, "the answer ended before it was complete"); }

static int send_request(struct exchange *self, const struct origin *origin, const char *target) {
    char *request;
    int length = asprintf(&request,
                          "GET %s HTTP/1.1\r\n"
                          "Host: %s\r\n"
                          "User-Agent: kolk-crawl\r\n"
                          "Accept: text/html, */*;q=0.5\r\n"
                          "Accept-Encoding: identity\r\n"
                          "Connection: close\r\n"
                          "\r\n",
                          target, origin->authority);
    if (length < 0)
        return KOLK_ENOMEM;
    int status = kolk_stream_write(self->stream, request, (size_t)length);
    free(request);
    return status;
}

/* ---- the head ---- */

static int parse_status_line(struct exchange *self, const char *line) {
    int status = 0;
    if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) || line[8] != ' ')
        return malformed(self, "the answer does not begin with HTTP/1.1");
    for (int i = 9; i < 12; i++) {
        if (!isdigit((unsigned char)line[i]))
            return malformed(self, "the answer has no status code");
        status = status * 10 + (line[i] - '0');
    }
    if (status < 100 || (line[12] != ' ' && line[12] != '\0'))
        return malformed(self, "the answer has no status code");
    self->response->status = status;
    return 0;
}

static int parse_length(struct exchange *self, const char *value) {
    uint64_t length = 0;
    if (!*value)
        return malformed(self, "Content-Length is not a number");
    for (; *value; value++) {
        if (!isdigit((unsigned char)*value))
            return malformed(self, "Content-Length is not a number");
        if (length > max_body) /* More digits change nothing. */
            continue;
        length = length * 10 + (uint64_t)(*value - '0');
    }
    if (self->has_length && self->length != length)
        return malformed(self, "there are two different Content-Lengths");
    self->has_length = true;
    self->length = length;
    return 0;
}

static int parse_field(struct exchange *self, const char *name, const char *value) {
    struct http_response *response = self->response;
    if (strcasecmp(name, "Content-Length") == 0)
        return parse_length(self, value);
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        self->chunked = strcasecmp(value, "chunked") == 0;
        return self->chunked ? 0 : malformed(self, "the transfer coding is not chunked");
    }
    if (strcasecmp(name, "Content-Type") == 0) {
        size_t length = strcspn(value, "; \t");
        response->is_html = (length == 9 && strncasecmp(value, "text/html", length) == 0) ||
                            (length == 21 && strncasecmp(value, "application/xhtml+xml", length) == 0);
    } else if (strcasecmp(name, "Location") == 0 && !response->location) {
        response->location = strdup(value);
        return response->location ? 0 : KOLK_ENOMEM;
    }
    return 0;
}

static int parse_header_line(struct exchange *self, char *line) {
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return malformed(self, "a header line has no name");
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t"), *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return parse_field(self, line, value);
}

static int parse_head(struct exchange *self, char *head) {
    char *rest = NULL, *line = strtok_r(head, "\r\n", &rest);
    int status = line ? parse_status_line(self, line) : malformed(self, "the answer begins with an empty line");
    while (status == 0 && (line = strtok_r(NULL, "\r\n", &rest)))
        status = parse_header_line(self, line);
    return status;
}

static int read_head(struct exchange *self) {
    const void *data;
    int64_t length = kolk_stream_read_until(self->stream, "\r\n\r\n", 4, &data);
    if (length == 0)
        return complain(self, KOLK_EEOF, "the connection was closed without an answer");
    if (length == KOLK_EEOF)
        return truncated(self);
    if (length == KOLK_ELIMIT)
        return complain(self, KOLK_ELIMIT, "the head of the answer is too large");
    if (length < 0)
        return (int)length;
    char *head = strndup(data, (size_t)length);
    if (!head)
        return KOLK_ENOMEM;
    int status = parse_head(self, head);
    free(head);
    return status;
}

/* Servers may send interim answers, such as 103 Early Hints, before the real one. */
static int read_final_head(struct exchange *self) {
    int status;
    do {
        free(self->response->location);
        *self->response = (struct http_response){0};
        self->chunked = self->has_length = false;
        status = read_head(self);
    } while (status == 0 && self->response->status < 200);
    return status;
}

/* ---- the body ---- */

static int reserve(struct exchange *self, uint64_t extra) {
    struct http_response *response = self->response;
    if (extra > max_body - response->body_length)
        return complain(self, KOLK_ELIMIT, "the body is larger than 16 MiB");
    size_t needed = response->body_length + (size_t)extra, capacity = 2 * response->body_capacity;
    if (needed <= response->body_capacity)
        return 0;
    if (capacity < needed)
        capacity = needed;
    if (capacity > max_body)
        capacity = max_body;
    char *body = realloc(response->body, capacity);
    if (!body)
        return KOLK_ENOMEM;
    response->body = body;
    response->body_capacity = capacity;
    return 0;
}

static int read_exactly(struct exchange *self, uint64_t length) {
    struct http_response *response = self->response;
    int status = reserve(self, length);
    while (status == 0 && length > 0) {
        int64_t count = kolk_stream_read(self->stream, response->body + response->body_length, (size_t)length);
        if (count <= 0)
            return count == 0 ? truncated(self) : (int)count;
        response->body_length += (size_t)count;
        length -= (uint64_t)count;
    }
    return status;
}

static int read_to_end(struct exchange *self) {
    struct http_response *response = self->response;
    for (;;) {
        uint64_t room = max_body - response->body_length;
        char beyond; /* A body of exactly the limit is fine: only one more byte tells that it is too large. */
        int status = reserve(self, room < 16384 ? room : 16384);
        if (status < 0)
            return status;
        int64_t count = room == 0 ? kolk_stream_read(self->stream, &beyond, 1)
                                  : kolk_stream_read(self->stream, response->body + response->body_length,
                                                     response->body_capacity - response->body_length);
        if (count <= 0)
            return (int)count;
        if (room == 0)
            return reserve(self, 1);
        response->body_length += (size_t)count;
    }
}

/* A line of the framing around chunks, without its end: valid until the next read. */
static int read_line(struct exchange *self, const char **ret_line, size_t *ret_length) {
    const void *data;
    int64_t length = kolk_stream_read_until(self->stream, "\r\n", 2, &data);
    if (length == 0 || length == KOLK_EEOF)
        return truncated(self);
    if (length == KOLK_ELIMIT)
        return malformed(self, "a chunk has no size");
    if (length < 0)
        return (int)length;
    *ret_line = data;
    *ret_length = (size_t)length - 2;
    return 0;
}

static int read_chunk_size(struct exchange *self, uint64_t *ret_size) {
    static const char digits[] = "0123456789abcdef";
    const char *line = NULL, *digit;
    size_t length = 0, i = 0;
    uint64_t size = 0;
    int status = read_line(self, &line, &length);
    if (status < 0)
        return status;
    for (; i < length && line[i] && (digit = strchr(digits, tolower((unsigned char)line[i]))); i++)
        if (size <= max_body)
            size = size * 16 + (uint64_t)(digit - digits);
    if (i == 0 || (i < length && !strchr("; \t", line[i])))
        return malformed(self, "a chunk has no size");
    *ret_size = size;
    return 0;
}

static int read_chunks(struct exchange *self) {
    const char *line = NULL;
    size_t length = 0;
    uint64_t size = 0, trailers = 0;
    int status;
    while ((status = read_chunk_size(self, &size)) == 0 && size > 0) {
        status = read_exactly(self, size);
        if (status == 0)
            status = read_line(self, &line, &length);
        if (status == 0 && length > 0)
            status = malformed(self, "a chunk is longer than it says");
        if (status < 0)
            return status;
    }
    do {
        if (status == 0)
            status = read_line(self, &line, &length);
        if (status == 0 && (trailers += length) > max_trailers)
            status = complain(self, KOLK_ELIMIT, "the head of the answer is too large");
    } while (status == 0 && length > 0);
    return status;
}

static int read_body(struct exchange *self) {
    if (self->response->status == 204 || self->response->status == 304)
        return 0;
    if (self->chunked)
        return read_chunks(self);
    return self->has_length ? read_exactly(self, self->length) : read_to_end(self);
}

/* ---- the whole ---- */

static kolk_error *error_in_words(const struct exchange *self, int status) {
    kolk_error *error = kolk_stream_error(self->stream);
    if (!self->complaint && kolk_error_status(error) == status)
        return kolk_error_ref(error);
    kolk_error_new(status, self->complaint, NULL, &error);
    return error;
}

int http_get(const struct origin *origin, const char *target, struct http_response *response, kolk_error **ret_error) {
    struct exchange exchange = {.response = response};
    int status = kolk_open_connection(origin->host, origin->port, NULL, &exchange.stream, ret_error);
    if (status < 0)
        return status;
    status = send_request(&exchange, origin, target);
    if (status == 0)
        status = read_final_head(&exchange);
    if (status == 0)
        status = read_body(&exchange);
    if (status < 0)
        *ret_error = error_in_words(&exchange, status);
    kolk_stream_unref(exchange.stream);
    return status;
}

void http_response_clear(struct http_response *self) {
    free(self->location);
    free(self->body);
    *self = (struct http_response){0};
}
