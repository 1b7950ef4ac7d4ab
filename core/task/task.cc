#include "core/task/task.hh"

#include "core/error.hh"

#include <string.h>

using namespace kolk;

namespace {

/* A future that a task waits for. The task itself is in the future's list. */
struct awaited final : parking {
    explicit awaited(future &of) noexcept : parking{let_go, &of} {}

    static bool let_go(parking &self) noexcept { return self.what->cancel(); }
};

} // namespace

namespace kolk {

constinit const future_kind task_future = {
    [](future &self) noexcept { return static_cast<task &>(self).request_cancel(); },
    [](future &self) noexcept {
        auto &ending = static_cast<task &>(self);
        loop &on = *ending.owner;
        stack where = ending.body.memory;
        size_t size = ending.body.stack_size;
        ending.~kolk_task();
        on.stacks.release(where, size);
        on.object_gone(); /* the coroutine */
        on.object_gone(); /* the future */
    },
    false,
};

int create_task(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, size_t stack_size,
                kolk_destroy_fn destroy_result, task *&ret_task) noexcept {
    stack where;
    void *place;
    int status = acquire_stack(on, stack_size, sizeof(task), where, place);
    if (status < 0)
        return status;
    ret_task = ::new (place) task(on, where, stack_size, fn, userdata, destroy, destroy_result);
    return 0;
}

int await(future &what) noexcept {
    if (what.done())
        return 0;
    coroutine *inside = this_thread.coroutine;
    if (!inside)
        return KOLK_ENOTASK;
    if (inside->owner != what.owner)
        return KOLK_EINVAL;
    task *current = parkable_task(*what.owner);
    if (current == &what)
        return KOLK_EINVAL;
    int status = 0;
    if (current) {
        awaited waiting(what);
        what.waiters.push_back(*current);
        status = current->park(waiting);
        if (status < 0 && static_cast<ready_item *>(current)->linked())
            static_cast<ready_item *>(current)->unlink();
    } else {
        /* No task drives this one: whoever resumes it is told what it waits for. */
        while (status == 0 && !what.done())
            status = inside->yield(KOLK_COROUTINE_AWAITING, &what, nullptr);
    }
    return status;
}

} // namespace kolk

kolk_task::kolk_task(loop &on, stack where, size_t stack_size, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy,
                     kolk_destroy_fn result_destroy) noexcept
    : kolk_future(on, task_future), ready_item(run_step), innermost(&body),
      body(on, where, stack_size, this, fn, userdata, destroy), destroy_result(result_destroy), name("") {}

void kolk_task::run_step(ready_item &item, bool) noexcept { static_cast<kolk_task &>(item).step(); }

void kolk_task::start() noexcept {
    ref();
    owner->tasks.push_back(*this);
    owner->make_ready(*this);
}

void kolk_task::step() noexcept {
    if (body.state == KOLK_COROUTINE_CREATED && must_cancel) {
        body.state = KOLK_COROUTINE_CLOSED;
        body.step = KOLK_ECANCELED;
        return ended();
    }
    thread_state &here = this_thread;
    owner->fetch_ahead();
    here.coroutine = innermost;
    here.task = this;
    body.state = KOLK_COROUTINE_RUNNING;
    switch_fiber(*owner->home, innermost->context);
    /* Whoever comes back here need not be the one that was sent: see park(). */
    task *last = here.task;
    here.coroutine = nullptr;
    here.task = nullptr;
    if (last->body.state == KOLK_COROUTINE_CLOSED)
        last->ended();
}

bool kolk_task::refuse(parking &what) noexcept {
    must_cancel = false;
    if (owner->closing() && refused++ >= most_refusals)
        return false;
    return !what.cancel(what);
}

kolk_task *kolk_task::awaited_task() const noexcept {
    future *what = parked ? parked->what : nullptr;
    return what && what->kind == &task_future && !what->done() ? static_cast<kolk_task *>(what) : nullptr;
}

/* Wakes it to the next wait that returns KOLK_ECANCELED, whatever it waits for. */
bool kolk_task::tell() noexcept {
    must_cancel = true;
    if (parked && ready_item::linked())
        owner->un_ready(*this);
    if (parked)
        wake();
    return true;
}

/* A task that awaits another passes the request on to that one, and so forth: the last of the chain is told. A loop and not
 * recursion, because chains may be long and we may be on a fiber. Where a chain leads back to itself, or through a gather to a
 * task that is being asked already, nobody would ever be told; there the request stops and that task is. */
bool kolk_task::request_cancel() noexcept {
    uint64_t before = owner->cancel_passes; /* requests of the same occasion have larger numbers, as long as one is under way */
    bool nested = owner->cancelling > 0;
    if (!nested)
        owner->cancel_occasion = before;
    uint64_t mine = ++owner->cancel_passes;
    if (nested && pass > owner->cancel_occasion)
        return tell();
    kolk_task *at = this;
    for (;;) {
        bool seen = at->pass > owner->cancel_occasion;
        if (seen)
            return at->pass == mine ? at->tell() : true;
        at->pass = mine;
        at->cancels++;
        kolk_task *next = at->awaited_task();
        if (!next)
            break;
        at = next;
    }
    owner->cancelling++;
    bool woken = at->parked && at->parked->cancel(*at->parked);
    owner->cancelling--;
    return woken || at->tell();
}

void kolk_task::ended() noexcept {
    static_cast<link<task_tag> *>(this)->unlink();
    destroy_userdata(body.destroy, body.userdata);
    body.destroy = nullptr;
    if (body.step >= 0)
        finish(body.value, destroy_result);
    else if (body.step == KOLK_ECANCELED)
        end_cancelled();
    else
        fail(kolk::ref(body.raised));
    unref();
}

void kolk_task::set_name(const char *text) noexcept {
    strncpy(name, text ? text : "", sizeof name - 1);
    name[sizeof name - 1] = 0;
}
