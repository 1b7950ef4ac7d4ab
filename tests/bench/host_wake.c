/* host_wake: what kolk adds to a wake-up when it lives in a host.
 *
 * A callback reads an eventfd and writes it again, n times, in the host's own loop: once the host itself watches the eventfd,
 * once kolk does, as a guest of that host, in way=handle, thread, reactor, or plugin (the reactor that rides on this host).
 * Both take turns, so that both see the same machine; the ratio is the median of those of all rounds.
 *
 * The hosts are those of the conformance suite, tests/hosts/host_….c, each linked with this file instead of the rules: one
 * program per adapter. `allocations` counts calls of malloc() and its kin by anyone in the process, per thousand wake-ups,
 * beyond those that the host needs for itself. It is the median of the rounds as well: a list of the host's that grows once,
 * like that of Qt's posted events, is nothing that wake-ups cost. */
#define _GNU_SOURCE
#include "bench.h"
#include "guests.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WARM_UP = 100, MOST_ROUNDS = 99 };

static atomic_ulong allocations;

/* The C library's own, under the names that it gives to those who replace the others. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

void *malloc(size_t bytes) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(memory, bytes);
}

struct ping {
    const struct host *host;
    void *self; /* The host's loop. */
    int fd;
    long left; /* Negative: still warming up. */
    long n;
    unsigned long allocations; /* When the measured part began; in the end, in it. */
    uint64_t ns;               /* Likewise. */
};

static void ring(int fd) {
    if (eventfd_write(fd, 1) < 0)
        bench_fail("eventfd_write");
}

static void on_ping(void *userdata) {
    struct ping *self = userdata;
    eventfd_t value;
    if (eventfd_read(self->fd, &value) < 0)
        return; // A way may ask twice.
    if (self->left == self->n) {
        self->allocations = atomic_load(&allocations);
        self->ns = bench_now();
    }
    if (self->left-- > 0) {
        ring(self->fd);
        return;
    }
    self->ns = bench_now() - self->ns;
    self->allocations = atomic_load(&allocations) - self->allocations;
    self->host->stop(self->self);
}

static void start(struct ping *self, long n) {
    self->n = n;
    self->left = n + WARM_UP;
    ring(self->fd);
}

static double native_ns(struct ping *self, long n) {
    self->host->watch(self->self, self->fd, on_ping, self);
    start(self, n);
    self->host->run(self->self);
    self->host->watch(self->self, self->fd, NULL, NULL);
    return (double)self->ns / (double)n;
}

static double guest_ns(struct ping *self, const char *way, const char *module, long n) {
    struct stay stay = open_stay(self->host, self->self, way, module);
    bench_check(kolk_loop_add_reader(stay.loop, self->fd, on_ping, self, NULL), "kolk_loop_add_reader");
    start(self, n);
    self->host->run(self->self);
    close_stay(&stay);
    return (double)self->ns / (double)n;
}

static int compare(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

static double median(double *values, long count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

int run_conformance(const struct host *host, int argc, char **argv) {
    const char *way = bench_text(argc, argv, "way", "handle");
    long n = bench_number(argc, argv, "n", 20000, 1);
    long rounds = bench_number(argc, argv, "rounds", 9, 1);
    if (!is_asked_for(host, way))
        return 0;
    if (rounds > MOST_ROUNDS)
        rounds = MOST_ROUNDS;

    double native[MOST_ROUNDS];
    double guest[MOST_ROUNDS];
    double ratio[MOST_ROUNDS];
    double made[MOST_ROUNDS]; /* Calls of malloc(). */
    struct ping ping = {.host = host, .self = host->open(), .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (ping.self == NULL || ping.fd < 0)
        bench_fail(host->name);
    for (long i = 0; i < rounds; i++) {
        native[i] = native_ns(&ping, n);
        made[i] = -(double)ping.allocations;
        guest[i] = guest_ns(&ping, way, bench_text(argc, argv, "module", NULL), n);
        ratio[i] = guest[i] / native[i];
        made[i] += (double)ping.allocations;
        made[i] = made[i] > 0 ? made[i] : 0;
    }
    bench_report("native_ns", median(native, rounds));
    bench_report("wake_ns", median(guest, rounds));
    bench_report("ratio", median(ratio, rounds));
    bench_report("allocations", median(made, rounds) * 1000 / (double)n);
    host->close(ping.self);
    close(ping.fd);
    return 0;
}
