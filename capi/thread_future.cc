#include "core/future/thread_future.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/wrap_thread_future.hh"
#include "core/task/run_threadsafe.hh"

using namespace kolk;

namespace {

int check_process(const kolk_thread_future *self) noexcept { return self ? self->check_process() : int(KOLK_EINVAL); }

/* Only one that no task finishes. Whether it is pending is found out under its lock. */
int check_settable(const kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status == 0 && self->driver ? int(KOLK_ENOTSUP) : status;
}

} // namespace

extern "C" {

int kolk_thread_future_new(const kolk_allocator *allocator, kolk_thread_future **ret_future) noexcept {
    const kolk_allocator &memory = allocator ? *allocator : default_allocator();
    if (!ret_future || memory.size < sizeof memory || !memory.allocate || !memory.release)
        return KOLK_EINVAL;
    return thread_future::make(memory, 0, *ret_future);
}

kolk_thread_future *kolk_thread_future_ref(kolk_thread_future *self) noexcept {
    if (check_process(self) == 0)
        self->ref();
    return self;
}

kolk_thread_future *kolk_thread_future_unref(kolk_thread_future *self) noexcept {
    if (check_process(self) < 0)
        return self;
    self->unref();
    return nullptr;
}

int kolk_thread_future_done(const kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status < 0 ? status : self->done();
}

int kolk_thread_future_cancelled(const kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status < 0 ? status : self->state() == outcome::cancelled;
}

int kolk_thread_future_running(kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status < 0 ? status : self->running();
}

int kolk_thread_future_set_running(kolk_thread_future *self) noexcept {
    int status = check_settable(self);
    return status < 0 ? status : self->set_running();
}

int kolk_thread_future_set_result(kolk_thread_future *self, void *result, kolk_destroy_fn destroy) noexcept {
    int status = check_settable(self);
    if (status == 0 && !self->finish(result, destroy))
        status = KOLK_EALREADY;
    return status < 0 ? refuse(status, destroy, result) : 0;
}

int kolk_thread_future_set_error(kolk_thread_future *self, kolk_error *error) noexcept {
    int status = error ? check_settable(self) : int(KOLK_EINVAL);
    if (status == 0 && !self->fail(ref(error))) {
        unref(error);
        status = KOLK_EALREADY;
    }
    return status;
}

int kolk_thread_future_cancel(kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status < 0 ? status : self->cancel();
}

int kolk_thread_future_wait(kolk_thread_future *self, int64_t timeout_ns) noexcept {
    int status = check_process(self);
    return status < 0 ? status : self->wait(timeout_ns);
}

int kolk_thread_future_result(kolk_thread_future *self, int64_t timeout_ns, void **ret_result) noexcept {
    int status = kolk_thread_future_wait(self, timeout_ns);
    return status < 0 ? status : self->result(ret_result);
}

kolk_error *kolk_thread_future_error(kolk_thread_future *self) noexcept {
    int status = check_process(self);
    return status < 0 ? static_error(status) : self->error();
}

int kolk_thread_future_add_done_callback(kolk_thread_future *self, kolk_thread_future_fn fn, void *userdata,
                                         kolk_destroy_fn destroy) noexcept {
    int status = fn ? check_process(self) : int(KOLK_EINVAL);
    if (status == 0)
        status = self->add_callback(fn, userdata, destroy);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_wrap_thread_future(kolk_loop *loop, kolk_thread_future *thread_future, kolk_future **ret_future) noexcept {
    int status = thread_future && ret_future ? check_open(loop) : int(KOLK_EINVAL);
    if (status == 0)
        status = check_process(thread_future);
    return status < 0 ? status : wrap_thread_future(*loop, *thread_future, *ret_future);
}

int kolk_run_threadsafe(kolk_loop *loop, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                        const kolk_task_options *options, kolk_thread_future **ret_future) noexcept {
    task_plan plan{options, __builtin_return_address(0)};
    bool valid = loop && fn && valid_options(options) && !(options && options->group);
    int status = valid ? loop->check_process() : int(KOLK_EINVAL);
    kolk_thread_future *made;
    if (status == 0)
        status = run_threadsafe(*loop, fn, userdata, destroy, plan, made);
    if (status < 0)
        return refuse(status, destroy, userdata);
    if (ret_future)
        *ret_future = made;
    else
        made->unref();
    return 0;
}

} // extern "C"
