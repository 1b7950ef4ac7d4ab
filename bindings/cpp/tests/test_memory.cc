/* Coroutines whose frames find no room. */
#include "check.hpp"

/* In failing_new.cc, from where frames and boxes come. */
extern bool memory_is_gone;

namespace {

kolk::task<int> answer() { co_return 42; }

/* Without memory for its frame a call returns nothing, and awaiting that fails; so does a result that finds no room. */
void a_task_without_memory_fails() {
    auto text = []() -> kolk::task<std::string> {
        memory_is_gone = true;
        co_return std::string();
    };
    auto main = [&]() -> kolk::task<void> {
        memory_is_gone = true;
        auto none = answer();
        auto unspawned = kolk::spawn(answer());
        memory_is_gone = false;
        CHECK(!none && !unspawned);
        CHECK((co_await kolk::nothrow(std::move(none))).status() == KOLK_ENOMEM);
        CHECK((co_await kolk::nothrow(unspawned)).status() == KOLK_ENOMEM);
        auto boxed = co_await kolk::nothrow(kolk::spawn(text()));
        memory_is_gone = false;
        CHECK(boxed.status() == KOLK_ENOMEM);
    };
    CHECK(outcome_of(main()));
}

} // namespace

int main() {
    return run_rules({
        RULE(a_task_without_memory_fails),
    });
}
