/* How a loop ends. */
#include "core/coroutine/coroutine.hh"
#include "core/loop/hooks.hh"
#include "core/loop/turns.hh"
#include "core/platform/wake_fd.hh"
#include "core/stream/resolver.hh"
#include "core/task/task.hh"

using namespace kolk;

/* Whether every task that is left has been refused as often as can be, and wants to wait all the same. */
bool kolk_loop::all_insist() noexcept {
    for (kolk_task *task = tasks.front(); task; task = tasks.after(*task))
        if (!task->insists())
            return false;
    return true;
}

/* Tells the tasks, which look at themselves only. There will be no new ones. */
void kolk_loop::set_tasks_at_end(bool ends) noexcept {
    for (kolk_task *task = tasks.front(); task; task = tasks.after(*task)) {
        task->at_end = ends;
        task->refused = 0;
    }
}

/* Cancels all tasks and runs what that sets in motion; the user's callbacks are only released. While the loop is closing no
 * task can wait: what it waits for next is refused, so each one unwinds in one go, unless it insists. */
int kolk_loop::end_tasks() noexcept {
    constexpr uint32_t turns_between_checks = 64;
    set_tasks_at_end(true);
    for (kolk_task *task = tasks.front(); task; task = tasks.after(*task))
        task->cancel();
    for (;;) {
        for (uint32_t turn = 1; has_ready() && turn % turns_between_checks != 0; turn++)
            run_turn();
        if (tasks.empty() || all_insist())
            break;
        /* Those that wait for others, who go on waiting themselves, have not been refused anything. */
        for (kolk_task *task = tasks.front(); task; task = tasks.after(*task))
            if (!task->insists()) {
                task->refused++;
                task->interrupt();
            }
    }
    return tasks.empty() ? 0 : int(KOLK_EBUSY);
}

void kolk_loop::drop_everything() noexcept {
    if (resolver_)
        resolver_->let_go();
    take_inbox(true);
    posts_.close();
    while (!ready_.empty() || !timers_.empty() || !resources.empty()) {
        timers_.expire(INT64_MAX, ready_);
        while (ready_item *item = ready_.pop_front())
            item->run(*item, true);
        while (resource *held = resources.pop_front())
            held->drop(*held);
    }
}

int kolk_loop::close() noexcept {
    if (int status = check(); status < 0)
        return closed() ? 0 : status;
    if (must_not_turn() || (this_thread.coroutine && this_thread.coroutine->owner == this))
        return KOLK_EBUSY;
    ref();
    int status;
    {
        turns scope(*this);
        closing_ = true;
        accepts_from_ = UINT64_MAX; /* no thread's token */
        hook_enter();
        status = end_tasks();
        if (status == 0) {
            drop_everything();
            unwatch_stalls(*this);
            set_exception_handler(nullptr, nullptr, nullptr);
            hook_.clear(memory());
            hook_leave();
            (void)set_hooks(nullptr, nullptr, nullptr);
        } else {
            hook_leave();
            accepts_from_ = thread_;
            set_tasks_at_end(false);
        }
        closing_ = false;
    }
    if (status == 0) {
        if (resolver_) {
            resolver_->close();
            resolver_ = nullptr;
        }
        closed_.store(true, std::memory_order_release);
        open_for_ = UINT64_MAX;
        handle_fd_ = -1;
        host_sleeps_ = false;
        close_fd(timer_fd_);
        timer_fd_ = -1;
        selector_.close();
        if (objects_ == 0)
            unref();
    }
    if (std::exchange(orphaned_, false)) /* the last user left meanwhile */
        unref();
    unref();
    return status;
}
