/* Three calls in a row, each made of the answer before, written in three ways: three_stages [--fail STAGE].
 *
 * As callbacks the work is cut into pieces, each of which must look for errors and begin the next. As a chain of futures the
 * pieces remain, but an error goes past them to one place. As a coroutine it is one function that reads from top to bottom. All
 * three make the same calls. */
#include "start.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] = "usage: three_stages [--fail STAGE]\n"
                           "\n"
                           "Makes three calls in a row: with callbacks, with futures, in a coroutine.\n"
                           "\n"
                           "  --fail STAGE   the call of this stage fails\n";

static const int64_t millisecond_ns = 1000000;

/* The service that is called. */

struct service {
    kolk_loop *loop;
    int64_t failing; /* The stage that fails; 0: none. */
};

struct call {
    kolk_future *answer;
    intptr_t response;
    kolk_error *error;
};

static void call_destroy(void *userdata) {
    struct call *call = userdata;
    kolk_future_unref(call->answer);
    kolk_error_unref(call->error);
    free(call);
}

static void answer(void *userdata) {
    struct call *call = userdata;
    if (call->error)
        kolk_future_set_error(call->answer, call->error);
    else
        kolk_future_set_result(call->answer, (void *)call->response, NULL);
}

/* Doubles a number, elsewhere: the answer takes a while. */
static int call_api(const struct service *service, int stage, intptr_t request, kolk_future **ret_answer) {
    struct call *call = calloc(1, sizeof *call);
    char message[64];
    if (!call)
        return KOLK_ENOMEM;
    printf("  call %d with %d\n", stage, (int)request);
    int status = kolk_future_new(service->loop, &call->answer);
    if (status < 0) {
        call_destroy(call);
        return status;
    }
    call->response = 2 * request;
    if (stage == service->failing) {
        snprintf(message, sizeof message, "call %d failed", stage);
        kolk_error_new(KOLK_EIO, message, NULL, &call->error);
    }
    kolk_future *future = kolk_future_ref(call->answer);
    status = kolk_loop_call_later(service->loop, millisecond_ns, answer, call, call_destroy, NULL);
    if (status < 0)
        future = kolk_future_unref(future);
    else
        *ret_answer = future;
    return status;
}

static intptr_t next_request(intptr_t response) { return response + 1; }

/* Callbacks. Each stage hands the whole on to the next; who waits for the end is told through a future. */

struct in_callbacks {
    const struct service *service;
    kolk_future *end;
};

static void end_with(struct in_callbacks *self, int status, kolk_error *error) {
    kolk_future_set_error(self->end, error ? error : kolk_error_of(status));
}

static void call_then(struct in_callbacks *self, int stage, intptr_t request, kolk_future_fn then) {
    kolk_future *answer = NULL;
    int status = call_api(self->service, stage, request, &answer);
    if (status >= 0)
        status = kolk_future_add_done_callback(answer, then, self, NULL); // which drops the answer
    if (status < 0) {
        kolk_future_unref(answer);
        end_with(self, status, NULL);
    }
}

static void third_answer(kolk_future *answer, void *userdata) {
    struct in_callbacks *self = userdata;
    void *response;
    int status = kolk_future_result(answer, &response);
    if (status < 0)
        end_with(self, status, kolk_future_error(answer));
    else
        kolk_future_set_result(self->end, response, NULL);
    kolk_future_unref(answer);
}

static void second_answer(kolk_future *answer, void *userdata) {
    struct in_callbacks *self = userdata;
    void *response;
    int status = kolk_future_result(answer, &response);
    if (status < 0)
        end_with(self, status, kolk_future_error(answer));
    else
        call_then(self, 3, next_request((intptr_t)response), third_answer);
    kolk_future_unref(answer);
}

static void first_answer(kolk_future *answer, void *userdata) {
    struct in_callbacks *self = userdata;
    void *response;
    int status = kolk_future_result(answer, &response);
    if (status < 0)
        end_with(self, status, kolk_future_error(answer));
    else
        call_then(self, 2, next_request((intptr_t)response), second_answer);
    kolk_future_unref(answer);
}

static int with_callbacks(const struct service *service, void **ret_response) {
    struct in_callbacks self = {.service = service};
    int status = kolk_future_new(service->loop, &self.end);
    if (status < 0)
        return status;
    call_then(&self, 1, 1, first_answer);
    status = kolk_await(self.end, ret_response);
    kolk_future_unref(self.end);
    return status;
}

/* Futures: the stages know nothing of errors, and nothing of each other. */

static int follow_call(const struct service *service, int stage, void *response, kolk_future *next) {
    kolk_future *answer = NULL;
    int status = call_api(service, stage, next_request((intptr_t)response), &answer);
    if (status >= 0)
        status = kolk_future_follow(next, answer);
    kolk_future_unref(answer);
    return status;
}

static int second_stage(void *response, void *userdata, kolk_future *next) { return follow_call(userdata, 2, response, next); }

static int third_stage(void *response, void *userdata, kolk_future *next) { return follow_call(userdata, 3, response, next); }

static int with_futures(const struct service *service, void **ret_response) {
    kolk_future *first = NULL, *second = NULL, *third = NULL;
    int status = call_api(service, 1, 1, &first);
    if (status >= 0)
        status = kolk_future_then(first, second_stage, (void *)service, NULL, &second);
    if (status >= 0)
        status = kolk_future_then(second, third_stage, (void *)service, NULL, &third);
    if (status >= 0)
        status = kolk_await(third, ret_response);
    kolk_future_unref(first);
    kolk_future_unref(second);
    kolk_future_unref(third);
    return status;
}

/* A coroutine: calls that wait. */

static int call_and_wait(const struct service *service, int stage, intptr_t request, void **ret_response) {
    kolk_future *answer = NULL;
    int status = call_api(service, stage, request, &answer);
    if (status >= 0)
        status = kolk_await(answer, ret_response);
    kolk_future_unref(answer);
    return status;
}

static int in_a_coroutine(const struct service *service, void **ret_response) {
    void *response;
    int status = call_and_wait(service, 1, 1, &response);
    if (status >= 0)
        status = call_and_wait(service, 2, next_request((intptr_t)response), &response);
    if (status >= 0)
        status = call_and_wait(service, 3, next_request((intptr_t)response), &response);
    if (status >= 0)
        *ret_response = response;
    return status;
}

static int in_three_ways(void *userdata, void **ret_result) {
    static const struct {
        const char *name;
        int (*run)(const struct service *service, void **ret_response);
    } ways[] = {{"callbacks", with_callbacks}, {"futures", with_futures}, {"coroutine", in_a_coroutine}};
    const struct service service = {.loop = kolk_loop_current(), .failing = *(int64_t *)userdata};
    (void)ret_result;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        void *response = NULL;
        puts(ways[i].name);
        int status = ways[i].run(&service, &response);
        if (status >= 0)
            printf("  the answer is %d\n", (int)(intptr_t)response);
        else if (status == KOLK_EIO)
            printf("  %s\n", kolk_error_message(kolk_raised()));
        else
            return status;
    }
    return 0;
}

int main(int argc, char **argv) {
    int64_t failing = 0;
    const struct argument arguments[] = {{.name = "--fail", .number = &failing, .least = 1, .most = 3}, {.name = NULL}};
    struct start start = {.name = "three_stages", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_run(&start, in_three_ways, &failing);
}
