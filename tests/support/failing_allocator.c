#include "failing_allocator.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE = 0x600DB10C, RELEASED = 0xDEADB10C };

/* Stands in front of every block; its size keeps what follows aligned for any type. */
struct prefix {
    size_t bytes;
    uint32_t mark;
    uint32_t reserved;
};

static size_t load(const size_t *counter) { return __atomic_load_n(counter, __ATOMIC_ACQUIRE); }
static size_t add(size_t *counter, size_t amount) { return __atomic_add_fetch(counter, amount, __ATOMIC_ACQ_REL); }
static void subtract(size_t *counter, size_t amount) { __atomic_sub_fetch(counter, amount, __ATOMIC_ACQ_REL); }

static int must_fail(struct failing_allocator *self) {
    size_t call = add(&self->calls, 1);
    size_t fail_at = load(&self->fail_at);
    if (fail_at == 0 || call < fail_at)
        return 0;
    return call == fail_at || __atomic_load_n(&self->sticky, __ATOMIC_ACQUIRE);
}

static void *allocate(void *userdata, size_t bytes) {
    struct failing_allocator *self = userdata;
    if (must_fail(self)) {
        add(&self->failures, 1);
        return NULL;
    }
    struct prefix *prefix = malloc(sizeof *prefix + bytes);
    if (!prefix)
        return NULL;
    *prefix = (struct prefix){.bytes = bytes, .mark = LIVE};
    /* Fresh memory is not zero elsewhere either. */
    memset(prefix + 1, 0xA5, bytes);
    add(&self->live_blocks, 1);
    size_t live = add(&self->live_bytes, bytes);
    size_t peak = load(&self->peak_bytes);
    while (live > peak && !__atomic_compare_exchange_n(&self->peak_bytes, &peak, live, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    return prefix + 1;
}

static void release(void *userdata, void *memory, size_t bytes) {
    struct failing_allocator *self = userdata;
    struct prefix *prefix = memory ? (struct prefix *)memory - 1 : NULL;
    if (!prefix || prefix->mark != LIVE) {
        add(&self->mistakes, 1);
        return;
    }
    if (prefix->bytes != bytes)
        add(&self->mistakes, 1);
    bytes = prefix->bytes;
    memset(prefix + 1, 0xDD, bytes);
    prefix->mark = RELEASED;
    free(prefix);
    subtract(&self->live_bytes, bytes);
    /* Last: who sees no live blocks any more may take the allocator away. */
    subtract(&self->live_blocks, 1);
}

void failing_allocator_init(struct failing_allocator *self) {
    *self = (struct failing_allocator){
        .hook = {.size = sizeof(kolk_allocator), .allocate = allocate, .release = release, .userdata = self}};
}

void failing_allocator_arm(struct failing_allocator *self, size_t n, int sticky) {
    __atomic_store_n(&self->fail_at, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&self->calls, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&self->failures, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&self->sticky, sticky, __ATOMIC_RELEASE);
    __atomic_store_n(&self->fail_at, n, __ATOMIC_RELEASE);
}

size_t failing_allocator_disarm(struct failing_allocator *self) {
    __atomic_store_n(&self->fail_at, 0, __ATOMIC_RELEASE);
    return load(&self->calls);
}

size_t failing_allocator_live_blocks(const struct failing_allocator *self) { return load(&self->live_blocks); }
size_t failing_allocator_live_bytes(const struct failing_allocator *self) { return load(&self->live_bytes); }
size_t failing_allocator_mistakes(const struct failing_allocator *self) { return load(&self->mistakes); }
