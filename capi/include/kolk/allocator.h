/**
 * @file allocator.h
 * Where kolk's memory comes from.
 *
 * All memory of a loop and of what is made on it comes from the allocator named in kolk_loop_options::allocator, and from
 * the process default where none is named. An allocation that fails becomes #KOLK_ENOMEM from the call that needed it;
 * cancelling, closing and delivering an error do not allocate. Fiber stacks are mapped, not allocated.
 */
#ifndef KOLK_ALLOCATOR_H
#define KOLK_ALLOCATOR_H

#include <kolk/api.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Two functions that hand out memory. They may be called from any thread, because work posted from other threads and
 * resolver threads allocate too.
 */
typedef struct kolk_allocator {
    uint32_t size;                                               /**< sizeof(kolk_allocator). */
    uint32_t reserved;                                           /**< 0. */
    void *(*allocate)(void *userdata, size_t bytes);             /**< Memory aligned for any type, or NULL. */
    void (*release)(void *userdata, void *memory, size_t bytes); /**< @c bytes is what was asked for. Never gets NULL. */
    void *userdata;                                              /**< Handed to both. */
} kolk_allocator;

/**
 * Replaces the process default (malloc and free). Meant for the first lines of main: objects made earlier go back to the
 * allocator they came from.
 *
 * @param allocator  Copied. NULL: back to malloc and free.
 * @return 0; #KOLK_EINVAL when a member is missing or the size is too small.
 * @threads{any, but not while another thread makes its first loop} @since 0.1
 */
KOLK_API int kolk_set_default_allocator(const kolk_allocator *allocator) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
