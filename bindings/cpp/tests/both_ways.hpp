/* Between the two halves of one program: C functions, because their C++ types differ. */
#ifndef BOTH_WAYS_HPP
#define BOTH_WAYS_HPP

#include <kolk/task.h>

/** Of the half without exceptions: a task that returns @p value after it has waited, or fails with #KOLK_EIO for 0. */
int start_returning(kolk_loop *loop, int value, kolk_task **ret_task);

/** Of the half without exceptions: a task that awaits @p future and returns its number plus one, or fails as it does. */
int start_adding(kolk_loop *loop, kolk_future *future, kolk_task **ret_task);

#endif
