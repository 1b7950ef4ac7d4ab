/* A descriptor that any thread or signal handler can make readable. */
#pragma once

namespace kolk {

/* The descriptor, or a negated errno. */
[[nodiscard]] int wake_fd_open() noexcept;

/* Makes it readable. Safe in signal handlers; leaves errno alone. */
void wake_fd_signal(int fd) noexcept;

/* Makes it unreadable again. */
void wake_fd_clear(int fd) noexcept;

/* Puts another descriptor, which is closed, in the place of this one, which keeps its number. Or of -1: nothing. Returns 0 or
 * a negated errno; the other may be one, and is handed on. */
[[nodiscard]] int replace_fd(int fd, int other) noexcept;

/* Closes any descriptor. Not repeated when interrupted: the kernel has freed the number by then. */
void close_fd(int fd) noexcept;

} // namespace kolk
