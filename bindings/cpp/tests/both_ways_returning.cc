#include "both_ways.hpp"

#include <kolk/kolk.hpp>

#if KOLK_CPP_EXCEPTIONS
#error "this half is about programs without exceptions"
#endif

using namespace std::chrono_literals;

namespace {

kolk::task<int> give(int value) {
    kolk::result<void> slept = co_await kolk::sleep(1us);
    if (!slept)
        co_return slept.error();
    if (value == 0)
        co_return kolk::error(KOLK_EIO, "nothing to give");
    co_return value;
}

kolk::task<int> add_one(kolk::future<int> to) {
    kolk::result<int> value = co_await to;
    if (!value)
        co_return value.error();
    co_return *value + 1;
}

int hand_out(const kolk::task_handle<int> &made, kolk_task **ret_task) {
    *ret_task = kolk_task_ref(made.task());
    return made.begin_status();
}

} // namespace

int start_returning(kolk_loop *loop, int value, kolk_task **ret_task) {
    return hand_out(kolk::spawn(loop, give(value)), ret_task);
}

int start_adding(kolk_loop *loop, kolk_future *future, kolk_task **ret_task) {
    return hand_out(kolk::spawn(loop, add_one(kolk::future<int>(kolk_future_ref(future)))), ret_task);
}
