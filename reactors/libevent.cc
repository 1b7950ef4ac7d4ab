/* libevent: on an event_base of our own, or on one that the program already runs (config->host).
 *
 * libevent calls back; a reactor fills an array. So the callbacks only queue their descriptor, and `collect` takes it from the
 * queue. On a base of the program, running it also runs the program's own callbacks; a wait ends after them, because they may
 * have given kolk something to do. While the program itself runs its base, what becomes ready gathers in the queue, kolk is
 * notified, and `collect` hands it out without running the base a second time. A base does not tell whether it runs. So during
 * a stay of kolk's as a guest only a wait runs it; otherwise its time tells, if it keeps one, and then its refusal.
 *
 * After a stay all events are taken back and released, because not even that can be done when the base is gone. They are made
 * anew when the base is needed again.
 *
 * libevent sleeps on after a signal and has no way to say that there was one. */
#include <kolk/reactor.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr uint32_t readable = KOLK_EVENT_READ, writable = KOLK_EVENT_WRITE, hung_up = KOLK_EVENT_HANGUP;

struct slot {
    event *io; /* NULL: not watched, or the base has nothing of ours now */
    uint64_t token;
    uint32_t events; /* watched for */
    uint32_t ready;  /* for what, since it was last collected */
    bool queued;     /* may outlast the watch: then `ready` is 0, and the queue skips it */
    int next;        /* in the queue */
};

struct libevent_state {
    const kolk_allocator *allocator;
    event_base *base;
    bool ours;                      /* the base; otherwise the program's */
    bool timer_fired;               /* since it was last started */
    bool collecting;                /* we run the base; otherwise the program does */
    bool away;                      /* after a stay: the base has nothing of ours, and may be gone */
    bool host_runs;                 /* a stay, in which the program runs its base */
    pid_t process;                  /* where the base's kernel objects were made */
    event *timer;                   /* ends a wait; NULL while away */
    slot *slots;                    /* by descriptor */
    uint32_t capacity;              /* of slots */
    int first, last;                /* the queue of descriptors that are ready; first is -1 when there are none */
    void (*notify)(void *userdata); /* who wants to know that something was queued while the program ran the base, or NULL */
    void *notify_userdata;
};

void on_ready(evutil_socket_t fd, short what, void *userdata) {
    auto *self = static_cast<libevent_state *>(userdata);
    slot &ready = self->slots[fd];
    bool news = !ready.ready;
    ready.ready |=
        (what & (EV_READ | EV_CLOSED) ? readable : 0) | (what & EV_WRITE ? writable : 0) | (what & EV_CLOSED ? hung_up : 0);
    if (!ready.queued) {
        ready.queued = true;
        ready.next = -1;
        (self->first < 0 ? self->first : self->slots[self->last].next) = int(fd);
        self->last = int(fd);
    }
    if (news && !self->collecting && self->notify)
        self->notify(self->notify_userdata);
    /* Nobody collects it in a child that runs its base and has no use for kolk. */
    if (!news && self->process != getpid())
        event_del(ready.io);
}

void on_timer(evutil_socket_t, short, void *userdata) { static_cast<libevent_state *>(userdata)->timer_fired = true; }

/* Removing an event in a forked child would remove it from the parent's kernel object as well. */
int leave_parent(libevent_state *self) noexcept {
    if (self->process != getpid() && event_reinit(self->base) < 0)
        return -EIO;
    self->process = getpid();
    return 0;
}

void forget(slot *gone) noexcept {
    if (gone->io)
        event_free(gone->io);
    gone->io = nullptr;
    gone->ready = 0;
}

void release_events(libevent_state *self) noexcept {
    for (uint32_t fd = 0; fd < self->capacity; fd++)
        forget(&self->slots[fd]);
    if (self->timer)
        event_free(self->timer);
    self->timer = nullptr;
    if (self->ours)
        event_base_free(self->base);
}

void libevent_close(void *state) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    if (!self)
        return;
    if (!self->away)
        leave_parent(self);
    release_events(self);
    if (self->slots)
        self->allocator->release(self->allocator->userdata, self->slots, self->capacity * sizeof(slot));
    self->allocator->release(self->allocator->userdata, self, sizeof(libevent_state));
}

/* Precise, or timers end up to a clock tick early. O1 leaves out libevent's own poll and select: kolk has those anyway. */
event_base *new_base() noexcept {
    event_config *options = event_config_new();
    bool made =
        options && !event_config_require_features(options, EV_FEATURE_O1) &&
        !event_config_set_flag(options, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_PRECISE_TIMER);
    event_base *base = made ? event_base_new_with_config(options) : nullptr;
    if (options)
        event_config_free(options);
    return base;
}

