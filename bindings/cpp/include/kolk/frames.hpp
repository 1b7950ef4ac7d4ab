/**
 * @file frames.hpp
 * The memory of frames that have ended, kept by their thread for the next of their size.
 *
 * A task that is short takes as long to get its frame and give it back as to run. Up to 128 KiB of each size are kept, until
 * the thread ends, and none of frames that are larger than 512 bytes. Under AddressSanitizer nothing is kept, so that it sees
 * every use after the end.
 */
#ifndef KOLK_FRAMES_HPP
#define KOLK_FRAMES_HPP

#include <kolk/exceptions.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define KOLK_CPP_KEEPS_FRAMES 0 /**< Whether there is a cache of frames. */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KOLK_CPP_KEEPS_FRAMES 0 /**< Whether there is a cache of frames. */
#endif
#endif
#ifndef KOLK_CPP_KEEPS_FRAMES
#define KOLK_CPP_KEEPS_FRAMES 1 /**< Whether there is a cache of frames. */
#endif

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* Of one thread. It neither needs a constructor nor has a destructor, so that reaching it takes no call; the first frame that
 * is given back sees to the end, and to the room: until then, and after the end, there is none. */
struct kept_frames {
    static constexpr size_t granule = 16, classes = 32, bytes_of_each = size_t(128) << 10;
    /* With what malloc keeps for itself, a block is a whole number of granules, which is what malloc rounds up to. */
    static constexpr size_t header = sizeof(size_t);
    static constexpr size_t index_of(size_t size) noexcept { return (size + header - 1) / granule; }
    static constexpr size_t size_of(size_t index) noexcept { return (index + 1) * granule - header; }

    struct block {
        block *next;
    };
    block *free[classes];
    uint32_t room[classes]; /* for so many more */
    bool over;              /* the thread ends */

    [[gnu::cold]] void give_slowly(void *frame, size_t size) noexcept;
    void drop() noexcept {
        over = true;
        for (size_t i = 0; i < classes; i++) {
            room[i] = 0;
            while (block *first = free[i]) {
                free[i] = first->next;
                ::operator delete(static_cast<void *>(first));
            }
        }
    }
};

inline constinit thread_local kept_frames frames_kept_here{};

/* Drops them when its thread ends. */
struct frames_guard {
    bool set = false;
    ~frames_guard() { frames_kept_here.drop(); }
};
inline thread_local frames_guard frames_guarded_here;

inline void kept_frames::give_slowly(void *frame, size_t size) noexcept {
    if (size <= size_of(classes - 1) && !over && !frames_guarded_here.set) {
        frames_guarded_here.set = true;
        for (size_t i = 0; i < classes; i++)
            room[i] = uint32_t(bytes_of_each / size_of(i));
    }
    ::operator delete(frame);
}

/* nullptr when memory is gone. */
inline void *take_frame(size_t size) noexcept {
    if constexpr (KOLK_CPP_KEEPS_FRAMES) {
        size_t index = kept_frames::index_of(size);
        if (index < kept_frames::classes) {
            kept_frames &here = frames_kept_here;
            if (kept_frames::block *first = here.free[index]) [[likely]] {
                here.free[index] = first->next;
                here.room[index]++;
                return first;
            }
            size = kept_frames::size_of(index);
        }
    }
    return ::operator new(size, std::nothrow);
}

inline void give_frame(void *frame, size_t size) noexcept {
    if constexpr (KOLK_CPP_KEEPS_FRAMES) {
        kept_frames &here = frames_kept_here;
        size_t index = kept_frames::index_of(size);
        if (index >= kept_frames::classes || here.room[index] == 0) [[unlikely]]
            return here.give_slowly(frame, size);
        here.free[index] = ::new (frame) kept_frames::block{here.free[index]};
        here.room[index]--;
        return;
    }
    ::operator delete(frame);
}

} // namespace detail

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
