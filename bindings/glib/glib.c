/* kolk as the guest of a GMainContext.
 *
 * Two sources per stay. The first has the descriptors as its poll tags, and the deadline as its ready time; the second has only
 * a ready time, which is what GLib lets every thread set: under the context's lock, and with a wake-up for who sleeps in poll.
 *
 * Neither has a prepare or check function. GLib may skip either (when another thread touches the context, or something more
 * urgent is ready), so nothing could be carried from one to the other; tags and ready times it looks at by itself, afresh each
 * time.
 *
 * Both may recurse. Otherwise GLib would take every descriptor out of its poll set and put it back around each dispatch, and a
 * dialog that a callback of kolk opens would stop kolk whatever kolk_loop_set_nesting() says. */
#include <kolk/glib.h>

#include <glib-unix.h>
#include <stdlib.h>

/* A descriptor that kolk watches. */
struct watch {
    int fd;          /* -1: this place is free. */
    uint32_t events; /* KOLK_EVENT_… of interest. */
    uint32_t ready;  /* What GLib found, until kolk is told. */
    gpointer tag;
};

/* One stay, and its first source. GLib keeps a source that is being dispatched, so this outlives the callback that ends it. */
struct stay {
    GSource source;
    GSource *post;
    GMainContext *context; /* Owned: another thread may be about to post. */
    kolk_guest *guest;     /* Borrowed; valid until the sources are destroyed. */
    struct watch *watches; /* A place is never moved to another index: dispatch() may be walking along. */
    guint watch_count;
    guint watch_capacity;
};

struct post_source {
    GSource source;
    struct stay *stay;
};

/* ---- what GLib calls ---- */

static GIOCondition condition_of(uint32_t events) {
    return (events & KOLK_EVENT_READ ? G_IO_IN : 0) | (events & KOLK_EVENT_WRITE ? G_IO_OUT : 0);
}

static uint32_t events_of(GIOCondition found, uint32_t watched) {
    if (found & G_IO_NVAL)
        return watched | KOLK_EVENT_INVALID;
    if (found & (G_IO_ERR | G_IO_HUP))
        return watched | KOLK_EVENT_HANGUP;
    return ((found & G_IO_IN ? KOLK_EVENT_READ : 0) | (found & G_IO_OUT ? KOLK_EVENT_WRITE : 0)) & watched;
}

/* In a forked child, where nothing can be done, a source would be dispatched without end. */
static gboolean keep_after(int status) { return status == KOLK_EFORKED ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE; }

/* A turn for a source that is due. When another thread iterates the context now and then, it is left for kolk's own. */
static int take_turn(struct stay *stay, GSource *source) {
    gint64 due = g_source_get_ready_time(source);
    /* Before the turn: what is asked for in it is for the next one. */
    g_source_set_ready_time(source, -1);
    int status = kolk_guest_turn(stay->guest);
    if (status == KOLK_ETHREAD)
        g_source_set_ready_time(source, due);
    return status;
}

static int tell_what_is_ready(struct stay *stay) {
    int status = 0;
    /* Noted first, because a turn that one descriptor leads to may change the others. */
    for (guint i = 0; i < stay->watch_count; i++) {
        struct watch *watch = &stay->watches[i];
        watch->ready = watch->fd < 0 ? 0 : events_of(g_source_query_unix_fd(&stay->source, watch->tag), watch->events);
    }
    for (guint i = 0; i < stay->watch_count && !g_source_is_destroyed(&stay->source); i++) {
        uint32_t ready = stay->watches[i].ready;
        stay->watches[i].ready = 0;
        if (ready)
            status = kolk_guest_ready(stay->guest, stay->watches[i].fd, ready);
    }
    return status;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
    struct stay *stay = (struct stay *)source;
    gint64 deadline = g_source_get_ready_time(source);
    int status = 0;
    (void)callback;
    (void)userdata;
    if (deadline >= 0 && deadline <= g_source_get_time(source))
        status = take_turn(stay, source);
    if (status != KOLK_EFORKED && !g_source_is_destroyed(source))
        status = tell_what_is_ready(stay);
    return keep_after(status);
}

static gboolean dispatch_post(GSource *source, GSourceFunc callback, gpointer userdata) {
    (void)callback;
    (void)userdata;
    return keep_after(take_turn(((struct post_source *)source)->stay, source));
}

static void finalize(GSource *source) { free(((struct stay *)source)->watches); }

static GSourceFuncs stay_funcs = {.dispatch = dispatch, .finalize = finalize};
static GSourceFuncs post_funcs = {.dispatch = dispatch_post};

/* ---- what kolk calls ---- */