/* A base on which another thread was waiting at the moment of the fork is held to be running by libevent, for ever; so a base
 * of our own is replaced. kolk watches everything again. */
int libevent_after_fork(void *state) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    if (self->away)
        return 0;
    if (!self->ours || self->process == getpid())
        return leave_parent(self);
    event_base *base = new_base();
    event *timer = base ? event_new(base, -1, 0, on_timer, self) : nullptr;
    int status = timer ? leave_parent(self) : -ENOMEM;
    if (status < 0) {
        if (timer)
            event_free(timer);
        if (base)
            event_base_free(base);
        return status;
    }
    release_events(self);
    self->base = base;
    self->timer = timer;
    self->collecting = false;
    return 0;
}

int libevent_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    const kolk_allocator *from = config->allocator;
    auto *self = static_cast<libevent_state *>(from->allocate(from->userdata, sizeof(libevent_state)));
    if (!self)
        return -ENOMEM;
    errno = 0;
    event_base *base = config->host ? static_cast<event_base *>(config->host) : new_base();
    event *timer = base ? event_new(base, -1, 0, on_timer, self) : nullptr;
    int number = timer ? 0 : errno ? errno : ENOMEM;
    *self = {};
    self->allocator = from;
    self->base = base;
    self->ours = !config->host;
    self->process = getpid();
    self->timer = timer;
    self->first = self->last = -1;
    if (config->size >= offsetof(kolk_reactor_config, notify_userdata) + sizeof(config->notify_userdata)) {
        self->notify = config->notify;
        self->notify_userdata = config->notify_userdata;
    }
    if (number && base && self->ours)
        event_base_free(base);
    if (number)
        from->release(from->userdata, self, sizeof(libevent_state));
    else
        *ret_state = self;
    return -number;
}

bool reserve(libevent_state *self, uint32_t count) noexcept {
    if (count <= self->capacity)
        return true;
    const kolk_allocator *from = self->allocator;
    size_t old = self->capacity * sizeof(slot), larger = count * 2 * sizeof(slot);
    auto *grown = static_cast<char *>(from->allocate(from->userdata, larger));
    if (!grown)
        return false;
    memset(grown, 0, larger);
    if (self->slots) {
        memcpy(grown, self->slots, old);
        from->release(from->userdata, self->slots, old);
    }
    self->slots = reinterpret_cast<slot *>(grown);
    self->capacity = count * 2;
    return true;
}

int add_event(libevent_state *self, int fd) noexcept {
    slot &watched = self->slots[fd];
    if (fcntl(fd, F_GETFD) < 0) /* libevent would write about it to stderr */
        return -errno;
    int reading = event_base_get_features(self->base) & EV_FEATURE_EARLY_CLOSE ? EV_READ | EV_CLOSED : EV_READ;
    int wanted =
        (watched.events & KOLK_EVENT_READ ? reading : 0) | (watched.events & KOLK_EVENT_WRITE ? EV_WRITE : 0) | EV_PERSIST;
    event *io = event_new(self->base, fd, short(wanted), on_ready, self);
    if (!io)
        return -ENOMEM;
    errno = 0;
    if (event_add(io, nullptr) < 0) {
        int number = errno ? errno : EIO;
        event_free(io);
        return -number;
    }
    watched.io = io;
    return 0;
}

int libevent_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    /* Removed also when it only changes: that makes libevent tell the kernel of a new file behind a known number. */
    if (fd >= 0 && uint32_t(fd) < self->capacity) {
        forget(&self->slots[fd]);
        self->slots[fd].events = 0;
    }
    if (!events)
        return 0;
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    if (!reserve(self, uint32_t(fd) + 1))
        return -ENOMEM;
    self->slots[fd].events = events;
    self->slots[fd].token = token;
    int status = self->away ? 0 : add_event(self, fd);
    if (status < 0)
        self->slots[fd].events = 0;
    return status;
}

void leave_base(libevent_state *self) noexcept {
    if (!self->away)
        leave_parent(self);
    release_events(self);
    self->away = true;
    self->host_runs = false;
}

