/* add_reader and add_writer: callbacks for as long as a descriptor is ready. */
#pragma once

#include "core/loop/loop.hh"

namespace kolk {

enum class direction : uint8_t { read, write };

/* 0 or a status; replaces what was there. The descriptor is known to be one that can be waited for. */
[[nodiscard]] int add_callback(loop &on, int fd, direction way, kolk_callback_fn fn, void *userdata,
                               kolk_destroy_fn destroy) noexcept;

/* Whether there was one. */
bool remove_callback(loop &on, int fd, direction way) noexcept;

} // namespace kolk
