/* Parts of a task that can be cancelled, timed or shielded apart from the rest.
 *
 * The scopes of a task form a chain from the innermost outwards; that of a group's member goes on with the group's scope, which
 * is another task's. An edge scope that ends asks its task to cancel, as anyone could, and takes the request back when it is
 * left. A level scope asks for nothing: it is looked for, up the chain, by every wait inside it. */
#pragma once

#include "core/task/task.hh"

#include <kolk/scope.h>

struct kolk_scope : kolk::timer_node {
    kolk_task *host; /* nullptr once it has ended without leaving a group */
    kolk_scope *parent = nullptr;
    kolk_task_group *group = nullptr; /* whose scope this is */
    const bool level, shield;
    bool cancelled = false; /* or expired */
    bool expired = false;
    bool asked = false;          /* the host to cancel, at the edge */
    bool held = false;           /* at this shield: a request from outside */
    uint32_t cancels_before = 0; /* that are no news in here */
    /* When it asked: */
    bool pending_before = false; /* a request that the host had not been told of */
    uint32_t cancels_then = 0;

    kolk_scope(kolk_task &of, uint32_t flags) noexcept
        : timer_node(time_is_up), host(&of), level(flags & KOLK_SCOPE_LEVEL), shield(flags & KOLK_SCOPE_SHIELD) {}

    /* It is the innermost then. The host has annotations. */
    void enter() noexcept;
    void expire_at(int64_t when, int64_t now) noexcept; /* the time now, which who knows it need not ask for again */
    bool cancel() noexcept;
    /* The innermost one of the running task: leaves it. Says what becomes of the block's status. */
    [[nodiscard]] int leave(int status) noexcept;
    /* When it is left: what it asked of the host, told or not, is no more. */
    void take_request_back() noexcept;
    /* Whether somebody outside of it wants the task to end as well. */
    [[nodiscard]] bool cancelled_outside() const noexcept;

  private:
    static void time_is_up(kolk::ready_item &item, bool closing) noexcept;
};

namespace kolk {

using scope = ::kolk_scope;

/* 0, or KOLK_ENOMEM. */
[[nodiscard]] int enter_scope(task &self, uint32_t flags, int64_t deadline, int64_t now, scope *&ret_scope) noexcept;
int leave_scope(scope &self, int status) noexcept;

/* Whether every wait in this scope fails. */
[[nodiscard]] bool is_cancelled_for_good(const scope *innermost) noexcept;

/* Keeps a request to cancel at the outermost shield between the task's code and the scope that it comes from (nullptr: outside
 * of all). False when there is none. */
[[nodiscard]] bool hold_at_shield(task &self, const scope *origin) noexcept;
void forget_held_requests(task &self) noexcept;

/* A task inside a level scope that has just been cancelled: what it waits for ends now, and so does what is waited for in the
 * groups that it has entered there, up to the next shield. */
void interrupt_inside(task &self, const scope &cancelled) noexcept;

/* When a task has ended. */
void leave_all_scopes(task &self) noexcept;

} // namespace kolk
