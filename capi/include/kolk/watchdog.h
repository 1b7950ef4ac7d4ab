/**
 * @file watchdog.h
 * Who keeps the loop from turning?
 *
 * A callback or task that computes or blocks for long holds up everyone else. With a stall handler set, a thread of kolk's
 * looks at the loop now and then; when a turn takes longer than the threshold, the handler is told once, while it still lasts,
 * which task is running, where it was made, and what is on its stack. A loop pays a few stores per turn for it; one that sleeps
 * pays nothing. The idea is that of Seastar's stall detector.
 *
 * @code
 * static void write_down(const kolk_stall *stall, void *userdata) { fputs(stall->text, userdata); }
 *
 * kolk_loop_watch_stalls(loop, 100000000, write_down, stderr, NULL);
 * @endcode
 *
 * Time is the system's here, whatever clock the loop has. @ref how_to_find_stalls has a whole program.
 */
#ifndef KOLK_WATCHDOG_H
#define KOLK_WATCHDOG_H

#include <kolk/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A turn that takes too long. Valid during the call. */
typedef struct kolk_stall {
    uint32_t size;        /**< sizeof(kolk_stall) of the library. */
    uint32_t frame_count; /**< How many addresses are in @c frames; 0 where the stack cannot be looked at: @c text says why. */
    int64_t duration_ns;  /**< How long it has lasted at least. */
    const char *task;     /**< The name of the running task; "" when it has none, when a callback is running, or when the thread
                               could not be asked. */
    const char *location; /**< Where that task was made, as in kolk_task_info; "" for a callback. */
    void *const *frames;  /**< Return addresses, innermost first, for backtrace_symbols() or addr2line. */
    const char *text;     /**< All of it in words, several lines, with the nearest symbols. */
} kolk_stall;

/**
 * Called for each stall, once, on a thread of kolk's that watches all loops of the process: as long as it runs, nobody else is
 * told. Of the loop, which belongs to another thread and is kept while this runs, it may use what any thread may. It must not
 * wait for the loop's thread, which may be waiting for it.
 *
 * @param stall     @ref borrowed.
 * @param userdata  As given to kolk_loop_watch_stalls().
 */
typedef void (*kolk_stall_fn)(const kolk_stall *stall, void *userdata);

/**
 * Has turns watched that last longer than @p threshold_ns. Replaces the handler there was.
 *
 * To look at the stack the watching thread sends SIGURG to the loop's thread, unless the program has a handler of its own for
 * that signal; system calls that it interrupts are restarted where the system can. The signal takes some 5 KiB of the stack
 * that is running, or of the one that the program gave to sigaltstack(). A thread that does not answer within a second is
 * reported without its stack.
 *
 * A forked child has nobody who watches, until it watches a loop of its own or kolk_loop_after_fork() is called for this one.
 *
 * @param loop          The loop.
 * @param threshold_ns  Nanoseconds, at least a million. A stall is noticed within 1.5 times that.
 * @param fn            Called on a thread of kolk's. NULL: watch no more; the threshold does not matter.
 * @param userdata      Handed to @p fn. @ref owned_by_callee through @p destroy.
 * @param destroy       May be NULL. Called when the handler is replaced, the loop closed, @p fn is NULL, or this call fails,
 *                      never while the handler is running: that is waited for.
 * @return 0; #KOLK_EINVAL, #KOLK_ENOMEM, #KOLK_ELIMIT when no thread can be made, #KOLK_ECLOSED, #KOLK_ETHREAD, #KOLK_EFORKED.
 *         When it fails, the handler there was stays.
 * @threads{loop} @since 0.1
 */
KOLK_API int kolk_loop_watch_stalls(kolk_loop *loop, int64_t threshold_ns, kolk_stall_fn fn, void *userdata,
                                    kolk_destroy_fn destroy) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
