/* Preloaded into a program: makes its allocation number NO_MEMORY_AT fail, once. Without that variable it counts, and tells the
 * number at the end. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* glibc's own allocator, under the names that are not replaced here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static atomic_long allocations;
static long failing = -1;

__attribute__((constructor)) static void begin(void) {
    const char *chosen = getenv("NO_MEMORY_AT");
    failing = chosen ? atol(chosen) : 0;
    atomic_store(&allocations, 0);
}

__attribute__((destructor)) static void end(void) {
    if (failing == 0)
        fprintf(stderr, "%ld allocations\n", atomic_load(&allocations));
}

static bool fails(void) {
    if (atomic_fetch_add(&allocations, 1) + 1 != failing)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return fails() ? NULL : __libc_realloc(memory, size); }
