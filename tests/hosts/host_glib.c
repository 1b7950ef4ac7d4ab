/* GLib: a GMainContext of its own per test, so that nothing of one is seen by the next. */
#include "host.h"

#include <kolk/glib.h>

#include <glib-unix.h>

enum { WATCH_COUNT = 8 };

struct glib_host {
    GMainContext *context;
    GMainLoop *loop;
    struct {
        int fd; /* -1: this place is free. */
        GSource *source;
    } watched[WATCH_COUNT];
};

/* A call to make, and whom with. */
struct call {
    void (*fn)(void *userdata);
    void *userdata;
};

static struct call *new_call(void (*fn)(void *userdata), void *userdata) {
    struct call *call = g_new(struct call, 1);
    *call = (struct call){fn, userdata};
    return call;
}

static void *host_open(void) {
    struct glib_host *host = g_new0(struct glib_host, 1);
    host->context = g_main_context_new();
    host->loop = g_main_loop_new(host->context, FALSE);
    for (int place = 0; place < WATCH_COUNT; place++)
        host->watched[place].fd = -1;
    return host;
}

static void host_close(void *self) {
    struct glib_host *host = self;
    g_main_loop_unref(host->loop);
    g_main_context_unref(host->context);
    g_free(host);
}

static int host_attach(void *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct glib_host *host = self;
    return kolk_glib_attach(loop, host->context, options, ret_guest, ret_error);
}

static void host_run(void *self) { g_main_loop_run(((struct glib_host *)self)->loop); }

static void host_stop(void *self) { g_main_loop_quit(((struct glib_host *)self)->loop); }

static gboolean call_once(gpointer data) {
    struct call *call = data;
    call->fn(call->userdata);
    return G_SOURCE_REMOVE;
}

static void host_call_later(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct glib_host *host = self;
    GSource *source = g_timeout_source_new((guint)((delay_ns + 999999) / 1000000));
    g_source_set_callback(source, call_once, new_call(fn, userdata), g_free);
    g_source_attach(source, host->context);
    g_source_unref(source);
}

static gboolean call_when_readable(gint fd, GIOCondition condition, gpointer data) {
    struct call *call = data;
    (void)fd;
    (void)condition;
    call->fn(call->userdata);
    return G_SOURCE_CONTINUE;
}

static void host_watch(void *self, int fd, void (*fn)(void *userdata), void *userdata) {
    struct glib_host *host = self;
    int place = 0;
    while (place < WATCH_COUNT && host->watched[place].fd != fd)
        place++;
    if (place < WATCH_COUNT) {
        g_source_destroy(host->watched[place].source);
        g_source_unref(host->watched[place].source);
        host->watched[place].fd = -1;
    }
    if (!fn)
        return;
    for (place = 0; host->watched[place].fd >= 0;)
        place++;
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(call_when_readable), new_call(fn, userdata), g_free);
    g_source_attach(source, host->context);
    host->watched[place].fd = fd;
    host->watched[place].source = source;
}

static void host_run_modal(void *self, int (*done)(void *context), void *context) {
    struct glib_host *host = self;
    while (!done(context))
        g_main_context_iteration(host->context, TRUE);
}

/* GLib says that its main loop does not survive a fork. */
static const struct host glib_host = {.name = "glib",
                                      .ways = 1 << KOLK_GUEST_HANDLE | 1 << KOLK_GUEST_THREAD | 1 << KOLK_GUEST_REACTOR,
                                      .granularity = 1000000,
                                      .open = host_open,
                                      .close = host_close,
                                      .attach = host_attach,
                                      .run = host_run,
                                      .stop = host_stop,
                                      .call_later = host_call_later,
                                      .watch = host_watch,
                                      .run_modal = host_run_modal};

int main(int argc, char **argv) { return run_conformance(&glib_host, argc, argv); }
