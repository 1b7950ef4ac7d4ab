/* Parts of a task that end together or in time: scopes, wait_for, shield, gather and groups. */
#include "check.hpp"

#include <memory>

namespace {

kolk::task<int> give_after(std::chrono::nanoseconds delay, int value) {
    co_await co_await kolk::nothrow(kolk::sleep(delay));
    co_return value;
}

kolk::task<void> sleep_marked(record &to, const char *name) {
    mark here(to, name);
    co_await co_await kolk::nothrow(kolk::sleep(1h));
}

kolk::task<void> sleep_stubbornly(record &to, const char *name) {
    mark here(to, name);
    (void)co_await kolk::nothrow(kolk::sleep(1h));
    CHECK(co_await kolk::nothrow(kolk::sleep(2ms)));
}

kolk::task<void> fail_soon() {
    co_await co_await kolk::nothrow(kolk::sleep(1ms));
    co_await kolk::fail(kolk::error(KOLK_EIO, "no tea"));
}

/* What is done in time gives its value; what is not is cancelled, and has ended when KOLK_ETIMEDOUT comes. */
void wait_for_limits_a_call() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        CHECK(*co_await kolk::nothrow(kolk::wait_for(give_after(1ms, 7), 1h)) == 7);
        auto late = co_await kolk::nothrow(kolk::wait_for(sleep_marked(seen, "late"), 1ms));
        CHECK(late.status() == KOLK_ETIMEDOUT && late.code() == std::errc::timed_out);
        CHECK_TEXT(seen.text, "~late");
        CHECK(co_await kolk::nothrow(kolk::sleep(1us))); // nothing of it is left
    };
    CHECK(outcome_of(main()));
}

/* The same for tasks that run beside, and for futures; the result may be of any kind. */
void wait_for_limits_tasks_and_futures() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto text = []() -> kolk::task<std::string> {
            co_await co_await kolk::nothrow(kolk::sleep(1ms));
            co_return "a string that does not fit into a pointer";
        };
        CHECK_TEXT(*co_await kolk::nothrow(kolk::wait_for(kolk::spawn(text()), 1h)),
                   "a string that does not fit into a pointer");
        auto handle = kolk::spawn(sleep_marked(seen, "late"));
        CHECK((co_await kolk::nothrow(kolk::wait_for(handle, 1ms))).status() == KOLK_ETIMEDOUT);
        CHECK(handle.done());
        CHECK((co_await kolk::nothrow(kolk::wait_for(kolk::future<int>::make(), 1ms))).status() == KOLK_ETIMEDOUT);
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~late");
}

/* A cancellation from outside is not a timeout. */
void a_cancellation_from_outside_is_passed_on() {
    auto body = []() -> kolk::task<int> { co_return co_await kolk::nothrow(kolk::wait_for(give_after(1h, 7), 2h)); };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        (void)co_await kolk::nothrow(kolk::yield_now());
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
    };
    CHECK(outcome_of(main()));
}

/* A scope that is cancelled from inside the block ends the block, and no more. */
void a_scope_can_be_cancelled() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto block = [&](kolk::scope &around) -> kolk::task<void> {
            CHECK(around.cancel() == 1 && around.cancelled() && !around.expired());
            auto slept = co_await kolk::nothrow(kolk::sleep(1h));
            seen.add(slept.cancelled() ? "cancelled" : "slept");
            co_await std::move(slept);
        };
        CHECK(co_await kolk::nothrow(kolk::with_scope(kolk::never, block)));
        seen.add("after");
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "cancelled after");
}

/* By hand: leave() tells the scope's own end from others. */
void leave_tells_whose_end_it_was() {
    auto main = []() -> kolk::task<void> {
        kolk::scope limit(1ms);
        CHECK(limit.begin_status() == 0);
        auto slept = co_await kolk::nothrow(kolk::sleep(1h));
        CHECK(slept.cancelled() && limit.expired());
        CHECK(limit.leave(slept.status()) == KOLK_ETIMEDOUT);
        CHECK(limit.leave() == KOLK_EALREADY);
    };
    CHECK(outcome_of(main()));
}

