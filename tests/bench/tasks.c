/* tasks: what fibers cost.
 *
 * mode=spawn   `window` tasks are made, which return at once, then all are awaited; until n are done;
 * mode=yield   k tasks let each other run, n times in all;
 * mode=ready   one task awaits a future that is done, n times;
 * mode=call    plain functions call each other `depth` deep in a task, and the innermost one stops once; per call;
 * mode=chain   `depth` tasks, each of which awaits the one before; per task;
 * mode=parked  n tasks wait for one future: bytes that each one holds, and the time for all of it. */
#include "bench.h"

#include <kolk/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the main task is to measure, and how many operations it did. */
struct measurement {
    long (*run)(const struct measurement *self, long n);
    long n;
    long window;
    long tasks;
    long depth;
};

static kolk_task *spawn(kolk_coroutine_fn body, void *userdata, size_t stack_size) {
    kolk_task_options options = {.size = sizeof options, .stack_size = stack_size};
    kolk_task *task = NULL;
    bench_check(kolk_create_task(kolk_loop_current(), body, userdata, NULL, stack_size ? &options : NULL, &task),
                "kolk_create_task");
    return task;
}

static long join(kolk_task *task) {
    void *result = NULL;
    bench_check(kolk_await(kolk_task_as_future(task), &result), "kolk_await");
    return (long)(intptr_t)result;
}

static void join_and_drop(kolk_task **tasks, long count) {
    for (long i = 0; i < count; i++) {
        join(tasks[i]);
        kolk_task_unref(tasks[i]);
    }
}

static void let_others_run(void) { bench_check(kolk_sleep(0), "kolk_sleep"); }

static int return_at_once(void *userdata, void **ret_result) {
    (void)userdata;
    *ret_result = (void *)(intptr_t)1;
    return 0;
}

static long measure_spawn(const struct measurement *self, long n) {
    kolk_task **tasks = bench_allocate((size_t)self->window, sizeof(kolk_task *));
    long done = 0;
    for (; done < n; done += self->window) {
        for (long i = 0; i < self->window; i++)
            tasks[i] = spawn(return_at_once, NULL, 0);
        join_and_drop(tasks, self->window);
    }
    free(tasks);
    return done;
}

static int yield_often(void *userdata, void **ret_result) {
    (void)ret_result;
    for (long left = *(const long *)userdata; left > 0; left--)
        let_others_run();
    return 0;
}

static long measure_yield(const struct measurement *self, long n) {
    long each = n / self->tasks + 1;
    kolk_task **tasks = bench_allocate((size_t)self->tasks, sizeof(kolk_task *));
    for (long i = 0; i < self->tasks; i++)
        tasks[i] = spawn(yield_often, &each, 0);
    join_and_drop(tasks, self->tasks);
    free(tasks);
    return each * self->tasks;
}

static long measure_ready(const struct measurement *self, long n) {
    (void)self;
    kolk_future *future = NULL;
    bench_check(kolk_future_new(kolk_loop_current(), &future), "kolk_future_new");
    bench_check(kolk_future_set_result(future, (void *)(intptr_t)1, NULL), "kolk_future_set_result");
    intptr_t sum = 0;
    for (long i = 0; i < n; i++) {
        void *result = NULL;
        bench_check(kolk_await(future, &result), "kolk_await");
        sum += (intptr_t)result;
    }
    kolk_future_unref(future);
    return (long)sum;
}

static __attribute__((noinline)) long call_deeper(long depth) {
    if (depth == 0) {
        let_others_run();
        return 1;
    }
    long value = call_deeper(depth - 1) + 1;
    __asm__ volatile("" : "+r"(value)); // or the compiler makes a loop of it
    return value;
}

static int call_nested(void *userdata, void **ret_result) {
    *ret_result = (void *)(intptr_t)call_deeper(*(const long *)userdata);
    return 0;
}

static long measure_call(const struct measurement *self, long n) {
    long depth = self->depth;
    size_t stack_size = depth <= 1000 ? 0 : 16384 + (size_t)depth * 64;
    long done = 0;
    for (; done < n; done += depth) {
        kolk_task *task = spawn(call_nested, &depth, stack_size);
        join(task);
        kolk_task_unref(task);
    }
    return done;
}

static int add_to_the_one_before(void *userdata, void **ret_result) {
    kolk_task *before = userdata;
    *ret_result = (void *)(intptr_t)(before == NULL ? 1 : join(before) + 1);
    return 0;
}

static long measure_chain(const struct measurement *self, long n) {
    kolk_task **tasks = bench_allocate((size_t)self->depth, sizeof(kolk_task *));
    long done = 0;
    for (; done < n; done += self->depth) {
        for (long i = 0; i < self->depth; i++)
            tasks[i] = spawn(add_to_the_one_before, i == 0 ? NULL : tasks[i - 1], 0);
        if (join(tasks[self->depth - 1]) != self->depth) {
            fprintf(stderr, "mode=chain: a link is missing\n");
            exit(2);
        }
        for (long i = 0; i < self->depth; i++)
            kolk_task_unref(tasks[i]);
    }
    free(tasks);
    return done;
}

static int wait_at_gate(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_await(userdata, NULL);
}

static long measure_parked(const struct measurement *self, long n) {
    (void)self;
    kolk_future *gate = NULL;
    kolk_task **tasks = bench_allocate((size_t)n, sizeof(kolk_task *));
    bench_check(kolk_future_new(kolk_loop_current(), &gate), "kolk_future_new");
    memset(tasks, 0, (size_t)n * sizeof(kolk_task *)); // the list of them is not theirs
    long before = bench_resident();
    for (long i = 0; i < n; i++) {
        tasks[i] = spawn(wait_at_gate, gate, 0);
        let_others_run();
    }
    bench_report("rss_b", (double)(bench_resident() - before) / (double)n);
    bench_check(kolk_future_set_result(gate, NULL, NULL), "kolk_future_set_result");
    join_and_drop(tasks, n);
    kolk_future_unref(gate);
    free(tasks);
    return n;
}

static int measure(void *userdata, void **ret_result) {
    const struct measurement *self = userdata;
    (void)ret_result;
    // A short pass first, so that pools are filled and code is in the caches. Parked tasks are to be counted cold.
    if (self->run != measure_parked)
        self->run(self, self->n < 2000 ? self->n : 2000);
    uint64_t start = bench_now();
    long done = self->run(self, self->n);
    bench_report("ns_per_op", (double)(bench_now() - start) / (double)done);
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        long (*run)(const struct measurement *, long);
    } modes[] = {{"spawn", measure_spawn}, {"yield", measure_yield}, {"ready", measure_ready},
                 {"call", measure_call},   {"chain", measure_chain}, {"parked", measure_parked}};
    const char *mode = bench_text(argc, argv, "mode", "spawn");
    struct measurement measurement = {
        .n = bench_number(argc, argv, "n", 1000, 1),
        .window = bench_number(argc, argv, "window", 1, 1),
        .tasks = bench_number(argc, argv, "k", 2, 1),
        .depth = bench_number(argc, argv, "depth", 1000, 1),
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(mode, modes[i].name) == 0)
            measurement.run = modes[i].run;
    if (measurement.run == NULL) {
        fprintf(stderr, "mode=%s: spawn, yield, ready, call, chain or parked is needed\n", mode);
        return 2;
    }
    bench_raise_descriptor_limit();
    bench_check(kolk_run(measure, &measurement, NULL, NULL), "kolk_run");
    return 0;
}
