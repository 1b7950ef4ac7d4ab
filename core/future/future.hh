/* A result that is not there yet, and who wants to know.
 *
 * Those who want to know are ready_items in a list: done callbacks, tasks that await, futures made of this one. Finishing
 * appends the whole list to the loop's ready queue, in O(1): nobody is called from inside. */
#pragma once

#include "core/future/annotations.hh"
#include "core/loop/loop.hh"

#include <kolk/future.h>

namespace kolk {

enum class outcome : uint8_t { pending, result, error, cancelled };

/* What the different things that are futures do differently. */
struct future_kind {
    const char *name; /* for those who list what is awaited */
    /* Asks a pending one to end. It may be done when this returns, or later. Never allocates. Says whether the request was
     * taken. */
    bool (*cancel)(::kolk_future &self) noexcept;
    /* Ends the life of one that nobody refers to any more. */
    void (*dispose)(::kolk_future &self) noexcept;
    /* A future of the user's, which set_result may finish. */
    bool bare;
    bool task = false;
    bool patient = false; /* waited for in a cancelled scope as well: see parking */
};

extern const future_kind bare_future;

} // namespace kolk

struct kolk_future : kolk::counted {
    uint32_t callbacks = 0;
    const kolk::future_kind *kind;
    void *value = nullptr; /* the result, or the kolk_error, owned; of a cancelled one, too, if there are words */
    kolk_destroy_fn destroy_value = nullptr; /* of results */
    kolk::annotations *notes = nullptr;
    kolk::ready_queue waiters;
    kolk::outcome state = kolk::outcome::pending;
    bool unread = false; /* an error that nobody has asked for */
    uint16_t tail = 0;   /* of a step task: the size of its state, which lies behind it, in units of eight bytes */

    explicit kolk_future(kolk::loop &on, const kolk::future_kind &what = kolk::bare_future) noexcept
        : counted(on), kind(&what) {}
    ~kolk_future();

    [[nodiscard]] bool done() const noexcept { return state != kolk::outcome::pending; }
    [[nodiscard]] bool has_result() const noexcept { return state == kolk::outcome::result; }
    void ref() noexcept { refs++; }
    void unref() noexcept {
        if (--refs == 0)
            kind->dispose(*this);
    }

    /* 0 or the status of the outcome. */
    [[nodiscard]] int result(void **ret_result) noexcept;
    [[nodiscard]] kolk_error *error() noexcept;
    bool cancel() noexcept { return !done() && kind->cancel(*this); }

    /* Each finishes a pending future. */
    void finish(void *result, kolk_destroy_fn destroy) noexcept;
    void fail(kolk_error *error) noexcept;                    /* takes the reference */
    void end_cancelled(kolk_error *words = nullptr) noexcept; /* takes the reference */
    /* With the outcome of one that is done; a result stays that one's. */
    void finish_like(kolk_future &other) noexcept;

    /* The item is run when this is done; at once on the ready queue if it is done already. */
    void add_waiter(kolk::ready_item &item) noexcept {
        if (done())
            owner->make_ready(item);
        else
            waiters.push_back(item);
    }
    [[nodiscard]] int add_callback(kolk_future_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept;
    [[nodiscard]] int remove_callbacks(kolk_future_fn fn, void *userdata) noexcept;

    /* Made at the first call; nullptr when memory is gone. */
    [[nodiscard]] kolk::annotations *annotate() noexcept;
    [[nodiscard]] int set_datum(void *datum, kolk_destroy_fn destroy) noexcept;
    [[nodiscard]] void *datum() const noexcept { return notes ? notes->datum : nullptr; }

  private:
    void settle(kolk::outcome how) noexcept;
};

namespace kolk {
using future = ::kolk_future;

/* Gives back an object of the loop's, the last thing in its life. */
template <class T>
void dispose_of(T &object) noexcept {
    loop &owner = *object.owner;
    owner.objects.destroy(&object);
    owner.object_gone();
}

} // namespace kolk