static struct watch *find_watch(struct stay *stay, int fd) {
    for (guint i = 0; i < stay->watch_count; i++)
        if (stay->watches[i].fd == fd)
            return &stay->watches[i];
    return NULL;
}

/* A place for one more, or NULL. */
static struct watch *free_place(struct stay *stay) {
    struct watch *place = find_watch(stay, -1);
    if (place)
        return place;
    if (stay->watch_count == stay->watch_capacity) {
        guint capacity = stay->watch_capacity ? 2 * stay->watch_capacity : 4;
        struct watch *grown = realloc(stay->watches, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        stay->watches = grown;
        stay->watch_capacity = capacity;
    }
    return &stay->watches[stay->watch_count++];
}

static void end_watch(struct stay *stay, struct watch *watch) {
    if (!g_source_is_destroyed(&stay->source))
        g_source_remove_unix_fd(&stay->source, watch->tag);
    *watch = (struct watch){.fd = -1};
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct stay *stay = userdata;
    struct watch *watch = find_watch(stay, fd);
    if (!events) {
        if (watch)
            end_watch(stay, watch);
        return 0;
    }
    if (g_source_is_destroyed(&stay->source))
        return KOLK_ECLOSED;
    if (watch) {
        g_source_modify_unix_fd(&stay->source, watch->tag, condition_of(events));
        watch->events = events;
        watch->ready &= events | KOLK_EVENT_HANGUP;
        return 0;
    }
    watch = free_place(stay);
    if (!watch)
        return KOLK_ENOMEM;
    *watch = (struct watch){fd, events, 0, g_source_add_unix_fd(&stay->source, fd, condition_of(events))};
    return 0;
}

/* kolk's clock is CLOCK_MONOTONIC, and so is GLib's, in microseconds. */
static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct stay *stay = userdata;
    gint64 ready_time = -1;
    if (deadline_ns != KOLK_NEVER)
        ready_time = deadline_ns <= 0 ? 0 : (deadline_ns - 1) / 1000 + 1;
    g_source_set_ready_time(&stay->source, ready_time);
    return 0;
}

static int post(void *userdata) {
    struct stay *stay = userdata;
    g_source_set_ready_time(stay->post, 0);
    return 0;
}

static void leave(void *userdata) {
    struct stay *stay = userdata;
    GMainContext *context = stay->context;
    g_source_destroy(stay->post);
    g_source_unref(stay->post);
    g_source_destroy(&stay->source);
    g_source_unref(&stay->source);
    g_main_context_unref(context);
}

/* ---- the beginning ---- */

static GSource *new_source(GMainContext *context, GSourceFuncs *funcs, guint size, const char *name, int priority) {
    GSource *source = g_source_new(funcs, size);
    g_source_set_name(source, name);
    g_source_set_priority(source, priority);
    g_source_set_can_recurse(source, TRUE);
    g_source_attach(source, context);
    return source;
}

/* GLib ends the program when there is no memory for a source. */
static struct stay *new_stay(GMainContext *context, int priority) {
    struct stay *stay = (struct stay *)new_source(context, &stay_funcs, sizeof *stay, "kolk", priority);
    stay->context = g_main_context_ref(context);
    stay->post = new_source(context, &post_funcs, sizeof(struct post_source), "kolk post", priority);
    ((struct post_source *)stay->post)->stay = stay;
    return stay;
}

/* Whether the context is iterated by no other thread, at the moment at least. */
static gboolean is_ours(GMainContext *context) {
    if (!g_main_context_acquire(context))
        return FALSE;
    g_main_context_release(context);
    return TRUE;
}

int kolk_glib_attach_full(kolk_loop *loop, GMainContext *context, int priority, const kolk_guest_options *options,
                          kolk_guest **ret_guest, kolk_error **ret_error) {
    static const kolk_host_ops ops = {.size = sizeof ops, .watch = watch, .set_deadline = set_deadline, .post = post};
    if (!context)
        context = g_main_context_default();
    if (!is_ours(context)) {
        if (ret_error)
            kolk_error_new(KOLK_ETHREAD, "the GMainContext is being iterated by another thread", NULL, ret_error);
        return KOLK_ETHREAD;
    }
    struct stay *stay = new_stay(context, priority);
    int status = kolk_guest_new(loop, &ops, stay, leave, options, ret_guest, ret_error);
    if (status >= 0)
        stay->guest = *ret_guest;
    return status;
}

int kolk_glib_attach(kolk_loop *loop, GMainContext *context, const kolk_guest_options *options, kolk_guest **ret_guest,
                     kolk_error **ret_error) {
    return kolk_glib_attach_full(loop, context, G_PRIORITY_DEFAULT, options, ret_guest, ret_error);
}
