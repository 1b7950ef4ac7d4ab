/* Threads, futures for them, and what a thread does with one. */
#ifndef KOLK_TEST_THREAD_FUTURES_H
#define KOLK_TEST_THREAD_FUTURES_H

#include "driver.h"

#include <pthread.h>

pthread_t start_thread(void *(*fn)(void *), void *userdata);

/* A pending future; the second one's memory is the fixture's. */
kolk_thread_future *new_thread_future(void);
kolk_thread_future *thread_future_of(struct fixture *f);

/* A future of the fixture's loop that follows it. */
kolk_future *wrap(struct fixture *f, kolk_thread_future *future);

void finish_with_result(kolk_thread_future *future);
void finish_with_error(kolk_thread_future *future);
void finish_by_cancelling(kolk_thread_future *future);

/* For a thread that asks for the result. */
struct waiter {
    kolk_thread_future *future;
    int64_t timeout;
    int64_t took;
    int status;
    void *result;
};
void *wait_in_thread(void *waiter);

/* For a thread that sets the result a little later; it is the future itself. */
void *set_result_in_thread(void *future);

enum { RACES = 3000 };

/* Two threads at one future after another, which meet before and after. */
struct race {
    kolk_thread_future *future;
    pthread_barrier_t barrier;
    int set, cancelled, called, destroyed, released;
};
void *set_in_race(void *race); /* For the thread that sets the results. */

#endif
