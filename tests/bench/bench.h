/* What every benchmark program needs: arguments, clocks, a place in the machine, and a way to report.
 *
 * Arguments are key=value words; a key that a program does not know is ignored, so that one command line fits all. Results are
 * lines "metric number" on standard output. A program that cannot measure ends with status 2 and says why on standard error:
 * a number that was not measured is never printed. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/** The text after "key=" among the arguments, or @p fallback. */
const char *bench_text(int argc, char **argv, const char *key, const char *fallback);

/** The whole number after "key=", or @p fallback. Ends the program if there is something else, or less than @p least. */
long bench_number(int argc, char **argv, const char *key, long fallback, long least);

/** Nanoseconds on the monotonic clock. */
uint64_t bench_now(void);

/** Nanoseconds of processor time that this process has used. */
uint64_t bench_cpu(void);

/** Resident bytes of this process. */
long bench_resident(void);

/** Keeps the calling thread on one processor, where the system lets it. */
void bench_pin(int cpu);

/** Allows as many descriptors as the hard limit does. */
void bench_raise_descriptor_limit(void);

/** Prints one result. */
void bench_report(const char *metric, double value);

/** calloc() that ends the program instead of failing. */
void *bench_allocate(size_t count, size_t bytes);

/** Ends the program because a system call failed. */
__attribute__((noreturn, cold)) void bench_fail(const char *what);

/** Ends the program because kolk refused: "what: name of the status". */
__attribute__((noreturn, cold)) void bench_refused(int status, const char *what);

/** Ends the program when @p status is negative; returns it otherwise. In line, so that it does not count. */
static inline int bench_check(int status, const char *what) {
    if (status < 0)
        bench_refused(status, what);
    return status;
}

/** The generator of pseudo-random numbers of all programs (xorshift64*), so that each run asks for the same. */
uint64_t bench_random(uint64_t *state);

#endif
