/* Names to addresses, off the loop's thread. */
#pragma once

#include "core/intrusive_list.hh"
#include "core/platform/socket.hh"
#include "core/platform/worker_threads.hh"
#include "core/task/task.hh"

namespace kolk {

struct lookup;

struct addresses {
    static constexpr int most = 16;
    socket_address list[most];
    int count = 0;
};

/* The resolver of one loop: getaddrinfo on worker threads. */
class resolver {
  public:
    [[nodiscard]] static resolver *make(loop &on) noexcept;

    /* Inside a task: waits until the name is resolved. 0 or a status, with the resolver's own words where it failed. A lookup
     * that is no longer waited for ends unseen. */
    [[nodiscard]] int resolve(task &self, const char *host, uint16_t port, int family, addresses &ret_found,
                              error *&ret_cause) noexcept;

    /* In a forked child: looks up once more what was on its way. 0, KOLK_ENOMEM or KOLK_ELIMIT. */
    [[nodiscard]] int after_fork() noexcept;

    /* Before nothing arrives any more: from then on a lookup belongs to its worker alone. */
    void let_go() noexcept;

    /* Frees this. */
    void close() noexcept;

    resolver(loop &on, worker_threads &threads) noexcept : owner_(&on), workers_(&threads) {}

  private:
    loop *owner_;
    worker_threads *workers_;
    list<lookup> on_their_way_;
    uint32_t forks_ = fork_count(); /* when the workers were made */
};

} // namespace kolk
