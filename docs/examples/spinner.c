/* Something turns while we wait, in a task or in a thread: spinner [--thread] [--sim].
 *
 * The slow function takes 3 seconds; meanwhile the spinner shows a new frame every tenth of a second. As a task it is cancelled
 * when the answer is there: its sleep returns KOLK_ECANCELED, and it cleans up. As a thread it must be told through a variable
 * that both share, with a lock around it. */
#include "start.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help[] = "usage: spinner [--thread] [--sim]\n"
                           "\n"
                           "Shows a spinner while a slow function works out the answer.\n"
                           "\n"
                           "  --thread       the spinner is a thread, not a task\n";

static const int64_t tenth_ns = 100000000;
static const int64_t slow_ns = 3000000000;

static void repeat(char c, int count) {
    while (count-- > 0)
        putchar(c);
}

/* Writes a frame and goes back to its beginning. Returns its length. */
static int draw(unsigned number) {
    int length = printf("%c thinking!", "|/-\\"[number % 4]);
    repeat('\b', length);
    fflush(stdout);
    return length;
}

static void erase(int length) {
    repeat(' ', length);
    repeat('\b', length);
}

/* As a task. */

static int spin(void *userdata, void **ret_result) {
    int length = 0, status = 0;
    (void)userdata;
    (void)ret_result;
    for (unsigned number = 0; status >= 0; number++) {
        length = draw(number);
        status = kolk_sleep(tenth_ns);
    }
    erase(length);
    return status == KOLK_ECANCELED ? 0 : status; // that was the way to end it
}

static int slow_function(intptr_t *ret_answer) {
    *ret_answer = 42;
    return kolk_sleep(slow_ns);
}

static void describe(kolk_task *task) {
    static const char *const states[] = {"starting", "ready", "running", "waiting", "ended"};
    kolk_task_info info = {.size = sizeof info};
    if (kolk_task_get_info(task, &info) == 0)
        printf("spinner object: task '%s', %s, made at %s\n", info.name, states[info.state], info.location);
}

static int supervise_task(void *userdata, void **ret_result) {
    const kolk_task_options options = {.size = sizeof options, .name = "spin", .location = KOLK_HERE};
    kolk_task *spinner = NULL;
    intptr_t answer = 0;
    (void)userdata;
    (void)ret_result;
    int status = kolk_create_task(kolk_loop_current(), spin, NULL, NULL, &options, &spinner);
    if (status < 0)
        return status;
    describe(spinner);
    status = slow_function(&answer);
    kolk_task_cancel(spinner);
    if (status >= 0)
        status = kolk_await(kolk_task_as_future(spinner), NULL);
    kolk_task_unref(spinner);
    if (status >= 0)
        printf("Answer: %d\n", (int)answer);
    return status;
}

/* As a thread. */

struct event {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool set;
};

static void event_set(struct event *self) {
    pthread_mutex_lock(&self->mutex);
    self->set = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* Returns whether it was set within the time. */
static bool event_wait(struct event *self, int64_t timeout_ns) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t nanoseconds = until.tv_nsec + timeout_ns;
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    int problem = 0;
    pthread_mutex_lock(&self->mutex);
    while (!self->set && problem == 0)
        problem = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    bool set = self->set;
    pthread_mutex_unlock(&self->mutex);
    return set;
}

static void *spin_thread(void *userdata) {
    struct event *done = userdata;
    unsigned number = 0;
    int length;
    do
        length = draw(number++);
    while (!event_wait(done, tenth_ns));
    erase(length);
    return NULL;
}

static int supervise_thread(void) {
    struct event done = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const struct timespec slow = {.tv_sec = slow_ns / 1000000000};
    pthread_t spinner;
    puts("spinner object: a thread");
    int problem = pthread_create(&spinner, NULL, spin_thread, &done);
    if (problem) {
        fprintf(stderr, "spinner: %s\n", strerror(problem));
        return 1;
    }
    nanosleep(&slow, NULL);
    event_set(&done);
    pthread_join(spinner, NULL);
    puts("Answer: 42");
    return 0;
}

int main(int argc, char **argv) {
    bool thread = false;
    const struct argument arguments[] = {{.name = "--thread", .flag = &thread}, {.name = NULL}};
    struct start start = {.name = "spinner", .help = help, .arguments = arguments, .takes_time = true};
    int status = start_parse(&start, argc, argv);
    if (status >= 0)
        return status;
    if (thread && start.sim) {
        fputs("spinner: threads take real time, also with --sim\n", stderr);
        return 2;
    }
    return thread ? supervise_thread() : start_run(&start, supervise_task, NULL);
}
