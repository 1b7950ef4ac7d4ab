/**
 * @file libevent.h
 * A loop as the guest of libevent: of an event_base that the program runs.
 *
 * `pkg-config kolk-libevent`. What a guest is, and the ways to be one, are in kolk/guest.h. With libevent there are two that
 * need no descriptor of kolk's in between: a loop on the reactor "libevent" with the base as kolk_loop_options::host, which is
 * the straight one, and a loop on kolk_host_reactor().
 */
#ifndef KOLK_LIBEVENT_H
#define KOLK_LIBEVENT_H

#include <kolk/guest.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;

/**
 * Lets a loop live in an event_base.
 *
 * While it does, the base has events, so that event_base_dispatch() does not return for want of them: end it with
 * event_base_loopexit(). A base without locks (libevent's evthread) is good enough, also for #KOLK_GUEST_THREAD.
 *
 * For a loop on the reactor "libevent" with this base: the end of the stay takes that reactor's events out of the base, too.
 * When the loop is then run by itself, they are there again until it is closed. In #KOLK_GUEST_FRAME a turn outside of
 * event_base_loop() runs what is ready in the base, the program's callbacks included; in #KOLK_GUEST_REACTOR no turn does.
 *
 * @param loop       The loop. It belongs to the thread that runs @p base. When it is on the reactor "libevent" with a base of
 * the program's, that is this one: nobody notices another one, which has kolk's timer then and none of its descriptors.
 * @param base       @ref borrowed until the stay ends: kolk_guest_detach() or kolk_loop_close() come before event_base_free(),
 * and before anything else is done to the loop after the base went away.
 * @param options    As in kolk_guest_new(). NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_libevent_attach(kolk_loop *loop, struct event_base *base, const kolk_guest_options *options,
                                  kolk_guest **ret_guest, kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
