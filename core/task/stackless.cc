#include "core/error.hh"
#include "core/task/scope.hh"
#include "core/task/task.hh"

#include <string.h>

namespace kolk {

static constexpr size_t tail_unit = 8;

constinit const future_kind stackless_task_kind = {
    "task",
    [](future &self) noexcept { return static_cast<task &>(self).request_cancel(); },
    [](future &self) noexcept {
        auto &ending = static_cast<stackless_task &>(self);
        loop &on = *ending.owner;
        size_t size = sizeof ending + ending.tail * tail_unit;
        ending.~stackless_task();
        on.objects.give(static_cast<void *>(&ending), size);
        on.object_gone();
    },
    false,
    true,
};

int create_foreign_task(loop &on, const kolk_coroutine_ops &ops, void *frame, const task_plan &plan, task *&ret_task) noexcept {
    auto *made = on.objects.create<stackless_task>(on, ops, frame, plan.destroy_result());
    if (!made)
        return KOLK_ENOMEM;
    int status = plan.start(*made);
    if (status < 0) {
        made->unref();
        return status;
    }
    ret_task = made;
    return 0;
}

int create_step_task(loop &on, kolk_step_fn fn, const void *state, size_t size, kolk_destroy_fn destroy, const task_plan &plan,
                     task *&ret_task) noexcept {
    size_t units = (size + tail_unit - 1) / tail_unit;
    void *memory = on.objects.take(sizeof(stackless_task) + units * tail_unit);
    if (!memory)
        return KOLK_ENOMEM;
    auto *made = ::new (memory) stackless_task(on, fn, plan.destroy_result());
    made->tail = uint16_t(units);
    memcpy(static_cast<void *>(&made->state()), state, size);
    int status = plan.start(*made);
    if (status < 0) {
        made->unref();
        return status;
    }
    made->destroy = destroy;
    ret_task = made;
    return 0;
}

/* Parks it on a future, or, with nullptr, behind everyone who is ready. False when it must not wait. */
inline bool stackless_task::stop_for(future *next) noexcept {
    parking &how = next ? awaits_future : lets_others_run;
    awaiting = next;
    if ((must_cancel || scoped || owner->closing()) && refuse(how)) [[unlikely]] {
        awaiting = nullptr;
        return false;
    }
    parked = &how;
    if (static_cast<ready_item *>(this)->linked())
        return true; /* it is refused, but not on the spot */
    if (!next || next->done())
        owner->make_ready(*this);
    else
        next->waiters.push_back(*this);
    return true;
}

/* What the last wait ended with, if not with the future: this is what it is told first. */
inline int stackless_task::wake_up() noexcept {
    int status = 0;
    if (must_cancel) [[unlikely]] {
        must_cancel = false;
        raise_cancel_words();
        status = KOLK_ECANCELED;
    } else if (notes && notes->cancel_words && awaiting && awaiting->state == outcome::cancelled) [[unlikely]] {
        raise_cancel_words(); /* the future has none, for it was cancelled on the task's account */
    }
    parked = nullptr;
    awaiting = nullptr;
    return status;
}

/* Until it has ended, or has something to wait for. What it waits for and has come already costs no turn. This is called from
 * the loop's turn, where no coroutine is current and nothing is raised. */
template <class Resume>
inline void stackless_task::go_on(Resume resume) noexcept {
    thread_state &here = this_thread;
    kolk_error *why = nullptr;
    here.raised = &why;
    here.task = this;
    void *value;
    int what;
    for (int status = wake_up();;) {
        value = nullptr;
        what = resume(*this, status, &value);
        if (what <= KOLK_COROUTINE_RETURNED)
            break;
        auto *next = static_cast<future *>(value);
        if (what == KOLK_COROUTINE_YIELDED)
            status = raise(static_error(KOLK_EYIELD));
        else if (what != KOLK_COROUTINE_AWAITING || (next && (next->owner != owner || next == this)))
            status = raise(static_error(KOLK_EINVAL));
        else if (next && next->done())
            status = 0;
        else if (stop_for(next))
            break;
        else
            status = KOLK_ECANCELED;
    }
    here.raised = nullptr;
    here.task = nullptr;
    if (why && (what >= 0 || why->status != what))
        why = kolk::unref(why);
    if (what > KOLK_COROUTINE_RETURNED)
        return;
    release();
    ended(what, value, what < 0 && !why ? error_of(what) : why);
}

void stackless_task::run_foreign(ready_item &item, bool) noexcept {
    auto &self = static_cast<stackless_task &>(item);
    if (self.must_cancel && !self.parked) [[unlikely]]
        return self.end_before_start();
    self.go_on([](stackless_task &me, int status, void **ret_value) noexcept {
        return me.ops->resume(me.frame, status, nullptr, ret_value);
    });
}

void stackless_task::run_step(ready_item &item, bool) noexcept {
    auto &self = static_cast<stackless_task &>(item);
    if (self.must_cancel && !self.parked) [[unlikely]]
        return self.end_before_start();
    self.go_on([](stackless_task &me, int status, void **ret_value) noexcept {
        me.state().status = status;
        return me.fn(&me.state(), ret_value);
    });
}

void stackless_task::end_before_start() noexcept {
    release();
    ended(KOLK_ECANCELED, nullptr, notes ? kolk::ref(notes->cancel_words) : nullptr);
}

/* What it was given; it will not be called again. */
void stackless_task::release() noexcept {
    if (is_step()) {
        if (state().future)
            state().future->unref();
        destroy_userdata(destroy, &state());
    } else {
        const kolk_coroutine_ops *table = ops;
        if (ops == &driven_coroutine_ops)
            ops = static_cast<coroutine *>(frame)->ops; /* whoever looks at the task will want to know its kind */
        destroy_userdata(table->destroy, frame);
    }
}

namespace {

int resume_driven(void *frame, int status, void *sent, void **ret_value) noexcept {
    auto *self = static_cast<foreign_coroutine *>(static_cast<coroutine *>(frame));
    if (status < 0 && raised()) {
        unref(self->raised);
        self->raised = ref(raised());
    } else if (status < 0) {
        unref(self->raised);
        self->raised = error_of(status);
    }
    self->value = sent;
    self->state = KOLK_COROUTINE_RUNNING;
    self->go_on(status);
    if (self->step < 0)
        raise(ref(self->raised));
    *ret_value = self->value;
    return self->step;
}

} // namespace

constinit const kolk_coroutine_ops driven_coroutine_ops = {
    sizeof(kolk_coroutine_ops),
    0,
    "coroutine",
    resume_driven,
    [](void *frame) {
        auto *self = static_cast<coroutine *>(frame);
        self->task = nullptr;
        if (self->state != KOLK_COROUTINE_CLOSED)
            self->state = KOLK_COROUTINE_CLOSED;
        self->unref();
    },
};

} // namespace kolk
