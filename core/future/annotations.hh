/* What few futures and tasks have: a datum, a name, a group, variables. Made when the first of them is asked for, so that those
 * without pay for one pointer. */
#pragma once

#include "core/intrusive_list.hh"

#include <kolk/error.h>
#include <kolk/task.h>

struct kolk_scope;
struct kolk_task_group;

namespace kolk {

class local_values;
struct member_tag;

/* In the group's list while its task has not ended. */
struct annotations : link<member_tag> {
    kolk_future *const of;

    void *datum = nullptr;
    kolk_destroy_fn destroy_datum = nullptr;

    /* Of tasks. */
    const char *location = nullptr;     /* static */
    kolk_error *cancel_words = nullptr; /* owned */
    local_values *locals = nullptr;     /* counted */
    kolk_scope *scope = nullptr;        /* the innermost; at first its group's, which is another task's */
    kolk_task_group *group = nullptr;   /* counted */
    char name[32] = "";

    explicit annotations(kolk_future &whose) noexcept : of(&whose) {}
};

} // namespace kolk
