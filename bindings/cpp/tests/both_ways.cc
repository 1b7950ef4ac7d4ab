/* One program whose parts were compiled with exceptions and without: their tasks await each other. */
#include "both_ways.hpp"
#include "check.hpp"

namespace {

kolk::task_handle<int> returning(int value) {
    kolk_task *made = nullptr;
    int status = start_returning(kolk_loop_current(), value, &made);
    return kolk::task_handle<int>::made(status, made);
}

kolk::task_handle<int> adding_to(const kolk::task_handle<int> &before) {
    kolk_task *made = nullptr;
    int status = start_adding(kolk_loop_current(), before.get(), &made);
    return kolk::task_handle<int>::made(status, made);
}

/* Values go back and forth. */
void values_pass_between_both() {
    auto thrower = []() -> kolk::task<int> {
        co_await kolk::sleep(1us);
        co_return co_await returning(7) + 1;
    };
    auto main = [&]() -> kolk::task<int> { co_return co_await adding_to(kolk::spawn(thrower())); };
    CHECK(kolk::run(main()) == 9);
}

/* So do errors: what one returns the other throws, and what one throws the other returns. */
void errors_pass_between_both() {
    auto thrower = []() -> kolk::task<int> {
        try {
            co_await returning(0);
            CHECK(!"thrown");
        } catch (const kolk::error &e) {
            CHECK_TEXT(e.what(), "nothing to give");
        }
        throw kolk::error(KOLK_EPIPE, "no tea");
    };
    auto main = [&]() -> kolk::task<int> { co_return co_await adding_to(kolk::spawn(thrower())); };
    CHECK_TEXT(outcome_of(main()).message(), "no tea");
}

} // namespace

int main() { return run_rules({RULE(values_pass_between_both), RULE(errors_pass_between_both)}); }
