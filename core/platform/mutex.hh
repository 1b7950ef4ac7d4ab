/* A lock between threads. Who finds it taken tries for a while before it sleeps, where the system can do that: it is mostly
 * held for a few instructions, and to sleep and be woken takes thousands. */
#pragma once

#include <pthread.h>

namespace kolk {

class mutex {
  public:
    mutex() noexcept = default;
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;
    void lock() noexcept { pthread_mutex_lock(&native_); }
    void unlock() noexcept { pthread_mutex_unlock(&native_); }
    /* In a forked child, where whoever held it is not there. False when somebody did. */
    [[nodiscard]] bool begin_anew() noexcept {
        bool was_free = pthread_mutex_trylock(&native_) == 0;
        native_ = unlocked;
        return was_free;
    }

  private:
    friend class condition;
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    static constexpr pthread_mutex_t unlocked = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
    static constexpr pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;
#endif
    pthread_mutex_t native_ = unlocked;
};

/* Held until the scope is left. */
class locked {
  public:
    explicit locked(mutex &by) noexcept : by_(&by) { by.lock(); }
    ~locked() { by_->unlock(); }
    locked(const locked &) = delete;
    locked &operator=(const locked &) = delete;

  private:
    mutex *by_;
};

} // namespace kolk
