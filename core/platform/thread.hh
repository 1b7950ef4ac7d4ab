/* Which thread this is, and what it is running. */
#pragma once

#include <stdint.h>

struct kolk_coroutine;
struct kolk_error;
struct kolk_loop;
struct kolk_task;

namespace kolk {

/* What a thread knows about itself. Fibers never change threads, so its address may be kept across a switch. */
struct thread_state {
    uint64_t token; /* unlike that of any other thread, and of this one before a fork; 0 until a loop is made here */
    kolk_loop *loop;
    kolk_task *task;
    kolk_coroutine *coroutine;
    kolk_error **raised;     /* where errors are kept while a coroutine without a stack runs: none is current then */
    kolk_error *step_raised; /* likewise of the task without a stack that runs; nullptr when none does */
};

/* Reached by one instruction: a library that is loaded late finds room for it in the space that libc keeps spare. */
extern __thread thread_state this_thread __attribute__((tls_model("initial-exec")));

/* Gives this thread a token if it has none. From the first call on, fork gives the child's thread a new one, so that every
 * comparison with a token taken before fails. Returns 0 when the system has no room for the fork handler. */
[[nodiscard]] uint64_t claim_thread_token() noexcept;

/* Lets others go first. */
void yield_thread() noexcept;

/* How often this process and its ancestors forked, as far as it matters here. */
[[nodiscard]] uint32_t fork_count() noexcept;

} // namespace kolk
