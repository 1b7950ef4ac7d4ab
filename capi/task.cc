#include "core/task/task.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/wait_for.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

/* Passes on how the wait for a future ended, and its outcome: an error is raised here with its words. */
int outcome_of(future &what, int waited, void **ret_result) noexcept {
    int status = waited == 0 ? what.result(ret_result) : waited;
    if (waited == 0 && status < 0)
        this_thread.coroutine->raise(ref(what.error()));
    return status;
}

} // namespace

extern "C" {

int kolk_create_task(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                     const kolk_task_options *options, kolk_task **ret_task) noexcept {
    int status = fn && valid_options(options) ? check_open(loop) : int(KOLK_EINVAL);
    kolk_task *made;
    if (status == 0)
        status = create_task(*loop, fn, userdata, destroy, options ? options->stack_size : 0,
                             options ? options->destroy_result : nullptr, made);
    if (status < 0)
        return refuse(status, destroy, userdata);
    if (options && options->name)
        made->set_name(options->name);
    made->start();
    if (ret_task)
        *ret_task = made;
    else
        made->unref();
    return 0;
}

kolk_task *kolk_task_ref(kolk_task *self) noexcept { return checked_ref(self); }
kolk_task *kolk_task_unref(kolk_task *self) noexcept { return checked_unref(self); }
kolk_future *kolk_task_as_future(kolk_task *self) noexcept { return self; }

int kolk_task_done(const kolk_task *self) noexcept { return kolk_future_done(self); }
int kolk_task_result(kolk_task *self, void **ret_result) noexcept { return kolk_future_result(self, ret_result); }
kolk_error *kolk_task_error(kolk_task *self) noexcept { return kolk_future_error(self); }
int kolk_task_cancel(kolk_task *self) noexcept { return kolk_future_cancel(self); }

const char *kolk_task_name(const kolk_task *self) noexcept { return self ? self->name : ""; }

int kolk_task_set_name(kolk_task *self, const char *name) noexcept {
    int status = check_thread(self);
    if (status == 0)
        self->set_name(name);
    return status;
}

kolk_task *kolk_task_current(void) noexcept { return this_thread.task; }

int kolk_await(kolk_future *future, void **ret_result) noexcept {
    if (!future)
        return KOLK_EINVAL;
    if (!this_thread.coroutine)
        return KOLK_ENOTASK;
    int status = future->owner->check_thread();
    if (status < 0)
        return status;
    if (future->state == outcome::result) [[likely]]
        return future->result(ret_result);
    future->ref(); /* others may drop it meanwhile */
    status = outcome_of(*future, await(*future), ret_result);
    future->unref();
    return status;
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

int kolk_sleep(int64_t delay_ns) noexcept {
    kolk_task *self = this_thread.task;
    return self ? sleep(*self, delay_ns) : int(KOLK_ENOTASK);
}

int kolk_sleep_async(kolk_loop *loop, int64_t delay_ns, kolk_future **ret_future) noexcept {
    int status = ret_future ? check_open(loop) : int(KOLK_EINVAL);
    return status < 0 ? status : sleep_async(*loop, delay_ns, *ret_future);
}

int kolk_run(kolk_coroutine_fn fn, void *userdata, void **ret_result, kolk_error **ret_error) noexcept {
    if (!fn)
        return deliver(static_error(KOLK_EINVAL), ret_error);
    kolk_loop *loop;
    int status = kolk_loop_new(nullptr, &loop, ret_error);
    if (status < 0)
        return status;
    kolk_task *main;
    status = kolk_create_task(loop, fn, userdata, nullptr, nullptr, &main);
    if (status == 0) {
        status = kolk_loop_run_until_complete(loop, main);
        if (status == 0)
            status = main->result(ret_result);
        kolk_error *why = main->done() && status < 0 ? ref(main->error()) : static_error(status);
        /* The main task is dropped after the loop: what it waited for may still end. */
        int closed = kolk_loop_close(loop);
        main->unref();
        if (closed < 0 && status >= 0)
            why = static_error(status = closed);
        if (status < 0)
            deliver(why, ret_error);
    } else {
        deliver(static_error(status), ret_error);
        kolk_loop_close(loop);
    }
    kolk_loop_unref(loop);
    return status;
}

} // extern "C"
