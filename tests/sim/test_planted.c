/* A suite with a mistake that only some seeds find, for the test of the campaign. */
#include "support/driver.h"

#include <unistd.h>

enum { READERS = 4 };

struct reader {
    struct fixture *f;
    int pair[2];
    int number;
};

static void note(void *userdata) {
    struct reader *r = userdata;
    record(r->f, "%d", r->number);
    kolk_loop_remove_reader(r->f->loop, r->pair[0]);
}

/* All can be read at once; the record says in which order they were told. */
static void read_all(struct fixture *f) {
    struct reader readers[READERS];
    int status = 0;
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.f = f, .number = i};
        open_pair(readers[i].pair);
        status |= kolk_loop_add_reader(f->loop, readers[i].pair[0], note, &readers[i], NULL);
        status |= write(readers[i].pair[1], "x", 1) != 1;
    }
    drive_during(f, MS);
    for (int i = 0; i < READERS; i++)
        close_pair(readers[i].pair);
    assert_int_equal(status, 0);
}

/* Nobody promises an order among descriptors that are ready together: this rule is wrong, and holds for most seeds. */
static void the_last_is_never_first(void **state) {
    struct fixture *f = *state;
    read_all(f);
    assert_true(f->record[0] != '3');
}

/* This one is right. */
static void each_is_told_once(void **state) {
    struct fixture *f = *state;
    read_all(f);
    assert_int_equal(strlen(f->record), READERS * 2 - 1);
    for (char number = '0'; number < '0' + READERS; number++)
        assert_non_null(strchr(f->record, number));
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(the_last_is_never_first),
        RULE(each_is_told_once),
    };
    return run_matrix("planted", rules, COUNT(rules));
}
