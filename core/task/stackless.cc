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

/* It stops where its function has returned. Anything else is the status that it is told instead. */
constexpr int stopped = 1;

/* Parks it behind everyone who is ready. */
inline int stackless_task::let_others_run() noexcept {
    if (any() && refuse(lets_others_run))
        return KOLK_ECANCELED;
    parked = &lets_others_run;
    wake(); /* unless it was refused, but not on the spot */
    return stopped;
}

/* Parks it on a future, unless that has come already: then it costs no turn. */
inline int stackless_task::stop_for(future &next) noexcept {
    if (next.owner != owner || &next == this) [[unlikely]]
        return raise(static_error(KOLK_EINVAL));
    if (next.done())
        return 0;
    awaiting = &next;
    if (any() && refuse(awaits_future)) [[unlikely]] {
        awaiting = nullptr;
        return KOLK_ECANCELED;
    }
    parked = &awaits_future;
    if (next.done()) [[unlikely]] /* refusing may have ended it */
        wake();
    else if (!static_cast<ready_item *>(this)->linked()) [[likely]]
        next.waiters.push_back(*this);
    return stopped;
}

static inline int call_step(stackless_task &self, int status, void **ret_value) noexcept {
    self.state().status = status;
    return self.fn(&self.state(), ret_value);
}

static inline int call_foreign(stackless_task &self, int status, void **ret_value) noexcept {
    return self.ops->resume(self.frame, status, nullptr, ret_value);
}

static inline int call(stackless_task &self, int status, void **ret_value) noexcept {
    return self.is_step() ? call_step(self, status, ret_value) : call_foreign(self, status, ret_value);
}

/* After what its function returned: until it has ended, or has something to wait for. */
[[gnu::noinline]] void stackless_task::go_on_after(int what, void *value) noexcept {
    for (;;) {
        int status;
        if (what == KOLK_COROUTINE_AWAITING) [[likely]]
            status = value ? stop_for(*static_cast<future *>(value)) : let_others_run();
        else if (what <= KOLK_COROUTINE_RETURNED)
            return returned(what, value);
        else
            status = raise(static_error(what == KOLK_COROUTINE_YIELDED ? KOLK_EYIELD : KOLK_EINVAL));
        if (status == stopped)
            return stops();
        value = nullptr;
        what = call(*this, status, &value);
    }
}

inline void stackless_task::stops() noexcept {
    thread_state &here = this_thread;
    here.task = nullptr;
    if (here.step_raised) [[unlikely]]
        here.step_raised = kolk::unref(here.step_raised);
}

inline void stackless_task::returned(int what, void *value) noexcept {
    kolk_error *why = std::exchange(this_thread.step_raised, nullptr);
    if (why && why->status != what)
        why = kolk::unref(why);
    release();
    ended(what, value, what < 0 && !why ? error_of(what) : why);
}

/* Where it must be told of something first: what the last wait ended with, if not with the future. */
[[gnu::noinline]] void stackless_task::go_on_carefully() noexcept {
    if (must_cancel && !parked) {
        release();
        return ended(KOLK_ECANCELED, nullptr, notes ? kolk::ref(notes->cancel_words) : nullptr);
    }
    this_thread.task = this;
    int status = 0;
    if (must_cancel) {
        status = told_to_cancel();
    } else if (notes && notes->cancel_words && awaiting && awaiting->state == outcome::cancelled) {
        raise_cancel_words(); /* the future has none, for it was cancelled on the task's account */
    }
    parked = nullptr;
    awaiting = nullptr;
    void *value = nullptr;
    int what = call(*this, status, &value);
    go_on_after(what, value);
}

/* This is called from the loop's turn, where no coroutine is current and nothing is raised. What most tasks do most of the time
 * stands in here. */
template <class Call>
[[gnu::always_inline]] inline void stackless_task::go_on(Call call) noexcept {
    if (any() || notes) [[unlikely]]
        return go_on_carefully();
    this_thread.task = this;
    parked = nullptr;
    awaiting = nullptr;
    void *value = nullptr;
    int what = call(*this, 0, &value);
    if (what != KOLK_COROUTINE_AWAITING || value || any())
        return go_on_after(what, value);
    parked = &lets_others_run;
    owner->make_ready_silently(*this);
    stops();
}

void stackless_task::run_foreign(ready_item &item, bool) noexcept {
    auto &self = static_cast<stackless_task &>(item);
    self.go_on(call_foreign);
}

void stackless_task::run_step(ready_item &item, bool) noexcept {
    auto &self = static_cast<stackless_task &>(item);
    self.go_on(call_step);
}

/* What it was given; it will not be called again. Destructors still find themselves in the task. */
void stackless_task::release() noexcept {
    this_thread.task = this;
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
    stops();
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
