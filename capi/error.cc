#include "core/error.hh"

using namespace kolk;

extern "C" {

const char *kolk_status_name(int status) noexcept { return status_name(status); }
const char *kolk_status_message(int status) noexcept { return status_message(status); }

int kolk_error_new(int status, const char *message, kolk_error *cause, kolk_error **ret_error) noexcept {
    if (!ret_error)
        return KOLK_EINVAL;
    status = status < 0 ? status : int(KOLK_EUNSPECIFIED);
    *ret_error = make_error(status, 0, cause, "%s", message ? message : status_message(status));
    return (*ret_error)->bytes ? 0 : KOLK_ENOMEM;
}

kolk_error *kolk_error_of(int status) noexcept { return static_error(status); }
kolk_error *kolk_error_ref(kolk_error *self) noexcept { return ref(self); }
kolk_error *kolk_error_unref(kolk_error *self) noexcept { return unref(self); }

int kolk_error_status(const kolk_error *self) noexcept { return self ? self->status : 0; }
const char *kolk_error_message(const kolk_error *self) noexcept { return self ? self->message : status_message(0); }
int kolk_error_os(const kolk_error *self) noexcept { return self ? self->os : 0; }
kolk_error *kolk_error_cause(const kolk_error *self) noexcept { return self ? self->cause : nullptr; }

} // extern "C"
