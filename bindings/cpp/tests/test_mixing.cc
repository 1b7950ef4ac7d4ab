/* Tasks of four kinds await each other, in every combination: fibers, steps, C++ coroutines, and one that is brought along. */
#include "check.hpp"

#include <kolk/step.h>

namespace {

/* One task of a chain: waits for a future, says how that went, and returns 10, or what the one before returned. */
struct part {
    record &seen;
    const char *name;
    kolk_future *awaited;
    bool innermost;

    int told(int status, void **ret_value) const {
        seen.add("%s(%s)", name, status < 0 ? kolk_status_name(status) : "ok");
        if (status >= 0 && innermost)
            *ret_value = reinterpret_cast<void *>(intptr_t(10));
        return status;
    }
};

int fiber_body(void *userdata, void **ret_value) {
    auto &self = *static_cast<part *>(userdata);
    return self.told(kolk_await(self.awaited, ret_value), ret_value);
}

struct step_state {
    kolk_step step;
    part *self;
};

int step_body(void *state, void **ret_value) {
    auto &my = *static_cast<step_state *>(state);
    KOLK_STEP_BEGIN(&my.step);
    KOLK_STEP_AWAIT(&my.step, ret_value, kolk_future_ref(my.self->awaited));
    *ret_value = kolk_step_result(&my.step);
    return my.self->told(my.step.status, ret_value);
    KOLK_STEP_END(&my.step);
}

kolk::task<void *> cpp_body(part &self) {
    auto ended = co_await kolk::nothrow(self.awaited);
    void *value = ended ? *ended : nullptr;
    self.told(ended.status(), &value);
    if (!ended)
        co_return ended.error();
    co_return value;
}

struct foreign_frame {
    part &self;
    bool waiting = false;
};

int resume_foreign(void *frame, int status, void *, void **ret_value) noexcept {
    auto &my = *static_cast<foreign_frame *>(frame);
    if (!my.waiting && status >= 0) {
        my.waiting = true;
        *ret_value = my.self.awaited;
        return KOLK_COROUTINE_AWAITING;
    }
    return my.self.told(status < 0 ? status : kolk_future_result(my.self.awaited, ret_value), ret_value);
}

void destroy_foreign(void *frame) noexcept { delete static_cast<foreign_frame *>(frame); }

constexpr kolk_coroutine_ops foreign_ops = {sizeof(kolk_coroutine_ops), 0, "brought", resume_foreign, destroy_foreign};

enum kind { fiber, step, cpp, foreign, kinds };

kolk::any_task make(kind which, kolk_loop *loop, part &self) {
    kolk_task *made = nullptr;
    if (which == fiber) {
        CHECK(kolk_create_task(loop, fiber_body, &self, nullptr, nullptr, &made) == 0);
    } else if (which == step) {
        step_state state = {{}, &self};
        CHECK(kolk_create_step_task(loop, step_body, &state, sizeof state, nullptr, nullptr, &made) == 0);
    } else if (which == cpp) {
        made = kolk_task_ref(kolk::spawn(loop, cpp_body(self)).task());
    } else {
        CHECK(kolk_create_foreign_task(loop, &foreign_ops, new foreign_frame{self}, nullptr, &made) == 0);
    }
    return kolk::any_task(made);
}

struct stage {
    kolk::loop loop = *kolk::loop::make();
    record seen;

