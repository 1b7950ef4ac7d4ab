/**
 * @file spawn.hpp
 * Tasks of their own: beside the one that makes them, as part of the same tree as those of C.
 */
#ifndef KOLK_SPAWN_HPP
#define KOLK_SPAWN_HPP

#include <kolk/task.hpp>

namespace kolk {

/** An owner of a kolk_task, of whatever kind. */
using any_task = counted<kolk_task, kolk_task_ref, kolk_task_unref>;

inline namespace KOLK_CPP_NAMESPACE {

/**
 * A task that runs beside others. Copies refer to the same one. Dropping it neither stops nor waits for the task; an error that
 * nobody asked for then goes to the loop's exception handler.
 *
 * In a task, `co_await handle` waits and gives a copy of the result, `co_await std::move(handle)` the result itself. A fiber
 * awaits it by kolk_task_as_future().
 */
template <class T = void>
class task_handle {
  public:
    using value_type = T; /**< What it returns. */

    task_handle() noexcept : status_(KOLK_EINVAL) {}
    /** Takes a reference over, to a task of any kind whose result is a T: see kolk/payload.hpp. */
    explicit task_handle(kolk_task *owned) noexcept : self_(owned), status_(owned ? 0 : KOLK_EINVAL) {}
    /** What a function of C made, and returned. */
    static task_handle made(int status, kolk_task *owned) noexcept {
        task_handle self(status < 0 ? nullptr : owned);
        self.status_ = status < 0 ? status : self.status_;
        return self;
    }

    kolk_task *task() const noexcept { return self_.get(); }                    /**< Borrowed; NULL if it was not made. */
    kolk_future *get() const noexcept { return kolk_task_as_future(task()); }   /**< The task as a future. Borrowed. */
    explicit operator bool() const noexcept { return bool(self_); }             /**< Whether there is a task. */
    int begin_status() const noexcept { return status_; }                       /**< 0, or why there is none. */
    bool done() const noexcept { return !self_ || kolk_task_done(task()) > 0; } /**< Whether it has ended. */
    int cancel() const noexcept { return kolk_task_cancel(task()); }            /**< As kolk_task_cancel(). */
    int cancel(const char *message) const noexcept { return kolk_task_cancel_with(task(), message); } /**< With words. */
    const char *name() const noexcept { return kolk_task_name(task()); }                       /**< As kolk_task_name(). */
    int set_name(const char *name) const noexcept { return kolk_task_set_name(task(), name); } /**< As kolk_task_set_name(). */

    /** The same as a future, which leaves the result to this handle as well; or takes it, if the handle is given away. */
    future<T> as_future() const &noexcept { return future<T>::made(status_, kolk_future_ref(get())).shared(); }
    future<T> as_future() &&noexcept { return future<T>::made(status_, kolk_future_ref(get())); } /**< The same. */

    /** The outcome; #KOLK_EPENDING while there is none. */
    kolk::result<T> result(std::nothrow_t) const { return as_future().result(std::nothrow); }
    /** The same, thrown. */
    returned<T> result() const { return as_future().result(); }

  private:
    any_task self_;
    int status_;
};

namespace detail {

template <class T>
struct awaiter_for<task_handle<T>> {
    struct type : future_awaiter<T, kept<task_handle<T>>> {
        explicit type(task_handle<T> &&source) noexcept : future_awaiter<T, kept<task_handle<T>>>(kept(std::move(source))) {}
    };
};
template <class T>
struct awaiter_for<const task_handle<T> &> {
    struct type : future_awaiter<T, borrowed> {
        explicit type(const task_handle<T> &source) noexcept
            : future_awaiter<T, borrowed>(borrowed(source.get(), source.begin_status())) {}
    };
};
template <class T>
struct awaiter_for<task_handle<T> &> : awaiter_for<const task_handle<T> &> {};

template <class T>
int resume_task(void *frame, int status, void *, void **ret_value) noexcept {
    auto &self = *static_cast<promise<T> *>(frame);
    if (status < 0 && !self.started()) [[unlikely]]
        return status;
    if (!self.go_on(std::coroutine_handle<promise<T>>::from_promise(self), status)) {
        *ret_value = self.awaited();
        return KOLK_COROUTINE_AWAITING;
    }
    if (self.how() != ending::value) [[unlikely]]
        return kolk_raise(self.with.why(self.how()));
    return payload<T>::put(std::move(self.with.value), ret_value) ? int(KOLK_COROUTINE_RETURNED) : int(KOLK_ENOMEM);
}

template <class T>
void destroy_task(void *frame) noexcept {
    std::coroutine_handle<promise<T>>::from_promise(*static_cast<promise<T> *>(frame)).destroy();
}

template <class T>
inline constexpr kolk_coroutine_ops task_ops = {sizeof(kolk_coroutine_ops), 0, "c++", resume_task<T>, destroy_task<T>};

} // namespace detail

/**
 * Makes a task that runs @p body; it starts on the loop's next turn.
 *
 * @param loop     Where it runs.
 * @param body     What it runs.
 * @param options  As in kolk_create_task(); `destroy_result` is seen to.
 * @return the task. When it could not be made, awaiting it says why.
 */
template <class T>
task_handle<T> spawn(kolk_loop *loop, task<T> body, const kolk_task_options *options = nullptr) noexcept {
    if (!body)
        return task_handle<T>::made(KOLK_ENOMEM, nullptr);
    kolk_task_options with_destroy = {};
    if constexpr (payload<T>::owns) {
        with_destroy = options ? *options : kolk_task_options{};
        with_destroy.size = sizeof with_destroy;
        with_destroy.destroy_result = payload<T>::destroy;
        options = &with_destroy;
    }
    detail::promise<T> &root = body.release().promise();
    root.become_root();
    kolk_task *made = nullptr;
    int status = kolk_create_foreign_task(loop, &detail::task_ops<T>, &root, options, &made);
    return task_handle<T>::made(status, made);
}

/** The same on the loop that is running. */
template <class T>
task_handle<T> spawn(task<T> body, const kolk_task_options *options = nullptr) noexcept {
    return spawn(kolk_loop_current(), std::move(body), options);
}

namespace detail {

/* Nobody else asks for its result. */
template <class T>
result<T> run_until_ended(kolk_loop *loop, task_handle<T> &main) {
    int status = main ? kolk_loop_run_until_complete(loop, main.get()) : 0;
    return status < 0 ? result<T>::failed(status) : std::move(main).as_future().take(std::nothrow);
}

template <class T>
result<T> run_to_the_end(kolk_loop *loop, task<T> &&body) {
    task_handle<T> main = spawn(loop, std::move(body));
    result<T> ended = run_until_ended(loop, main);
    /* The main task is dropped after the loop: what it waited for may still end. */
    kolk_loop_cancel_all(loop);
    int closed = kolk_loop_close(loop);
    if (ended && closed < 0)
        return result<T>::failed(closed);
    return ended;
}

template <class T>
result<T> run(task<T> &&body, const kolk_loop_options *options) {
    if (kolk_loop_current())
        return result<T>::failed(KOLK_EBUSY);
    kolk_loop *loop;
    kolk_error *why;
    if (kolk_loop_new(options, &loop, &why) < 0)
        return result<T>::failed(why);
    result<T> ended = run_to_the_end(loop, std::move(body));
    kolk_loop_unref(loop);
    return ended;
}

} // namespace detail

/**
 * Makes a loop, runs a task on it to its end, cancels what is left, waits until that has ended too, and closes the loop:
 * asyncio.run(). Returns what the task returns; @ref kolk::nothrow works here as for co_await.
 */
template <class T>
returned<T> run(task<T> body, const kolk_loop_options *options = nullptr) {
    return detail::hand_out(detail::run(std::move(body), options));
}
/** The same without throwing. */
template <class T>
result<T> run(detail::unthrown<task<T>> body, const kolk_loop_options *options = nullptr) {
    return detail::run(std::move(body.what), options);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
