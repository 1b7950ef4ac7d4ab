/* Status codes and errors in words. */
#include "support/driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Every code has the name it is written with, and a message that is not a name. */
static void every_status_has_its_name_and_a_message(void **state) {
    (void)state;
#define CHECK(name, number, message)                                                                                           \
    assert_int_equal(KOLK_##name, number);                                                                                     \
    assert_string_equal(kolk_status_name(KOLK_##name), "KOLK_" #name);                                                         \
    assert_string_equal(kolk_status_message(KOLK_##name), message);
    KOLK_STATUSES(CHECK)
#undef CHECK
    assert_string_equal(kolk_status_name(KOLK_OK), "KOLK_OK");
}

/* A number that is no code is named as such, instead of crashing whoever prints it. */
static void an_unknown_number_has_no_name(void **state) {
    (void)state;
    const int unknown[] = {1, 4711, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_string_equal(kolk_status_name(unknown[i]), "KOLK_?");
        assert_non_null(kolk_status_message(unknown[i]));
    }
}

/* The message is the error's own copy. */
static void an_error_keeps_a_copy_of_its_message(void **state) {
    (void)state;
    char text[] = "connect to 127.0.0.1 port 81: connection refused";
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, text, NULL, &error), 0);
    memset(text, 'x', sizeof text - 1);

    assert_int_equal(kolk_error_status(error), KOLK_EREFUSED);
    assert_string_equal(kolk_error_message(error), "connect to 127.0.0.1 port 81: connection refused");
    assert_int_equal(kolk_error_os(error), 0);
    assert_null(kolk_error_cause(error));
    kolk_error_unref(error);
}

/* A percent sign in a message is just a character. */
static void a_message_is_not_a_format(void **state) {
    (void)state;
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EIO, "100%s %n%d", NULL, &error), 0);
    assert_string_equal(kolk_error_message(error), "100%s %n%d");
    kolk_error_unref(error);
}

/* Without a message of its own, an error has the general one of its status. */
static void an_error_without_message_has_the_general_one(void **state) {
    (void)state;
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EPIPE, NULL, NULL, &error), 0);
    assert_string_equal(kolk_error_message(error), kolk_status_message(KOLK_EPIPE));
    kolk_error_unref(error);
}

/* An error never looks like success. */
static void a_status_of_success_becomes_unspecified(void **state) {
    (void)state;
    for (int status = 0; status < 3; status++) {
        kolk_error *error = NULL;
        assert_int_equal(kolk_error_new(status, "went wrong", NULL, &error), 0);
        assert_int_equal(kolk_error_status(error), KOLK_EUNSPECIFIED);
        kolk_error_unref(error);
    }
    assert_int_equal(kolk_error_status(kolk_error_of(0)), KOLK_EUNSPECIFIED);
}

/* The static object of a status is always the same one; counting its owners does nothing. */
static void each_status_has_one_static_error(void **state) {
    (void)state;
    kolk_error *error = kolk_error_of(KOLK_ECLOSED);
    for (int i = 0; i < 3; i++)
        assert_null(kolk_error_unref(error));
    assert_ptr_equal(kolk_error_ref(error), error);
    assert_ptr_equal(kolk_error_of(KOLK_ECLOSED), error);
    assert_int_equal(kolk_error_status(error), KOLK_ECLOSED);
    assert_string_equal(kolk_error_message(error), kolk_status_message(KOLK_ECLOSED));
    assert_null(kolk_error_cause(error));
}

/* An error keeps the one that caused it alive. */
static void a_cause_lives_as_long_as_its_effect(void **state) {
    (void)state;
    kolk_error *cause = NULL, *effect = NULL;
    assert_int_equal(kolk_error_new(KOLK_EREFUSED, "refused", NULL, &cause), 0);
    assert_int_equal(kolk_error_new(KOLK_EIO, "cannot fetch", cause, &effect), 0);
    kolk_error_unref(cause);

    assert_ptr_equal(kolk_error_cause(effect), cause);
    assert_string_equal(kolk_error_message(kolk_error_cause(effect)), "refused");
    kolk_error_unref(effect);
}

