#include "core/future/future.hh"

#include "core/error.hh"

using namespace kolk;

namespace {

/* A resource as well, because the loop may close while the future is pending. */
struct done_callback final : ready_item, resource {
    future *about; /* referenced once the future is done */
    kolk_future_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;

    done_callback(future &of, kolk_future_fn call, void *data, kolk_destroy_fn release) noexcept
        : ready_item(invoke), resource(let_go), about(&of), fn(call), userdata(data), destroy(release) {
        of.owner->resources.push_back(*this);
    }

    static void invoke(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<done_callback &>(item);
        future &of = *self.about;
        if (!closing)
            self.fn(&of, self.userdata);
        self.drop();
        of.unref();
    }

    static void let_go(resource &held) noexcept {
        auto &self = static_cast<done_callback &>(held);
        future &of = *self.about;
        self.ready_item::unlink();
        if (of.done()) {
            self.drop();
            of.unref();
        } else {
            of.callbacks--;
            self.drop();
        }
    }

    void drop() noexcept {
        if (resource::linked())
            resource::unlink();
        loop &owner = *about->owner;
        destroy_userdata(destroy, userdata);
        owner.objects.destroy(this);
    }
};

} // namespace

namespace kolk {

constinit const future_kind bare_future = {
    "future",
    [](future &self) noexcept {
        self.end_cancelled();
        return true;
    },
    [](future &self) noexcept { dispose_of(self); },
    true,
};

} // namespace kolk

kolk_future::~kolk_future() {
    /* Whoever awaits holds a reference, so only callbacks can be left: of a future that was never done. */
    if (callbacks > 0 && !owner->closed()) [[unlikely]] {
        auto *what =
            make_error(KOLK_EPENDING, 0, nullptr, "a future was dropped before it was done; callbacks waiting: %u", callbacks);
        owner->report(*what);
        kolk::unref(what);
    }
    while (ready_item *item = waiters.pop_front())
        static_cast<done_callback *>(item)->drop();
    if (has_result()) {
        destroy_userdata(destroy_value, value);
    } else if (state != outcome::pending) {
        auto *what = static_cast<kolk_error *>(value);
        if (unread)
            owner->report(*what);
        kolk::unref(what);
    }
    if (notes) {
        destroy_userdata(notes->destroy_datum, notes->datum);
        kolk::unref(notes->cancel_words);
        owner->objects.destroy(notes);
    }
}

annotations *kolk_future::annotate() noexcept {
    if (!notes)
        notes = owner->objects.create<annotations>(*this);
    return notes;
}

int kolk_future::set_datum(void *datum, kolk_destroy_fn destroy) noexcept {
    if (!annotate()) {
        destroy_userdata(destroy, datum);
        return KOLK_ENOMEM;
    }
    void *old = std::exchange(notes->datum, datum);
    destroy_userdata(std::exchange(notes->destroy_datum, destroy), old);
    return 0;
}

int kolk_future::result(void **ret_result) noexcept {
    if (has_result()) {
        if (ret_result)
            *ret_result = value;
        return 0;
    }
    if (state != outcome::error)
        return done() ? KOLK_ECANCELED : KOLK_EPENDING;
    unread = false;
    return static_cast<kolk_error *>(value)->status;
}

kolk_error *kolk_future::error() noexcept {
    if (state == outcome::cancelled)
        return value ? static_cast<kolk_error *>(value) : static_error(KOLK_ECANCELED);
    if (state != outcome::error)
        return nullptr;
    unread = false;
    return static_cast<kolk_error *>(value);
}

void kolk_future::settle(outcome how) noexcept {
    state = how;
    refs += callbacks; /* each callback keeps it until it has been called */
    callbacks = 0;
    if (!waiters.empty())
        owner->append_ready(waiters);
}

void kolk_future::finish(void *result, kolk_destroy_fn destroy) noexcept {
    value = result;
    destroy_value = destroy;
    settle(outcome::result);
}

void kolk_future::fail(kolk_error *error) noexcept {
    value = error;
    unread = true;
    settle(outcome::error);
}

void kolk_future::end_cancelled(kolk_error *words) noexcept {
    value = words;
    settle(outcome::cancelled);
}

void kolk_future::finish_like(kolk_future &other) noexcept {
    switch (other.state) {
    case outcome::error:
        return fail(kolk::ref(other.error()));
    case outcome::cancelled:
        return end_cancelled(kolk::ref(static_cast<kolk_error *>(other.value)));
    default:
        return finish(other.value, nullptr);
    }
}

int kolk_future::add_callback(kolk_future_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    auto *callback = owner->objects.create<done_callback>(*this, fn, userdata, destroy);
    if (!callback)
        return KOLK_ENOMEM;
    if (done())
        ref();
    else
        callbacks++;
    add_waiter(*callback);
    return 0;
}

int kolk_future::remove_callbacks(kolk_future_fn fn, void *userdata) noexcept {
    int removed = 0;
    ref(); /* what is released may drop the last other reference */
    for (ready_item *item = waiters.front(), *next; item; item = next) {
        next = waiters.after(*item);
        if (item->run != done_callback::invoke)
            continue;
        auto *callback = static_cast<done_callback *>(item);
        if (callback->fn != fn || callback->userdata != userdata)
            continue;
        callback->ready_item::unlink();
        callbacks--;
        removed++;
        callback->drop();
        next = waiters.front(); /* what was released may have removed more of this list */
    }
    unref();
    return removed;
}
