#include "core/platform/thread.hh"

#include <atomic>

#include <pthread.h>
#include <sched.h>

namespace kolk {

__thread thread_state this_thread __attribute__((tls_model("initial-exec")));

namespace {

std::atomic<uint64_t> last_token{0};
std::atomic<uint32_t> forks{0};
pthread_once_t installed = PTHREAD_ONCE_INIT;
bool usable = false;

void in_child() noexcept {
    forks.fetch_add(1, std::memory_order_relaxed);
    if (this_thread.token)
        this_thread.token = last_token.fetch_add(1, std::memory_order_relaxed) + 1;
}

void install() noexcept { usable = pthread_atfork(nullptr, nullptr, in_child) == 0; }

} // namespace

uint64_t claim_thread_token() noexcept {
    pthread_once(&installed, install);
    if (!usable)
        return 0;
    if (!this_thread.token)
        this_thread.token = last_token.fetch_add(1, std::memory_order_relaxed) + 1;
    return this_thread.token;
}

void yield_thread() noexcept { sched_yield(); }

uint32_t fork_count() noexcept { return forks.load(std::memory_order_relaxed); }

} // namespace kolk
