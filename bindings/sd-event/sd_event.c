/* kolk as the guest of an sd_event.
 *
 * An io source per descriptor, one time source, and one more io source on an eventfd, which is what another thread posts with:
 * nothing of sd-event may be touched from there.
 *
 * sources keep their event loop alive; a stay needs no reference of its own. When it ends inside one of its callbacks, sd-event
 * keeps the source until the callback has returned.
 *
 * In a forked child sd-event refuses everything but to let go. So there a stay asks for nothing any more, until it ends. */
#include <kolk/sd_event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct stay {
    kolk_guest *guest;         /* Borrowed; valid until leave(). */
    sd_event *event;           /* Borrowed from the sources. */
    sd_event_source *deadline; /* Off, or one-shot. */
    sd_event_source *post;     /* Watches post_fd. */
    int post_fd;
    int forked;                /* This is a child, and the event loop its parent's. */
    sd_event_source **watches; /* By descriptor. */
    size_t watch_count;        /* Length of `watches`. */
};

static int status_of(int error) {
    switch (error) {
    case ENOMEM:
        return KOLK_ENOMEM;
    case EMFILE:
    case ENFILE:
        return KOLK_EMFILE;
    case ENOSPC:
        return KOLK_ELIMIT;
    case EBADF:
        return KOLK_EBADF;
    case EEXIST:
        return KOLK_EEXIST;
    case EPERM: /* A regular file: it is always ready. */
        return KOLK_ENOTSUP;
    case ESTALE:
        return KOLK_ECLOSED;
    case ECHILD:
        return KOLK_EFORKED;
    default:
        return KOLK_EIO;
    }
}

/* ---- what sd-event calls ---- */

/* A negative return turns the source off. On a wrong thread nothing can be done, and it would be dispatched without end. */
static int handled(int status) { return status == KOLK_ETHREAD || status == KOLK_EFORKED ? -EPERM : 0; }

static uint32_t epoll_events_of(uint32_t events) {
    /* A half-closed peer is news for a reader only. */
    return (events & KOLK_EVENT_READ ? EPOLLIN | EPOLLRDHUP : 0) | (events & KOLK_EVENT_WRITE ? EPOLLOUT : 0);
}

static uint32_t events_of(uint32_t found, uint32_t watched) {
    uint32_t interest = (watched & EPOLLIN ? KOLK_EVENT_READ : 0) | (watched & EPOLLOUT ? KOLK_EVENT_WRITE : 0);
    if (found & (EPOLLERR | EPOLLHUP))
        return interest | KOLK_EVENT_HANGUP;
    return (found & (EPOLLIN | EPOLLRDHUP) ? KOLK_EVENT_READ : 0) | (found & EPOLLOUT ? KOLK_EVENT_WRITE : 0) |
           (found & EPOLLRDHUP ? KOLK_EVENT_HANGUP : 0);
}

static int on_ready(sd_event_source *source, int fd, uint32_t found, void *userdata) {
    struct stay *stay = userdata;
    uint32_t watched = 0;
    sd_event_source_get_io_events(source, &watched);
    return handled(kolk_guest_ready(stay->guest, fd, events_of(found, watched)));
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
    struct stay *stay = userdata;
    (void)source;
    (void)usec;
    return handled(kolk_guest_turn(stay->guest));
}

static int on_post(sd_event_source *source, int fd, uint32_t found, void *userdata) {
    struct stay *stay = userdata;
    (void)source;
    (void)fd;
    (void)found;
    return handled(kolk_guest_turn(stay->guest));
}

/* ---- what kolk calls ---- */

static int reserve(struct stay *stay, int fd) {
    size_t wanted = (size_t)fd + 1, count = stay->watch_count ? stay->watch_count : 16;
    if (wanted <= stay->watch_count)
        return 0;
    while (count < wanted)
        count *= 2;
    sd_event_source **grown = realloc(stay->watches, count * sizeof *grown);
    if (!grown)
        return KOLK_ENOMEM;
    memset(grown + stay->watch_count, 0, (count - stay->watch_count) * sizeof *grown);
    stay->watches = grown;
    stay->watch_count = count;
    return 0;
}

/* Changes what a source watches for. Fails, too, when there is nothing to change: then what kolk has in mind is another
 * descriptor of the same number, which the kernel does not know yet. */
static int change_watch(sd_event_source *source, uint32_t wanted) {
    uint32_t watched = 0;
    sd_event_source_get_io_events(source, &watched);
    return watched == wanted ? -EALREADY : sd_event_source_set_io_events(source, wanted);
}

