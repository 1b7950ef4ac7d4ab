/* Where a sent value arrives, and how one gets lost: send.
 *
 * A value that is sent is what the pending yield returns, and the answer is what the next yield hands out. A generator with one
 * yield to hand out and another to receive wants to be resumed twice for each item: a value sent at the first one is lost.
 * With a single yield that does both, each send is an exchange. Better still is to do one thing only: generators that produce,
 * coroutines that consume. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: send\n"
                           "\n"
                           "Sends values to a generator with two yields, and to one with a single yield.\n";

static int two_yields(void *userdata, void **ret_result) {
    void *sent;
    int status = 0;
    (void)userdata;
    (void)ret_result;
    for (intptr_t i = 1; status >= 0; i++) {
        status = kolk_yield((void *)i, NULL); // nobody looks at what is sent here
        if (status >= 0)
            status = kolk_yield(NULL, &sent);
        if (status >= 0)
            printf("  received %d\n", (int)(intptr_t)sent);
    }
    return status;
}

static int one_yield(void *userdata, void **ret_result) {
    void *sent;
    int status = 0;
    (void)userdata;
    (void)ret_result;
    for (intptr_t i = 1; status >= 0; i++) {
        status = kolk_yield((void *)i, &sent);
        if (status >= 0)
            printf("  received %d\n", (int)(intptr_t)sent);
    }
    return status;
}

/* Begins with next, for no yield is pending yet that could take a value; then sends 55, 56, … */
static int exchange(kolk_loop *loop, kolk_coroutine_fn fn) {
    kolk_coroutine *generator = NULL;
    void *item;
    int status = kolk_coroutine_new(loop, fn, NULL, NULL, 0, &generator);
    if (status < 0)
        return status;
    status = kolk_coroutine_send(generator, (void *)(intptr_t)54, &item);
    printf("sent 54 too early: %s\n", kolk_status_message(status));
    status = kolk_coroutine_next(generator, &item);
    if (status >= 0)
        printf("next: %d\n", (int)(intptr_t)item);
    for (intptr_t i = 0; i < 4 && status >= 0; i++) {
        printf("send %d\n", (int)(55 + i));
        status = kolk_coroutine_send(generator, (void *)(55 + i), &item);
        if (status >= 0 && item)
            printf("  handed out %d\n", (int)(intptr_t)item);
        else if (status >= 0)
            puts("  handed out nothing");
    }
    kolk_coroutine_unref(generator);
    return status;
}

static int send_both(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    (void)userdata;
    (void)ret_error;
    puts("two yields");
    int status = exchange(loop, two_yields);
    if (status < 0)
        return status;
    puts("one yield");
    return exchange(loop, one_yield);
}

int main(int argc, char **argv) {
    const struct argument none = {.name = NULL};
    struct start start = {.name = "send", .help = help, .arguments = &none};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, send_both, NULL);
}