/* With KOLK_SCOPE_LEVEL who swallows the end cannot wait for anything any more. */
void a_level_scope_refuses_every_wait() {
    auto main = []() -> kolk::task<void> {
        auto block = [](kolk::scope &) -> kolk::task<void> {
            for (int i = 0; i < 3; i++)
                CHECK((co_await kolk::nothrow(kolk::sleep(1h))).cancelled());
            co_await kolk::fail(KOLK_ECANCELED);
        };
        auto ended = co_await kolk::nothrow(kolk::with_scope(1ms, block, KOLK_SCOPE_LEVEL));
        CHECK(ended.status() == KOLK_ETIMEDOUT);
    };
    CHECK(outcome_of(main()));
}

/* With KOLK_SCOPE_SHIELD a request from outside waits until the block is over. */
void a_shielded_scope_is_finished_first() {
    record seen;
    auto body = [&]() -> kolk::task<void> {
        auto clean_up = [&]() -> kolk::task<void> {
            auto slept = co_await kolk::nothrow(kolk::sleep(2ms));
            seen.add(slept ? "cleaned" : "disturbed");
        };
        auto shielded = co_await kolk::nothrow(kolk::with_scope(1h, clean_up(), KOLK_SCOPE_SHIELD));
        auto slept = co_await kolk::nothrow(kolk::sleep(1h));
        seen.add(!shielded || slept.cancelled() ? "cancelled" : "slept");
        co_await std::move(slept);
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        (void)co_await kolk::nothrow(kolk::yield_now());
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "cleaned cancelled");
}

/* What is shielded goes on when the one that awaits it is cancelled. */
void shield_keeps_a_task_going() {
    auto main = []() -> kolk::task<void> {
        auto work = kolk::spawn(give_after(2ms, 7));
        auto wait = [&]() -> kolk::task<int> { co_return co_await kolk::nothrow(kolk::shield(work)); };
        auto waiting = kolk::spawn(wait());
        (void)co_await kolk::nothrow(kolk::yield_now());
        waiting.cancel();
        CHECK((co_await kolk::nothrow(waiting)).cancelled());
        CHECK(*co_await kolk::nothrow(work) == 7);
    };
    CHECK(outcome_of(main()));
}

kolk::task<std::string> give_text() {
    co_await co_await kolk::nothrow(kolk::sleep(1ms));
    co_return "a string that does not fit into a pointer";
}

/* Who waits for a handle or future by wait_for(), shield(), as_future() or gather() leaves the result to those who keep it. */
void what_is_not_given_away_keeps_its_result() {
    auto main = []() -> kolk::task<void> {
        const char *text = "a string that does not fit into a pointer";
        auto handle = kolk::spawn(give_text());
        CHECK_TEXT(*co_await kolk::nothrow(kolk::wait_for(handle, 1h)), text);
        CHECK_TEXT(*co_await kolk::nothrow(kolk::shield(handle)), text);
        CHECK_TEXT(*co_await kolk::nothrow(handle.as_future()), text);
        CHECK_TEXT(*co_await kolk::nothrow(kolk::wait_for(kolk::shield(handle), 1h)), text);
        auto all = co_await kolk::nothrow(kolk::gather(handle.as_future(), kolk::shield(handle)));
        CHECK_TEXT(std::get<0>(*all), text);
        CHECK_TEXT(std::get<1>(*all), text);
        CHECK_TEXT(*co_await kolk::nothrow(handle), text);
        auto future = std::move(handle).as_future();
        CHECK_TEXT(*co_await kolk::nothrow(kolk::wait_for(future, 1h)), text);
        CHECK_TEXT(*co_await kolk::nothrow(kolk::shield(future)), text);
        CHECK_TEXT(*co_await kolk::nothrow(future), text);
    };
    CHECK(outcome_of(main()));
}

