/* A guest in the one queue of events that SDL has.
 *
 * A wake-up is an event. It can outlive its guest: it may still be in the queue when the guest leaves, or in an array that the
 * program filled before. So it carries a number that is given once, and is looked up among the guests that are there. Their
 * list is global as the queue is; a lock protects it from programs that take events on several threads. It is not held while
 * SDL might call the program back. */
#include <kolk/sdl.h>

#include <pthread.h>
#include <SDL.h>
#include <stdatomic.h>
#include <stdlib.h>

struct adapter {
    uintptr_t id;
    SDL_threadID thread; /* The loop's, where events are taken. */
    _Atomic int pushed;  /* An event that was not handled yet. */
    kolk_guest *guest;   /* Borrowed: the loop keeps it during its stay. NULL until kolk_guest_new() has returned. */
    struct adapter *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct adapter *adapters; /* Those whose guests are there. */
static uintptr_t last_id;
static _Atomic Uint32 event_type; /* 0: none yet. SDL never takes a type back, not even in SDL_Quit(). */

/* Marks events as kolk's, beside the type: its address is nobody else's. */
static char signature;

static int is_ours(const SDL_Event *event) { return event->type == event_type && event->user.data2 == &signature; }

static int fail(int status, const char *message, kolk_error **ret_error) {
    if (ret_error != NULL)
        (void)kolk_error_new(status, message, NULL, ret_error); // Without memory it is the status alone.
    return status;
}

/* ---- what the guest asks of the host ---- */

static int is_of(const struct adapter *self, const SDL_Event *event) {
    return is_ours(event) && (uintptr_t)event->user.data1 == self->id;
}

struct search {
    const struct adapter *adapter;
    int found;
};

/* Looks at an event, and keeps it in SDL's queue. */
static int SDLCALL look_at(void *userdata, SDL_Event *event) {
    struct search *search = userdata;
    search->found |= is_of(search->adapter, event);
    return 1;
}

/* The program may take turns before it takes the event, as a game does in each frame; and it may have flushed its queue. */
static int is_in_queue(const struct adapter *self) {
    struct search search = {.adapter = self};
    SDL_FilterEvents(look_at, &search);
    return search.found;
}

static int post(void *userdata) {
    struct adapter *self = userdata;
    SDL_Event event = {.user = {.type = event_type, .data1 = (void *)self->id, .data2 = &signature}};
    if (self->pushed && is_in_queue(self))
        return 0;
    self->pushed = 1; // Before: who handles it may be faster.
    if (SDL_PushEvent(&event) == 1)
        return 0;
    self->pushed = 0;
    // The queue is full, SDL has been quit, or a filter of the program's said no. SDL keeps what went wrong in memory of this
    // thread, and knows nothing of the end of threads that it did not make.
    if (SDL_ThreadID() != self->thread)
        SDL_TLSCleanup();
    return KOLK_ELIMIT;
}

/* Keeps an event in SDL's queue, unless it is the one of the adapter that leaves. */
static int SDLCALL is_not_of(void *userdata, SDL_Event *event) { return !is_of(userdata, event); }

/* The guest has left: its thread has ended, and nobody posts any more. */
static void leave(void *userdata) {
    struct adapter *self = userdata;
    pthread_mutex_lock(&lock);
    struct adapter **place = &adapters;
    while (*place != self)
        place = &(*place)->next;
    *place = self->next;
    pthread_mutex_unlock(&lock);
    if (SDL_WasInit(SDL_INIT_EVENTS) != 0)
        SDL_FilterEvents(is_not_of, self);
    free(self);
}

/* ---- attach ---- */

static uint32_t way_of(const kolk_guest_options *options) {
    return options != NULL && options->size >= offsetof(kolk_guest_options, max_items) ? options->way : KOLK_GUEST_ANY;
}

static int check(uint32_t way, kolk_error **ret_error) {
    static const char no_watches[] = "SDL watches no descriptors: a guest lives in it as KOLK_GUEST_FRAME (1) or "
                                     "KOLK_GUEST_THREAD (3), not as KOLK_GUEST_HANDLE (2) or KOLK_GUEST_REACTOR (4)";
    static const char no_queue[] = "SDL has no queue of events: call SDL_Init() with SDL_INIT_EVENTS or SDL_INIT_VIDEO first";
    if (way == KOLK_GUEST_HANDLE || way == KOLK_GUEST_REACTOR)
        return fail(KOLK_ENOTSUP, no_watches, ret_error);
    if (way != KOLK_GUEST_FRAME && SDL_WasInit(SDL_INIT_EVENTS) == 0)
        return fail(KOLK_EINVAL, no_queue, ret_error);
    return 0;
}

/* Under the lock. Returns 0 when SDL has given away all types. */
static int have_event_type(void) {
    if (event_type == 0) {
        Uint32 type = SDL_RegisterEvents(1);
        event_type = type == (Uint32)-1 ? 0 : type;
    }
    return event_type != 0;
}

static int enter(struct adapter *self, kolk_error **ret_error) {
    int status = KOLK_OK;
    self->thread = SDL_ThreadID();
    pthread_mutex_lock(&lock);
    if (have_event_type()) {
        self->id = ++last_id;
        self->next = adapters;
        adapters = self;
    } else {
        status = KOLK_ELIMIT;
    }
    pthread_mutex_unlock(&lock);
    return status == 0 ? 0 : fail(status, "SDL has no type of event left: SDL_RegisterEvents() failed", ret_error);
}

int kolk_sdl_attach(kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) {
    const kolk_host_ops ops = {.size = sizeof ops, .post = post};
    if (loop == NULL || ret_guest == NULL)
        return fail(KOLK_EINVAL, "kolk_sdl_attach() needs a loop, and a place for the guest", ret_error);
    int status = check(way_of(options), ret_error);
    if (status < 0)
        return status;
    struct adapter *self = calloc(1, sizeof *self);
    if (self == NULL)
        return fail(KOLK_ENOMEM, NULL, ret_error);
    status = enter(self, ret_error);
    if (status < 0) {
        free(self);
        return status;
    }
    // When it fails it calls leave(). When it does not, nobody takes the event of an early post before this function returns.
    kolk_guest *guest = NULL;
    status = kolk_guest_new(loop, &ops, self, leave, options, &guest, ret_error);
    if (status < 0)
        return status;
    self->guest = guest;
    *ret_guest = guest;
    return 0;
}

/* ---- events ---- */

/* Finds whom an event is for, and notes that it was handled: 1, 0 when the guest has left, or that this is the wrong thread. */
static int find(uintptr_t id, kolk_guest **ret_guest) {
    int status = 0;
    pthread_mutex_lock(&lock);
    struct adapter *at = adapters;
    while (at != NULL && at->id != id)
        at = at->next;
    if (at != NULL)
        status = at->thread == SDL_ThreadID() ? 1 : KOLK_ETHREAD;
    if (status == 1) {
        *ret_guest = at->guest;
        at->pushed = 0;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

int kolk_sdl_handle_event(const SDL_Event *event) {
    kolk_guest *guest;
    if (event == NULL)
        return KOLK_EINVAL;
    if (event_type == 0 || !is_ours(event))
        return 0;
    int status = find((uintptr_t)event->user.data1, &guest);
    if (status <= 0)
        return status < 0 ? status : 1;
    status = kolk_guest_turn(guest); // From here on the adapter may be gone.
    return status < 0 ? status : 1;
}
