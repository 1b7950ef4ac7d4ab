/* timers: starting, moving, stopping and expiring many of them.
 *
 * mode=insert  start n timers in random order, then stop them all;
 * mode=expire  start n timers that are due within 200 ms, and wait for them; in processor time, for the wall has waits in it;
 * mode=churn   n timers run, each of `ops` moves puts off a random one, as a server does with its idle connections.
 *
 * The time is read once per turn and deadlines are computed from it, as a program with many timers does. */
#include "bench.h"

#include <kolk/host.h>
#include <kolk/timer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t GIVE_UP_NS = INT64_C(50000000000);

static kolk_loop *loop;
static kolk_timer **timers;
static int64_t now_ns;
static long fired;

static void on_timer(void *userdata) {
    (void)userdata;
    fired++;
}

static void start_timer(long i, uint64_t microseconds) { kolk_timer_start(timers[i], now_ns + (int64_t)microseconds * 1000); }

static void turn_without_waiting(void) {
    bench_check(kolk_loop_dispatch(loop, NULL, NULL), "kolk_loop_dispatch");
    now_ns = kolk_loop_time(loop);
}

static void turn(void) {
    bench_check(kolk_loop_run_once(loop), "kolk_loop_run_once");
    now_ns = kolk_loop_time(loop);
}

static int expire(long n, const uint32_t *microseconds) {
    uint64_t start = bench_now();
    uint64_t cpu = bench_cpu();
    for (long i = 0; i < n; i++)
        start_timer(i, microseconds[i]);
    bench_report("insert_ns", (double)(bench_cpu() - cpu) / (double)n);

    cpu = bench_cpu();
    while (fired < n) {
        turn();
        if (bench_now() - start > (uint64_t)GIVE_UP_NS)
            return 3;
    }
    bench_report("expire_ns", (double)(bench_cpu() - cpu) / (double)n);
    bench_report("wall_ms", (double)(bench_now() - start) / 1e6);
    return fired != n;
}

static void insert(long n, const uint32_t *microseconds) {
    uint64_t start = bench_now();
    for (long i = 0; i < n; i++)
        start_timer(i, microseconds[i]);
    bench_report("insert_ns", (double)(bench_now() - start) / (double)n);
}

static void cancel(long n) {
    uint64_t start = bench_now();
    for (long i = 0; i < n; i++)
        kolk_timer_stop(timers[i]);
    turn_without_waiting(); // whatever stopping has put off is paid here
    bench_report("cancel_ns", (double)(bench_now() - start) / (double)n);
}

static void churn(long n, long ops, uint64_t *seed) {
    uint64_t start = bench_now();
    for (long i = 0; i < ops; i++) {
        uint64_t random = bench_random(seed);
        start_timer((long)(random % (uint64_t)n), 10000000 + (random >> 32) % 60000000);
        if (i % 1000 == 999)
            turn_without_waiting();
    }
    bench_report("churn_ns", (double)(bench_now() - start) / (double)ops);
}

int main(int argc, char **argv) {
    const char *mode = bench_text(argc, argv, "mode", "insert");
    long n = bench_number(argc, argv, "n", 100000, 1);
    long ops = bench_number(argc, argv, "ops", 1000000, 1);
    int soon = strcmp(mode, "expire") == 0;
    if (!soon && strcmp(mode, "insert") != 0 && strcmp(mode, "churn") != 0) {
        fprintf(stderr, "mode=%s: insert, expire or churn is needed\n", mode);
        return 2;
    }

    uint64_t seed = UINT64_C(88172645463325252);
    uint32_t *microseconds = bench_allocate((size_t)n, sizeof *microseconds);
    for (long i = 0; i < n; i++)
        microseconds[i] = (uint32_t)(soon ? 1000 + bench_random(&seed) % 199000 : 10000000 + bench_random(&seed) % 3600000000u);
    timers = bench_allocate((size_t)n, sizeof(kolk_timer *));
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");
    for (long i = 0; i < n; i++)
        bench_check(kolk_timer_new(loop, on_timer, NULL, NULL, &timers[i]), "kolk_timer_new");
    turn_without_waiting();

    int status;
    if (soon) {
        status = expire(n, microseconds);
    } else {
        insert(n, microseconds);
        if (strcmp(mode, "insert") == 0)
            cancel(n);
        else
            churn(n, ops, &seed);
        status = fired != 0;
    }

    for (long i = 0; i < n; i++)
        kolk_timer_unref(timers[i]);
    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
    free(timers);
    free(microseconds);
    return status;
}
