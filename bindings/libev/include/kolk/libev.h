/**
 * @file libev.h
 * A loop as the guest of libev: of an ev_loop that the program runs.
 *
 * `pkg-config kolk-libev`. What a guest is, and the ways to be one, are in kolk/guest.h. libev watches each descriptor for a
 * loop on kolk_host_reactor(). This header includes nothing of libev's, whose names collide with those of libevent.
 */
#ifndef KOLK_LIBEV_H
#define KOLK_LIBEV_H

#include <kolk/guest.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;

/**
 * Lets a loop live in an ev_loop.
 *
 * While it does, the host has active watchers, so that ev_run() does not return for want of them: end it with ev_break(). The
 * watchers have priority 0.
 *
 * @param loop       The loop. It belongs to the thread that runs @p host.
 * @param host       @ref borrowed until the stay ends: kolk_guest_detach() or kolk_loop_close() come before ev_loop_destroy(),
 * and before anything else is done to the loop after the host went away.
 * @param options    As in kolk_guest_new(). NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_libev_attach(kolk_loop *loop, struct ev_loop *host, const kolk_guest_options *options, kolk_guest **ret_guest,
                               kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
