#include "core/coroutine/step.hh"

#include "core/error.hh"
#include "core/future/future.hh"

#include <string.h>

namespace kolk {

namespace {

/* In front of the state. */
struct alignas(16) step_frame {
    loop *on;
    size_t size;
    kolk_step_fn fn;
    kolk_destroy_fn destroy;

    [[nodiscard]] kolk_step &state() noexcept { return *reinterpret_cast<kolk_step *>(this + 1); }
};

int resume_frame(void *frame, int status, void *sent, void **ret_value) noexcept {
    auto &self = *static_cast<step_frame *>(frame);
    self.state().status = status;
    *ret_value = sent;
    return self.fn(&self.state(), ret_value);
}

void destroy_frame(void *frame) noexcept {
    auto &self = *static_cast<step_frame *>(frame);
    step_clear(self.state());
    destroy_userdata(self.destroy, &self.state());
    self.on->objects.give(&self, sizeof self + self.size);
}

constinit const kolk_coroutine_ops step_ops = {sizeof(kolk_coroutine_ops), 0, "step", resume_frame, destroy_frame};

} // namespace

/* How a wait begins that gives back what was waited for before. */
[[gnu::noinline]] static int drop_and_return(future &before, int how) noexcept {
    before.unref();
    return how;
}

int step_await(kolk_step &self, int status, future *what, void **ret_value) noexcept {
    future *before = self.future;
    self.future = what;
    self.status = status < 0 ? status : 0;
    int how = 0;
    if (status >= 0 && (!what || !what->done())) {
        *ret_value = what;
        how = KOLK_COROUTINE_AWAITING;
    }
    return before ? drop_and_return(*before, how) : how;
}

/* What was waited for did not end well. */
[[gnu::noinline]] static int resumed_badly(kolk_step &self) noexcept {
    self.status = self.future->result(nullptr);
    error *known = raised();
    if (!known || known->status != self.status)
        raise(ref(self.future->error()));
    return self.status;
}

int step_resumed(kolk_step &self) noexcept {
    if (self.status < 0 || !self.future)
        return self.status;
    return self.future->has_result() ? self.status = 0 : resumed_badly(self);
}

int step_call(kolk_step &self, kolk_step_fn fn, kolk_step &state, void **ret_value) noexcept {
    /* An error that was thrown in is for the innermost; what stands here before the first call is of an earlier wait. */
    state.status = state.at ? self.status : 0;
    int what = fn(&state, ret_value);
    if (what > KOLK_COROUTINE_RETURNED)
        return what;
    self.status = what;
    step_clear(state);
    if (what < 0)
        *ret_value = nullptr;
    return 0;
}

void step_clear(kolk_step &self) noexcept {
    if (self.future)
        self.future->unref();
    self = {};
}

int make_step_coroutine(loop &on, kolk_step_fn fn, const void *state, size_t size, kolk_destroy_fn destroy,
                        coroutine *&ret_coroutine) noexcept {
    void *memory = on.objects.take(sizeof(step_frame) + size);
    if (!memory)
        return KOLK_ENOMEM;
    auto *frame = ::new (memory) step_frame{&on, size, fn, destroy};
    memcpy(static_cast<void *>(&frame->state()), state, size);
    auto *made = on.objects.create<foreign_coroutine>(on, step_ops, frame);
    if (!made) {
        on.objects.give(memory, sizeof(step_frame) + size);
        return KOLK_ENOMEM;
    }
    ret_coroutine = made;
    return 0;
}

} // namespace kolk
