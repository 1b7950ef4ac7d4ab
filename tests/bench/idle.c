/* idle: what a guest costs while nothing happens.
 *
 * conns connections wait to be read, a timer is an hour away, and the host runs for ms milliseconds. `cpu_ns` is the processor
 * time of all threads in it, `switches` how often one of them went to sleep: a loop that polls shows here. */
#define _GNU_SOURCE
#include "bench.h"
#include "guests.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct idle {
    const struct host *host;
    void *self; /* The host's loop. */
};

static void never(void *userdata) {
    (void)userdata;
    abort();
}

static void stop(void *userdata) {
    struct idle *self = userdata;
    self->host->stop(self->self);
}

static long switches(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0)
        bench_fail("getrusage");
    return usage.ru_nvcsw;
}

static void run_during(struct idle *idle, int64_t ns) {
    idle->host->call_later(idle->self, ns, stop, idle);
    idle->host->run(idle->self);
}

int run_conformance(const struct host *host, int argc, char **argv) {
    const char *way = bench_text(argc, argv, "way", "handle");
    long conns = bench_number(argc, argv, "conns", 1000, 0);
    int64_t ns = (int64_t)bench_number(argc, argv, "ms", 10000, 1) * 1000000;
    bench_number(argc, argv, "n", 1, 1);
    if (!is_asked_for(host, way))
        return 0;

    struct idle idle = {.host = host, .self = host->open()};
    if (idle.self == NULL)
        bench_fail(host->name);
    bench_raise_descriptor_limit();
    struct stay stay = open_stay(host, idle.self, way, bench_text(argc, argv, "module", NULL));
    int(*pair)[2] = bench_allocate((size_t)conns + 1, sizeof *pair);
    for (long i = 0; i < conns; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair[i]) < 0)
            bench_fail("socketpair");
        bench_check(kolk_loop_add_reader(stay.loop, pair[i][0], never, NULL, NULL), "kolk_loop_add_reader");
    }
    bench_check(kolk_loop_call_later(stay.loop, INT64_C(3600000000000), never, NULL, NULL, NULL), "kolk_loop_call_later");
    run_during(&idle, 10000000); // What has to be set up is set up now.

    uint64_t cpu = bench_cpu();
    long slept = switches();
    run_during(&idle, ns);
    bench_report("cpu_ns", (double)(bench_cpu() - cpu));
    bench_report("switches", (double)(switches() - slept));

    close_stay(&stay);
    host->close(idle.self);
    for (long i = 0; i < conns; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    free(pair);
    return 0;
}
