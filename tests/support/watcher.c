#include "watcher.h"

#include <unistd.h>

void read_and_record(void *userdata) {
    struct watcher *watcher = userdata;
    char buffer[16];
    ssize_t n = read(watcher->fd, buffer, sizeof buffer);
    watcher->calls++;
    record(watcher->f, "%s(%.*s)", watcher->name, n > 0 ? (int)n : 0, buffer);
}

void record_and_remove_writer(void *userdata) {
    struct watcher *watcher = userdata;
    watcher->calls++;
    record(watcher->f, "%s=%d", watcher->name, kolk_loop_remove_writer(watcher->f->loop, watcher->fd));
}