/* Dropping a long chain of causes takes no stack for each. */
static void a_chain_of_a_hundred_thousand_causes_can_be_dropped(void **state) {
    (void)state;
    kolk_error *last = NULL;
    for (int i = 0; i < 100000; i++) {
        kolk_error *next = NULL;
        assert_int_equal(kolk_error_new(KOLK_EIO, "and so on", last, &next), 0);
        kolk_error_unref(last);
        last = next;
    }
    assert_null(kolk_error_unref(last));
}

/* When memory is gone there is still an error to show: the static one. */
static void without_memory_the_static_error_stands_in(void **state) {
    (void)state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    assert_int_equal(kolk_set_default_allocator(&memory.hook), 0);
    failing_allocator_arm(&memory, 1, 1);

    kolk_error *error = NULL;
    int status = kolk_error_new(KOLK_EREFUSED, "with words", NULL, &error);
    kolk_set_default_allocator(NULL);
    assert_int_equal(status, KOLK_ENOMEM);
    assert_ptr_equal(error, kolk_error_of(KOLK_EREFUSED));
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
}

/* NULL is no error, and nowhere to put one is an error. */
static void null_is_no_error(void **state) {
    (void)state;
    assert_int_equal(kolk_error_status(NULL), 0);
    assert_string_equal(kolk_error_message(NULL), "no error");
    assert_int_equal(kolk_error_os(NULL), 0);
    assert_null(kolk_error_cause(NULL));
    assert_null(kolk_error_ref(NULL));
    assert_null(kolk_error_unref(NULL));
    assert_int_equal(kolk_error_new(KOLK_EIO, "x", NULL, NULL), KOLK_EINVAL);
}

static void *share(void *error) {
    for (int i = 0; i < 20000; i++) {
        kolk_error_ref(error);
        kolk_error_unref(error);
    }
    kolk_error_unref(error);
    return NULL;
}

/* Threads may share an error; the last one releases it. */
static void an_error_may_be_shared_between_threads(void **state) {
    (void)state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    assert_int_equal(kolk_set_default_allocator(&memory.hook), 0);
    kolk_error *error = NULL;
    assert_int_equal(kolk_error_new(KOLK_EIO, "shared", NULL, &error), 0);
    kolk_set_default_allocator(NULL);

    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, share, kolk_error_ref(error)), 0);
    kolk_error_unref(error);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
    assert_int_equal(failing_allocator_mistakes(&memory), 0);
}

/* The library that is loaded is the one the headers belong to. */
static void the_version_is_that_of_the_headers(void **state) {
    (void)state;
    assert_int_equal(kolk_version(), KOLK_VERSION_MAJOR * 1000000 + KOLK_VERSION_MINOR * 1000 + KOLK_VERSION_PATCH);
}

/* ---- Where it was made ---- */

/* An error may say where it was made; one that does not says nothing. */
static void an_error_says_where_it_was_made(void **state) {
    (void)state;
    kolk_error *here = NULL, *silent = NULL, *nowhere = NULL;
    assert_int_equal(kolk_error_new_at(KOLK_EIO, "here", NULL, KOLK_HERE, &here), 0);
    assert_int_equal(kolk_error_new_at(KOLK_EIO, "nowhere", NULL, NULL, &nowhere), 0);
    assert_int_equal(kolk_error_new(KOLK_EIO, "silent", NULL, &silent), 0);
    assert_non_null(strstr(kolk_error_location(here), "test_error.c:"));
    assert_string_equal(kolk_error_message(here), "here");
    assert_string_equal(kolk_error_location(nowhere), "");
    assert_string_equal(kolk_error_location(silent), "");
    assert_string_equal(kolk_error_location(kolk_error_of(KOLK_EIO)), "");
    assert_string_equal(kolk_error_location(NULL), "");
    assert_string_equal(kolk_error_task(NULL), "");
    assert_string_equal(kolk_error_task(kolk_error_of(KOLK_EIO)), "");
    kolk_error_unref(here);
    kolk_error_unref(silent);
    kolk_error_unref(nowhere);
}

