#include "core/loop/plan_hook.hh"

#include "core/platform/thread.hh"

namespace kolk {

bool plan_hook::set(const allocator &memory, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    listener *made = create<listener>(memory, fn, userdata, destroy);
    if (!made)
        return false;
    exchange(memory, made);
    armed_.store(true, std::memory_order_seq_cst);
    return true;
}

void plan_hook::exchange(const allocator &memory, listener *next) noexcept {
    listener *old = current_.exchange(next, std::memory_order_seq_cst);
    if (!old)
        return;
    /* A teller only schedules, so this is short. */
    while (tellers_.load(std::memory_order_seq_cst) > 0)
        yield_thread();
    listener gone = *old;
    release(memory, old, sizeof *old);
    if (gone.destroy)
        gone.destroy(gone.userdata);
}

void plan_hook::tell_listener() noexcept {
    tellers_.fetch_add(1, std::memory_order_seq_cst);
    listener *who = current_.load(std::memory_order_seq_cst);
    if (who && armed_.exchange(false, std::memory_order_seq_cst))
        who->fn(who->userdata);
    tellers_.fetch_sub(1, std::memory_order_seq_cst);
}

} // namespace kolk
