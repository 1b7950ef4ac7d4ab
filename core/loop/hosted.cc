/* What a host asks of a loop, and what it is told: the thirds of a turn, the handle, plans that are out of date. */
#include "core/error.hh"
#include "core/guest/guest.hh"
#include "core/loop/hooks.hh"
#include "core/loop/turns.hh"
#include "core/platform/descriptor.hh"
#include "core/platform/timer_fd.hh"
#include "core/platform/wake_fd.hh"

using namespace kolk;

int kolk_loop::prepare(kolk_plan &ret_plan) noexcept {
    /* Interest needs no flushing: reactors are told at once. */
    planned_ = timers_.next_deadline();
    hook_.arm();
    ret_plan = {planned_, has_work(), 0};
    return 0;
}

int kolk_loop::wait(int64_t deadline) noexcept {
    /* A guest's thread that waits now is called back by ringing, which is not to end this wait. */
    if (selector_.has_waiter()) [[unlikely]] {
        bool in_turn = mark.in_turn();
        int status = look(0);
        if (in_turn)
            mark.next_turn();
        if (status < 0)
            return status;
    }
    must_ring_.store(true, std::memory_order_seq_cst); /* in a run of the loop's own it need not be */
    /* A host that did not ask for the plan does not sleep through it. */
    int64_t timeout = has_work() ? 0 : time_to_sleep();
    if (deadline != INT64_MAX && timeout != 0) {
        int64_t left = time_until(deadline);
        timeout = timeout < 0 || left < timeout ? left : timeout;
    }
    if (timeout == 0)
        return selector_.wait(0);
    walking++; /* the hooks may neither turn the loop nor close it */
    hook_wait(false);
    int status = selector_.wait(timeout);
    hook_wait(true);
    walking--;
    return status;
}

int kolk_loop::dispatch(uint32_t max_items, int64_t max_ns, kolk_progress *ret_progress) noexcept {
    if (refuses_turns())
        return KOLK_EBUSY;
    bool inside = running_;
    int status;
    uint32_t items = 0;
    if (inside) {
        inner_turns inner(*this);
        status = dispatch_inside(max_items, max_ns, items);
    } else {
        status = dispatch_outside(max_items, max_ns, items);
    }
    if (status == 0 && ret_progress)
        *ret_progress = {items, has_work()};
    return inside ? status : leave(status);
}

/* A host that comes once per frame mostly finds nothing, which is no reason to begin a turn. A reactor on a host may run the
 * program's callbacks when it is asked, so there it is not asked before. */
int kolk_loop::dispatch_outside(uint32_t max_items, int64_t max_ns, uint32_t &ret_items) noexcept {
    if (int status = check(); status < 0) [[unlikely]]
        return status; /* a guest has just told somebody of a failure, who has closed the loop */
    kolk_ready events[most_events];
    int count = on_host_ ? 0 : collect(0, events);
    if (count == 0 && !on_host_ && !has_work() && (timers_.empty() || timers_.next_deadline() > now())) {
        stopping_ = false;
        touched();
        return 0;
    }
    turns scope(*this);
    hook_enter();
    int64_t deadline = max_ns > 0 ? time_after(monotonic_time(), max_ns) : INT64_MAX;
    bool limited = max_items || max_ns > 0;
    if (on_host_)
        count = collect(0, events);
    if (count >= 0) {
        take(events, count, limited);
        ret_items = limited ? run_within(max_items, deadline) : run_turn();
    }
    hook_leave();
    stopping_ = false;
    return count < 0 ? count : 0;
}

/* First what the turn outside has not run yet; where that takes the whole budget, the rest is still its own. */
int kolk_loop::dispatch_inside(uint32_t max_items, int64_t max_ns, uint32_t &ret_items) noexcept {
    int64_t deadline = max_ns > 0 ? time_after(monotonic_time(), max_ns) : INT64_MAX;
    turns scope(*this);
    hook_enter();
    posts_.go_on_within();
    if (!max_items && max_ns <= 0) {
        ret_items = finish_turn();
    } else {
        ret_items = run_some(max_items, deadline);
        if ((max_items && ret_items >= max_items) || (deadline != INT64_MAX && monotonic_time() >= deadline)) {
            soon_.shut(); /* the turn outside puts back what is left of them */
            hook_leave();
            return 0;
        }
    }
    int status = look(0, max_items || max_ns > 0);
    if (status == 0)
        ret_items += !max_items && max_ns <= 0 ? run_turn() : run_within(max_items ? max_items - ret_items : 0, deadline);
    hook_leave();
    return status;
}

