/**
 * @file promise.hpp
 * What the frames of tasks have in common: who continues, when, and how it ended.
 *
 * One kolk task drives a chain of C++ coroutines, each awaiting the next. Its first one, the root, knows what the innermost one
 * waits for; the others know the root and who awaits them. Going down and up the chain is symmetric transfer and no business of
 * the loop. That takes two words of each frame, and how it ended shares the bits of one of them.
 */
#ifndef KOLK_PROMISE_HPP
#define KOLK_PROMISE_HPP

#include <kolk/frames.hpp>
#include <kolk/payload.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>

/* clang makes a transfer a jump, always. gcc does so only from -O2 on and without sanitizers, otherwise each one stays on the
 * stack; there it goes through whoever resumed the root, which costs no more. */
#ifdef __clang__
#define KOLK_CPP_JUMPS 1 /**< Whether a transfer is a jump. */
#else
#define KOLK_CPP_JUMPS 0 /**< Whether a transfer is a jump. */
#endif

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* What a coroutine waits for; lies in its frame. */
struct wait {
    kolk_future *future = nullptr;  /* kept alive by who made the wait; nullptr lets the others run */
    std::coroutine_handle<> waiter; /* once it had to wait */
    int status = 0;                 /* then: how the wait ended */
};

/* How a coroutine ended. */
enum class ending : uintptr_t { none = 0, value = 1, error = 2, exception = 3 };

/* With what. Somebody else knows how. */
template <class T>
union remains {
    something<T> value;
    kolk_error *error; /* owned */
#if KOLK_CPP_EXCEPTIONS
    std::exception_ptr exception;
#endif

    remains() noexcept {}
    ~remains() {}

    void clear(ending how) noexcept {
        if (how == ending::value)
            std::destroy_at(&value);
        else if (how == ending::error)
            kolk_error_unref(error);
#if KOLK_CPP_EXCEPTIONS
        else if (how == ending::exception)
            std::destroy_at(&exception);
#endif
    }

    void take(remains &other, ending how) {
        if (how == ending::value)
            std::construct_at(&value, std::move(other.value));
        else if (how == ending::error)
            error = kolk_error_ref(other.error);
#if KOLK_CPP_EXCEPTIONS
        else if (how == ending::exception)
            std::construct_at(&exception, std::move(other.exception));
#endif
    }

    /* The error, in words of kolk; the caller owns it. */
    kolk_error *why(ending how) const noexcept {
#if KOLK_CPP_EXCEPTIONS
        if (how == ending::exception)
            return kolk_error_ref(error_of(exception).get());
#endif
        return how == ending::error ? kolk_error_ref(error) : kolk_error_of(KOLK_EUNSPECIFIED);
    }
};

/* How a coroutine ended, and with what, exceptions as they were thrown. */
template <class T>
class outcome {
  public:
    outcome(ending how, remains<T> &with) : how_(how) { with_.take(with, how); }
    explicit outcome(kolk_error *why) noexcept : how_(ending::error) { with_.error = why; }
    outcome(outcome &&other) : how_(other.how_) { with_.take(other.with_, how_); }
    ~outcome() { with_.clear(how_); }

    int status() const noexcept {
        if (how_ == ending::value)
            return 0;
        kolk_error *why = with_.why(how_);
        int status = kolk_error_status(why);
        kolk_error_unref(why);
        return status;
    }

    ending how() const noexcept { return how_; }
    remains<T> &with() noexcept { return with_; }

  private:
    ending how_;
    remains<T> with_;
};

class promise_base {
  public:
    promise_base() noexcept = default;
    promise_base(const promise_base &) = delete;

    static void *operator new(size_t size) noexcept { return take_frame(size); }
    static void operator delete(void *frame, size_t size) noexcept { give_frame(frame, size); }

    struct leaving {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            return self.promise().leave();
        }
        void await_resume() const noexcept {}
    };
    std::suspend_always initial_suspend() const noexcept { return {}; }
    leaving final_suspend() const noexcept { return {}; }

    /* Before it starts: a kolk task drives it. */
    void become_root() noexcept { root_ = reinterpret_cast<uintptr_t>(this); }

    /* Before it starts: another one awaits it. Returns what continues. */
    std::coroutine_handle<> begin(const promise_base &caller, std::coroutine_handle<> waiting,
                                  std::coroutine_handle<> self) noexcept {
        root_ = caller.root_;
        link_ = reinterpret_cast<uintptr_t>(waiting.address());
        return transfer(self);
    }

    /* It has ended. Returns what continues. */
    std::coroutine_handle<> leave() noexcept {
        if (!link_)
            return std::noop_coroutine();
        return transfer(std::coroutine_handle<>::from_address(reinterpret_cast<void *>(link_)));
    }

    /* It waits. */
    void park(wait &what) noexcept { root().link_ = reinterpret_cast<uintptr_t>(&what); }

    ending how() const noexcept { return ending(root_ & how_bits); }

    /* Of a root: continues the innermost one. True when the root has ended. */
    bool go_on(std::coroutine_handle<> self, int status) noexcept {
        std::coroutine_handle<> next = self;
        if (link_) {
            auto *what = reinterpret_cast<wait *>(link_);
            what->status = status;
            next = what->waiter;
        }
        for (;;) {
            link_ = 0;
            next.resume();
            if (how() != ending::none)
                return true;
            if (!(link_ & through_root))
                return false;
            next = std::coroutine_handle<>::from_address(reinterpret_cast<void *>(link_ & ~through_root));
        }
    }
    bool started() const noexcept { return link_ != 0; }
    kolk_future *awaited() const noexcept { return reinterpret_cast<wait *>(link_)->future; }

  protected:
    void set_how(ending how) noexcept { root_ = (root_ & ~how_bits) | uintptr_t(how); }

  private:
    static constexpr uintptr_t how_bits = 3, through_root = 1;

    promise_base &root() const noexcept { return *reinterpret_cast<promise_base *>(root_ & ~how_bits); }

    std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept {
        if constexpr (KOLK_CPP_JUMPS)
            return next;
        root().link_ = reinterpret_cast<uintptr_t>(next.address()) | through_root;
        return std::noop_coroutine();
    }

    uintptr_t root_ = 0; /* a promise_base *, and how it ended in the lowest bits */
    uintptr_t link_ = 0; /* of a root: the wait, or with the lowest bit what a transfer leads to; of others: who awaits it */
};

} // namespace detail

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
