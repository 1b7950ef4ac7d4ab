/* What every entry point asks before it does anything. */
#pragma once

#include "core/loop/loop.hh"

namespace kolk {

/* May the caller use this object, and its loop, now? */
template <class T>
[[nodiscard]] int check(const T *self) noexcept {
    return self ? self->owner->check() : int(KOLK_EINVAL);
}
[[nodiscard]] inline int check(const loop *self) noexcept { return self ? self->check() : int(KOLK_EINVAL); }

/* The same, for what makes something new on the loop: not while it is closing. */
[[nodiscard]] inline int check_open(const loop *self) noexcept { return self ? self->check_open() : int(KOLK_EINVAL); }

/* May the caller look at this object? Also when its loop has closed. */
template <class T>
[[nodiscard]] int check_thread(const T *self) noexcept {
    return self ? self->owner->check_thread() : int(KOLK_EINVAL);
}

/* A refused call takes nothing over: what it was given is released. */
inline int refuse(int status, kolk_destroy_fn destroy, void *userdata) noexcept {
    destroy_userdata(destroy, userdata);
    return status;
}

template <class T>
T *checked_ref(T *self) noexcept {
    if (self && check_thread(self) == 0)
        self->ref();
    return self;
}

/* On a wrong thread the object stays, and the caller sees that it does. */
template <class T>
T *checked_unref(T *self) noexcept {
    if (!self)
        return nullptr;
    if (check_thread(self) < 0)
        return self;
    self->unref();
    return nullptr;
}

/* What a caller says the size of its options is, and whether that can be. */
template <class T>
[[nodiscard]] bool valid_options(const T *options) noexcept {
    return !options || options->size >= sizeof(T);
}

} // namespace kolk
