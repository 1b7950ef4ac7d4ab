/* A program on libev in which kolk rides along.
 *
 * The program turns what comes from standard input into capitals. Meanwhile a task of kolk counts to three. Neither knows of
 * the other. Ends when the task has counted and the input is at its end. */
#include <kolk/kolk.h>
#include <kolk/libev.h>

#include <ctype.h>
#include <ev.h>
#include <stdio.h>
#include <unistd.h>

struct program {
    struct ev_loop *host;
    ev_io input;
    int busy; /* The input, and the task. */
};

static void one_is_done(struct program *program) {
    if (--program->busy == 0)
        ev_break(program->host, EVBREAK_ALL);
}

/* The program's own business. */
static void shout(struct ev_loop *host, ev_io *input, int what) {
    char text[4096];
    ssize_t length = read(input->fd, text, sizeof text);
    (void)what;
    for (ssize_t i = 0; i < length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    if (length > 0) {
        printf("host: %.*s", (int)length, text);
        return;
    }
    ev_io_stop(host, input);
    one_is_done(input->data);
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
static int run(struct program *program, kolk_error **ret_error) {
    // Each descriptor of kolk's becomes an ev_io, its next deadline an ev_timer. Without this, libev watches one for all.
    const kolk_loop_options of_loop = {.size = sizeof of_loop, .reactor_ops = kolk_host_reactor()};
    // 100 callbacks or steps of tasks at the most, before libev has its turn again.
    const kolk_guest_options of_guest = {.size = sizeof of_guest, .max_items = 100};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    int status = kolk_loop_new(&of_loop, &loop, ret_error);
    if (status == 0)
        status = kolk_libev_attach(loop, program->host, &of_guest, &guest, ret_error);
    if (status == 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status == 0)
        status = kolk_future_add_done_callback(kolk_task_as_future(task), counted, program, NULL);
    if (status == 0) {
        ev_run(program->host, 0);
        status = kolk_task_result(task, NULL);
    }

    kolk_task_unref(task);
    kolk_loop_close(loop); // Before the ev_loop is destroyed: this ends the stay.
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    return status;
}
/* [guest] */

int main(void) {
    struct program program = {.host = ev_loop_new(EVFLAG_AUTO), .busy = 2};
    if (program.host == NULL)
        return 1;
    ev_io_init(&program.input, shout, STDIN_FILENO, EV_READ);
    program.input.data = &program;
    ev_io_start(program.host, &program.input);
    kolk_error *error = NULL;
    int status = run(&program, &error);
    if (status < 0)
        fprintf(stderr, "in_libev: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    ev_loop_destroy(program.host);
    return status < 0;
}
