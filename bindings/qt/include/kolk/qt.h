/**
 * @file qt.h
 * A loop as the guest of Qt's: one function, for Qt 5 (`kolk-qt5`) and Qt 6 (`kolk-qt6`).
 *
 * The guest lives in the event dispatcher that the calling thread has already, whichever that is, and does not replace it: its
 * descriptors are socket notifiers, its deadline is one precise timer, its posts are events to one object. It keeps going
 * in dialogs that run a loop of their own, where kolk_loop_set_nesting() allows that. A loop that excludes socket notifiers
 * (`QEventLoop::ExcludeSocketNotifiers`) excludes kolk's, too; the ways that post, #KOLK_GUEST_THREAD first, go on there.
 *
 * The header needs none of Qt's.
 */
#ifndef KOLK_QT_H
#define KOLK_QT_H

#include <kolk/guest.h>

#ifdef __cplusplus
class QObject;
extern "C" {
#else
typedef struct QObject QObject; /**< Qt's. */
#endif

/**
 * Lets a loop live in the calling thread's Qt event loop: the main thread's, or that of a QThread.
 *
 * The stay ends by kolk_guest_detach() and when the loop closes; and, as if by kolk_guest_detach(), when @p parent is deleted,
 * when the QCoreApplication whose thread this is goes, and when the QThread finishes. The loop itself is not closed by that.
 * Neither @p parent nor the loop moves to another thread during the stay.
 *
 * Serves #KOLK_GUEST_HANDLE, #KOLK_GUEST_THREAD, #KOLK_GUEST_REACTOR and #KOLK_GUEST_FRAME. A turn never calls into Qt from
 * another thread than this one. Qt does not report a descriptor that is closed while it is watched: it warns, and forgets it.
 *
 * Qt has no way to report that memory is gone. It throws there, and this function, which cannot, ends the program.
 *
 * @param loop       The loop.
 * @param parent     An object of this thread, whose end is the end of the stay; NULL: none. @ref borrowed.
 * @param options    NULL: all defaults.
 * @param ret_guest  Receives the guest. @ref owned_by_caller. Dropping it does not end the stay.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return as kolk_guest_new(); also #KOLK_EINVAL when the thread has no event dispatcher yet: it comes with the
 * QCoreApplication, the QThread or the QEventLoop; #KOLK_ETHREAD when @p parent belongs to another thread.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_qt_attach(kolk_loop *loop, QObject *parent, const kolk_guest_options *options, kolk_guest **ret_guest,
                            kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
