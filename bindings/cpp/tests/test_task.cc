/* Coroutines as tasks. */
#include "check.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

namespace {

kolk::task<int> answer() { co_return 42; }

kolk::task<void> say(record &to, const char *word) {
    to.add("%s", word);
    co_return;
}

/* Calling a coroutine runs no code; awaiting it does. */
void a_task_starts_when_it_is_awaited() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        kolk::task<void> lazy = say(seen, "lazy");
        seen.add("first");
        (void)co_await std::move(lazy);
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "first lazy");
}

/* One that is never awaited is dropped with its arguments, and no code of it has run. */
void a_task_that_is_not_awaited_runs_no_code() {
    record seen;
    {
        auto body = [](record &to, mark) -> kolk::task<void> {
            to.add("ran");
            co_return;
        };
        kolk::task<void> unused = body(seen, mark(seen, "argument"));
    }
    CHECK_TEXT(seen.text, "~argument");
}

/* An awaited task is part of the one that awaits: there is one kolk task, and no turn in between. */
void awaiting_a_task_is_a_call() {
    auto current = []() -> kolk::task<kolk_task *> { co_return kolk_task_current(); };
    auto main = [&]() -> kolk::task<void> {
        bool turned = false;
        auto handle = kolk::loop(kolk_loop_ref(kolk_loop_current())).call_soon([&] { turned = true; });
        auto *inner = *co_await kolk::nothrow(current());
        CHECK(inner && inner == kolk_task_current());
        CHECK(!turned);
        CHECK(kolk_handle_cancel((*handle).get()) == 0);
    };
    CHECK(outcome_of(main()));
}

/* Awaiting a million tasks one after the other takes no stack, and calls may be a hundred thousand deep. */
void neither_many_nor_nested_awaits_grow_the_stack() {
    struct nested {
        static kolk::task<long> call(long depth) {
            if (depth == 0) {
                (void)co_await kolk::yield_now();
                co_return 0;
            }
            co_return *co_await kolk::nothrow(call(depth - 1)) + 1;
        }
    };
    auto main = []() -> kolk::task<void> {
        long sum = 0;
        for (int i = 0; i < 1000000; i++)
            sum += *co_await kolk::nothrow(answer());
        CHECK(sum == 42000000);
        CHECK(*co_await kolk::nothrow(nested::call(100000)) == 100000);
    };
    CHECK(outcome_of(main()));
}

/* Variables of an awaited task are gone before the one that awaits goes on, as at the end of a call. */
void what_a_task_had_is_gone_when_it_is_over() {
    record seen;
    auto inner = [](record &to) -> kolk::task<int> {
        mark here(to, "inner");
        (void)co_await kolk::yield_now();
        co_return 1;
    };
    auto main = [&]() -> kolk::task<void> {
        mark here(seen, "outer");
        (void)co_await kolk::nothrow(inner(seen));
        seen.add("after");
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~inner after ~outer");
}

/* spawn() makes a task that starts on the next turn. */
void a_spawned_task_starts_on_the_next_turn() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto beside = kolk::spawn(say(seen, "beside"));
        seen.add("main");
        CHECK(!beside.done() && beside.result(std::nothrow).status() == KOLK_EPENDING);
        CHECK(co_await kolk::nothrow(beside));
        CHECK(beside.done());
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "main beside");
}

/* yield_now() lets everyone else run once. */
void yielding_lets_the_others_run_once() {
    record seen;
    auto count = [](record &to, const char *name) -> kolk::task<void> {
        for (int i = 0; i < 3; i++) {
            to.add("%s%d", name, i);
            (void)co_await kolk::yield_now();
        }
    };
    auto main = [&]() -> kolk::task<void> {
        auto a = kolk::spawn(count(seen, "a")), b = kolk::spawn(count(seen, "b"));
        CHECK(co_await kolk::nothrow(a));
        CHECK(co_await kolk::nothrow(b));
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "a0 b0 a1 b1 a2 b2");
}

