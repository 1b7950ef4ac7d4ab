/* The timers of one loop.
 *
 * A hierarchical wheel: 8 levels of 64 slots, a slot of the lowest level 65.5 microseconds wide. A timer lies in the slot of
 * the highest 6 bits in which its time differs from the wheel's position, so start and stop are O(1); it comes down a level
 * each time the position reaches its slot, at most 8 times. Timers of the slot at the position lie in a pairing heap, ordered
 * by nanosecond and then by order of arrival: wide slots cost no precision.
 *
 * A timer that is moved to a later time stays where it is, and finds its new place when its old slot's turn comes: deadlines
 * that are pushed out again and again, as those of idle connections are, cost a few comparisons and writes each.
 *
 * All links are in the timers; nothing is allocated. After Varghese and Lauck's timing wheels. Knows nothing of clocks: the
 * loop passes "now", and so do the tests. */
#pragma once

#include "core/loop/ready_item.hh"

#include <stdint.h>

namespace kolk {

/* Due, it goes to the ready queue: a timer is something to run. While it waits, the links of the queue serve the wheel. */
struct timer_node : ready_item {
    static constexpr uint16_t not_waiting = UINT16_MAX, in_heap = UINT16_MAX - 1;

    union {
        timer_node *child = nullptr; /* in the heap: the first one; next and prev lead to siblings, prev of it to the parent */
        const timer_node *ahead;     /* in a list, or due: one a few places on, which may be gone since; only to be fetched */
    };
    int64_t when = 0;
    uint32_t order = 0;          /* of arrival; wraps around, so that it fits beside the slot */
    uint16_t slot = not_waiting; /* level * 64 + slot, or one of the above */

    using ready_item::ready_item;
    [[nodiscard]] bool waiting() const noexcept { return slot != not_waiting; }

    /* Who goes along a list learns where the next one is when this one has come from memory. So that several come at once, and
     * with each the line behind it, where the rest of the timer is. */
    void fetch_ahead() const noexcept {
        auto address = reinterpret_cast<uintptr_t>(ahead);
        __builtin_prefetch(reinterpret_cast<const void *>(address));
        __builtin_prefetch(reinterpret_cast<const void *>(address + sizeof *ahead));
    }
};

class timer_wheel {
  public:
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

    /* Moves the position of an empty wheel, so that the next timers need not come down from a distant level. */
    void begin_at(int64_t now) noexcept { position_ = tick_of(now); }

    /* Starts a timer that is not waiting, or moves one that is. */
    void start(timer_node &timer, int64_t when) noexcept;
    /* The same, faster, where the timer neither is nor becomes the earliest of its slot; false elsewhere, with nothing done. */
    [[nodiscard]] bool put_off(timer_node &timer, int64_t when) noexcept {
        if (timer.slot >= levels * slots)
            return false;
        int64_t earliest = earliest_[timer.slot];
        if (when <= earliest || timer.when <= earliest)
            return false;
        timer.when = when;
        timer.order = arrivals_++;
        return true;
    }
    void stop(timer_node &timer) noexcept;

    /* The earliest deadline, INT64_MAX when there is none. It is exact, unless more than 64 timers share the first slot and one
     * of them was stopped or moved: then it may be too early, never too late. */
    [[nodiscard]] int64_t next_deadline() noexcept;

    /* Moves the timers that are due to the queue: by deadline, then in order of arrival. */
    void expire(int64_t now, ready_queue &due) noexcept;
    /* The first so many of them. Says whether there are more; those are looked at no further than the slot of the next. */
    [[nodiscard]] bool expire_some(int64_t now, ready_queue &due, uint32_t most) noexcept;

  private:
    static constexpr int tick_bits = 16, slot_bits = 6, slots = 1 << slot_bits, levels = 8;

    static uint64_t tick_of(int64_t when) noexcept { return when > 0 ? uint64_t(when) >> tick_bits : 0; }
    /* Where a slot ahead begins: the position with this group of bits replaced and all lower ones zero. */
    [[nodiscard]] uint64_t begin_of(int slot) const noexcept {
        int shift = slot / slots * slot_bits;
        return ((position_ >> shift >> slot_bits << slot_bits) | uint64_t(slot % slots)) << shift;
    }
    void place(timer_node &timer) noexcept;
    void take_out(timer_node &timer) noexcept;
    void push_near(timer_node &timer) noexcept;
    void remove_near(timer_node &timer) noexcept;
    void take_nearest(ready_queue &due) noexcept;
    void advance(uint64_t to) noexcept;
    int first_slot() noexcept;
    bool settle(int slot) noexcept;
    void mark_stale(const timer_node &timer) noexcept;

    timer_node *near_ = nullptr; /* root of the heap */
    uint64_t position_ = 0;      /* in ticks; timers at or before it are in the heap */
    uint64_t count_ = 0;
    uint32_t arrivals_ = 0;
    uint64_t busy_[levels] = {};  /* which slots may hold timers; a stop leaves the bit */
    uint64_t stale_[levels] = {}; /* in which slots the earliest timer was stopped or moved */
    timer_node *slots_[levels * slots] = {};
    int64_t earliest_[levels * slots]; /* valid for slots that hold timers */
};

} // namespace kolk
