/* A program on libuv in which kolk rides along.
 *
 * The program turns what comes from standard input into capitals. Meanwhile a task of kolk counts to three. Neither knows of
 * the other. Ends when the task has counted and the input is at its end. */
#include <kolk/kolk.h>
#include <kolk/uv.h>

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

struct input {
    uv_loop_t *host;
    uv_fs_t request;
    uv_buf_t buffer;
    char text[4096];
};

/* The program's own business: libuv reads in a thread of its own, because the input may be a file. */
static void shout(uv_fs_t *request);

static void read_more(struct input *input) {
    input->buffer = uv_buf_init(input->text, sizeof input->text);
    uv_fs_read(input->host, &input->request, STDIN_FILENO, &input->buffer, 1, -1, shout);
}

static void shout(uv_fs_t *request) {
    struct input *input = request->data;
    int length = (int)request->result;
    uv_fs_req_cleanup(request);
    for (int i = 0; i < length; i++)
        input->text[i] = (char)toupper((unsigned char)input->text[i]);
    if (length > 0) {
        printf("host: %.*s", length, input->text);
        read_more(input);
    }
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

/* [guest] */
static void counted(kolk_future *task, void *guest) {
    (void)task;
    kolk_guest_detach(guest); // As a server does that closes: uv_run() returns when nothing else is left, either.
}

static int run(uv_loop_t *host, kolk_error **ret_error) {
    // 100 callbacks or steps of tasks at the most, before libuv has its turn again.
    const kolk_guest_options options = {.size = sizeof options, .max_items = 100};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    int status = kolk_loop_new(NULL, &loop, ret_error);
    if (status == 0)
        status = kolk_uv_attach(loop, host, &options, &guest, ret_error);
    if (status == 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status == 0)
        status = kolk_future_add_done_callback(kolk_task_as_future(task), counted, guest, NULL);
    if (status == 0) {
        uv_run(host, UV_RUN_DEFAULT);
        status = kolk_task_result(task, NULL);
    }

    kolk_task_unref(task);
    kolk_loop_close(loop); // Ends the stay, if it has not ended.
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    return status;
}
/* [guest] */

int main(void) {
    uv_loop_t host;
    struct input input = {.host = &host, .request.data = &input};
    kolk_error *error = NULL;
    if (uv_loop_init(&host) < 0)
        return 1;
    read_more(&input);
    int status = run(&host, &error);
    if (status < 0)
        fprintf(stderr, "in_uv: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    uv_run(&host, UV_RUN_DEFAULT); // libuv closes handles in a turn of its own.
    return uv_loop_close(&host) < 0 || status < 0;
}
