/* Turns by hand, each step of which is to succeed, and what gives them something to do. */
#ifndef KOLK_TEST_TURNS_H
#define KOLK_TEST_TURNS_H

#include "driver.h"

kolk_plan prepare(struct fixture *f);
int dispatch(struct fixture *f); /* Returns how many callbacks were run. */

/* Until nothing is ready, of which other threads may have left something. */
void dispatch_all(struct fixture *f);

/* A callback that is given the fixture: a turn inside of a turn. Records "outer", and then "done" or how that was refused. */
void dispatch_within(void *userdata);

void call_soon(struct fixture *f, kolk_callback_fn fn, void *userdata);

/* Runs the function in a thread, and waits for its end. */
void in_a_thread(void *(*fn)(void *userdata), void *userdata);

/* Posts a hundred calls that do nothing, from any thread. It is given the fixture. */
void *post_some(void *userdata);

#endif
