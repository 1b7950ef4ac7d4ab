/**
 * @file task_group.hpp
 * Tasks that end together: none of them outlives the block that began them.
 */
#ifndef KOLK_TASK_GROUP_HPP
#define KOLK_TASK_GROUP_HPP

#include <kolk/scope.hpp>
#include <kolk/spawn.hpp>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

/**
 * A group of the running task, from construction until `co_await group.leave()`. A destructor cannot wait, so that one that was
 * not left is abandoned, see kolk_task_group_abandon(): with_task_group() sees to it that this cannot happen.
 */
class task_group {
  public:
    /** Enters one. @p flags: 0 or #KOLK_TASK_GROUP_LEVEL. */
    explicit task_group(uint32_t flags = 0) noexcept { status_ = kolk_task_group_enter(flags, &self_); }
    task_group(const task_group &) = delete;
    ~task_group() {
        if (!self_)
            return;
        if (!left_)
            kolk_task_group_abandon(self_);
        kolk_task_group_unref(self_);
    }

    int begin_status() const noexcept { return status_; }           /**< 0, or why it could not be entered. */
    kolk_task_group *get() const noexcept { return self_; }         /**< Borrowed. */
    int cancel() noexcept { return kolk_task_group_cancel(self_); } /**< Cancels members and block. */

    /** Makes a member. */
    template <class T>
    task_handle<T> spawn(task<T> body, const char *name = nullptr) noexcept {
        kolk_task_options options = {};
        options.size = sizeof options;
        options.name = name;
        options.group = self_;
        return self_ ? kolk::spawn(kolk_loop_current(), std::move(body), &options) : task_handle<T>::made(status_, nullptr);
    }

    /** Waits until all members have ended, and leaves. @p status is what the block ended with; below 0 it cancels them. Fails
     * with the error of the first member that did. */
    task<void> leave(int status = 0) {
        int left = status_;
        while (self_ && !left_) {
            kolk_future *ended = nullptr;
            left = kolk_task_group_leave_async(self_, status, &ended);
            if (left != KOLK_EPENDING)
                break;
            // Cancelled meanwhile, the members are cancelled too, and it goes on waiting.
            (void)co_await nothrow(future<void>(ended));
        }
        if (self_ && left != KOLK_EBUSY && left != KOLK_ENOTASK)
            left_ = true;
        if (left < 0) {
            kolk_error *words = kolk_raised();
            error why = kolk_error_status(words) == left ? error::share(words) : error(left);
            co_await fail(why);
        }
    }

  private:
    kolk_task_group *self_ = nullptr;
    bool left_ = false;
    int status_;
};

namespace detail {

template <class Body>
task<void> in_task_group(Body body, uint32_t flags) {
    task_group group(flags);
    if (group.begin_status() < 0)
        co_await fail(group.begin_status());
    outcome<void> ended = co_await settled<void>(body(group));
    outcome<void> left = co_await settled<void>(group.leave(ended.status()));
    // What the block failed with is passed on as it was thrown; a member's failure comes first.
    if (left.status() == ended.status())
        co_await last_words<void>(std::move(ended));
    co_await last_words<void>(std::move(left));
}

} // namespace detail

/** Runs a block with a group: @p body is called with a task_group &, returns a task, and whatever it spawned has ended when
 * this is done. */
template <class Body>
requires std::is_invocable_r_v<task<void>, Body &, task_group &> task<void> with_task_group(Body body, uint32_t flags = 0) {
    return detail::in_task_group(std::move(body), flags);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
