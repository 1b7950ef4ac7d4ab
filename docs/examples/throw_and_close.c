/* Ending a coroutine from outside: throw_and_close.
 *
 * An error that is thrown in comes out of the pending yield. The coroutine deals with it and goes on, or passes it on and has
 * failed. Closing does the same with KOLK_ECANCELED, which nobody may answer with another yield; so does dropping the last
 * reference. Whichever way, clean-up runs once. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: throw_and_close\n"
                           "\n"
                           "Throws errors into coroutines, closes them, drops them.\n";

/* What a coroutine does about an error that comes out of its yield. */
struct manners {
    bool catches;   /* An error: goes on. */
    bool clings_on; /* Being closed: yields once more, which is not allowed. */
};

static const char *state_of(kolk_coroutine *coroutine) {
    switch (kolk_coroutine_get_state(coroutine)) {
    case KOLK_COROUTINE_CREATED:
        return "created";
    case KOLK_COROUTINE_RUNNING:
        return "running";
    case KOLK_COROUTINE_SUSPENDED:
        return "suspended";
    default:
        return "closed";
    }
}

static int count(void *userdata, void **ret_result) {
    struct manners *manners = userdata;
    int status = 0;
    printf("  begins: %s\n", state_of(kolk_coroutine_current()));
    for (intptr_t i = 1; status >= 0 && i < 4; i++) {
        status = kolk_yield((void *)i, NULL);
        if (status < 0 && status != KOLK_ECANCELED && manners->catches) {
            printf("  caught: %s\n", kolk_error_message(kolk_raised()));
            status = 0;
        } else if (status == KOLK_ECANCELED && manners->clings_on) {
            manners->clings_on = false;
            status = kolk_yield(NULL, NULL);
        }
    }
    printf("  cleans up\n");
    *ret_result = "all of them";
    return status;
}

static void told(const char *what, int status, void *value, kolk_coroutine *coroutine) {
    if (status == KOLK_COROUTINE_YIELDED)
        printf("%s: handed out %d, %s\n", what, (int)(intptr_t)value, state_of(coroutine));
    else if (status == KOLK_COROUTINE_RETURNED)
        printf("%s: returned %s, %s\n", what, value ? (const char *)value : "nothing", state_of(coroutine));
    else
        printf("%s: %s, %s\n", what, kolk_status_name(status), state_of(coroutine));
}

static void next(kolk_coroutine *coroutine) {
    void *value = NULL;
    int status = kolk_coroutine_next(coroutine, &value);
    told("next", status, value, coroutine);
}

static void throw_in(kolk_coroutine *coroutine, const char *message) {
    kolk_error *error = NULL;
    void *value = NULL;
    kolk_error_new(KOLK_EINVAL, message, NULL, &error);
    int status = kolk_coroutine_throw(coroutine, error, &value);
    told("throw", status, value, coroutine);
    if (status < 0 && kolk_coroutine_error(coroutine))
        printf("it failed with: %s\n", kolk_error_message(kolk_coroutine_error(coroutine)));
    kolk_error_unref(error);
}

static void close_it(kolk_coroutine *coroutine) {
    int status = kolk_coroutine_close(coroutine);
    printf("close: %s, %s\n", status < 0 ? kolk_status_name(status) : "fine", state_of(coroutine));
}

static void caught(kolk_coroutine *coroutine) {
    puts("- an error that is caught");
    printf("made: %s\n", state_of(coroutine));
    next(coroutine);
    throw_in(coroutine, "not that one");
    next(coroutine);
    next(coroutine);
    next(coroutine);
}

static void not_caught(kolk_coroutine *coroutine) {
    puts("- an error that is not");
    next(coroutine);
    throw_in(coroutine, "enough");
}

static void closed(kolk_coroutine *coroutine) {
    puts("- closed, twice");
    next(coroutine);
    close_it(coroutine);
    close_it(coroutine);
}

static void yields_while_closed(kolk_coroutine *coroutine) {
    puts("- closed, but it yields");
    next(coroutine);
    close_it(coroutine);
    close_it(coroutine);
}

static void dropped(kolk_coroutine *coroutine) {
    puts("- dropped");
    next(coroutine);
}

static int all_cases(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    const struct {
        void (*run)(kolk_coroutine *coroutine);
        struct manners manners;
    } cases[] = {
        {caught, {.catches = true}},
        {not_caught, {0}},
        {closed, {0}},
        {yields_while_closed, {.clings_on = true}},
        {dropped, {0}},
    };
    int status = 0;
    (void)userdata;
    (void)ret_error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases && status >= 0; i++) {
        struct manners manners = cases[i].manners;
        kolk_coroutine *coroutine = NULL;
        status = kolk_coroutine_new(loop, count, &manners, NULL, 0, &coroutine);
        if (status >= 0)
            cases[i].run(coroutine);
        kolk_coroutine_unref(coroutine);
    }
    return status;
}

int main(int argc, char **argv) {
    const struct argument none = {.name = NULL};
    struct start start = {.name = "throw_and_close", .help = help, .arguments = &none};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, all_cases, NULL);
}
