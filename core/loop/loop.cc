#include "core/loop/loop.hh"

#include "core/error.hh"
#include "core/future/future.hh"
#include "core/loop/hooks.hh"
#include "core/loop/turns.hh"
#include "core/platform/wake_fd.hh"
#include "core/stream/resolver.hh"
#include "core/task/task.hh"

using namespace kolk;

namespace {

/* Free stacks that keep their page: 64 MiB after a burst of so many tasks, about what malloc keeps at the most. */
constexpr size_t cached_stacks = 16384;

/* While callbacks keep the queue filled, the kernel and the clock are looked at about this often: a look costs as much as
 * twenty short callbacks. How many callbacks that is, is found by doubling and halving; after slow ones it is one. */
constexpr int64_t time_between_looks = 20'000;
constexpr uint32_t most_callbacks_between_looks = 2048;

/* What a loop runs for that runs for nothing in particular. */
constexpr outcome never = outcome::pending;

} // namespace

kolk_loop::kolk_loop(const allocator &memory, uint64_t thread) noexcept
    : open_for_(thread), accepts_from_(thread), until_(&never), objects(memory), stacks(cached_stacks), posts_(*this),
      selector_(memory), thread_(thread), forks_(fork_count()) {
    wake_watcher_.loop = timer_watcher_.loop = this;
    wake_watcher_.ready = [](watcher &self, uint32_t) noexcept {
        loop &owner = *static_cast<own_watcher &>(self).loop;
        owner.handle_signalled_ = false;
        /* Edge-triggered, it need not be read to fall silent. */
        if (!owner.edge_triggered())
            wake_fd_clear(owner.wake_fd_);
    };
    timer_watcher_.ready = [](watcher &self, uint32_t) noexcept {
        static_cast<own_watcher &>(self).loop->timer_fd_deadline_ = INT64_MIN;
    };
}

kolk_loop::~kolk_loop() {
    /* Not before: another thread may have posted just before the loop closed and ring only now. */
    close_fd(wake_fd_);
    soon_.release(memory());
    release(memory(), receive_buffer_, receive_buffer_size);
}

int kolk_loop::open(const kolk_reactor_ops &ops, const kolk_loop_options &options) noexcept {
    clock_ = options.clock;
    clock_userdata_ = options.clock_userdata;
    on_host_ = options.host && ops.caps & KOLK_REACTOR_HOSTED;
    int status = selector_.open(ops, options.host, reactor_has_more, this);
    if (status < 0)
        return status;
    if (!clock_ && selector_.has_clock()) {
        clock_ = [](void *selector) { return static_cast<kolk_selector *>(selector)->now(); };
        clock_userdata_ = &selector_;
    }
    wake_fd_ = wake_fd_open();
    if (wake_fd_ < 0)
        return status_of_errno(-wake_fd_);
    return selector_.add(wake_fd_, KOLK_EVENT_READ | (edge_triggered() ? KOLK_EVENT_EDGE : 0), &wake_watcher_);
}

int kolk_loop::why_not() const noexcept {
    if (closed())
        return KOLK_ECLOSED;
    return forks_ != fork_count() ? KOLK_EFORKED : KOLK_ETHREAD;
}

int kolk_loop::why_not_open() const noexcept {
    int status = check();
    return status < 0 ? status : int(KOLK_ECLOSED);
}

int kolk_loop::why_not_here() const noexcept { return forks_ != fork_count() ? KOLK_EFORKED : KOLK_ETHREAD; }

void kolk_loop::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        allocator memory = this->memory();
        destroy(memory, this);
    }
}

void kolk_loop::user_unref() noexcept {
    if (users_.fetch_sub(1, std::memory_order_acq_rel) > 1)
        return;
    if (!closed() && check_thread() == 0 && !orphaned_) {
        if (running_) {
            orphaned_ = true;
            stop();
            return;
        }
        (void)close();
    }
    unref();
}

/* The end of every way to run turns: nothing of the loop may be touched after it. */
int kolk_loop::leave(int result) noexcept {
    if (orphaned_) [[unlikely]] {
        orphaned_ = false;
        (void)close();
        unref();
    }
    return result;
}

