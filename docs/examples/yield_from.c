/* One coroutine in another, a thousand deep: yield_from [--levels N] [--time].
 *
 * Each level delegates to the next with kolk_yield_from(); only the innermost yields. Whoever drives the outermost talks to
 * the innermost: values come straight out, what is sent or thrown goes straight in, and the return value comes back through
 * every level. Closing the outermost ends them all, from the inside out. A resume costs the same however many levels there are:
 * --time measures that. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: yield_from [--levels N] [--time]\n"
                           "\n"
                           "Talks to a coroutine through many others.\n"
                           "\n"
                           "  --levels N     so many between (1000)\n"
                           "  --time         tell how long a resume takes instead\n";

struct chain {
    kolk_loop *loop;
    int64_t levels; /* How many are still to be made. */
    int64_t cleaned_up;
};

/* The innermost: adds up what it is sent, and returns the sum for a zero. */
static int add_up(void *userdata, void **ret_result) {
    struct chain *chain = userdata;
    intptr_t sum = 0;
    void *sent = NULL;
    bool more = true;
    int status = 0;
    while (more && status >= 0) {
        status = kolk_yield((void *)sum, &sent);
        if (status >= 0) {
            sum += (intptr_t)sent;
            more = sent != NULL;
        } else if (status != KOLK_ECANCELED) {
            printf("  innermost caught: %s\n", kolk_error_message(kolk_raised()));
            sum = 0;
            status = 0;
        }
    }
    chain->cleaned_up++;
    *ret_result = (void *)sum;
    return status;
}

static int delegate(void *userdata, void **ret_result) {
    struct chain *chain = userdata;
    kolk_coroutine *sub = NULL;
    chain->levels--;
    int status = kolk_coroutine_new(chain->loop, chain->levels > 0 ? delegate : add_up, chain, NULL, 16384, &sub);
    if (status >= 0)
        status = kolk_yield_from(sub, ret_result);
    kolk_coroutine_unref(sub);
    chain->cleaned_up++;
    return status;
}

static void told(const char *what, int status, void *value) {
    if (status == KOLK_COROUTINE_YIELDED)
        printf("%s: the sum is %d\n", what, (int)(intptr_t)value);
    else if (status == KOLK_COROUTINE_RETURNED)
        printf("%s: returned %d\n", what, (int)(intptr_t)value);
    else
        printf("%s: %s\n", what, kolk_status_name(status));
}

static int send(kolk_coroutine *outermost, intptr_t number) {
    char what[32];
    void *value = NULL;
    int status = kolk_coroutine_send(outermost, (void *)number, &value);
    snprintf(what, sizeof what, "send %d", (int)number);
    told(what, status, value);
    return status;
}

/* Makes a chain, and takes the first value out of it. */
static int begin(struct chain *chain, kolk_coroutine **ret_outermost) {
    void *value = NULL;
    int status = kolk_coroutine_new(chain->loop, delegate, chain, NULL, 16384, ret_outermost);
    if (status >= 0) {
        status = kolk_coroutine_next(*ret_outermost, &value);
        told("next", status, value);
    }
    return status;
}

static int to_the_end(struct chain *chain) {
    kolk_coroutine *outermost = NULL;
    kolk_error *error = NULL;
    void *value = NULL;
    int status = begin(chain, &outermost);
    for (intptr_t number = 1; number <= 3 && status >= 0; number++)
        status = send(outermost, number);
    if (status >= 0) {
        kolk_error_new(KOLK_EINVAL, "start again", NULL, &error);
        status = kolk_coroutine_throw(outermost, error, &value);
        told("throw", status, value);
        kolk_error_unref(error);
    }
    if (status >= 0)
        status = send(outermost, 42);
    if (status >= 0)
        status = send(outermost, 0);
    kolk_coroutine_unref(outermost);
    return status;
}

static int closed_in_the_middle(struct chain *chain) {
    kolk_coroutine *outermost = NULL;
    int status = begin(chain, &outermost);
    if (status >= 0)
        status = kolk_coroutine_close(outermost);
    if (status >= 0)
        printf("closed: %d ended\n", (int)chain->cleaned_up);
    kolk_coroutine_unref(outermost);
    return status;
}

/* The best of some rounds, so that what else the machine does counts for little. */
static int measure(struct chain *chain) {
    enum { ROUNDS = 20, SENDS = 5000 };
    kolk_coroutine *outermost = NULL;
    void *value = NULL;
    int64_t best_ns = INT64_MAX;
    int status = kolk_coroutine_new(chain->loop, delegate, chain, NULL, 16384, &outermost);
    if (status >= 0)
        status = kolk_coroutine_next(outermost, &value);
    for (int round = 0; round < ROUNDS && status >= 0; round++) {
        int64_t began = kolk_loop_time(chain->loop);
        for (int i = 0; i < SENDS && status >= 0; i++)
            status = kolk_coroutine_send(outermost, (void *)(intptr_t)1, &value);
        int64_t took = kolk_loop_time(chain->loop) - began;
        if (took < best_ns)
            best_ns = took;
    }
    if (status >= 0)
        printf("a resume takes %.1f ns\n", (double)best_ns / SENDS);
    kolk_coroutine_unref(outermost);
    return status;
}

struct options {
    int64_t levels;
    bool time;
};

static int run(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    const struct options *options = userdata;
    struct chain first = {.loop = loop, .levels = options->levels};
    struct chain second = first;
    (void)ret_error;
    if (options->time)
        return measure(&first);
    int status = to_the_end(&first);
    if (status < 0)
        return status;
    printf("%d ended\n", (int)first.cleaned_up);
    return closed_in_the_middle(&second);
}

int main(int argc, char **argv) {
    struct options options = {.levels = 1000};
    const struct argument arguments[] = {{.name = "--levels", .number = &options.levels, .least = 1, .most = 10000},
                                         {.name = "--time", .flag = &options.time},
                                         {.name = NULL}};
    struct start start = {.name = "yield_from", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, run, &options);
}
