/* step/tasks: what step tasks cost. Modes and figures as in ../tasks.c; in mode=call step functions call each other. */
#include "../bench.h"

#include <kolk/step.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the main task, a fiber, is to measure, and how many operations it did. */
struct measurement {
    long (*run)(const struct measurement *self, long n);
    long n;
    long window;
    long tasks;
    long depth;
};

static kolk_task *spawn(kolk_step_fn fn, void *state, size_t size) {
    kolk_task *task = NULL;
    bench_check(kolk_create_step_task(kolk_loop_current(), fn, state, size, NULL, NULL, &task), "kolk_create_step_task");
    return task;
}

static long join_and_drop(kolk_task *task) {
    void *result = NULL;
    bench_check(kolk_await(kolk_task_as_future(task), &result), "kolk_await");
    kolk_task_unref(task);
    return (long)(intptr_t)result;
}

static int return_at_once(void *state, void **ret_value) {
    (void)state;
    *ret_value = (void *)(intptr_t)1;
    return KOLK_COROUTINE_RETURNED;
}

/* The one that spawns and joins is a step task too. */
struct spawner {
    kolk_step step;
    kolk_task **tasks;
    long window, left, at;
};

static int spawn_and_join(void *state, void **ret_value) {
    struct spawner *self = state;
    kolk_step nothing = {0};
    KOLK_STEP_BEGIN(&self->step);
    while (self->left > 0) {
        for (self->at = 0; self->at < self->window; self->at++)
            self->tasks[self->at] = spawn(return_at_once, &nothing, sizeof nothing);
        for (self->at = 0; self->at < self->window; self->at++) {
            KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(kolk_task_as_future(self->tasks[self->at])));
            bench_check(self->step.status, "KOLK_STEP_AWAIT");
            kolk_task_unref(self->tasks[self->at]);
        }
        self->left -= self->window;
    }
    KOLK_STEP_END(&self->step);
}

static long measure_spawn(const struct measurement *self, long n) {
    long rounds = (n + self->window - 1) / self->window;
    struct spawner state = {.tasks = bench_allocate((size_t)self->window, sizeof(kolk_task *)),
                            .window = self->window,
                            .left = rounds * self->window};
    join_and_drop(spawn(spawn_and_join, &state, sizeof state));
    free(state.tasks);
    return rounds * self->window;
}

struct yielder {
    kolk_step step;
    long left;
};

static int yield_often(void *state, void **ret_value) {
    struct yielder *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (; self->left > 0; self->left--)
        KOLK_STEP_AWAIT(&self->step, ret_value, NULL);
    KOLK_STEP_END(&self->step);
}

static long measure_yield(const struct measurement *self, long n) {
    struct yielder state = {.left = n / self->tasks + 1};
    long done = state.left * self->tasks;
    kolk_task **tasks = bench_allocate((size_t)self->tasks, sizeof(kolk_task *));
    for (long i = 0; i < self->tasks; i++)
        tasks[i] = spawn(yield_often, &state, sizeof state);
    for (long i = 0; i < self->tasks; i++)
        join_and_drop(tasks[i]);
    free(tasks);
    return done;
}

struct asker {
    kolk_step step;
    kolk_future *future;
    long left;
    intptr_t sum;
};

static int await_often(void *state, void **ret_value) {
    struct asker *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (; self->left > 0; self->left--) {
        KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->future));
        self->sum += (intptr_t)kolk_step_result(&self->step);
    }
    *ret_value = (void *)self->sum;
    KOLK_STEP_END(&self->step);
}

static long measure_ready(const struct measurement *self, long n) {
    (void)self;
    kolk_future *future = NULL;
    bench_check(kolk_future_new(kolk_loop_current(), &future), "kolk_future_new");
    bench_check(kolk_future_set_result(future, (void *)(intptr_t)1, NULL), "kolk_future_set_result");
    struct asker state = {.future = future, .left = n};
    long sum = join_and_drop(spawn(await_often, &state, sizeof state));
    kolk_future_unref(future);
    return sum;
}

