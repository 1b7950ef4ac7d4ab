/* A result that is not there yet, for threads: whoever has one may block until it is.
 *
 * Any thread asks and any thread answers, so that everything lies under a lock of its own, and nobody is called while that is
 * held. Those who want to know are listeners in a list. Finishing takes the whole list and tells them, in the order in which
 * they came, on the thread that finishes: there is no loop that could do it. What a loop wants to know is brought to its thread
 * by thread_news.
 *
 * The outcome never changes once it is there. So it is read without the lock, by whoever has seen that it is. */
#pragma once

#include "core/allocator.hh"
#include "core/future/future.hh"
#include "core/intrusive_list.hh"
#include "core/platform/condition.hh"

#include <kolk/thread_future.h>

#include <atomic>

namespace kolk {

struct thread_listener : link<thread_listener> {
    /* Called once, on any thread: when the future is done, or gone without having been. */
    void (*tell)(thread_listener &self, ::kolk_thread_future &about) noexcept;

    explicit thread_listener(void (*fn)(thread_listener &, ::kolk_thread_future &) noexcept) noexcept : tell(fn) {}
};

} // namespace kolk

struct kolk_thread_future final {
    const kolk::allocator memory;
    /* Of the thread whose loop finishes it, and which would wait for itself; 0: whoever likes finishes it. */
    const uint64_t driver;

    kolk_thread_future(const kolk::allocator &from, uint64_t driving_thread) noexcept;
    ~kolk_thread_future();
    kolk_thread_future(const kolk_thread_future &) = delete;
    kolk_thread_future &operator=(const kolk_thread_future &) = delete;

    /* 0 or KOLK_ENOMEM. */
    [[nodiscard]] static int make(const kolk::allocator &from, uint64_t driving_thread,
                                  kolk_thread_future *&ret_future) noexcept;

    /* In a forked child the lock may be held by a thread that is not there. A loop that goes on in the child leaves a future of
     * the parent's as it is: there, without the lock, nobody wants it, and it takes no outcome. */
    [[nodiscard]] int check_process() const noexcept { return forks_ == kolk::fork_count() ? 0 : int(KOLK_EFORKED); }

    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            kolk::allocator from = memory;
            kolk::destroy(from, this);
        }
    }
    /* Whether anybody besides the one who asks has it in hand, or is told of its end. */
    [[nodiscard]] bool wanted() noexcept;

    [[nodiscard]] kolk::outcome state() const noexcept { return state_.load(std::memory_order_acquire); }
    [[nodiscard]] bool done() const noexcept { return state() != kolk::outcome::pending; }
    [[nodiscard]] bool running() noexcept;
    /* Whoever works on it begins: it cannot be cancelled any more. 0, KOLK_ECANCELED or KOLK_EALREADY. */
    [[nodiscard]] int set_running() noexcept;

    /* Each finishes a pending one and tells everybody. What is not taken, because it is done, stays the caller's. */
    [[nodiscard]] bool finish(void *result, kolk_destroy_fn destroy) noexcept;
    [[nodiscard]] bool fail(kolk_error *error) noexcept; /* takes the reference */
    [[nodiscard]] bool cancel(kolk_error *words = nullptr) noexcept;

    /* Blocks: 0, KOLK_ETIMEDOUT, or KOLK_EBUSY where nobody may. */
    [[nodiscard]] int wait(int64_t timeout) noexcept;

    /* Of one that is done. */
    [[nodiscard]] int result(void **ret_result) const noexcept;
    [[nodiscard]] kolk_error *error() const noexcept;
    /* Finishes a pending future like it; a result stays its own. */
    void hand_on(kolk::future &to) const noexcept;

    /* False when it is done: the listener is not told. */
    [[nodiscard]] bool listen(kolk::thread_listener &who) noexcept;
    /* False when it is too late: the listener has been told, or is being told now. */
    [[nodiscard]] bool unlisten(kolk::thread_listener &who) noexcept;
    [[nodiscard]] int add_callback(kolk_thread_future_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;

  private:
    [[nodiscard]] bool settle(kolk::outcome how, void *what, kolk_destroy_fn destroy) noexcept;

    std::atomic<uint32_t> refs_{1};
    std::atomic<kolk::outcome> state_{kolk::outcome::pending};
    const uint32_t forks_;  /* when it was made */
    void *value_ = nullptr; /* the result, or the kolk_error, owned; of a cancelled one, too, if there are words */
    kolk_destroy_fn destroy_value_ = nullptr; /* of results */

    kolk::mutex lock_; /* for what follows, and for the end of being pending */
    kolk::condition finished_;
    kolk::list<kolk::thread_listener, kolk::thread_listener> listeners_;
    bool running_ = false;
};

namespace kolk {
using thread_future = ::kolk_thread_future;
}
