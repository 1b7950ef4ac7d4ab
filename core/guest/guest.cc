#include "core/guest/guest.hh"

#include "core/error.hh"
#include "core/future/future.hh"
#include "core/guest/host_reactor.hh"
#include "core/task/sleep.hh"

using namespace kolk;

namespace {

/* Why a way does not go; nullptr when it does. */
const char *obstacle(loop &on, const kolk_host_ops &ops, uint32_t way) noexcept {
    const kolk_reactor_ops &reactor = on.selector().ops();
    bool by_host = &reactor == &host_reactor;
    if (way != KOLK_GUEST_FRAME && on.has_clock())
        return "its time is not the kernel's, which the host's timers count";
    if (by_host && way != KOLK_GUEST_REACTOR)
        return "its reactor is the host, so KOLK_GUEST_REACTOR is the only way";
    switch (way) {
    case KOLK_GUEST_FRAME:
        return nullptr;
    case KOLK_GUEST_HANDLE:
        if (!(reactor.caps & KOLK_REACTOR_GET_FD))
            return "its reactor has no descriptor to watch";
        return ops.watch ? nullptr : "the host cannot watch descriptors";
    case KOLK_GUEST_THREAD:
        if (!(reactor.caps & KOLK_REACTOR_WAIT))
            return "its reactor cannot wait without taking";
        if (on.on_host())
            return "its reactor is on a loop of this thread's";
        return ops.post ? nullptr : "the host cannot be posted to";
    case KOLK_GUEST_REACTOR:
        if (!by_host && !on.on_host())
            return "its reactor is not the host's; see kolk_host_reactor()";
        return ops.set_deadline && ops.post && (ops.watch || !by_host) ? nullptr : "the host lacks a function that is needed";
    default:
        return "there is no such way";
    }
}

} // namespace

namespace kolk {

uint32_t choose_way(loop &on, const kolk_host_ops &ops, uint32_t wanted, const char *&ret_reason) noexcept {
    if (wanted != KOLK_GUEST_ANY) {
        ret_reason = obstacle(on, ops, wanted);
        return ret_reason ? 0 : wanted;
    }
    for (uint32_t way : {KOLK_GUEST_REACTOR, KOLK_GUEST_HANDLE, KOLK_GUEST_THREAD})
        if (!(ret_reason = obstacle(on, ops, way)))
            return way;
    return 0;
}

} // namespace kolk

int kolk_guest::arrive() noexcept {
    int status = 0;
    if (way_ == KOLK_GUEST_HANDLE) {
        handle_ = owner->get_fd();
        status = handle_ < 0 ? handle_ : ops_.watch(userdata_, handle_, KOLK_EVENT_READ);
    } else if (way_ == KOLK_GUEST_THREAD) {
        status = start_thread();
    } else if (by_host()) {
        status = host_reactor_bind(owner->selector().state(), ops_, userdata_);
    } else if (way_ == KOLK_GUEST_REACTOR) {
        status = owner->selector().stay(KOLK_STAY_HOST_RUNS);
    }
    if (status < 0)
        return status;
    ref(); /* the loop's */
    owner->resources.push_back(*this);
    owner->set_guest(this);
    if (!failure_)
        return 0;
    /* It could not even be told what there is to wait for now. */
    destroy_ = nullptr;
    leave();
    return failure_;
}

/* Takes back all that the host was asked for. */
void kolk_guest::leave() noexcept {
    if (left_)
        return;
    left_ = true;
    if (resource::linked())
        resource::unlink();
    if (way_ == KOLK_GUEST_HANDLE && !muted_)
        (void)ops_.watch(userdata_, handle_, 0);
    if (way_ == KOLK_GUEST_THREAD) {
        call_thread_back();
        thread_.end();
        owner->selector().set_waiter(nullptr, nullptr, nullptr);
    }
    if (way_ == KOLK_GUEST_REACTOR) {
        if (by_host())
            host_reactor_unbind(owner->selector().state());
        tell_deadline(INT64_MAX);
    }
    if (owner->on_host())
        owner->selector().stay(KOLK_STAY_OVER);
    owner->set_guest(nullptr);
    if (turns_ == 0)
        finish_stay();
    unref();
}

void kolk_guest::finish_stay() noexcept { destroy_userdata(std::exchange(destroy_, nullptr), userdata_); }

