#include "core/guest/guest.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/future/future.hh"
#include "core/guest/host_reactor.hh"

using namespace kolk;

namespace {

int refuse(int status, error *why, kolk_destroy_fn destroy, void *userdata, error **ret_error) noexcept {
    destroy_userdata(destroy, userdata);
    return deliver(why ? why : static_error(status), ret_error);
}

} // namespace

extern "C" {

int kolk_guest_new(kolk_loop *loop, const kolk_host_ops *ops, void *userdata, kolk_destroy_fn destroy,
                   const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) noexcept {
    static constexpr kolk_guest_options defaults = {};
    int status = check_open(loop);
    if (status == 0 && (!ops || ops->size < sizeof *ops || !ret_guest || !valid_options(options)))
        status = KOLK_EINVAL;
    if (status < 0)
        return refuse(status, nullptr, destroy, userdata, ret_error);
    if (loop->guest())
        return refuse(KOLK_EBUSY, make_error(KOLK_EBUSY, 0, nullptr, "the loop is a guest already"), destroy, userdata,
                      ret_error);
    const kolk_guest_options &chosen = options ? *options : defaults;
    if (chosen.max_ns < 0 || chosen.way > KOLK_GUEST_REACTOR)
        return refuse(KOLK_EINVAL,
                      make_error(KOLK_EINVAL, 0, nullptr,
                                 "a guest with the way %u and a budget of %lld ns: there is no such way, or time", chosen.way,
                                 static_cast<long long>(chosen.max_ns)),
                      destroy, userdata, ret_error);
    const char *reason = nullptr;
    uint32_t way = choose_way(*loop, *ops, chosen.way, reason);
    if (!way)
        return refuse(KOLK_ENOTSUP,
                      make_error(KOLK_ENOTSUP, 0, nullptr, "a loop on the reactor '%s' cannot be such a guest: %s",
                                 loop->selector().ops().name, reason),
                      destroy, userdata, ret_error);
    auto *made = loop->objects.create<kolk_guest>(*loop, *ops, userdata, destroy, chosen, way);
    status = made ? made->arrive() : int(KOLK_ENOMEM);
    if (status < 0) {
        if (made)
            made->unref();
        return refuse(status, nullptr, destroy, userdata, ret_error);
    }
    *ret_guest = made;
    return 0;
}

kolk_guest *kolk_guest_ref(kolk_guest *self) noexcept { return checked_ref(self); }
kolk_guest *kolk_guest_unref(kolk_guest *self) noexcept { return checked_unref(self); }
int kolk_guest_way(const kolk_guest *self) noexcept { return self ? int(self->way()) : int(KOLK_EINVAL); }
kolk_loop *kolk_guest_loop(const kolk_guest *self) noexcept { return self ? self->owner : nullptr; }

int kolk_guest_turn(kolk_guest *self) noexcept {
    int status = check(self);
    return status < 0 ? status : self->turn();
}

int kolk_guest_ready(kolk_guest *self, int fd, uint32_t events) noexcept {
    int status = check(self);
    return status < 0 ? status : self->ready(fd, events);
}

int kolk_guest_detach(kolk_guest *self) noexcept {
    int status = check_thread(self);
    if (status == 0)
        self->leave();
    return status;
}

const kolk_reactor_ops *kolk_host_reactor(void) noexcept { return &host_reactor; }

} // extern "C"
