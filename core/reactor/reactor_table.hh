/* The table a reactor consists of: how it is called, and whether one that somebody else made can be used. */
#pragma once

#include "core/error.hh"

#include <kolk/reactor.h>

#include <stddef.h>

namespace kolk {

/* What hands out a table: built in or exported by a module, it is the same function. */
using reactor_entry = int (*)(const kolk_reactor_ops **);

constexpr size_t longest_reactor_name = 64;

[[nodiscard]] bool is_reactor_name(const char *text) noexcept;

/* What a message can show of text that was given for a name or a path and may hold anything. */
struct printable {
    char text[longest_reactor_name + 4];

    explicit printable(const char *from) noexcept;
};

/* Checks a table that somebody else made, and copies what it has into one of full size. @c origin says in the message where it
 * is from: a path, "the table". */
[[nodiscard]] int copy_reactor(const kolk_reactor_ops *ops, const char *origin, kolk_reactor_ops &ret_copy,
                               error **ret_error) noexcept;

} // namespace kolk
