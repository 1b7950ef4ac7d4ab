#include "core/platform/stack_trace.hh"

#include <atomic>

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define KOLK_HAVE_BACKTRACE 1
#endif

namespace kolk {

namespace {

constexpr int our_signal = SIGURG;
constexpr int64_t patience = 1'000'000'000, nap = 50'000;

/* Of the handler and what it calls. */
constexpr int frames_of_ours = 8;

/* One question at a time. It has a number, so that a signal that was long under way does not answer a later one; the two lowest
 * bits say how far it has come. */
enum : uint64_t { asked = 1, answering = 2, answered = 3, phases = 4 };
std::atomic<uint64_t> question{0};
std::atomic<int> whom{0};
bool (*looking)(void *) noexcept;
void *looking_at;
void *found[stack_trace::most_frames + frames_of_ours];
int found_count;
void *interrupted_at;

struct sigaction before;
bool installed = false;

/* nullptr where that is not known: then the stack begins with frames of ours. */
void *interrupted_address([[maybe_unused]] const void *context) noexcept {
#if defined(__x86_64__) && defined(REG_RIP)
    return reinterpret_cast<void *>(static_cast<const ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__) && defined(__linux__)
    return reinterpret_cast<void *>(static_cast<const ucontext_t *>(context)->uc_mcontext.pc);
#else
    return nullptr;
#endif
}

void answer(int, siginfo_t *, void *context) noexcept {
    int saved = errno;
    uint64_t current = question.load(std::memory_order_acquire);
    if (current % phases == asked && whom.load(std::memory_order_relaxed) == thread_id() &&
        question.compare_exchange_strong(current, current - asked + answering, std::memory_order_acquire)) {
        found_count = 0;
        interrupted_at = interrupted_address(context);
        [[maybe_unused]] bool may_walk = looking(looking_at);
#ifdef KOLK_HAVE_BACKTRACE
        if (may_walk)
            found_count = backtrace(found, int(sizeof found / sizeof *found));
#endif
        question.store(current - asked + answered, std::memory_order_release);
    }
    errno = saved;
}

[[nodiscard]] bool is_ours(const struct sigaction &action) noexcept {
    return (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == answer;
}

[[nodiscard]] bool is_nobodys(const struct sigaction &action) noexcept {
    return !(action.sa_flags & SA_SIGINFO) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
}

[[nodiscard]] bool install() noexcept {
    struct sigaction current;
    if (sigaction(our_signal, nullptr, &current) != 0)
        return false;
    if (is_ours(current))
        return true;
    if (!is_nobodys(current))
        return false;
    struct sigaction ours = {};
    ours.sa_sigaction = answer;
    /* On a stack for signals if the program has made one: those of fibers are small. */
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&ours.sa_mask);
    before = current;
    installed = sigaction(our_signal, &ours, nullptr) == 0;
    return installed;
}

void take_stack(stack_trace &ret) noexcept {
    int first = 0;
    while (first < found_count && found[first] != interrupted_at)
        first++;
    if (first == found_count)
        first = 0; /* handlers that a sanitizer calls late are not told by what they were interrupted */
    ret.count = 0;
    for (int i = first; i < found_count && ret.count < stack_trace::most_frames; i++)
        ret.frames[ret.count++] = found[i];
}

/* Unless it has been answered, or is being answered right now, it will not be. Says whether it has been. */
[[nodiscard]] bool withdraw(uint64_t number) noexcept {
    uint64_t current = number + asked;
    return !question.compare_exchange_strong(current, number, std::memory_order_acquire) && current == number + answered;
}

/* Naps, because what a signal handler can wake somebody with costs a descriptor, or goes by a clock that can be set. */
[[nodiscard]] bool wait_for_answer(uint64_t number) noexcept {
    const timespec moment = {0, nap};
    for (int64_t waited = 0; waited < patience; waited += nap) {
        if (question.load(std::memory_order_acquire) == number + answered)
            return true;
        nanosleep(&moment, nullptr);
    }
    return withdraw(number);
}

/* By how much the addresses in a file are moved; that of a program may not be. */
[[nodiscard]] bool find_symbol(const void *address, Dl_info &ret_info, uintptr_t &ret_moved) noexcept {
#ifdef __GLIBC__
    void *map = nullptr;
    if (dladdr1(address, &ret_info, &map, RTLD_DL_LINKMAP) == 0 || !map || !ret_info.dli_fname)
        return false;
    ret_moved = static_cast<const link_map *>(map)->l_addr;
#else
    if (dladdr(address, &ret_info) == 0 || !ret_info.dli_fname)
        return false;
    ret_moved = reinterpret_cast<uintptr_t>(ret_info.dli_fbase);
#endif
    return true;
}

} // namespace

int thread_id() noexcept { return int(syscall(SYS_gettid)); }

void load_unwinder() noexcept {
#ifdef KOLK_HAVE_BACKTRACE
    void *here[1];
    (void)backtrace(here, 1);
#endif
}

interruption interrupt(int thread, bool (*look)(void *) noexcept, void *argument, stack_trace &ret) noexcept {
    ret.count = 0;
    uint64_t last = question.load(std::memory_order_acquire);
    if (last % phases == answering)
        return interruption::silent; /* somebody got stuck in the middle of an answer, which is still being written */
    if (!install())
        return interruption::foreign;
    uint64_t number = last - last % phases + phases;
    looking = look;
    looking_at = argument;
    whom.store(thread, std::memory_order_relaxed);
    question.store(number + asked, std::memory_order_release);
    /* Not pthread_kill(), which must not be used on a thread that may have ended. */
    bool sent = syscall(SYS_tgkill, getpid(), thread, our_signal) == 0;
    if (!(sent ? wait_for_answer(number) : withdraw(number)))
        return interruption::silent;
    take_stack(ret);
    return interruption::answered;
}

void stop_interrupting() noexcept {
    struct sigaction current;
    if (installed && sigaction(our_signal, nullptr, &current) == 0 && is_ours(current))
        sigaction(our_signal, &before, nullptr);
    installed = false;
}

void forget_interruptions() noexcept { question.store(0, std::memory_order_relaxed); }

void describe_address(const void *address, bool returned_to, char *text, size_t size) noexcept {
    auto place = reinterpret_cast<uintptr_t>(address), inside = place - (returned_to ? 1 : 0);
    Dl_info info = {};
    uintptr_t moved = 0;
    if (!find_symbol(reinterpret_cast<const void *>(inside), info, moved)) {
        snprintf(text, size, "%p", address);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const char *file = slash ? slash + 1 : info.dli_fname;
    if (!info.dli_sname) {
        snprintf(text, size, "%s+0x%zx", file, size_t(inside - moved));
        return;
    }
    size_t into = size_t(place - reinterpret_cast<uintptr_t>(info.dli_saddr));
    snprintf(text, size, "%s+0x%zx (%s+0x%zx)", info.dli_sname, into, file, size_t(inside - moved));
}

} // namespace kolk
