/* A descriptor that becomes readable when the monotonic clock reaches a deadline. */
#pragma once

#include <stdint.h>

namespace kolk {

/* The descriptor, or a negated errno. Closed with close_fd(). */
[[nodiscard]] int timer_fd_open() noexcept;

/* Readable from when_ns on; INT64_MAX: never. Forgets an expiry that was not read. */
void timer_fd_set(int fd, int64_t when_ns) noexcept;

} // namespace kolk
