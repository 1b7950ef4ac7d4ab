#include "core/coroutine/coroutine.hh"

#include "core/error.hh"
#include "core/task/sleep.hh"
#include "core/task/task.hh"

#include <string.h>

using namespace kolk;

namespace kolk {

int acquire_stack(loop &on, size_t stack_size, size_t object_size, stack &ret_stack, void *&ret_place) noexcept {
    /* What a switch touches of a fiber_task, and of its coroutine behind it, are 128 bytes from here on: two lines. */
    constexpr uintptr_t cache_line = 64, line_begins = 72 % cache_line;
    int status = on.stacks.acquire(stack_size, ret_stack);
    if (status < 0)
        return status;
    uintptr_t highest = reinterpret_cast<uintptr_t>(ret_stack.high) - object_size;
    ret_place = reinterpret_cast<void *>(((highest + line_begins) & ~(cache_line - 1)) - line_begins);
    return 0;
}

void copy_name(char (&ret_name)[32], const char *text) noexcept {
    strncpy(ret_name, text ? text : "", sizeof ret_name - 1);
    ret_name[sizeof ret_name - 1] = 0;
}

/* Where what is raised now is kept; nullptr outside of everything that can fail. */
static error **slot_for_errors() noexcept {
    thread_state &here = this_thread;
    if (here.coroutine)
        return &here.coroutine->raised;
    return here.raised || !here.task ? here.raised : &here.step_raised;
}

int raise(error *what) noexcept {
    if (!what)
        what = static_error(KOLK_EUNSPECIFIED);
    int status = what->status;
    if (error **slot = slot_for_errors())
        unref(std::exchange(*slot, what));
    else
        unref(what);
    return status;
}

error *raised() noexcept {
    error **slot = slot_for_errors();
    return slot ? *slot : nullptr;
}

} // namespace kolk

kolk_coroutine::~kolk_coroutine() { kolk::unref(raised); }

fiber_coroutine::fiber_coroutine(loop &on, stack where, char *top, size_t size, kolk_task *body_of, kolk_coroutine_fn body,
                                 void *data, kolk_destroy_fn release) noexcept
    : coroutine(on, nullptr, body_of), memory(where), stack_size(size), fn(body), userdata(data), destroy(release) {
    prepare_fiber(context, where.low, top, run, this);
}

fiber_coroutine::~fiber_coroutine() {
    destroy_userdata(destroy, userdata);
    forget_fiber(context);
}

/* What it was given; it will not be resumed again. */
void foreign_coroutine::release() noexcept {
    if (ops->destroy && !std::exchange(released, true))
        ops->destroy(frame);
}

void kolk_coroutine::ref() noexcept {
    if (embedded)
        task->ref();
    else
        refs++;
}

