#include "core/loop/timer_wheel.hh"

#include <bit>

namespace kolk {

namespace {

timer_node *next_of(const timer_node &timer) noexcept { return static_cast<timer_node *>(timer.next); }

/* Two of the same nanosecond that two thousand million starts lie between may change places. */
bool earlier(const timer_node &a, const timer_node &b) noexcept {
    return a.when != b.when ? a.when < b.when : int32_t(a.order - b.order) < 0;
}

/* In front of a list that ends with nullptr; prev of the first is `parent`. */
void push_front(timer_node *&head, timer_node &timer, timer_node *parent) noexcept {
    timer.next = head;
    timer.prev = parent;
    if (head)
        head->prev = &timer;
    head = &timer;
}

/* How many timers of a slot come from memory at once when it is taken apart. More help no further, and each start has to find
 * the one so far behind it; those are the last that were put there. */
constexpr int fetched_at_once = 6;

const timer_node *last_fetched_with(const timer_node *at) noexcept {
    for (int i = 1; at && i < fetched_at_once; i++)
        at = next_of(*at);
    return at;
}

/* Of two heaps one; the roots' siblings are not looked at. */
timer_node *meld(timer_node *a, timer_node *b) noexcept {
    if (earlier(*b, *a)) {
        timer_node *later = a;
        a = b;
        b = later;
    }
    push_front(a->child, *b, a);
    return a;
}

/* The children of a removed root: melded in pairs from the left, then the pairs from the right. That order is what makes the
 * cost of a removal logarithmic. */
timer_node *meld_siblings(timer_node *first) noexcept {
    timer_node *pairs = nullptr;
    while (first) {
        timer_node *a = first, *b = next_of(*a);
        first = b ? next_of(*b) : nullptr;
        if (b)
            a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    timer_node *root = pairs;
    if (root)
        pairs = next_of(*root);
    while (pairs) {
        timer_node *next = next_of(*pairs);
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

} // namespace

void timer_wheel::push_near(timer_node &timer) noexcept {
    timer.slot = timer_node::in_heap;
    timer.child = nullptr;
    near_ = near_ ? meld(near_, &timer) : &timer;
    near_->next = near_->prev = nullptr;
}

void timer_wheel::remove_near(timer_node &timer) noexcept {
    timer_node *rest = meld_siblings(timer.child);
    if (near_ == &timer) {
        near_ = rest;
    } else {
        auto *before = static_cast<timer_node *>(timer.prev);
        if (before->child == &timer)
            before->child = next_of(timer);
        else
            before->next = timer.next;
        if (timer.next)
            timer.next->prev = before;
        if (rest)
            near_ = meld(near_, rest);
    }
    if (near_)
        near_->next = near_->prev = nullptr;
}

void timer_wheel::place(timer_node &timer) noexcept {
    uint64_t tick = tick_of(timer.when);
    if (tick <= position_)
        return push_near(timer);
    int level = (63 - std::countl_zero(tick ^ position_)) / slot_bits;
    int index = int(tick >> (level * slot_bits)) & (slots - 1);
    uint64_t bit = uint64_t(1) << index;
    timer.slot = uint16_t(level * slots + index);
    timer_node *&head = slots_[timer.slot];
    if (!head || timer.when <= earliest_[timer.slot]) {
        earliest_[timer.slot] = timer.when;
        stale_[level] &= ~bit;
    }
    timer.ahead = last_fetched_with(head);
    push_front(head, timer, nullptr);
    busy_[level] |= bit;
}

void timer_wheel::take_out(timer_node &timer) noexcept {
    if (timer.slot == timer_node::in_heap)
        return remove_near(timer);
    mark_stale(timer);
    if (timer.prev)
        timer.prev->next = timer.next;
    else
        slots_[timer.slot] = next_of(timer);
    if (timer.next)
        timer.next->prev = timer.prev;
}

void timer_wheel::mark_stale(const timer_node &timer) noexcept {
    if (timer.when <= earliest_[timer.slot])
        stale_[timer.slot / slots] |= uint64_t(1) << (timer.slot % slots);
}

void timer_wheel::start(timer_node &timer, int64_t when) noexcept {
    uint32_t order = arrivals_++;
    if (timer.waiting()) {
        if (timer.slot != timer_node::in_heap && tick_of(when) >= begin_of(timer.slot)) {
            mark_stale(timer);
            timer.when = when;
            timer.order = order;
            if (when <= earliest_[timer.slot]) {
                earliest_[timer.slot] = when;
                stale_[timer.slot / slots] &= ~(uint64_t(1) << (timer.slot % slots));
            }
            return;
        }
        take_out(timer);
    } else {
        count_++;
    }
    timer.when = when;
    timer.order = order;
    place(timer);
}

void timer_wheel::stop(timer_node &timer) noexcept {
    take_out(timer);
    timer.next = timer.prev = nullptr;
    timer.ahead = nullptr;
    timer.slot = timer_node::not_waiting;
    count_--;
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

/* Makes what is known of a slot true again: timers that were moved go where they belong now, the earliest of the others is
 * found. False when there are too many to look at; what is known then errs on the early side. */
bool timer_wheel::settle(int slot) noexcept {
    constexpr int most = 64;
    int level = slot / slots, shift = level * slot_bits;
    int64_t earliest = INT64_MAX;
    int looked_at = 0;
    for (timer_node *timer = slots_[slot], *next; timer; timer = next) {
        if (++looked_at > most)
            return false;
        next = next_of(*timer);
        timer->fetch_ahead();
        uint64_t tick = tick_of(timer->when);
        bool belongs = (tick >> shift >> slot_bits) == (position_ >> shift >> slot_bits) &&
                       (int(tick >> shift) & (slots - 1)) == slot % slots;
        if (!belongs) {
            take_out(*timer);
            place(*timer);
        } else if (timer->when < earliest) {
            earliest = timer->when;
        }
    }
    earliest_[slot] = earliest;
    stale_[level] &= ~(uint64_t(1) << (slot % slots));
    return true;
}

int64_t timer_wheel::next_deadline() noexcept {
    if (near_)
        return near_->when;
    if (!count_)
        return INT64_MAX;
    for (;;) {
        int slot = first_slot();
        bool stale = stale_[slot / slots] >> (slot % slots) & 1;
        /* Settling may have emptied it. */
        if (!stale || !settle(slot) || slots_[slot])
            return earliest_[slot];
    }
}

void timer_wheel::advance(uint64_t to) noexcept {
    for (int slot; (slot = first_slot()) >= 0;) {
        int level = slot / slots, index = slot % slots;
        uint64_t begin = begin_of(slot);
        if (begin > to)
            break;
        position_ = begin;
        busy_[level] &= ~(uint64_t(1) << index);
        timer_node *timer = slots_[slot];
        slots_[slot] = nullptr;
        while (timer) {
            timer_node *next = next_of(*timer);
            timer->fetch_ahead();
            place(*timer);
            timer = next;
        }
    }
    if (position_ < to)
        position_ = to;
}

void timer_wheel::take_nearest(ready_queue &due) noexcept {
    timer_node &timer = *near_;
    remove_near(timer);
    timer.slot = timer_node::not_waiting;
    timer.ahead = nullptr;
    count_--;
    due.push_back(timer);
}

void timer_wheel::expire(int64_t now, ready_queue &due) noexcept { (void)expire_some(now, due, UINT32_MAX); }

bool timer_wheel::expire_some(int64_t now, ready_queue &due, uint32_t most) noexcept {
    uint64_t to = tick_of(now);
    uint32_t taken = 0;
    for (;;) {
        for (; near_ && near_->when <= now; taken++) {
            if (taken == most)
                return true;
            take_nearest(due);
            if (taken >= 4) /* what is that far before the end was put there by this call */
                static_cast<timer_node *>(due.near_the_end<4>())->ahead = static_cast<timer_node *>(due.near_the_end<0>());
        }
        /* What is near and not due yet lies at `to` itself. */
        int slot = near_ ? -1 : first_slot();
        if (slot < 0 || begin_of(slot) > to)
            break;
        advance(begin_of(slot));
    }
    advance(to);
    return false;
}

} // namespace kolk
