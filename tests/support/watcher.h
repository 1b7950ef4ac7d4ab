/* What watches a descriptor, and records what it is called for. */
#ifndef KOLK_TEST_WATCHER_H
#define KOLK_TEST_WATCHER_H

#include "driver.h"

struct watcher {
    struct fixture *f;
    int fd;
    const char *name;
    int calls;
    int other; /* A descriptor this watcher does something to. */
};

/* A reader that is given a watcher: records "name(what there was to read)". */
void read_and_record(void *userdata);

/* A writer that is given a watcher: removes itself, and records "name=" and the answer to that. */
void record_and_remove_writer(void *userdata);

#endif
