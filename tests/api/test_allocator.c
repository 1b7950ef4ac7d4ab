/* Where memory comes from, and that it goes back there. */
#include "support/driver.h"

static void nothing(void *userdata) { (void)userdata; }

static kolk_loop *loop_with(const kolk_allocator *allocator) {
    kolk_loop_options options = {.size = sizeof options, .allocator = allocator};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    return loop;
}

static void end_loop(kolk_loop *loop) {
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

/* Everything made on a loop comes from the loop's allocator, and nothing from the process default. */
static void a_loop_takes_all_its_memory_from_its_own_allocator(void **state) {
    (void)state;
    struct failing_allocator own, process;
    failing_allocator_init(&own);
    failing_allocator_init(&process);
    assert_int_equal(kolk_set_default_allocator(&process.hook), 0);
    kolk_loop *loop = loop_with(&own.hook);
    kolk_future *future = NULL;
    assert_int_equal(kolk_future_new(loop, &future), 0);
    assert_int_equal(kolk_loop_call_soon(loop, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, SECOND, nothing, NULL, NULL, NULL), 0);
    size_t taken_from_process = failing_allocator_live_blocks(&process);
    size_t taken_from_own = failing_allocator_disarm(&own);
    kolk_future_unref(future);
    end_loop(loop);
    kolk_set_default_allocator(NULL);

    assert_int_equal(taken_from_process, 0);
    assert_true(taken_from_own > 0);
    assert_int_equal(failing_allocator_live_blocks(&own), 0);
    assert_int_equal(failing_allocator_mistakes(&own), 0);
}

/* A loop whose options name no allocator takes the process default. */
static void a_loop_without_an_allocator_takes_the_default(void **state) {
    (void)state;
    struct failing_allocator process;
    failing_allocator_init(&process);
    assert_int_equal(kolk_set_default_allocator(&process.hook), 0);
    kolk_loop *loop = loop_with(NULL);
    assert_true(failing_allocator_live_blocks(&process) > 0);
    end_loop(loop);
    kolk_set_default_allocator(NULL);
    assert_int_equal(failing_allocator_live_blocks(&process), 0);
}

/* An object goes back to the allocator it came from, whatever the default is by then. */
static void an_object_goes_back_to_where_it_came_from(void **state) {
    (void)state;
    struct failing_allocator before;
    failing_allocator_init(&before);
    assert_int_equal(kolk_set_default_allocator(&before.hook), 0);
    kolk_loop *loop = loop_with(NULL);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EIO, "kept", NULL, &error), 0);
    assert_int_equal(kolk_set_default_allocator(NULL), 0);

    kolk_future *future = NULL;
    assert_int_equal(kolk_future_new(loop, &future), 0);
    kolk_future_unref(future);
    kolk_error_unref(error);
    end_loop(loop);
    assert_int_equal(failing_allocator_live_blocks(&before), 0);
    assert_int_equal(failing_allocator_mistakes(&before), 0);
}

/* The loop keeps a copy: the table it was given may be gone. */
static void a_loop_copies_its_allocator(void **state) {
    (void)state;
    struct failing_allocator own;
    failing_allocator_init(&own);
    kolk_allocator table = own.hook;
    kolk_loop *loop = loop_with(&table);
    memset(&table, 0, sizeof table);
    assert_int_equal(kolk_loop_call_soon(loop, nothing, NULL, NULL, NULL), 0);
    end_loop(loop);
    assert_int_equal(failing_allocator_live_blocks(&own), 0);
}

/* A table that lacks a function is refused, as default and in options. */
static void an_incomplete_allocator_is_refused(void **state) {
    (void)state;
    struct failing_allocator own;
    failing_allocator_init(&own);
    kolk_allocator broken[] = {own.hook, own.hook, own.hook};
    broken[0].allocate = NULL;
    broken[1].release = NULL;
    broken[2].size = sizeof(uint32_t);
    for (size_t i = 0; i < COUNT(broken); i++) {
        assert_int_equal(kolk_set_default_allocator(&broken[i]), KOLK_EINVAL);
        kolk_loop_options options = {.size = sizeof options, .allocator = &broken[i]};
        kolk_loop *loop = NULL;
        assert_int_equal(kolk_loop_new(&options, &loop, NULL), KOLK_EINVAL);
        assert_null(loop);
    }
}

/* A loop can be closed and dropped when not a single byte is left. */
static void ending_a_loop_needs_no_memory(void **state) {
    (void)state;
    struct failing_allocator own;
    failing_allocator_init(&own);
    kolk_loop *loop = loop_with(&own.hook);
    kolk_future *future = NULL;
    assert_int_equal(kolk_future_new(loop, &future), 0);
    assert_int_equal(kolk_loop_call_soon(loop, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, SECOND, nothing, NULL, NULL, NULL), 0);

    failing_allocator_arm(&own, 1, 1);
    int closed = kolk_loop_close(loop);
    kolk_future_unref(future);
    kolk_loop_unref(loop);
    assert_int_equal(closed, 0);
    assert_int_equal(failing_allocator_disarm(&own), 0);
    assert_int_equal(failing_allocator_live_blocks(&own), 0);
}

/* A refused allocation is an error from the call that needed it, and its userdata is destroyed once. */
static void a_failed_allocation_is_an_error_of_that_call(void **state) {
    (void)state;
    struct failing_allocator own;
    failing_allocator_init(&own);
    kolk_loop *loop = loop_with(&own.hook);
    int destroyed = 0, refused = 0;
    /* The loop may have handles in stock, so it is asked until it needs memory. */
    failing_allocator_arm(&own, 1, 1);
    int asked = 0;
    while (asked < 100000 && refused == 0) {
        asked++;
        if (kolk_loop_call_later(loop, SECOND, nothing, &destroyed, count_destroy, NULL) == KOLK_ENOMEM)
            refused = destroyed;
    }
    failing_allocator_disarm(&own);
    assert_int_equal(refused, 1);
    end_loop(loop);
    assert_int_equal(destroyed, asked);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_loop_takes_all_its_memory_from_its_own_allocator),
        RULE(a_loop_without_an_allocator_takes_the_default),
        RULE(an_object_goes_back_to_where_it_came_from),
        RULE(a_loop_copies_its_allocator),
        RULE(an_incomplete_allocator_is_refused),
        RULE(ending_a_loop_needs_no_memory),
        RULE(a_failed_allocation_is_an_error_of_that_call),
    };
    return run_bare("allocator", rules, COUNT(rules));
}
