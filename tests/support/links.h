/* Connections between a stream and a plain socket. */
#ifndef KOLK_TEST_LINKS_H
#define KOLK_TEST_LINKS_H

#include "driver.h"

#include <stdint.h>

struct link {
    struct fixture *f;
    int listener;
    uint16_t port;
    int peer; /* The plain socket; -1 once it was closed. */
    kolk_stream *stream;
    /* For the tasks: */
    const char *name;
    const char *separator;
    const char *data;
    size_t length;
    char text[64]; /* What was read so far. */
    size_t text_length;
};

/* Connects the two; closes what is still open of them. */
struct link open_link(struct fixture *f);
struct link open_link_with(struct fixture *f, const kolk_connect_options *options);
void close_link(struct link *link);

/* ---- What the peer does ---- */

void peer_writes(struct link *link, const char *text);
void peer_closes(struct link *link);
void peer_resets(struct link *link);

/* ---- Bodies of tasks: each is given a link ---- */

/* Record "read(what came)", "until(what came)" for the link's separator, or the status: "read=KOLK_ECLOSED". */
int read_once(void *userdata, void **ret_result);
int read_until_once(void *userdata, void **ret_result);

/* Writes the link's data, and records "write=" and the status. */
int write_all(void *userdata, void **ret_result);

/* Runs a task that does read_until_once. */
void read_until(struct link *link, const char *separator);

#endif
