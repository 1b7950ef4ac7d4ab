#include "core/platform/symbol.hh"

#include <stdio.h>
#include <string.h>

#include <dlfcn.h>

namespace kolk {

void name_of_symbol(const void *address, char *ret_text, size_t size) noexcept {
    if (size == 0)
        return;
    *ret_text = 0;
    Dl_info info;
    if (!address)
        return;
    if (!dladdr(address, &info)) {
        snprintf(ret_text, size, "%p", address);
        return;
    }
    const char *file = info.dli_fname ? info.dli_fname : "?";
    if (const char *slash = strrchr(file, '/'))
        file = slash + 1;
    auto distance = [&](const void *from) {
        return size_t(static_cast<const char *>(address) - static_cast<const char *>(from));
    };
    if (info.dli_sname)
        snprintf(ret_text, size, "%s+0x%zx", info.dli_sname, distance(info.dli_saddr));
    else
        snprintf(ret_text, size, "%s+0x%zx", file, distance(info.dli_fbase));
}

} // namespace kolk
