/* What only sd-event does to its guests. */
#include "support/driver.h"
#include "support/sanitizers.h"

#include <kolk/sd_event.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

struct stay {
    sd_event *event;  /* NULL when the test has dropped it. */
    struct fixture f; /* The loop and the record. */
    kolk_guest *guest;
    int pair[2]; /* Two connected descriptors that do not block. */
};

static int open_with(void **state, const kolk_reactor_ops *reactor) {
    const kolk_loop_options options = {.size = sizeof options, .reactor_ops = reactor};
    struct stay *s = calloc(1, sizeof *s);
    open_pair(s->pair);
    *state = s;
    return sd_event_new(&s->event) < 0 || kolk_loop_new(&options, &s->f.loop, NULL) < 0;
}

static int open_stay(void **state) { return open_with(state, NULL); }

static int open_stay_as_reactor(void **state) { return open_with(state, kolk_host_reactor()); }

static int close_stay(void **state) {
    struct stay *s = *state;
    kolk_loop_close(s->f.loop);
    kolk_guest_unref(s->guest);
    kolk_loop_unref(s->f.loop);
    close_pair(s->pair);
    sd_event_unref(s->event);
    free(s);
    return 0;
}

static void attach(struct stay *s) { assert_int_equal(kolk_sd_event_attach(s->f.loop, s->event, NULL, &s->guest, NULL), 0); }

/* Runs an event loop until something is recorded. */
static void run_until_recorded(struct stay *s, sd_event *event) {
    while (!s->f.recorded)
        assert_true(sd_event_run(event, 10 * 1000 * 1000) > 0);
}

/* NULL is the default event loop of the thread, and a stay keeps it. */
static void null_is_the_default_of_the_thread(void **state) {
    struct stay *s = *state;
    sd_event *event = NULL;
    assert_int_equal(kolk_sd_event_attach(s->f.loop, NULL, NULL, &s->guest, NULL), 0);
    assert_int_equal(sd_event_default(&event), 0); /* 1 would be a new one */
    kolk_loop_call_later(s->f.loop, MS, say, word(&s->f, "here"), NULL, NULL);
    run_until_recorded(s, event);
    assert_record(&s->f, "here");
    kolk_guest_detach(s->guest);
    sd_event_unref(event);
}

/* Nothing can be added to one that has finished. */
static void a_finished_event_loop_is_refused(void **state) {
    struct stay *s = *state;
    kolk_error *error = NULL;
    assert_true(sd_event_exit(s->event, 0) >= 0);
    assert_int_equal(sd_event_loop(s->event), 0);
    assert_int_equal(kolk_sd_event_attach(s->f.loop, s->event, NULL, &s->guest, &error), KOLK_ECLOSED);
    assert_null(s->guest);
    assert_int_equal(kolk_error_status(error), KOLK_ECLOSED);
    assert_non_null(strstr(kolk_error_message(error), "sd_event"));
    kolk_error_unref(error);
}

/* One that finishes, or whose program drops it, while there is a guest: kolk's loop can still be asked for things, and closed.
 */
static void the_event_loop_may_go_first(void **state) {
    struct stay *s = *state;
    attach(s);
    assert_true(sd_event_exit(s->event, 0) >= 0);
    assert_int_equal(sd_event_loop(s->event), 0);
    s->event = sd_event_unref(s->event);

    kolk_loop_call_soon(s->f.loop, say, word(&s->f, "never"), NULL, NULL);
    kolk_loop_call_later(s->f.loop, 0, say, word(&s->f, "never"), NULL, NULL);
    assert_int_equal(kolk_loop_remove_reader(s->f.loop, s->pair[0]), 0);
    assert_int_equal(kolk_loop_close(s->f.loop), 0);
    assert_record(&s->f, "");
}

static int drop_byte(sd_event_source *source, int fd, uint32_t events, void *userdata) {
    (void)source;
    (void)events;
    (void)userdata;
    char byte;
    return read(fd, &byte, 1) < 0 ? -1 : 0;
}

