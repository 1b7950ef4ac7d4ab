#include "core/platform/wait_thread.hh"

#include <kolk/error.h>

#include <errno.h>
#include <signal.h>
#include <time.h>

namespace kolk {

int wait_thread::start(const work &what) noexcept {
    work_ = what;
    now_ = state::parked;
    called_back_ = ending_ = false;
    /* Signals are the program's: none is handled on our thread. */
    sigset_t all_signals, before;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &before);
    int number = pthread_create(&thread_, nullptr, run, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    started_ = number == 0;
    return started_ ? 0 : number == ENOMEM ? int(KOLK_ENOMEM) : int(KOLK_ELIMIT);
}

void wait_thread::end() noexcept {
    if (!started_)
        return;
    pthread_mutex_lock(&lock_);
    ending_ = true;
    pthread_cond_broadcast(&news_);
    pthread_mutex_unlock(&lock_);
    pthread_join(thread_, nullptr);
    started_ = false;
}

void wait_thread::begin_anew() noexcept {
    lock_ = PTHREAD_MUTEX_INITIALIZER;
    news_ = PTHREAD_COND_INITIALIZER;
    started_ = false;
    now_ = state::parked;
}

wait_thread::state wait_thread::now() noexcept {
    pthread_mutex_lock(&lock_);
    state at_the_moment = now_;
    pthread_mutex_unlock(&lock_);
    return at_the_moment;
}

void wait_thread::let_go(int64_t until) noexcept {
    pthread_mutex_lock(&lock_);
    until_ = until;
    now_ = state::waiting;
    called_back_ = false;
    pthread_cond_broadcast(&news_);
    pthread_mutex_unlock(&lock_);
}

bool wait_thread::call_back() noexcept {
    pthread_mutex_lock(&lock_);
    called_back_ = true;
    bool waits = now_ == state::waiting;
    pthread_mutex_unlock(&lock_);
    return waits;
}

void wait_thread::wait_until_parked() noexcept {
    pthread_mutex_lock(&lock_);
    while (now_ != state::parked)
        pthread_cond_wait(&news_, &lock_);
    pthread_mutex_unlock(&lock_);
}

/* With the lock held, but not while it tells. What was not heard is told again a little later. */
void wait_thread::tell_until_heard() noexcept {
    while (!called_back_ && !ending_) {
        pthread_mutex_unlock(&lock_);
        bool heard = work_.tell(work_.userdata);
        timespec a_little = {0, 1'000'000};
        if (!heard)
            nanosleep(&a_little, nullptr);
        pthread_mutex_lock(&lock_);
        if (heard)
            return;
    }
}

void *wait_thread::run(void *argument) noexcept {
    auto &self = *static_cast<wait_thread *>(argument);
    pthread_mutex_lock(&self.lock_);
    for (;;) {
        while (self.now_ == state::parked && !self.ending_)
            pthread_cond_wait(&self.news_, &self.lock_);
        if (self.ending_)
            break;
        int64_t until = self.until_;
        pthread_mutex_unlock(&self.lock_);
        self.work_.wait(self.work_.userdata, until);
        pthread_mutex_lock(&self.lock_);
        self.now_ = state::telling;
        self.tell_until_heard();
        self.now_ = state::parked;
        pthread_cond_broadcast(&self.news_);
    }
    pthread_mutex_unlock(&self.lock_);
    return nullptr;
}

} // namespace kolk