    ~stage() { CHECK(loop.close() == 0); }
    kolk::any_future sleep(std::chrono::nanoseconds delay) {
        kolk_future *made = nullptr;
        CHECK(kolk_sleep_async(loop.get(), delay.count(), &made) == 0);
        return kolk::any_future(made);
    }
};

kolk_future *as_future(const kolk::any_task &task) { return kolk_task_as_future(task.get()); }

/* Each awaits each: the result arrives. */
void each_kind_awaits_each() {
    for (int inner = fiber; inner < kinds; inner++)
        for (int outer = fiber; outer < kinds; outer++) {
            stage here;
            auto slept = here.sleep(10us);
            part first = {here.seen, "inner", slept.get(), true};
            kolk::any_task a = make(kind(inner), here.loop.get(), first);
            part second = {here.seen, "outer", as_future(a), false};
            kolk::any_task b = make(kind(outer), here.loop.get(), second);
            CHECK(kolk_loop_run_until_complete(here.loop.get(), as_future(b)) == 0);
            void *value = nullptr;
            CHECK(kolk_task_result(b.get(), &value) == 0);
            CHECK(value == reinterpret_cast<void *>(intptr_t(10)));
            CHECK_TEXT(here.seen.text, "inner(ok) outer(ok)");
        }
}

/* Cancelling the outer one ends the inner one first; both have then been cancelled. */
void cancelling_the_outermost_ends_the_innermost_first() {
    for (int inner = fiber; inner < kinds; inner++)
        for (int outer = fiber; outer < kinds; outer++) {
            stage here;
            auto slept = here.sleep(1h);
            part first = {here.seen, "inner", slept.get(), true};
            kolk::any_task a = make(kind(inner), here.loop.get(), first);
            part second = {here.seen, "outer", as_future(a), false};
            kolk::any_task b = make(kind(outer), here.loop.get(), second);
            (void)here.loop.call_later(1ms, [&] { kolk_task_cancel(b.get()); });
            CHECK(kolk_loop_run_until_complete(here.loop.get(), as_future(b)) == 0);
            CHECK_TEXT(here.seen.text, "inner(KOLK_ECANCELED) outer(KOLK_ECANCELED)");
            CHECK(kolk_future_cancelled(as_future(a)) == 1 && kolk_future_cancelled(as_future(b)) == 1);
            CHECK(kolk_future_cancelled(slept.get()) == 1);
        }
}

/* All four in one chain, in every order that begins with each of them; the words of an error go all the way. */
void errors_pass_through_all_kinds() {
    for (int turn = 0; turn < kinds; turn++) {
        stage here;
        auto broken = kolk::future<void *>::make(here.loop.get());
        part parts[kinds] = {{here.seen, "a", broken.get(), true},
                             {here.seen, "b", nullptr, false},
                             {here.seen, "c", nullptr, false},
                             {here.seen, "d", nullptr, false}};
        kolk::any_task tasks[kinds];
        for (int i = 0; i < kinds; i++) {
            if (i > 0)
                parts[i].awaited = as_future(tasks[i - 1]);
            tasks[i] = make(kind((i + turn) % kinds), here.loop.get(), parts[i]);
        }
        (void)here.loop.call_soon([&] { broken.set_error(kolk::error(KOLK_EIO, "no tea")); });
        CHECK(kolk_loop_run_until_complete(here.loop.get(), as_future(tasks[kinds - 1])) == 0);
        CHECK(kolk_task_result(tasks[kinds - 1].get(), nullptr) == KOLK_EIO);
        CHECK_TEXT(here.seen.text, "a(KOLK_EIO) b(KOLK_EIO) c(KOLK_EIO) d(KOLK_EIO)");
        for (auto &each : tasks)
            (void)kolk_task_error(each.get());
    }
}

/* The tree of tasks shows who awaits whom, whatever they are. */
void one_tree_holds_all_kinds() {
    stage here;
    auto slept = here.sleep(1h);
    part first = {here.seen, "inner", slept.get(), true};
    kolk::any_task a = make(cpp, here.loop.get(), first);
    part second = {here.seen, "outer", as_future(a), false};
    kolk::any_task b = make(fiber, here.loop.get(), second);
    kolk_task_set_name(a.get(), "inner");
    kolk_task_set_name(b.get(), "outer");
    bool looked = false;
    (void)here.loop.call_later(1ms, [&] {
        kolk_task_info info = {};
        info.size = sizeof info;
        CHECK(kolk_task_get_info(a.get(), &info) == 0);
        CHECK(info.parent == b.get() && info.awaited == slept.get());
        CHECK(info.state == KOLK_TASK_WAITING);
        CHECK_TEXT(info.kind, "c++");
        looked = true;
        kolk_task_cancel(b.get());
    });
    CHECK(kolk_loop_run_until_complete(here.loop.get(), as_future(b)) == 0);
    CHECK(looked);
}

} // namespace

int main() {
    return run_rules({
        RULE(each_kind_awaits_each),
        RULE(cancelling_the_outermost_ends_the_innermost_first),
        RULE(errors_pass_through_all_kinds),
        RULE(one_tree_holds_all_kinds),
    });
}
