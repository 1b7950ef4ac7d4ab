/* Memory through the allocator that a loop was given. */
#pragma once

#include <kolk/allocator.h>

#include <new>
#include <utility>

namespace kolk {

using allocator = ::kolk_allocator;

/* The process default: malloc and free unless kolk_set_default_allocator() said otherwise. */
[[nodiscard]] const allocator &default_allocator() noexcept;
[[nodiscard]] int set_default_allocator(const allocator *replacement) noexcept;

[[nodiscard]] inline void *allocate(const allocator &from, size_t bytes) noexcept {
    return from.allocate(from.userdata, bytes);
}
inline void release(const allocator &to, void *memory, size_t bytes) noexcept {
    if (memory)
        to.release(to.userdata, memory, bytes);
}

/* A new object, or nullptr when memory is gone. */
template <class T, class... Args>
[[nodiscard]] T *create(const allocator &from, Args &&...args) noexcept {
    void *memory = allocate(from, sizeof(T));
    return memory ? ::new (memory) T(std::forward<Args>(args)...) : nullptr;
}

template <class T>
void destroy(const allocator &to, T *object) noexcept {
    if (!object)
        return;
    object->~T();
    release(to, object, sizeof(T));
}

} // namespace kolk
