#include "core/loop/waker.hh"

#include "core/future/future.hh"

using namespace kolk;

/* While it lies in the inbox its memory is not ours to give back: the last owner leaves that to its arrival. */
void kolk_waker::unref() noexcept {
    if (--refs > 0)
        return;
    kolk_callback_fn called = fn;
    fn = nullptr;
    if (ready_item::linked())
        owner->un_ready(*this);
    else if (called && rung.load(std::memory_order_acquire) && !owner->closed())
        return destroy_userdata(std::exchange(destroy, nullptr), userdata);
    finish();
}

void kolk_waker::finish() noexcept {
    destroy_userdata(destroy, userdata);
    dispose_of(*this);
}

void kolk_waker::arrived(inbox_item &item, bool closing) noexcept {
    auto &self = static_cast<kolk_waker &>(item);
    if (!self.fn)
        self.finish();
    else if (closing)
        self.rung.store(false, std::memory_order_relaxed);
    else
        self.owner->make_ready(self);
}

void kolk_waker::answer(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<kolk_waker &>(item);
    /* Before the call, so that a ring during it brings another one; read and written at once, so that what was written before
     * the ring is seen. */
    self.rung.exchange(false, std::memory_order_acq_rel);
    if (closing)
        return;
    self.ref(); /* the callback may drop it */
    self.fn(self.userdata);
    self.unref();
}
