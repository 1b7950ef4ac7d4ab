/* Scopes whose end is recorded. */
#ifndef KOLK_TEST_SCOPES_H
#define KOLK_TEST_SCOPES_H

#include "driver.h"

/* What bodies get that need more than the fixture. */
struct scene {
    struct fixture *f;
    kolk_scope *scope; /* For others to cancel or move. */
    kolk_future *future;
    kolk_task *task;
    uint32_t flags;
    int64_t outer_ns, inner_ns;
};

/* Leaves, and tells, with what the scope says of itself before. */
int leave_scope(struct fixture *f, const char *what, kolk_scope *scope, int status);

/* A body that is given a scene: awaits its future in a scope that has no deadline, and sleeps for a moment after it. */
int wait_to_be_cancelled(void *userdata, void **ret_result);

#endif
