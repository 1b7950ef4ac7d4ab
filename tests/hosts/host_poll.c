/* A plain loop around poll(): a host without a library. */
#include "host.h"
#include "poll_loop.h"

static void *open_host(void) { return poll_loop_new(); }
static void close_host(void *self) { poll_loop_free(self); }
static void run(void *self) { poll_loop_run(self); }
static void stop(void *self) { poll_loop_stop(self); }
static void after_fork(void *self) { poll_loop_after_fork(self); }

static int attach(void *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                  kolk_error **ret_error) {
    return poll_loop_attach(self, loop, options, ret_guest, ret_error);
}

static void call_later(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    poll_loop_call_later(self, delay_ns, fn, userdata);
}

static void watch(void *self, int fd, void (*fn)(void *userdata), void *userdata) { poll_loop_watch(self, fd, fn, userdata); }

static void run_modal(void *self, int (*done)(void *context), void *context) { poll_loop_run_modal(self, done, context); }

int main(int argc, char **argv) {
    const struct host host = {
        .name = "poll",
        .ways = 1u << KOLK_GUEST_FRAME | 1u << KOLK_GUEST_HANDLE | 1u << KOLK_GUEST_THREAD | 1u << KOLK_GUEST_REACTOR,
        .granularity = 1000000,
        .open = open_host,
        .close = close_host,
        .attach = attach,
        .run = run,
        .stop = stop,
        .call_later = call_later,
        .watch = watch,
        .run_modal = run_modal,
        .after_fork = after_fork,
    };
    return run_conformance(&host, argc, argv);
}