void kolk_coroutine::unref() noexcept {
    if (embedded)
        return task->unref();
    if (refs == 1 && state == KOLK_COROUTINE_CREATED && !task) {
        error *what =
            make_error(KOLK_ENOTSTARTED, 0, nullptr, "a coroutine was never started: %s", name[0] ? name : "(no name)");
        owner->report(*what);
        kolk::unref(what);
    }
    if (refs == 1 && state == KOLK_COROUTINE_SUSPENDED && !task) {
        int status = close();
        /* One that yields instead of ending cannot be freed: its stack is in use. It is told once more, then given up; the loop
         * keeps the memory. */
        if (status == KOLK_EYIELD && (status = close()) == KOLK_EYIELD && !ops) {
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
    if (ops) {
        auto *self = static_cast<foreign_coroutine *>(this);
        self->release();
        on.objects.destroy(self);
    } else {
        auto *self = static_cast<fiber_coroutine *>(this);
        stack where = self->memory;
        size_t size = self->stack_size;
        self->~fiber_coroutine();
        on.stacks.release(where, size);
    }
    on.object_gone();
}

void fiber_coroutine::run(void *argument) noexcept {
    auto &self = *static_cast<fiber_coroutine *>(argument);
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
    if (coroutine *outer = self.outer) {
        coroutine &all = self.find_outermost();
        all.innermost = outer;
        self.outer = nullptr;
        this_thread.coroutine = outer;
        leave_fiber(self.context, outer->context);
    }
    leave_fiber(self.context, self.task ? *self.owner->home : *self.resumer);
}

/* Each one on the way is brought nearer, so that the next search is short. */
kolk_coroutine &kolk_coroutine::find_outermost() noexcept {
    coroutine *at = this;
    while (at->outermost != at) {
        at->outermost = at->outermost->outermost;
        at = at->outermost;
    }
    return *at;
}

/* A task's body stops and goes on without being told: its task knows. */
kolk_coroutine_state kolk_coroutine::where_it_stands() noexcept {
    coroutine &all = outer ? find_outermost() : *this;
    bool waits = all.state == KOLK_COROUTINE_RUNNING && all.task && all.task->parked;
    return waits ? KOLK_COROUTINE_SUSPENDED : all.state;
}

int kolk_coroutine::check_resumable() const noexcept {
    if (state == KOLK_COROUTINE_RUNNING || task || outer)
        return KOLK_EBUSY;
    return state == KOLK_COROUTINE_CLOSED ? int(KOLK_EEXITED) : 0;
}

int kolk_coroutine::resume(int how, void *sent, void **ret_value) noexcept {
    if (int status = check_resumable(); status < 0)
        return status;
    if (state == KOLK_COROUTINE_CREATED && sent)
        return KOLK_ENOTSTARTED;
    refs++; /* it may drop the last other reference to itself */
    thread_state &here = this_thread;
    coroutine *resuming = here.coroutine;
    coroutine *inside = innermost;
    inside->step = how;
    inside->value = sent;
    inside->state = state = KOLK_COROUTINE_RUNNING;
    if (ops) {
        static_cast<foreign_coroutine *>(this)->go_on(how);
    } else {
        fiber this_stack;
        resumer = &running_fiber(*owner, this_stack);
        here.coroutine = inside;
        switch_fiber(*resumer, inside->context);
        here.coroutine = resuming;
    }
    int what = step;
    if (ret_value && what >= 0)
        *ret_value = value;
    unref();
    return what;
}

int kolk_coroutine::throw_in(kolk_error &error, void **ret_value) noexcept {
    if (int status = check_resumable(); status < 0)
        return status;
    kolk::ref(&error);
    kolk::unref(innermost->raised);
    innermost->raised = &error;
    if (state == KOLK_COROUTINE_CREATED) {
        never_start();
        return error.status;
    }
    return resume(error.status, nullptr, ret_value);
}

void kolk_coroutine::never_start() noexcept {
    state = KOLK_COROUTINE_CLOSED;
    if (ops)
        static_cast<foreign_coroutine *>(this)->release();
}

int kolk_coroutine::close() noexcept {
    if (state == KOLK_COROUTINE_CREATED && !task)
        never_start();
    if (state == KOLK_COROUTINE_CLOSED)
        return 0;
    closing = true;
    int status = throw_in(*static_error(KOLK_ECANCELED), nullptr);
    closing = false;
    if (status > 0)
        return KOLK_EYIELD;
    return status == KOLK_ECANCELED ? 0 : status;
}

int kolk_coroutine::yield(int what, void *handed_out, void **ret_sent) noexcept {
    coroutine &all = outer ? find_outermost() : *this;
    all.step = what;
    all.value = handed_out;
    state = all.state = KOLK_COROUTINE_SUSPENDED;
    switch_fiber(context, *all.resumer);
    if (step < 0)
        return step;
    if (ret_sent)
        *ret_sent = value;
    return 0;
}

/* Comes back when `sub` has ended. */
int kolk_coroutine::delegate_to_fiber(kolk_coroutine &sub) noexcept {
    coroutine &all = find_outermost();
    coroutine *inside = sub.innermost;
    sub.outer = this;
    sub.outermost = &all;
    all.innermost = inside;
    inside->step = 0;
    inside->value = nullptr;
    sub.state = inside->state = KOLK_COROUTINE_RUNNING;
    this_thread.coroutine = inside;
    switch_fiber(context, inside->context);
    return sub.step;
}

/* The same where there is no way to the inside of `sub` but through it: everything is passed on by hand. */
int kolk_coroutine::drive(kolk_coroutine &sub, void **ret_result) noexcept {
    void *sent = nullptr;
    int how = 0;
    for (;;) {
        void *out = nullptr;
        int what = how < 0 ? sub.throw_in(*raised, &out) : sub.resume(0, sent, &out);
        if (what <= KOLK_COROUTINE_RETURNED) {
            *ret_result = out;
            return what;
        }
        sent = nullptr;
        if (!task) {
            how = yield(what, out, &sent);
        } else if (what == KOLK_COROUTINE_YIELDED) {
            how = raise(static_error(KOLK_EYIELD));
        } else {
            how = out ? await(*static_cast<future *>(out)) : sleep(*task, 0);
        }
        if (how < 0 && (!raised || raised->status != how))
            raise(error_of(how));
    }
}

int kolk_coroutine::yield_from(kolk_coroutine &sub, void **ret_result) noexcept {
    if (sub.owner != owner)
        return KOLK_EINVAL;
    if (int status = sub.check_resumable(); status < 0)
        return status;
    sub.refs++;
    void *result = nullptr;
    int status;
    if (sub.ops || task) {
        status = drive(sub, &result);
    } else {
        status = delegate_to_fiber(sub);
        result = sub.value;
    }
    /* However the inner one took it: this one is to end. */
    if (status >= 0 && find_outermost().closing)
        status = KOLK_ECANCELED;
    if (status < 0)
        raise(sub.raised ? kolk::ref(sub.raised) : error_of(status));
    else if (ret_result)
        *ret_result = result;
    sub.unref();
    return status;
}

int kolk_coroutine::raise(kolk_error *error) noexcept {
    kolk_error *what = error ? error : static_error(KOLK_EUNSPECIFIED);
    kolk::unref(raised);
    raised = what;
    return what->status;
}

/* The table's function runs on the stack of whoever resumes: no coroutine of ours is current meanwhile, and what it raises is
 * kept beside the thread. */
void foreign_coroutine::go_on(int how) noexcept {
    thread_state &here = this_thread;
    coroutine *resuming = here.coroutine;
    error **outside = here.raised;
    if (how >= 0)
        raised = kolk::unref(raised);
    here.coroutine = nullptr;
    here.raised = &raised;
    void *out = nullptr;
    int what = ops->resume(frame, how, value, &out);
    here.raised = outside;
    here.coroutine = resuming;
    step = what;
    value = out;
    if (what > KOLK_COROUTINE_RETURNED) {
        state = KOLK_COROUTINE_SUSPENDED;
        return;
    }
    state = KOLK_COROUTINE_CLOSED;
    if (raised && raised->status != what)
        raised = kolk::unref(raised);
    if (what < 0 && !raised)
        raised = error_of(what);
    release();
}
