#include "core/loop/handle.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

kolk_handle *kolk_handle_ref(kolk_handle *self) noexcept { return checked_ref(self); }
kolk_handle *kolk_handle_unref(kolk_handle *self) noexcept { return checked_unref(self); }

int kolk_handle_cancel(kolk_handle *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->cancel();
}

int kolk_handle_cancelled(const kolk_handle *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->at == kolk_handle::stage::cancelled;
}

int64_t kolk_handle_when(const kolk_handle *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : self->when;
}

} // extern "C"
