/* startup: what it costs to make a loop and to end it, and how much memory one holds. */
#include "bench.h"

#include <kolk/loop.h>

enum { KEPT = 32 };

static kolk_loop *create(void) {
    kolk_loop *loop = NULL;
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");
    return loop;
}

static void destroy(kolk_loop *loop) {
    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
}

int main(int argc, char **argv) {
    long n = bench_number(argc, argv, "n", 1000, 1);
    uint64_t most_ns = (uint64_t)bench_number(argc, argv, "max_ms", 1000, 1) * 1000000;

    for (int i = 0; i < 3; i++)
        destroy(create());

    kolk_loop *kept[KEPT];
    long before = bench_resident();
    for (int i = 0; i < KEPT; i++)
        kept[i] = create();
    bench_report("rss_b", (double)(bench_resident() - before) / KEPT);
    for (int i = 0; i < KEPT; i++)
        destroy(kept[i]);

    long done = 0;
    uint64_t start = bench_now();
    while (done < n && bench_now() - start < most_ns) {
        destroy(create());
        done++;
    }
    bench_report("create_destroy_us", (double)(bench_now() - start) / 1e3 / (double)done);
    return 0;
}
