/* Several sleeps at once take as long as the longest of them: sleeps [--block] [--unit MS] [--sim].
 *
 * Three tasks sleep for 1, 2 and 3 seconds. Gathered that takes 3 seconds, one after the other 6. With --block they call the
 * system's sleep instead of the loop's: nobody else runs meanwhile, and gathering them does not help. */
#include "start.h"

#include <stdio.h>
#include <time.h>

static const char help[] = "usage: sleeps [--block] [--unit MS] [--sim]\n"
                           "\n"
                           "Sleeps for 1, 2 and 3 units of time, together and one after the other.\n"
                           "\n"
                           "  --block        sleep without the loop's knowledge, too\n"
                           "  --unit MS      a unit has so many milliseconds (1000)\n";

enum { COUNT = 3 };

static int sleep_task(void *userdata, void **ret_result) {
    const int64_t *delay_ns = userdata;
    (void)ret_result;
    return kolk_sleep(*delay_ns);
}

/* What not to do in a task: the whole loop sleeps. */
static int block_task(void *userdata, void **ret_result) {
    const int64_t *delay_ns = userdata;
    const struct timespec delay = {.tv_sec = *delay_ns / 1000000000, .tv_nsec = *delay_ns % 1000000000};
    (void)ret_result;
    nanosleep(&delay, NULL);
    return 0;
}

/* Runs three tasks, each with a delay of its own, until all have ended. */
static int gather(kolk_coroutine_fn fn, int64_t *delays_ns) {
    kolk_loop *loop = kolk_loop_current();
    kolk_task *tasks[COUNT] = {NULL};
    kolk_future *futures[COUNT];
    kolk_future *all = NULL;
    int status = 0;
    for (int i = 0; i < COUNT && status >= 0; i++) {
        status = kolk_create_task(loop, fn, &delays_ns[i], NULL, NULL, &tasks[i]);
        futures[i] = kolk_task_as_future(tasks[i]);
    }
    if (status >= 0)
        status = kolk_gather(loop, futures, COUNT, 0, &all);
    if (status >= 0)
        status = kolk_await(all, NULL);
    kolk_future_unref(all);
    for (int i = 0; i < COUNT; i++)
        kolk_task_unref(tasks[i]);
    return status;
}

static int one_after_the_other(int64_t *delays_ns) {
    int status = 0;
    for (int i = 0; i < COUNT && status >= 0; i++)
        status = kolk_sleep(delays_ns[i]);
    return status;
}

struct options {
    bool block;
    int64_t unit_ms;
};

static int sleeps(void *userdata, void **ret_result) {
    const struct options *options = userdata;
    const int64_t unit_ns = options->unit_ms * 1000000;
    int64_t delays_ns[COUNT] = {1 * unit_ns, 2 * unit_ns, 3 * unit_ns};
    kolk_loop *loop = kolk_loop_current();
    (void)ret_result;

    int64_t began = kolk_loop_time(loop);
    int status = gather(sleep_task, delays_ns);
    if (status < 0)
        return status;
    printf("together: %.3f s\n", (double)(kolk_loop_time(loop) - began) / 1e9);

    began = kolk_loop_time(loop);
    status = one_after_the_other(delays_ns);
    if (status < 0)
        return status;
    printf("one after the other: %.3f s\n", (double)(kolk_loop_time(loop) - began) / 1e9);

    if (!options->block)
        return 0;
    began = kolk_loop_time(loop);
    status = gather(block_task, delays_ns);
    printf("together, but blocking: %.3f s\n", (double)(kolk_loop_time(loop) - began) / 1e9);
    return status;
}

int main(int argc, char **argv) {
    struct options options = {.unit_ms = 1000};
    const struct argument arguments[] = {{.name = "--block", .flag = &options.block},
                                         {.name = "--unit", .number = &options.unit_ms, .least = 1, .most = 60000},
                                         {.name = NULL}};
    struct start start = {.name = "sleeps", .help = help, .arguments = arguments, .takes_time = true};
    int status = start_parse(&start, argc, argv);
    if (status >= 0)
        return status;
    if (options.block && start.sim) {
        fputs("sleeps: what blocks takes real time, also with --sim\n", stderr);
        return 2;
    }
    return start_run(&start, sleeps, &options);
}
