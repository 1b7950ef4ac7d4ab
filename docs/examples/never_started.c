/* A coroutine runs when it is awaited or made a task, not when it is made: never_started.
 *
 * co_1 is made and forgotten, co_2 awaited, co_3 made a task that runs when main has ended. The loop's exception handler is
 * told about the forgotten one. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: never_started\n"
                           "\n"
                           "Makes three coroutines, forgets one, awaits one, makes a task of one.\n";

static int co(void *userdata, void **ret_result) {
    (void)ret_result;
    printf("in %s\n", (const char *)userdata);
    return 0;
}

static int make(const char *name, kolk_coroutine **ret_coroutine) {
    int status = kolk_coroutine_new(kolk_loop_current(), co, (void *)name, NULL, 0, ret_coroutine);
    return status < 0 ? status : kolk_coroutine_set_name(*ret_coroutine, name);
}

static void report(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    (void)userdata;
    fprintf(stderr, "never_started: %s\n", kolk_error_message(error));
}

static int run_main(void *userdata, void **ret_result) {
    kolk_coroutine *forgotten = NULL, *awaited = NULL, *scheduled = NULL;
    (void)userdata;
    (void)ret_result;

    int status = kolk_loop_set_exception_handler(kolk_loop_current(), report, NULL, NULL);
    if (status >= 0)
        status = make("co_1", &forgotten);
    kolk_coroutine_unref(forgotten);

    if (status >= 0)
        status = make("co_2", &awaited);
    if (status >= 0)
        status = kolk_yield_from(awaited, NULL); // inside a task this is await
    kolk_coroutine_unref(awaited);

    if (status >= 0)
        status = make("co_3", &scheduled);
    if (status >= 0)
        status = kolk_create_task_of(scheduled, NULL, NULL);
    kolk_coroutine_unref(scheduled); // the loop keeps the task
    puts("in main");
    return status; // what was ready when main ends still gets its turn
}

int main(int argc, char **argv) {
    const struct argument none = {.name = NULL};
    struct start start = {.name = "never_started", .help = help, .arguments = &none};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_run(&start, run_main, NULL);
}