/* From now; 0 when it has come. */
int64_t kolk_loop::time_until(int64_t deadline) const noexcept {
    int64_t time = now(), left;
    if (deadline <= time)
        return 0;
    return __builtin_sub_overflow(deadline, time, &left) ? INT64_MAX : left;
}

int64_t kolk_loop::time_to_sleep() noexcept {
    if (stopping_ || has_ready() || others_wait())
        return 0;
    int64_t deadline = timers_.next_deadline();
    return deadline == INT64_MAX ? -1 : time_until(deadline);
}

int kolk_loop::look(int64_t timeout, bool limited) noexcept {
    if (int status = check(); status < 0) [[unlikely]]
        return status;
    kolk_ready events[most_events];
    int count = collect(timeout, events);
    if (count < 0)
        return count;
    take(events, count, limited);
    return 0;
}

/* Between the turns of a loop that runs by itself. */
int kolk_loop::look_or_sleep() noexcept {
    int64_t timeout = time_to_sleep();
    if (timeout != 0) {
        must_ring_.store(true, std::memory_order_seq_cst);
        if (others_wait())
            timeout = 0;
    }
    int status = look(timeout);
    must_ring_.store(nesting_ || hosted(), std::memory_order_relaxed);
    return status;
}

/* What is ready in the kernel, or was queued by a reactor on a host. */
int kolk_loop::collect(int64_t timeout, kolk_ready *ret_events) noexcept {
    mark.sleep();
    if (timeout != 0)
        hook_wait(false);
    reactor_has_more_ = false;
    int count = selector_.collect(timeout, ret_events, most_events);
    if (timeout != 0)
        hook_wait(true);
    look_again_ = reactor_has_more_ = count == int(most_events);
    return count;
}

/* Puts it on the ready queue, with what came from others, and the timers that are due. Of very many, a limited turn takes what
 * it may have the time for. */
void kolk_loop::take(const kolk_ready *events, int count, bool limited) noexcept {
    for (int i = 0; i < count; i++)
        if (selector_slot *slot = selector_.lookup(events[i])) {
            look_again_ |= !(slot->armed & KOLK_EVENT_EDGE);
            auto *who = static_cast<watcher *>(slot->data);
            who->ready(*who, events[i].events);
        }
    if (!inbox_.empty())
        take_inbox(false);
    if (posts_.waiting())
        posts_.take();
    if (timers_.empty())
        return;
    int64_t time = now();
    if (!limited)
        timers_.expire(time, ready_);
    else
        due_until_ = timers_.expire_some(time, ready_, most_timers) ? time : INT64_MIN;
}

void kolk_loop::take_inbox(bool closing) noexcept {
    for (inbox_item *item = closing ? inbox_.close() : inbox_.take(); item;) {
        inbox_item *next = item->below;
        item->deliver(*item, closing);
        item = next;
    }
}

/* All that is ready now. Nothing can close the loop in between, so that need not be looked at again. */
uint32_t kolk_loop::run_turn() noexcept {
    batch_.append(ready_);
    if (!soon_.empty() || host_sleeps_) [[unlikely]]
        begin_soon_calls();
    return finish_turn();
}

/* A host that may turn the loop inside of this turn sees the whole of it from here on. */
void kolk_loop::begin_soon_calls() noexcept {
    soon_.begin();
    if (host_sleeps_) [[unlikely]] {
        soon_.shut();
        update_host();
    }
}

/* What is left of the turn that has begun. */
uint32_t kolk_loop::finish_turn() noexcept {
    uint32_t items = 0;
    bool closing = closing_;
    continued_ = 0;
    mark.next_turn();
    while (const soon_calls::call *call = soon_.next()) {
        items++;
        soon_calls::run(*call, closing);
    }
    while (ready_item *item = batch_.pop_front()) {
        items++;
        item->run(*item, closing);
    }
    return items + continued_;
}

