/* Tasks that end together.
 *
 * A group is a scope of the task that entered it, and a list of the tasks that were made in it. It is left when that list is
 * empty. */
#pragma once

#include "core/task/scope.hh"

#include <kolk/task_group.h>

struct kolk_task_group final : kolk::counted {
    kolk_scope own;

    kolk_task_group(kolk_task &host, uint32_t flags) noexcept;
    ~kolk_task_group();

    void ref() noexcept { refs++; }
    void unref() noexcept;

    [[nodiscard]] int check_spawn(const kolk_loop &on) const noexcept;
    void add(kolk_task &member) noexcept; /* which has annotations */
    void member_ended(kolk_task &member) noexcept;
    bool cancel() noexcept;
    void cancel_members() noexcept;
    /* What they wait for fails now: an enclosing level scope has been cancelled, or this group's own. */
    void interrupt_members() noexcept;
    template <class Visit>
    void for_each_member(Visit visit) noexcept {
        for (kolk::annotations *at = members.front(); at; at = members.after(*at))
            visit(static_cast<kolk_task &>(*at->of));
    }
    template <class Test>
    [[nodiscard]] kolk_task *find_member(Test test) noexcept {
        for (kolk::annotations *at = members.front(); at; at = members.after(*at))
            if (auto *member = static_cast<kolk_task *>(at->of); test(member))
                return member;
        return nullptr;
    }

    /* Inside the host. */
    [[nodiscard]] int check_leave() const noexcept;
    [[nodiscard]] int leave(int status) noexcept;
    [[nodiscard]] int leave_async(int status, kolk_future *&ret_future) noexcept;
    void abandon() noexcept;
    /* The host has ended inside. */
    void host_ended() noexcept;

    static constexpr uint32_t most_errors = 16;
    uint32_t count = 0;       /* members that have not ended */
    uint32_t error_count = 0; /* all that failed */
    kolk_error *errors[most_errors] = {};
    bool entered = true;     /* and not left */
    bool being_left = false; /* the block is over */

  private:
    struct everyone_ended;
    /* Telling the members, if it has to wait. */
    struct telling final : kolk::ready_item {
        kolk_task_group *of;
        bool interrupt = false;

        explicit telling(kolk_task_group &group) noexcept : ready_item(tell), of(&group) {}
        static void tell(kolk::ready_item &item, bool closing) noexcept;
    };

    void tell_members(bool interrupt) noexcept;
    void end_everything() noexcept;
    void step_out() noexcept;
    [[nodiscard]] int left(int status) noexcept;
    int raise_errors() noexcept;
    void orphan(const char *how) noexcept;

    kolk::list<kolk::annotations, kolk::member_tag> members;
    kolk_task *leaving = nullptr;     /* the host, parked until count is 0 */
    kolk_future *all_ended = nullptr; /* the same, for who cannot be parked */
    telling later{*this};
    bool ending = false;  /* the members have been cancelled */
    bool by_user = false; /* because somebody asked for that */
    bool cancelled_while_leaving = false;
};

namespace kolk {
using task_group = ::kolk_task_group;

/* Whether `host` is leaving a group that does not end before `member` does, directly or by way of other groups. */
[[nodiscard]] bool waits_for_member(const task &host, const task &member) noexcept;

[[nodiscard]] int enter_group(task &host, uint32_t flags, task_group *&ret_group) noexcept;
} // namespace kolk
