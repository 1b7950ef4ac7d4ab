/* A thread of the library's own, and the lock under which it meets those it works for.
 *
 * For what the process needs once: started with the first client, ended and joined after the last, on which thread that ever
 * happens. A forked child has no such thread, so the state begins anew there. Constant to begin with and never destroyed, as
 * code that runs before main or after it must not be. */
#pragma once

#include <stdint.h>

#include <pthread.h>

namespace kolk {

class service_thread {
  public:
    service_thread() noexcept = default;
    service_thread(const service_thread &) = delete;
    service_thread &operator=(const service_thread &) = delete;

    void lock() noexcept { pthread_mutex_lock(&lock_); }
    void unlock() noexcept { pthread_mutex_unlock(&lock_); }

    /* What follows is for who holds the lock. Waiting gives it up meanwhile. */

    void wait() noexcept { pthread_cond_wait(&news_, &lock_); }
    void wait_until(int64_t when) noexcept; /* of monotonic_time() */
    void notify() noexcept { pthread_cond_broadcast(&news_); }

    /* Has `run` running, which comes back when ending(). `in_child` is called in a forked child and calls begin_anew().
     * 0, KOLK_ENOMEM, or KOLK_ELIMIT when no thread can be made. */
    [[nodiscard]] int start(void *(*run)(void *) noexcept, void (*in_child)() noexcept) noexcept;

    /* Ends it, and waits for that. */
    void end() noexcept;
    [[nodiscard]] bool ending() const noexcept { return state_ != state::running; }

    /* In a forked child: whoever held the lock is not there. */
    void begin_anew() noexcept;

  private:
    enum class state { none, running, ending };

    [[nodiscard]] int prepare(void (*in_child)() noexcept) noexcept;

    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t news_ = PTHREAD_COND_INITIALIZER; /* replaced by one with the right clock */
    pthread_t thread_ = {};
    state state_ = state::none;
    bool prepared_ = false, tells_children_ = false;
};

} // namespace kolk