static int watch(void *userdata, int fd, uint32_t events) {
    struct stay *stay = userdata;
    if (stay->forked)
        events = 0;
    uint32_t wanted = epoll_events_of(events);
    int status = events ? reserve(stay, fd) : 0;
    if (status < 0 || (size_t)fd >= stay->watch_count)
        return status;
    sd_event_source **source = &stay->watches[fd];
    if (*source && events && change_watch(*source, wanted) >= 0)
        return 0;
    *source = sd_event_source_disable_unref(*source);
    int error = events ? sd_event_add_io(stay->event, source, fd, wanted, on_ready, stay) : 0;
    return error < 0 ? status_of(-error) : 0;
}

static int set_deadline(void *userdata, int64_t deadline_ns) {
    struct stay *stay = userdata;
    int error = 0;
    if (stay->forked)
        return 0;
    if (deadline_ns == KOLK_NEVER)
        error = sd_event_source_set_enabled(stay->deadline, SD_EVENT_OFF);
    else {
        uint64_t usec = deadline_ns <= 0 ? 0 : (uint64_t)(deadline_ns - 1) / 1000 + 1;
        error = sd_event_source_set_time(stay->deadline, usec);
        if (error >= 0)
            error = sd_event_source_set_enabled(stay->deadline, SD_EVENT_ONESHOT);
    }
    return error < 0 ? status_of(-error) : 0;
}

/* Never read: it is watched for edges, and each write is one. Its counter lasts for 584 years of a write per nanosecond. */
static int post(void *userdata) {
    struct stay *stay = userdata;
    const uint64_t one = 1;
    if (stay->forked)
        return 0;
    return write(stay->post_fd, &one, sizeof one) < 0 ? KOLK_EIO : 0;
}

static int after_fork(void *userdata) {
    struct stay *stay = userdata;
    stay->forked = 1;
    return 0;
}

static void leave(void *userdata) {
    struct stay *stay = userdata;
    for (size_t fd = 0; fd < stay->watch_count; fd++)
        sd_event_source_disable_unref(stay->watches[fd]);
    sd_event_source_disable_unref(stay->deadline);
    sd_event_source_disable_unref(stay->post);
    if (stay->post_fd >= 0)
        close(stay->post_fd);
    free(stay->watches);
    free(stay);
}

/* ---- the beginning ---- */

static int add_sources(struct stay *stay) {
    stay->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stay->post_fd < 0)
        return -errno;
    int error = sd_event_add_io(stay->event, &stay->post, stay->post_fd, EPOLLIN | EPOLLET, on_post, stay);
    /* An accuracy of 0 would mean a quarter of a second. */
    if (error >= 0)
        error = sd_event_add_time(stay->event, &stay->deadline, CLOCK_MONOTONIC, UINT64_MAX, 1, on_deadline, stay);
    if (error >= 0)
        error = sd_event_source_set_enabled(stay->deadline, SD_EVENT_OFF);
    return error;
}

static int new_stay(sd_event *event, struct stay **ret_stay) {
    struct stay *stay = malloc(sizeof *stay);
    if (!stay)
        return -ENOMEM;
    *stay = (struct stay){.event = event, .post_fd = -1};
    int error = add_sources(stay);
    if (error < 0)
        leave(stay);
    else
        *ret_stay = stay;
    return error;
}

static int fail(int error, kolk_error **ret_error) {
    char message[128];
    snprintf(message, sizeof message, "nothing can be added to the sd_event: %s", strerror(-error));
    if (ret_error)
        kolk_error_new(status_of(-error), message, NULL, ret_error);
    return status_of(-error);
}

static int attach(kolk_loop *loop, sd_event *event, const kolk_guest_options *options, kolk_guest **ret_guest,
                  kolk_error **ret_error) {
    static const kolk_host_ops ops = {
        .size = sizeof ops, .watch = watch, .set_deadline = set_deadline, .post = post, .after_fork = after_fork};
    struct stay *stay;
    int error = new_stay(event, &stay);
    if (error < 0)
        return fail(error, ret_error);
    int status = kolk_guest_new(loop, &ops, stay, leave, options, ret_guest, ret_error);
    if (status >= 0)
        stay->guest = *ret_guest;
    return status;
}

int kolk_sd_event_attach(kolk_loop *loop, sd_event *event, const kolk_guest_options *options, kolk_guest **ret_guest,
                         kolk_error **ret_error) {
    sd_event *thread_default = NULL;
    if (!event) {
        int error = sd_event_default(&thread_default);
        if (error < 0)
            return fail(error, ret_error);
        event = thread_default;
    }
    int status = attach(loop, event, options, ret_guest, ret_error);
    sd_event_unref(thread_default);
    return status;
}
