/* SDL as a host, without a window: the dummy video driver, and a loop of SDL_WaitEvent(). Timers and watches are the test's
 * own, as a game has them: SDL has none on the thread that takes events. The timers make the frames, too, when a guest lives by
 * the frame. */
#include "host.h"

#include <kolk/sdl.h>

#include <limits.h>
#include <poll.h>
#include <SDL.h>
#include <stdlib.h>
#include <time.h>

#define MS INT64_C(1000000)

enum { WATCHES = 8 };

struct timer {
    int64_t deadline_ns;
    void (*fn)(void *userdata);
    void *userdata;
    struct timer *next; /* Not earlier than this one. */
};

struct watch {
    int fd;
    void (*fn)(void *userdata); /* NULL: not in use. */
    void *userdata;
};

struct sdl_host {
    struct timer *timers;
    struct watch watches[WATCHES];
    int stopped;
};

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void *host_open(void) {
    SDL_setenv("SDL_VIDEODRIVER", "dummy", 1);
    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        abort();
    struct sdl_host *self = calloc(1, sizeof *self);
    if (self == NULL)
        abort();
    return self;
}

static void host_close(void *host) {
    struct sdl_host *self = host;
    SDL_Quit();
    free(self);
}

static int host_attach(void *host, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    (void)host;
    return kolk_sdl_attach(loop, options, ret_guest, ret_error);
}

/* ---- timers and watches ---- */

static void host_call_later(void *host, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    struct sdl_host *self = host;
    struct timer *timer = malloc(sizeof *timer);
    if (timer == NULL)
        abort();
    *timer = (struct timer){.deadline_ns = now() + delay_ns, .fn = fn, .userdata = userdata};
    struct timer **place = &self->timers;
    while (*place != NULL && (*place)->deadline_ns <= timer->deadline_ns)
        place = &(*place)->next;
    timer->next = *place;
    *place = timer;
}

/* Those that were due when it began. */
static void fire_timers(struct sdl_host *self) {
    int64_t begin_ns = now();
    while (self->timers != NULL && self->timers->deadline_ns <= begin_ns) {
        struct timer *timer = self->timers;
        self->timers = timer->next;
        timer->fn(timer->userdata);
        free(timer);
    }
}

/* The place of a descriptor's watch, or one that is free. */
static struct watch *place_of(struct sdl_host *self, int fd) {
    struct watch *unused = NULL;
    for (int i = 0; i < WATCHES; i++) {
        struct watch *place = &self->watches[i];
        if (place->fn != NULL && place->fd == fd)
            return place;
        if (place->fn == NULL)
            unused = place;
    }
    if (unused == NULL)
        abort();
    return unused;
}

static void host_watch(void *host, int fd, void (*fn)(void *userdata), void *userdata) {
    *place_of(host, fd) = (struct watch){.fd = fd, .fn = fn, .userdata = userdata};
}

static int has_watches(const struct sdl_host *self) {
    for (int i = 0; i < WATCHES; i++)
        if (self->watches[i].fn != NULL)
            return 1;
    return 0;
}

static void look_at_watches(struct sdl_host *self) {
    for (int i = 0; i < WATCHES; i++) {
        struct pollfd polled = {.fd = self->watches[i].fd, .events = POLLIN};
        if (self->watches[i].fn != NULL && poll(&polled, 1, 0) > 0)
            self->watches[i].fn(self->watches[i].userdata);
    }
}

/* ---- its loop ---- */

/* Milliseconds that SDL may sleep: until the next timer, rounded up; a moment when there are descriptors to look at. */
static int sleep_ms(const struct sdl_host *self) {
    int64_t most_ms = has_watches(self) ? 1 : INT_MAX;
    if (self->timers == NULL)
        return (int)most_ms;
    int64_t left_ms = (self->timers->deadline_ns - now() + MS - 1) / MS;
    if (left_ms < 0)
        left_ms = 0;
    return (int)(left_ms < most_ms ? left_ms : most_ms);
}

static void wait_and_handle(struct sdl_host *self) {
    SDL_Event event;
    int most_ms = sleep_ms(self);
    int got = most_ms == INT_MAX ? SDL_WaitEvent(&event) : SDL_WaitEventTimeout(&event, most_ms);
    if (got == 1)
        (void)kolk_sdl_handle_event(&event);
}

static void pass(struct sdl_host *self) {
    wait_and_handle(self);
    fire_timers(self);
    look_at_watches(self);
}

static void host_run(void *host) {
    struct sdl_host *self = host;
    for (self->stopped = 0; !self->stopped;)
        pass(self);
}

static void host_stop(void *host) {
    struct sdl_host *self = host;
    self->stopped = 1;
}

static void host_run_modal(void *host, int (*done)(void *context), void *context) {
    struct sdl_host *self = host;
    while (!done(context))
        pass(self);
}

int main(int argc, char **argv) {
    const struct host host = {
        .name = "sdl",
        .ways = 1u << KOLK_GUEST_FRAME | 1u << KOLK_GUEST_THREAD,
        .granularity = MS,
        .open = host_open,
        .close = host_close,
        .attach = host_attach,
        .run = host_run,
        .stop = host_stop,
        .call_later = host_call_later,
        .watch = host_watch,
        .run_modal = host_run_modal,
    };
    return run_conformance(&host, argc, argv);
}
