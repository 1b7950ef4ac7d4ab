/* One HTTP/1.1 request and its answer, written as if reading could block: it runs inside a task. */
#ifndef CRAWL_HTTP_H
#define CRAWL_HTTP_H

#include "url.h"

#include <kolk/error.h>

#include <stdbool.h>
#include <stddef.h>

struct http_response {
    int status;         /* 100 to 999; 0 until the head has come. */
    bool is_html;       /* What Content-Type says. */
    char *location;     /* Where a redirect leads; NULL when none is given. */
    char *body;         /* Decoded from its transfer coding. */
    size_t body_length; /* Also after a failure: how much had come. */
    size_t body_capacity;
};

/* Inside a task: fetches a page over a connection of its own. The response starts as zeros and is cleared by the caller, also
 * after a failure. Returns 0, or a negative status with an error in words, owned by the caller:
 *
 *   KOLK_EEOF          the answer ended too early;
 *   KOLK_ELIMIT        head beyond 64 KiB or body beyond 16 MiB;
 *   KOLK_EUNSPECIFIED  the answer is not HTTP/1.1;
 *
 * and whatever connecting, reading and writing return. */
int http_get(const struct origin *origin, const char *target, struct http_response *response, kolk_error **ret_error);

void http_response_clear(struct http_response *self);

#endif
