#include "core/loop/inbox.hh"

namespace kolk {

post inbox::push(inbox_item &item) noexcept {
    /* Acquired, because who learns that the loop has closed goes on to release what the loop wrote to. */
    inbox_item *top = top_.load(std::memory_order_acquire);
    do {
        if (top == &closed_)
            return post::closed;
        item.below = top;
    } while (!top_.compare_exchange_weak(top, &item, std::memory_order_seq_cst, std::memory_order_acquire));
    return top ? post::joined : post::was_empty;
}

inbox_item *inbox::in_order(inbox_item *top) const noexcept {
    inbox_item *first = nullptr;
    while (top && top != &closed_) {
        inbox_item *below = top->below;
        top->below = first;
        first = top;
        top = below;
    }
    return first;
}

} // namespace kolk
