#include "core/coroutine/fiber.hh"

#ifdef KOLK_FIBER_SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef KOLK_FIBER_MSAN
#include <sanitizer/msan_interface.h>
#endif
#ifdef KOLK_VALGRIND
#include <valgrind/memcheck.h>
#endif

#ifdef KOLK_FIBER_TSAN
extern "C" { // not all compilers install the header
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
}
#endif

namespace kolk {

#ifdef KOLK_FIBER_SANITIZED

namespace {

/* Right after a switch, on the stack of `current`. Learns the bounds of the stack that was left: nobody else knows those of
 * the thread's own. */
void has_switched([[maybe_unused]] fiber &current) noexcept {
#if defined(KOLK_FIBER_ASAN) || defined(KOLK_FIBER_MSAN)
    const void *low;
    size_t size;
#ifdef KOLK_FIBER_ASAN
    __sanitizer_finish_switch_fiber(current.fake_stack, &low, &size);
#else
    __msan_finish_switch_fiber(&low, &size);
    __msan_unpoison(&low, sizeof low);
    __msan_unpoison(&size, sizeof size);
#endif
    current.previous->low = static_cast<char *>(const_cast<void *>(low));
    current.previous->high = current.previous->low + size;
#endif
}

/* What ASan and TSan note from its middle on happens on `to`. TSan follows calls and returns, so the call that tells it must
 * stand in the function that is left and come back to. */
void hand_over(fiber &from, fiber &to, [[maybe_unused]] bool dying) noexcept {
    exception_globals *exceptions = kolk_exception_globals ? kolk_exception_globals() : nullptr;
    exception_globals mine = {};
    if (exceptions) {
        mine = *exceptions;
        *exceptions = {};
    }
    to.previous = &from;
#ifdef KOLK_FIBER_ASAN
    // Given nowhere to keep the fake stack, ASan frees it.
    __sanitizer_start_switch_fiber(dying ? nullptr : &from.fake_stack, to.low, size_t(to.high - to.low));
#endif
#ifdef KOLK_FIBER_MSAN
    __msan_start_switch_fiber(to.low, size_t(to.high - to.low));
#endif
#ifdef KOLK_FIBER_TSAN
    from.tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to.tsan, 0);
#endif
    kolk_stack_switch(&from.sp, to.sp);
    has_switched(from);
    if (exceptions)
        *exceptions = mine;
}

void first_entry(void *self) {
    auto &current = *static_cast<fiber *>(self);
    has_switched(current);
    current.entry(current.argument);
    __builtin_unreachable();
}

} // namespace

void switch_fiber(fiber &from, fiber &to) noexcept { hand_over(from, to, false); }
void switch_fiber_alike(fiber &from, fiber &to) noexcept { hand_over(from, to, false); }

void leave_fiber(fiber &from, fiber &to) noexcept {
    hand_over(from, to, true);
    __builtin_unreachable();
}

#else

__thread exception_globals *thread_exceptions;

void switch_fiber_handling(fiber &from, fiber &to) noexcept {
    exception_globals *current = thread_exceptions;
    exception_globals mine = *current;
    *current = {};
    kolk_stack_switch(&from.sp, to.sp);
    *current = mine;
}

#endif

void prepare_fiber(fiber &f, char *low, char *high, void (*entry)(void *), void *argument) noexcept {
    f.low = low;
    f.high = high;
#ifndef KOLK_FIBER_SANITIZED
    if (!thread_exceptions && kolk_exception_globals)
        thread_exceptions = kolk_exception_globals();
#endif
#ifdef KOLK_FIBER_SANITIZED
    f.entry = entry;
    f.argument = argument;
    f.fake_stack = nullptr;
    entry = first_entry;
    argument = &f;
#endif
#ifdef KOLK_FIBER_TSAN
    f.tsan = __tsan_create_fiber(0);
#endif
#ifdef KOLK_VALGRIND
    f.valgrind_id = VALGRIND_STACK_REGISTER(low, high);
#endif
    f.sp = kolk_stack_make(low, high, entry, argument);
}

void forget_fiber([[maybe_unused]] fiber &f) noexcept {
#ifdef KOLK_FIBER_ASAN
    // Frames that were left for good may not have taken the marks off their variables.
    __asan_unpoison_memory_region(f.low, size_t(f.high - f.low));
#endif
#ifdef KOLK_FIBER_TSAN
    __tsan_destroy_fiber(f.tsan);
    f.tsan = nullptr;
#endif
#ifdef KOLK_VALGRIND
    if (RUNNING_ON_VALGRIND) {
        VALGRIND_STACK_DEREGISTER(f.valgrind_id);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(f.low, f.high - f.low); // what lay beyond the last frame was out of bounds
    }
#endif
}

} // namespace kolk
