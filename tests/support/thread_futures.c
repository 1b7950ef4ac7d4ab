#include "thread_futures.h"

pthread_t start_thread(void *(*fn)(void *), void *userdata) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, userdata), 0);
    return thread;
}

kolk_thread_future *new_thread_future(void) {
    kolk_thread_future *future = NULL;
    assert_int_equal(kolk_thread_future_new(NULL, &future), 0);
    return future;
}

kolk_thread_future *thread_future_of(struct fixture *f) {
    kolk_thread_future *future = NULL;
    assert_int_equal(kolk_thread_future_new(&f->memory.hook, &future), 0);
    return future;
}

kolk_future *wrap(struct fixture *f, kolk_thread_future *future) {
    kolk_future *wrapped = NULL;
    assert_int_equal(kolk_wrap_thread_future(f->loop, future, &wrapped), 0);
    return wrapped;
}

void finish_with_result(kolk_thread_future *future) { kolk_thread_future_set_result(future, NULL, NULL); }
void finish_with_error(kolk_thread_future *future) { kolk_thread_future_set_error(future, kolk_error_of(KOLK_EIO)); }
void finish_by_cancelling(kolk_thread_future *future) { kolk_thread_future_cancel(future); }

void *wait_in_thread(void *userdata) {
    struct waiter *self = userdata;
    int64_t began = now_ns();
    self->status = kolk_thread_future_result(self->future, self->timeout, &self->result);
    self->took = now_ns() - began;
    return NULL;
}

void *set_result_in_thread(void *future) {
    pause_ms(5);
    kolk_thread_future_set_result(future, future, NULL);
    return NULL;
}

static void count_destroyed(void *userdata) { __atomic_add_fetch(&((struct race *)userdata)->destroyed, 1, __ATOMIC_RELAXED); }

void *set_in_race(void *userdata) {
    struct race *race = userdata;
    for (int i = 0; i < RACES; i++) {
        pthread_barrier_wait(&race->barrier);
        kolk_thread_future *mine = kolk_thread_future_ref(race->future);
        race->set += kolk_thread_future_set_result(mine, race, count_destroyed) == 0;
        kolk_thread_future_unref(mine);
        pthread_barrier_wait(&race->barrier);
    }
    return NULL;
}
