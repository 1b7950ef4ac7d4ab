/* Takes the address of every public function, as a program in C that is linked against the library does, and calls those that
 * can be called with nothing. public_functions.h has one line FUNCTION(name) for each listed name. */
#include <kolk/kolk.h>

#include <stdio.h>

typedef void (*any_function)(void);

static const struct {
    const char *name;
    any_function function;
} functions[] = {
#define FUNCTION(name) {#name, (any_function)name},
#include "public_functions.h"
#undef FUNCTION
};

int main(void) {
    size_t count = sizeof functions / sizeof *functions;
    for (size_t i = 0; i < count; i++)
        for (size_t other = 0; other < i; other++)
            if (functions[i].function == functions[other].function) {
                printf("%s and %s are one function\n", functions[i].name, functions[other].name);
                return 1;
            }
    uint32_t expected = KOLK_VERSION_MAJOR * 1000000 + KOLK_VERSION_MINOR * 1000 + KOLK_VERSION_PATCH;
    if (kolk_version() != expected) {
        printf("the library is version %u, its headers are version %u\n", (unsigned)kolk_version(), (unsigned)expected);
        return 1;
    }
    return 0;
}
