/* The stacks of one loop: mapped many at a time, guarded one by one, used again last in, first out.
 *
 * Sizes are rounded up to powers of two, and each power has a class of its own: slabs of stacks that are cut off one after the
 * other, and a list of those that came back. The list lives outside of the stacks, so that a stack whose pages were given back
 * costs no page. Taking and returning a stack allocates nothing and makes no system call as long as few enough are free.
 *
 * A guard below each stack makes an overflow end in SIGSEGV instead of in a neighbour. Kernels from 6.13 on can guard pages
 * within a mapping; elsewhere each guard splits its mapping in two, and a process may have only so many, so the pool stops at
 * a quarter of them: when they are gone, nothing in the process can allocate. */
#pragma once

#include "core/coroutine/fiber.hh"

#include <stdint.h>

namespace kolk {

/* The usable bytes; the guard lies below `low`. */
struct stack {
    char *low, *high;
};

/* An array in pages of its own. Only grows. */
template <class T>
class page_array {
  public:
    [[nodiscard]] bool reserve(size_t count, size_t used) noexcept; /* keeps the first `used`; false when memory is gone */
    void unmap() noexcept;
    T &operator[](size_t index) noexcept { return items_[index]; }

  private:
    T *items_ = nullptr;
    size_t bytes_ = 0;
};

class stack_pool {
  public:
    static constexpr size_t minimum_size = size_t(16) << 10;
    static constexpr size_t maximum_size = size_t(1) << 30;
#ifdef KOLK_FIBER_SANITIZED
    static constexpr size_t default_size = size_t(256) << 10; /* instrumented frames are several times as large */
#else
    static constexpr size_t default_size = size_t(64) << 10;
#endif

    /* Up to cached_limit free stacks of the default size keep their pages, and as many bytes of each other size. */
    explicit stack_pool(size_t cached_limit) noexcept;
    ~stack_pool(); /* all stacks must have come back */
    stack_pool(const stack_pool &) = delete;
    stack_pool &operator=(const stack_pool &) = delete;

    /* A stack of `size` bytes or more, of which up to a kilobyte at the top stays unused; 0 means the default. Returns 0,
     * KOLK_ENOMEM, or KOLK_ELIMIT for a size beyond the maximum and for one guard too many. */
    [[nodiscard]] int acquire(size_t size, stack &ret) noexcept;

    /* Takes back what acquire(size) gave. */
    void release(stack s, size_t size) noexcept;

  private:
    static constexpr size_t class_count = 17; /* 16 KiB … 1 GiB */

    struct size_class {
        page_array<char *> free; /* upper ends of free stacks: [0, trimmed) have no pages, the rest may */
        size_t free_count = 0, trimmed = 0;
        size_t stacks = 0;                           /* in all slabs; `free` has room for them */
        size_t cut_count = 0;                        /* how many of them were handed out at least once */
        char *uncut = nullptr, *uncut_end = nullptr; /* the rest of the newest slab */
    };
    struct slab {
        char *low;
        size_t bytes;
    };

    size_t class_size(size_t size) const noexcept;
    stack stack_below(char *high, size_t size) const noexcept;
    int cut(size_class &c, size_t size, stack &ret) noexcept;
    int add_slab(size_class &c, size_t stride) noexcept;
    int guard(char *low) noexcept;

    const size_t cached_bytes_; /* how much of each class may stay */
    const size_t page_, guard_bytes_;
    size_class classes_[class_count];
    page_array<slab> slabs_;
    size_t slab_count_ = 0;
    size_t taken_ = 0;
    bool guard_by_mapping_ = false; /* the kernel cannot guard pages within a mapping */
    size_t mappings_left_ = 0;      /* how many such guards may still cost */
};

} // namespace kolk