/* What was given away gives its result away, so that it may be one that can only be moved. */
void what_is_given_away_gives_its_result() {
    auto main = []() -> kolk::task<void> {
        auto give = [](int value) -> kolk::task<std::unique_ptr<int>> { co_return std::make_unique<int>(value); };
        auto a = kolk::spawn(give(1)), b = kolk::spawn(give(2)), c = kolk::spawn(give(3));
        CHECK(**co_await kolk::nothrow(kolk::wait_for(std::move(a), 1h)) == 1);
        CHECK(**co_await kolk::nothrow(kolk::shield(std::move(b))) == 2);
        CHECK(**co_await kolk::nothrow(std::move(c).as_future()) == 3);
        CHECK(**co_await kolk::nothrow(kolk::wait_for(kolk::shield(kolk::spawn(give(4))), 1h)) == 4);
        CHECK_TEXT(*co_await kolk::nothrow(kolk::shield(kolk::shield(kolk::spawn(give_text())))),
                   "a string that does not fit into a pointer");
    };
    CHECK(outcome_of(main()));
}

/* gather() runs all at once and gives their results in order, whatever they are. */
void gather_gives_all_results_in_order() {
    auto main = []() -> kolk::task<void> {
        auto text = []() -> kolk::task<std::string> { co_return "a string that does not fit into a pointer"; };
        auto running = kolk::spawn(give_after(1ms, 3));
        auto all = co_await kolk::nothrow(
            kolk::gather(give_after(3ms, 1), text(), running, kolk::sleep(1ms), kolk::spawn(give_after(2ms, 5))));
        CHECK(all);
        auto &[a, b, c, d, e] = *all;
        CHECK(a == 1 && c == 3 && d == kolk::nothing() && e == 5);
        CHECK_TEXT(b, "a string that does not fit into a pointer");
    };
    CHECK(outcome_of(main()));
}

/* The first error is that of the whole; the others go on. */
void gather_fails_with_the_first_error() {
    auto main = []() -> kolk::task<void> {
        auto slow = kolk::spawn(give_after(1h, 7));
        auto all = co_await kolk::nothrow(kolk::gather(slow, fail_soon()));
        CHECK_TEXT(all.message(), "no tea");
        CHECK(!slow.done());
        CHECK(slow.cancel() == 1);
        CHECK((co_await kolk::nothrow(slow)).cancelled());
    };
    CHECK(outcome_of(main()));
}

/* Cancelling the one that gathers cancels all of them, and their variables go first. */
void cancelling_a_gather_cancels_all() {
    record seen;
    auto body = [&]() -> kolk::task<void> {
        mark here(seen, "outer");
        auto all = co_await kolk::nothrow(kolk::gather(sleep_marked(seen, "a"), sleep_marked(seen, "b")));
        co_await kolk::fail(all.status());
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        for (int i = 0; i < 3; i++)
            (void)co_await kolk::nothrow(kolk::yield_now());
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~a ~b ~outer");
}

/* Any number of one kind is gathered from an array. */
void gather_takes_arrays() {
    auto main = []() -> kolk::task<void> {
        kolk::task_handle<int> all[10];
        for (int i = 0; i < 10; i++)
            all[i] = kolk::spawn(give_after(1ms, i));
        CHECK(co_await kolk::nothrow(kolk::gather(std::span(all))));
        int sum = 0;
        for (auto &each : all)
            sum += *each.result(std::nothrow);
        CHECK(sum == 45);
        CHECK(co_await kolk::nothrow(kolk::gather(std::span(all, 0))));
    };
    CHECK(outcome_of(main()));
}

/* A group is over when all its members have ended. */
void a_group_waits_for_its_members() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto member = [&](int number) -> kolk::task<void> {
            co_await co_await kolk::nothrow(kolk::sleep(number * 1ms));
            seen.add("%d", number);
        };
        auto block = [&](kolk::task_group &group) -> kolk::task<void> {
            for (int i = 3; i > 0; i--)
                CHECK(group.spawn(member(i), "member"));
            seen.add("block");
            co_return;
        };
        CHECK(co_await kolk::nothrow(kolk::with_task_group(block)));
        seen.add("after");
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "block 1 2 3 after");
}

