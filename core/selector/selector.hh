/* Which descriptors matter, to whom, and which of them are ready: the table between a reactor and everyone else.
 *
 * The table is indexed by descriptor, in pages that never move. What a reactor reports is a token, descriptor and generation:
 * the generation changes whenever a registration ends, so an event that was on its way then is recognised and dropped, also
 * when the number has a new owner. 32 + 21 bits, so that languages whose numbers are doubles can carry it. */
#pragma once

#include "core/allocator.hh"
#include "core/platform/thread.hh"

#include <kolk/reactor.h>
#include <kolk/selector.h>

namespace kolk {

struct selector_slot {
    void *data;
    uint32_t generation;
    uint8_t events; /* registered for; 0: not registered */
    uint8_t armed;  /* what the reactor watches */
    uint16_t : 16;
};

} // namespace kolk

struct kolk_selector final {
  public:
    explicit kolk_selector(const kolk::allocator &memory) noexcept : memory_(memory) {}
    ~kolk_selector() { close(); }
    kolk_selector(const kolk_selector &) = delete;
    kolk_selector &operator=(const kolk_selector &) = delete;

    /* Statuses of kolk, like all below. `notify`: see kolk_reactor_config. */
    [[nodiscard]] int open(const kolk_reactor_ops &ops, void *host, void (*notify)(void *) = nullptr,
                           void *notify_userdata = nullptr) noexcept;

    /* Forgets all registrations and releases the reactor. Safe to call twice. */
    void close() noexcept;

    [[nodiscard]] int add(int fd, uint32_t events, void *data) noexcept;
    [[nodiscard]] int modify(int fd, uint32_t events, void *data) noexcept;
    [[nodiscard]] int remove(int fd) noexcept;

    /* Changes what a registered descriptor is watched for: 0 parks the registration. */
    [[nodiscard]] int arm(int fd, uint32_t events) noexcept;

    /* Raw events, tokens not yet looked up. */
    [[nodiscard]] int collect(int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) noexcept {
        call_back_waiter();
        int count = ops_->collect(state_, timeout_ns, ret_ready, capacity);
        dismiss_waiter();
        return count >= 0 ? count : failed(-count);
    }
    [[nodiscard]] int wait(int64_t timeout_ns) noexcept;
    [[nodiscard]] int wait_as_waiter(int64_t timeout_ns) noexcept; /* see set_waiter() */
    [[nodiscard]] int get_fd() noexcept;

    /* For a reactor on a loop of the program: who runs that, KOLK_STAY_…. */
    int stay(uint32_t who) noexcept {
        int status = ops_->caps & KOLK_REACTOR_STAY ? ops_->stay(state_, who) : 0;
        return status < 0 ? failed(-status) : 0;
    }

    /* For a reactor that cannot be used while another thread waits on it: called before each use, to end that wait, and after
     * it. nullptr: no such thread. */
    void set_waiter(void (*call_back)(void *), void (*dismiss)(void *), void *userdata) noexcept {
        call_back_ = call_back;
        dismiss_ = dismiss;
        waiter_userdata_ = userdata;
    }

    [[nodiscard]] bool has_waiter() const noexcept { return call_back_; }

    /* In a forked child: new kernel objects, and everything is watched again. */
    [[nodiscard]] int after_fork() noexcept;
    void *state() noexcept { return state_; }

    /* Whether time is what the reactor says; and what it says, or said when it was closed. */
    [[nodiscard]] bool has_clock() const noexcept { return ops_ && ops_->caps & KOLK_REACTOR_CLOCK; }
    [[nodiscard]] int64_t now() const noexcept { return closed_ ? closed_at_ : ops_->now(state_); }

    /* The registration that an event is for, nullptr when it has ended. An invalid descriptor is not watched any more. */
    [[nodiscard]] kolk::selector_slot *lookup(const kolk_ready &event) noexcept {
        uint32_t fd = uint32_t(event.token);
        kolk::selector_slot *slot = fd < capacity_ ? &pages_[fd / page_size][fd % page_size] : nullptr;
        if (!slot || slot->generation != uint32_t(event.token >> 32) || !slot->events) [[unlikely]]
            return nullptr;
        if (event.events & KOLK_EVENT_INVALID) [[unlikely]]
            slot->armed = 0;
        return slot;
    }

    [[nodiscard]] const kolk::selector_slot *find(int fd) const noexcept;
    [[nodiscard]] int next(int after_fd) const noexcept; /* -1 at the end */
    [[nodiscard]] uint32_t count() const noexcept { return count_; }
    [[nodiscard]] const kolk_reactor_ops &ops() const noexcept { return *ops_; }
    [[nodiscard]] const kolk::allocator &memory() const noexcept { return memory_; }

  private:
    static constexpr uint32_t page_size = 256, generation_mask = (1u << 21) - 1;

    [[nodiscard]] kolk::selector_slot *reserve(int fd) noexcept;
    [[nodiscard]] static int failed(int number) noexcept;
    void call_back_waiter() noexcept {
        if (call_back_) [[unlikely]]
            call_back_(waiter_userdata_);
    }
    void dismiss_waiter() noexcept {
        if (dismiss_) [[unlikely]]
            dismiss_(waiter_userdata_);
    }
    int watch(int fd, uint32_t events, uint32_t generation) noexcept {
        call_back_waiter();
        int status = ops_->watch(state_, fd, events, uint64_t(generation) << 32 | uint32_t(fd));
        dismiss_waiter();
        return status;
    }
    [[nodiscard]] bool forked() const noexcept { return forks_ != kolk::fork_count(); }

    kolk::allocator memory_;
    const kolk_reactor_ops *ops_ = nullptr;
    void *state_ = nullptr;
    void (*call_back_)(void *) = nullptr;
    void (*dismiss_)(void *) = nullptr;
    void *waiter_userdata_ = nullptr;
    bool closed_ = false;
    int64_t closed_at_ = 0;
    kolk::selector_slot **pages_ = nullptr; /* capacity_ / page_size of them, all there */
    uint32_t capacity_ = 0;
    uint32_t count_ = 0;
    uint32_t forks_ = kolk::fork_count(); /* when it was made: in a forked child the kernel's part is the parent's */
};

namespace kolk {
using selector = ::kolk_selector;
}