/* Turns in which there is nothing but calls, for as long as that goes on and no look is due: where each turn is one call, what
 * lies between two turns counts as much as the call. So does how many lines of code that is: it and what asks for a call begin
 * one each. */
[[gnu::noinline, gnu::aligned(64)]] uint32_t kolk_loop::run_calls() noexcept {
    uint32_t items = 0;
    mark.next_turn();
    for (;;) {
        if (soon_.just_one()) [[likely]] {
            soon_calls::run(soon_.take_only(), false);
            items++;
        } else if (soon_.empty()) {
            return items;
        } else {
            soon_.begin();
            while (const soon_calls::call *call = soon_.next()) {
                soon_calls::run(*call, false);
                items++;
            }
        }
        if (items >= continue_for_ || turns_are_over()) [[unlikely]]
            return items;
        if (!ready_.empty()) [[unlikely]]
            return items;
    }
}

/* Turns in which there are items but no calls, likewise. */
[[gnu::noinline]] uint32_t kolk_loop::run_items() noexcept {
    continued_ = 0;
    do {
        mark.next_turn();
        batch_.take(ready_);
        while (ready_item *item = batch_.pop_front()) {
            continued_++;
            item->run(*item, false);
        }
    } while (!ready_.empty() && soon_.empty() && continued_ < continue_for_ && !turns_are_over());
    return continued_;
}

/* The same within a budget, whose time is the system's, as that of the host is: the loop's clock may stand still during a turn.
 * What is left over comes first next time. */
uint32_t kolk_loop::run_within(uint32_t max_items, int64_t deadline) noexcept {
    batch_.append(ready_);
    begin_soon_calls();
    uint32_t items = run_some(max_items, deadline);
    soon_.put_back();
    set_host_sleeps(nesting_);
    ready_.prepend(batch_);
    return items;
}

/* Of the turn that has begun, as much as the budget allows. */
uint32_t kolk_loop::run_some(uint32_t max_items, int64_t deadline) noexcept {
    uint32_t items = 0;
    limited_turn_ = true; /* each item comes back here */
    soon_.shut();         /* what is asked for now comes after what is left over */
    mark.next_turn();
    for (;;) {
        if (const soon_calls::call *call = soon_.next())
            soon_calls::run(*call, false);
        else if (ready_item *item = batch_.pop_front())
            item->run(*item, false);
        else
            break;
        if (++items == max_items || (deadline != INT64_MAX && monotonic_time() >= deadline))
            break;
    }
    limited_turn_ = false;
    set_host_sleeps(nesting_);
    return items;
}

/* Until what the loop runs for is done, somebody stops it, or the reactor fails. */
void kolk_loop::run_turns(int &ret_status) noexcept {
    uint32_t allowance = 1, since_look = 1;
    int64_t last_look = 0;
    while (!turns_are_over()) {
        bool busy = has_ready();
        if (!busy || since_look >= allowance) {
            /* Where time is virtual, how long something took is no reason for anything: it looks at every turn. */
            if (busy && !selector_.has_clock()) {
                int64_t time = monotonic_time();
                if (time - last_look > time_between_looks)
                    allowance = allowance > 1 ? allowance / 2 : 1;
                else if (allowance < most_callbacks_between_looks)
                    allowance *= 2;
                last_look = time;
            }
            ret_status = look_or_sleep();
            if (ret_status < 0)
                return;
            since_look = 0;
        }
        continue_for_ = stopping_ || nesting_ ? 0 : allowance - since_look;
        hook_enter();
        if (ready_.empty() && !nesting_)
            since_look += run_calls();
        else
            since_look += soon_.empty() && !nesting_ ? run_items() : run_turn();
        hook_leave();
        if (stopping_)
            return;
    }
}

int kolk_loop::run(const kolk_future *until) noexcept {
    if (int status = check(); status < 0)
        return status;
    if (must_not_turn())
        return KOLK_EBUSY;
    int status = 0;
    {
        own_run by_itself(*this);
        turns scope(*this);
        if (until)
            until_ = &until->state;
        run_turns(status);
        continue_for_ = 0;
        /* What was ready by then is run, as asyncio does, whose loop is stopped by a callback of the future. */
        if (status == 0 && until && turns_are_over()) {
            hook_enter();
            run_turn();
            hook_leave();
        }
        until_ = &never;
        stopping_ = false;
        must_ring_.store(true, std::memory_order_seq_cst);
    }
    return leave(status);
}

