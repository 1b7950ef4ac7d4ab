/* Futures in the order in which they finish.
 *
 * A future that finishes arrives through the loop, as at a callback: so those that were done when they were added stand in
 * line with those that have just finished. What has arrived goes to the first task that waits, or else lies ready to be taken;
 * so while a task waits nothing lies ready, and nobody who comes later can overtake it. A completion that was handed over is in
 * the queue until the task takes it; one that is cancelled before that gives it back, to its place among the arrived. */
#pragma once

#include "core/task/task.hh"

#include <kolk/completion_queue.h>

namespace kolk {

struct entry_tag;
struct arrival_tag;
struct arrival_future;
struct next_wait;

/* One future in the queue. On the way it is in the future's list, then on the loop's ready queue, then among the arrived. */
struct queue_entry final : ready_item, link<entry_tag> {
    ::kolk_completion_queue *of;
    future *what; /* referenced */
    uint64_t tag;
    uint64_t order = 0; /* of arrival */

    queue_entry(::kolk_completion_queue &where, future &which, uint64_t known_as) noexcept;
    static void arrive(ready_item &item, bool closing) noexcept;
};

} // namespace kolk

struct kolk_completion_queue final : kolk::counted, kolk::resource {
    size_t count = 0; /* entries, handed over ones included */
    uint64_t arrivals = 0;
    kolk::list<kolk::queue_entry, kolk::entry_tag> on_the_way;
    kolk::ready_queue arrived;
    kolk::list<kolk::next_wait, kolk::arrival_tag> tasks;        /* that wait */
    kolk::list<kolk::arrival_future, kolk::arrival_tag> futures; /* that wait; they hold this, and are not held */

    explicit kolk_completion_queue(kolk::loop &on) noexcept;

    void ref() noexcept { refs++; }
    void unref() noexcept;

    [[nodiscard]] int add(kolk_future &what, uint64_t tag) noexcept;
    [[nodiscard]] int poll(kolk_completion &ret_completion) noexcept;
    [[nodiscard]] int next(kolk_task &self, int64_t timeout, kolk_completion &ret_completion) noexcept;
    [[nodiscard]] int next_async(kolk_future *&ret_future) noexcept;

  private:
    friend kolk::queue_entry;

    void offer(kolk::queue_entry &one, bool again) noexcept;
    void take(kolk::queue_entry &one, kolk_completion &ret_completion) noexcept;
    void drop_on_the_way() noexcept;
    static void loop_closes(kolk::resource &held) noexcept;
};

namespace kolk {
using completion_queue = ::kolk_completion_queue;
}
