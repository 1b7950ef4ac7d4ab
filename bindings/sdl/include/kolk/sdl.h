/**
 * @file sdl.h
 * kolk in a program of SDL 2.
 *
 * A game that draws frames anyway takes a turn per frame: #KOLK_GUEST_FRAME, and kolk_guest_turn() in its loop. A program that
 * sleeps in SDL_WaitEvent() until something happens is woken by a thread of kolk's: #KOLK_GUEST_THREAD, and
 * kolk_sdl_handle_event() on each event that it gets.
 *
 * SDL has one queue of events per process, and one thread that takes from it: that is the loop's thread. What wakes it is an
 * event of a type of kolk's own. No second one is pushed for a guest while one is in the queue.
 */
#ifndef KOLK_SDL_H
#define KOLK_SDL_H

#include <kolk/guest.h>

#include <SDL_events.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Lets a loop live in the SDL program, on the thread that takes SDL's events.
 *
 * End the stay with kolk_guest_detach() before SDL_Quit(): the guest's thread must not find SDL half gone.
 *
 * A filter or watch that the program has set for events (SDL_SetEventFilter(), SDL_AddEventWatch()) is called on the guest's
 * thread, too, and under a lock of SDL's: it must call nothing of kolk's but what may be called on any thread. An event that it
 * drops is pushed again a little later, as when the queue is full. The loop's exception handler is told of what was dropped on
 * the loop's thread; on the guest's, nobody is.
 *
 * An event that the program takes out of the queue is given to kolk_sdl_handle_event(). Where it throws events away instead,
 * nobody tells kolk, which then waits for its event, for ever: after SDL_FlushEvents() of kolk's type, after
 * SDL_SetEventFilter(), which flushes all, and after the events were quit and begun again, the program calls
 * kolk_guest_turn() once.
 *
 * @param loop       The loop.
 * @param options    NULL: all defaults. The way is #KOLK_GUEST_FRAME or #KOLK_GUEST_THREAD; #KOLK_GUEST_ANY is the latter.
 * @param ret_guest  Receives the guest. @ref owned_by_caller.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_ENOTSUP for another way, or for a reactor that cannot do it; #KOLK_EINVAL also when SDL
 *         has no queue of events, as it has after SDL_Init() with SDL_INIT_EVENTS or SDL_INIT_VIDEO, and the way is not
 *         #KOLK_GUEST_FRAME; #KOLK_ELIMIT also when SDL has no type of event left; otherwise as kolk_guest_new().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_sdl_attach(kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest,
                             kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * Takes a turn when an event is kolk's. For each event that SDL_WaitEvent(), SDL_PollEvent() or SDL_PeepEvents() gave; the
 * program should drop those that are kolk's. An event whose guest has left meanwhile is kolk's and does nothing.
 *
 * @param event  The event. Borrowed.
 * @return 0 when the event is not kolk's. 1 when it is: the guest has taken its turn, or has left. A negative #kolk_status when
 *         it is kolk's and the turn failed: #KOLK_ETHREAD when this is not the guest's thread, #KOLK_EINVAL for NULL, otherwise
 *         as kolk_guest_turn().
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_sdl_handle_event(const SDL_Event *event) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
