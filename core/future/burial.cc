#include "core/future/burial.hh"

namespace kolk {

namespace {

const holder_kind &kind_of(const future &self) noexcept { return static_cast<const holder_kind &>(*self.kind); }

} // namespace

void burial::add(future &dead) noexcept {
    if (dead.kind->dispose != dispose_holder)
        return dead.kind->dispose(dead);
    holder &one = kind_of(dead).of(dead);
    one.below = dying_;
    dying_ = &one;
}

void dispose_holder(future &first) noexcept {
    burial rest;
    rest.add(first);
    while (holder *one = rest.dying_) {
        rest.dying_ = one->below;
        kind_of(*one->who).bury(*one, rest);
    }
}

} // namespace kolk
