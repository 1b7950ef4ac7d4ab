#include "core/task/local.hh"

#include "capi/check.hh"
#include "core/task/task.hh"

#include <kolk/local.h>

using namespace kolk;

extern "C" {

int kolk_local_set(const void *key, void *value, kolk_destroy_fn destroy) noexcept {
    task *self = this_thread.task;
    int status = !key ? int(KOLK_EINVAL) : self ? 0 : int(KOLK_ENOTASK);
    if (status == 0)
        status =
            self->annotate() ? local_values::set(*self->owner, self->notes->locals, key, value, destroy) : int(KOLK_ENOMEM);
    return status < 0 ? refuse(status, destroy, value) : 0;
}

int kolk_local_get(const void *key, void **ret_value) noexcept {
    if (!key || !ret_value)
        return KOLK_EINVAL;
    task *self = this_thread.task;
    if (!self)
        return KOLK_ENOTASK;
    *ret_value = nullptr;
    return self->notes && self->notes->locals && self->notes->locals->find(key, *ret_value);
}

} // extern "C"
