/* Places to continue: a stack, and where on it somebody left off.
 *
 * Three steps that a port supplies (make, switch, and the entry of a new stack) live in switch_*; this file adds what must
 * travel with a stack: the exceptions that C++ code on it is handling, and what sanitizers and valgrind want to be told.
 *
 * A switch keeps what the platform's calling convention says survives a function call, rounding mode and floating-point masks
 * included. It does not keep the signal mask, errno or thread-locals: those belong to the thread. Compilers keep addresses of
 * thread-locals across calls, so a fiber always continues on the thread that it started on. */
#pragma once

#include <stddef.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define KOLK_FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define KOLK_FIBER_TSAN 1
#endif
#if __has_feature(memory_sanitizer)
#define KOLK_FIBER_MSAN 1
#endif
#if defined(KOLK_FIBER_ASAN) || defined(KOLK_FIBER_TSAN) || defined(KOLK_FIBER_MSAN)
#define KOLK_FIBER_SANITIZED 1
#endif

namespace kolk {

/* What the C++ runtime keeps per thread about exceptions in flight, laid out as the Itanium C++ ABI says. */
struct exception_globals {
    void *caught;
    unsigned uncaught;
};

/* A place to continue. The thread's own stack is one too: default constructed, and left by the first switch. */
struct fiber {
    void *sp = nullptr;                   /* where it was left; the back end's business */
    char *low = nullptr, *high = nullptr; /* bounds of its stack; of the thread's own only where a sanitizer tells them */
#ifdef KOLK_FIBER_SANITIZED
    fiber *previous = nullptr;       /* who switched to it last */
    void (*entry)(void *) = nullptr; /* how it starts, once the sanitizers know that it does */
    void *argument = nullptr;
    void *fake_stack = nullptr; /* ASan: where its variables live if use after return is looked for */
    void *tsan = nullptr;       /* owned, except for the thread's own */
#endif
#ifdef KOLK_VALGRIND
    unsigned valgrind_id = 0;
#endif
};

/* Makes `f` continue at entry(argument) on [low, high) when first switched to, with the rounding mode and floating-point masks
 * of whoever prepares it, on the thread that will run it. entry must never return. */
void prepare_fiber(fiber &f, char *low, char *high, void (*entry)(void *), void *argument) noexcept;

/* Leaves `from` here and continues `to`, which must have been prepared, or left before. */
void switch_fiber(fiber &from, fiber &to) noexcept;

/* The same, faster where `to` was left at the same place of the program, by the same calls: processors predict returns by the
 * calls they saw. */
void switch_fiber_alike(fiber &from, fiber &to) noexcept;

/* The same for the last time: `from` never continues. */
[[noreturn]] void leave_fiber(fiber &from, fiber &to) noexcept;

/* What the tools must know before the memory of a fiber that has ended, or never started, is used again. */
void forget_fiber(fiber &f) noexcept;

extern "C" {
/* The back end. `make` returns the sp of a stack that begins with entry(argument) when switched to; `switch` stores where
 * the caller stands and continues at `to`. */
[[gnu::visibility("hidden")]] void *kolk_stack_make(char *low, char *high, void (*entry)(void *), void *argument) noexcept;
[[gnu::visibility("hidden")]] void kolk_stack_switch(void **ret_from, void *to) noexcept;
[[gnu::visibility("hidden")]] void kolk_stack_switch_alike(void **ret_from, void *to) noexcept;

/* Null in a program without a C++ runtime. Under a name of our own, because <cxxabi.h> declares it with other types. */
[[gnu::weak, gnu::visibility("default")]] exception_globals *kolk_exception_globals() noexcept __asm__("__cxa_get_globals");
}

#ifndef KOLK_FIBER_SANITIZED

/* Those of this thread, once a fiber was made on it: asking the runtime each time would cost as much as a switch. */
extern __thread exception_globals *thread_exceptions __attribute__((tls_model("initial-exec")));

/* Out of the handling of an exception. */
void switch_fiber_handling(fiber &from, fiber &to) noexcept;

/* Inlined with one of the two back ends, which is then called directly. Whoever leaves takes its exceptions along, so who has
 * none finds none when it continues. */
[[gnu::always_inline]] inline void switch_fiber_by(void (*back_end)(void **, void *) noexcept, fiber &from,
                                                   fiber &to) noexcept {
    const exception_globals *current = thread_exceptions;
    if (current && (current->caught || current->uncaught)) [[unlikely]]
        return switch_fiber_handling(from, to);
    back_end(&from.sp, to.sp);
}

inline void switch_fiber(fiber &from, fiber &to) noexcept { switch_fiber_by(kolk_stack_switch, from, to); }
inline void switch_fiber_alike(fiber &from, fiber &to) noexcept { switch_fiber_by(kolk_stack_switch_alike, from, to); }

inline void leave_fiber(fiber &from, fiber &to) noexcept {
    switch_fiber(from, to);
    __builtin_unreachable();
}

#endif

} // namespace kolk
