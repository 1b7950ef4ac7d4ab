#include "core/task/task.hh"

#include "core/error.hh"
#include "core/task/local.hh"
#include "core/task/scope.hh"
#include "core/task/task_group.hh"

using namespace kolk;

namespace kolk {

constinit parking awaits_future{[](parking &, task &who) noexcept { return who.awaiting->cancel(); }, "future"};
constinit parking lets_others_run{[](parking &, task &) noexcept { return false; }, "others"};

constinit const future_kind fiber_task_kind = {
    "task",
    [](future &self) noexcept { return static_cast<task &>(self).request_cancel(); },
    [](future &self) noexcept {
        auto &ending = static_cast<fiber_task &>(self);
        loop &on = *ending.owner;
        if (!ending.body->embedded) {
            ending.body->unref();
            return dispose_of(ending);
        }
        auto &body = static_cast<fiber_coroutine &>(*ending.body);
        stack where = body.memory;
        size_t size = body.stack_size;
        body.~fiber_coroutine();
        ending.~fiber_task();
        on.stacks.release(where, size);
        on.object_gone(); /* the coroutine */
        on.object_gone(); /* the future */
    },
    false,
    true,
};

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
        current->awaiting = &what;
        what.waiters.push_back(*current);
        status = current->park(awaits_future);
        current->awaiting = nullptr;
        if (status < 0 && static_cast<ready_item *>(current)->linked())
            static_cast<ready_item *>(current)->unlink();
    } else {
        /* No task parks this one: whoever resumes it is told what it waits for. */
        while (status == 0 && !what.done())
            status = inside->yield(KOLK_COROUTINE_AWAITING, &what, nullptr);
    }
    return status;
}

int create_task(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, const task_plan &plan,
                task *&ret_task) noexcept {
    stack where;
    void *place;
    int status = acquire_stack(on, plan.stack_size(), sizeof(fiber_task) + sizeof(fiber_coroutine), where, place);
    if (status < 0)
        return status;
    char *top = static_cast<char *>(place);
    auto *made = static_cast<fiber_task *>(place); /* the coroutine lies behind it */
    auto *body =
        ::new (static_cast<void *>(made + 1)) fiber_coroutine(on, where, top, plan.stack_size(), made, fn, userdata, nullptr);
    ::new (place) fiber_task(on, *body, plan.address, plan.destroy_result());
    status = plan.start(*made);
    if (status < 0) {
        made->unref();
        return status;
    }
    body->destroy = destroy;
    ret_task = made;
    return 0;
}

int create_task_of(coroutine &body, const task_plan &plan, task *&ret_task) noexcept {
    loop &on = *body.owner;
    task *made;
    if (body.ops)
        made = on.objects.create<stackless_task>(on, driven_coroutine_ops, &body, plan.destroy_result());
    else
        made = on.objects.create<fiber_task>(on, body, plan.address, plan.destroy_result());
    if (!made)
        return KOLK_ENOMEM;
    body.ref();
    int status = 0;
    if (body.name[0]) {
        if (made->annotate())
            copy_name(made->notes->name, body.name);
        else
            status = KOLK_ENOMEM;
    }
    if (status == 0)
        status = plan.start(*made);
    if (status < 0) {
        if (body.ops)
            body.unref(); /* a task on a fiber gives it back by itself */
        made->unref();
        return status;
    }
    body.task = made;
    ret_task = made;
    return 0;
}

int task_plan::check(const loop &on) const noexcept { return options && options->group ? options->group->check_spawn(on) : 0; }

int task_plan::start_with_notes(task &made) const noexcept {
    bool named = options && options->name && options->name[0];
    bool located = options && options->location;
    task_group *group = options ? options->group : nullptr;
    task *maker = this_thread.task;
    local_values *locals = maker && maker->notes && maker->owner == made.owner ? maker->notes->locals : nullptr;
    if (named || located || group || locals) {
        annotations *notes = made.annotate();
        if (!notes)
            return KOLK_ENOMEM;
        if (named)
            copy_name(notes->name, options->name);
        notes->location = located ? options->location : nullptr;
        if (locals)
            notes->locals = &locals->ref();
        if (group)
            group->add(made);
    }
    made.start();
    return 0;
}

} // namespace kolk

bool kolk_task::started() const noexcept {
    return on_fiber() ? static_cast<const fiber_task *>(this)->body->state != KOLK_COROUTINE_CREATED
                      : parked || this_thread.task == this || done();
}

void kolk_task::run_fiber(ready_item &item, bool) noexcept { static_cast<kolk_task &>(item).step_fiber(); }

void kolk_task::step_fiber() noexcept {
    auto &self = static_cast<fiber_task &>(*this);
    if (self.body->state == KOLK_COROUTINE_CREATED && must_cancel) {
        self.body->state = KOLK_COROUTINE_CLOSED;
        self.body->step = KOLK_ECANCELED;
        if (notes)
            self.body->raised = kolk::ref(notes->cancel_words);
        return self.fiber_ended();
    }
    thread_state &here = this_thread;
    owner->fetch_ahead();
    here.coroutine = self.innermost;
    here.task = this;
    self.body->state = KOLK_COROUTINE_RUNNING;
    switch_fiber(*owner->home, self.innermost->context);
    /* Whoever comes back here need not be the one that was sent: see park(). */
    auto *last = static_cast<fiber_task *>(here.task);
    here.coroutine = nullptr;
    here.task = nullptr;
    if (last->body->state == KOLK_COROUTINE_CLOSED)
        last->fiber_ended();
}

