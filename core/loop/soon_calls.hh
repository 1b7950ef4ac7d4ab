/* Calls that the loop's own thread asks for and nobody will take back.
 *
 * Two arrays of plain structs instead of objects in the ready queue: one is filled for the next turn while the other is run.
 * Nothing is allocated for a call and nothing linked, so asking for one and running it wait for little that the other wrote.
 *
 * What is here comes before what is in the loop's queue. So a call may be added only while that queue is empty, and not at all
 * while this is shut; it then goes where everything else goes, and the order of arrival is kept without looking for it. */
#pragma once

#include "core/allocator.hh"

#include <kolk/api.h>

#include <stdint.h>
#include <string.h>

namespace kolk {

class soon_calls {
  public:
    struct call {
        kolk_callback_fn fn;
        void *userdata;
        kolk_destroy_fn destroy;
    };
    soon_calls() noexcept = default;
    soon_calls(const soon_calls &) = delete;
    soon_calls &operator=(const soon_calls &) = delete;

    /* Makes the arrays, open, if there are none yet. */
    void make(const allocator &memory) noexcept {
        if (filled_)
            return;
        filled_ = static_cast<call *>(allocate(memory, both));
        if (!filled_)
            return;
        allocated_ = end_ = filled_;
        spare_ = filled_ + capacity;
        open();
    }
    void release(const allocator &memory) noexcept { kolk::release(memory, allocated_, both); }

    void open() noexcept { limit_ = filled_ ? filled_ + capacity : nullptr; }
    void shut() noexcept { limit_ = end_; }

    /* False where there is no room: nothing was taken over. */
    [[nodiscard]] bool add(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
        call *added = end_;
        if (added == limit_) [[unlikely]]
            return false;
        end_ = added + 1;
        added->fn = fn;
        added->userdata = userdata;
        added->destroy = destroy;
        return true;
    }

    [[nodiscard]] bool empty() const noexcept { return end_ == filled_; }

    /* A turn begins with all of them. Those of the turn before have been run. */
    void begin() noexcept {
        next_ = filled_;
        last_ = end_;
        std::swap(filled_, spare_);
        end_ = filled_;
        open();
    }
    /* Those of the turn that has begun, one after another. */
    [[nodiscard]] const call *next() noexcept { return next_ == last_ ? nullptr : next_++; }
    [[nodiscard]] bool in_turn() const noexcept { return next_ != last_; }

    /* Where there is one: nothing need be exchanged, for who runs it reads it first, and its place is free for the next. */
    [[nodiscard]] bool just_one() const noexcept { return end_ - filled_ == 1; }
    [[nodiscard]] const call &take_only() noexcept { return *(end_ = filled_); }
    /* What was left over comes first again. Only while nothing was added. */
    void put_back() noexcept {
        size_t count = size_t(last_ - next_);
        if (!count)
            return;
        memmove(filled_, next_, count * sizeof(call));
        end_ = filled_ + count;
        next_ = last_;
    }

    static void run(const call &one, bool closing) noexcept {
        /* One by one: read in pairs, what was just written one by one would have to reach the cache first. */
        kolk_callback_fn fn = one.fn;
        void *userdata = one.userdata;
        kolk_destroy_fn destroy = one.destroy;
        if (!closing) [[likely]]
            fn(userdata);
        if (destroy) [[unlikely]]
            release_userdata(destroy, userdata);
    }

  private:
    /* Apart, so that calls without it follow each other in a straight line. */
    [[gnu::noinline, gnu::cold]] static void release_userdata(kolk_destroy_fn destroy, void *userdata) noexcept {
        destroy(userdata);
    }

    static constexpr uint32_t capacity = 256;
    static constexpr size_t both = 2 * capacity * sizeof(call);

    call *filled_ = nullptr, *end_ = nullptr;      /* what is to be run on the next turn */
    const call *next_ = nullptr, *last_ = nullptr; /* what is left of this one */
    call *limit_ = nullptr;                        /* where no more is added: end_ while it is shut */
    call *spare_ = nullptr, *allocated_ = nullptr;
};

} // namespace kolk
