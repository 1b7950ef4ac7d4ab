/* What another thread is doing at the moment.
 *
 * Only the thread itself can walk its stack while it stands still, so it is interrupted by a signal and writes down what it
 * finds. The signal is SIGURG: programs that do not ask for it do not notice it, debuggers pass it on in silence, and what
 * little it is used for copes with one too many.
 *
 * A program that handles it keeps it. One that installs a handler later is not disturbed either: it is looked up each time, and
 * a signal of ours that arrives late is one of many. */
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kolk {

/* Return addresses, innermost first; the first is where the thread was interrupted. */
struct stack_trace {
    static constexpr uint32_t most_frames = 64;
    void *frames[most_frames];
    uint32_t count = 0;
};

/* Of the calling thread, for others to interrupt. */
[[nodiscard]] int thread_id() noexcept;

/* To be called before the first interrupt(), outside of signal handlers: loads what is loaded when a stack is first walked. */
void load_unwinder() noexcept;

enum class interruption {
    answered,
    foreign, /* the program handles the signal itself */
    silent,  /* no answer came within a second: the thread is stuck in the kernel, blocks the signal, or is gone */
};

/* Calls look(argument) on another thread, in a signal handler, wherever that is; its stack goes into `ret` if look() says that
 * it may be walked. For one thread at a time. What `argument` points to must be valid also after `silent`, but look() does not
 * begin later than that. */
[[nodiscard]] interruption interrupt(int thread, bool (*look)(void *argument) noexcept, void *argument,
                                     stack_trace &ret) noexcept;

/* Gives the signal back to the program. */
void stop_interrupting() noexcept;

/* In a forked child: nobody is being asked. */
void forget_interruptions() noexcept;

/* "parse+0x1f (import+0x2a1f)": the nearest symbol that the loader knows, and the file with the address that addr2line wants.
 * Of a return address the call is meant. */
void describe_address(const void *address, bool returned_to, char *text, size_t size) noexcept;

} // namespace kolk
