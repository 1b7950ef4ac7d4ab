/* Members and hosts of task groups, which record how they end. */
#ifndef KOLK_TEST_TASK_GROUPS_H
#define KOLK_TEST_TASK_GROUPS_H

#include "driver.h"

/* What hosts and members get. */
struct scene {
    struct fixture *f;
    const char *name;
    kolk_task_group *group;
    kolk_future *future;
    kolk_task *task;
    uint32_t flags;
    int status;
    int64_t delay_ns;
};

/* Adds a member; leaves, and tells. */
int add(kolk_task_group *group, kolk_coroutine_fn fn, void *userdata);
int leave(struct fixture *f, const char *what, kolk_task_group *group, int status);

/* ---- Members: each is given a scene ---- */

/* Sleeps for the scene's delay; awaits its future. */
int sleep_and_say(void *userdata, void **ret_result);
int await_it(void *userdata, void **ret_result);

/* Sleeps until it is cancelled; how it ends then is in the scene. */
int hang(void *userdata, void **ret_result);

/* Fails with KOLK_EREFUSED, "port 81 refused". */
int fail_at_once(void *userdata, void **ret_result);

/* One that is not to begin: records if it does. */
int never_run(void *userdata, void **ret_result);

/* ---- A host ---- */

/* Has two members that hang, of which the second ends with the scene's status, and awaits the scene's future, if any, in its
 * block. The group is in the scene meanwhile. */
int host_that_waits(void *userdata, void **ret_result);

#endif
