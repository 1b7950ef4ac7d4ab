#include <kolk/api.h>

extern "C" uint32_t kolk_version(void) noexcept {
    return KOLK_VERSION_MAJOR * 1000000u + KOLK_VERSION_MINOR * 1000u + KOLK_VERSION_PATCH;
}
