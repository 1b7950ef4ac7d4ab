/* How a loop begins anew in a forked child. */
#include "core/guest/guest.hh"
#include "core/loop/loop.hh"
#include "core/platform/timer_fd.hh"
#include "core/platform/wake_fd.hh"
#include "core/stream/resolver.hh"

#include "core/error.hh"

using namespace kolk;

/* What can fail comes first, and may be done again. Until the end of it the loop is the parent's. */
int kolk_loop::after_fork() noexcept {
    if (closed())
        return KOLK_ECLOSED;
    if (forks_ == fork_count())
        return check();
    if (running_ && native_thread_ != &this_thread)
        return KOLK_ETHREAD;
    uint64_t thread = claim_thread_token();
    if (!thread)
        return KOLK_ENOMEM;
    int number = replace_fd(wake_fd_, wake_fd_open());
    if (number == 0 && timer_fd_ >= 0)
        number = replace_fd(timer_fd_, timer_fd_open());
    if (number < 0)
        return status_of_errno(-number);
    /* A guest's host is first: the reactor may be that host. */
    int status = guest_ ? guest_->renew_host() : 0;
    if (status >= 0)
        status = selector_.after_fork();
    if (status == 0)
        status = rewatch_stalls(*this);
    if (status == 0 && resolver_)
        status = resolver_->after_fork();
    if (status == 0 && guest_)
        status = guest_->after_fork();
    if (status < 0)
        return status;
    posts_.after_fork();
    hook_.after_fork();
    native_thread_ = &this_thread;
    forks_ = fork_count();
    thread_ = open_for_ = accepts_from_ = thread;
    handle_fd_ = handle_fd_ >= 0 ? selector_.get_fd() : -1;
    handle_signalled_ = true;
    timer_fd_deadline_ = INT64_MIN;
    wake_fd_signal(wake_fd_);
    touched();
    return 0;
}