int kolk_loop::run_forever() noexcept { return run(nullptr); }

int kolk_loop::run_until_complete(kolk_future &future) noexcept {
    future.ref(); /* it may be dropped by what finishes it */
    int status = run(&future);
    if (status == 0 && !future.done())
        status = KOLK_EPENDING;
    future.unref();
    return status;
}

int kolk_loop::run_once() noexcept {
    if (int status = check(); status < 0)
        return status;
    if (must_not_turn())
        return KOLK_EBUSY;
    int result;
    {
        own_run by_itself(*this);
        turns scope(*this);
        result = look(time_to_sleep());
        hook_enter();
        if (result == 0)
            result = int(run_turn());
        hook_leave();
        stopping_ = false;
    }
    return leave(result);
}

/* The rest of the turn that is under way belongs to the turns in here: what they do not get to, the outer one goes on with. */
int kolk_loop::run_nested(kolk_future &future) noexcept {
    if (!running_ || this_thread.loop != this || (future.kind->task && static_cast<kolk_task &>(future).on_stack()))
        return KOLK_EINVAL;
    if (closing_)
        return KOLK_ECLOSED;
    if (future.done())
        return 0;
    if (walking > 0 || cancelling > 0)
        return KOLK_EBUSY;
    future.ref();
    int status = 0;
    {
        inner_turns inner(*this);
        turns scope(*this);
        posts_.go_on_within();
        finish_turn();
        until_ = &future.state;
        if (!stopping_)
            run_turns(status);
        must_ring_.store(true, std::memory_order_seq_cst);
    }
    if (status == 0 && !future.done())
        status = KOLK_EPENDING;
    future.unref();
    return status;
}

bool kolk_loop::stop_timer(timer_node &timer) noexcept {
    if (timer.waiting())
        timers_.stop(timer);
    else if (timer.linked())
        timer.unlink();
    else
        return false;
    touched();
    return true;
}

void kolk_loop::announce() noexcept {
    if (!must_ring_.load(std::memory_order_seq_cst))
        return;
    wake_fd_signal(wake_fd_);
    hook_.tell();
}

bool kolk_loop::post(inbox_item &item) noexcept {
    kolk::post arrival = inbox_.push(item);
    if (arrival == kolk::post::was_empty)
        announce();
    return arrival != kolk::post::closed;
}

int kolk_loop::post_call(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    bool first;
    int status = posts_.add(fn, userdata, destroy, first);
    if (status == 0 && first)
        announce();
    return status;
}

void kolk_loop::set_exception_handler(kolk_exception_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    exception_handler before = std::exchange(exception_, {fn, userdata, destroy, exception_.number + 1});
    release_unless_called(before);
}

/* Once it has been replaced: now, or when the last of its calls returns. */
void kolk_loop::release_unless_called(const exception_handler &handler) noexcept {
    for (exception_call *at = exception_calls_.front(); at; at = exception_calls_.after(*at))
        if (at->handler.number == handler.number)
            return;
    destroy_userdata(handler.destroy, handler.userdata);
}

void kolk_loop::report(error &what) noexcept {
    if (!exception_.fn)
        return;
    exception_call call(exception_);
    exception_calls_.push_back(call);
    call.handler.fn(this, &what, call.handler.userdata);
    call.unlink();
    if (call.handler.number != exception_.number)
        release_unless_called(call.handler);
}

char *kolk_loop::receive_buffer() noexcept {
    if (!receive_buffer_)
        receive_buffer_ = static_cast<char *>(allocate(memory(), receive_buffer_size));
    return receive_buffer_;
}

resolver *kolk_loop::resolver() noexcept {
    if (!resolver_)
        resolver_ = resolver::make(*this);
    return resolver_;
}
