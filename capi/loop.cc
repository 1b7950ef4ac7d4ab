#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/future.hh"
#include "core/loop/descriptor_callbacks.hh"
#include "core/loop/handle.hh"
#include "core/platform/descriptor.hh"
#include "core/reactor/reactor_table.hh"
#include "core/reactor/registry.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

int choose_reactor(const kolk_loop_options &options, kolk_reactor_ops &ret_copy, const kolk_reactor_ops *&ret_ops,
                   kolk_error **ret_error) noexcept {
    if (options.reactor_ops) {
        ret_ops = options.reactor_ops;
        return copy_reactor(options.reactor_ops, "kolk_loop_options::reactor_ops", ret_copy, ret_error);
    }
    return options.reactor ? find_reactor(options.reactor, ret_ops, ret_error) : find_default_reactor(ret_ops, ret_error);
}

int add(kolk_loop *self, int fd, direction way, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = check_open(self);
    if (status == 0)
        status = fn ? check_pollable(fd) : int(KOLK_EINVAL);
    if (status == 0)
        status = add_callback(*self, fd, way, fn, userdata, destroy);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

/* With a handle, or refused: apart, so that the common way stays short. */
[[gnu::noinline]] int call_soon_otherwise(kolk_loop *self, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                                          kolk_handle **ret_handle) noexcept {
    int status = fn ? check_open(self) : int(KOLK_EINVAL);
    if (status == 0 && ret_handle)
        status = call_soon(*self, fn, userdata, destroy, ret_handle);
    else if (status == 0 && !call_soon(*self, fn, userdata, destroy))
        status = KOLK_ENOMEM;
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int remove(kolk_loop *self, int fd, direction way) noexcept {
    int status = check(self);
    return status < 0 ? status : remove_callback(*self, fd, way);
}

} // namespace

extern "C" {

int kolk_loop_new(const kolk_loop_options *options, kolk_loop **ret_loop, kolk_error **ret_error) noexcept {
    static constexpr kolk_loop_options defaults = {};
    if (!ret_loop || !valid_options(options))
        return deliver(static_error(KOLK_EINVAL), ret_error);
    const kolk_loop_options &chosen = options ? *options : defaults;
    const allocator &memory = chosen.allocator ? *chosen.allocator : default_allocator();
    if (memory.size < sizeof memory || !memory.allocate || !memory.release)
        return deliver(static_error(KOLK_EINVAL), ret_error);
    kolk_reactor_ops copy;
    const kolk_reactor_ops *ops;
    int status = choose_reactor(chosen, copy, ops, ret_error);
    if (status < 0)
        return status;
    uint64_t thread = claim_thread_token();
    auto *self = thread ? create<kolk_loop>(memory, memory, thread) : nullptr;
    if (!self)
        return deliver(static_error(KOLK_ENOMEM), ret_error);
    status = self->open(*ops, chosen);
    if (status < 0) {
        self->user_unref();
        return deliver(
            make_error(status, 0, nullptr, "a loop on the reactor '%s' cannot be made: %s", ops->name, status_message(status)),
            ret_error);
    }
    *ret_loop = self;
    return 0;
}

kolk_loop *kolk_loop_ref(kolk_loop *self) noexcept {
    if (self)
        self->user_ref();
    return self;
}

kolk_loop *kolk_loop_unref(kolk_loop *self) noexcept {
    if (self)
        self->user_unref();
    return nullptr;
}

int kolk_loop_close(kolk_loop *self) noexcept { return self ? self->close() : int(KOLK_EINVAL); }
int kolk_loop_is_closed(const kolk_loop *self) noexcept { return self ? int(self->closed()) : int(KOLK_EINVAL); }

int kolk_loop_is_running(const kolk_loop *self) noexcept {
    int status = self ? self->check_thread() : int(KOLK_EINVAL);
    return status < 0 ? status : self->running();
}

kolk_loop *kolk_loop_current(void) noexcept { return this_thread.loop; }
int64_t kolk_loop_time(const kolk_loop *self) noexcept { return self ? self->now() : int64_t(KOLK_EINVAL); }
const char *kolk_loop_reactor(const kolk_loop *self) noexcept { return self ? self->selector().ops().name : ""; }

int kolk_loop_run_forever(kolk_loop *self) noexcept { return self ? self->run_forever() : int(KOLK_EINVAL); }

int kolk_loop_run_until_complete(kolk_loop *self, kolk_future *future) noexcept {
    return self && future && future->owner == self ? self->run_until_complete(*future) : int(KOLK_EINVAL);
}

int kolk_loop_run_once(kolk_loop *self) noexcept { return self ? self->run_once() : int(KOLK_EINVAL); }

int kolk_loop_stop(kolk_loop *self) noexcept {
    int status = check(self);
    if (status == 0)
        self->stop();
    return status;
}

/* Aligned as what runs the calls is: kolk_loop::run_calls(). */
[[gnu::aligned(64)]] int kolk_loop_call_soon(kolk_loop *self, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                                             kolk_handle **ret_handle) noexcept {
    if (!self || !self->accepts() || !fn || ret_handle || !call_soon_at_once(*self, fn, userdata, destroy)) [[unlikely]]
        return call_soon_otherwise(self, fn, userdata, destroy, ret_handle);
    return 0;
}

int kolk_loop_call_at(kolk_loop *self, int64_t when_ns, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                      kolk_handle **ret_handle) noexcept {
    int status = fn ? check_open(self) : int(KOLK_EINVAL);
    if (status == 0)
        status = call_at(*self, when_ns, fn, userdata, destroy, ret_handle);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_loop_call_later(kolk_loop *self, int64_t delay_ns, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy,
                         kolk_handle **ret_handle) noexcept {
    return kolk_loop_call_at(self, self ? deadline_after(*self, delay_ns) : 0, fn, userdata, destroy, ret_handle);
}

int kolk_loop_call_soon_threadsafe(kolk_loop *self, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = self && fn ? self->check_process() : int(KOLK_EINVAL);
    if (status == 0)
        status = self->post_call(fn, userdata, destroy);
    return status < 0 ? refuse(status, destroy, userdata) : 0;
}

int kolk_loop_add_reader(kolk_loop *self, int fd, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    return add(self, fd, direction::read, fn, userdata, destroy);
}

int kolk_loop_add_writer(kolk_loop *self, int fd, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    return add(self, fd, direction::write, fn, userdata, destroy);
}

int kolk_loop_remove_reader(kolk_loop *self, int fd) noexcept { return remove(self, fd, direction::read); }
int kolk_loop_remove_writer(kolk_loop *self, int fd) noexcept { return remove(self, fd, direction::write); }

int kolk_loop_set_exception_handler(kolk_loop *self, kolk_exception_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    int status = check_open(self);
    if (status < 0)
        return refuse(status, destroy, userdata);
    self->set_exception_handler(fn, userdata, destroy);
    return 0;
}

} // extern "C"
