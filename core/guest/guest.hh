/* A loop as the guest of another one.
 *
 * All a guest does is to have the host turn the loop whenever that would make progress. What it must know for that it is told
 * by the loop, which calls plan() whenever control is with the host and something has changed. Of what it told the host it
 * keeps as much as is needed to tell it no more often than necessary:
 *
 *   frame    nothing: the host comes by itself
 *   handle   nothing: the descriptor tells the truth
 *   thread   that a turn was posted; or else until when the thread waits
 *   reactor  that a turn was posted; which deadline the host has
 *
 * Where a turn is refused, because the host came from inside of one, a level-triggered host would come again and again: the
 * descriptor is muted until control is with the host again.
 *
 * A host that is the reactor tells of one descriptor after the other, each of which is a turn. They share a budget; what is
 * told when that is spent is put off to a turn that the host is asked for, and has its own turn before. */
#pragma once

#include "core/loop/loop.hh"
#include "core/platform/wait_thread.hh"

#include <kolk/guest.h>

struct kolk_guest final : kolk::counted, kolk::resource {
  public:
    kolk_guest(kolk::loop &on, const kolk_host_ops &ops, void *userdata, kolk_destroy_fn destroy,
               const kolk_guest_options &options, uint32_t way) noexcept
        : counted(on), resource(loop_closes), ops_(ops), userdata_(userdata), destroy_(destroy), options_(options), way_(way) {
        renew_budget();
    }

    /* Registers what the way needs. On failure nothing is left of it, but the userdata, which is still the caller's. */
    [[nodiscard]] int arrive() noexcept;
    void leave() noexcept;
    /* In a forked child: before the reactor begins anew, and after it. */
    [[nodiscard]] int renew_host() noexcept;
    [[nodiscard]] int after_fork() noexcept;

    [[nodiscard]] int turn() noexcept;
    [[nodiscard]] int ready(int fd, uint32_t events) noexcept;

    /* From the loop, while the host has control: whether a turn would run anything, and when the next timer is due. Calls
     * nothing but the host's functions. */
    void plan(bool work, int64_t deadline) noexcept;

    [[nodiscard]] uint32_t way() const noexcept { return way_; }
    [[nodiscard]] bool left() const noexcept { return left_; }

    void ref() noexcept { refs++; }
    void unref() noexcept;

  private:
    [[nodiscard]] int take_turn() noexcept;
    [[nodiscard]] int dispatch_within_budget(uint32_t &ret_items) noexcept;
    [[nodiscard]] bool by_host() const noexcept; /* the reactor is kolk_host_reactor() */
    [[nodiscard]] bool has_budget() const noexcept { return options_.max_items || options_.max_ns > 0; }
    void renew_budget() noexcept {
        items_left_ = options_.max_items;
        ns_left_ = options_.max_ns;
    }
    [[nodiscard]] bool budget_is_spent() const noexcept {
        return (options_.max_items && !items_left_) || (options_.max_ns > 0 && ns_left_ <= 0);
    }
    [[nodiscard]] bool posted() const noexcept { return posted_.load(std::memory_order_acquire); }
    void request_turn() noexcept;
    void tell_deadline(int64_t deadline) noexcept;
    void call_thread_back() noexcept;
    [[nodiscard]] int watch_again() noexcept;
    void plan_thread(bool work, int64_t deadline) noexcept;
    [[nodiscard]] int start_thread() noexcept;
    void report_failure() noexcept;
    void finish_stay() noexcept;
    static void loop_closes(kolk::resource &held) noexcept;

    const kolk_host_ops ops_;
    void *const userdata_;
    kolk_destroy_fn destroy_;
    const kolk_guest_options options_;
    const uint32_t way_;
    int handle_ = -1;
    bool left_ = false;
    bool muted_ = false;       /* the handle */
    bool disturbed_ = false;   /* the thread, for something the reactor has to be told */
    uint32_t turns_ = 0;       /* within each other */
    uint32_t items_left_ = 0;  /* of the budget, when it is limited; spent only where the host is the reactor */
    int64_t ns_left_ = 0;      /* likewise */
    int failure_ = 0;          /* of the host, not reported yet */
    int64_t told_ = INT64_MAX; /* the deadline the host has, or until when the thread waits */
    std::atomic<bool> posted_{false};
    kolk::wait_thread thread_;
};

namespace kolk {

using guest = ::kolk_guest;

/* The way that is wanted, or the first that goes; 0 when none does, with the reason. */
[[nodiscard]] uint32_t choose_way(loop &on, const kolk_host_ops &ops, uint32_t wanted, const char *&ret_reason) noexcept;

} // namespace kolk
