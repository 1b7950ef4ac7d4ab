/* Names to addresses, off the loop's thread. */
#pragma once

#include "core/platform/socket.hh"
#include "core/platform/worker_threads.hh"
#include "core/task/task.hh"

namespace kolk {

struct addresses {
    static constexpr int most = 16;
    socket_address list[most];
    int count = 0;
};

/* The resolver of one loop: getaddrinfo on worker threads. */
class resolver {
  public:
    [[nodiscard]] static resolver *make(loop &on) noexcept;

    /* Inside a task: waits until the name is resolved. 0 or a status. A lookup that is no longer waited for ends unseen. */
    [[nodiscard]] int resolve(task &self, const char *host, uint16_t port, int family, addresses &ret_found) noexcept;

    /* Frees this. */
    void close() noexcept;

    resolver(loop &on, worker_threads &threads) noexcept : owner_(&on), workers_(&threads) {}

  private:
    loop *owner_;
    worker_threads *workers_;
};

} // namespace kolk