/* epoll has one place per descriptor. Whoever comes second is told so; when the first one leaves, it is free again. */
static void a_descriptor_is_watched_by_one_of_both(void **state) {
    struct stay *s = *state;
    sd_event_source *source = NULL;
    attach(s);
    assert_true(sd_event_add_io(s->event, &source, s->pair[1], EPOLLIN, drop_byte, NULL) >= 0);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[1], say, word(&s->f, "no"), NULL), KOLK_EEXIST);
    source = sd_event_source_disable_unref(source);

    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[1], say, word(&s->f, "readable"), NULL), 0);
    assert_int_equal(sd_event_add_io(s->event, &source, s->pair[1], EPOLLIN, drop_byte, NULL), -EEXIST);
    assert_int_equal(write(s->pair[0], "x", 1), 1);
    run_until_recorded(s, s->event);
    assert_record(&s->f, "readable");
    kolk_loop_remove_reader(s->f.loop, s->pair[1]);
}

/* ---- fork ---- */

static int leave_as_the_child(struct stay *s) {
    alarm(20);
    if (kolk_loop_after_fork(s->f.loop) < 0)
        return 2;
    if (kolk_loop_call_soon(s->f.loop, say, word(&s->f, "child"), NULL, NULL) < 0)
        return 3;
    if (kolk_loop_add_reader(s->f.loop, s->pair[0], say, word(&s->f, "no"), NULL) < 0)
        return 4;
    if (kolk_guest_detach(s->guest) < 0)
        return 5;
    sd_event *event = NULL;
    kolk_guest *again = NULL;
    if (sd_event_new(&event) < 0 || kolk_sd_event_attach(s->f.loop, event, NULL, &again, NULL) < 0)
        return 6;
    while (!s->f.recorded)
        if (sd_event_run(event, 10 * 1000 * 1000) < 0)
            return 7;
    if (strcmp(s->f.record, "child") != 0)
        return 8;
    if (kolk_loop_close(s->f.loop) < 0)
        return 9;
    return 0;
}

/* sd-event works no more in a child. kolk's loop does, elsewhere; and the parent is not woken by what the child does. */
static void check_fork(struct stay *s, uint32_t way) {
    const kolk_guest_options options = {.size = sizeof options, .way = way};
    int status = 0;
    if (!MAY_FORK)
        skip();
    assert_int_equal(kolk_sd_event_attach(s->f.loop, s->event, &options, &s->guest, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(s->f.loop, s->pair[1], say, word(&s->f, "no"), NULL), 0);
    while (sd_event_run(s->event, 0) > 0)
        ;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(leave_as_the_child(s));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sd_event_run(s->event, 0), 0);
    kolk_loop_call_soon(s->f.loop, say, word(&s->f, "parent"), NULL, NULL);
    run_until_recorded(s, s->event);
    assert_record(&s->f, "parent");
}

static void a_forked_child_takes_the_loop_elsewhere(void **state) { check_fork(*state, KOLK_GUEST_ANY); }
static void a_forked_child_takes_the_loop_and_its_thread_elsewhere(void **state) { check_fork(*state, KOLK_GUEST_THREAD); }

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(null_is_the_default_of_the_thread, open_stay, close_stay),
        cmocka_unit_test_setup_teardown(a_finished_event_loop_is_refused, open_stay, close_stay),
        cmocka_unit_test_setup_teardown(the_event_loop_may_go_first, open_stay, close_stay),
        cmocka_unit_test_setup_teardown(the_event_loop_may_go_first, open_stay_as_reactor, close_stay),
        cmocka_unit_test_setup_teardown(a_descriptor_is_watched_by_one_of_both, open_stay_as_reactor, close_stay),
        cmocka_unit_test_setup_teardown(a_forked_child_takes_the_loop_elsewhere, open_stay, close_stay),
        cmocka_unit_test_setup_teardown(a_forked_child_takes_the_loop_elsewhere, open_stay_as_reactor, close_stay),
        cmocka_unit_test_setup_teardown(a_forked_child_takes_the_loop_and_its_thread_elsewhere, open_stay, close_stay),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("sd-event", tests, NULL, NULL);
}
