/* The end of futures that hold others, which may go together with them.
 *
 * Chains may be long, and whoever drops one may be a fiber with little stack left. So those that go stand in a list, and each
 * adds to it those that only it held. */
#pragma once

#include "core/future/future.hh"

namespace kolk {

struct holder {
    future *const who;
    holder *below = nullptr; /* on a stack of the moment: of those that are being cancelled, or of those that go */
};

class burial {
  public:
    void unref(future &what) noexcept {
        if (--what.refs == 0)
            add(what);
    }
    /* Of one that nobody refers to any more. */
    void add(future &dead) noexcept;

  private:
    friend void dispose_holder(future &first) noexcept;

    holder *dying_ = nullptr;
};

/* The `dispose` of holders. */
void dispose_holder(future &first) noexcept;

/* Every future whose kind has that `dispose` is of such a kind. */
struct holder_kind : future_kind {
    holder &(*of)(future &self) noexcept;
    /* Gives back the holder, and with it the future, or hands that on if it is of another kind now. Drops what it held. */
    void (*bury)(holder &self, burial &rest) noexcept;
};

} // namespace kolk
