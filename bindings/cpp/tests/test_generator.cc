/* Generators, for a range-for and for C. */
#include "check.hpp"

#include <memory>

#if KOLK_CPP_EXCEPTIONS
#include <stdexcept>
#endif

namespace {

kolk::generator<int> count(int to) {
    for (int i = 0; i < to; i++)
        co_yield i;
}

/* A range-for goes through the values; nothing is made before it is asked for. */
void a_range_for_goes_through_the_values() {
    record seen;
    auto words = [&]() -> kolk::generator<std::string> {
        mark here(seen, "generator");
        seen.add("made");
        co_yield std::string("one");
        seen.add("made");
        co_yield "two";
    };
    kolk::generator<std::string> lazy = words();
    seen.add("before");
    for (const std::string &each : lazy)
        seen.add("%s", each.c_str());
    CHECK_TEXT(seen.text, "before made one made two ~generator");
}

/* Left early, what it had goes with it. */
void one_that_is_left_early_is_cleaned_up() {
    record seen;
    auto forever = [&]() -> kolk::generator<int> {
        mark here(seen, "generator");
        for (int i = 0;; i++)
            co_yield i;
    };
    for (int i : forever())
        if (i == 3)
            break;
    CHECK_TEXT(seen.text, "~generator");
}

/* What cannot be copied is handed out by reference. */
void values_are_not_copied() {
    auto one = []() -> kolk::generator<std::unique_ptr<int>> { co_yield std::make_unique<int>(7); };
    int sum = 0;
    for (const auto &each : one())
        sum += *each;
    CHECK(sum == 7);
}

/* One without values, and one that never was, are empty. */
void none_are_none() {
    int seen = 0;
    for (int i : count(0))
        seen += i + 1;
    for (int i : kolk::generator<int>())
        seen += i + 1;
    CHECK(seen == 0);
}

/* Something to make coroutines on. */
struct stage {
    kolk::loop loop = *kolk::loop::make();
    kolk::coroutine made;

