/* What an address of code is called. */
#pragma once

#include <stddef.h>

namespace kolk {

/* The nearest symbol that is exported, and how far from it; or else the file that the code is in, and where. Always ended by
 * NUL; empty for nullptr. */
void name_of_symbol(const void *address, char *ret_text, size_t size) noexcept;

} // namespace kolk
