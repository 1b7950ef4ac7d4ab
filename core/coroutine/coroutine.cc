#include "core/coroutine/coroutine.hh"

#include "core/error.hh"
#include "core/task/task.hh"

using namespace kolk;

namespace kolk {

int acquire_stack(loop &on, size_t stack_size, size_t object_size, stack &ret_stack, void *&ret_place) noexcept {
    constexpr uintptr_t cache_line = 64;
    int status = on.stacks.acquire(stack_size, ret_stack);
    if (status < 0)
        return status;
    ret_place = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(ret_stack.high) - object_size) & ~(cache_line - 1));
    return 0;
}

} // namespace kolk

kolk_coroutine::kolk_coroutine(loop &on, stack where, size_t size, kolk_task *body_of, kolk_coroutine_fn body, void *data,
                               kolk_destroy_fn release) noexcept
    : counted(on), task(body_of), memory(where), stack_size(size), fn(body), userdata(data), destroy(release) {
    /* The stack begins below whatever object this is the last part of. */
    char *top = body_of ? reinterpret_cast<char *>(body_of) : reinterpret_cast<char *>(this);
    prepare_fiber(context, where.low, top, run, this);
}

kolk_coroutine::~kolk_coroutine() {
    destroy_userdata(destroy, userdata);
    kolk::unref(raised);
    forget_fiber(context);
}

void kolk_coroutine::ref() noexcept {
    if (task)
        task->ref();
    else
        refs++;
}

void kolk_coroutine::unref() noexcept {
    if (task)
        return task->unref();
    if (refs == 1 && state == KOLK_COROUTINE_SUSPENDED) {
        int status = close();
        /* One that yields instead of ending cannot be freed: its stack is in use. It is told once more, then given up; the loop
         * keeps the memory. */
        if (status == KOLK_EYIELD && (status = close()) == KOLK_EYIELD) {
            error *what =
                make_error(KOLK_EYIELD, 0, nullptr, "a coroutine that was dropped went on yielding; its stack is lost");
            owner->report(*what);
            kolk::unref(what);
            return;
        }
    }
    if (--refs > 0)
        return;
    loop &on = *owner;
    stack where = memory;
    size_t size = stack_size;
    this->~kolk_coroutine();
    on.stacks.release(where, size);
    on.object_gone();
}

void kolk_coroutine::run(void *argument) noexcept {
    auto &self = *static_cast<kolk_coroutine *>(argument);
    void *result = nullptr;
    int status = self.fn(self.userdata, &result);
    self.state = KOLK_COROUTINE_CLOSED;
    self.step = status < 0 ? status : int(KOLK_COROUTINE_RETURNED);
    self.value = status < 0 ? nullptr : result;
    /* What it ended with, unless it caught that one and failed of something else. */
    if (self.raised && (status >= 0 || self.raised->status != status))
        self.raised = kolk::unref(self.raised);
    if (status < 0 && !self.raised)
        self.raised = error_of(status);
    leave_fiber(self.context, self.task ? *self.owner->home : *self.resumer);
}

int kolk_coroutine::resume(int how, void *sent, void **ret_value) noexcept {
    if (state == KOLK_COROUTINE_RUNNING || task)
        return KOLK_EBUSY;
    if (state == KOLK_COROUTINE_CLOSED)
        return KOLK_EEXITED;
    if (state == KOLK_COROUTINE_CREATED && sent)
        return KOLK_ENOTSTARTED;
    refs++; /* it may drop the last other reference to itself */
    thread_state &here = this_thread;
    coroutine *outer = here.coroutine;
    fiber this_stack;
    resumer = &running_fiber(*owner, this_stack);
    step = how;
    value = sent;
    state = KOLK_COROUTINE_RUNNING;
    here.coroutine = this;
    switch_fiber(*resumer, context);
    here.coroutine = outer;
    int what = step;
    if (ret_value && what >= 0)
        *ret_value = value;
    unref();
    return what;
}

int kolk_coroutine::throw_in(kolk_error &error, void **ret_value) noexcept {
    if (state == KOLK_COROUTINE_RUNNING || task)
        return KOLK_EBUSY;
    if (state == KOLK_COROUTINE_CLOSED)
        return KOLK_EEXITED;
    kolk::ref(&error);
    kolk::unref(raised);
    raised = &error;
    if (state == KOLK_COROUTINE_CREATED) {
        state = KOLK_COROUTINE_CLOSED;
        return error.status;
    }
    return resume(error.status, nullptr, ret_value);
}

int kolk_coroutine::close() noexcept {
    if (state == KOLK_COROUTINE_CREATED && !task)
        state = KOLK_COROUTINE_CLOSED;
    if (state == KOLK_COROUTINE_CLOSED)
        return 0;
    int status = throw_in(*static_error(KOLK_ECANCELED), nullptr);
    if (status > 0)
        return KOLK_EYIELD;
    return status == KOLK_ECANCELED ? 0 : status;
}

int kolk_coroutine::yield(int what, void *handed_out, void **ret_sent) noexcept {
    step = what;
    value = handed_out;
    state = KOLK_COROUTINE_SUSPENDED;
    switch_fiber(context, *resumer);
    if (step < 0)
        return step;
    if (ret_sent)
        *ret_sent = value;
    return 0;
}

int kolk_coroutine::raise(kolk_error *error) noexcept {
    kolk_error *what = error ? error : static_error(KOLK_EUNSPECIFIED);
    kolk::unref(raised);
    raised = what;
    return what->status;
}
