/* Waiting until another thread says that something has changed. */
#pragma once

#include "core/platform/mutex.hh"

#include <stdint.h>

namespace kolk {

class condition {
  public:
    condition() noexcept = default;
    ~condition();
    condition(const condition &) = delete;
    condition &operator=(const condition &) = delete;

    /* Before anything else. False when the system has no room for it. */
    [[nodiscard]] bool open() noexcept;

    /* With the lock held, which is given up meanwhile. Each may return for no reason. */
    void wait(mutex &held) noexcept;
    void wait_until(mutex &held, int64_t when) noexcept; /* of monotonic_time() */

    void notify_all() noexcept;

  private:
    pthread_cond_t native_;
    bool opened_ = false;
};

} // namespace kolk
