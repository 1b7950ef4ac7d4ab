/* A loop in steps, semaphores, and owners. */
#include "check.hpp"

#include <memory>
#include <thread>

namespace {

/* Callbacks may be anything that can be called and moved; each is destroyed once. */
void callbacks_are_called_once_and_destroyed() {
    record seen;
    auto loop = *kolk::loop::make();
    {
        auto kept = std::make_unique<mark>(seen, "soon");
        (void)loop.call_soon([&seen, kept = std::move(kept)] { seen.add("soon"); });
        auto handle = *loop.call_later(1h, [&seen, kept = mark(seen, "later")] { seen.add("later"); });
        CHECK(kolk_handle_cancel(handle.get()) == 0);
    }
    CHECK(loop.run_once() == 1);
    CHECK(loop.close() == 0);
    CHECK_TEXT(seen.text, "~later soon ~soon");
}

/* Another thread calls in. */
void another_thread_calls_in() {
    auto loop = *kolk::loop::make();
    bool called = false;
    std::thread other([&] { CHECK(loop.call_soon_threadsafe([&] { called = true, loop.stop(); }) == 0); });
    CHECK(loop.run_forever() == 0);
    other.join();
    CHECK(called);
    CHECK(loop.close() == 0);
}

/* run_until_complete() gives the outcome, of a task that is made for it, and of one that exists. */
void run_until_complete_gives_the_outcome() {
    auto loop = *kolk::loop::make();
    auto give = [](int value) -> kolk::task<int> {
        co_await co_await kolk::nothrow(kolk::sleep(1us));
        co_return value;
    };
    auto handle = loop.spawn(give(7));
    auto other = kolk::spawn(loop, give(8));
#if KOLK_CPP_EXCEPTIONS
    CHECK(loop.run_until_complete(handle) == 7);
    CHECK(loop.run_until_complete(other.as_future()) == 8);
    CHECK(loop.run_until_complete(give(9)) == 9);
#else
    CHECK(*loop.run_until_complete(handle) == 7);
    CHECK(*loop.run_until_complete(other.as_future()) == 8);
    CHECK(*loop.run_until_complete(give(9)) == 9);
#endif
    CHECK(loop.time() > 0ns);
    CHECK(loop.close() == 0);
}

/* What a task is made for may be of a type that can only be moved, and is never copied. */
void a_result_that_nobody_else_has_is_moved_out() {
    auto give = [](int value) -> kolk::task<std::unique_ptr<int>> { co_return std::make_unique<int>(value); };
    auto loop = *kolk::loop::make();
#if KOLK_CPP_EXCEPTIONS
    CHECK(*loop.run_until_complete(give(7)) == 7);
    CHECK(*kolk::run(give(8)) == 8);
#else
    CHECK(**loop.run_until_complete(give(7)) == 7);
    CHECK(**kolk::run(give(8)) == 8);
#endif
    CHECK(**kolk::run(kolk::nothrow(give(9))) == 9);
    CHECK(loop.close() == 0);
}

/* A loop that cannot be made says why. */
void a_loop_that_cannot_be_made_says_why() {
    kolk_loop_options options = {};
    options.size = sizeof options;
    options.reactor = "abacus";
    auto loop = kolk::loop::make(&options);
    CHECK(!loop && std::strstr(loop.message(), "abacus"));
    auto nothing = []() -> kolk::task<void> { co_return; };
    CHECK(!kolk::run(kolk::nothrow(nothing()), &options));
}

/* A task that outlives its loop is ended by it, and its handle says so. */
void closing_a_loop_ends_its_tasks() {
    record seen;
    auto loop = *kolk::loop::make();
    auto body = [](record &to) -> kolk::task<void> {
        mark here(to, "task");
        co_await co_await kolk::nothrow(kolk::sleep(1h));
    };
    auto handle = loop.spawn(body(seen));
    CHECK(loop.run_once() >= 0);
    CHECK(loop.close() == 0);
    CHECK_TEXT(seen.text, "~task");
    CHECK(handle.done() && handle.result(std::nothrow).cancelled());
}

/* At most so many at once; a permit goes back when it goes. */
void a_semaphore_lets_so_many_in() {
    int inside = 0, most = 0;
    auto main = [&]() -> kolk::task<void> {
        auto two = *kolk::semaphore::make(2);
        auto visit = [&](kolk::semaphore gate) -> kolk::task<void> {
            auto held = co_await kolk::nothrow(gate.acquire());
            CHECK(held);
            most = ++inside > most ? inside : most;
            (void)co_await kolk::nothrow(kolk::sleep(1ms));
            inside--;
        };
        auto all = co_await kolk::nothrow(kolk::gather(visit(two), visit(two), visit(two), visit(two), visit(two)));
        CHECK(all);
        CHECK(two.permits() == 2);
    };
    CHECK(outcome_of(main()));
    CHECK(most == 2);
}

/* One that is cancelled while it waits takes no permit with it, not even one that had just come. */
void no_permit_is_lost() {
    auto main = []() -> kolk::task<void> {
        auto one = *kolk::semaphore::make(1);
        auto held = *co_await kolk::nothrow(one.acquire());
        auto visit = [](kolk::semaphore gate) -> kolk::task<void> {
            auto mine = co_await kolk::nothrow(gate.acquire());
            if (!mine)
                co_await kolk::fail(mine.status());
        };
        auto waiting = kolk::spawn(visit(one)), granted = kolk::spawn(visit(one));
        (void)co_await kolk::nothrow(kolk::yield_now());
        waiting.cancel();
        CHECK((co_await kolk::nothrow(waiting)).cancelled());
        held.release();
        CHECK(!held);
        granted.cancel(); // its permit has come already
        (void)co_await kolk::nothrow(granted);
        { auto unused = one.acquire(); }
        CHECK(one.permits() == 1);
    };
    CHECK(outcome_of(main()));
}

/* Owners count: copies share, moves hand over, release() gives away. */
void owners_count_references() {
    auto loop = *kolk::loop::make();
    kolk_loop *object = loop.get();
    kolk::loop copy = loop, moved = std::move(loop);
    CHECK(!loop && copy == moved && moved.get() == object);
    kolk_loop *given_away = moved.release();
    CHECK(!moved && given_away == object);
    copy = kolk::loop(given_away);
    moved = kolk::share<kolk::loop>(object);
    CHECK(copy.close() == 0);
}

} // namespace

int main() {
    return run_rules({
        RULE(callbacks_are_called_once_and_destroyed),
        RULE(another_thread_calls_in),
        RULE(run_until_complete_gives_the_outcome),
        RULE(a_result_that_nobody_else_has_is_moved_out),
        RULE(a_loop_that_cannot_be_made_says_why),
        RULE(closing_a_loop_ends_its_tasks),
        RULE(a_semaphore_lets_so_many_in),
        RULE(no_permit_is_lost),
        RULE(owners_count_references),
    });
}
