#include "core/reactor/registry.hh"

#include "core/reactor/module.hh"

#include <kolk/registry.h>

using namespace kolk;

extern "C" {

int kolk_reactor_names(const char **ret_names, uint32_t capacity) noexcept {
    return capacity && !ret_names ? int(KOLK_EINVAL) : reactor_names(ret_names, capacity);
}

int kolk_reactor_find(const char *name, const kolk_reactor_ops **ret_ops, kolk_error **ret_error) noexcept {
    return ret_ops ? find_reactor(name, *ret_ops, ret_error) : deliver(kolk_error_of(KOLK_EINVAL), ret_error);
}

int kolk_reactor_load(const char *path, const kolk_reactor_ops **ret_ops, kolk_error **ret_error) noexcept {
    return ret_ops ? load_reactor(path, nullptr, *ret_ops, ret_error) : deliver(kolk_error_of(KOLK_EINVAL), ret_error);
}

int kolk_reactor_register(const kolk_reactor_ops *ops, kolk_error **ret_error) noexcept {
    return register_reactor(ops, ret_error);
}

} // extern "C"