    ~stage() {
        made = {};
        CHECK(loop.close() == 0);
    }
    template <class T>
    kolk_coroutine *play(kolk::generator<T> from) {
        auto from_it = kolk::make_coroutine(loop.get(), std::move(from));
        CHECK(from_it);
        made = std::move(*from_it);
        return made.get();
    }
};

intptr_t number(void *value) { return reinterpret_cast<intptr_t>(value); }

/* C drives it by next: numbers are numbers, and it ends by returning. */
void c_drives_it_by_next() {
    stage here;
    kolk_coroutine *self = here.play(count(2));
    void *value = nullptr;
    CHECK(kolk_coroutine_get_state(self) == KOLK_COROUTINE_CREATED);
    CHECK(kolk_coroutine_next(self, &value) == KOLK_COROUTINE_YIELDED && number(value) == 0);
    CHECK(kolk_coroutine_next(self, &value) == KOLK_COROUTINE_YIELDED && number(value) == 1);
    CHECK(kolk_coroutine_next(self, &value) == KOLK_COROUTINE_RETURNED);
    CHECK(kolk_coroutine_next(self, &value) == KOLK_EEXITED);
}

/* What does not fit into a pointer is handed out as a pointer into the generator. */
void c_sees_what_is_large_by_pointer() {
    stage here;
    auto words = []() -> kolk::generator<std::string> { co_yield std::string("a string that is longer than a pointer"); };
    void *value = nullptr;
    CHECK(kolk_coroutine_next(here.play(words()), &value) == KOLK_COROUTINE_YIELDED);
    CHECK_TEXT(*static_cast<const std::string *>(value), "a string that is longer than a pointer");
}

/* co_yield gives what C sent. */
void co_yield_gives_what_was_sent() {
    stage here;
    auto sum = []() -> kolk::generator<intptr_t> {
        for (intptr_t total = 0;;)
            total += number(co_yield total);
    };
    kolk_coroutine *self = here.play(sum());
    void *value = nullptr;
    CHECK(kolk_coroutine_next(self, &value) == KOLK_COROUTINE_YIELDED && number(value) == 0);
    CHECK(kolk_coroutine_send(self, reinterpret_cast<void *>(5), &value) == KOLK_COROUTINE_YIELDED && number(value) == 5);
    CHECK(kolk_coroutine_send(self, reinterpret_cast<void *>(6), &value) == KOLK_COROUTINE_YIELDED && number(value) == 11);
}

/* Closed, it ends where it stands, and what it had goes. */
void closing_cleans_up() {
    record seen;
    {
        stage here;
        auto forever = [&]() -> kolk::generator<int> {
            mark inside(seen, "generator");
            for (;;)
                co_yield 1;
        };
        kolk_coroutine *self = here.play(forever());
        CHECK(kolk_coroutine_next(self, nullptr) == KOLK_COROUTINE_YIELDED);
        CHECK(kolk_coroutine_close(self) == 0);
        CHECK_TEXT(seen.text, "~generator");
        CHECK(kolk_coroutine_get_state(self) == KOLK_COROUTINE_CLOSED);
    }
    CHECK_TEXT(seen.text, "~generator");
}

/* Dropped while it is suspended, it is closed first. */
void dropping_closes() {
    record seen;
    {
        stage here;
        auto forever = [&]() -> kolk::generator<int> {
            mark inside(seen, "generator");
            for (;;)
                co_yield 1;
        };
        CHECK(kolk_coroutine_next(here.play(forever()), nullptr) == KOLK_COROUTINE_YIELDED);
    }
    CHECK_TEXT(seen.text, "~generator");
}

/* An error that is thrown in and not caught comes out again, with its words. */
void what_is_thrown_in_comes_out() {
    stage here;
    kolk_coroutine *self = here.play(count(9));
    kolk::error no_tea(KOLK_EIO, "no tea");
    CHECK(kolk_coroutine_next(self, nullptr) == KOLK_COROUTINE_YIELDED);
    CHECK(kolk_coroutine_throw(self, no_tea.get(), nullptr) == KOLK_EIO);
    CHECK_TEXT(kolk_error_message(kolk_coroutine_error(self)), "no tea");
}

#if KOLK_CPP_EXCEPTIONS

/* What the generator throws arrives at the loop, as it was. */
void what_it_throws_arrives_at_the_range_for() {
    auto broken = []() -> kolk::generator<int> {
        co_yield 1;
        throw std::out_of_range("no tea");
    };
    int last = 0;
    try {
        for (int i : broken())
            last = i;
        CHECK(!"thrown");
    } catch (const std::out_of_range &) {
        CHECK(last == 1);
    }
}

/* C gets it as an error. */
void what_it_throws_arrives_in_c() {
    stage here;
    auto broken = []() -> kolk::generator<int> {
        co_yield 1;
        throw std::out_of_range("no tea");
    };
    kolk_coroutine *self = here.play(broken());
    CHECK(kolk_coroutine_next(self, nullptr) == KOLK_COROUTINE_YIELDED);
    CHECK(kolk_coroutine_next(self, nullptr) == KOLK_EUNSPECIFIED);
    CHECK_TEXT(kolk_error_message(kolk_coroutine_error(self)), "no tea");
}

/* What C throws in is caught at the co_yield; who goes on goes on. */
void what_c_throws_in_is_caught_at_the_co_yield() {
    stage here;
    auto stubborn = []() -> kolk::generator<int> {
        for (int i = 0;; i++) {
            int status = 0;
            try {
                co_yield i;
            } catch (const kolk::error &e) {
                status = e.status();
            }
            if (status == KOLK_EEOF)
                co_return;
        }
    };
    kolk_coroutine *self = here.play(stubborn());
    void *value = nullptr;
    CHECK(kolk_coroutine_next(self, &value) == KOLK_COROUTINE_YIELDED && number(value) == 0);
    CHECK(kolk_coroutine_throw(self, kolk_error_of(KOLK_EIO), &value) == KOLK_COROUTINE_YIELDED && number(value) == 1);
    CHECK(kolk_coroutine_close(self) == KOLK_EYIELD);
    CHECK(kolk_coroutine_throw(self, kolk_error_of(KOLK_EEOF), &value) == KOLK_COROUTINE_RETURNED);
}

#endif

} // namespace

int main() {
    return run_rules({
        RULE(a_range_for_goes_through_the_values), RULE(one_that_is_left_early_is_cleaned_up), RULE(values_are_not_copied),
            RULE(none_are_none), RULE(c_drives_it_by_next), RULE(c_sees_what_is_large_by_pointer),
            RULE(co_yield_gives_what_was_sent), RULE(closing_cleans_up), RULE(dropping_closes),
            RULE(what_is_thrown_in_comes_out),
#if KOLK_CPP_EXCEPTIONS
            RULE(what_it_throws_arrives_at_the_range_for), RULE(what_it_throws_arrives_in_c),
            RULE(what_c_throws_in_is_caught_at_the_co_yield),
#endif
    });
}
