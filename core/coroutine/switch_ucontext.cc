/* Switching stacks with what POSIX once had for it: the back end for processors without one of their own, and the other
 * opinion in tests. Slow, because each switch also changes the signal mask, which costs a system call.
 *
 * The sp of a stack that was left points at a context: in the frame of kolk_stack_switch that waits there, or, of a stack
 * that has not begun, at the top of it. */
#include "core/coroutine/fiber.hh"

#include <new>
#include <stdint.h>
#include <ucontext.h>

namespace {

struct first_context {
    ucontext_t context; /* first: sp points here */
    void (*entry)(void *);
    void *argument;
};

/* makecontext passes ints. */
void begin(unsigned upper, unsigned lower) {
    auto *first = reinterpret_cast<first_context *>((uint64_t(upper) << 32) | lower);
    first->entry(first->argument);
    __builtin_unreachable();
}

} // namespace

extern "C" void *kolk_stack_make(char *low, char *high, void (*entry)(void *), void *argument) noexcept {
    auto place = (reinterpret_cast<uintptr_t>(high) - sizeof(first_context)) & ~uintptr_t(63);
    auto *first = ::new (reinterpret_cast<void *>(place)) first_context{{}, entry, argument};
    getcontext(&first->context); // fails only for a bad pointer
    first->context.uc_stack.ss_sp = low;
    first->context.uc_stack.ss_size = size_t(place - reinterpret_cast<uintptr_t>(low));
    first->context.uc_link = nullptr;
    auto begin_with_ints = reinterpret_cast<void (*)()>(reinterpret_cast<void *>(begin));
    makecontext(&first->context, begin_with_ints, 2, unsigned(uint64_t(place) >> 32), unsigned(place));
    return &first->context;
}

extern "C" void kolk_stack_switch(void **ret_from, void *to) noexcept {
    ucontext_t here;
    here.uc_stack = {}; // not set by swapcontext, but ASan reads it when it comes back
    *ret_from = &here;
    swapcontext(&here, static_cast<ucontext_t *>(to)); // fails only for a bad pointer
}

extern "C" void kolk_stack_switch_alike(void **ret_from, void *to) noexcept { kolk_stack_switch(ret_from, to); }
