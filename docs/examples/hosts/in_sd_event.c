/* A program on sd-event in which kolk rides along.
 *
 * The program turns what comes from standard input into capitals. Meanwhile a task of kolk counts to three. Neither knows of
 * the other. Ends when the task has counted and the input is at its end. */
#include <kolk/kolk.h>
#include <kolk/sd_event.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct program {
    sd_event *event;
    int busy; /* The input, and the task. */
};

static void one_is_done(struct program *program) {
    if (--program->busy == 0)
        sd_event_exit(program->event, 0);
}

/* The program's own business. */
static int shout(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    char text[4096];
    ssize_t length = read(fd, text, sizeof text);
    (void)events;
    for (ssize_t i = 0; i < length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    if (length > 0) {
        printf("host: %.*s", (int)length, text);
        return 0;
    }
    one_is_done(userdata);
    return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int count(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    for (int i = 1; i <= 3; i++) {
        int status = kolk_sleep(INT64_C(50000000));
        if (status < 0)
            return status;
        printf("kolk: %d\n", i);
    }
    return 0;
}

static void counted(kolk_future *task, void *userdata) {
    (void)task;
    one_is_done(userdata);
}

static int complain(const char *what, const char *why) {
    fprintf(stderr, "in_sd_event: %s: %s\n", what, why);
    return 1;
}

/* Runs the event loop until both are done. Returns the exit status. */
static int run(struct program *program) {
    sd_event_source *input = NULL;
    int error = sd_event_add_io(program->event, &input, STDIN_FILENO, EPOLLIN, shout, program);
    if (error >= 0)
        error = sd_event_loop(program->event);
    sd_event_source_unref(input);
    return error < 0 ? complain("sd-event", strerror(-error)) : 0;
}

/* [attach] */
static int count_and_shout(struct program *program, kolk_loop *loop) {
    // 100 callbacks or steps of tasks at the most, before sd-event has its turn again.
    const kolk_guest_options options = {.size = sizeof options, .max_items = 100};
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    kolk_error *error = NULL;
    int status = kolk_sd_event_attach(loop, program->event, &options, &guest, &error);
    if (status == 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status == 0)
        status = kolk_future_add_done_callback(kolk_task_as_future(task), counted, program, NULL);

    int exit_status =
        status == 0 ? run(program) : complain("kolk", error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_guest_unref(guest);
    kolk_task_unref(task);
    kolk_error_unref(error);
    return exit_status;
}
/* [attach] */

int main(void) {
    struct program program = {.busy = 2};
    kolk_loop *loop = NULL;
    int error = sd_event_new(&program.event);
    if (error < 0)
        return complain("sd-event", strerror(-error));
    int status = kolk_loop_new(NULL, &loop, NULL);
    int exit_status = status == 0 ? count_and_shout(&program, loop) : complain("kolk", kolk_status_message(status));
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    sd_event_unref(program.event);
    return exit_status;
}
