/* What is asked for wrongly is answered with a code, and changes nothing. */
#include "conformance.h"

#include <stdlib.h>

static void null_is_refused(void **state) {
    struct visit *v = *state;
    kolk_guest *guest = NULL;
    assert_int_equal(kolk_guest_turn(NULL), KOLK_EINVAL);
    assert_int_equal(kolk_guest_ready(NULL, 0, 0), KOLK_EINVAL);
    assert_int_equal(kolk_guest_detach(NULL), KOLK_EINVAL);
    assert_null(kolk_guest_loop(NULL));
    assert_null(kolk_guest_ref(NULL));
    assert_null(kolk_guest_unref(NULL));
    assert_int_equal(v->host->attach(v->self, NULL, &v->options, &guest, NULL), KOLK_EINVAL);
    assert_null(guest);
}

static void a_guest_knows_its_loop_and_way(void **state) {
    struct visit *v = *state;
    assert_ptr_equal(kolk_guest_loop(v->guest), v->f.loop);
    assert_int_equal(kolk_guest_way(v->guest), v->way);
    assert_ptr_equal(kolk_guest_ref(v->guest), v->guest);
    assert_null(kolk_guest_unref(v->guest));
}

struct answers {
    struct visit *v;
    int turn, ready, detach, prepare, alive;
    kolk_guest *unref;
};

static void *ask_from_here(void *userdata) {
    struct answers *answers = userdata;
    answers->turn = kolk_guest_turn(answers->v->guest);
    answers->ready = kolk_guest_ready(answers->v->guest, 0, KOLK_EVENT_READ);
    answers->detach = kolk_guest_detach(answers->v->guest);
    answers->unref = kolk_guest_unref(answers->v->guest);
    answers->alive = kolk_loop_alive(answers->v->f.loop);
    return NULL;
}

static void another_thread_is_refused(void **state) {
    struct visit *v = *state;
    struct answers answers = {.v = v};
    pthread_join(start_thread(ask_from_here, &answers), NULL);
    assert_int_equal(answers.turn, KOLK_ETHREAD);
    assert_int_equal(answers.ready, KOLK_ETHREAD);
    assert_int_equal(answers.detach, KOLK_ETHREAD);
    assert_int_equal(answers.alive, KOLK_ETHREAD);
    assert_ptr_equal(answers.unref, v->guest);
    assert_int_equal(kolk_loop_call_later(v->f.loop, MS, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

static void turns_at_any_time_do_no_harm(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(kolk_guest_turn(v->guest), 0);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, say, word(&v->f, "soon"), NULL, NULL), 0);
    assert_int_equal(kolk_guest_turn(v->guest), 1);
    assert_record(&v->f, "soon");
    assert_int_equal(kolk_loop_call_later(v->f.loop, MS, arrive, v, NULL, NULL), 0);
    run_until(v, 1);
}

/* "Another one is ignored": a host that is late tells of what is not watched any more. */
static void news_of_a_descriptor_that_is_not_watched_is_ignored(void **state) {
    struct visit *v = *state;
    int pair[2];
    open_pair(pair);
    put_byte(pair[1]);
    assert_int_equal(kolk_guest_ready(v->guest, pair[0], KOLK_EVENT_READ | KOLK_EVENT_WRITE), 0);
    assert_int_equal(kolk_guest_ready(v->guest, -1, KOLK_EVENT_READ), 0);
    assert_int_equal(kolk_guest_ready(v->guest, 1 << 20, KOLK_EVENT_READ), 0);
    close_pair(pair);
}

static void options_of_a_wrong_size_are_refused(void **state) {
    struct visit *v = *state;
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    kolk_guest_options options = v->options;
    end_stay(&v->stay);
    options.size = 3;
    assert_int_equal(v->host->attach(v->self, v->f.loop, &options, &guest, &error), KOLK_EINVAL);
    kolk_error_unref(error);
    assert_null(guest);
}

static void a_way_that_does_not_exist_is_refused(void **state) {
    struct visit *v = *state;
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    kolk_guest_options options = v->options;
    end_stay(&v->stay);
    options.way = 77;
    assert_int_equal(v->host->attach(v->self, v->f.loop, &options, &guest, &error), KOLK_EINVAL);
    assert_non_null(error);
    assert_non_null(strstr(kolk_error_message(error), "77"));
    kolk_error_unref(error);
    assert_null(guest);
}

static void a_closed_loop_is_refused(void **state) {
    struct visit *v = *state;
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_loop_close(v->f.loop), 0);
    assert_int_equal(v->host->attach(v->self, v->f.loop, &v->options, &guest, &error), KOLK_ECLOSED);
    kolk_error_unref(error);
    assert_null(guest);
}

static const struct host_rule rules[] = {
    HOST_RULE(null_is_refused),
    HOST_RULE(a_guest_knows_its_loop_and_way),
    HOST_RULE(another_thread_is_refused),
    HOST_RULE(turns_at_any_time_do_no_harm),
    HOST_RULE(news_of_a_descriptor_that_is_not_watched_is_ignored),
    HOST_RULE(options_of_a_wrong_size_are_refused),
    HOST_RULE(a_way_that_does_not_exist_is_refused),
    HOST_RULE(a_closed_loop_is_refused),
};

const struct host_rules misuse_rules = {rules, COUNT(rules)};
