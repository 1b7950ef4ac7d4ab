/**
 * @file selector.h
 * Which descriptors matter, to whom, and which of them are ready.
 *
 * Python's selectors for C: register a descriptor with the events of interest and a pointer of your own, then select. Useful
 * alone, for a loop of twenty lines; kolk_loop is built on the same thing.
 *
 * Readiness is level-triggered: what is not read is reported again. A descriptor can be registered once. Unregister it before
 * closing it: after a dup or fork the kernel keeps reporting a descriptor that was only closed. An event for a
 * registration that no longer exists is dropped, also when its number was given to another descriptor in the meantime.
 *
 * A selector belongs to one thread at a time and is not counted: kolk_selector_new() and kolk_selector_destroy().
 */
#ifndef KOLK_SELECTOR_H
#define KOLK_SELECTOR_H

#include <kolk/error.h>
#include <kolk/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A set of registered descriptors. */
typedef struct kolk_selector kolk_selector;

/** A registration, and in results of kolk_selector_select() what it is ready for. */
typedef struct kolk_selector_key {
    int32_t fd;      /**< The descriptor. */
    uint32_t events; /**< #KOLK_EVENT_READ, #KOLK_EVENT_WRITE or both: registered for, or ready for. */
    void *data;      /**< The pointer it was registered with. */
} kolk_selector_key;

/**
 * Makes an empty selector.
 *
 * @param reactor       Which reactor to use; NULL: KOLK_REACTOR from the environment, or the fastest there is.
 * @param ret_selector  Receives the selector. @ref owned_by_caller; kolk_selector_destroy().
 * @param ret_error     Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0 or a negative status: those of kolk_reactor_find(), #KOLK_ENOMEM, #KOLK_EMFILE.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_selector_new(const char *reactor, kolk_selector **ret_selector, kolk_error **ret_error) KOLK_NOEXCEPT;

/** Releases the selector; the descriptors stay open. Accepts NULL. @threads{owner} @since 0.1 */
KOLK_API void kolk_selector_destroy(kolk_selector *self) KOLK_NOEXCEPT;

/**
 * Starts watching a descriptor.
 *
 * @param self    The selector.
 * @param fd      An open descriptor: socket, pipe, terminal, eventfd and the like.
 * @param events  #KOLK_EVENT_READ, #KOLK_EVENT_WRITE or both.
 * @param data    Yours; comes back in keys.
 * @return 0; #KOLK_EEXIST when it is registered already, #KOLK_EBADF when it is not open, #KOLK_ENOTSUP for a regular file or
 *         directory (always ready, so there is nothing to wait for), #KOLK_ELIMIT beyond what the reactor can watch,
 *         #KOLK_EINVAL for other events, #KOLK_ENOMEM.
 * @threads{owner} @since 0.1
 */
KOLK_API int kolk_selector_register(kolk_selector *self, int fd, uint32_t events, void *data) KOLK_NOEXCEPT;

/**
 * Changes events and data of a registration.
 *
 * @param self    The selector.
 * @param fd      A registered descriptor.
 * @param events  As in kolk_selector_register().
 * @param data    As in kolk_selector_register().
 * @return 0; #KOLK_ENOENT when it is not registered; otherwise as kolk_selector_register().
 * @threads{owner} @since 0.1
 */
KOLK_API int kolk_selector_modify(kolk_selector *self, int fd, uint32_t events, void *data) KOLK_NOEXCEPT;

/** Stops watching @p fd. Returns 0; #KOLK_ENOENT when it is not registered. @threads{owner} @since 0.1 */
KOLK_API int kolk_selector_unregister(kolk_selector *self, int fd) KOLK_NOEXCEPT;

/**
 * Waits until a registered descriptor is ready.
 *
 * @param self        The selector.
 * @param timeout_ns  At most so many nanoseconds; 0: not at all; negative: without limit. Never returns 0 early for lack of
 *                    a fine clock, but a signal ends the wait.
 * @param ret_ready   Receives the ready descriptors, each once.
 * @param capacity    How many fit; the rest comes next time.
 * @return how many were written, 0 on timeout or signal; #KOLK_EINVAL; #KOLK_EIO when the system refuses to wait.
 * @threads{owner} @since 0.1
 */
KOLK_API int kolk_selector_select(kolk_selector *self, int64_t timeout_ns, kolk_selector_key *ret_ready,
                                  uint32_t capacity) KOLK_NOEXCEPT;

/** The registration of @p fd. Returns 0; #KOLK_ENOENT when there is none. @threads{owner} @since 0.1 */
KOLK_API int kolk_selector_get_key(const kolk_selector *self, int fd, kolk_selector_key *ret_key) KOLK_NOEXCEPT;

/**
 * Walks all registrations in the order of their numbers.
 *
 * @param self      The selector.
 * @param after_fd  Only registrations with a larger number; start with -1 and continue with the last key's fd. Registering and
 *                  unregistering in between is fine.
 * @param ret_key   Receives the next one.
 * @return 1 when there was one, 0 at the end, #KOLK_EINVAL.
 * @threads{owner} @since 0.1
 */
KOLK_API int kolk_selector_next(const kolk_selector *self, int after_fd, kolk_selector_key *ret_key) KOLK_NOEXCEPT;

/** How many descriptors are registered. @threads{owner} @since 0.1 */
KOLK_API uint32_t kolk_selector_count(const kolk_selector *self) KOLK_NOEXCEPT;

/** The name of the reactor in use. Static. @threads{any} @since 0.1 */
KOLK_API const char *kolk_selector_reactor(const kolk_selector *self) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