/* The first member that fails cancels the others and the block, and its error is that of the group. */
void a_failed_member_ends_the_group() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto block = [&](kolk::task_group &group) -> kolk::task<void> {
            mark here(seen, "block");
            CHECK(group.spawn(sleep_marked(seen, "member")));
            CHECK(group.spawn(fail_soon()));
            auto slept = co_await kolk::nothrow(kolk::sleep(1h));
            CHECK(slept.cancelled());
            co_await std::move(slept);
        };
        auto ended = co_await kolk::nothrow(kolk::with_task_group(block));
        CHECK_TEXT(ended.message(), "no tea");
        seen.add("after");
        CHECK(co_await kolk::nothrow(kolk::sleep(1us)));
    };
    CHECK(outcome_of(main()));
    CHECK(seen.text == "~block ~member after" || seen.text == "~member ~block after");
}

/* A block that fails cancels the members, and its error is that of the group. */
void a_failed_block_ends_the_group() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto block = [&](kolk::task_group &group) -> kolk::task<void> {
            CHECK(group.spawn(sleep_marked(seen, "member")));
            (void)co_await kolk::nothrow(kolk::yield_now());
            co_await kolk::fail(kolk::error(KOLK_EPIPE, "no cup"));
        };
        CHECK_TEXT((co_await kolk::nothrow(kolk::with_task_group(block))).message(), "no cup");
        CHECK_TEXT(seen.text, "~member");
    };
    CHECK(outcome_of(main()));
}

/* Cancelling the task that is leaving a group cancels the members, and it goes on waiting for them. */
void a_cancelled_group_ends_its_members_first() {
    record seen;
    auto body = [&]() -> kolk::task<void> {
        mark here(seen, "outer");
        auto block = [&](kolk::task_group &group) -> kolk::task<void> {
            CHECK(group.spawn(sleep_stubbornly(seen, "member")));
            co_return;
        };
        auto ended = co_await kolk::nothrow(kolk::with_task_group(block));
        seen.add(ended.cancelled() ? "cancelled" : "not cancelled");
        co_await std::move(ended);
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        for (int i = 0; i < 3; i++)
            (void)co_await kolk::nothrow(kolk::yield_now());
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~member cancelled ~outer");
}

/* A group that goes without being left cancels its members, which end on their own. */
void a_group_that_was_not_left_cancels_its_members() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        kolk::task_handle<void> member;
        {
            kolk::task_group group;
            member = group.spawn(sleep_marked(seen, "member"));
            (void)co_await kolk::nothrow(kolk::yield_now());
        }
        CHECK((co_await kolk::nothrow(member)).cancelled());
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~member");
}

/* Where a group goes without being left, a scope around it is over at its end all the same, and its deadline with it. */
void a_group_that_was_not_left_holds_up_no_scope() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        kolk::task_handle<void> member;
        {
            kolk::scope limit(1ms);
            kolk::task_group group;
            member = group.spawn(sleep_marked(seen, "member"));
        }
        CHECK(co_await kolk::nothrow(kolk::sleep(20ms)));
        CHECK((co_await kolk::nothrow(member)).cancelled());
        kolk::scope outer;
        CHECK(outer.begin_status() == 0 && outer.leave() == 0);
    };
    CHECK(outcome_of(main()));
}

} // namespace

int main() {
    return run_rules({
        RULE(wait_for_limits_a_call),
        RULE(wait_for_limits_tasks_and_futures),
        RULE(a_cancellation_from_outside_is_passed_on),
        RULE(a_scope_can_be_cancelled),
        RULE(leave_tells_whose_end_it_was),
        RULE(a_level_scope_refuses_every_wait),
        RULE(a_shielded_scope_is_finished_first),
        RULE(shield_keeps_a_task_going),
        RULE(what_is_not_given_away_keeps_its_result),
        RULE(what_is_given_away_gives_its_result),
        RULE(gather_gives_all_results_in_order),
        RULE(gather_fails_with_the_first_error),
        RULE(cancelling_a_gather_cancels_all),
        RULE(gather_takes_arrays),
        RULE(a_group_waits_for_its_members),
        RULE(a_failed_member_ends_the_group),
        RULE(a_failed_block_ends_the_group),
        RULE(a_cancelled_group_ends_its_members_first),
        RULE(a_group_that_was_not_left_cancels_its_members),
        RULE(a_group_that_was_not_left_holds_up_no_scope),
    });
}
