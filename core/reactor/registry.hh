/* Which reactors there are, by name: built into the library, registered by the program, modules in the library's directory.
 *
 * The tables handed out are the library's own and of full size, also when a plugin was compiled against a shorter one, and
 * stay where they are for the life of the process. Any thread may ask; nothing here allocates. */
#pragma once

#include "core/error.hh"

#include <kolk/reactor.h>

namespace kolk {

/* The names of those that open here, the default order first. Returns how many there are. */
[[nodiscard]] int reactor_names(const char **ret_names, uint32_t capacity) noexcept;

[[nodiscard]] int find_reactor(const char *name, const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept;

/* The one named by KOLK_REACTOR, or the first built-in one that opens here. */
[[nodiscard]] int find_default_reactor(const kolk_reactor_ops *&ret_ops, error **ret_error) noexcept;

[[nodiscard]] int register_reactor(const kolk_reactor_ops *ops, error **ret_error) noexcept;

} // namespace kolk
