#include "core/error.hh"

using namespace kolk;

extern "C" {

const char *kolk_status_name(int status) noexcept { return status_name(status); }
const char *kolk_status_message(int status) noexcept { return status_message(status); }

int kolk_error_new(int status, const char *message, kolk_error *cause, kolk_error **ret_error) noexcept {
    return kolk_error_new_at(status, message, cause, nullptr, ret_error);
}

int kolk_error_new_at(int status, const char *message, kolk_error *cause, const char *location,
                      kolk_error **ret_error) noexcept {
    if (!ret_error)
        return KOLK_EINVAL;
    *ret_error = make_error_at(status < 0 ? status : int(KOLK_EUNSPECIFIED), cause, location, message);
    return (*ret_error)->bytes ? 0 : KOLK_ENOMEM;
}

kolk_error *kolk_error_of(int status) noexcept { return static_error(status); }
kolk_error *kolk_error_ref(kolk_error *self) noexcept { return ref(self); }
kolk_error *kolk_error_unref(kolk_error *self) noexcept { return unref(self); }

int kolk_error_status(const kolk_error *self) noexcept { return self ? self->status : 0; }
const char *kolk_error_message(const kolk_error *self) noexcept { return self ? self->message : status_message(0); }
int kolk_error_os(const kolk_error *self) noexcept { return self ? self->os : 0; }
kolk_error *kolk_error_cause(const kolk_error *self) noexcept { return self ? self->cause : nullptr; }
const char *kolk_error_location(const kolk_error *self) noexcept { return self ? self->location : ""; }
const char *kolk_error_task(const kolk_error *self) noexcept { return self ? self->task : ""; }

int kolk_error_format(const kolk_error *self, char *text, size_t size) noexcept {
    return text || size == 0 ? int(format_error(self, text, size)) : int(KOLK_EINVAL);
}

} // extern "C"
