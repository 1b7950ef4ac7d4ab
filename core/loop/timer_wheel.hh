/* The timers of one loop.
 *
 * A hierarchical wheel: 8 levels of 64 slots, a slot of the lowest level 65.5 microseconds wide. A timer lies in the slot of the
 * highest 6 bits in which its time differs from the wheel's position, so start, stop and move are O(1); it comes down a
 * level each time the position reaches its slot, at most 8 times. Timers of the slot at the position lie in a pairing heap, ordered
 * by nanosecond and then by order of arrival: wide slots cost no precision. All links are in the timers; nothing is allocated.
 *
 * After Varghese and Lauck's timing wheels. Knows nothing of clocks: the loop passes "now", and so do the tests. */
#pragma once

#include "core/loop/ready_item.hh"

#include <stdint.h>

namespace kolk {

/* Due, it goes to the ready queue: a timer is something to run. */
struct timer_node : ready_item {
    timer_node *after = nullptr;   /* in a slot: the next one; in the heap: the next sibling */
    timer_node **before = nullptr; /* what points to this one; nullptr when not in the wheel */
    timer_node *child = nullptr;   /* in the heap */
    int64_t when = 0;
    uint64_t order = 0; /* of arrival */
    uint16_t slot = 0;  /* level * 64 + slot */

    using ready_item::ready_item;
    [[nodiscard]] bool waiting() const noexcept { return before != nullptr; }
};

class timer_wheel {
  public:
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /* Moves the position of an empty wheel, so that the next timers need not come down from a distant level. */
    void begin_at(int64_t now) noexcept { position_ = tick_of(now); }

    /* The timer must not be waiting. */
    void start(timer_node &timer, int64_t when) noexcept;
    void stop(timer_node &timer) noexcept;

    /* The earliest deadline, INT64_MAX when there is none. It is exact, unless more than 64 timers share the first slot and its
     * earliest one was stopped: then it may be too early, never too late. */
    [[nodiscard]] int64_t next_deadline() noexcept;

    /* Moves the timers that are due to the queue: by deadline, then in order of arrival. */
    void expire(int64_t now, ready_queue &due) noexcept;

  private:
    static constexpr int tick_bits = 16, slot_bits = 6, slots = 1 << slot_bits, levels = 8;

    static uint64_t tick_of(int64_t when) noexcept { return when > 0 ? uint64_t(when) >> tick_bits : 0; }
    void place(timer_node &timer) noexcept;
    void push_near(timer_node &timer) noexcept;
    void remove_near(timer_node &timer) noexcept;
    void advance(uint64_t to) noexcept;
    int first_slot() noexcept;

    timer_node *near_ = nullptr; /* root of the heap */
    uint64_t position_ = 0;      /* in ticks; timers at or before it are in the heap */
    uint64_t arrivals_ = 0;
    uint64_t count_ = 0;
    uint64_t busy_[levels] = {};  /* which slots may hold timers; a stop leaves the bit */
    uint64_t stale_[levels] = {}; /* in which slots the earliest timer was stopped */
    timer_node *slots_[levels * slots] = {};
    int64_t earliest_[levels * slots]; /* valid for slots that hold timers */
};

} // namespace kolk
