/* What a loop can run: anything that is put on its ready queue. */
#pragma once

#include "core/intrusive_list.hh"

namespace kolk {

struct ready_item : link<> {
    /* Runs it. When the loop is closing, tasks unwind, but no callback of the user's runs any more: it only is released. */
    void (*run)(ready_item &self, bool closing) noexcept;

    explicit ready_item(void (*fn)(ready_item &, bool) noexcept) noexcept : run(fn) {}
};

using ready_queue = list<ready_item>;

} // namespace kolk
