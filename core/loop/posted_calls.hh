/* Calls that other threads ask for.
 *
 * A locked array that the loop takes whole and runs as one item of its ready queue, each call counting by itself. A node per
 * call would be allocated on one thread and freed on another, which costs several times as much as the lock. Only a call that
 * finds the array empty has to be announced; what follows until the loop takes it comes along. */
#pragma once

#include "core/allocator.hh"
#include "core/loop/ready_item.hh"
#include "core/platform/mutex.hh"

#include <kolk/api.h>

#include <atomic>
#include <stdint.h>

struct kolk_loop;

namespace kolk {

class posted_calls final : public ready_item {
  public:
    explicit posted_calls(::kolk_loop &on) noexcept : ready_item(run_all), owner_(&on) {}
    ~posted_calls();

    /* Any thread. 0, KOLK_ENOMEM or KOLK_ECLOSED; then the caller keeps what it has. `ret_first`: the loop has to be told. */
    [[nodiscard]] int add(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy, bool &ret_first) noexcept;

    /* The loop's thread. */
    [[nodiscard]] bool waiting() const noexcept { return waiting_.load(std::memory_order_seq_cst); }
    void take() noexcept;         /* what is waiting goes to the ready queue, unless an earlier lot is still there */
    void go_on_within() noexcept; /* turns run inside of a call: what is left of its lot belongs to them */
    /* In a forked child: what was being handed over just then stays with the parent, and with it what came just before. */
    void after_fork() noexcept;
    void close() noexcept; /* what is waiting is released, and nothing is added any more */

  private:
    struct call {
        kolk_callback_fn fn;
        void *userdata;
        kolk_destroy_fn destroy;
    };
    struct array {
        call *calls = nullptr;
        uint32_t count = 0, capacity = 0;
    };

    [[nodiscard]] bool make_room() noexcept;
    void release(array &what) noexcept;
    static void run_all(ready_item &item, bool closing) noexcept;

    ::kolk_loop *owner_;
    array running_; /* the loop's thread's own */
    uint32_t next_ = 0;

    /* The lines that both sides write hold nothing else, wherever the loop lies. */
    [[maybe_unused]] char apart_[64];
    mutex lock_; /* for what follows */
    array arriving_;
    bool closed_ = false;
    std::atomic<bool> waiting_{false}; /* arriving_ is not empty; may be read without the lock */
    [[maybe_unused]] char apart_behind_[64];
};

} // namespace kolk
