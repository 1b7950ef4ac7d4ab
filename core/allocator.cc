#include "core/allocator.hh"

#include <kolk/error.h>

#include <stdlib.h>

namespace kolk {

namespace {

void *malloc_allocate(void *, size_t bytes) { return malloc(bytes); }
void malloc_release(void *, void *memory, size_t) { free(memory); }

constexpr allocator c_library = {sizeof(allocator), 0, malloc_allocate, malloc_release, nullptr};
allocator process_default = c_library;

} // namespace

const allocator &default_allocator() noexcept { return process_default; }

int set_default_allocator(const allocator *replacement) noexcept {
    if (!replacement) {
        process_default = c_library;
        return 0;
    }
    if (replacement->size < sizeof(allocator) || !replacement->allocate || !replacement->release)
        return KOLK_EINVAL;
    process_default = *replacement;
    return 0;
}

} // namespace kolk
