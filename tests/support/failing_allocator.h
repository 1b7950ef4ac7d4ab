/* An allocator that counts, that can be told to fail, and that notices what a program would only feel much later: memory that
 * is never released, released with another size, or released twice.
 *
 * Give &failing.hook to kolk_loop_options::allocator or to kolk_set_default_allocator(). All functions may be called from any
 * thread, as kolk's threads allocate too. Released memory is overwritten, so that a use after release shows. */
#ifndef KOLK_TEST_FAILING_ALLOCATOR_H
#define KOLK_TEST_FAILING_ALLOCATOR_H

#include <kolk/allocator.h>

#include <stddef.h>

/* What one allocation failed or not depends on how many came before it. */
struct failing_allocator {
    kolk_allocator hook;
    size_t calls;       /* Allocations asked for since the last arming. */
    size_t fail_at;     /* The number of the call that fails, from 1; 0: none. */
    int sticky;         /* All later ones fail too. */
    size_t failures;    /* How many were failed since the last arming. */
    size_t live_blocks; /* Not yet released. */
    size_t live_bytes;
    size_t peak_bytes;
    size_t mistakes; /* Releases of a wrong size, of memory that is not ours, or for the second time. */
};

/* Starts with nothing failing. */
void failing_allocator_init(struct failing_allocator *self);

/* Fails the n-th allocation from now, and with sticky all after it. n == 0 stops failing. Counting starts anew. */
void failing_allocator_arm(struct failing_allocator *self, size_t n, int sticky);

/* Stops failing; returns how many allocations were asked for since the arming. */
size_t failing_allocator_disarm(struct failing_allocator *self);

/* Bytes and blocks not yet released; releases of a kind that must not be. */
size_t failing_allocator_live_blocks(const struct failing_allocator *self);
size_t failing_allocator_live_bytes(const struct failing_allocator *self);
size_t failing_allocator_mistakes(const struct failing_allocator *self);

#endif
