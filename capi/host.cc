#include "capi/check.hh"
#include "core/task/shutdown.hh"

#include <kolk/host.h>

using namespace kolk;

extern "C" {

int kolk_loop_prepare(kolk_loop *self, kolk_plan *ret_plan) noexcept {
    int status = ret_plan ? check(self) : int(KOLK_EINVAL);
    return status < 0 ? status : self->prepare(*ret_plan);
}

int kolk_loop_wait(kolk_loop *self, int64_t deadline_ns) noexcept {
    int status = check(self);
    return status < 0 ? status : self->wait(deadline_ns);
}

int kolk_loop_dispatch(kolk_loop *self, const kolk_budget *budget, kolk_progress *ret_progress) noexcept {
    int status = valid_options(budget) ? check(self) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    return budget ? self->dispatch(budget->max_items, budget->max_ns, ret_progress) : self->dispatch(0, 0, ret_progress);
}

int kolk_loop_get_fd(kolk_loop *self) noexcept {
    int status = check(self);
    return status < 0 ? status : self->get_fd();
}

int kolk_loop_set_plan_hook(kolk_loop *self, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = check_open(self);
    if (status == 0 && !self->set_plan_hook(fn, userdata, destroy))
        status = KOLK_ENOMEM;
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_loop_set_nesting(kolk_loop *self, int allowed) noexcept {
    int status = allowed == 0 || allowed == 1 ? check(self) : int(KOLK_EINVAL);
    return status < 0 ? status : self->set_nesting(allowed);
}

int kolk_loop_set_hooks(kolk_loop *self, const kolk_loop_hooks *hooks, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = check_open(self);
    if (status == 0 && !valid_options(hooks))
        status = KOLK_EINVAL;
    if (status == 0 && self->must_not_turn())
        status = KOLK_EBUSY;
    if (status == 0 && !self->set_hooks(hooks, userdata, destroy))
        status = KOLK_ENOMEM;
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_loop_alive(kolk_loop *self) noexcept {
    int status = check(self);
    return status < 0 ? status : self->alive();
}

int kolk_loop_shutdown_async(kolk_loop *self, kolk_future **ret_future) noexcept {
    int status = ret_future ? check_open(self) : int(KOLK_EINVAL);
    return status < 0 ? status : shutdown_async(*self, *ret_future);
}

int kolk_loop_after_fork(kolk_loop *self) noexcept { return self ? self->after_fork() : int(KOLK_EINVAL); }

} // extern "C"
