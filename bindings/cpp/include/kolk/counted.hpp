/**
 * @file counted.hpp
 * Owners of kolk's counted objects: a reference each, given back by the destructor.
 */
#ifndef KOLK_COUNTED_HPP
#define KOLK_COUNTED_HPP

#include <kolk/kolk.h>

#include <cstddef>
#include <utility>

namespace kolk {

/** A reference to a counted object of C, or nothing. Copying takes one more. */
template <class C, auto Ref, auto Unref>
class counted {
  public:
    using object = C; /**< What it refers to. */

    counted() noexcept = default;
    /** Takes a reference over. */
    explicit counted(C *owned) noexcept : self_(owned) {}
    counted(const counted &other) noexcept : self_(Ref(other.self_)) {}
    counted(counted &&other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
    counted &operator=(counted other) noexcept {
        std::swap(self_, other.self_);
        return *this;
    }
    ~counted() {
        if (self_)
            Unref(self_);
    }

    C *get() const noexcept { return self_; }                            /**< Borrowed. */
    C *release() noexcept { return std::exchange(self_, nullptr); }      /**< The reference itself: the caller owns it. */
    explicit operator bool() const noexcept { return self_ != nullptr; } /**< Whether there is an object. */
    static C *ref(C *borrowed) noexcept { return Ref(borrowed); }        /**< One more reference, or NULL for NULL. */
    static void unref(C *owned) noexcept { Unref(owned); }               /**< One fewer. */
    friend bool operator==(const counted &a, const counted &b) noexcept { return a.self_ == b.self_; } /**< Same object? */

  private:
    C *self_ = nullptr;
};

/** An owner of an object that is borrowed: `share<stream>(pointer)`. */
template <class Owner>
Owner share(typename Owner::object *borrowed) noexcept {
    return Owner(Owner::ref(borrowed));
}

/* Those that need no more than an owner; their functions are those of C. */
using completion_queue = counted<kolk_completion_queue, kolk_completion_queue_ref, kolk_completion_queue_unref>; /**< */
using coroutine = counted<kolk_coroutine, kolk_coroutine_ref, kolk_coroutine_unref>;                             /**< */
using handle = counted<kolk_handle, kolk_handle_ref, kolk_handle_unref>;                             /**< A scheduled call. */
using thread_future = counted<kolk_thread_future, kolk_thread_future_ref, kolk_thread_future_unref>; /**< */
using timer = counted<kolk_timer, kolk_timer_ref, kolk_timer_unref>;                                 /**< */
using waker = counted<kolk_waker, kolk_waker_ref, kolk_waker_unref>;                                 /**< */

} // namespace kolk

#endif
