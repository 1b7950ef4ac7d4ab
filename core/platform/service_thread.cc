#include "core/platform/service_thread.hh"

#include <kolk/error.h>

#include <signal.h>
#include <time.h>

namespace kolk {

void service_thread::wait_until(int64_t when) noexcept {
    timespec deadline = {time_t(when / 1'000'000'000), long(when % 1'000'000'000)};
    pthread_cond_timedwait(&news_, &lock_, &deadline);
}

int service_thread::prepare(void (*in_child)() noexcept) noexcept {
    if (!tells_children_ && pthread_atfork(nullptr, nullptr, in_child) != 0)
        return KOLK_ENOMEM;
    tells_children_ = true;
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return KOLK_ENOMEM;
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&news_, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    prepared_ = made;
    return made ? 0 : int(KOLK_ENOMEM);
}

int service_thread::start(void *(*run)(void *) noexcept, void (*in_child)() noexcept) noexcept {
    if (int status = prepared_ ? 0 : prepare(in_child); status < 0)
        return status;
    while (state_ == state::ending)
        wait();
    if (state_ == state::running)
        return 0;
    /* Signals are the program's: none is handled on our thread. */
    sigset_t all_signals, before;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &before);
    bool made = pthread_create(&thread_, nullptr, run, nullptr) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!made)
        return KOLK_ELIMIT;
    state_ = state::running;
    return 0;
}

void service_thread::end() noexcept {
    state_ = state::ending;
    notify();
    unlock();
    pthread_join(thread_, nullptr);
    lock();
    state_ = state::none;
    notify();
}

void service_thread::begin_anew() noexcept {
    lock_ = PTHREAD_MUTEX_INITIALIZER;
    state_ = state::none;
    prepared_ = false;
}

} // namespace kolk
