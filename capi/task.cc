#include "core/task/task.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/wait.hh"
#include "core/future/wait_for.hh"
#include "core/task/run.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

/* Passes on how the wait for a future ended, and its outcome: an error is raised here with its words. */
int outcome_of(future &what, int waited, void **ret_result) noexcept {
    int status = waited == 0 ? what.result(ret_result) : waited;
    if (waited == 0 && status < 0) {
        this_thread.coroutine->raise(ref(what.error()));
        if (task *self = this_thread.task; self && status == KOLK_ECANCELED && !what.value)
            self->raise_cancel_words();
    }
    return status;
}

/* May a task be made so? */
int check_plan(const loop *on, const task_plan &plan) noexcept {
    int status = valid_options(plan.options) ? check_open(on) : int(KOLK_EINVAL);
    return status < 0 ? status : plan.check(*on);
}

int hand_out(task *made, task **ret_task) noexcept {
    if (ret_task)
        *ret_task = made;
    else
        made->unref();
    return 0;
}

/* What is not there yet, or ended badly, or must not be waited for here. Apart, so that what is there costs no stack. */
[[gnu::noinline]] int await_in_full(kolk_future *future, void **ret_result) noexcept {
    if (!future)
        return KOLK_EINVAL;
    if (!this_thread.coroutine)
        return KOLK_ENOTASK;
    int status = future->owner->check_thread();
    if (status < 0)
        return status;
    if (future->owner != this_thread.coroutine->owner)
        return KOLK_EINVAL;
    future->ref(); /* others may drop it meanwhile */
    status = outcome_of(*future, await(*future), ret_result);
    future->unref();
    return status;
}

} // namespace

