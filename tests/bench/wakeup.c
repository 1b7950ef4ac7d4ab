/* wakeup: reaching a loop from another thread.
 *
 * mode=pingpong  one ring, one answer, n times: the round trip. With cpus=split the ringing thread has a processor of its own
 *                and spins for the answer; with cpus=same both share one and it sleeps on an eventfd;
 * mode=coalesce  n rings as fast as they go, which the loop may answer with fewer calls;
 * mode=queue     n calls of their own, handed over as fast as they go. */
#define _GNU_SOURCE
#include "bench.h"

#include <kolk/waker.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum mode { PINGPONG, COALESCE, QUEUE };

static enum mode mode;
static long n;
static int same_cpu;
static kolk_loop *loop;
static kolk_waker *waker;
static long calls;           // the loop's thread counts
static int answer_fd;        // cpus=same: where the answer arrives
static atomic_long answers;  // cpus=split: how many there were
static atomic_int last_ring; // mode=coalesce: no ring follows the next one
static uint64_t flood_start; // written by the ringing thread, read when it has been joined

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void answer(void) {
    uint64_t one = 1;
    if (!same_cpu)
        atomic_fetch_add_explicit(&answers, 1, memory_order_release);
    else if (write(answer_fd, &one, sizeof one) != sizeof one)
        bench_fail("write to the eventfd");
}

static void on_ring(void *userdata) {
    (void)userdata;
    calls++;
    if (mode == PINGPONG) {
        answer();
        if (calls == n)
            kolk_loop_stop(loop);
    } else if (atomic_load_explicit(&last_ring, memory_order_acquire)) {
        kolk_loop_stop(loop);
    }
}

static void on_closure(void *userdata) {
    calls++;
    if ((long)(intptr_t)userdata == n - 1)
        kolk_loop_stop(loop);
}

static void ring(void) { bench_check(kolk_waker_wake(waker), "kolk_waker_wake"); }

static void await_answer(long i) {
    uint64_t count;
    if (same_cpu) {
        if (read(answer_fd, &count, sizeof count) != sizeof count)
            bench_fail("read from the eventfd");
    } else {
        while (atomic_load_explicit(&answers, memory_order_acquire) <= i)
            pause_briefly();
    }
}

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void ping(void) {
    uint32_t *round_trip = bench_allocate((size_t)n, sizeof *round_trip);
    for (long i = 0; i < n; i++) {
        uint64_t start = bench_now();
        ring();
        await_answer(i);
        round_trip[i] = (uint32_t)(bench_now() - start);
    }
    qsort(round_trip, (size_t)n, sizeof *round_trip, compare);
    bench_report("rtt_ns", round_trip[n / 2]);
    bench_report("p99_ns", round_trip[n * 99 / 100]);
    free(round_trip);
}

static void *ringing_thread(void *userdata) {
    (void)userdata;
    bench_pin(same_cpu ? 0 : 1);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); // by then the loop sleeps

    flood_start = bench_now();
    if (mode == PINGPONG) {
        ping();
    } else if (mode == COALESCE) {
        for (long i = 0; i < n; i++)
            ring();
        bench_report("ns_per_wake", (double)(bench_now() - flood_start) / (double)n);
        atomic_store_explicit(&last_ring, 1, memory_order_release);
        ring();
    } else {
        for (long i = 0; i < n; i++)
            bench_check(kolk_loop_call_soon_threadsafe(loop, on_closure, (void *)(intptr_t)i, NULL), "call_soon_threadsafe");
        bench_report("producer_ns", (double)(bench_now() - flood_start) / (double)n);
    }
    return NULL;
}

static enum mode parse_mode(const char *text) {
    static const char *const names[] = {"pingpong", "coalesce", "queue"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0)
            return (enum mode)i;
    fprintf(stderr, "mode=%s: pingpong, coalesce or queue is needed\n", text);
    exit(2);
}

int main(int argc, char **argv) {
    pthread_t thread;
    mode = parse_mode(bench_text(argc, argv, "mode", "pingpong"));
    n = bench_number(argc, argv, "n", 10000, 1);
    same_cpu = strcmp(bench_text(argc, argv, "cpus", "split"), "same") == 0;
    answer_fd = eventfd(0, EFD_CLOEXEC);
    if (answer_fd < 0)
        bench_fail("eventfd");
    bench_pin(0);
    bench_check(kolk_loop_new(NULL, &loop, NULL), "kolk_loop_new");
    bench_check(kolk_waker_new(loop, on_ring, NULL, NULL, &waker), "kolk_waker_new");
    if (pthread_create(&thread, NULL, ringing_thread, NULL) != 0)
        bench_fail("pthread_create");

    bench_check(kolk_loop_run_forever(loop), "kolk_loop_run_forever");
    uint64_t end = bench_now();
    if (pthread_join(thread, NULL) != 0)
        bench_fail("pthread_join");
    if (mode == QUEUE)
        bench_report("ns_per_post", (double)(end - flood_start) / (double)n);
    else
        bench_report("callbacks", (double)calls);

    kolk_waker_unref(waker);
    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
    close(answer_fd);
    return mode == QUEUE && calls < n;
}
