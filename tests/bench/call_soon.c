/* call_soon: what it costs to go through the ready queue once.
 *
 * `width` calls are in the queue all the time. Each one asks for its successor, until n have been made; the rest then drain. */
#include "bench.h"

#include <kolk/loop.h>

static kolk_loop *loop;
static long left;
static long alive;

static void link_in_chain(void *userdata) {
    if (--left >= 0)
        bench_check(kolk_loop_call_soon(loop, link_in_chain, userdata, NULL, NULL), "kolk_loop_call_soon");
    else if (--alive == 0)
        kolk_loop_stop(loop);
}

int main(int argc, char **argv) {
    long n = bench_number(argc, argv, "n", 100000, 1);
    long width = bench_number(argc, argv, "width", 1, 1);
    left = n;
    alive = width;
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");

    uint64_t start = bench_now();
    for (long i = 0; i < width; i++)
        bench_check(kolk_loop_call_soon(loop, link_in_chain, NULL, NULL, NULL), "kolk_loop_call_soon");
    bench_check(kolk_loop_run_forever(loop), "kolk_loop_run_forever");
    bench_report("ns_per_cb", (double)(bench_now() - start) / (double)(n + width));

    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
    return alive != 0;
}
