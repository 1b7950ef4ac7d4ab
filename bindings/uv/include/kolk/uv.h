/**
 * @file uv.h
 * A loop as the guest of libuv: of a uv_loop_t that the program runs.
 *
 * `pkg-config kolk-uv`. What a guest is, and the ways to be one, are in kolk/guest.h. libuv watches each descriptor for a loop
 * on kolk_host_reactor(), and one that stands for all for a loop on epoll.
 */
#ifndef KOLK_UV_H
#define KOLK_UV_H

#include <kolk/guest.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

/**
 * Lets a loop live in a uv_loop_t.
 *
 * The guest has handles there, which are its own: a program that closes whatever uv_walk() shows it detaches the guest before.
 * One of them is referenced, as that of a server is: uv_run() does not return for want of others while the guest stays. A
 * program that is to end when kolk has nothing left to do detaches it then.
 *
 * libuv closes handles in a turn of its own. So after the end of the stay the host has to be run once more before
 * uv_loop_close(), as after any uv_close(); nobody is called back in it. So it has after this call has failed.
 *
 * @param loop       The loop. It belongs to the thread that runs @p host.
 * @param host       A uv_loop_t. @ref borrowed until the stay ends: kolk_guest_detach() or kolk_loop_close() come before
 *                   uv_loop_close().
 * @param options    As in kolk_guest_new(). NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new(). Watching, on kolk_host_reactor(), fails with #KOLK_EBUSY for a descriptor that a handle of the
 *         program's watches already, which libuv does not allow.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_uv_attach(kolk_loop *loop, struct uv_loop_s *host, const kolk_guest_options *options, kolk_guest **ret_guest,
                            kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
