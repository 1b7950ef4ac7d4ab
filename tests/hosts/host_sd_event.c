/* sd-event, run one iteration at a time: sd_event_loop() can be left only for good. */
#include "host.h"

#include <kolk/sd_event.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

enum { WATCH_COUNT = 8 };

struct watched {
    sd_event_source *source; /* NULL: this place is free. */
    void (*fn)(void *userdata);
    void *userdata;
};

struct sd_event_host {
    sd_event *event;
    int stopped;
    struct watched watched[WATCH_COUNT];
};

struct call {
    sd_event_source *source;
    void (*fn)(void *userdata);
    void *userdata;
};

static void must(int result, const char *what) {
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %d\n", what, result);
    abort();
}

static void *host_open(void) {
    struct sd_event_host *host = calloc(1, sizeof *host);
    must(sd_event_new(&host->event), "sd_event_new");
    return host;
}

static void host_close(void *self) {
    struct sd_event_host *host = self;
    sd_event_unref(host->event);
    free(host);
}

static int host_attach(void *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct sd_event_host *host = self;
    return kolk_sd_event_attach(loop, host->event, options, ret_guest, ret_error);
}

static void host_run(void *self) {
    struct sd_event_host *host = self;
    for (host->stopped = 0; !host->stopped;)
        must(sd_event_run(host->event, UINT64_MAX), "sd_event_run");
}

static void host_stop(void *self) { ((struct sd_event_host *)self)->stopped = 1; }

static int call_once(sd_event_source *source, uint64_t usec, void *userdata) {
    struct call call = *(struct call *)userdata;
    (void)usec;
    sd_event_source_disable_unref(source);
    free(userdata);
    call.fn(call.userdata);
    return 0;
}

static void host_call_later(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct sd_event_host *host = self;
    struct call *call = malloc(sizeof *call);
    *call = (struct call){NULL, fn, userdata};
    must(sd_event_add_time_relative(host->event, &call->source, CLOCK_MONOTONIC, (uint64_t)(delay_ns + 999) / 1000, 1,
                                    call_once, call),
         "sd_event_add_time_relative");
}

static int call_when_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    struct watched *watched = userdata;
    (void)source;
    (void)fd;
    (void)events;
    watched->fn(watched->userdata);
    return 0;
}

static void host_watch(void *self, int fd, void (*fn)(void *userdata), void *userdata) {
    struct sd_event_host *host = self;
    struct watched *place = host->watched;
    while (place < host->watched + WATCH_COUNT && (!place->source || sd_event_source_get_io_fd(place->source) != fd))
        place++;
    if (place < host->watched + WATCH_COUNT)
        place->source = sd_event_source_disable_unref(place->source);
    if (!fn)
        return;
    for (place = host->watched; place->source;)
        place++;
    place->fn = fn;
    place->userdata = userdata;
    must(sd_event_add_io(host->event, &place->source, fd, EPOLLIN, call_when_readable, place), "sd_event_add_io");
}

/* No modal loops: from inside a callback sd_event_run() answers EBUSY. A forked child is answered ECHILD. */
static const struct host sd_event_host = {.name = "sd-event",
                                          .ways = 1 << KOLK_GUEST_HANDLE | 1 << KOLK_GUEST_THREAD | 1 << KOLK_GUEST_REACTOR,
                                          .granularity = 1000,
                                          .open = host_open,
                                          .close = host_close,
                                          .attach = host_attach,
                                          .run = host_run,
                                          .stop = host_stop,
                                          .call_later = host_call_later,
                                          .watch = host_watch};

int main(int argc, char **argv) { return run_conformance(&sd_event_host, argc, argv); }
