#include "core/future/then.hh"

#include "core/error.hh"
#include "core/future/dependent.hh"
#include "core/future/follow.hh"

namespace kolk {

namespace {

/* First it waits, and only what it waits for can end it. When its function is called it becomes a future of the user's, who may
 * finish it on the spot, later, or by letting it follow another. */
struct next_step final : future, dependent {
    union {
        kolk_then_fn then;
        kolk_catch_fn on_error;
    };
    void *userdata;
    kolk_destroy_fn destroy_ud;

    next_step(future &of, const dependent_kind &waiting, void *data, kolk_destroy_fn release) noexcept
        : future(*of.owner, waiting), dependent(*this, of, source_done), userdata(data), destroy_ud(release) {}

    [[nodiscard]] bool catches() const noexcept { return kind == &waits_for_error || kind == &called_with_error; }
    void proceed(bool closing) noexcept;
    void conclude(int status, void *result) noexcept;
    void drop_userdata() noexcept { destroy_userdata(std::exchange(destroy_ud, nullptr), userdata); }

    static void source_done(ready_item &item, bool closing) noexcept;
    static const dependent_kind waits_for_result, waits_for_error, called_with_result, called_with_error;
};

holder &find(future &self) noexcept { return static_cast<next_step &>(self); }

void forget(dependent &self) noexcept { static_cast<next_step &>(self).drop_userdata(); }

future *destroy(dependent &self) noexcept {
    dispose_of(static_cast<next_step &>(self));
    return nullptr;
}

bool end(future &self) noexcept {
    self.end_cancelled();
    return true;
}

constinit const dependent_kind next_step::waits_for_result = {
    {{"then", cancel_source, dispose_holder, false}, find, bury_dependent}, forget, destroy};
constinit const dependent_kind next_step::waits_for_error = {
    {{"catch", cancel_source, dispose_holder, false}, find, bury_dependent}, forget, destroy};
constinit const dependent_kind next_step::called_with_result = {
    {{"then", end, dispose_holder, true}, find, bury_dependent}, forget, destroy};
constinit const dependent_kind next_step::called_with_error = {
    {{"catch", end, dispose_holder, true}, find, bury_dependent}, forget, destroy};

void next_step::source_done(ready_item &item, bool closing) noexcept {
    auto &self = static_cast<next_step &>(item);
    self.resource::unlink(); /* the function may close what it likes, but not end this wait again */
    self.proceed(closing);
    self.drop_userdata();
    self.leave();
}

void next_step::proceed(bool closing) noexcept {
    bool error = !source->has_result(), concerns_us = error == catches();
    kind = catches() ? &called_with_error : &called_with_result;
    if (!concerns_us)
        finish_like(*source);
    else if (closing)
        end_cancelled();
    else if (error)
        conclude(on_error(source->error(), userdata, this), nullptr);
    else
        conclude(then(source->value, userdata, this), source->value);
}

/* What the function did to the future counts more than what it returned. */
void next_step::conclude(int status, void *result) noexcept {
    if (done() || follows(*this) || status == KOLK_EPENDING)
        return;
    if (status >= 0)
        finish(result, nullptr);
    else if (status == KOLK_ECANCELED)
        end_cancelled();
    else
        fail(error_of(status));
}

} // namespace

int future_then(future &before, kolk_then_fn fn, void *userdata, kolk_destroy_fn destroy, future *&ret_future) noexcept {
    auto *made = before.owner->objects.create<next_step>(before, next_step::waits_for_result, userdata, destroy);
    if (!made)
        return KOLK_ENOMEM;
    made->then = fn;
    made->begin();
    ret_future = made;
    return 0;
}

int future_catch(future &before, kolk_catch_fn fn, void *userdata, kolk_destroy_fn destroy, future *&ret_future) noexcept {
    auto *made = before.owner->objects.create<next_step>(before, next_step::waits_for_error, userdata, destroy);
    if (!made)
        return KOLK_ENOMEM;
    made->on_error = fn;
    made->begin();
    ret_future = made;
    return 0;
}

} // namespace kolk