enum class tone : short { low = -7, high = 9 };
struct pair {
    short a, b;
    bool operator==(const pair &) const = default;
};
struct large {
    long numbers[8];
};

template <class T>
kolk::task<T> give(T value) {
    (void)co_await kolk::yield_now();
    co_return std::move(value);
}

template <class T>
kolk::task<bool> comes_back(T value) {
    auto handle = kolk::spawn(give(value));
    auto first = co_await kolk::nothrow(handle), second = co_await kolk::nothrow(std::move(handle));
    co_return first &&second &&*first == value &&*second == value;
}

/* Results of every kind travel through a kolk task. */
void results_of_every_kind_come_back() {
    int here = 0;
    CHECK(*outcome_of(comes_back(-42)));
    CHECK(*outcome_of(comes_back(INT64_MIN)));
    CHECK(*outcome_of(comes_back(UINT64_MAX)));
    CHECK(*outcome_of(comes_back(true)));
    CHECK(*outcome_of(comes_back(2.5)));
    CHECK(*outcome_of(comes_back(tone::low)));
    CHECK(*outcome_of(comes_back(pair{-1, 2})));
    CHECK(*outcome_of(comes_back(&here)));
    CHECK(*outcome_of(comes_back(static_cast<int *>(nullptr))));
    CHECK(*outcome_of(comes_back(std::string("a string that does not fit into a pointer"))));
    CHECK(*outcome_of(comes_back(std::vector<int>{1, 2, 3})));
}

/* What can only be moved is moved out of the task, when the task was given away to be awaited. */
void what_can_only_be_moved_is_moved() {
    auto main = []() -> kolk::task<void> {
        std::unique_ptr<int> direct = *co_await kolk::nothrow(give(std::make_unique<int>(1)));
        std::unique_ptr<int> spawned = *co_await kolk::nothrow(kolk::spawn(give(std::make_unique<int>(2))));
        CHECK(*direct == 1 && *spawned == 2);
        auto unread = kolk::spawn(give(std::make_unique<int>(3))); // its result goes with the task
        (void)co_await kolk::yield_now();
    };
    CHECK(outcome_of(main()));
}

/* To C, a number is a number and an owner is its object. */
void c_sees_numbers_and_objects() {
    auto make_future = []() -> kolk::task<kolk::any_future> {
        kolk_future *made = nullptr;
        kolk_future_new(kolk_loop_current(), &made);
        co_return kolk::any_future(made);
    };
    auto main = [&]() -> kolk::task<void> {
        auto number = kolk::spawn(give(-42));
        auto object = kolk::spawn(make_future());
        CHECK(co_await kolk::nothrow(number));
        auto owner = co_await kolk::nothrow(object);
        void *result = nullptr;
        CHECK(kolk_task_result(number.task(), &result) == 0);
        CHECK(reinterpret_cast<intptr_t>(result) == -42);
        CHECK(kolk_task_result(object.task(), &result) == 0);
        CHECK(result == owner->get() && kolk_future_done(static_cast<kolk_future *>(result)) == 0);
        kolk_task_info info = {};
        info.size = sizeof info;
        CHECK(kolk_task_get_info(number.task(), &info) == 0);
        CHECK_TEXT(info.kind, "c++");
    };
    CHECK(outcome_of(main()));
}

/* A future of C++ is finished by hand; awaiting one that is done takes no turn. */
void a_future_gives_its_result_to_all_who_ask() {
    auto main = []() -> kolk::task<void> {
        auto future = kolk::future<std::string>::make();
        CHECK(!future.done() && future.result(std::nothrow).status() == KOLK_EPENDING);
        auto wait = [](kolk::future<std::string> what) -> kolk::task<std::string> { co_return co_await kolk::nothrow(what); };
        auto a = kolk::spawn(wait(future)), b = kolk::spawn(wait(future));
        (void)co_await kolk::yield_now();
        CHECK(future.set_result("tea") == 0);
        CHECK(future.set_result("again") == KOLK_EALREADY);
        CHECK_TEXT(*co_await kolk::nothrow(a), "tea");
        CHECK_TEXT(*co_await kolk::nothrow(b), "tea");
        CHECK_TEXT(*future.result(std::nothrow), "tea");
    };
    CHECK(outcome_of(main()));
}

