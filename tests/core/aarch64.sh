#!/bin/sh
# Builds the fiber test for aarch64, with each back end, and runs it in an emulator. Exits with 77, which means skipped, where
# the Debian packages g++-aarch64-linux-gnu and qemu-user are missing.
#
# CMocka does not exist for the foreign processor, so as much of it as the test uses is written down here.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
prefix=aarch64-linux-gnu
command -v $prefix-g++ >/dev/null || { echo "no $prefix-g++"; exit 77; }
emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || { echo "no qemu-aarch64"; exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/cmocka.h" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct CMUnitTest {
    const char *name;
    void (*run)(void **);
    int (*set_up)(void **), (*tear_down)(void **);
};
#define cmocka_unit_test_setup_teardown(run, set_up, tear_down) {#run, run, set_up, tear_down}
#define assert_true(that)                                                                                                      \
    ((that) ? (void)0 : (printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #that), fflush(stdout), abort()))
#define assert_false(that) assert_true(!(that))
#define assert_int_equal(one, other) assert_true((one) == (other))
#define assert_string_equal(one, other) assert_true(strcmp(one, other) == 0)
#define cmocka_run_group_tests(tests, before, after) run_all(tests, sizeof tests / sizeof tests[0])
static int run_all(const CMUnitTest *tests, size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *state = nullptr;
        assert_true(tests[i].set_up(&state) == 0);
        tests[i].run(&state);
        assert_true(tests[i].tear_down(&state) == 0);
        printf("ok %s\n", tests[i].name);
    }
    return 0;
}
END

cd "$root"
compile="$prefix-g++ -std=c++20 -O2 -Wall -Wextra -Werror -fstack-clash-protection -I. -Icapi/include"
$compile -fno-exceptions -fno-rtti -fno-threadsafe-statics -c core/coroutine/fiber.cc -o "$work/fiber.o"
$compile -fno-exceptions -fno-rtti -fno-threadsafe-statics -c core/coroutine/stack_pool.cc -o "$work/stack_pool.o"
$compile -fno-exceptions -fno-rtti -c core/coroutine/switch_ucontext.cc -o "$work/ucontext.o"
$prefix-gcc -c core/coroutine/switch_aarch64.S -o "$work/assembly.o"
$compile -I"$work" -c tests/core/test_fiber.cc -o "$work/test_fiber.o"

# Landing pads must be announced, or the linker turns their protection off for the whole program.
$prefix-readelf -n "$work/assembly.o" | grep -q 'AArch64 feature: BTI'

for backend in assembly ucontext; do
    $compile -static "$work/test_fiber.o" "$work/fiber.o" "$work/$backend.o" -o "$work/test_fiber"
    echo "# $backend"
    "$emulator" "$work/test_fiber"
done
