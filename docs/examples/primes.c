/* A sequence without an end, computed as far as it is needed: primes [--count N].
 *
 * The generator would go on for ever. It tries numbers only while somebody waits for the next prime, and after it has been
 * closed not at all. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: primes [--count N]\n"
                           "\n"
                           "Prints the first primes, and how many numbers were tried for them.\n"
                           "\n"
                           "  --count N      so many primes (10)\n";

struct primes {
    uintptr_t tried; /* The last number that was looked at. */
};

static bool is_prime(uintptr_t number) {
    for (uintptr_t divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return true;
}

static int generate_primes(void *userdata, void **ret_result) {
    struct primes *self = userdata;
    int status = 0;
    (void)ret_result;
    for (self->tried = 1; status >= 0;)
        if (is_prime(++self->tried))
            status = kolk_yield((void *)self->tried, NULL);
    return status; // it is being closed
}

static int print_primes(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    const int64_t count = *(int64_t *)userdata;
    struct primes state = {0};
    kolk_coroutine *primes = NULL;
    void *prime;
    (void)ret_error;

    int status = kolk_coroutine_new(loop, generate_primes, &state, NULL, 0, &primes);
    for (int64_t i = 0; i < count && status >= 0; i++) {
        status = kolk_coroutine_next(primes, &prime);
        if (status >= 0)
            printf("%zu\n", (size_t)(uintptr_t)prime);
    }
    if (status >= 0) {
        fprintf(stderr, "tried up to %zu\n", (size_t)state.tried);
        status = kolk_coroutine_close(primes);
    }
    if (status >= 0) {
        status = kolk_coroutine_next(primes, &prime);
        fprintf(stderr, "after close: %s, tried up to %zu\n", kolk_status_message(status), (size_t)state.tried);
        status = status == KOLK_EEXITED ? 0 : status;
    }
    kolk_coroutine_unref(primes);
    return status;
}

int main(int argc, char **argv) {
    int64_t count = 10;
    const struct argument arguments[] = {{.name = "--count", .number = &count, .least = 0, .most = 1000000}, {.name = NULL}};
    struct start start = {.name = "primes", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, print_primes, &count);
}
