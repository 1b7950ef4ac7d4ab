#include "core/coroutine/step.hh"

#include "capi/check.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

constexpr size_t largest_state = 65536;

int check_state(kolk_step_fn fn, const void *state, size_t size) noexcept {
    if (!fn || !state || size < sizeof(kolk_step))
        return KOLK_EINVAL;
    return size > largest_state ? int(KOLK_ELIMIT) : 0;
}

} // namespace

extern "C" {

int kolk_create_step_task(kolk_loop *loop, kolk_step_fn fn, void *state, size_t state_size, kolk_destroy_fn destroy,
                          const kolk_task_options *options, kolk_task **ret_task) noexcept {
    task_plan plan{options, __builtin_return_address(0)};
    int status = valid_options(options) ? check_state(fn, state, state_size) : int(KOLK_EINVAL);
    if (status == 0)
        status = check_open(loop);
    if (status == 0)
        status = plan.check(*loop);
    task *made;
    if (status == 0)
        status = create_step_task(*loop, fn, state, state_size, destroy, plan, made);
    if (status < 0)
        return refuse(status, destroy, state);
    if (ret_task)
        *ret_task = made;
    else
        made->unref();
    return 0;
}

int kolk_step_coroutine_new(kolk_loop *loop, kolk_step_fn fn, void *state, size_t state_size, kolk_destroy_fn destroy,
                            kolk_coroutine **ret_coroutine) noexcept {
    int status = ret_coroutine ? check_state(fn, state, state_size) : int(KOLK_EINVAL);
    if (status == 0)
        status = check_open(loop);
    if (status == 0)
        status = make_step_coroutine(*loop, fn, state, state_size, destroy, *ret_coroutine);
    return status < 0 ? refuse(status, destroy, state) : 0;
}

int kolk_step_await(kolk_step *self, int status, kolk_future *future, void **ret_value) noexcept {
    return step_await(*self, status, future, ret_value);
}

int kolk_step_sleep(kolk_step *self, int64_t delay_ns, void **ret_value) noexcept {
    loop *on = this_thread.loop;
    future *sleeping = nullptr;
    int status = on ? 0 : int(KOLK_ENOTASK);
    if (status == 0 && delay_ns > 0)
        status = on->closing() ? int(KOLK_ECANCELED) : sleep_async(*on, delay_ns, sleeping);
    return step_await(*self, status, sleeping, ret_value);
}

int kolk_step_resumed(kolk_step *self) noexcept { return step_resumed(*self); }

int kolk_step_call(kolk_step *self, kolk_step_fn fn, void *state, void **ret_value) noexcept {
    return step_call(*self, fn, *static_cast<kolk_step *>(state), ret_value);
}

void *kolk_step_result(const kolk_step *self) noexcept {
    return self && self->future && self->future->has_result() ? self->future->value : nullptr;
}

void kolk_step_clear(kolk_step *self) noexcept {
    if (self)
        step_clear(*self);
}

} // extern "C"
