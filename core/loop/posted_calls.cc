#include "core/loop/posted_calls.hh"

#include "core/loop/loop.hh"

#include <string.h>

namespace kolk {

namespace {

constexpr uint32_t first_capacity = 32;

/* An array that a burst made larger than this is given back afterwards. */
constexpr uint32_t most_kept = 16384;

} // namespace

posted_calls::~posted_calls() {
    release(running_);
    release(arriving_);
}

void posted_calls::release(array &what) noexcept {
    kolk::release(owner_->memory(), what.calls, what.capacity * sizeof(call));
    what = {};
}

bool posted_calls::make_room() noexcept {
    if (arriving_.count < arriving_.capacity)
        return true;
    uint32_t capacity = arriving_.capacity ? arriving_.capacity * 2 : first_capacity;
    auto *calls =
        capacity > arriving_.capacity ? static_cast<call *>(allocate(owner_->memory(), capacity * sizeof(call))) : nullptr;
    if (!calls)
        return false;
    if (arriving_.count)
        memcpy(calls, arriving_.calls, arriving_.count * sizeof(call));
    kolk::release(owner_->memory(), arriving_.calls, arriving_.capacity * sizeof(call));
    arriving_.calls = calls;
    arriving_.capacity = capacity;
    return true;
}

int posted_calls::add(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy, bool &ret_first) noexcept {
    locked held(lock_);
    if (closed_)
        return KOLK_ECLOSED;
    if (!make_room())
        return KOLK_ENOMEM;
    ret_first = arriving_.count == 0;
    arriving_.calls[arriving_.count++] = {fn, userdata, destroy};
    if (ret_first)
        waiting_.store(true, std::memory_order_seq_cst);
    return 0;
}

void posted_calls::take() noexcept {
    if (running_.count > 0)
        return;
    {
        locked held(lock_);
        std::swap(running_, arriving_);
        waiting_.store(false, std::memory_order_relaxed);
    }
    if (running_.count > 0)
        owner_->make_ready(*this);
}

void posted_calls::go_on_within() noexcept {
    if (next_ == running_.count)
        next_ = running_.count = 0;
    else if (next_ > 0 && !linked())
        owner_->make_ready(*this);
}

void posted_calls::after_fork() noexcept {
    if (lock_.begin_anew())
        return;
    arriving_ = {}; /* nobody knows what state it is in */
    waiting_.store(false, std::memory_order_relaxed);
}

void posted_calls::close() noexcept {
    {
        locked held(lock_);
        closed_ = true;
    }
    /* Nothing is added any more, so what is there can be looked at without the lock. */
    for (array *each : {&running_, &arriving_}) {
        for (uint32_t i = each == &running_ ? next_ : 0; i < each->count; i++)
            destroy_userdata(each->calls[i].destroy, each->calls[i].userdata);
        each->count = 0;
    }
    next_ = 0;
    waiting_.store(false, std::memory_order_relaxed);
}

void posted_calls::run_all(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<posted_calls &>(item);
    loop &on = *self.owner_;
    uint32_t ran = 0;
    while (self.next_ < self.running_.count) {
        call one = self.running_.calls[self.next_++];
        if (!closing)
            one.fn(one.userdata);
        destroy_userdata(one.destroy, one.userdata);
        ran++;
        if (self.linked())
            break; /* turns inside of the call have begun another lot */
        /* Each call counts against a budget by itself. */
        if (on.turn_is_limited() && self.next_ < self.running_.count)
            return on.put_back(self);
    }
    on.count_more(ran ? ran - 1 : 0);
    if (self.linked())
        return;
    self.running_.count = self.next_ = 0;
    if (self.running_.capacity > most_kept)
        self.release(self.running_);
}

} // namespace kolk
