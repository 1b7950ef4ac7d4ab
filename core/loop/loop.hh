/* One turn after another: collect what is ready, move due timers to the ready queue, run what was in it.
 *
 * Everything that runs is a ready_item: call_soon handles, timers, done callbacks, tasks to be resumed; only calls that nobody
 * can take back are less, and stand before the queue as soon_calls. A turn takes the queue as it stands and runs that; what is
 * added belongs to the next turn. Reactors, timers and other threads only ever append to the queue, so user code is called from
 * one place, run_turn() and its twins run_calls() and run_within(), with nothing of the loop's half done below it.
 *
 * A loop driven by itself sleeps in the reactor's collect. A loop driven by a host is asked in thirds: hosted.cc. What a host
 * that sleeps must see (the handle, a guest's deadline, a plan that is out of date) is kept true by update_host() whenever
 * control goes back to it. How a loop ends is in close.cc, how it begins anew in a forked child in fork.cc. */
#pragma once

#include "core/coroutine/fiber.hh"
#include "core/coroutine/stack_pool.hh"
#include "core/loop/inbox.hh"
#include "core/loop/object_cache.hh"
#include "core/loop/plan_hook.hh"
#include "core/loop/posted_calls.hh"
#include "core/loop/ready_item.hh"
#include "core/loop/resource.hh"
#include "core/loop/soon_calls.hh"
#include "core/loop/timer_wheel.hh"
#include "core/loop/watchdog.hh"
#include "core/platform/clock.hh"
#include "core/platform/thread.hh"
#include "core/selector/selector.hh"

#include <kolk/host.h>
#include <kolk/loop.h>

struct kolk_guest;
struct kolk_task;

namespace kolk {

/* Someone who is told that a descriptor is ready. Called while events are being collected: it may put items on the ready queue,
 * and nothing else. */
struct watcher {
    void (*ready)(watcher &self, uint32_t events) noexcept;
};

class resolver;
struct hooks;
enum class outcome : uint8_t;
/* What errors that concern nobody are given to. */
struct exception_handler {
    kolk_exception_fn fn = nullptr;
    void *userdata = nullptr;
    kolk_destroy_fn destroy = nullptr;
    uint32_t number = 0;
};

/* A call of it, which may replace it, or wait on a fiber while others come and go. */
struct exception_call : link<> {
    const exception_handler handler;

    explicit exception_call(const exception_handler &what) noexcept : handler(what) {}
};

struct task_tag;
using task_list = list<::kolk_task, task_tag>;

} // namespace kolk

struct kolk_loop final {
  private:
    /* What a turn touches. First, where instructions that reach it are short. */
    uint64_t open_for_, accepts_from_; /* the token of the loop's thread, while it may be used so */
    bool running_ = false, stopping_ = false, closing_ = false, limited_turn_ = false;
    bool orphaned_ = false;    /* the last user left during a turn */
    bool look_again_ = false;  /* the last look may have left events in the kernel that are no news to an edge-triggered host */
    bool host_sleeps_ = false; /* as far as we know: it relies on what it is told, and no turn is running or it may nest */
    bool nesting_ = false;     /* a host may turn the loop inside of a turn */
    bool reactor_has_more_ = false; /* it said so, or had more to tell than there was room for */
    bool on_host_ = false;          /* the reactor is on a loop of the program */
    uint32_t continued_ = 0;        /* what was run without coming back to the turn */
    uint32_t continue_for_ = 0;     /* how much may be, before the next look; 0 when the run is to stop */
    const kolk::outcome *until_;    /* of the future that the loop runs for; it begins as pending, which is 0 */
    kolk::soon_calls soon_;         /* the calls before all of ready_; shut in a limited turn, and while a host sleeps */
    kolk::ready_queue ready_;
    kolk::ready_queue batch_; /* of the turn in progress */

  public:
    kolk_loop(const kolk::allocator &memory, uint64_t thread) noexcept;
    ~kolk_loop();
    kolk_loop(const kolk_loop &) = delete;
    kolk_loop &operator=(const kolk_loop &) = delete;

    /* Opens reactor and wake-up descriptor. */
    [[nodiscard]] int open(const kolk_reactor_ops &ops, const kolk_loop_options &options) noexcept;

