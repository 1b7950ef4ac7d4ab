/* sim: descriptors are real, time is not, and chance comes from a seed.
 *
 * A look at the descriptors never takes time. Where another reactor would sleep for a while, the clock jumps to the end of that
 * while; only a sleep without limit is a real one, because then nothing but another thread or process can end it. With a seed,
 * what is ready together comes in an order that is drawn, and some of it one look later: held back once, and then no more, and
 * never when nothing else would be reported and the loop would sleep instead.
 *
 * Entries are sorted by descriptor, so that without a seed the order is that of the numbers. */
#include <kolk/reactor.h>
#include <kolk/sim.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

namespace {

constexpr uint32_t readable = KOLK_EVENT_READ, writable = KOLK_EVENT_WRITE, hung_up = KOLK_EVENT_HANGUP,
                   invalid = KOLK_EVENT_INVALID;

struct entry {
    int fd;
    uint32_t events;
    uint64_t token;
    bool held_back; /* by the last look */
};

struct sim_state {
    const kolk_allocator *allocator;
    int64_t now;      /* read by other threads, through kolk_loop_time() */
    int64_t lateness; /* of a sleep, at most */
    uint64_t random;  /* the generator's state */
    bool seeded;      /* or else there is no chance */
    uint32_t count, capacity;
    uint32_t next;  /* where to go on when the last answer was cut short; 0 otherwise */
    entry *entries; /* by ascending descriptor; behind them, in the same block, what the kernel gets */

