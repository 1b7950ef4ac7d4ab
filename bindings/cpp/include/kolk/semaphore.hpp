/**
 * @file semaphore.hpp
 * At most so many at once: `kolk::permit held = co_await semaphore.acquire()`.
 */
#ifndef KOLK_SEMAPHORE_HPP
#define KOLK_SEMAPHORE_HPP

#include <kolk/await.hpp>

namespace kolk {

/** A permit that was taken; its destructor gives it back. */
class [[nodiscard]] permit {
  public:
    permit() noexcept = default;
    /** Takes over a permit of a semaphore, with a reference. */
    explicit permit(kolk_semaphore *owned) noexcept : of_(owned) {}
    permit(permit &&other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    permit &operator=(permit &&other) noexcept {
        std::swap(of_, other.of_);
        return *this;
    }
    ~permit() { release(); }

    /** Gives it back early. */
    void release() noexcept {
        if (kolk_semaphore *of = std::exchange(of_, nullptr)) {
            kolk_semaphore_release(of);
            kolk_semaphore_unref(of);
        }
    }
    explicit operator bool() const noexcept { return of_; } /**< Whether it is held. */

  private:
    kolk_semaphore *of_ = nullptr;
};

inline namespace KOLK_CPP_NAMESPACE {

namespace detail {

/* A permit on its way: one that comes when nobody waits for it any more goes back. */
class permit_request {
  public:
    explicit permit_request(kolk_semaphore *of) noexcept : of_(kolk_semaphore_ref(of)) {
        status_ = kolk_semaphore_acquire_async(of, &future_);
    }
    permit_request(permit_request &&other) noexcept
        : of_(std::exchange(other.of_, nullptr)), future_(std::exchange(other.future_, nullptr)), status_(other.status_) {}
    ~permit_request() {
        if (future_ && kolk_future_result(future_, nullptr) == 0)
            kolk_semaphore_release(of_);
        kolk_future_unref(future_);
        kolk_semaphore_unref(of_);
    }

    kolk_future *get() const noexcept { return future_; }
    int begin_status() const noexcept { return status_; }
    permit claim() noexcept {
        future_ = kolk_future_unref(future_);
        return permit(std::exchange(of_, nullptr));
    }

  private:
    kolk_semaphore *of_;
    kolk_future *future_ = nullptr;
    int status_;
};

template <>
struct awaiter_for<permit_request> {
    struct type : future_awaiter<void, kept<permit_request>> {
        explicit type(permit_request &&source) noexcept : future_awaiter(kept(std::move(source))) {}
        result<permit> take() {
            result<void> done = future_awaiter::take();
            return done ? result<permit>(keeper().claim()) : result<permit>(done.error());
        }
    };
};

} // namespace detail

/** A counter of permits; those who wait are served in the order they came. */
class semaphore : public counted<kolk_semaphore, kolk_semaphore_ref, kolk_semaphore_unref> {
  public:
    using counted::counted;

    /** Makes one. */
    static result<semaphore> make(uint32_t permits, kolk_loop *loop = kolk_loop_current()) noexcept {
        kolk_semaphore *made;
        int status = kolk_semaphore_new(loop, permits, &made);
        if (status < 0)
            return result<semaphore>::failed(status);
        return semaphore(made);
    }

    /** Awaited once, gives a kolk::permit. */
    detail::permit_request acquire() noexcept { return detail::permit_request(get()); }

    uint32_t permits() const noexcept { return kolk_semaphore_permits(get()); } /**< How many are free now. */
};

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