int kolk_loop::get_fd() noexcept {
    if (handle_fd_ >= 0)
        return handle_fd_;
    /* The kernel knows nothing of an injected clock, so no descriptor could tell when a timer is due. */
    if (clock_)
        return KOLK_ENOTSUP;
    int fd = selector_.get_fd();
    if (fd < 0)
        return fd;
    int timer = timer_fd_open();
    if (timer < 0)
        return status_of_errno(-timer);
    int status = selector_.add(timer, KOLK_EVENT_READ | (edge_triggered() ? KOLK_EVENT_EDGE : 0), &timer_watcher_);
    if (status < 0) {
        close_fd(timer);
        return status;
    }
    timer_fd_ = timer;
    handle_fd_ = fd;
    host_looks();
    return fd;
}

/* What a host that sleeps must see goes through touched(), and so not by way of soon_. */
void kolk_loop::set_host_sleeps(bool sleeps) noexcept {
    host_sleeps_ = sleeps && hosted();
    if (host_sleeps_ || limited_turn_)
        soon_.shut();
    else
        soon_.open();
}

/* There is a host from now on, or it sees more, or less. */
void kolk_loop::host_looks() noexcept {
    must_ring_.store(true, std::memory_order_seq_cst);
    set_host_sleeps(!running_ || nesting_);
    touched();
}

void kolk_loop::update_host() noexcept {
    if (check_process() < 0)
        return; /* what is registered with the kernel and the host is the parent's */
    bool work = has_work();
    int64_t deadline = timers_.next_deadline();
    if (handle_fd_ >= 0)
        update_handle(work, deadline);
    if (guest_)
        guest_->plan(work, deadline);
    if (work || deadline < planned_)
        hook_.tell();
}

void kolk_loop::update_handle(bool work, int64_t deadline) noexcept {
    if (look_again_) {
        look_again_ = false;
        work |= is_readable(handle_fd_);
    }
    if (work && !handle_signalled_) {
        handle_signalled_ = true;
        wake_fd_signal(wake_fd_);
    } else if (!work && handle_signalled_) {
        handle_signalled_ = false;
        wake_fd_clear(wake_fd_);
        /* What another thread posted in between may have rung before we cleared. */
        if (others_wait()) {
            handle_signalled_ = true;
            wake_fd_signal(wake_fd_);
        }
    }
    if (deadline != timer_fd_deadline_) {
        timer_fd_deadline_ = deadline;
        timer_fd_set(timer_fd_, deadline);
    }
}

bool kolk_loop::set_plan_hook(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    if (!fn) {
        hook_.clear(memory());
        destroy_userdata(destroy, userdata);
    } else if (!hook_.set(memory(), fn, userdata, destroy)) {
        return false;
    }
    planned_ = INT64_MAX;
    host_looks();
    return true;
}

void kolk_loop::set_guest(kolk_guest *guest) noexcept {
    guest_ = guest;
    host_looks();
}

bool kolk_loop::set_nesting(bool allowed) noexcept {
    bool before = std::exchange(nesting_, allowed);
    if (running_) {
        continue_for_ = 0; /* the next turn begins in sight of the host */
        host_looks();
    }
    return before;
}

bool kolk_loop::set_hooks(const kolk_loop_hooks *given, void *userdata, kolk_destroy_fn destroy) noexcept {
    hooks *made = given ? create<hooks>(memory(), *given, userdata, destroy) : nullptr;
    if (given && !made)
        return false;
    if (!given)
        destroy_userdata(destroy, userdata);
    if (hooks *old = std::exchange(hooks_, made)) {
        hooks gone = *old;
        kolk::destroy(memory(), old);
        destroy_userdata(gone.destroy, gone.userdata);
    }
    return true;
}

/* A reactor on a loop of the program has something for us, and cannot say so by itself. */
void kolk_loop::reactor_has_more(void *self) noexcept {
    loop &mine = *static_cast<loop *>(self);
    mine.reactor_has_more_ = true;
    mine.touched();
}

/* What goes wrong is found again, and told, by the turn that follows. */
void kolk_loop::wait_elsewhere(int64_t deadline) noexcept {
    (void)selector_.wait_as_waiter(deadline == INT64_MAX ? -1 : time_until(deadline));
}

void kolk_loop::ring() noexcept { wake_fd_signal(wake_fd_); }
