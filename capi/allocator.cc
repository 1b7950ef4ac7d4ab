#include "core/allocator.hh"

extern "C" int kolk_set_default_allocator(const kolk_allocator *allocator) noexcept {
    return kolk::set_default_allocator(allocator);
}
