/* A GLib program in which kolk rides along.
 *
 * The program turns what comes from standard input into capitals. Meanwhile a task of kolk counts to three. Neither knows of
 * the other. Ends when the task has counted and the input is at its end. */
#include <kolk/glib.h>
#include <kolk/kolk.h>

#include <glib-unix.h>
#include <stdio.h>
#include <unistd.h>

struct program {
    GMainLoop *main_loop;
    int busy; /* The input, and the task. */
};

static void one_is_done(struct program *program) {
    if (--program->busy == 0)
        g_main_loop_quit(program->main_loop);
}

/* The program's own business. */
static gboolean shout(gint fd, GIOCondition condition, gpointer data) {
    char text[4096];
    ssize_t length = read(fd, text, sizeof text);
    (void)condition;
    for (ssize_t i = 0; i < length; i++)
        text[i] = g_ascii_toupper(text[i]);
    if (length > 0) {
        printf("host: %.*s", (int)length, text);
        return G_SOURCE_CONTINUE;
    }
    one_is_done(data);
    return G_SOURCE_REMOVE;
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

/* [main] */
int main(void) {
    struct program program = {.main_loop = g_main_loop_new(NULL, FALSE), .busy = 2};
    // 100 callbacks or steps of tasks at the most, before GLib has its turn again.
    const kolk_guest_options options = {.size = sizeof options, .max_items = 100};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    kolk_error *error = NULL;

    int status = kolk_loop_new(NULL, &loop, &error);
    if (status == 0)
        status = kolk_glib_attach(loop, NULL, &options, &guest, &error);
    if (status == 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status == 0)
        status = kolk_future_add_done_callback(kolk_task_as_future(task), counted, &program, NULL);
    if (status == 0) {
        g_unix_fd_add(STDIN_FILENO, G_IO_IN, shout, &program);
        g_main_loop_run(program.main_loop);
        status = kolk_task_result(task, NULL);
    }
    if (status < 0)
        fprintf(stderr, "in_glib: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));

    kolk_error_unref(error);
    kolk_task_unref(task);
    kolk_loop_close(loop); // This ends the stay as well.
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    g_main_loop_unref(program.main_loop);
    return status < 0;
}
/* [main] */
