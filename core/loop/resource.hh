/* What a loop must let go of when it closes, and is not on its ready queue or timer wheel: pending operations, watched
 * descriptors, servers. */
#pragma once

#include "core/intrusive_list.hh"

namespace kolk {

struct resource_tag;

struct resource : link<resource_tag> {
    /* Called once, when the loop closes; this is in no list any more. May free this. */
    void (*drop)(resource &self) noexcept;

    explicit resource(void (*fn)(resource &) noexcept) noexcept : drop(fn) {}
};

using resource_list = list<resource, resource_tag>;

} // namespace kolk
