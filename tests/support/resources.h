/* What a process holds: compared before and after, so that a test notices what it left behind. */
#ifndef KOLK_TEST_RESOURCES_H
#define KOLK_TEST_RESOURCES_H

#include <stddef.h>

/* How many descriptors are open. */
int open_fds(void);

/* How many threads are running. */
int running_threads(void);

/* Waits until no more threads than `expected` are running, for a few seconds at most: a thread that has been joined may still
 * be listed for a moment. Returns how many there are. */
int settle_threads(int expected);

/* Bytes of memory that are resident. */
size_t resident_bytes(void);

/* Nanoseconds of processor time this process has used. */
long long cpu_ns(void);

#endif
