#include "turns.h"
#include "callbacks.h"

#include <pthread.h>
#include <stdlib.h>

kolk_plan prepare(struct fixture *f) {
    kolk_plan plan = {0, 7, 7};
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    return plan;
}

int dispatch(struct fixture *f) {
    kolk_progress progress = {0, 0};
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    return (int)progress.items;
}

void dispatch_all(struct fixture *f) {
    kolk_progress progress = {0, 1};
    while (progress.more)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
}

void dispatch_within(void *userdata) {
    struct fixture *f = userdata;
    record(f, "outer");
    int status = kolk_loop_dispatch(f->loop, NULL, NULL);
    record(f, "%s", status == 0 ? "done" : kolk_status_name(status));
}

void call_soon(struct fixture *f, kolk_callback_fn fn, void *userdata) {
    assert_int_equal(kolk_loop_call_soon(f->loop, fn, userdata, NULL, NULL), 0);
}

void in_a_thread(void *(*fn)(void *userdata), void *userdata) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, userdata), 0);
    pthread_join(thread, NULL);
}

void *post_some(void *userdata) {
    struct fixture *f = userdata;
    for (int i = 0; i < 100; i++)
        if (kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL) != 0)
            abort();
    return NULL;
}
