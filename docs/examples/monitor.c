/* What happens to everyone else when a task blocks: monitor [--block] [--unit MS] [--sim].
 *
 * A monitor says every second that it is alive, while another task sleeps for ten. If that one sleeps with kolk_sleep() nothing
 * disturbs the monitor. With --block it calls the system's sleep: the loop stands still, the monitor is silent, and the
 * watchdog tells, while it lasts, which task is to blame and where it was made. */
#include "start.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static const char help[] = "usage: monitor [--block] [--unit MS] [--sim]\n"
                           "\n"
                           "A monitor ticks each unit of time, while another task sleeps for ten of them.\n"
                           "\n"
                           "  --block        sleep without the loop's knowledge\n"
                           "  --unit MS      a unit has so many milliseconds (1000)\n";

struct run {
    bool block;
    int64_t unit_ms;
    int ticks;
    int64_t last_tick_ns;
    int64_t longest_silence_ns;
};

static void note_silence(struct run *run) {
    int64_t now = kolk_loop_time(kolk_loop_current());
    if (run->longest_silence_ns < now - run->last_tick_ns)
        run->longest_silence_ns = now - run->last_tick_ns;
    run->last_tick_ns = now;
}

static int monitor(void *userdata, void **ret_result) {
    struct run *run = userdata;
    (void)ret_result;
    run->last_tick_ns = kolk_loop_time(kolk_loop_current());
    int status = kolk_sleep(run->unit_ms * 500000); // between the seconds, so that the end is no tie
    note_silence(run);
    while (status >= 0) {
        printf("monitor: %d\n", ++run->ticks);
        fflush(stdout);
        status = kolk_sleep(run->unit_ms * 1000000);
        note_silence(run);
    }
    return status;
}

static int work(void *userdata, void **ret_result) {
    const struct run *run = userdata;
    const int64_t delay_ns = run->unit_ms * 10000000;
    struct timespec delay = {.tv_sec = delay_ns / 1000000000, .tv_nsec = delay_ns % 1000000000};
    (void)ret_result;
    if (!run->block)
        return kolk_sleep(delay_ns);
    while (nanosleep(&delay, &delay) < 0 && errno == EINTR)
        continue; // the watchdog looks at this stack by means of a signal
    return 0;
}

/* Runs on the watchdog's thread, while the loop's stands still. */
static void report(const kolk_stall *stall, void *userdata) {
    (void)userdata;
    fprintf(stderr, "stall: task '%s', made at %s, keeps everyone waiting\n", stall->task, stall->location);
}

static int watch_and_work(void *userdata, void **ret_result) {
    struct run *run = userdata;
    kolk_loop *loop = kolk_loop_current();
    const kolk_task_options named_work = {.size = sizeof named_work, .name = "work", .location = KOLK_HERE};
    kolk_task *monitoring = NULL, *working = NULL;
    (void)ret_result;

    int status = kolk_loop_watch_stalls(loop, 2 * run->unit_ms * 1000000, report, NULL, NULL);
    if (status >= 0)
        status = kolk_create_task(loop, monitor, run, NULL, NULL, &monitoring);
    if (status >= 0)
        status = kolk_create_task(loop, work, run, NULL, &named_work, &working);
    if (status >= 0)
        status = kolk_await(kolk_task_as_future(working), NULL);
    if (monitoring) {
        kolk_task_cancel(monitoring);
        kolk_future *ended = kolk_task_as_future(monitoring);
        kolk_wait(&ended, 1, KOLK_ALL_COMPLETED, KOLK_NEVER);
    }
    if (status >= 0)
        printf("ticks: %d, longest silence: %.3f s\n", run->ticks, (double)run->longest_silence_ns / 1e9);
    kolk_task_unref(monitoring);
    kolk_task_unref(working);
    return status;
}

int main(int argc, char **argv) {
    struct run run = {.unit_ms = 1000};
    const struct argument arguments[] = {{.name = "--block", .flag = &run.block},
                                         {.name = "--unit", .number = &run.unit_ms, .least = 1, .most = 60000},
                                         {.name = NULL}};
    struct start start = {.name = "monitor", .help = help, .arguments = arguments, .takes_time = true};
    int status = start_parse(&start, argc, argv);
    if (status >= 0)
        return status;
    if (run.block && start.sim) {
        fputs("monitor: what blocks takes real time, also with --sim\n", stderr);
        return 2;
    }
    return start_run(&start, watch_and_work, &run);
}
