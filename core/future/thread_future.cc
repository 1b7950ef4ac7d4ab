#include "core/future/thread_future.hh"

#include "core/error.hh"
#include "core/platform/clock.hh"
#include "core/platform/thread.hh"

using namespace kolk;

namespace {

struct thread_callback final : thread_listener {
    kolk_thread_future_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    thread_callback(kolk_thread_future_fn call, void *data, kolk_destroy_fn release) noexcept
        : thread_listener(invoke), fn(call), userdata(data), destroy(release) {}

    static void invoke(thread_listener &listener, thread_future &about) noexcept {
        auto &self = static_cast<thread_callback &>(listener);
        if (about.done())
            self.fn(&about, self.userdata);
        destroy_userdata(self.destroy, self.userdata);
        kolk::destroy(about.memory, &self);
    }
};

/* On the clock that conditions wait on; INT64_MAX: never. */
int64_t deadline_after(int64_t timeout) noexcept {
    int64_t when;
    return __builtin_add_overflow(monotonic_time(), timeout, &when) ? INT64_MAX : when;
}

} // namespace

kolk_thread_future::kolk_thread_future(const allocator &from, uint64_t driving_thread) noexcept
    : memory(from), driver(driving_thread), forks_(fork_count()) {}

kolk_thread_future::~kolk_thread_future() {
    /* Of one that was never done. */
    while (thread_listener *who = listeners_.pop_front())
        who->tell(*who, *this);
    if (state() == outcome::result)
        destroy_userdata(destroy_value_, value_);
    else
        kolk::unref(static_cast<kolk_error *>(value_));
}

int kolk_thread_future::make(const allocator &from, uint64_t driving_thread, kolk_thread_future *&ret_future) noexcept {
    /* From here on forks are counted, if they were not before. */
    auto *made = claim_thread_token() ? create<kolk_thread_future>(from, from, driving_thread) : nullptr;
    if (!made)
        return KOLK_ENOMEM;
    if (!made->finished_.open()) {
        made->unref();
        return KOLK_ENOMEM;
    }
    ret_future = made;
    return 0;
}

bool kolk_thread_future::wanted() noexcept {
    if (check_process() < 0)
        return false;
    if (refs_.load(std::memory_order_acquire) > 1)
        return true;
    locked held(lock_);
    return !listeners_.empty();
}

bool kolk_thread_future::running() noexcept {
    locked held(lock_);
    return running_ && !done();
}

int kolk_thread_future::set_running() noexcept {
    locked held(lock_);
    if (state() == outcome::cancelled)
        return KOLK_ECANCELED;
    if (running_ || done())
        return KOLK_EALREADY;
    running_ = true;
    return 0;
}

bool kolk_thread_future::settle(outcome how, void *what, kolk_destroy_fn destroy) noexcept {
    if (check_process() < 0)
        return false;
    list<thread_listener, thread_listener> told;
    {
        locked held(lock_);
        if (done() || (running_ && how == outcome::cancelled))
            return false;
        value_ = what;
        destroy_value_ = destroy;
        state_.store(how, std::memory_order_release);
        told.append(listeners_);
        finished_.notify_all();
    }
    ref(); /* a callback may drop the last other reference */
    while (thread_listener *who = told.pop_front())
        who->tell(*who, *this);
    unref();
    return true;
}

bool kolk_thread_future::finish(void *result, kolk_destroy_fn destroy) noexcept {
    return settle(outcome::result, result, destroy);
}

bool kolk_thread_future::fail(kolk_error *error) noexcept { return settle(outcome::error, error, nullptr); }
bool kolk_thread_future::cancel(kolk_error *words) noexcept { return settle(outcome::cancelled, words, nullptr); }

int kolk_thread_future::wait(int64_t timeout) noexcept {
    /* Refused even when it is done: whether a program may wait here must not depend on who is faster. */
    if (timeout > 0 && this_thread.loop)
        return KOLK_EBUSY;
    if (done())
        return 0;
    if (timeout <= 0)
        return KOLK_ETIMEDOUT;
    if (driver && driver == this_thread.token)
        return KOLK_EBUSY;
    int64_t deadline = deadline_after(timeout);
    locked held(lock_);
    while (!done()) {
        if (deadline == INT64_MAX)
            finished_.wait(lock_);
        else if (monotonic_time() < deadline)
            finished_.wait_until(lock_, deadline);
        else
            return KOLK_ETIMEDOUT;
    }
    return 0;
}

int kolk_thread_future::result(void **ret_result) const noexcept {
    switch (state()) {
    case outcome::pending:
        return KOLK_EPENDING;
    case outcome::cancelled:
        return KOLK_ECANCELED;
    case outcome::error:
        return static_cast<kolk_error *>(value_)->status;
    case outcome::result:
        break;
    }
    if (ret_result)
        *ret_result = value_;
    return 0;
}

kolk_error *kolk_thread_future::error() const noexcept {
    switch (state()) {
    case outcome::error:
        return static_cast<kolk_error *>(value_);
    case outcome::cancelled:
        return value_ ? static_cast<kolk_error *>(value_) : static_error(KOLK_ECANCELED);
    default:
        return nullptr;
    }
}

void kolk_thread_future::hand_on(future &to) const noexcept {
    switch (state()) {
    case outcome::error:
        return to.fail(kolk::ref(static_cast<kolk_error *>(value_)));
    case outcome::cancelled:
        return to.end_cancelled(kolk::ref(static_cast<kolk_error *>(value_)));
    default:
        return to.finish(value_, nullptr);
    }
}

bool kolk_thread_future::listen(thread_listener &who) noexcept {
    locked held(lock_);
    if (done())
        return false;
    listeners_.push_back(who);
    return true;
}

bool kolk_thread_future::unlisten(thread_listener &who) noexcept {
    bool shared = check_process() == 0; /* in a forked child only one thread comes here */
    if (shared)
        lock_.lock();
    bool in_time = !done();
    if (in_time)
        who.unlink();
    if (shared)
        lock_.unlock();
    return in_time;
}

int kolk_thread_future::add_callback(kolk_thread_future_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    auto *callback = create<thread_callback>(memory, fn, userdata, destroy);
    if (!callback)
        return KOLK_ENOMEM;
    if (listen(*callback))
        return 0;
    ref(); /* it may drop the last other reference */
    callback->tell(*callback, *this);
    unref();
    return 0;
}