/* What was closed meanwhile cannot become ready any more. */
int come_back(libevent_state *self) noexcept {
    int status = leave_parent(self);
    self->timer = status == 0 ? event_new(self->base, -1, 0, on_timer, self) : nullptr;
    if (status == 0 && !self->timer)
        status = -ENOMEM;
    self->away = false;
    for (uint32_t fd = 0; status == 0 && fd < self->capacity; fd++)
        if (self->slots[fd].events && (status = add_event(self, int(fd))) == -EBADF)
            status = 0;
    if (status < 0)
        leave_base(self);
    return status;
}

int libevent_stay(void *state, uint32_t who) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    if (self->ours)
        return 0;
    if (who == KOLK_STAY_OVER) {
        leave_base(self);
        return 0;
    }
    int status = self->away ? come_back(self) : 0;
    self->host_runs = status == 0 && who == KOLK_STAY_HOST_RUNS;
    return status;
}

/* Only a loop that is running keeps a cached time, and only then does that time stand still. */
bool is_running(event_base *base) noexcept {
    timeval cached, now, again;
    event_base_gettimeofday_cached(base, &cached);
    do
        gettimeofday(&now, nullptr);
    while (!evutil_timercmp(&now, &cached, !=));
    event_base_gettimeofday_cached(base, &again);
    return !evutil_timercmp(&again, &cached, !=);
}

bool anything_ready(libevent_state *self) noexcept {
    for (; self->first >= 0 && !self->slots[self->first].ready; self->first = self->slots[self->first].next)
        self->slots[self->first].queued = false;
    return self->first >= 0;
}

int64_t now() noexcept {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
}

int run(libevent_state *self, int flags) noexcept {
    self->collecting = true;
    int status = event_base_loop(self->base, EVLOOP_ONCE | flags);
    self->collecting = false;
    return status >= 0 ? 0 : self->ours ? -EIO : -EBUSY;
}

int libevent_wait(void *state, int64_t timeout_ns) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    if (anything_ready(self))
        return 1;
    if (self->away)
        if (int status = come_back(self); status < 0)
            return status;
    if (timeout_ns == 0 && self->host_runs)
        return 0;
    if (!self->ours && is_running(self->base))
        return timeout_ns ? -EBUSY : 0;
    if (timeout_ns == 0) { /* ONCE: NONBLOCK alone goes on for as long as anything is readable */
        int status = run(self, EVLOOP_NONBLOCK);
        return status < 0 && self->ours ? status : anything_ready(self);
    }
    int64_t start = now(), left = timeout_ns;
    do {
        int64_t us = left / 1000 + (left % 1000 != 0);
        timeval rounded_up = {time_t(us / 1000000), suseconds_t(us % 1000000)};
        self->timer_fired = false;
        if (timeout_ns > 0 && event_add(self->timer, &rounded_up) < 0)
            return -ENOMEM;
        int status = run(self, EVLOOP_NO_EXIT_ON_EMPTY);
        if (self->away) /* a callback of the program's ended the stay */
            break;
        event_del(self->timer);
        if (status < 0)
            return status;
        left = timeout_ns - (now() - start);
    } while (self->timer_fired && left > 0 && !anything_ready(self)); /* the program's base may have a coarse clock */
    return anything_ready(self);
}

int libevent_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<libevent_state *>(state);
    int status = libevent_wait(state, timeout_ns);
    uint32_t taken = 0;
    for (; taken < capacity && anything_ready(self); taken++) {
        slot &ready = self->slots[self->first];
        ret_ready[taken] = {ready.token, ready.ready, 0};
        ready.ready = 0; /* leaves the queue with the next look at it */
    }
    return taken ? int(taken) : status < 0 ? status : 0;
}

const kolk_reactor_ops libevent_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "libevent",
    .caps = KOLK_REACTOR_WAIT | KOLK_REACTOR_AFTER_FORK | KOLK_REACTOR_HOSTED | KOLK_REACTOR_STAY,
    .open = libevent_open,
    .close = libevent_close,
    .watch = libevent_watch,
    .collect = libevent_collect,
    .wait = libevent_wait,
    .get_fd = nullptr,
    .after_fork = libevent_after_fork,
    .submit = nullptr,
    .cancel = nullptr,
    .now = nullptr,
    .stay = libevent_stay,
};

} // namespace

/* libev has some functions of libevent's, under the same names. In a program that is linked with it, those are found first, and
 * we would have half of each library. */
extern "C" int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    if (atoi(event_get_version()) != int(event_get_version_number() >> 24))
        return -ELIBACC;
    *ret_ops = &libevent_reactor;
    return 0;
}
