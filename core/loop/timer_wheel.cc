#include "core/loop/timer_wheel.hh"

#include <bit>

namespace kolk {

namespace {

bool earlier(const timer_node &a, const timer_node &b) noexcept {
    return a.when != b.when ? a.when < b.when : a.order < b.order;
}

/* Of two heaps one; the roots' siblings are not looked at. */
timer_node *meld(timer_node *a, timer_node *b) noexcept {
    if (earlier(*b, *a)) {
        timer_node *later = a;
        a = b;
        b = later;
    }
    b->after = a->child;
    if (b->after)
        b->after->before = &b->after;
    b->before = &a->child;
    a->child = b;
    return a;
}

/* The children of a removed root: melded in pairs from the left, then the pairs from the right. That order is what makes the
 * cost of a removal logarithmic. */
timer_node *meld_siblings(timer_node *first) noexcept {
    timer_node *pairs = nullptr;
    while (first) {
        timer_node *a = first, *b = a->after;
        first = b ? b->after : nullptr;
        if (b)
            a = meld(a, b);
        a->after = pairs;
        pairs = a;
    }
    timer_node *root = pairs;
    if (root)
        pairs = root->after;
    while (pairs) {
        timer_node *next = pairs->after;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

} // namespace

void timer_wheel::push_near(timer_node &timer) noexcept {
    timer.child = timer.after = nullptr;
    near_ = near_ ? meld(near_, &timer) : &timer;
    near_->after = nullptr;
    near_->before = &near_;
}

void timer_wheel::remove_near(timer_node &timer) noexcept {
    timer_node *rest = meld_siblings(timer.child);
    if (near_ == &timer) {
        near_ = rest;
    } else {
        *timer.before = timer.after;
        if (timer.after)
            timer.after->before = timer.before;
        if (rest)
            near_ = meld(near_, rest);
    }
    if (near_) {
        near_->after = nullptr;
        near_->before = &near_;
    }
    timer.before = nullptr;
}

void timer_wheel::place(timer_node &timer) noexcept {
    uint64_t tick = tick_of(timer.when);
    if (tick <= position_) {
        timer.slot = UINT16_MAX;
        push_near(timer);
        return;
    }
    int level = (63 - std::countl_zero(tick ^ position_)) / slot_bits;
    int index = int(tick >> (level * slot_bits)) & (slots - 1);
    uint64_t bit = uint64_t(1) << index;
    timer.slot = uint16_t(level * slots + index);
    timer_node *&head = slots_[timer.slot];
    if (!head || timer.when <= earliest_[timer.slot]) {
        earliest_[timer.slot] = timer.when;
        stale_[level] &= ~bit;
    }
    timer.after = head;
    if (head)
        head->before = &timer.after;
    timer.before = &head;
    head = &timer;
    busy_[level] |= bit;
}

void timer_wheel::start(timer_node &timer, int64_t when) noexcept {
    timer.when = when;
    timer.order = arrivals_++;
    count_++;
    place(timer);
}

void timer_wheel::stop(timer_node &timer) noexcept {
    count_--;
    if (timer.slot == UINT16_MAX) {
        remove_near(timer);
        return;
    }
    if (timer.when == earliest_[timer.slot])
        stale_[timer.slot / slots] |= uint64_t(1) << (timer.slot % slots);
    *timer.before = timer.after;
    if (timer.after)
        timer.after->before = timer.before;
    timer.before = nullptr;
}

/* The slot with the earliest timers, -1 when all are empty. Slots of one level lie ahead of the position in the order of their
 * index, and before all slots of higher levels. */
int timer_wheel::first_slot() noexcept {
    for (int level = 0; level < levels; level++)
        while (busy_[level]) {
            int slot = level * slots + std::countr_zero(busy_[level]);
            if (slots_[slot])
                return slot;
            busy_[level] &= busy_[level] - 1;
        }
    return -1;
}

int64_t timer_wheel::next_deadline() noexcept {
    if (near_)
        return near_->when;
    int slot = count_ ? first_slot() : -1;
    if (slot < 0)
        return INT64_MAX;
    uint64_t &stale = stale_[slot / slots], bit = uint64_t(1) << (slot % slots);
    if (stale & bit) {
        int64_t found = INT64_MAX;
        int looked_at = 0;
        const timer_node *timer = slots_[slot];
        for (; timer && looked_at < 64; timer = timer->after, looked_at++)
            found = timer->when < found ? timer->when : found;
        if (timer)
            return earliest_[slot];
        earliest_[slot] = found;
        stale &= ~bit;
    }
    return earliest_[slot];
}

void timer_wheel::advance(uint64_t to) noexcept {
    for (int slot; (slot = first_slot()) >= 0;) {
        int level = slot / slots, index = slot % slots, shift = level * slot_bits;
        /* Where the slot begins: the position with this group of bits replaced and all lower ones zero. */
        uint64_t begin = ((position_ >> shift >> slot_bits << slot_bits) | uint64_t(index)) << shift;
        if (begin > to)
            break;
        position_ = begin;
        busy_[level] &= ~(uint64_t(1) << index);
        timer_node *timer = slots_[slot];
        slots_[slot] = nullptr;
        while (timer) {
            timer_node *next = timer->after;
            place(*timer);
            timer = next;
        }
    }
    if (position_ < to)
        position_ = to;
}

void timer_wheel::expire(int64_t now, ready_queue &due) noexcept {
    advance(tick_of(now));
    while (near_ && near_->when <= now) {
        timer_node &timer = *near_;
        remove_near(timer);
        count_--;
        due.push_back(timer);
    }
}

} // namespace kolk
