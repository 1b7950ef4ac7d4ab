#include "core/future/follow.hh"

#include "core/future/dependent.hh"

namespace kolk {

namespace {

/* A kind with one future of it. So a future that follows another finds what it needs for that, and one that does not has no
 * room to spare for it. */
struct follower final : dependent_kind, dependent {
    const future_kind *before; /* the kind that `who` was of */

    follower(future &self, future &other) noexcept
        : dependent_kind{{{"follow", cancel_source, dispose_holder, false}, find, bury_dependent}, nullptr, destroy},
          dependent(self, other, source_done), before(self.kind) {}

    static holder &find(future &self) noexcept { return static_cast<follower &>(const_cast<future_kind &>(*self.kind)); }

    static void source_done(ready_item &item, bool) noexcept {
        auto &self = static_cast<follower &>(item);
        self.who->finish_like(*self.source);
        self.leave();
    }

    static future *destroy(dependent &held) noexcept {
        auto &self = static_cast<follower &>(held);
        future &who = *self.who;
        who.kind = self.before;
        who.owner->objects.destroy(&self);
        return &who;
    }
};

} // namespace

int follow(future &self, future &other) noexcept {
    auto *made = self.owner->objects.create<follower>(self, other);
    if (!made)
        return KOLK_ENOMEM;
    self.kind = made;
    made->begin();
    return 0;
}

bool follows(const future &self) noexcept {
    return self.kind->dispose == dispose_holder && static_cast<const holder_kind &>(*self.kind).of == follower::find;
}

} // namespace kolk
