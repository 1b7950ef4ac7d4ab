/* A generator that is talked to: multiples.
 *
 * It hands out multiples for ever. What is sent to it becomes the factor; what is thrown into it is caught, and it goes on. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: multiples\n"
                           "\n"
                           "Takes values from a generator, sends it one, throws an error into it.\n";

static int generate_multiples(void *userdata, void **ret_result) {
    intptr_t n = 1, factor = 2;
    void *sent;
    (void)userdata;
    (void)ret_result;
    for (;;) {
        n *= factor;
        int status = kolk_yield((void *)n, &sent); // a number travels in the pointer's value
        if (status == KOLK_ECANCELED)              // it is being closed
            return status;
        if (status < 0)
            printf("Something went wrong: %s\n", kolk_error_message(kolk_raised()));
        else if (sent)
            factor = (intptr_t)sent;
    }
}

static int talk(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    kolk_coroutine *multiples = NULL;
    kolk_error *error = NULL;
    void *value = NULL;
    (void)userdata;
    (void)ret_error;

    int status = kolk_coroutine_new(loop, generate_multiples, NULL, NULL, 0, &multiples);
    if (status >= 0)
        status = kolk_coroutine_next(multiples, &value);
    if (status == KOLK_COROUTINE_YIELDED) {
        printf("%d\n", (int)(intptr_t)value);
        status = kolk_coroutine_send(multiples, (void *)(intptr_t)3, &value);
    }
    if (status == KOLK_COROUTINE_YIELDED) {
        printf("%d\n", (int)(intptr_t)value);
        status = kolk_coroutine_next(multiples, &value);
    }
    if (status == KOLK_COROUTINE_YIELDED) {
        printf("%d\n", (int)(intptr_t)value);
        kolk_error_new(KOLK_EINVAL, "Stop it already!", NULL, &error);
        status = kolk_coroutine_throw(multiples, error, &value);
        kolk_error_unref(error);
    }
    if (status == KOLK_COROUTINE_YIELDED)
        printf("%d\n", (int)(intptr_t)value);
    kolk_coroutine_unref(multiples); // closes it
    return status;
}

int main(int argc, char **argv) {
    const struct argument none = {.name = NULL};
    struct start start = {.name = "multiples", .help = help, .arguments = &none};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, talk, NULL);
}
