/* What other threads hand to a loop.
 *
 * A stack that any thread or signal handler pushes on and the loop takes whole, turning it round: each thread's items arrive in
 * their order. Only a push onto an empty stack has to be announced; what follows until the loop takes it comes along.
 * Lock-free and without allocation, the node is the sender's. Closing leaves a mark in place of the top, so that a push either
 * arrives before or learns that it came too late. */
#pragma once

#include <atomic>

namespace kolk {

struct inbox_item {
    inbox_item *below = nullptr;
    /* On the loop's thread. When the loop is closing, only releases what it holds. */
    void (*deliver)(inbox_item &self, bool closing) noexcept;

    explicit inbox_item(void (*fn)(inbox_item &, bool) noexcept) noexcept : deliver(fn) {}
};

enum class post { closed, was_empty, joined };

class inbox {
  public:
    [[nodiscard]] post push(inbox_item &item) noexcept;
    [[nodiscard]] bool empty() const noexcept { return top_.load(std::memory_order_seq_cst) == nullptr; }

    /* While nobody pushes or takes. */
    [[nodiscard]] bool contains(const inbox_item &item) const noexcept {
        const inbox_item *at = top_.load(std::memory_order_acquire);
        while (at && at != &item)
            at = at->below;
        return at;
    }

    /* All items, first come first. */
    [[nodiscard]] inbox_item *take() noexcept { return in_order(top_.exchange(nullptr, std::memory_order_acquire)); }

    /* The same, and nothing arrives any more. */
    [[nodiscard]] inbox_item *close() noexcept { return in_order(top_.exchange(&closed_, std::memory_order_acq_rel)); }

  private:
    [[nodiscard]] inbox_item *in_order(inbox_item *top) const noexcept;

    std::atomic<inbox_item *> top_{nullptr};
    inbox_item closed_{nullptr};
};

} // namespace kolk
