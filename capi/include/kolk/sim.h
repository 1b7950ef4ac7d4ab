/**
 * @file sim.h
 * A reactor whose time is virtual and whose chances come from a seed.
 *
 * With the reactor "sim" a loop never sleeps while it has a timer: when nothing is ready, its clock jumps to the next deadline.
 * Twenty sleeps of a second are over at once, in the right order. Descriptors are real; those that are ready together are
 * reported in an order drawn from the seed, some of them later than others, and timers come late by as much as is allowed. The
 * same seed makes the same choices, so a failure can be replayed. After trio's autojump clock and tokio's paused time.
 *
 * Time passes only while everybody waits: a task or callback that keeps the loop busy keeps the clock where it is.
 *
 * What other threads do is not part of the simulation: a loop without timers waits for them in real time, one with timers does
 * not.
 *
 * @code
 * kolk_sim_options sim = {sizeof sim, 0, 42, 0, 0};
 * kolk_loop_options options = {.size = sizeof options, .reactor = "sim", .host = &sim};
 * @endcode
 */
#ifndef KOLK_SIM_H
#define KOLK_SIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How to simulate: kolk_loop_options::host for the reactor "sim", read while the loop is made. Without it all members are 0,
 * and the seed is KOLK_SIM_SEED of the environment, if it is set; programs with more rights than their caller do not look
 * there. A size that is too small, a time below 0 and a KOLK_SIM_SEED that is no number are #KOLK_EINVAL. */
typedef struct kolk_sim_options {
    uint32_t size;       /**< sizeof(kolk_sim_options). */
    uint32_t reserved;   /**< 0. */
    uint64_t seed;       /**< 0: events come in the order of their descriptors, and all at once. */
    int64_t start_ns;    /**< What the clock shows at first. */
    int64_t lateness_ns; /**< Each sleep lasts longer than asked for by up to this much, as the seed has it. 0, or without a
                              seed: exact. */
} kolk_sim_options;

#ifdef __cplusplus
}
#endif

#endif
