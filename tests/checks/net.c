/* Tests the net itself: a test that does wrong must not pass.
 *
 *     net FAULT
 *
 * runs one test with that fault. The build file says of each whether it has to fail; the sound one has to pass, or the failures
 * of the others would mean nothing. */
#include "support/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void sound(void **state) {
    struct fixture *f = *state;
    record(f, "a");
    assert_record(f, "a");
}

static void assertion(void **state) {
    struct fixture *f = *state;
    record(f, "a");
    assert_record(f, "b");
}

static void abortion(void **state) {
    (void)state;
    abort();
}

/* A test that ends the program early would hide all that come after it. */
static void early_exit(void **state) {
    (void)state;
    exit(0);
}

static void open_descriptor(void **state) {
    (void)state;
    assert_true(dup(STDIN_FILENO) >= 0);
}

/* A future that is never dropped holds memory of the loop. */
static void kept_future(void **state) {
    struct fixture *f = *state;
    new_future(f);
}

static void wrong_size(void **state) {
    struct fixture *f = *state;
    void *memory = f->memory.hook.allocate(f->memory.hook.userdata, 8);
    f->memory.hook.release(f->memory.hook.userdata, memory, 16);
}

/* Only a sanitizer sees this one. */
static void lost_memory(void **state) {
    (void)state;
    char *volatile memory = malloc(64);
    assert_non_null(memory);
    memory = NULL;
}

static const struct rule faults[] = {
    RULE(sound),           RULE(assertion),   RULE(abortion),   RULE(early_exit),
    RULE(open_descriptor), RULE(kept_future), RULE(wrong_size), RULE(lost_memory),
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < COUNT(faults); i++)
        if (argc == 2 && strcmp(argv[1], faults[i].name) == 0)
            return run_plain("net", &faults[i], 1);
    // An unknown fault must not look like one that was noticed.
    fprintf(stderr, "usage: net FAULT\n");
    return 0;
}