/* Futures and tasks of C can be awaited as they are. */
void pointers_of_c_can_be_awaited() {
    auto main = []() -> kolk::task<void> {
        kolk_future *future = nullptr;
        CHECK(kolk_future_new(kolk_loop_current(), &future) == 0);
        auto finish = [](kolk_future *what) -> kolk::task<void> {
            static char tea[] = "tea";
            CHECK(kolk_future_set_result(what, tea, nullptr) == 0);
            co_return;
        };
        auto other = kolk::spawn(finish(future));
        kolk_task *task = other.task();
        void *seen = *co_await kolk::nothrow(future);
        CHECK_TEXT(static_cast<char *>(seen), "tea");
        CHECK(*co_await kolk::nothrow(task) == nullptr);
        kolk_future_unref(future);
    };
    CHECK(outcome_of(main()));
}

/* A future may be dropped by its owner while somebody waits for it. */
void a_future_is_kept_while_it_is_awaited() {
    auto main = []() -> kolk::task<void> {
        auto future = kolk::future<int>::make();
        auto wait = [](kolk::future<int> &what) -> kolk::task<int> { co_return co_await kolk::nothrow(what); };
        auto waiting = kolk::spawn(wait(future));
        (void)co_await kolk::yield_now();
        auto last = kolk::any_future(kolk_future_ref(future.get()));
        future = {};
        int64_t number = 7;
        CHECK(kolk_future_set_result(last.get(), reinterpret_cast<void *>(number), nullptr) == 0);
        last = {};
        CHECK(*co_await kolk::nothrow(waiting) == 7);
    };
    CHECK(outcome_of(main()));
}

kolk::task<int> fail_with_words() { co_return kolk::error(KOLK_EREFUSED, "port 81 refused"); }

/* An error arrives with its words, whether the task was awaited or spawned; a C task sees the same. */
void errors_arrive_with_their_words() {
    auto main = []() -> kolk::task<void> {
        auto direct = co_await kolk::nothrow(fail_with_words());
        auto beside = kolk::spawn(fail_with_words());
        auto spawned = co_await kolk::nothrow(beside);
        CHECK(direct.status() == KOLK_EREFUSED && spawned.status() == KOLK_EREFUSED);
        CHECK_TEXT(direct.message(), "port 81 refused");
        CHECK_TEXT(spawned.message(), "port 81 refused");
        CHECK_TEXT(kolk_error_message(kolk_task_error(beside.task())), "port 81 refused");
    };
    CHECK(outcome_of(main()));
    auto ended = outcome_of(fail_with_words());
    CHECK_TEXT(ended.message(), "port 81 refused");
}

/* fail() ends any task, and its variables with it. */
void fail_ends_a_task_at_once() {
    record seen;
    auto inner = [&]() -> kolk::task<void> {
        mark here(seen, "inner");
        co_await kolk::fail(kolk::error(KOLK_EIO, "no tea"));
        seen.add("never");
    };
    auto main = [&]() -> kolk::task<void> {
        auto ended = co_await kolk::nothrow(inner());
        CHECK_TEXT(seen.text, "~inner");
        CHECK_TEXT(ended.message(), "no tea");
        co_await kolk::fail(KOLK_EPIPE);
    };
    CHECK(outcome_of(main()).status() == KOLK_EPIPE);
}

