#include "core/future/shield.hh"

#include "core/future/dependent.hh"

namespace kolk {

namespace {

struct shielded final : future, dependent {
    explicit shielded(future &what) noexcept : future(*what.owner, kind_of_shield), dependent(*this, what, source_done) {}

    static void source_done(ready_item &item, bool) noexcept {
        auto &self = static_cast<shielded &>(item);
        self.finish_like(*self.source);
        self.leave();
    }

    static const dependent_kind kind_of_shield;
};

constinit const dependent_kind shielded::kind_of_shield = {
    {{"shield",
      [](future &self) noexcept {
          static_cast<shielded &>(self).abandon();
          return true;
      },
      dispose_holder, false},
     [](future &self) noexcept -> holder & { return static_cast<shielded &>(self); },
     bury_dependent},
    nullptr,
    [](dependent &self) noexcept -> future * {
        dispose_of(static_cast<shielded &>(self));
        return nullptr;
    },
};

} // namespace

int shield(future &what, future *&ret_future) noexcept {
    auto *made = what.owner->objects.create<shielded>(what);
    if (!made)
        return KOLK_ENOMEM;
    made->begin();
    ret_future = made;
    return 0;
}

} // namespace kolk
