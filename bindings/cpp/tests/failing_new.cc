/* The operators that frames and boxes come from, for tests in which memory is gone. Apart from the tests, as the real ones are:
 * gcc warns of pairs that it sees through. */
#include <cstdlib>
#include <new>

bool memory_is_gone = false;

void *operator new(size_t size, const std::nothrow_t &) noexcept { return memory_is_gone ? nullptr : std::malloc(size); }
void *operator new(size_t size) { return std::malloc(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