/* A place changes nothing else: status, message and cause are as without one. */
static void an_error_with_a_place_is_as_one_without(void **state) {
    (void)state;
    kolk_error *cause = NULL, *effect = NULL;
    assert_int_equal(kolk_error_new_at(KOLK_EREFUSED, NULL, NULL, KOLK_HERE, &cause), 0);
    assert_int_equal(kolk_error_new_at(0, "cannot fetch", cause, KOLK_HERE, &effect), 0);
    assert_string_equal(kolk_error_message(cause), kolk_status_message(KOLK_EREFUSED));
    assert_int_equal(kolk_error_status(effect), KOLK_EUNSPECIFIED);
    kolk_error_unref(cause);
    assert_ptr_equal(kolk_error_cause(effect), cause);
    kolk_error_unref(effect);
    assert_int_equal(kolk_error_new_at(KOLK_EIO, "x", NULL, KOLK_HERE, NULL), KOLK_EINVAL);
}

static int make_errors(void *userdata, void **ret_result) {
    kolk_error **errors = userdata;
    (void)ret_result;
    kolk_error_new(KOLK_EIO, "by a nameless one", NULL, &errors[0]);
    kolk_task_set_name(kolk_task_current(), "fetch 3");
    kolk_error_new(KOLK_EIO, "by a named one", NULL, &errors[1]);
    kolk_task_set_name(kolk_task_current(), "another name");
    return 0;
}

/* An error knows the name of the task that made it, as it was then, and keeps it when the task is gone. */
static void an_error_says_which_task_made_it(void **state) {
    (void)state;
    kolk_error *errors[3] = {NULL};
    assert_int_equal(kolk_run(make_errors, errors, NULL, NULL), 0);
    assert_int_equal(kolk_error_new(KOLK_EIO, "outside", NULL, &errors[2]), 0);
    assert_string_equal(kolk_error_task(errors[0]), "");
    assert_string_equal(kolk_error_task(errors[1]), "fetch 3");
    assert_string_equal(kolk_error_task(errors[2]), "");
    for (size_t i = 0; i < COUNT(errors); i++)
        kolk_error_unref(errors[i]);
}

/* ---- As text ---- */

static int make_chain(void *userdata, void **ret_result) {
    kolk_error *cause = NULL;
    (void)ret_result;
    kolk_task_set_name(kolk_task_current(), "fetch 3");
    kolk_error_new_at(KOLK_EREFUSED, "port 81 refused", NULL, "net.c:12", &cause);
    kolk_error_new(KOLK_EIO, "cannot fetch", cause, userdata);
    kolk_error_unref(cause);
    return 0;
}

/* An error of two: its cause has a place, and both were made by a task. */
static kolk_error *chain_of_two(void) {
    kolk_error *error = NULL;
    assert_int_equal(kolk_run(make_chain, &error, NULL, NULL), 0);
    assert_non_null(error);
    return error;
}

/* As text there is a line for the error and one for its cause, each with all that is known of it. */
static void text_has_a_line_for_each_cause(void **state) {
    (void)state;
    kolk_error *error = chain_of_two();
    char text[512];
    int length = kolk_error_format(error, text, sizeof text);
    assert_int_equal(length, strlen(text));
    char *first = strtok(text, "\n"), *second = strtok(NULL, "\n");
    assert_non_null(first);
    assert_non_null(second);
    assert_null(strtok(NULL, "\n"));
    assert_non_null(strstr(first, "KOLK_EIO"));
    assert_non_null(strstr(first, "cannot fetch"));
    assert_non_null(strstr(first, "fetch 3"));
    assert_null(strstr(first, "net.c"));
    assert_non_null(strstr(second, "KOLK_EREFUSED"));
    assert_non_null(strstr(second, "port 81 refused"));
    assert_non_null(strstr(second, "fetch 3"));
    assert_non_null(strstr(second, "net.c:12"));
    kolk_error_unref(error);
}