void kolk_guest::loop_closes(resource &held) noexcept { static_cast<guest &>(held).leave(); }

void kolk_guest::unref() noexcept {
    if (--refs == 0)
        dispose_of(*this);
}

bool kolk_guest::by_host() const noexcept { return way_ == KOLK_GUEST_REACTOR && &owner->selector().ops() == &host_reactor; }

int kolk_guest::turn() noexcept {
    renew_budget();
    told_ = way_ == KOLK_GUEST_REACTOR ? INT64_MAX : told_; /* the timer is spent, if that is why the host comes */
    return take_turn();
}

int kolk_guest::ready(int fd, uint32_t events) noexcept {
    if (left_)
        return KOLK_ECLOSED;
    bool is_reactor = by_host();
    if (is_reactor)
        host_reactor_tell(owner->selector().state(), fd, events);
    else
        renew_budget();
    if (is_reactor && budget_is_spent() && !owner->refuses_turns()) {
        host_reactor_put_off(owner->selector().state(), fd);
        return 0;
    }
    ref();
    int status = take_turn();
    if (is_reactor && status >= 0 && has_budget() && !left_)
        host_reactor_doubt(owner->selector().state(), fd, owner->has_ready());
    bool refused = status == KOLK_EBUSY && owner->running() && !left_;
    if (refused && is_reactor)
        host_reactor_mute(owner->selector().state(), fd);
    else if (refused && fd == handle_ && !muted_)
        muted_ = ops_.watch(userdata_, handle_, 0) >= 0;
    unref();
    return status;
}

int kolk_guest::take_turn() noexcept {
    if (left_)
        return KOLK_ECLOSED;
    ref(); /* it may leave, and its owners with it */
    turns_++;
    posted_.store(false, std::memory_order_release);
    if (failure_)
        report_failure();
    if (way_ == KOLK_GUEST_THREAD && !left_)
        call_thread_back();
    uint32_t items = 0;
    bool shares = has_budget() && by_host();
    int64_t begin = shares ? monotonic_time() : 0;
    int status = dispatch_within_budget(items);
    if (shares && status >= 0) {
        items_left_ -= items < items_left_ ? items : items_left_;
        ns_left_ -= monotonic_time() - begin;
    }
    /* Refused within a turn, it is for the end of that one to see to the rest; elsewhere nothing will remind us, unless the
     * host comes again by itself. */
    if (status == KOLK_EBUSY && !owner->running() && !left_ && (way_ == KOLK_GUEST_THREAD || way_ == KOLK_GUEST_REACTOR))
        request_turn();
    if (--turns_ == 0 && left_)
        finish_stay();
    unref();
    return status < 0 ? status : int(items);
}

/* A host that comes once per frame gives a slice of it, to be used; others come again as soon as there is more. */
int kolk_guest::dispatch_within_budget(uint32_t &ret_items) noexcept {
    bool uses_all = way_ == KOLK_GUEST_FRAME && options_.max_ns > 0;
    int64_t end = uses_all ? time_after(monotonic_time(), options_.max_ns) : 0;
    uint32_t most = items_left_;
    for (int64_t left = ns_left_;;) {
        kolk_progress progress = {};
        int status = owner->dispatch(most ? most - ret_items : 0, left, &progress);
        if (status < 0)
            return status;
        ret_items += progress.items;
        if (!uses_all || !progress.more || left_ || owner->closed() || (most && ret_items >= most))
            return 0;
        left = end - monotonic_time();
        if (left <= 0)
            return 0;
    }
}

/* What was muted, where the host has control again. */
int kolk_guest::watch_again() noexcept {
    if (by_host())
        return host_reactor_watch_again(owner->selector().state());
    if (!muted_)
        return 0;
    int status = ops_.watch(userdata_, handle_, KOLK_EVENT_READ);
    muted_ = status < 0;
    return status;
}

void kolk_guest::plan(bool work, int64_t deadline) noexcept {
    if (int status = watch_again(); status < 0) [[unlikely]] {
        /* Nothing may come that would remind us: the turn that tells of the failure tries again. */
        failure_ = status;
        if (ops_.post)
            request_turn();
    }
    switch (way_) {
    case KOLK_GUEST_THREAD:
        plan_thread(work, deadline);
        break;
    case KOLK_GUEST_REACTOR:
        if (work)
            request_turn();
        /* A later deadline can wait until the host comes for the earlier one. */
        if (deadline < told_)
            tell_deadline(deadline);
    }
}

