/**
 * @file api.h
 * What every kolk header needs: the export mark, the version, the destructor type.
 *
 * kolk is C99 for its callers. Results leave through parameters named `ret_…`, last in the list and untouched on failure,
 * unless a function says otherwise. A negative return is a #kolk_status; everything else is success. The words used for
 * ownership and threads are explained on one page each: @ref ownership, @ref threads.
 */
#ifndef KOLK_API_H
#define KOLK_API_H

#include <stddef.h>
#include <stdint.h>

/* Without a detour through the procedure linkage table, where the compiler can do that: it costs as much as a short call. */
#if defined(__GNUC__) && !defined(__clang__)
#define KOLK_API __attribute__((visibility("default"), noplt))
#elif defined(__GNUC__)
#define KOLK_API __attribute__((visibility("default")))
#else
#define KOLK_API
#endif

/* Nothing that C++ throws passes through kolk. */
#ifdef __cplusplus
#define KOLK_NOEXCEPT noexcept
#else
#define KOLK_NOEXCEPT
#endif

/** The version these headers belong to; kolk_version() tells the one of the library that is loaded. */
#define KOLK_VERSION_MAJOR 0
#define KOLK_VERSION_MINOR 1 /**< Minor part of the version of these headers. */
#define KOLK_VERSION_PATCH 0 /**< Patch part of the version of these headers. */

/** Where this is written, as text: "crawl.c:120". For members and parameters named `location`. */
#define KOLK_HERE KOLK_HERE_(__FILE__, __LINE__)
#define KOLK_HERE_(file, line) KOLK_HERE__(file, line) /**< Part of #KOLK_HERE. */
#define KOLK_HERE__(file, line) file ":" #line         /**< Part of #KOLK_HERE. */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Releases what a callback was given. Wherever kolk takes a `userdata` it takes one of these beside it (NULL: nothing to
 * release) and calls it exactly once, after the last call of the callback, also when the function that took it fails.
 */
typedef void (*kolk_destroy_fn)(void *userdata);

/** A plain callback. */
typedef void (*kolk_callback_fn)(void *userdata);

/**
 * The version of the library in this process: major * 1000000 + minor * 1000 + patch.
 *
 * @threads{any} @since 0.1
 */
KOLK_API uint32_t kolk_version(void) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
