/* SDL as a host, without a window: the dummy video driver. A loop of SDL_WaitEvent(), or of frames while a guest lives in it by
 * the frame. Timers and watches are the test's own, as a game would have them: SDL has neither on its thread. */
#include "host.h"

#include <kolk/sdl.h>

#include <limits.h>
#include <poll.h>
#include <SDL.h>
#include <stdlib.h>
#include <time.h>

#define MS INT64_C(1000000)
#define FRAME_NS (4 * MS) /* 250 Hz. */

enum { GUESTS = 4, WATCHES = 8 };

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
    kolk_guest *by_frame[GUESTS]; /* A reference of ours on each guest that lives by the frame. */
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
    for (int i = 0; i < GUESTS; i++)
        kolk_guest_unref(self->by_frame[i]);
    SDL_Quit();
    free(self);
}

static int host_attach(void *host, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                       kolk_error **ret_error) {
    struct sdl_host *self = host;
    int status = kolk_sdl_attach(loop, options, ret_guest, ret_error);
    if (status < 0 || kolk_guest_way(*ret_guest) != KOLK_GUEST_FRAME)
        return status;
    int free_place = 0;
    while (self->by_frame[free_place] != NULL)
        if (++free_place == GUESTS)
            abort();
    self->by_frame[free_place] = kolk_guest_ref(*ret_guest);
    return status;
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

/* Whether a guest was there that lives by the frame. One that has left is let go. */
static int turn_guests(struct sdl_host *self) {
    int turned = 0;
    for (int i = 0; i < GUESTS; i++) {
        if (self->by_frame[i] == NULL)
            continue;
        if (kolk_guest_turn(self->by_frame[i]) == KOLK_ECLOSED)
            self->by_frame[i] = kolk_guest_unref(self->by_frame[i]);
        else
            turned = 1;
    }
    return turned;
}

static void sleep_until_next_frame(void) {
    int64_t left_ns = FRAME_NS - now() % FRAME_NS;
    nanosleep(&(struct timespec){.tv_nsec = left_ns}, NULL);
}

static void pass(struct sdl_host *self) {
    SDL_Event event;
    if (turn_guests(self)) {
        while (SDL_PollEvent(&event) == 1)
            (void)kolk_sdl_handle_event(&event);
        sleep_until_next_frame();
    } else {
        wait_and_handle(self);
    }
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
        .granularity = FRAME_NS,
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
