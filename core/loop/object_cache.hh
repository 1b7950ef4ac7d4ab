/* Small objects of one loop, kept for the next of their size.
 *
 * Handles, futures and operations come and go with every callback; taking one back is two instructions instead of a call of the
 * allocator. At most 1024 blocks of each size are kept. Under AddressSanitizer nothing is kept, so that it sees every use after
 * the end. */
#pragma once

#include "core/allocator.hh"

#include <stdint.h>

namespace kolk {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool caches_objects = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool caches_objects = false;
#else
inline constexpr bool caches_objects = true;
#endif
#else
inline constexpr bool caches_objects = true;
#endif

class object_cache {
  public:
    explicit object_cache(const allocator &memory) noexcept : memory_(memory) {}
    ~object_cache() {
        for (size_t i = 0; i < classes; i++)
            while (block *first = free_[i]) {
                free_[i] = first->next;
                release(memory_, first, size_of(i));
            }
    }
    object_cache(const object_cache &) = delete;
    object_cache &operator=(const object_cache &) = delete;

    [[nodiscard]] const allocator &memory() const noexcept { return memory_; }

    [[nodiscard]] void *take(size_t bytes) noexcept {
        size_t index = index_of(bytes);
        if (index >= classes)
            return allocate(memory_, bytes);
        if (block *first = free_[index]) [[likely]] {
            free_[index] = first->next;
            kept_[index]--;
            return first;
        }
        return allocate(memory_, size_of(index));
    }

    /* Only what was kept; nullptr when there is none. For ways so short that a call would make them long. */
    template <class T>
    [[nodiscard]] void *take_kept() noexcept {
        constexpr size_t index = index_of(sizeof(T));
        static_assert(index < classes);
        block *first = free_[index];
        if (first) [[likely]] {
            free_[index] = first->next;
            kept_[index]--;
        }
        return first;
    }

    void give(void *memory, size_t bytes) noexcept {
        size_t index = index_of(bytes);
        if (index >= classes) {
            release(memory_, memory, bytes);
        } else if (caches_objects && kept_[index] < most_kept) [[likely]] {
            free_[index] = ::new (memory) block{free_[index]};
            kept_[index]++;
        } else {
            release(memory_, memory, size_of(index));
        }
    }

    template <class T, class... Args>
    [[nodiscard]] T *create(Args &&...args) noexcept {
        void *memory = take(sizeof(T));
        return memory ? ::new (memory) T(std::forward<Args>(args)...) : nullptr;
    }

    template <class T>
    void destroy(T *object) noexcept {
        object->~T();
        give(object, sizeof(T));
    }

  private:
    static constexpr size_t granule = 16, classes = 16;
    static constexpr uint32_t most_kept = 1024;
    /* With what malloc keeps for itself, a block is a whole number of granules, which is what malloc rounds up to. */
    static constexpr size_t header = sizeof(size_t);
    static constexpr size_t index_of(size_t bytes) noexcept { return (bytes + header - 1) / granule; }
    static constexpr size_t size_of(size_t index) noexcept { return (index + 1) * granule - header; }
    struct block {
        block *next;
    };

    allocator memory_;
    block *free_[classes] = {};
    uint32_t kept_[classes] = {};
};

} // namespace kolk