void fiber_task::fiber_ended() noexcept {
    kolk_error *why = body->step < 0 ? kolk::ref(body->raised) : nullptr;
    if (body->embedded) {
        auto *mine = static_cast<fiber_coroutine *>(body);
        destroy_userdata(std::exchange(mine->destroy, nullptr), mine->userdata);
    } else {
        body->task = nullptr;
    }
    ended(body->step, body->value, why);
}

bool kolk_task::refuse(parking &what) noexcept {
    if (must_cancel || owner->closing()) {
        must_cancel = false;
        if (owner->closing()) {
            if (insists())
                return false;
            refused++;
        }
        raise_cancel_words();
        return !what.cancel(what, *this);
    }
    if (is_patient(what) || !is_cancelled_for_good(scope()))
        return false;
    /* Not on the spot: who goes on waiting in vain must not keep everyone else from running. */
    (void)what.cancel(what, *this);
    if (ready_item::linked())
        ready_item::unlink();
    must_cancel = true;
    owner->make_ready(*this);
    return false;
}

kolk_task *kolk_task::awaited_task() const noexcept {
    return awaiting && awaiting->kind->task && !awaiting->done() ? static_cast<kolk_task *>(awaiting) : nullptr;
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

void kolk_task::interrupt() noexcept {
    if (!parked)
        return;
    bool patient = is_patient(*parked);
    (void)parked->cancel(*parked, *this);
    if (!patient)
        tell();
}

/* A task that awaits another passes the request on to that one, and so forth: the last of the chain is told. A loop and not
 * recursion, because chains may be long and we may be on a fiber. Where a chain leads back to itself, or through a gather to a
 * task that is being asked already, nobody would ever be told; there the request stops and that task is. A shield on the way
 * holds the request until it is left. */
bool kolk_task::request_cancel(const kolk_scope *origin, kolk_error *words) noexcept {
    uint64_t before = owner->cancel_passes; /* requests of the same occasion have larger numbers, as long as one is under way */
    bool nested = owner->cancelling > 0;
    if (!nested)
        owner->cancel_occasion = before;
    uint64_t mine = ++owner->cancel_passes;
    if (nested && pass > owner->cancel_occasion) {
        bool held = scoped && !owner->closing() && hold_at_shield(*this, origin);
        return held || tell();
    }
    kolk_task *at = this;
    for (;;) {
        bool seen = at->pass > owner->cancel_occasion;
        if (seen)
            return at->pass == mine ? at->tell() : true;
        at->pass = mine;
        at->cancels++;
        at->keep_cancel_words(words);
        if (at->scoped && !owner->closing() && hold_at_shield(*at, at == this ? origin : nullptr))
            return true;
        kolk_task *next = at->awaited_task();
        if (!next)
            break;
        if (waits_for_member(*next, *at))
            return at->tell(); /* that one can only wait on */
        at = next;
    }
    owner->cancelling++;
    bool woken = at->parked && at->parked->cancel(*at->parked, *at);
    owner->cancelling--;
    return woken || at->tell();
}

/* Or, when memory is gone, nothing. */
void kolk_task::keep_cancel_words(kolk_error *words) noexcept {
    if (words ? annotate() : notes)
        kolk::unref(std::exchange(notes->cancel_words, kolk::ref(words)));
}

int kolk_task::told_to_cancel() noexcept {
    must_cancel = false;
    raise_cancel_words();
    return KOLK_ECANCELED;
}

void kolk_task::raise_cancel_words() noexcept {
    if (this_thread.task == this)
        kolk::raise(notes && notes->cancel_words ? kolk::ref(notes->cancel_words) : static_error(KOLK_ECANCELED));
}

uint32_t kolk_task::uncancel() noexcept {
    if (cancels > 0 && --cancels == 0) {
        if (!parked || (awaiting && awaiting->done())) /* otherwise what it waited for has been let go */
            must_cancel = false;
        if (notes)
            notes->cancel_words = kolk::unref(notes->cancel_words);
        if (scoped)
            forget_held_requests(*this);
    }
    return cancels;
}

void kolk_task::ended(int status, void *result, kolk_error *why) noexcept {
    static_cast<link<task_tag> *>(this)->unlink();
    bool untold = status >= 0 && must_cancel; /* it did not wait again, where it would have been told */
    if (scoped)
        leave_all_scopes(*this);
    if (untold) {
        end_cancelled(notes ? kolk::ref(notes->cancel_words) : nullptr);
        destroy_userdata(destroy_value, result);
    } else if (status >= 0) {
        finish(result, destroy_value);
    } else if (status == KOLK_ECANCELED) {
        end_cancelled(why && why->bytes ? why : nullptr);
    } else {
        fail(why ? why : error_of(status));
    }
    if (notes && notes->locals) {
        notes->locals->unref(*owner);
        notes->locals = nullptr;
    }
    if (notes && notes->group)
        notes->group->member_ended(*this);
    unref();
}