    [[nodiscard]] pollfd *polled() const noexcept { return reinterpret_cast<pollfd *>(entries + capacity); }
    [[nodiscard]] static size_t bytes_for(uint32_t many) noexcept { return many * (sizeof(entry) + sizeof(pollfd)); }
};

/* Steele, Lea and Flood's SplitMix64. */
uint64_t draw(sim_state *self) noexcept {
    uint64_t bits = self->random += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/* strtoull would also take nothing, spaces, signs, and the largest number for one beyond it. */
bool to_seed(const char *text, uint64_t &ret_seed) noexcept {
    char *end;
    errno = 0;
    ret_seed = strtoull(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && !*end && errno == 0;
}

int sim_open(const kolk_reactor_config *config, void **ret_state) noexcept {
    kolk_sim_options options = {};
    auto *host = static_cast<const kolk_sim_options *>(config->host);
    if (host && host->size < sizeof options)
        return -EINVAL;
    if (host)
        options = *host;
    /* Not from a program with more rights than its caller. */
    const char *text = host ? nullptr : secure_getenv("KOLK_SIM_SEED");
    if ((text && !to_seed(text, options.seed)) || options.start_ns < 0 || options.lateness_ns < 0)
        return -EINVAL;
    const kolk_allocator *from = config->allocator;
    auto *self = static_cast<sim_state *>(from->allocate(from->userdata, sizeof(sim_state)));
    if (!self)
        return -ENOMEM;
    *self = {from, options.start_ns, options.lateness_ns, options.seed, options.seed != 0, 0, 0, 0, nullptr};
    *ret_state = self;
    return 0;
}

void sim_close(void *state) noexcept {
    auto *self = static_cast<sim_state *>(state);
    if (!self)
        return;
    const kolk_allocator *to = self->allocator;
    if (self->entries)
        to->release(to->userdata, self->entries, sim_state::bytes_for(self->capacity));
    to->release(to->userdata, self, sizeof(sim_state));
}

bool grow(sim_state *self) noexcept {
    const kolk_allocator *from = self->allocator;
    uint32_t larger = self->capacity ? self->capacity * 2 : 16;
    auto *entries = static_cast<entry *>(from->allocate(from->userdata, sim_state::bytes_for(larger)));
    if (!entries)
        return false;
    if (self->entries) {
        memcpy(entries, self->entries, self->count * sizeof(entry));
        from->release(from->userdata, self->entries, sim_state::bytes_for(self->capacity));
    }
    self->entries = entries;
    self->capacity = larger;
    return true;
}

int sim_watch(void *state, int fd, uint32_t events, uint64_t token) noexcept {
    auto *self = static_cast<sim_state *>(state);
    uint32_t index = 0;
    while (index < self->count && self->entries[index].fd < fd)
        index++;
    bool known = index < self->count && self->entries[index].fd == fd;
    if (events && fcntl(fd, F_GETFD) < 0)
        return -errno;
    if (events && !known && self->count == self->capacity && !grow(self))
        return -ENOMEM;
    entry *place = self->entries + index;
    if (events && !known)
        memmove(place + 1, place, (self->count++ - index) * sizeof(entry));
    if (events)
        *place = {fd, events & (readable | writable), token, false};
    else if (known)
        memmove(place, place + 1, (--self->count - index) * sizeof(entry));
    return 0;
}

int look(sim_state *self, const timespec *timeout) noexcept {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        entry each = self->entries[i];
        if (!each.events)
            continue; /* reported as closed */
        int wanted = (each.events & readable ? POLLIN | POLLRDHUP : 0) | (each.events & writable ? POLLOUT : 0);
        self->polled()[kept] = {each.fd, short(wanted), 0};
        self->entries[kept++] = each;
    }
    self->count = kept;
    int count = ppoll(self->polled(), kept, timeout, nullptr);
    return count >= 0 ? count : errno == EINTR ? 0 : -errno;
}

/* Asks the kernel, after a sleep in virtual time if need be. */
int sim_wait(void *state, int64_t timeout_ns) noexcept {
    auto *self = static_cast<sim_state *>(state);
    const timespec at_once = {0, 0};
    if (timeout_ns < 0)
        return look(self, nullptr);
    int count = look(self, &at_once);
    if (count || !timeout_ns)
        return count;
    int64_t late = self->lateness && self->seeded ? int64_t(draw(self) % (uint64_t(self->lateness) + 1)) : 0, then;
    if (__builtin_add_overflow(self->now, timeout_ns, &then) || __builtin_add_overflow(then, late, &then))
        then = INT64_MAX;
    __atomic_store_n(&self->now, then, __ATOMIC_RELAXED);
    return look(self, &at_once);
}

uint32_t translate(uint32_t watched, short said) noexcept {
    if (said & (POLLNVAL | POLLERR | POLLHUP))
        return watched | (said & POLLNVAL ? invalid : hung_up);
    return (said & (POLLIN | POLLRDHUP) ? readable : 0) | (said & POLLOUT ? writable : 0) | (said & POLLRDHUP ? hung_up : 0);
}

/* What the kernel said is ready, as far as there is room, less what is held back. */
uint32_t take(sim_state *self, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    uint32_t taken = 0, index = self->next;
    for (uint32_t steps = self->count; steps && taken < capacity; steps--, index++) {
        index = index < self->count ? index : 0;
        entry &each = self->entries[index];
        short said = self->polled()[index].revents;
        each.held_back = said && self->seeded && !each.held_back && draw(self) % 4 == 0;
        if (!said || each.held_back)
            continue;
        ret_ready[taken++] = {each.token, translate(each.events, said), 0};
        if (said & POLLNVAL)
            each.events = 0;
    }
    self->next = taken == capacity ? index : 0;
    return taken;
}

int sim_collect(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
    auto *self = static_cast<sim_state *>(state);
    int ready = sim_wait(state, timeout_ns);
    if (ready <= 0)
        return ready;
    uint32_t taken = take(self, ret_ready, capacity);
    if (!taken && timeout_ns)
        taken = take(self, ret_ready, capacity); /* what was held back is not held back again */
    for (uint32_t left = self->seeded ? taken : 0; left > 1; left--) {
        uint32_t chosen = uint32_t(draw(self) % left);
        kolk_ready last = ret_ready[left - 1];
        ret_ready[left - 1] = ret_ready[chosen];
        ret_ready[chosen] = last;
    }
    return int(taken);
}

int64_t sim_now(void *state) noexcept { return __atomic_load_n(&static_cast<sim_state *>(state)->now, __ATOMIC_RELAXED); }

const kolk_reactor_ops sim_reactor = {
    .size = sizeof(kolk_reactor_ops),
    .abi = KOLK_REACTOR_ABI,
    .name = "sim",
    .caps = KOLK_REACTOR_WAIT | KOLK_REACTOR_CLOCK,
    .open = sim_open,
    .close = sim_close,
    .watch = sim_watch,
    .collect = sim_collect,
    .wait = sim_wait,
    .get_fd = nullptr,
    .after_fork = nullptr,
    .submit = nullptr,
    .cancel = nullptr,
    .now = sim_now,
    .stay = nullptr,
};

} // namespace

extern "C" int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &sim_reactor;
    return 0;
}
