/* A program on libevent, in which kolk is a guest: libevent [REACTOR].
 *
 * A timer of the program ticks, while a task of kolk counts to three and then asks the program to end. Both run in the
 * program's event_base. With "libevent" as the reactor, kolk's descriptors are events of that base as well. */
#include <kolk/kolk.h>
#include <kolk/libevent.h>

#include <event2/event.h>
#include <stdio.h>

static int ticks;

static void on_tick(evutil_socket_t fd, short what, void *userdata) {
    (void)fd;
    (void)what;
    (void)userdata;
    ticks++;
}

static int count(void *userdata, void **ret_result) {
    struct event_base *base = userdata;
    (void)ret_result;
    int status = 0;
    for (int i = 1; i <= 3 && status >= 0; i++) {
        status = kolk_sleep(INT64_C(50000000));
        if (status >= 0)
            printf("kolk: %d\n", i);
    }
    event_base_loopexit(base, NULL);
    return status;
}

/* [guest] */
static int run(struct event_base *base, const char *reactor, kolk_error **ret_error) {
    const kolk_loop_options options = {.size = sizeof options, .reactor = reactor, .host = base};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    int status = kolk_loop_new(&options, &loop, ret_error);
    if (status >= 0)
        status = kolk_libevent_attach(loop, base, NULL, &guest, ret_error);
    if (status >= 0)
        status = kolk_create_task(loop, count, base, NULL, NULL, &task);
    if (status >= 0 && event_base_dispatch(base) < 0)
        status = KOLK_EIO;

    kolk_task_unref(task);
    kolk_guest_unref(guest);
    kolk_loop_close(loop); // Before the base: kolk takes leave of it here.
    kolk_loop_unref(loop);
    return status;
}
/* [guest] */

int main(int argc, char **argv) {
    const struct timeval interval = {.tv_usec = 10000};
    struct event_base *base = event_base_new();
    struct event *tick = base != NULL ? event_new(base, -1, EV_PERSIST, on_tick, NULL) : NULL;
    if (tick == NULL || event_add(tick, &interval) < 0)
        return 1;
    kolk_error *error = NULL;
    int status = run(base, argc > 1 ? argv[1] : NULL, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error != NULL ? kolk_error_message(error) : kolk_status_message(status));
    else
        printf("libevent: %s\n", ticks > 0 ? "its timer ticked meanwhile" : "its timer never ticked");
    kolk_error_unref(error);
    event_free(tick);
    event_base_free(base);
    return status < 0;
}
