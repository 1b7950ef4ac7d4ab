#include "core/future/dependent.hh"

namespace kolk {

namespace {

const dependent_kind &kind_of(const future &self) noexcept { return static_cast<const dependent_kind &>(*self.kind); }

} // namespace

void dependent::begin() noexcept {
    who->ref();
    who->owner->resources.push_back(*this);
    source->add_waiter(*this);
}

void dependent::leave() noexcept {
    if (resource::linked())
        resource::unlink();
    if (!source->has_result())
        std::exchange(source, nullptr)->unref();
    who->unref();
}

void dependent::abandon() noexcept {
    if (source->done())
        who->owner->un_ready(*this);
    else
        ready_item::unlink();
    if (resource::linked())
        resource::unlink();
    who->end_cancelled();
    if (kind_of(*who).forget)
        kind_of(*who).forget(*this);
    std::exchange(source, nullptr)->unref();
    who->unref();
}

void dependent::loop_closes(resource &held) noexcept { static_cast<dependent &>(held).abandon(); }

bool cancel_source(future &first) noexcept {
    holder *asked = nullptr;
    bool taken = true;
    for (future *at = &first;;) {
        if (at->kind->cancel != cancel_source) {
            taken = at->cancel();
            break;
        }
        auto &one = static_cast<dependent &>(kind_of(*at).of(*at));
        if (one.asked || one.source->done()) {
            one.abandon();
            break;
        }
        one.asked = true;
        one.below = asked;
        asked = &one;
        at->ref();
        at = one.source;
    }
    while (holder *one = asked) {
        asked = one->below;
        auto &self = static_cast<dependent &>(*one);
        self.asked = false;
        self.cancelling |= taken;
        one->who->unref();
    }
    return taken;
}

void bury_dependent(holder &held, burial &rest) noexcept {
    auto &self = static_cast<dependent &>(held);
    future *source = self.source;
    if (future *left = kind_of(*self.who).destroy(self))
        rest.add(*left);
    if (source)
        rest.unref(*source);
}

} // namespace kolk
