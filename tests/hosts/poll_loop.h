/* A host without a library: a loop around poll() with timers of its own and a pipe for posts. Also the reference for an
 * adapter: all that kolk wants of a host is in poll_loop_ops. */
#ifndef KOLK_TEST_POLL_LOOP_H
#define KOLK_TEST_POLL_LOOP_H

#include <kolk/guest.h>

#include <stdint.h>

struct poll_loop;

struct poll_loop *poll_loop_new(void);
void poll_loop_free(struct poll_loop *self);

void poll_loop_run(struct poll_loop *self);
void poll_loop_stop(struct poll_loop *self);
void poll_loop_run_modal(struct poll_loop *self, int (*done)(void *context), void *context);

void poll_loop_call_later(struct poll_loop *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata);
void poll_loop_watch(struct poll_loop *self, int fd, void (*fn)(void *userdata), void *userdata);

/* A new pipe, so that parent and child do not read each other's posts. */
void poll_loop_after_fork(struct poll_loop *self);

/* The adapter. Any number of guests. */
int poll_loop_attach(struct poll_loop *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                     kolk_error **ret_error);

/* How many watches, timers and posts of guests there are. */
int poll_loop_registered(const struct poll_loop *self);

#endif
