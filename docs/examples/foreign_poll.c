/* A program with a loop of its own, in which kolk rides along as one descriptor among others.
 *
 * The program's loop is poll(); it turns what comes from standard input into capitals. Meanwhile a task of kolk counts to
 * three. Neither knows of the other. Ends when the task has counted and the input is at its end. */
#include <kolk/kolk.h>

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

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

/* The program's own business. Returns 0 at the end of the input. */
static int shout(void) {
    char text[4096];
    ssize_t length = read(STDIN_FILENO, text, sizeof text);
    for (ssize_t i = 0; i < length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    if (length > 0)
        printf("host: %.*s", (int)length, text);
    return length > 0;
}

/* [loop] */
static int run_both(kolk_loop *loop, kolk_task *task) {
    // 100 items at the most, so that the program's other descriptors get their turn; poll() reports what is left over.
    const kolk_budget budget = {.size = sizeof budget, .max_items = 100};
    struct pollfd watched[2] = {{.fd = kolk_loop_get_fd(loop), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    if (watched[0].fd < 0)
        return watched[0].fd;

    while (!kolk_task_done(task) || watched[1].fd >= 0) {
        if (poll(watched, 2, -1) < 0) {
            if (errno != EINTR)
                return KOLK_EIO;
            continue;
        }
        if (watched[1].revents != 0 && !shout())
            watched[1].fd = -1;
        if (watched[0].revents != 0) {
            int status = kolk_loop_dispatch(loop, &budget, NULL);
            if (status < 0)
                return status;
        }
    }
    return kolk_task_result(task, NULL);
}
/* [loop] */

int main(void) {
    kolk_loop *loop = NULL;
    kolk_task *task = NULL;
    kolk_error *error = NULL;
    int status = kolk_loop_new(NULL, &loop, &error);
    if (status < 0) {
        fprintf(stderr, "%s\n", kolk_error_message(error));
        kolk_error_unref(error);
        return 1;
    }
    status = kolk_create_task(loop, count, NULL, NULL, NULL, &task);
    if (status >= 0)
        status = run_both(loop, task);
    if (status < 0)
        fprintf(stderr, "with the reactor %s: %s\n", kolk_loop_reactor(loop), kolk_status_message(status));
    kolk_task_unref(task);
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return status < 0;
}
