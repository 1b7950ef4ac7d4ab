/* What kind of descriptor this is. */
#pragma once

namespace kolk {

/* 0 when it can be waited for; KOLK_EBADF when it is not open, KOLK_ENOTSUP for regular files and directories. select and poll
 * would call those always ready and epoll refuses them: the answer must not depend on the reactor. */
[[nodiscard]] int check_pollable(int fd) noexcept;

/* Whether it can be read or written now; also when that would fail at once. */
[[nodiscard]] bool is_readable(int fd) noexcept;
[[nodiscard]] bool is_writable(int fd) noexcept;

} // namespace kolk
