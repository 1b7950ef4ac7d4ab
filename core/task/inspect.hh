/* What can be said about a task, and about all of them. */
#pragma once

#include "core/task/task.hh"

#include <kolk/inspect.h>

namespace kolk {

[[nodiscard]] kolk_task_state state_of(const task &self) noexcept;
/* Who awaits it, or else the task whose group it is in; nullptr: nobody. */
[[nodiscard]] task *parent_of(const task &self) noexcept;
void describe(const task &self, kolk_task_info &ret_info) noexcept;

/* The length of the whole text; what fits is in it. */
[[nodiscard]] int format_tasks(loop &on, char *text, size_t size) noexcept;

} // namespace kolk
