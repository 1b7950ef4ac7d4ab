#include "capi/check.hh"

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

} // extern "C"
