/* What an interpreter wants called around batches of callbacks and around sleeps. */
#pragma once

#include "core/loop/loop.hh"

namespace kolk {

struct hooks {
    hooks(const kolk_loop_hooks &given, void *userdata, kolk_destroy_fn destroy) noexcept
        : fns(given), userdata(userdata), destroy(destroy) {}

    kolk_loop_hooks fns;
    void *userdata;
    kolk_destroy_fn destroy;

    void call(void (*fn)(void *)) const noexcept {
        if (fn)
            fn(userdata);
    }
};

} // namespace kolk

inline void kolk_loop::hook_enter() noexcept {
    if (hooks_) [[unlikely]]
        hooks_->call(hooks_->fns.enter);
}

inline void kolk_loop::hook_leave() noexcept {
    if (hooks_) [[unlikely]]
        hooks_->call(hooks_->fns.leave);
}

inline void kolk_loop::hook_wait(bool over) noexcept {
    if (hooks_) [[unlikely]]
        hooks_->call(over ? hooks_->fns.after_wait : hooks_->fns.before_wait);
}