/* Text that does not fit is cut and still ends; the answer is how long it would be. */
static void text_that_does_not_fit_is_cut(void **state) {
    (void)state;
    kolk_error *error = chain_of_two();
    char whole[512], cut[512];
    int length = kolk_error_format(error, whole, sizeof whole);
    assert_in_range(length, 1, sizeof whole - 1);
    assert_int_equal(kolk_error_format(error, NULL, 0), length);
    for (size_t size = 1; size <= (size_t)length + 2; size++) {
        memset(cut, 'x', sizeof cut);
        assert_int_equal(kolk_error_format(error, cut, size), length);
        size_t fits = size - 1 < (size_t)length ? size - 1 : (size_t)length;
        assert_int_equal(strlen(cut), fits);
        assert_memory_equal(cut, whole, fits);
        assert_int_equal(cut[size], 'x');
    }
    memset(cut, 'x', sizeof cut);
    assert_int_equal(kolk_error_format(error, cut, 0), length);
    assert_int_equal(cut[0], 'x');
    kolk_error_unref(error);
}

/* No error is said in words too; nowhere to write is a mistake. */
static void no_error_is_text_as_well(void **state) {
    (void)state;
    char text[64];
    int length = kolk_error_format(NULL, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_non_null(strstr(text, "no error"));
    assert_int_equal(kolk_error_format(NULL, NULL, 0), length);
    assert_int_equal(kolk_error_format(kolk_error_of(KOLK_EIO), NULL, 10), KOLK_EINVAL);
    assert_int_equal(kolk_error_format(NULL, NULL, 10), KOLK_EINVAL);
    assert_true(kolk_error_format(kolk_error_of(KOLK_EPIPE), text, sizeof text) > 0);
    assert_non_null(strstr(text, "KOLK_EPIPE"));
}

/* A long chain of causes is written to its end, line by line. */
static void a_long_chain_has_a_line_for_each(void **state) {
    (void)state;
    enum { LENGTH = 1000 };
    kolk_error *last = NULL;
    char message[32];
    for (int i = 0; i < LENGTH; i++) {
        kolk_error *next = NULL;
        snprintf(message, sizeof message, "number %d.", i);
        assert_int_equal(kolk_error_new(KOLK_EIO, message, last, &next), 0);
        kolk_error_unref(last);
        last = next;
    }
    int length = kolk_error_format(last, NULL, 0);
    char *text = malloc((size_t)length + 1);
    assert_int_equal(kolk_error_format(last, text, (size_t)length + 1), length);
    int i = LENGTH;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        snprintf(message, sizeof message, "number %d.", --i);
        assert_non_null(strstr(line, message));
    }
    assert_int_equal(i, 0);
    free(text);
    kolk_error_unref(last);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(every_status_has_its_name_and_a_message),
        RULE(an_unknown_number_has_no_name),
        RULE(an_error_keeps_a_copy_of_its_message),
        RULE(a_message_is_not_a_format),
        RULE(an_error_without_message_has_the_general_one),
        RULE(a_status_of_success_becomes_unspecified),
        RULE(each_status_has_one_static_error),
        RULE(a_cause_lives_as_long_as_its_effect),
        RULE(a_chain_of_a_hundred_thousand_causes_can_be_dropped),
        RULE(without_memory_the_static_error_stands_in),
        RULE(null_is_no_error),
        RULE(an_error_may_be_shared_between_threads),
        RULE(the_version_is_that_of_the_headers),
        RULE(an_error_says_where_it_was_made),
        RULE(an_error_with_a_place_is_as_one_without),
        RULE(an_error_says_which_task_made_it),
        RULE(text_has_a_line_for_each_cause),
        RULE(text_that_does_not_fit_is_cut),
        RULE(no_error_is_text_as_well),
        RULE(a_long_chain_has_a_line_for_each),
    };
    return run_bare("error", rules, COUNT(rules));
}
