/**
 * @file loop.hpp
 * An owner of a loop: what kolk::run() does in one, step by step.
 */
#ifndef KOLK_LOOP_HPP
#define KOLK_LOOP_HPP

#include <kolk/duration.hpp>
#include <kolk/spawn.hpp>

namespace kolk {

namespace callback {

/* Calls what was boxed. Nothing may be thrown through the loop. */
template <class Fn>
void call(void *box) noexcept {
    (*static_cast<Fn *>(box))();
}
template <class Fn>
void destroy(void *box) noexcept {
    delete static_cast<Fn *>(box);
}

} // namespace callback

inline namespace KOLK_CPP_NAMESPACE {

/** A loop. Whoever made it closes it; the last owner does so otherwise. */
class loop : public counted<kolk_loop, kolk_loop_ref, kolk_loop_unref> {
  public:
    using counted::counted;

    /** Makes one that belongs to this thread. */
    static result<loop> make(const kolk_loop_options *options = nullptr) noexcept {
        kolk_loop *made;
        kolk_error *why;
        if (kolk_loop_new(options, &made, &why) < 0)
            return result<loop>::failed(why);
        return loop(made);
    }

    int run_forever() noexcept { return kolk_loop_run_forever(get()); } /**< As kolk_loop_run_forever(). */
    int run_once() noexcept { return kolk_loop_run_once(get()); }       /**< As kolk_loop_run_once(). */
    int stop() noexcept { return kolk_loop_stop(get()); }               /**< As kolk_loop_stop(). */
    int cancel_all() noexcept { return kolk_loop_cancel_all(get()); }   /**< As kolk_loop_cancel_all(). */
    int close() noexcept { return kolk_loop_close(get()); }             /**< As kolk_loop_close(). */

    /** The time on its clock. */
    std::chrono::nanoseconds time() const noexcept { return std::chrono::nanoseconds(kolk_loop_time(get())); }

    /** Makes a task on it. */
    template <class T>
    task_handle<T> spawn(task<T> body) noexcept {
        return kolk::spawn(get(), std::move(body));
    }

    /** Runs turns until a future or task is done, and returns its outcome. */
    template <class Running>
    returned<typename Running::value_type> run_until_complete(const Running &what) {
        using outcome = result<typename Running::value_type>;
        int status = what ? kolk_loop_run_until_complete(get(), what.get()) : 0;
        return detail::hand_out(status < 0 ? outcome::failed(status) : what.result(std::nothrow));
    }
    /** Makes a task, and does the same. */
    template <class T>
    returned<T> run_until_complete(task<T> body) {
        task_handle<T> main = spawn(std::move(body));
        return detail::hand_out(detail::run_until_ended(get(), main));
    }

    /** Calls @p fn on the next turn. */
    template <class Fn>
    result<handle> call_soon(Fn fn) noexcept {
        return with_box(std::move(fn), [this](Fn *box, kolk_handle **made) {
            return kolk_loop_call_soon(get(), callback::call<Fn>, box, callback::destroy<Fn>, made);
        });
    }
    /** Calls @p fn after so long, never earlier. */
    template <class Fn, class Rep, class Period>
    result<handle> call_later(std::chrono::duration<Rep, Period> delay, Fn fn) noexcept {
        return with_box(std::move(fn), [this, delay](Fn *box, kolk_handle **made) {
            return kolk_loop_call_later(get(), nanoseconds_of(delay), callback::call<Fn>, box, callback::destroy<Fn>, made);
        });
    }
    /** Calls @p fn on the loop's thread; from any thread. */
    template <class Fn>
    int call_soon_threadsafe(Fn fn) noexcept {
        auto *box = new (std::nothrow) Fn(std::move(fn));
        return box ? kolk_loop_call_soon_threadsafe(get(), callback::call<Fn>, box, callback::destroy<Fn>) : int(KOLK_ENOMEM);
    }

  private:
    template <class Fn, class Ask>
    static result<handle> with_box(Fn fn, Ask ask) noexcept {
        auto *box = new (std::nothrow) Fn(std::move(fn));
        kolk_handle *made = nullptr;
        int status = box ? ask(box, &made) : int(KOLK_ENOMEM);
        if (status < 0)
            return result<handle>::failed(status);
        return handle(made);
    }
};

/** kolk::spawn() on a loop that is in hand. */
template <class T>
task_handle<T> spawn(const loop &on, task<T> body, const kolk_task_options *options = nullptr) noexcept {
    return spawn(on.get(), std::move(body), options);
}

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
