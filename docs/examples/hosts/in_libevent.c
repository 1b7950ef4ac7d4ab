/* A program on libevent in which kolk rides along: in_libevent [REACTOR].
 *
 * The program turns what comes from standard input into capitals. Meanwhile a task of kolk counts to three. Neither knows of
 * the other. Ends when the task has counted and the input is at its end. With "libevent" as the reactor, kolk's descriptors are
 * events of the program's base, too. */
#include <kolk/kolk.h>
#include <kolk/libevent.h>

#include <ctype.h>
#include <event2/event.h>
#include <stdio.h>
#include <unistd.h>

struct program {
    struct event_base *base;
    struct event *input;
    int busy; /* The input, and the task. */
};

static void one_is_done(struct program *program) {
    if (--program->busy == 0)
        event_base_loopexit(program->base, NULL);
}

/* The program's own business. */
static void shout(evutil_socket_t fd, short what, void *userdata) {
    struct program *program = userdata;
    char text[4096];
    ssize_t length = read(fd, text, sizeof text);
    (void)what;
    for (ssize_t i = 0; i < length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    if (length > 0) {
        printf("host: %.*s", (int)length, text);
        return;
    }
    event_del(program->input);
    one_is_done(program);
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

/* [guest] */
static int run(struct program *program, const char *reactor, kolk_error **ret_error) {
    const kolk_loop_options of_loop = {.size = sizeof of_loop, .reactor = reactor, .host = program->base};
    // 100 callbacks or steps of tasks at the most, before the base has its turn again.
    const kolk_guest_options of_guest = {.size = sizeof of_guest, .max_items = 100};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    int status = kolk_loop_new(&of_loop, &loop, ret_error);
    if (status == 0)
        status = kolk_libevent_attach(loop, program->base, &of_guest, &guest, ret_error);
    if (status == 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status == 0)
        status = kolk_future_add_done_callback(kolk_task_as_future(task), counted, program, NULL);
    if (status == 0 && event_base_dispatch(program->base) < 0)
        status = KOLK_EIO;
    if (status == 0)
        status = kolk_task_result(task, NULL);

    kolk_task_unref(task);
    kolk_loop_close(loop); // Before the base is freed: this ends the stay.
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    return status;
}
/* [guest] */

int main(int argc, char **argv) {
    struct program program = {.base = event_base_new(), .busy = 2};
    if (program.base != NULL)
        program.input = event_new(program.base, STDIN_FILENO, EV_READ | EV_PERSIST, shout, &program);
    if (program.input == NULL || event_add(program.input, NULL) < 0)
        return 1;
    kolk_error *error = NULL;
    int status = run(&program, argc > 1 ? argv[1] : NULL, &error);
    if (status < 0)
        fprintf(stderr, "in_libevent: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    event_free(program.input);
    event_base_free(program.base);
    return status < 0;
}
