/* idle: what a guest costs while nothing happens, in a loop around poll() that sleeps: way=handle|thread|reactor, n idle
 * connections, for max_ms milliseconds. */
#define _GNU_SOURCE
#include "bench.h"

#include "../hosts/poll_loop.h"

#include <kolk/kolk.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void never_ready(void *userdata) {
    (void)userdata;
    abort();
}

static uint32_t chosen_way(const char *name) {
    static const char *const names[] = {"handle", "thread", "reactor"};
    for (uint32_t i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return KOLK_GUEST_HANDLE + i;
    fprintf(stderr, "way=%s: handle, thread or reactor\n", name);
    exit(2);
}

static long sleeps(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static void stop(void *host) { poll_loop_stop(host); }

int main(int argc, char **argv) {
    long connections = bench_number(argc, argv, "n", 1000, 1);
    int64_t duration_ns = (int64_t)bench_number(argc, argv, "max_ms", 10000, 1) * 1000000;
    uint32_t way = chosen_way(bench_text(argc, argv, "way", "handle"));
    int(*pair)[2] = bench_allocate((size_t)connections, sizeof *pair);
    struct poll_loop *host = poll_loop_new();
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : NULL};
    kolk_guest_options guest_options = {.size = sizeof guest_options, .way = way};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;

    bench_raise_descriptor_limit();
    bench_check(kolk_loop_new(&options, &loop, NULL), "kolk_loop_new");
    bench_check(poll_loop_attach(host, loop, &guest_options, &guest, NULL), "attach");
    for (long i = 0; i < connections; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair[i]) < 0)
            bench_fail("socketpair");
        bench_check(kolk_loop_add_reader(loop, pair[i][0], never_ready, NULL, NULL), "kolk_loop_add_reader");
    }
    poll_loop_call_later(host, 20000000, stop, host);
    poll_loop_run(host);

    long sleeps_before = sleeps();
    uint64_t cpu_before = bench_cpu();
    poll_loop_call_later(host, duration_ns, stop, host);
    poll_loop_run(host);
    bench_report("cpu_us", (double)(bench_cpu() - cpu_before) / 1e3);
    bench_report("sleeps", (double)(sleeps() - sleeps_before));

    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    poll_loop_free(host);
    for (long i = 0; i < connections; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    free(pair);
    return 0;
}
