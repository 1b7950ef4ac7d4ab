/* A thread that waits in another one's place.
 *
 * It is let go, waits once, tells, and parks until it is let go again. Whoever wants to use what it waits on calls it back
 * first: that ends when it is parked. So the two never use that at the same time, and need no further lock. */
#pragma once

#include <stdint.h>

#include <pthread.h>

namespace kolk {

class wait_thread {
  public:
    /* Both are called on the thread. `tell` is not, where it was called back meanwhile; it returns false to be asked again. */
    struct work {
        void (*wait)(void *userdata, int64_t until) noexcept;
        bool (*tell)(void *userdata) noexcept;
        void *userdata;
    };

    wait_thread() noexcept = default;
    wait_thread(const wait_thread &) = delete;
    wait_thread &operator=(const wait_thread &) = delete;

    /* 0, KOLK_ENOMEM or KOLK_ELIMIT when no thread can be made. It is parked. */
    [[nodiscard]] int start(const work &what) noexcept;
    /* Ends a parked one, if there is one. */
    void end() noexcept;
    /* In a forked child, where it does not exist. */
    void begin_anew() noexcept;

    /* The other thread's, all of them. */
    enum class state { parked, waiting, telling };
    [[nodiscard]] state now() noexcept;
    void let_go(int64_t until) noexcept; /* a parked one */
    /* Calls it back. Says whether it waits, which somebody has to end then; it does not tell of that. */
    [[nodiscard]] bool call_back() noexcept;
    void wait_until_parked() noexcept; /* after that */

  private:
    static void *run(void *self) noexcept;
    void tell_until_heard() noexcept;

    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t news_ = PTHREAD_COND_INITIALIZER;
    pthread_t thread_ = {};
    work work_ = {};
    int64_t until_ = 0;
    bool started_ = false;
    state now_ = state::parked; /* under the lock, as is what follows */
    bool called_back_ = false, ending_ = false;
};

} // namespace kolk