/* Its variables go inside the task, as at any other end: what they entered they can leave. */
void what_a_failed_task_had_goes_inside_it() {
    struct witness {
        kolk_task *of = kolk_task_current();
        kolk_scope *scope = nullptr;
        witness() { CHECK(of && kolk_scope_enter(0, KOLK_NEVER, &scope) == 0); }
        ~witness() { CHECK(kolk_task_current() == of && kolk_scope_leave(scope, 0) == 0); }
    };
    auto failing = []() -> kolk::task<void> {
        witness here;
        (void)co_await kolk::nothrow(kolk::yield_now());
        co_await kolk::fail(KOLK_EIO);
    };
    auto unwrapping = [](kolk::result<int> from) -> kolk::task<int> {
        witness here;
        co_return co_await std::move(from);
    };
    CHECK(outcome_of(failing()).status() == KOLK_EIO);
    CHECK(outcome_of(unwrapping(kolk::error(KOLK_EEOF))).status() == KOLK_EEOF);
    CHECK(*outcome_of(unwrapping(42)) == 42);
}

/* co_await of a result is its value, or the end of this task with its error. */
void awaiting_a_result_unwraps_it() {
    auto add_one = [](kolk::result<int> from) -> kolk::task<int> { co_return co_await std::move(from) + 1; };
    CHECK(*outcome_of(add_one(41)) == 42);
    CHECK(outcome_of(add_one(kolk::error(KOLK_EEOF))).status() == KOLK_EEOF);
}

/* What could not be begun tells so when it is awaited. */
void a_failed_beginning_is_told_when_awaited() {
    auto main = []() -> kolk::task<void> {
        CHECK((co_await kolk::nothrow(kolk::sleep(1s, nullptr))).status() == KOLK_EINVAL);
        CHECK((co_await kolk::nothrow(kolk::spawn(nullptr, answer()))).status() == KOLK_EINVAL);
        CHECK((co_await kolk::nothrow(kolk::task_handle<int>())).status() == KOLK_EINVAL);
        CHECK(kolk::task_handle<int>().result(std::nothrow).status() == KOLK_EINVAL);
        CHECK((co_await kolk::nothrow(kolk::future<int>())).status() == KOLK_EINVAL);
    };
    CHECK(outcome_of(main()));
}

/* Cancelled before it started, a task runs no code, and what it was given is gone. */
void a_task_cancelled_before_it_starts_runs_no_code() {
    record seen;
    auto body = [](record &to, mark) -> kolk::task<void> {
        to.add("ran");
        co_return;
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body(seen, mark(seen, "argument")));
        CHECK(handle.cancel() == 1);
        CHECK((co_await kolk::nothrow(handle)).cancelled());
        CHECK(handle.cancel() == 0);
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~argument");
}

/* A request to cancel arrives where the task waits, with its words. */
void a_cancellation_arrives_at_the_co_await() {
    record seen;
    auto body = [&]() -> kolk::task<void> {
        auto slept = co_await kolk::nothrow(kolk::sleep(1h));
        seen.add("%s", slept.cancelled() ? slept.message() : "slept");
        co_await std::move(slept);
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        (void)co_await kolk::yield_now();
        CHECK(handle.cancel("lunch") == 1);
        auto ended = co_await kolk::nothrow(handle);
        CHECK(ended.cancelled());
        CHECK_TEXT(ended.message(), "lunch");
        CHECK(kolk_future_cancelled(handle.get()) == 1);
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "lunch");
}

/* It is delivered once: who swallows it goes on. */
void a_swallowed_cancellation_is_over() {
    auto body = []() -> kolk::task<int> {
        CHECK((co_await kolk::nothrow(kolk::sleep(1h))).cancelled());
        CHECK(co_await kolk::nothrow(kolk::sleep(1ms)));
        co_return 7;
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        (void)co_await kolk::yield_now();
        handle.cancel();
        CHECK(*co_await kolk::nothrow(handle) == 7);
    };
    CHECK(outcome_of(main()));
}

