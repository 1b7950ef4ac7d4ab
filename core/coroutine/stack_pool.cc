#include "core/coroutine/stack_pool.hh"

#include <kolk/error.h>

#include <algorithm>
#include <assert.h>
#include <bit>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace kolk {

namespace {

constexpr int advise_guard = 102; /* MADV_GUARD_INSTALL, newer than many headers */

constexpr size_t slab_stacks_at_first = 8;
constexpr size_t slab_stacks_limit = 256;
constexpr size_t slab_bytes_limit = size_t(64) << 20;

/* Tops of stacks would all lie at the same offset of a page, and so compete for the same few sets of each cache, if they did
 * not start this far apart. The last of the colours leaves three quarters of the page to a small fiber. */
constexpr size_t colour_bytes = 64;
constexpr size_t colours = 16;

/* Nobody else gets near these addresses, so an access there can only be an overflow. Code that probes its frames does so once
 * per guard, which compilers take to be 64 KiB on aarch64 and a page elsewhere. */
size_t guard_bytes(size_t page) noexcept {
#ifdef __aarch64__
    return std::max(page, size_t(64) << 10);
#else
    return page;
#endif
}

void *map(size_t bytes, int flags) noexcept {
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

size_t round_up(size_t bytes, size_t unit) noexcept { return (bytes + unit - 1) & ~(unit - 1); }

size_t class_index(size_t size) noexcept { return size_t(std::countr_zero(size) - std::countr_zero(stack_pool::minimum_size)); }

/* A quarter of the mappings that a process may have. */
size_t mapping_budget() noexcept {
    char text[24] = {};
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(fd);
    }
    size_t all = strtoul(text, nullptr, 10);
    return all ? all / 4 : 16384;
}

} // namespace

template <class T>
bool page_array<T>::reserve(size_t count, size_t used) noexcept {
    if (count * sizeof(T) <= bytes_)
        return true;
    size_t bytes = std::max(round_up(count * sizeof(T), size_t(4096)), 2 * bytes_);
    void *grown = map(bytes, 0);
    if (!grown)
        return false;
    if (used) // no more than that, so that no page is touched in vain
        memcpy(grown, static_cast<void *>(items_), used * sizeof(T));
    unmap();
    items_ = static_cast<T *>(grown);
    bytes_ = bytes;
    return true;
}

template <class T>
void page_array<T>::unmap() noexcept {
    if (items_)
        munmap(static_cast<void *>(items_), bytes_);
    items_ = nullptr;
    bytes_ = 0;
}

stack_pool::stack_pool(size_t cached_limit) noexcept
    : cached_bytes_(std::min(cached_limit, SIZE_MAX / default_size) * default_size), page_(size_t(sysconf(_SC_PAGESIZE))),
      guard_bytes_(guard_bytes(page_)) {}

stack_pool::~stack_pool() {
    assert(taken_ == 0);
    for (size_t i = 0; i < slab_count_; i++)
        munmap(slabs_[i].low, slabs_[i].bytes);
    slabs_.unmap();
    for (auto &c : classes_)
        c.free.unmap();
}

int stack_pool::acquire(size_t size, stack &ret) noexcept {
    if (size > maximum_size)
        return KOLK_ELIMIT;
    size = class_size(size);
    auto &c = classes_[class_index(size)];
    if (c.free_count == 0) {
        if (int status = cut(c, size, ret))
            return status;
    } else {
        ret = stack_below(c.free[--c.free_count], size);
        c.trimmed = std::min(c.trimmed, c.free_count);
    }
    taken_++;
    return 0;
}

/* The one that came back last is the next to go, because the cache knows its pages; the one that has been free the longest
 * loses them. */
void stack_pool::release(stack s, size_t size) noexcept {
    assert(taken_ > 0);
    taken_--;
    size = class_size(size);
    auto &c = classes_[class_index(size)];
    c.free[c.free_count++] = s.high;
    if (c.free_count - c.trimmed <= cached_bytes_ / size)
        return;
    s = stack_below(c.free[c.trimmed++], size);
    madvise(s.low, size, MADV_DONTNEED); // where it is refused, the pages stay
}

size_t stack_pool::class_size(size_t size) const noexcept {
    return std::bit_ceil(std::max(size ? size : default_size, std::max(minimum_size, page_)));
}

/* From its coloured upper end. */
stack stack_pool::stack_below(char *high, size_t size) const noexcept {
    return {reinterpret_cast<char *>(round_up(reinterpret_cast<uintptr_t>(high), page_) - size), high};
}

/* A stack that nobody had before. */
int stack_pool::cut(size_class &c, size_t size, stack &ret) noexcept {
    size_t stride = guard_bytes_ + size;
    if (c.uncut == c.uncut_end)
        if (int status = add_slab(c, stride))
            return status;
    if (int status = guard(c.uncut))
        return status;
    char *low = c.uncut + guard_bytes_;
    c.uncut += stride;
    ret = {low, low + size - c.cut_count++ % colours * colour_bytes};
    return 0;
}

/* Each slab has as many stacks as all before it, within limits; fewer when there is no room for so many. */
int stack_pool::add_slab(size_class &c, size_t stride) noexcept {
    size_t most = std::min(slab_stacks_limit, std::max(slab_bytes_limit / stride, size_t(1)));
    size_t count = std::clamp(c.stacks, std::min(slab_stacks_at_first, most), most);
    if (!slabs_.reserve(slab_count_ + 1, slab_count_) || !c.free.reserve(c.stacks + count, c.free_count))
        return KOLK_ENOMEM;
    void *memory = nullptr;
    while (!(memory = map(count * stride, MAP_NORESERVE | MAP_STACK)))
        if ((count /= 2) == 0)
            return KOLK_ENOMEM;
    // A huge page would make a small fiber cost two megabytes. Kernels without huge pages refuse, which is fine.
    madvise(memory, count * stride, MADV_NOHUGEPAGE);
    c.stacks += count;
    c.uncut = static_cast<char *>(memory);
    c.uncut_end = c.uncut + count * stride;
    slabs_[slab_count_++] = {c.uncut, count * stride};
    return 0;
}

int stack_pool::guard(char *low) noexcept {
    if (!guard_by_mapping_) {
        if (madvise(low, guard_bytes_, advise_guard) == 0)
            return 0;
        if (errno == ENOMEM || errno == EAGAIN)
            return KOLK_ENOMEM;
        guard_by_mapping_ = true;
        mappings_left_ = mapping_budget();
    }
    if (mappings_left_ < 2)
        return KOLK_ELIMIT;
    if (mprotect(low, guard_bytes_, PROT_NONE) != 0)
        return KOLK_ENOMEM;
    mappings_left_ -= 2;
    return 0;
}

} // namespace kolk
