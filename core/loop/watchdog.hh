/* Watches for turns that take too long.
 *
 * A loop counts its turns; nothing else is asked of it. One thread for all loops that are watched looks at these counters twice
 * per threshold. A turn that is still the same one after its threshold is a stall, and whoever watches is told once. So one
 * that lasts 1.5 times the threshold is certain to be noticed, and a shorter one than the threshold never is. The time is the
 * system's, whatever clock the loop goes by. */
#pragma once

#include "core/allocator.hh"

#include <kolk/watchdog.h>

#include <atomic>

#include <stdint.h>

struct kolk_task;

namespace kolk {

/* Where a loop is: an odd number per turn, even ones in between. Written by the loop's thread alone, read by any. */
class turn_mark {
  public:
    void next_turn() noexcept { set((now() + 1) | 1); }
    void sleep() noexcept { set((now() + 2) & ~uint64_t(1)); }

    [[nodiscard]] uint64_t now() const noexcept { return count_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool in_turn() const noexcept { return is_turn(now()); }
    [[nodiscard]] static bool is_turn(uint64_t count) noexcept { return count & 1; }

  private:
    void set(uint64_t count) noexcept { count_.store(count, std::memory_order_relaxed); }

    std::atomic<uint64_t> count_{0};
};

/* A loop that is watched, and who is told. */
struct watched_loop;

/* On the loop's thread. Replaces the watch there was. 0, KOLK_ENOMEM or KOLK_ELIMIT; then everything is as it was. */
[[nodiscard]] int watch_stalls(::kolk_loop &of, int64_t threshold, kolk_stall_fn fn, void *userdata,
                               kolk_destroy_fn destroy) noexcept;

/* In a forked child, where nobody watches. 0, KOLK_ENOMEM or KOLK_ELIMIT; nothing if it is not watched, or is again. */
[[nodiscard]] int rewatch_stalls(::kolk_loop &of) noexcept;

/* On the loop's thread; nothing if it is not watched. Waits for a handler that is running. */
void unwatch_stalls(::kolk_loop &of) noexcept;

/* What is told of a task. */
struct stalled_task {
    char name[32];
    char location[96];   /* "" when nobody said */
    const void *made_at; /* then the code that stands for it, or nullptr */
};

/* In a signal handler, on the task's thread, while the task is running: neither locks nor allocates. */
void describe_for_stall(const ::kolk_task &running, stalled_task &ret) noexcept;

} // namespace kolk
