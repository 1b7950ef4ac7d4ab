/* embed: what one pass costs that finds nothing, as a game pays it each frame, with idle sockets being watched. */
#define _GNU_SOURCE
#include "bench.h"

#include <kolk/host.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void never_ready(void *userdata) {
    (void)userdata;
    abort();
}

static void watch(kolk_loop *loop, int fd) {
    bench_check(kolk_loop_add_reader(loop, fd, never_ready, NULL, NULL), "kolk_loop_add_reader");
}

static void tick(kolk_loop *loop) { bench_check(kolk_loop_dispatch(loop, NULL, NULL), "kolk_loop_dispatch"); }

int main(int argc, char **argv) {
    long sockets = bench_number(argc, argv, "socks", 0, 0);
    long n = bench_number(argc, argv, "n", 100000, 1);
    uint64_t most_ns = (uint64_t)bench_number(argc, argv, "max_ms", 1000, 1) * 1000000;
    long pairs = (sockets + 1) / 2;
    int(*pair)[2] = bench_allocate((size_t)pairs, sizeof *pair);
    kolk_loop *loop = NULL;

    bench_raise_descriptor_limit();
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");
    for (long i = 0; i < pairs; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair[i]) < 0)
            bench_fail("socketpair");
        watch(loop, pair[i][0]);
        watch(loop, pair[i][1]);
    }
    for (int i = 0; i < 10; i++)
        tick(loop);

    long done = 0;
    uint64_t start = bench_now();
    while (done < n) {
        tick(loop);
        // The clock is looked at rarely, so that it does not count.
        if (++done % 16 == 0 && bench_now() - start > most_ns)
            break;
    }
    bench_report("ns_per_tick", (double)(bench_now() - start) / (double)done);

    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
    for (long i = 0; i < pairs; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    free(pair);
    return 0;
}
