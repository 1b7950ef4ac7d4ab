/* What changes where exceptions are on: co_await throws, what is thrown passes through, and leaves as an error. */
#include "check.hpp"

#include <memory>
#include <stdexcept>
#include <vector>

namespace {

kolk::task<int> throw_tea() {
    co_await kolk::yield_now();
    throw std::out_of_range("no tea");
}

kolk::task<void> fail_with_words() { co_await kolk::fail(kolk::error(KOLK_EREFUSED, "port 81 refused")); }

/* Values come out of co_await as they are. */
void values_come_as_they_are() {
    auto give = []() -> kolk::task<std::string> { co_return "tea"; };
    auto main = [&]() -> kolk::task<std::string> {
        auto beside = kolk::spawn(give());
        co_await kolk::sleep(1us);
        co_return co_await give() + co_await beside + co_await std::move(beside);
    };
    CHECK_TEXT(kolk::run(main()), "teateatea");
}

/* An exception passes from task to task as it was thrown, while they are called. */
void an_exception_passes_through_awaits_as_it_was_thrown() {
    record seen;
    auto middle = [&]() -> kolk::task<int> {
        mark here(seen, "middle");
        co_return co_await throw_tea();
    };
    auto main = [&]() -> kolk::task<void> {
        try {
            co_await middle();
            CHECK(!"thrown");
        } catch (const std::out_of_range &e) {
            seen.add("%s", e.what());
        }
    };
    kolk::run(main());
    CHECK_TEXT(seen.text, "~middle no tea");
}

/* One that leaves a spawned task becomes its error, for C++ and for C. */
void an_exception_that_leaves_a_task_is_its_error() {
    auto main = []() -> kolk::task<void> {
        auto beside = kolk::spawn(throw_tea());
        try {
            co_await beside;
            CHECK(!"thrown");
        } catch (const kolk::error &e) {
            CHECK(e.status() == KOLK_EUNSPECIFIED && e.code().category() == kolk::category());
            CHECK_TEXT(e.what(), "no tea");
        }
        CHECK(kolk_task_result(beside.task(), nullptr) == KOLK_EUNSPECIFIED);
        CHECK_TEXT(kolk_error_message(kolk_task_error(beside.task())), "no tea");
    };
    kolk::run(main());
}

template <class Thrown>
kolk::result<void> ended_by(Thrown thrown) {
    auto main = [](Thrown what) -> kolk::task<void> {
        throw what;
        co_return;
    };
    return outcome_of(main(thrown));
}

/* Exceptions that have a code keep it; whatever else is thrown has words. */
void exceptions_become_the_nearest_status() {
    CHECK(ended_by(kolk::error(KOLK_EPIPE)).status() == KOLK_EPIPE);
    CHECK(ended_by(std::bad_alloc()).status() == KOLK_ENOMEM);
    CHECK(ended_by(std::system_error(std::make_error_code(std::errc::connection_refused))).status() == KOLK_EREFUSED);
    CHECK(ended_by(std::system_error(kolk::code_of(KOLK_EEOF))).status() == KOLK_EEOF);
    CHECK(ended_by(7).status() == KOLK_EUNSPECIFIED);
    CHECK_TEXT(ended_by(7).message(), "something was thrown that is no std::exception");
    CHECK_TEXT(ended_by(kolk::error(KOLK_EIO, "no tea", kolk::error(KOLK_ENOENT))).error().what(), "no tea");
}

/* Errors of kolk are thrown with status and words; nothrow() gives them as a result. */
void errors_are_thrown_unless_asked_not_to() {
    auto main = []() -> kolk::task<void> {
        try {
            co_await fail_with_words();
            CHECK(!"thrown");
        } catch (const kolk::error &e) {
            CHECK(e.code() == std::errc::connection_refused);
            CHECK_TEXT(e.what(), "port 81 refused");
        }
        auto ended = co_await kolk::nothrow(fail_with_words());
        CHECK(ended.status() == KOLK_EREFUSED);
        auto thrown = co_await kolk::nothrow(throw_tea());
        CHECK_TEXT(thrown.message(), "no tea");
    };
    kolk::run(main());
}

/* run() and result() throw too. */
void run_and_result_throw() {
    try {
        kolk::run(fail_with_words());
        CHECK(!"thrown");
    } catch (const kolk::error &e) {
        CHECK(e.status() == KOLK_EREFUSED);
    }
    try {
        kolk::task_handle<int>().result();
        CHECK(!"thrown");
    } catch (const kolk::error &e) {
        CHECK(e.status() == KOLK_EINVAL);
    }
    try {
        kolk::result<int>(kolk::error(KOLK_EBUSY)).value();
        CHECK(!"thrown");
    } catch (const kolk::error &e) {
        CHECK(e.status() == KOLK_EBUSY);
    }
}

/* A cancellation is thrown where the task waits, unwinds it from the inside out, and is no failure. */
void a_cancellation_unwinds_from_the_inside_out() {
    record seen;
    auto inner = [&]() -> kolk::task<void> {
        mark here(seen, "inner");
        co_await kolk::sleep(1h);
    };
    auto outer = [&]() -> kolk::task<void> {
        mark here(seen, "outer");
        try {
            co_await inner();
        } catch (const kolk::error &e) {
            seen.add(e.cancelled() ? "cancelled" : "failed");
            throw;
        }
    };
    auto main = [&]() -> kolk::task<void> {
        auto handle = kolk::spawn(outer());
        co_await kolk::yield_now();
        handle.cancel();
        CHECK((co_await kolk::nothrow(handle)).cancelled());
        CHECK(kolk_future_cancelled(handle.get()) == 1);
    };
    kolk::run(main());
    CHECK_TEXT(seen.text, "~inner cancelled ~outer");
}

/* An exception keeps its type through scopes and groups that are run as part of the task. */
void scopes_and_groups_let_exceptions_through_as_they_are() {
    auto main = []() -> kolk::task<void> {
        int caught = 0;
        try {
            co_await kolk::wait_for(throw_tea(), 1h);
        } catch (const std::out_of_range &) {
            caught++;
        }
        try {
            co_await kolk::with_task_group([](kolk::task_group &) -> kolk::task<void> { co_await throw_tea(); });
        } catch (const std::out_of_range &) {
            caught++;
        }
        CHECK(caught == 2);
    };
    kolk::run(main());
}

/* What a destructor throws after co_return replaces the value. */
void an_exception_after_co_return_replaces_the_value() {
    struct thrower {
        ~thrower() noexcept(false) { throw std::runtime_error("late"); }
    };
    auto inner = []() -> kolk::task<std::string> {
        thrower here;
        co_return std::string("a value that is too long for a pointer");
    };
    auto main = [&]() -> kolk::task<void> { CHECK_TEXT((co_await kolk::nothrow(inner())).message(), "late"); };
    kolk::run(main());
}

/* Exceptions in flight in one task do not mix with those of another, which runs meanwhile. */
void tasks_may_wait_while_they_handle_an_exception() {
    auto body = [](const char *words) -> kolk::task<std::string> {
        std::exception_ptr kept;
        try {
            throw std::runtime_error(words);
        } catch (...) {
            kept = std::current_exception();
        }
        for (int i = 0; i < 3; i++)
            co_await kolk::yield_now();
        try {
            std::rethrow_exception(kept);
        } catch (const std::exception &e) {
            co_return e.what();
        }
    };
    auto main = [&]() -> kolk::task<void> {
        auto [a, b] = co_await kolk::gather(body("a"), body("b"));
        CHECK_TEXT(a + b, "ab");
    };
    kolk::run(main());
}

} // namespace

int main() {
    return run_rules({
        RULE(values_come_as_they_are),
        RULE(an_exception_passes_through_awaits_as_it_was_thrown),
        RULE(an_exception_that_leaves_a_task_is_its_error),
        RULE(exceptions_become_the_nearest_status),
        RULE(errors_are_thrown_unless_asked_not_to),
        RULE(run_and_result_throw),
        RULE(a_cancellation_unwinds_from_the_inside_out),
        RULE(scopes_and_groups_let_exceptions_through_as_they_are),
        RULE(an_exception_after_co_return_replaces_the_value),
        RULE(tasks_may_wait_while_they_handle_an_exception),
    });
}
