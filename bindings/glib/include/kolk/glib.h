/**
 * @file glib.h
 * kolk as the guest of a GMainContext: in every GLib program, and so in GTK, GStreamer and what else is built on it.
 *
 * Link with kolk-glib. What a guest is stands in kolk/guest.h; this says only where it lives. A stay takes two sources of the
 * context: one for what kolk watches and its next deadline, and one for posts.
 *
 * GLib's rules hold for kolk as for any source. In each iteration it dispatches all that is ready at the best priority, and
 * nothing below: at equal priority the host's sources and kolk take turns, and a turn of kolk's is as long as its budget. Below
 * something that is never done kolk gets nothing, above something it gives nothing while it has work. Nothing is lost by that:
 * what became due meanwhile is run when the context comes to it.
 */
#ifndef KOLK_GLIB_H
#define KOLK_GLIB_H

#include <glib.h>
#include <kolk/guest.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Lets a loop live in a GMainContext, at G_PRIORITY_DEFAULT.
 *
 * Serves #KOLK_GUEST_HANDLE, #KOLK_GUEST_THREAD and #KOLK_GUEST_REACTOR; with #KOLK_GUEST_FRAME nothing of it is used.
 * Deadlines are met as finely as GLib sleeps: up to 2.74 in milliseconds, rounded up. In #KOLK_GUEST_HANDLE they are the
 * kernel's.
 *
 * @param loop       The loop. Its thread is the one that iterates the context.
 * @param context    NULL: the default context. A reference is kept until the stay ends.
 * @param options    NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay: that is kolk_guest_detach().
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new(); #KOLK_ETHREAD also when another thread is iterating the context.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_glib_attach(kolk_loop *loop, GMainContext *context, const kolk_guest_options *options, kolk_guest **ret_guest,
                              kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * kolk_glib_attach() at another priority.
 *
 * A GTK program draws at GDK_PRIORITY_REDRAW, which is less urgent than G_PRIORITY_DEFAULT. Where kolk may be busy for longer
 * than a frame without a pause, G_PRIORITY_DEFAULT_IDLE keeps the windows fluent: kolk then takes the time that is left over.
 *
 * @param loop       As in kolk_glib_attach().
 * @param context    As in kolk_glib_attach().
 * @param priority   Of kolk's sources: G_PRIORITY_…, smaller is more urgent.
 * @param options    As in kolk_glib_attach().
 * @param ret_guest  As in kolk_glib_attach().
 * @param ret_error  As in kolk_glib_attach().
 * @return as kolk_glib_attach().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_glib_attach_full(kolk_loop *loop, GMainContext *context, int priority, const kolk_guest_options *options,
                                   kolk_guest **ret_guest, kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
