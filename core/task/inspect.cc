#include "core/task/inspect.hh"

#include "core/platform/symbol.hh"
#include "core/task/task_group.hh"
#include "core/text_writer.hh"

#include <stdio.h>
#include <string.h>

namespace kolk {

namespace {

constexpr const char *state_names[] = {"starting", "ready", "running", "waiting", "ended"};

const char *kind_of(const task &self) noexcept {
    if (self.on_fiber())
        return "fiber";
    auto &stackless = static_cast<const stackless_task &>(self);
    if (stackless.is_step())
        return "step";
    if (stackless.ops == &driven_coroutine_ops)
        return static_cast<const coroutine *>(stackless.frame)->ops->kind;
    return stackless.ops->kind ? stackless.ops->kind : "foreign";
}

/* For who did not say where: the code that made it, or, without a stack, that runs in it. */
const void *address_of(const task &self) noexcept {
    if (self.on_fiber())
        return static_cast<const fiber_task &>(self).made_at;
    auto &stackless = static_cast<const stackless_task &>(self);
    return stackless.is_step() ? reinterpret_cast<const void *>(stackless.fn)
                               : reinterpret_cast<const void *>(stackless.ops->resume);
}

template <size_t Size>
void put(char (&ret_text)[Size], const char *text) noexcept {
    snprintf(ret_text, Size, "%s", text);
}

} // namespace

kolk_task_state state_of(const task &self) noexcept {
    if (self.done())
        return KOLK_TASK_ENDED;
    if (this_thread.task == &self)
        return KOLK_TASK_RUNNING;
    if (!self.started())
        return KOLK_TASK_STARTING;
    if (!self.parked)
        return KOLK_TASK_RUNNING; /* below, on the stack */
    bool listed = static_cast<const ready_item &>(self).linked();
    return listed && !(self.awaiting && !self.awaiting->done()) ? KOLK_TASK_READY : KOLK_TASK_WAITING;
}

task *parent_of(const task &self) noexcept {
    ready_queue &waiting = const_cast<task &>(self).waiters;
    for (ready_item *item = self.done() ? nullptr : waiting.front(); item; item = waiting.after(*item))
        if (task::is(*item))
            return static_cast<task *>(item);
    return self.notes && self.notes->group ? self.notes->group->own.host : nullptr;
}

void describe(const task &self, kolk_task_info &ret_info) noexcept {
    kolk_task_info info = {};
    info.size = ret_info.size;
    kolk_task_state state = state_of(self);
    info.state = state;
    info.parent = parent_of(self);
    info.awaited = self.awaiting;
    info.cancelling = int32_t(self.cancels);
    put(info.kind, kind_of(self));
    put(info.name, self.name());
    if (state == KOLK_TASK_WAITING && self.awaiting && self.awaiting->kind->task)
        snprintf(info.awaits, sizeof info.awaits, "task '%s'", static_cast<task *>(self.awaiting)->name());
    else if (state == KOLK_TASK_WAITING)
        put(info.awaits, self.awaiting ? self.awaiting->kind->name : self.parked->name);
    if (self.notes && self.notes->location)
        put(info.location, self.notes->location);
    else
        name_of_symbol(address_of(self), info.location, sizeof info.location);
    ret_info = info;
}

/* Depth first without a stack of our own, for chains may be longer than one: from each task on to the first of its children, to
 * the next of its siblings, or back up. Whose parent leads back to itself has no place in a tree; it stands at its root. */
namespace {

bool has_ancestor(const task &self, const task &wanted) noexcept {
    const task *slow = &self;
    bool step = false;
    for (task *at = parent_of(self); at; at = parent_of(*at)) {
        if (at == &wanted)
            return true;
        if (step && (slow = parent_of(*slow)) == at)
            return false;
        step = !step;
    }
    return false;
}

task *listed_parent(const task &self) noexcept { return has_ancestor(self, self) ? nullptr : parent_of(self); }

task *next_root(loop &on, task *after) noexcept {
    for (task *at = after ? on.tasks.after(*after) : on.tasks.front(); at; at = on.tasks.after(*at))
        if (!listed_parent(*at))
            return at;
    return nullptr;
}

/* The children of a task: what it awaits, then the members of the groups it is in, the innermost first. */
task *next_child(task &parent, task *after) noexcept {
    task *awaited = parent.awaited_task();
    bool found = !after;
    auto is_next = [&](task *each) {
        bool right = found && each != awaited && listed_parent(*each) == &parent;
        found |= each == after;
        return right;
    };
    if (awaited && !after && listed_parent(*awaited) == &parent)
        return awaited;
    found |= awaited == after;
    for (kolk_scope *at = parent.scope(); at && at->host == &parent; at = at->parent)
        if (at->group)
            if (task *next = at->group->find_member(is_next))
                return next;
    return nullptr;
}

} // namespace

size_t format_tasks(loop &on, char *text, size_t size) noexcept {
    text_writer out(text, size);
    int depth = 0;
    for (task *at = next_root(on, nullptr), *next; at; at = next) {
        kolk_task_info info = {};
        describe(*at, info);
        out.add("%*s%s  %s", depth * 2, "", info.name[0] ? info.name : "(no name)", state_names[info.state]);
        if (info.awaits[0])
            out.add("  %s", info.awaits);
        out.add("  (%s)  %s\n", info.kind, info.location);
        next = next_child(*at, nullptr);
        depth += next != nullptr;
        while (!next) {
            task *up = listed_parent(*at);
            next = up ? next_child(*up, at) : next_root(on, at);
            if (!up)
                break;
            depth -= next == nullptr;
            at = up;
        }
    }
    return out.length();
}

} // namespace kolk