/* It reaches a task that lets others run, too. */
void a_yielding_task_can_be_cancelled() {
    auto body = []() -> kolk::task<void> {
        while (co_await kolk::nothrow(kolk::yield_now()))
            ;
        co_await kolk::fail(KOLK_ECANCELED);
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(body());
        (void)co_await kolk::yield_now();
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
    };
    CHECK(outcome_of(main()));
}

/* outcome_of() cancels what is left, and waits until it has ended. */
void run_cancels_what_is_left() {
    record seen;
    auto rest = [&]() -> kolk::task<void> {
        auto slept = co_await kolk::nothrow(kolk::sleep(1h));
        seen.add(slept.cancelled() ? "cancelled" : "slept");
        (void)co_await kolk::nothrow(kolk::sleep(1ms));
        seen.add("cleaned up");
    };
    auto main = [&]() -> kolk::task<int> {
        auto left = kolk::spawn(rest());
        (void)co_await kolk::yield_now();
        seen.add("over");
        co_return 3;
    };
    CHECK(*outcome_of(main()) == 3);
    CHECK_TEXT(seen.text, "over cancelled cleaned up");
}

/* A loop that is running on this thread runs no second one. */
void run_does_not_nest() {
    auto main = []() -> kolk::task<void> {
        CHECK(outcome_of(answer()).status() == KOLK_EBUSY);
        co_return;
    };
    CHECK(outcome_of(main()));
}

/* An error that nobody asked for goes to the loop's exception handler when the last handle is dropped. */
void an_unread_error_is_reported() {
    record seen;
    auto report = [](kolk_loop *, kolk_error *error, void *to) {
        static_cast<record *>(to)->add("%s", kolk_error_message(error));
    };
    auto main = [&]() -> kolk::task<void> {
        kolk_loop_set_exception_handler(kolk_loop_current(), report, &seen, nullptr);
        {
            auto read = kolk::spawn(fail_with_words());
            CHECK((co_await kolk::nothrow(read)).status() == KOLK_EREFUSED);
        }
        CHECK_TEXT(seen.text, "");
        { auto unread = kolk::spawn(fail_with_words()); }
        (void)co_await kolk::yield_now();
        (void)co_await kolk::yield_now();
        CHECK_TEXT(seen.text, "port 81 refused");
    };
    CHECK(outcome_of(main()));
}

/* A parked task costs what C needs and three words besides its variables. */
static_assert(sizeof(kolk::detail::promise<void>) <= 3 * sizeof(void *));
static_assert(sizeof(kolk::detail::promise<int>) <= 3 * sizeof(void *));

} // namespace

int main() {
    return run_rules({
        RULE(a_task_starts_when_it_is_awaited),
        RULE(a_task_that_is_not_awaited_runs_no_code),
        RULE(awaiting_a_task_is_a_call),
        RULE(neither_many_nor_nested_awaits_grow_the_stack),
        RULE(what_a_task_had_is_gone_when_it_is_over),
        RULE(a_spawned_task_starts_on_the_next_turn),
        RULE(yielding_lets_the_others_run_once),
        RULE(results_of_every_kind_come_back),
        RULE(what_can_only_be_moved_is_moved),
        RULE(c_sees_numbers_and_objects),
        RULE(a_future_gives_its_result_to_all_who_ask),
        RULE(pointers_of_c_can_be_awaited),
        RULE(a_future_is_kept_while_it_is_awaited),
        RULE(errors_arrive_with_their_words),
        RULE(fail_ends_a_task_at_once),
        RULE(what_a_failed_task_had_goes_inside_it),
        RULE(awaiting_a_result_unwraps_it),
        RULE(a_failed_beginning_is_told_when_awaited),
        RULE(a_task_cancelled_before_it_starts_runs_no_code),
        RULE(a_cancellation_arrives_at_the_co_await),
        RULE(a_swallowed_cancellation_is_over),
        RULE(a_yielding_task_can_be_cancelled),
        RULE(run_cancels_what_is_left),
        RULE(run_does_not_nest),
        RULE(an_unread_error_is_reported),
    });
}
