#include "task_groups.h"

int add(kolk_task_group *group, kolk_coroutine_fn fn, void *userdata) {
    return kolk_task_group_create_task(group, fn, userdata, NULL, NULL, NULL);
}

int leave(struct fixture *f, const char *what, kolk_task_group *group, int status) {
    return told(f, what, kolk_task_group_leave(group, status));
}

int sleep_and_say(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, self->name, kolk_sleep(self->delay_ns));
}

int hang(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    told(self->f, self->name, kolk_sleep(1000 * SECOND));
    return self->status;
}

int await_it(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    return told(self->f, self->name, kolk_await(self->future, NULL));
}

int fail_at_once(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    record(self->f, "%s fails", self->name);
    return kolk_raise(error);
}

int never_run(void *userdata, void **ret_result) {
    (void)ret_result;
    record(((struct scene *)userdata)->f, "ran");
    return 0;
}

int host_that_waits(void *userdata, void **ret_result) {
    struct scene *self = userdata;
    struct fixture *f = self->f;
    (void)ret_result;
    struct scene members[] = {{.f = f, .name = "a", .status = KOLK_ECANCELED}, {.f = f, .name = "b", .status = self->status}};
    int status = kolk_task_group_enter(self->flags, &self->group);
    for (size_t i = 0; status == 0 && i < COUNT(members); i++)
        status = add(self->group, hang, &members[i]);
    record(f, "begun");
    if (status == 0 && self->future)
        status = told(f, "block", kolk_await(self->future, NULL));
    status = leave(f, "left", self->group, status);
    record(f, "%d", kolk_task_cancelling(kolk_task_current()));
    self->group = kolk_task_group_unref(self->group);
    told(f, "after", kolk_sleep(0));
    return status;
}
