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
    dependent *asked = nullptr;
    bool taken = true;
    for (future *at = &first;;) {
        if (at->kind->cancel != cancel_source) {
            taken = at->cancel();
            break;
        }
        dependent &one = kind_of(*at).of(*at);
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
    while (dependent *one = asked) {
        asked = one->below;
        one->asked = false;
        one->who->unref();
    }
    return taken;
}

void dispose_dependent(future &first) noexcept {
    dependent *dying = nullptr;
    auto bury = [&dying](future &dead) noexcept {
        if (dead.kind->dispose != dispose_dependent)
            return dead.kind->dispose(dead);
        dependent &one = kind_of(dead).of(dead);
        one.below = dying;
        dying = &one;
    };
    bury(first);
    while (dependent *one = dying) {
        dying = one->below;
        future *source = one->source;
        if (future *left = kind_of(*one->who).destroy(*one))
            bury(*left);
        if (source && --source->refs == 0)
            bury(*source);
    }
}

} // namespace kolk
