#include "scopes.h"

int leave_scope(struct fixture *f, const char *what, kolk_scope *scope, int status) {
    int expired = kolk_scope_expired(scope), cancelled = kolk_scope_cancelled(scope);
    const char *because = expired == 1 && cancelled == 1 ? ", expired" : cancelled == 1 ? ", cancelled" : "";
    int left = kolk_scope_leave(scope, status);
    record(f, "%s(%s%s)", what, kolk_status_name(left), because);
    return left;
}

int wait_to_be_cancelled(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, "enter", kolk_scope_enter(self->flags, KOLK_NEVER, &self->scope));
    int status = told(self->f, "await", kolk_await(self->future, NULL));
    leave_scope(self->f, "leave", self->scope, status);
    return told(self->f, "after", kolk_sleep(0));
}
