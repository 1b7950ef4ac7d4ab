#include "core/loop/watchdog.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

int kolk_loop_watch_stalls(kolk_loop *self, int64_t threshold_ns, kolk_stall_fn fn, void *userdata,
                           kolk_destroy_fn destroy) noexcept {
    constexpr int64_t shortest = 1'000'000;
    int status = check_open(self);
    if (status == 0 && fn)
        status = threshold_ns >= shortest ? watch_stalls(*self, threshold_ns, fn, userdata, destroy) : int(KOLK_EINVAL);
    else if (status == 0)
        unwatch_stalls(*self);
    return status < 0 || !fn ? refuse(status, destroy, userdata) : 0;
}

} // extern "C"