/* One level of nested calls. */
struct level {
    kolk_step step;
    long depth;
};

static int call_deeper(void *state, void **ret_value) {
    struct level *self = state;
    KOLK_STEP_BEGIN(&self->step);
    if (self->depth == 0) {
        KOLK_STEP_AWAIT(&self->step, ret_value, NULL);
        *ret_value = (void *)(intptr_t)1;
        return KOLK_COROUTINE_RETURNED;
    }
    self[1].depth = self->depth - 1;
    KOLK_STEP_CALL(&self->step, ret_value, call_deeper, self + 1);
    *ret_value = (void *)((intptr_t)*ret_value + 1);
    KOLK_STEP_END(&self->step);
}

struct caller {
    kolk_step step;
    struct level *levels;
};

static int call_outermost(void *state, void **ret_value) {
    struct caller *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_CALL(&self->step, ret_value, call_deeper, self->levels);
    KOLK_STEP_END(&self->step);
}

static long measure_call(const struct measurement *self, long n) {
    struct level *levels = bench_allocate((size_t)self->depth + 1, sizeof *levels);
    long done = 0;
    for (; done < n; done += self->depth) {
        struct caller state = {.levels = levels};
        levels[0].depth = self->depth;
        if (join_and_drop(spawn(call_outermost, &state, sizeof state)) != self->depth + 1) {
            fprintf(stderr, "mode=call: a level is missing\n");
            exit(2);
        }
    }
    free(levels);
    return done;
}

struct link {
    kolk_step step;
    kolk_task *before;
};

static int add_to_the_one_before(void *state, void **ret_value) {
    struct link *self = state;
    KOLK_STEP_BEGIN(&self->step);
    if (self->before) {
        KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(kolk_task_as_future(self->before)));
        bench_check(self->step.status, "KOLK_STEP_AWAIT");
    }
    *ret_value = (void *)((intptr_t)kolk_step_result(&self->step) + 1);
    KOLK_STEP_END(&self->step);
}

static long measure_chain(const struct measurement *self, long n) {
    kolk_task **tasks = bench_allocate((size_t)self->depth, sizeof(kolk_task *));
    long done = 0;
    for (; done < n; done += self->depth) {
        for (long i = 0; i < self->depth; i++) {
            struct link state = {.before = i == 0 ? NULL : tasks[i - 1]};
            tasks[i] = spawn(add_to_the_one_before, &state, sizeof state);
        }
        if (join_and_drop(tasks[self->depth - 1]) != self->depth) {
            fprintf(stderr, "mode=chain: a link is missing\n");
            exit(2);
        }
        for (long i = 0; i < self->depth - 1; i++)
            kolk_task_unref(tasks[i]);
    }
    free(tasks);
    return done;
}

struct waiter {
    kolk_step step;
    kolk_future *gate;
};

static int wait_at_gate(void *state, void **ret_value) {
    struct waiter *self = state;
    KOLK_STEP_BEGIN(&self->step);
    KOLK_STEP_AWAIT(&self->step, ret_value, kolk_future_ref(self->gate));
    KOLK_STEP_END(&self->step);
}

static long measure_parked(const struct measurement *self, long n) {
    (void)self;
    struct waiter state = {.gate = NULL};
    kolk_task **tasks = bench_allocate((size_t)n, sizeof(kolk_task *));
    bench_check(kolk_future_new(kolk_loop_current(), &state.gate), "kolk_future_new");
    memset(tasks, 0, (size_t)n * sizeof(kolk_task *)); // the list of them is not theirs
    long before = bench_resident();
    for (long i = 0; i < n; i++) {
        tasks[i] = spawn(wait_at_gate, &state, sizeof state);
        bench_check(kolk_sleep(0), "kolk_sleep");
    }
    bench_report("rss_b", (double)(bench_resident() - before) / (double)n);
    bench_check(kolk_future_set_result(state.gate, NULL, NULL), "kolk_future_set_result");
    for (long i = 0; i < n; i++)
        join_and_drop(tasks[i]);
    kolk_future_unref(state.gate);
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
