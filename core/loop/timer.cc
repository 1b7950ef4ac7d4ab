#include "core/loop/timer.hh"

#include "core/future/future.hh"

using namespace kolk;

void kolk_timer::unref() noexcept {
    if (--refs > 0)
        return;
    (void)stop();
    destroy_userdata(destroy, userdata);
    dispose_of(*this);
}

void kolk_timer::expired(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<kolk_timer &>(item);
    if (closing)
        return;
    self.fetch_ahead();
    self.ref(); /* the callback may drop it */
    self.fn(self.userdata);
    self.unref();
}
