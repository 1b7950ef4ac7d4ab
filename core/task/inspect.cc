#include "core/task/inspect.hh"

#include "core/future/gather.hh"
#include "core/future/wait.hh"
#include "core/future/wait_for.hh"
#include "core/platform/stack_trace.hh"
#include "core/task/task_group.hh"
#include "core/text_writer.hh"

#include <algorithm>
#include <functional>
#include <limits.h>
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

void describe_awaited(const task &awaited, char (&ret_text)[64]) noexcept {
    const char *name = awaited.name();
    snprintf(ret_text, sizeof ret_text, name[0] ? "task '%s'" : "task", name);
}

template <size_t Size>
void put(char (&ret_text)[Size], const char *text) noexcept {
    snprintf(ret_text, Size, "%s", text);
}

} // namespace

kolk_task_state state_of(const task &self) noexcept {
    if (self.done())
        return KOLK_TASK_ENDED;
    if (self.on_stack())
        return KOLK_TASK_RUNNING;
    if (!self.started())
        return KOLK_TASK_STARTING;
    bool listed = static_cast<const ready_item &>(self).linked();
    return listed && !(self.awaiting && !self.awaiting->done()) ? KOLK_TASK_READY : KOLK_TASK_WAITING;
}

namespace {

/* The task that waits for a future, itself or by way of a gather or a time limit. */
task *task_waiting_for(future &what) noexcept {
    constexpr int most_steps = 64; /* such futures may lead in a circle */
    future *at = &what;
    for (int step = 0; at && step < most_steps; step++) {
        future *next = nullptr;
        for (ready_item *item = at->done() ? nullptr : at->waiters.front(); item; item = at->waiters.after(*item)) {
            if (task::is(*item))
                return static_cast<task *>(item);
            if (!next)
                next = gathering_behind(*item);
            if (!next)
                next = limit_behind(*item);
            if (!next)
                next = wait_behind(*item);
        }
        at = next;
    }
    return nullptr;
}

} // namespace

task *parent_of(const task &self) noexcept {
    if (task *waiting = task_waiting_for(const_cast<task &>(self)))
        return waiting;
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
        describe_awaited(*static_cast<task *>(self.awaiting), info.awaits);
    else if (state == KOLK_TASK_WAITING)
        put(info.awaits, self.awaiting ? self.awaiting->kind->name : self.parked->name);
    if (self.notes && self.notes->location)
        put(info.location, self.notes->location);
    else
        describe_address(address_of(self), self.on_fiber(), info.location, sizeof info.location);
    ret_info = info;
}

/* In a signal handler snprintf may do too much. */
template <size_t Size>
static void copy(char (&ret_text)[Size], const char *text) noexcept {
    size_t length = strnlen(text, Size - 1);
    memcpy(ret_text, text, length);
    ret_text[length] = 0;
}

void describe_for_stall(const task &running, stalled_task &ret) noexcept {
    const char *location = running.notes ? running.notes->location : nullptr;
    copy(ret.name, running.name());
    copy(ret.location, location ? location : "");
    ret.made_at = location ? nullptr : address_of(running);
}

namespace {

/* All tasks of a loop with the ties between them, as indices; `none` where there is nobody. */
class task_tree {
  public:
    static constexpr uint32_t none = UINT32_MAX;
    struct node {
        task *of;
        uint32_t parent, child, sibling;
    };

    explicit task_tree(loop &on) noexcept : memory_(on.memory()) {
        for (task *each = on.tasks.front(); each; each = on.tasks.after(*each))
            count_++;
        nodes_ = static_cast<node *>(allocate(memory_, bytes()));
        if (!nodes_)
            return;
        by_address_ = reinterpret_cast<uint32_t *>(nodes_ + count_);
        uint32_t at = 0;
        for (task *each = on.tasks.front(); each; each = on.tasks.after(*each), at++) {
            nodes_[at] = {each, none, none, none};
            by_address_[at] = at;
        }
        std::sort(by_address_, by_address_ + count_,
                  [this](uint32_t a, uint32_t b) { return std::less<task *>()(nodes_[a].of, nodes_[b].of); });
        for (at = 0; at < count_; at++)
            nodes_[at].parent = find(parent_of(*nodes_[at].of));
        cut_circles();
        tie();
    }
    ~task_tree() { release(memory_, nodes_, bytes()); }
    task_tree(const task_tree &) = delete;
    task_tree &operator=(const task_tree &) = delete;

    [[nodiscard]] bool made() const noexcept { return nodes_; }
    [[nodiscard]] uint32_t first() const noexcept { return roots_; }
    [[nodiscard]] const node &operator[](uint32_t at) const noexcept { return nodes_[at]; }

  private:
    [[nodiscard]] size_t bytes() const noexcept { return (count_ + 1) * (sizeof(node) + sizeof(uint32_t)); }

    [[nodiscard]] uint32_t find(const task *wanted) const noexcept {
        const uint32_t *end = by_address_ + count_;
        const uint32_t *at =
            std::lower_bound(static_cast<const uint32_t *>(by_address_), end, wanted,
                             [this](uint32_t a, const task *b) { return std::less<const task *>()(nodes_[a].of, b); });
        return wanted && at != end && nodes_[*at].of == wanted ? *at : none;
    }

    /* Tasks may wait for each other in a circle. The oldest of one becomes a root. Whom a walk has come by is marked with the
     * walk's number, in the member that is not needed yet. */
    void cut_circles() noexcept {
        for (uint32_t start = 0; start < count_; start++) {
            uint32_t at = start;
            for (; at != none && nodes_[at].child == none; at = nodes_[at].parent)
                nodes_[at].child = start;
            if (at != none && nodes_[at].child == start)
                nodes_[at].parent = none;
        }
    }

    /* From the last one on, each in front of its siblings: so they stand in the order they were made. */
    void tie() noexcept {
        for (uint32_t at = 0; at < count_; at++)
            nodes_[at].child = none;
        for (uint32_t at = count_; at-- > 0;) {
            uint32_t &first = nodes_[at].parent == none ? roots_ : nodes_[nodes_[at].parent].child;
            nodes_[at].sibling = std::exchange(first, at);
        }
    }

    allocator memory_;
    uint32_t count_ = 0, roots_ = none;
    node *nodes_ = nullptr;
    uint32_t *by_address_ = nullptr;
};

void add_line(text_writer &out, const task &one, int depth) noexcept {
    kolk_task_info info = {};
    describe(one, info);
    out.add("%*s%s  %s", depth * 2, "", info.name[0] ? info.name : "(no name)", state_names[info.state]);
    if (info.awaits[0])
        out.add("  %s", info.awaits);
    out.add("  (%s)  %s\n", info.kind, info.location);
}

} // namespace

/* Without memory for the tree, all on one level. */
int format_tasks(loop &on, char *text, size_t size) noexcept {
    task_tree tree(on);
    text_writer out(text, size);
    if (!tree.made())
        for (task *each = on.tasks.front(); each; each = on.tasks.after(*each))
            add_line(out, *each, 0);
    int depth = 0;
    for (uint32_t at = tree.first(); at != tree.none;) {
        add_line(out, *tree[at].of, depth);
        uint32_t next = tree[at].child;
        depth += next != tree.none;
        for (; next == tree.none && at != tree.none; depth -= next == tree.none) {
            next = tree[at].sibling;
            if (next == tree.none)
                at = tree[at].parent;
        }
        at = next;
    }
    return int(std::min(out.length(), size_t(INT_MAX)));
}

} // namespace kolk