void kolk_guest::plan_thread(bool work, int64_t deadline) noexcept {
    if (posted())
        return;
    if (work)
        return request_turn();
    if (thread_.now() != wait_thread::state::parked) {
        if (deadline >= told_)
            return;
        call_thread_back();
        if (posted()) /* just before it was called back */
            return;
    }
    told_ = deadline;
    thread_.let_go(deadline);
}

/* The failure of a host is told in the next turn, where the user's code may be called; and what it does not take as a request
 * for a turn now may still go as one for later. */
void kolk_guest::request_turn() noexcept {
    if (posted_.exchange(true, std::memory_order_acq_rel))
        return;
    int status = ops_.post(userdata_);
    if (status >= 0)
        return;
    failure_ = status;
    posted_.store(false, std::memory_order_release);
    if (way_ == KOLK_GUEST_REACTOR)
        tell_deadline(owner->now());
    else if (way_ == KOLK_GUEST_THREAD) {
        call_thread_back();
        if (!posted()) /* just before it was called back */
            thread_.let_go(told_ = INT64_MIN);
    }
}

void kolk_guest::tell_deadline(int64_t deadline) noexcept {
    int status = ops_.set_deadline(userdata_, deadline);
    if (status >= 0) {
        told_ = deadline;
        return;
    }
    /* Nothing may come that would remind us: the turn that tells of the failure tries again. */
    failure_ = status;
    if (!left_ && !posted_.exchange(true, std::memory_order_acq_rel) && ops_.post(userdata_) < 0)
        posted_.store(false, std::memory_order_release);
}

void kolk_guest::report_failure() noexcept {
    int status = std::exchange(failure_, 0);
    error *what =
        make_error(status, 0, nullptr, "the host of a loop on the reactor '%s' refused to be told what to wait for: %s",
                   owner->selector().ops().name, status_message(status));
    owner->report(*what);
    kolk::unref(what);
}

int kolk_guest::start_thread() noexcept {
    int status = thread_.start({
        [](void *self, int64_t until) noexcept { static_cast<guest *>(self)->owner->wait_elsewhere(until); },
        [](void *self) noexcept {
            auto &mine = *static_cast<guest *>(self);
            if (mine.posted_.exchange(true, std::memory_order_acq_rel) || mine.ops_.post(mine.userdata_) >= 0)
                return true;
            mine.posted_.store(false, std::memory_order_release);
            return false;
        },
        this,
    });
    /* A reactor that cannot be told anything while somebody waits gets the thread out of the way first. Then the turn is
     * missing that lets it go again; not before the reactor was told, as a host that refuses the turn has the thread go at
     * once. */
    if (status == 0 && !(owner->selector().ops().caps & KOLK_REACTOR_WAIT_ANYWHERE))
        owner->selector().set_waiter(
            [](void *self) {
                auto &mine = *static_cast<guest *>(self);
                mine.disturbed_ |= mine.thread_.now() != wait_thread::state::parked;
                mine.call_thread_back();
            },
            [](void *self) {
                auto &mine = *static_cast<guest *>(self);
                if (std::exchange(mine.disturbed_, false) && (mine.turns_ == 0 || mine.owner->host_sleeps()))
                    mine.request_turn();
            },
            this);
    return status;
}

void kolk_guest::call_thread_back() noexcept {
    if (thread_.call_back())
        owner->ring();
    thread_.wait_until_parked();
}

/* The thread that waits in the child's place is the parent's, as is its way through set_waiter(). */
int kolk_guest::renew_host() noexcept {
    if (way_ == KOLK_GUEST_THREAD)
        thread_.begin_anew();
    /* The handle is about to be another file behind the same number: while it is the old one, the host can let go of it. */
    if (way_ == KOLK_GUEST_HANDLE && !muted_)
        muted_ = ops_.watch(userdata_, handle_, 0) >= 0;
    return ops_.after_fork ? ops_.after_fork(userdata_) : 0;
}

int kolk_guest::after_fork() noexcept {
    posted_.store(false, std::memory_order_relaxed);
    told_ = INT64_MAX;
    return way_ == KOLK_GUEST_THREAD ? start_thread() : 0;
}
