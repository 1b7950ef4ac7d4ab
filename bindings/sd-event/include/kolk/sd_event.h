/**
 * @file sd_event.h
 * kolk as the guest of an sd_event, the loop of systemd's library.
 *
 * Link with kolk-sd-event. What a guest is stands in kolk/guest.h; this says only where it lives.
 *
 * sd-event dispatches one source per iteration, in the order of priorities and in turns among equals; kolk's are of
 * SD_EVENT_PRIORITY_NORMAL. It cannot be run from inside one of its callbacks, so there is no modal nesting in it.
 */
#ifndef KOLK_SD_EVENT_H
#define KOLK_SD_EVENT_H

#include <kolk/guest.h>
#include <systemd/sd-event.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Lets a loop live in an sd_event.
 *
 * Serves #KOLK_GUEST_HANDLE, #KOLK_GUEST_THREAD and #KOLK_GUEST_REACTOR; with #KOLK_GUEST_FRAME nothing is used of it.
 * Deadlines are met to the microsecond, rounded up. In #KOLK_GUEST_REACTOR the program cannot watch a descriptor that kolk
 * watches, because epoll has room for one registration of each: whoever comes second is told #KOLK_EEXIST, or EEXIST.
 *
 * @param loop       The loop. Its thread is the one that runs the event loop.
 * @param event      NULL: the default one of this thread. A reference is kept until the stay ends.
 * @param options    NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay: that is kolk_guest_detach().
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new(); #KOLK_ECLOSED also when the event loop has finished, #KOLK_EFORKED when it is of the process
 *         before a fork.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_sd_event_attach(kolk_loop *loop, sd_event *event, const kolk_guest_options *options, kolk_guest **ret_guest,
                                  kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
