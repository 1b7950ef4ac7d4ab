/* Who is told that a plan is out of date.
 *
 * Armed by each plan, and disarmed by what it tells: a burst of changes is told once. Any thread and any signal handler may
 * tell; so the hook is exchanged without a lock, and the one that goes is released when no teller is inside of it any more. */
#pragma once

#include "core/allocator.hh"

#include <kolk/api.h>

#include <atomic>

namespace kolk {

class plan_hook {
  public:
    plan_hook() noexcept = default;
    plan_hook(const plan_hook &) = delete;
    plan_hook &operator=(const plan_hook &) = delete;

    /* The loop's thread. False when memory is gone: then all is as it was. */
    [[nodiscard]] bool set(const allocator &memory, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;
    void clear(const allocator &memory) noexcept { exchange(memory, nullptr); }
    [[nodiscard]] bool listening() const noexcept { return current_.load(std::memory_order_relaxed); }

    /* The loop's thread. Whoever makes something ready after it was armed tells; what was ready before is for the plan to say.
     * Both sides write first and look then, so one of them sees the other. */
    void arm() noexcept {
        if (listening())
            armed_.exchange(true, std::memory_order_seq_cst);
    }
    /* In a forked child, where whoever was inside of the hook is not there. */
    void after_fork() noexcept { tellers_.store(0, std::memory_order_relaxed); }
    void disarm() noexcept { armed_.store(false, std::memory_order_relaxed); }

    /* Any thread, any signal handler. */
    void tell() noexcept {
        if (listening()) [[unlikely]]
            tell_listener();
    }

  private:
    struct listener {
        listener(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept
            : fn(fn), userdata(userdata), destroy(destroy) {}

        kolk_callback_fn fn;
        void *userdata;
        kolk_destroy_fn destroy;
    };

    void exchange(const allocator &memory, listener *next) noexcept;
    void tell_listener() noexcept;

    std::atomic<listener *> current_{nullptr};
    std::atomic<uint32_t> tellers_{0};
    std::atomic<bool> armed_{false};
};

} // namespace kolk
