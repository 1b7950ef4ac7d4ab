/* The scopes in which a loop runs turns. */
#pragma once

#include "core/coroutine/coroutine.hh"
#include "core/guest/guest.hh"
#include "core/loop/loop.hh"

/* The scope in which turns are run: what this thread runs is put back when it is left. Inside, no task is current: one that
 * belongs to an outer loop must not be parked from here. */
class kolk_loop::turns {
  public:
    explicit turns(kolk_loop &of) noexcept
        : of_(&of), outer_(kolk::this_thread), inside_(of.running_), within_turn_(of.mark.in_turn()) {
        of.home = &kolk::running_fiber(of, this_stack_);
        of.running_ = true;
        of.hook_.disarm();
        of.set_host_sleeps(of.nesting_);
        kolk::this_thread.loop = &of;
        kolk::this_thread.task = nullptr;
        kolk::this_thread.coroutine = nullptr;
        kolk::this_thread.raised = nullptr;
        kolk::this_thread.step_raised = nullptr;
    }
    ~turns() {
        kolk::this_thread.loop = outer_.loop;
        kolk::this_thread.task = outer_.task;
        kolk::this_thread.coroutine = outer_.coroutine;
        kolk::this_thread.raised = outer_.raised;
        kolk::this_thread.step_raised = outer_.step_raised;
        of_->running_ = inside_;
        of_->set_host_sleeps(!inside_ || of_->nesting_);
        of_->touched();
        /* A turn of that one was refused while this one was on top of it, and the host does not come again by itself. */
        if (outer_.loop && outer_.loop != of_) [[unlikely]]
            outer_.loop->touched();
        if (within_turn_)
            of_->mark.next_turn();
        else
            of_->mark.sleep();
    }
    turns(const turns &) = delete;
    turns &operator=(const turns &) = delete;

  private:
    kolk_loop *of_;
    kolk::thread_state outer_;
    bool inside_, within_turn_; /* another scope of this loop's; a turn, of any */
    kolk::fiber this_stack_;
};

/* Around the turns of a loop that is not turned by a host: a reactor on a loop of the program then runs that. */
class kolk_loop::own_run {
  public:
    explicit own_run(kolk_loop &of) noexcept : of_(&of) { tell(false); }
    ~own_run() { tell(true); }
    own_run(const own_run &) = delete;
    own_run &operator=(const own_run &) = delete;

  private:
    void tell(bool over) noexcept {
        if (of_->on_host_ && of_->guest_) [[unlikely]]
            of_->selector_.stay(over && of_->guest_->way() == KOLK_GUEST_REACTOR ? KOLK_STAY_HOST_RUNS : KOLK_STAY_KOLK_RUNS);
    }

    kolk_loop *of_;
};

/* Around a scope of turns that are run from inside a turn: what belongs to the outer one is put back. What that had not run yet
 * is there for the inner ones to take, and what they leave it goes on with. */
class kolk_loop::inner_turns {
  public:
    explicit inner_turns(kolk_loop &of) noexcept
        : of_(&of), until_(of.until_), home_(of.home), limited_(std::exchange(of.limited_turn_, false)) {
        of.continue_for_ = 0;
    }
    ~inner_turns() {
        of_->until_ = until_;
        of_->home = home_;
        of_->continue_for_ = 0;
        of_->limited_turn_ = limited_;
        of_->set_host_sleeps(of_->nesting_);
    }
    inner_turns(const inner_turns &) = delete;
    inner_turns &operator=(const inner_turns &) = delete;

  private:
    kolk_loop *of_;
    const kolk::outcome *until_;
    kolk::fiber *home_;
    bool limited_;
};
