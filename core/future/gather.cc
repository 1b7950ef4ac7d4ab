#include "core/future/gather.hh"

#include "core/error.hh"
#include "core/future/burial.hh"

namespace kolk {

namespace {

struct gathering;

/* One of the futures waited for. In its list until it is done. */
struct member final : ready_item {
    gathering *of = nullptr;
    future *what = nullptr; /* referenced */

    member() noexcept : ready_item(done) {}
    static void done(ready_item &item, bool closing) noexcept;
};

/* The members and the array of results lie behind this struct. It lives while somebody refers to it or a member is pending:
 * each pending member holds a reference. */
struct gathering final : future, resource, holder {
    /* Cancelling the members, if it has to wait. */
    struct asking final : ready_item {
        gathering *of;

        explicit asking(gathering &self) noexcept : ready_item(ask), of(&self) {}
        static void ask(ready_item &item, bool) noexcept {
            gathering &of = *static_cast<asking &>(item).of;
            (void)of.cancel_members();
            of.unref();
        }
    };

    asking later{*this};
    size_t count;
    size_t pending;
    bool return_errors;
    bool cancelling = false;

    gathering(loop &on, size_t how_many, uint32_t flags) noexcept
        : future(on, kind_of_gathering), resource(let_go), holder{this}, count(how_many), pending(0),
          return_errors(flags & KOLK_GATHER_RETURN_ERRORS) {}

    member *members() noexcept { return reinterpret_cast<member *>(this + 1); }
    void **results() noexcept { return reinterpret_cast<void **>(members() + count); }
    static size_t size(size_t count) noexcept { return sizeof(gathering) + count * (sizeof(member) + sizeof(void *)); }

    void one_done(future &what) noexcept;
    void complete() noexcept;
    bool cancel_members() noexcept;

    static void let_go(resource &self) noexcept;
    static void bury(holder &held, burial &rest) noexcept;
    static const holder_kind kind_of_gathering;
};

void member::done(ready_item &item, bool) noexcept {
    auto &self = static_cast<member &>(item);
    gathering &of = *self.of;
    of.pending--;
    of.one_done(*self.what);
    of.unref();
}

void gathering::one_done(future &what) noexcept {
    bool failed = !what.has_result();
    if (failed && !return_errors && !cancelling && !done()) {
        /* The others go on; who wants them ended cancels them. */
        finish_like(what);
    }
    if (failed)
        (void)what.error(); /* told through this one */
    if (pending == 0)
        complete();
}

void gathering::complete() noexcept {
    if (resource::linked())
        resource::unlink();
    if (done())
        return;
    if (cancelling)
        return end_cancelled();
    for (size_t i = 0; i < count; i++) {
        future &what = *members()[i].what;
        results()[i] = what.has_result() ? what.value : nullptr;
    }
    finish(results(), nullptr);
}

/* Whether there was one that could be asked. */
bool gathering::cancel_members() noexcept {
    if (owner->walks_deep()) {
        if (!later.linked()) {
            ref();
            owner->make_ready(later);
        }
        return true;
    }
    bool any = false;
    owner->walking++;
    for (size_t i = 0; i < count; i++)
        any |= members()[i].what->cancel();
    owner->walking--;
    return any;
}

void gathering::let_go(resource &self) noexcept {
    auto &mine = static_cast<gathering &>(self);
    mine.ref();
    for (size_t i = 0; i < mine.count; i++)
        if (member &one = mine.members()[i]; one.linked()) {
            one.unlink();
            mine.pending--;
            mine.unref();
        }
    mine.unref();
}

void gathering::bury(holder &held, burial &rest) noexcept {
    auto &mine = static_cast<gathering &>(held);
    loop &on = *mine.owner;
    size_t count = mine.count;
    if (mine.resource::linked())
        mine.resource::unlink();
    for (size_t i = 0; i < count; i++)
        rest.unref(*mine.members()[i].what);
    mine.~gathering();
    on.objects.give(&mine, size(count));
    on.object_gone();
}

constinit const holder_kind gathering::kind_of_gathering = {
    {"gather",
     [](future &self) noexcept {
         auto &mine = static_cast<gathering &>(self);
         mine.cancelling = true;
         mine.ref();
         bool any = mine.cancel_members() || mine.pending > 0;
         mine.unref();
         return any;
     },
     dispose_holder, false},
    [](future &self) noexcept -> holder & { return static_cast<gathering &>(self); },
    bury,
};

} // namespace

future *gathering_behind(const ready_item &item) noexcept {
    return item.run == member::done ? static_cast<const member &>(item).of : nullptr;
}

int gather(loop &on, future *const *futures, size_t count, uint32_t flags, future *&ret_future) noexcept {
    size_t bytes;
    if (__builtin_mul_overflow(count, sizeof(member) + sizeof(void *), &bytes) || bytes > PTRDIFF_MAX / 2)
        return KOLK_ENOMEM;
    void *memory = on.objects.take(gathering::size(count));
    if (!memory)
        return KOLK_ENOMEM;
    auto *made = ::new (memory) gathering(on, count, flags);
    on.resources.push_back(*made);
    for (size_t i = 0; i < count; i++) {
        member *one = ::new (&made->members()[i]) member;
        made->results()[i] = nullptr;
        one->of = made;
        one->what = futures[i];
        futures[i]->ref();
        made->ref();
        made->pending++;
        futures[i]->add_waiter(*one);
    }
    if (count == 0)
        made->complete();
    ret_future = made;
    return 0;
}

} // namespace kolk
