/* Brings the news that a thread future is done to the thread of a loop.
 *
 * The future is finished on any thread, which must neither allocate for that nor touch what belongs to the loop; and whoever
 * waits for it on the loop's thread may stop waiting at the same moment. So this has two owners, the ear on the loop's thread
 * and the way there, and is freed by whoever leaves last. */
#pragma once

#include "core/future/thread_future.hh"

namespace kolk {

class thread_news final : thread_listener, inbox_item {
  public:
    /* Once, on the loop's thread, while descriptors are looked at: it may put items on the ready queue, and nothing else. The
     * news is gone then. */
    using told_fn = void (*)(void *ear) noexcept;

    thread_news(loop &to, thread_future &about, told_fn told, void *ear) noexcept;

    /* The loop's thread. 0; KOLK_ENOMEM; KOLK_EALREADY when the future is done. Then nobody is told. In a forked child there is
     * no news of a future of the parent's: 0, and ret_news stays as it was. */
    [[nodiscard]] static int listen(loop &to, thread_future &about, told_fn told, void *ear, thread_news *&ret_news) noexcept;

    /* The loop's thread: nobody is told any more. Needed also if the loop has closed meanwhile. */
    void leave() noexcept;

  private:
    static void set_out(thread_listener &listener, thread_future &about) noexcept;
    static void arrived(inbox_item &item, bool closing) noexcept;
    void unref() noexcept;
    void free() noexcept;

    loop *to_;             /* referenced */
    thread_future *about_; /* referenced */
    told_fn told_;
    void *ear_; /* the loop's thread's */
    std::atomic<uint32_t> refs_{2};
};

} // namespace kolk
