/* Modules: files that hold a reactor, and what makes one fit to be let into this process.
 *
 * A file is looked at before the dynamic loader gets it: who may write to it, and whether all is there that its headers
 * promise. It is opened twice: first so that what is refused can be unloaded again, then so that what was accepted stays for
 * the life of the process, and with it its table, which is a full-sized copy of the module's. A file is known by device and
 * inode, and loaded once however it is called. Any thread may ask; no lock is held while code of a module runs. */
#pragma once

#include "core/error.hh"

#include <kolk/reactor.h>

namespace kolk {

/* @c path must be absolute. @c name is what the reactor must be called, or nullptr for any. */
[[nodiscard]] int load_reactor(const char *path, const char *name, const kolk_reactor_ops *&ret_ops,
                               error **ret_error) noexcept;

} // namespace kolk
