#include "core/task/task_group.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

int kolk_task_group_enter(uint32_t flags, kolk_task_group **ret_group) noexcept {
    if (!ret_group || (flags & ~KOLK_TASK_GROUP_LEVEL))
        return KOLK_EINVAL;
    task *self = this_thread.task;
    if (!self)
        return KOLK_ENOTASK;
    int status = self->owner->check_open();
    return status < 0 ? status : enter_group(*self, flags, *ret_group);
}

kolk_task_group *kolk_task_group_ref(kolk_task_group *self) noexcept { return checked_ref(self); }
kolk_task_group *kolk_task_group_unref(kolk_task_group *self) noexcept { return checked_unref(self); }

int kolk_task_group_create_task(kolk_task_group *self, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                                const kolk_task_options *options, kolk_task **ret_task) noexcept {
    task_plan plan{nullptr, __builtin_return_address(0)};
    int status = self && fn && valid_options(options) ? self->owner->check_open() : int(KOLK_EINVAL);
    kolk_task_options member = {};
    if (status == 0) {
        if (options)
            member = *options;
        member.group = self;
        plan.options = &member;
        status = plan.check(*self->owner);
    }
    task *made;
    if (status == 0)
        status = create_task(*self->owner, fn, userdata, destroy, plan, made);
    if (status < 0)
        return refuse(status, destroy, userdata);
    if (ret_task)
        *ret_task = made;
    else
        made->unref();
    return 0;
}

int kolk_task_group_leave(kolk_task_group *self, int status) noexcept {
    int refused = check_thread(self);
    if (refused == 0)
        refused = self->check_leave();
    if (refused == 0 && self->count > 0 && !parkable_task(*self->owner))
        refused = KOLK_ENOTASK;
    return refused < 0 ? refused : self->leave(status);
}

int kolk_task_group_leave_async(kolk_task_group *self, int status, kolk_future **ret_future) noexcept {
    int refused = ret_future ? check_thread(self) : int(KOLK_EINVAL);
    if (refused == 0)
        refused = self->check_leave();
    return refused < 0 ? refused : self->leave_async(status, *ret_future);
}

int kolk_task_group_abandon(kolk_task_group *self) noexcept {
    int refused = check_thread(self);
    if (refused == 0)
        refused = self->check_leave();
    if (refused == 0)
        self->abandon();
    return refused;
}

int kolk_task_group_cancel(kolk_task_group *self) noexcept {
    int status = check_thread(self);
    if (status == 0 && !self->entered)
        status = KOLK_ECLOSED;
    return status < 0 ? status : self->cancel();
}

int kolk_task_group_count(const kolk_task_group *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(self->count);
}

int kolk_task_group_error_count(const kolk_task_group *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(self->error_count);
}

kolk_error *kolk_task_group_error(const kolk_task_group *self, uint32_t index) noexcept {
    return check_thread(self) == 0 && index < self->most_errors ? self->errors[index] : nullptr;
}

} // extern "C"