    /* 0 when the calling thread may use the loop now; otherwise why not. The fast answer is one comparison. */
    [[nodiscard]] int check() const noexcept { return kolk::this_thread.token == open_for_ ? 0 : why_not(); }
    /* The same for what makes something new on the loop, which a closing one refuses. */
    [[nodiscard]] bool accepts() const noexcept { return kolk::this_thread.token == accepts_from_; }
    [[nodiscard]] int check_open() const noexcept { return accepts() ? 0 : why_not_open(); }
    /* The same for what outlives the loop: references, results. */
    [[nodiscard]] bool here() const noexcept { return kolk::this_thread.token == thread_; }
    [[nodiscard]] int check_thread() const noexcept { return here() ? 0 : why_not_here(); }
    [[nodiscard]] int check_process() const noexcept { return forks_ == kolk::fork_count() ? 0 : int(KOLK_EFORKED); }
    [[nodiscard]] uint64_t thread() const noexcept { return thread_; } /* its token */
    [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
    [[nodiscard]] bool closing() const noexcept { return closing_; }
    [[nodiscard]] bool running() const noexcept { return running_; }
    [[nodiscard]] bool must_not_turn() const noexcept { return running_ || walking > 0 || cancelling > 0; }
    /* The same for a host's turn, which may be allowed inside of another. */
    [[nodiscard]] bool refuses_turns() const noexcept { return running_ ? !may_nest() : must_not_turn(); }

    [[nodiscard]] int64_t now() const noexcept { return clock_ ? clock_(clock_userdata_) : kolk::monotonic_time(); }

    /* The loop's thread. */
    [[nodiscard]] int run_forever() noexcept;
    [[nodiscard]] int run_until_complete(kolk_future &future) noexcept;
    [[nodiscard]] int run_once() noexcept;
    /* From inside a turn. */
    [[nodiscard]] int run_nested(kolk_future &future) noexcept;
    void stop() noexcept {
        stopping_ = true;
        continue_for_ = 0;
    }
    [[nodiscard]] int close() noexcept;

    [[nodiscard]] int prepare(kolk_plan &ret_plan) noexcept;
    [[nodiscard]] int wait(int64_t deadline) noexcept;
    [[nodiscard]] int dispatch(uint32_t max_items, int64_t max_ns, kolk_progress *ret_progress) noexcept;
    [[nodiscard]] int get_fd() noexcept;

    /* What a host sees of the loop, beyond the handle. */
    [[nodiscard]] bool set_plan_hook(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;
    void set_guest(kolk_guest *guest) noexcept;
    [[nodiscard]] kolk_guest *guest() const noexcept { return guest_; }
    /* Of a reactor that rides on a loop of the program. */
    [[nodiscard]] bool on_host() const noexcept { return on_host_; }
    [[nodiscard]] bool has_clock() const noexcept { return clock_; }
    bool set_nesting(bool allowed) noexcept; /* returns what it was before */
    [[nodiscard]] bool set_hooks(const kolk_loop_hooks *hooks, void *userdata, kolk_destroy_fn destroy) noexcept;
    [[nodiscard]] bool alive() noexcept { return listening || !tasks.empty() || has_work() || !timers_.empty(); }
    /* Another thread: sleeps in the loop's place. Any: ends that. */
    void wait_elsewhere(int64_t deadline) noexcept;
    void ring() noexcept;
    [[nodiscard]] int after_fork() noexcept;

    /* The queue, the timers or what is watched changed: a host that sleeps must see it. In a turn that waits until its end. */
    void touched() noexcept {
        if (host_sleeps_) [[unlikely]]
            update_host();
    }
    void make_ready(kolk::ready_item &item) noexcept {
        ready_.push_back(item);
        touched();
    }
    /* Where no host sleeps. */
    void make_ready_silently(kolk::ready_item &item) noexcept { ready_.push_back(item); }
    [[nodiscard]] bool host_sleeps() const noexcept { return host_sleeps_; }
    /* Something is to be run on the next turn. */
    [[nodiscard]] bool has_ready() const noexcept { return !ready_.empty() || !soon_.empty(); }

    /* A call without an object, where that keeps the order; false elsewhere. Neither allocates nor calls anything. */
    [[nodiscard]] bool add_soon_call(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
        if (!ready_.empty()) [[unlikely]]
            return false;
        return soon_.add(fn, userdata, destroy);
    }
    void make_soon_calls() noexcept {
        if (!limited_turn_ && !host_sleeps_)
            soon_.make(memory());
    }

    void un_ready(kolk::ready_item &item) noexcept {
        item.unlink();
        touched();
    }
    void append_ready(kolk::ready_queue &items) noexcept {
        ready_.append(items);
        touched();
    }
    void start_timer(kolk::timer_node &timer, int64_t when) noexcept {
        if (timers_.empty())
            timers_.begin_at(now());
        if (!timer.waiting() && timer.linked()) [[unlikely]]
            timer.unlink(); /* due already, and moved before it ran */
        timers_.start(timer, when);
        touched();
    }
    /* The same where the first deadline, for which a host may sleep, stays as it is; false elsewhere. */
    [[nodiscard]] bool put_off_timer(kolk::timer_node &timer, int64_t when) noexcept { return timers_.put_off(timer, when); }
    /* One that is due, ahead of the next look at the clock. */
    void start_due_timer(kolk::timer_node &timer) noexcept {
        (void)stop_timer(timer);
        make_ready(timer);
    }
    /* Takes a timer back, waiting or due already. Says whether there was anything to take. */
    bool stop_timer(kolk::timer_node &timer) noexcept;

    /* Any thread, any signal handler. */
    [[nodiscard]] bool post(kolk::inbox_item &item) noexcept;
    /* In a forked child, before anything is taken. */
    [[nodiscard]] bool has_arrived(const kolk::inbox_item &item) const noexcept { return inbox_.contains(item); }
    /* Any thread. 0, KOLK_ENOMEM or KOLK_ECLOSED. */
    [[nodiscard]] int post_call(kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;

    void set_exception_handler(kolk_exception_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;
    void report(kolk_error &error) noexcept;

    /* What lives on the loop keeps its memory: an open loop holds one reference for all of it, given back when it has closed
     * and the last object is gone. So counting an object is no atomic operation. */
    void object_made() noexcept { objects_++; }
    void object_gone() noexcept {
        if (--objects_ == 0 && closed()) [[unlikely]]
            unref();
    }
    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept;
    /* References of the user's. When the last one goes, a loop that is still open is closed: at once, or at the end of the turn
     * that is running. Whoever has only borrowed the loop may become a user after that. */
    void user_ref() noexcept {
        if (users_.fetch_add(1, std::memory_order_relaxed) == 0) [[unlikely]]
            ref();
    }
    void user_unref() noexcept;

    [[nodiscard]] kolk::selector &selector() noexcept { return selector_; }
    [[nodiscard]] const kolk::selector &selector() const noexcept { return selector_; }
    [[nodiscard]] bool edge_triggered() const noexcept { return selector_.ops().caps & KOLK_REACTOR_EDGE; }
    [[nodiscard]] const kolk::allocator &memory() const noexcept { return objects.memory(); }

    /* 64 KiB that every stream may receive into, while its task does not wait. nullptr when memory is gone. */
    [[nodiscard]] char *receive_buffer() noexcept;
    static constexpr size_t receive_buffer_size = 65536;
    [[nodiscard]] bool is_shared(const char *data) const noexcept {
        return receive_buffer_ && data >= receive_buffer_ && data < receive_buffer_ + receive_buffer_size;
    }

    [[nodiscard]] kolk::resolver *resolver() noexcept;

    kolk::object_cache objects;
    kolk::stack_pool stacks;
    kolk::resource_list resources;
    kolk::task_list tasks;
    kolk::fiber *home = nullptr; /* the stack that runs the turn: where a task goes that has nobody to go to */
    kolk::turn_mark mark;
    kolk::watched_loop *watched = nullptr; /* owned */

    /* Of requests to cancel: see kolk_task::request_cancel(). */
    uint64_t cancel_passes = 0, cancel_occasion = 0;
    uint32_t cancelling = 0;
    /* Lists of tasks are being walked, which may end in the user's code, or somebody waits; no turn may be run from there. */
    uint32_t walking = 0;
    /* Descriptors with a reader or writer, and servers. */
    uint32_t listening = 0;
    /* Walks within walks, through groups and gathers, end here: who asks may be a fiber with little stack. What lies deeper is
     * for the next turn. */
    [[nodiscard]] bool walks_deep() const noexcept { return walking >= 32; }

    /* Whether there is a next item, of this turn or the one after it, for a task that would rather continue it on the spot. Not
     * when it is the loop's business to see to it: a budget is to be kept, the kernel to be looked at. */
    [[nodiscard]] bool has_next_of_turn() noexcept { return !limited_turn_ && (!batch_.empty() || begin_next_turn()); }
    [[nodiscard]] kolk::ready_item &next_of_turn() noexcept { return batch_.first(); }
    [[nodiscard]] bool turn_is_limited() const noexcept { return limited_turn_; }
    /* An item that was run only in part comes again first. */
    void put_back(kolk::ready_item &item) noexcept { batch_.push_front(item); }
    /* An item that was more than one. */
    void count_more(uint32_t items) noexcept { continued_ += items; }
    void take_next_of_turn() noexcept {
        batch_.take_first();
        continued_++;
    }

    /* With thousands of tasks, what a switch touches of each is not in the cache when its turn comes: the item and the line
     * behind it, and the innermost frames, which end a line before it. Two items are about as long as it takes to get them. Of
     * something that is no task this fetches what it need not. */
    void fetch_ahead() noexcept {
        if (!batch_.empty())
            fetch(batch_.first().next);
    }
    /* Also of an item that will come later, or need not exist any more: each task has a page of its own, and finding that takes
     * longer than the lines. Who is that far behind the next ones we would have to wait to learn. */
    static void fetch(const void *item) noexcept {
        for (int line : {-4, -3, -2, 0, 1})
            __builtin_prefetch(static_cast<const char *>(item) + line * 64);
    }
    /* The item that was the third last to be made ready, for whoever is the next to be. */
    [[nodiscard]] kolk::ready_item *third_last_ready() noexcept { return ready_.near_the_end<2>(); }

  private:
    /* A descriptor of the loop's own. */
    struct own_watcher : kolk::watcher {
        kolk_loop *loop;
    };

    [[nodiscard]] int why_not() const noexcept;
    [[nodiscard]] int why_not_open() const noexcept;
    [[nodiscard]] int why_not_here() const noexcept;

    void update_host() noexcept;
    void update_handle(bool work, int64_t deadline) noexcept;
    void set_host_sleeps(bool sleeps) noexcept;
    [[nodiscard]] bool hosted() const noexcept { return handle_fd_ >= 0 || guest_ || hook_.listening(); }
    static void reactor_has_more(void *self) noexcept;
    void host_looks() noexcept;
    void announce() noexcept; /* any thread, that something has arrived */
    /* Something is to be run, or to be taken: of others, or of timers that a limited turn left. In a turn, also what is left of
     * it. */
    [[nodiscard]] bool has_work() noexcept {
        return has_ready() || others_wait() || reactor_has_more_ || !batch_.empty() || soon_.in_turn() ||
               (due_until_ != INT64_MIN && timers_.next_deadline() <= due_until_);
    }
    void hook_enter() noexcept;
    void hook_leave() noexcept;
    void hook_wait(bool over) noexcept;

    static constexpr uint32_t most_events = 256;  /* of one look */
    static constexpr uint32_t most_timers = 1024; /* of one look, in a limited turn */
    [[nodiscard]] int look(int64_t timeout, bool limited = false) noexcept;
    [[nodiscard]] int collect(int64_t timeout, kolk_ready *ret_events) noexcept;
    void take(const kolk_ready *events, int count, bool limited) noexcept;
    /* From inside a turn of this loop, and not of another one that it runs. */
    [[nodiscard]] bool may_nest() const noexcept {
        return nesting_ && kolk::this_thread.loop == this && walking == 0 && cancelling == 0;
    }
    [[nodiscard]] int dispatch_outside(uint32_t max_items, int64_t max_ns, uint32_t &ret_items) noexcept;
    [[nodiscard]] int dispatch_inside(uint32_t max_items, int64_t max_ns, uint32_t &ret_items) noexcept;
    [[nodiscard]] int64_t time_to_sleep() noexcept;
    uint32_t run_turn() noexcept;
    uint32_t finish_turn() noexcept;
    uint32_t run_calls() noexcept;
    uint32_t run_items() noexcept;
    uint32_t run_within(uint32_t max_items, int64_t deadline) noexcept;
    uint32_t run_some(uint32_t max_items, int64_t deadline) noexcept;
    void begin_soon_calls() noexcept;
    [[nodiscard]] bool turns_are_over() const noexcept { return *until_ != kolk::outcome{}; }
    /* For a task that stops when its turn is over: begins the next one, if nothing else is to be done in between. Where the
     * run is to stop, nothing may be continued. */
    [[nodiscard]] bool begin_next_turn() noexcept {
        if (continued_ >= continue_for_ || ready_.empty() || !soon_.empty() || turns_are_over())
            return false;
        batch_.take(ready_);
        return true;
    }
    [[nodiscard]] int look_or_sleep() noexcept;
    [[nodiscard]] bool others_wait() const noexcept { return !inbox_.empty() || posts_.waiting(); }
    void take_inbox(bool closing) noexcept;
    [[nodiscard]] int run(const kolk_future *until) noexcept;
    void run_turns(int &ret_status) noexcept;
    [[nodiscard]] int leave(int result) noexcept;
    [[nodiscard]] int64_t time_until(int64_t deadline) const noexcept;
    [[nodiscard]] bool all_insist() noexcept;
    void set_tasks_at_end(bool ends) noexcept;
    [[nodiscard]] int end_tasks() noexcept;
    void drop_everything() noexcept;
    void release_unless_called(const kolk::exception_handler &handler) noexcept;

    class turns;
    class inner_turns;
    class own_run;

    kolk::timer_wheel timers_;
    int64_t due_until_ = INT64_MIN; /* when a limited turn left some: those until then are due */
    /* What arrives has to ring. Not between two looks of run() and run_nested(), of a loop that no host looks at: whoever makes
     * this true, to sleep, looks after that, and whoever posts writes before it looks here, so one of them sees the other. */
    std::atomic<bool> must_ring_{true};
    kolk::inbox inbox_;
    kolk::posted_calls posts_;
    kolk::selector selector_;

    uint64_t thread_;
    const void *native_thread_ = &kolk::this_thread; /* the same in a forked child, if it is there */
    uint32_t forks_;                                 /* when it was made */
    std::atomic<uint32_t> users_{1};
    std::atomic<uint32_t> refs_{2}; /* one of all users together, one of an open loop, those of others */
    std::atomic<bool> closed_{false};
    uint64_t objects_ = 0;
    int wake_fd_ = -1, timer_fd_ = -1, handle_fd_ = -1;
    int64_t timer_fd_deadline_ = INT64_MAX;
    bool handle_signalled_ = false;
    own_watcher wake_watcher_, timer_watcher_;
    kolk_guest *guest_ = nullptr;
    kolk::plan_hook hook_;
    int64_t planned_ = INT64_MAX;  /* the deadline of the last plan */
    kolk::hooks *hooks_ = nullptr; /* owned */
    int64_t (*clock_)(void *) = nullptr;
    void *clock_userdata_ = nullptr;
    char *receive_buffer_ = nullptr;
    kolk::resolver *resolver_ = nullptr;
    kolk::exception_handler exception_;
    kolk::list<kolk::exception_call> exception_calls_; /* under way */
};

namespace kolk {

using loop = ::kolk_loop;

/* Calls a destroy function that may be missing. */
inline void destroy_userdata(kolk_destroy_fn destroy, void *userdata) noexcept {
    if (destroy)
        destroy(userdata);
}

/* The reference count of what lives on a loop. */
struct counted {
    loop *const owner;
    uint32_t refs = 1;

    explicit counted(loop &on) noexcept : owner(&on) { on.object_made(); }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;
};

} // namespace kolk
