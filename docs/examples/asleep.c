/* A sleep of one's own, on a future that a thread finishes: asleep [--naive] [--unit MS].
 *
 * Each asleep() starts a thread that sleeps and then finishes the future. A future belongs to the loop's thread: finishing it
 * from another one is refused, and whoever waits for it waits for ever (--naive). The thread must have the loop do it, by a
 * task that it starts there with kolk_run_threadsafe(), which also wakes the loop up. Five at once take as long as one.
 *
 * That is the long way, to see what happens. For one call kolk_loop_call_soon_threadsafe() is enough; and with a
 * kolk_thread_future, which any thread finishes and kolk_wrap_thread_future() lets a task await, nothing has to be asked. */
#include "start.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static const char help[] = "usage: asleep [--naive] [--unit MS]\n"
                           "\n"
                           "Five tasks sleep for 5 units of time each, on futures that threads finish.\n"
                           "\n"
                           "  --naive        finish the futures on the wrong thread\n"
                           "  --unit MS      a unit has so many milliseconds (1000)\n";

enum { COUNT = 5 };

struct sleeper {
    kolk_loop *loop;
    kolk_future *future;
    int64_t delay_ns;
    bool naive;
    int status; /* What the thread was told. Read when it has ended. */
};

static int wake(void *userdata, void **ret_result) {
    (void)ret_result;
    return kolk_future_set_result(userdata, NULL, NULL);
}

static void drop(void *userdata) { kolk_future_unref(userdata); }

static void *sleep_in_thread(void *userdata) {
    struct sleeper *self = userdata;
    const struct timespec delay = {.tv_sec = self->delay_ns / 1000000000, .tv_nsec = self->delay_ns % 1000000000};
    nanosleep(&delay, NULL);
    if (self->naive)
        self->status = kolk_future_set_result(self->future, NULL, NULL);
    else /* The reference goes along: the sleeper may be gone before the task begins. */
        self->status = kolk_run_threadsafe(self->loop, wake, self->future, drop, NULL, NULL);
    return NULL;
}

/* Sleeps. Naively it never ends by itself: then it is cancelled. */
static int asleep(void *userdata, void **ret_result) {
    struct sleeper *self = userdata;
    kolk_future *future = NULL;
    pthread_t thread;
    (void)ret_result;

    int status = kolk_future_new(self->loop, &future);
    if (status < 0)
        return status;
    self->future = self->naive ? future : kolk_future_ref(future);
    if (pthread_create(&thread, NULL, sleep_in_thread, self) != 0) {
        kolk_future_unref(self->naive ? NULL : self->future);
        status = KOLK_ELIMIT;
    } else {
        status = kolk_await(future, NULL);
        pthread_join(thread, NULL); // it has nothing left to do
        if (self->status < 0)
            printf("the thread was told: %s, %s\n", kolk_status_name(self->status), kolk_status_message(self->status));
    }
    kolk_future_unref(future);
    return status;
}

struct options {
    bool naive;
    int64_t unit_ms;
};

/* One sleeper that nobody wakes; after twice its time we give up. */
static int wait_in_vain(const struct options *options) {
    struct sleeper sleeper = {.loop = kolk_loop_current(), .delay_ns = options->unit_ms * 5000000, .naive = true};
    kolk_task *task = NULL;
    int status = kolk_create_task(sleeper.loop, asleep, &sleeper, NULL, NULL, &task);
    if (status >= 0)
        status = kolk_wait_for(kolk_task_as_future(task), 2 * sleeper.delay_ns, NULL);
    kolk_task_unref(task);
    if (status != KOLK_ETIMEDOUT)
        return status;
    puts("nobody wakes it");
    return 0;
}

static int sleep_five_at_once(const struct options *options) {
    kolk_loop *loop = kolk_loop_current();
    struct sleeper sleepers[COUNT];
    kolk_task_group *group = NULL;
    int64_t began = kolk_loop_time(loop);
    int status = kolk_task_group_enter(0, &group);
    if (status < 0)
        return status;
    for (int i = 0; i < COUNT && status >= 0; i++) {
        sleepers[i] = (struct sleeper){.loop = loop, .delay_ns = options->unit_ms * 5000000};
        status = kolk_task_group_create_task(group, asleep, &sleepers[i], NULL, NULL, NULL);
    }
    status = kolk_task_group_leave(group, status); // when all have ended
    kolk_task_group_unref(group);
    if (status >= 0)
        printf("slept %d times: %.3f s\n", COUNT, (double)(kolk_loop_time(loop) - began) / 1e9);
    return status;
}

static int run_main(void *userdata, void **ret_result) {
    const struct options *options = userdata;
    (void)ret_result;
    return options->naive ? wait_in_vain(options) : sleep_five_at_once(options);
}

int main(int argc, char **argv) {
    struct options options = {.unit_ms = 1000};
    const struct argument arguments[] = {{.name = "--naive", .flag = &options.naive},
                                         {.name = "--unit", .number = &options.unit_ms, .least = 1, .most = 60000},
                                         {.name = NULL}};
    struct start start = {.name = "asleep", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_run(&start, run_main, &options);
}
