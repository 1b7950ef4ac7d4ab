/* A program on libev, in which kolk is a guest: libev.
 *
 * A timer of the program ticks, while a task of kolk counts to three and then asks the program to end. Both run in the
 * program's ev_loop. */
#include <kolk/kolk.h>
#include <kolk/libev.h>

#include <ev.h>
#include <stdio.h>

static int ticks;

static void on_tick(struct ev_loop *host, ev_timer *timer, int what) {
    (void)host;
    (void)timer;
    (void)what;
    ticks++;
}

static int count(void *userdata, void **ret_result) {
    struct ev_loop *host = userdata;
    (void)ret_result;
    int status = 0;
    for (int i = 1; i <= 3 && status >= 0; i++) {
        status = kolk_sleep(INT64_C(50000000));
        if (status >= 0)
            printf("kolk: %d\n", i);
    }
    ev_break(host, EVBREAK_ALL);
    return status;
}

/* [guest] */
static int run(struct ev_loop *host, kolk_error **ret_error) {
    // Each descriptor of kolk's is an ev_io, its next deadline an ev_timer. Without this line libev watches one for all.
    const kolk_loop_options options = {.size = sizeof options, .reactor_ops = kolk_host_reactor()};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    kolk_task *task = NULL;
    int status = kolk_loop_new(&options, &loop, ret_error);
    if (status >= 0)
        status = kolk_libev_attach(loop, host, NULL, &guest, ret_error);
    if (status >= 0)
        status = kolk_create_task(loop, count, host, NULL, NULL, &task);
    if (status >= 0)
        ev_run(host, 0);

    kolk_task_unref(task);
    kolk_guest_unref(guest);
    kolk_loop_close(loop); // Before the ev_loop: kolk takes leave of it here.
    kolk_loop_unref(loop);
    return status;
}
/* [guest] */

int main(void) {
    ev_timer tick;
    struct ev_loop *host = ev_loop_new(EVFLAG_AUTO);
    if (host == NULL)
        return 1;
    ev_timer_init(&tick, on_tick, 0.01, 0.01);
    ev_timer_start(host, &tick);
    kolk_error *error = NULL;
    int status = run(host, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error != NULL ? kolk_error_message(error) : kolk_status_message(status));
    else
        printf("libev: %s\n", ticks > 0 ? "its timer ticked meanwhile" : "its timer never ticked");
    kolk_error_unref(error);
    ev_timer_stop(host, &tick);
    ev_loop_destroy(host);
    return status < 0;
}