extern "C" {

int kolk_create_task(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                     const kolk_task_options *options, kolk_task **ret_task) noexcept {
    task_plan plan{options, __builtin_return_address(0)};
    int status = fn ? check_plan(loop, plan) : int(KOLK_EINVAL);
    kolk_task *made;
    if (status == 0)
        status = create_task(*loop, fn, userdata, destroy, plan, made);
    return status < 0 ? refuse(status, destroy, userdata) : hand_out(made, ret_task);
}

int kolk_create_task_of(kolk_coroutine *coroutine, const kolk_task_options *options, kolk_task **ret_task) noexcept {
    task_plan plan{options, __builtin_return_address(0)};
    int status = coroutine ? check_plan(coroutine->owner, plan) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    if (coroutine->state == KOLK_COROUTINE_CLOSED)
        return KOLK_EEXITED;
    if (coroutine->state != KOLK_COROUTINE_CREATED || coroutine->task)
        return KOLK_EBUSY;
    kolk_task *made;
    status = create_task_of(*coroutine, plan, made);
    return status < 0 ? status : hand_out(made, ret_task);
}

int kolk_create_foreign_task(kolk_loop *loop, const kolk_coroutine_ops *ops, void *frame, const kolk_task_options *options,
                             kolk_task **ret_task) noexcept {
    task_plan plan{options, __builtin_return_address(0)};
    int status = valid_ops(ops) ? check_plan(loop, plan) : int(KOLK_EINVAL);
    kolk_task *made;
    if (status == 0)
        status = create_foreign_task(*loop, *ops, frame, plan, made);
    return status < 0 ? refuse(status, destroy_of(ops), frame) : hand_out(made, ret_task);
}

kolk_task *kolk_task_ref(kolk_task *self) noexcept { return checked_ref(self); }
kolk_task *kolk_task_unref(kolk_task *self) noexcept { return checked_unref(self); }
kolk_future *kolk_task_as_future(kolk_task *self) noexcept { return self; }

int kolk_task_done(const kolk_task *self) noexcept { return kolk_future_done(self); }
int kolk_task_result(kolk_task *self, void **ret_result) noexcept { return kolk_future_result(self, ret_result); }
kolk_error *kolk_task_error(kolk_task *self) noexcept { return kolk_future_error(self); }
int kolk_task_cancel(kolk_task *self) noexcept { return kolk_future_cancel(self); }

int kolk_task_cancel_with(kolk_task *self, const char *message) noexcept {
    int status = check_thread(self);
    if (status < 0 || self->done())
        return status;
    error *words = message ? make_error(KOLK_ECANCELED, 0, nullptr, "%s", message) : nullptr;
    status = self->request_cancel(nullptr, words && words->bytes ? words : nullptr);
    unref(words);
    return status;
}

int kolk_task_cancelling(const kolk_task *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(self->cancels);
}

int kolk_task_uncancel(kolk_task *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(self->uncancel());
}

const char *kolk_task_name(const kolk_task *self) noexcept { return self ? self->name() : ""; }

int kolk_task_set_name(kolk_task *self, const char *name) noexcept {
    int status = check_thread(self);
    if (status < 0 || ((!name || !*name) && !self->notes))
        return status;
    if (!self->annotate())
        return KOLK_ENOMEM;
    copy_name(self->notes->name, name);
    return 0;
}

kolk_task *kolk_task_current(void) noexcept { return this_thread.task; }

int kolk_await(kolk_future *future, void **ret_result) noexcept {
    coroutine *inside = this_thread.coroutine;
    if (!future || !inside || inside->owner != future->owner || !future->has_result() || !future->owner->here()) [[unlikely]]
        return await_in_full(future, ret_result);
    if (ret_result)
        *ret_result = future->value;
    return 0;
}

int kolk_wait_for(kolk_future *future, int64_t timeout_ns, void **ret_result) noexcept {
    int status = check_thread(future);
    if (status < 0)
        return status;
    task *self = parkable_task(*future->owner);
    if (!self)
        return KOLK_ENOTASK;
    future->ref();
    status = outcome_of(*future, wait_for(*self, *future, timeout_ns), ret_result);
    future->unref();
    return status;
}

int kolk_wait(kolk_future *const *futures, size_t count, int32_t until, int64_t timeout_ns) noexcept {
    if (!this_thread.coroutine)
        return KOLK_ENOTASK;
    kolk_future *all;
    int status = kolk_wait_async(this_thread.coroutine->owner, futures, count, until, timeout_ns, &all);
    if (status < 0)
        return status;
    void *done = nullptr;
    status = outcome_of(*all, await(*all), &done);
    if (status < 0)
        (void)all->cancel();
    all->unref();
    return status < 0 ? status : int(reinterpret_cast<intptr_t>(done));
}

int kolk_sleep(int64_t delay_ns) noexcept {
    kolk_task *self = this_thread.task;
    return self && parkable_task(*self->owner) ? sleep(*self, delay_ns) : int(KOLK_ENOTASK);
}

int kolk_sleep_async(kolk_loop *loop, int64_t delay_ns, kolk_future **ret_future) noexcept {
    int status = ret_future ? check_open(loop) : int(KOLK_EINVAL);
    return status < 0 ? status : sleep_async(*loop, delay_ns, *ret_future);
}

int kolk_loop_cancel_all(kolk_loop *loop) noexcept {
    int status = check_open(loop);
    return status < 0 ? status : cancel_all(*loop);
}

int kolk_loop_run_nested(kolk_loop *loop, kolk_future *future) noexcept {
    int status = future && future->owner == loop ? check_open(loop) : int(KOLK_EINVAL);
    return status < 0 ? status : loop->run_nested(*future);
}

int kolk_run(kolk_coroutine_fn fn, void *userdata, void **ret_result, kolk_error **ret_error) noexcept {
    return kolk_run_with(nullptr, fn, userdata, ret_result, ret_error);
}

int kolk_run_with(const kolk_loop_options *options, kolk_coroutine_fn fn, void *userdata, void **ret_result,
                  kolk_error **ret_error) noexcept {
    if (!fn)
        return deliver(static_error(KOLK_EINVAL), ret_error);
    if (this_thread.loop)
        return deliver(static_error(KOLK_EBUSY), ret_error);
    kolk_loop *loop;
    int status = kolk_loop_new(options, &loop, ret_error);
    return status < 0 ? status : run_main(*loop, fn, userdata, ret_result, ret_error);
}

} // extern "C"
