/* A doorbell that any thread and any signal handler may ring. */
#include "support/driver.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct bell {
    struct fixture *f;
    kolk_waker *waker;
    int answers;
    int again; /* Rings itself so often. */
    int seen;  /* Of `published`, by the last answer. */
    int published;
    int destroyed;
};

static void answer(void *userdata) {
    struct bell *bell = userdata;
    bell->answers++;
    bell->seen = __atomic_load_n(&bell->published, __ATOMIC_RELAXED);
    if (bell->again-- > 0)
        kolk_waker_wake(bell->waker);
}

static void destroy_bell(void *userdata) { ((struct bell *)userdata)->destroyed++; }

static void hang_bell(struct fixture *f, struct bell *ret_bell) {
    *ret_bell = (struct bell){.f = f};
    assert_int_equal(kolk_waker_new(f->loop, answer, ret_bell, destroy_bell, &ret_bell->waker), 0);
}

/* However often it was rung before the loop got to it, the answer comes once. */
static void rings_are_coalesced(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(kolk_waker_wake(bell.waker), 0);
    assert_int_equal(bell.answers, 0);
    drive_until_count(f, &bell.answers, 1);
    drive_during(f, 2 * MS);
    assert_int_equal(bell.answers, 1);
    kolk_waker_wake(bell.waker);
    drive_until_count(f, &bell.answers, 2);
    kolk_waker_unref(bell.waker);
    assert_int_equal(bell.destroyed, 1);
}

/* A ring from inside the answer is answered on another turn. */
static void a_ring_from_inside_the_answer_is_answered(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    bell.again = 3;
    kolk_waker_wake(bell.waker);
    drive_until_count(f, &bell.answers, 4);
    drive_during(f, 2 * MS);
    assert_int_equal(bell.answers, 4);
    kolk_waker_unref(bell.waker);
}

/* Each bell has its own answer. */
static void wakers_do_not_mix(void **state) {
    struct fixture *f = *state;
    struct bell a, b, silent;
    hang_bell(f, &a);
    hang_bell(f, &b);
    hang_bell(f, &silent);
    kolk_waker_wake(a.waker);
    kolk_waker_wake(b.waker);
    drive_until_count(f, &a.answers, 1);
    drive_until_count(f, &b.answers, 1);
    drive_during(f, MS);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 1);
    assert_int_equal(silent.answers, 0);
    kolk_waker_unref(a.waker);
    kolk_waker_unref(b.waker);
    kolk_waker_unref(silent.waker);
}

static void *ring_after_a_while(void *userdata) {
    struct bell *bell = userdata;
    nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
    kolk_waker_wake(bell->waker);
    return NULL;
}

/* A loop that sleeps with nothing else to do is woken. */
static void a_ring_wakes_a_sleeping_loop(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ring_after_a_while, &bell), 0);
    drive_until_count(f, &bell.answers, 1);
    pthread_join(thread, NULL);
    kolk_waker_unref(bell.waker);
}

enum { RINGERS = 4, RINGS = 20000 };

static void *ring_often(void *userdata) {
    struct bell *bell = userdata;
    for (int i = 0; i < RINGS; i++) {
        __atomic_add_fetch(&bell->published, 1, __ATOMIC_RELAXED);
        kolk_waker_wake(bell->waker);
    }
    return NULL;
}

static int has_seen_all(void *userdata) { return ((struct bell *)userdata)->seen == RINGERS * RINGS; }

/* After each ring the answer sees what the ringing thread wrote before it. */
static void the_answer_sees_what_was_written_before_the_ring(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    pthread_t threads[RINGERS];
    for (int i = 0; i < RINGERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ring_often, &bell), 0);
    drive_for(f, has_seen_all, &bell);
    for (int i = 0; i < RINGERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(bell.answers >= 1 && bell.answers <= RINGERS * RINGS);
    kolk_waker_unref(bell.waker);
}

static struct bell *signalled;

static void ring_from_handler(int number) {
    (void)number;
    kolk_waker_wake(signalled->waker);
}

/* A signal handler may ring. */
static void a_signal_handler_may_ring(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    signalled = &bell;
    struct sigaction old, action = {.sa_handler = ring_from_handler};
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    for (int i = 1; i <= 3; i++) {
        raise(SIGUSR1);
        drive_until_count(f, &bell.answers, i);
    }
    sigaction(SIGUSR1, &old, NULL);
    assert_int_equal(bell.answers, 3);
    kolk_waker_unref(bell.waker);
}

/* Once the last owner is gone, a ring that was pending is not answered. */
static void a_dropped_waker_is_not_answered(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    kolk_waker_wake(bell.waker);
    assert_null(kolk_waker_unref(bell.waker));
    drive_during(f, 2 * MS);
    assert_int_equal(bell.answers, 0);
    assert_int_equal(bell.destroyed, 1);
}

static void answer_and_drop(void *userdata) {
    struct bell *bell = userdata;
    bell->waker = kolk_waker_unref(bell->waker);
    bell->answers++;
}

/* The answer may drop the waker. */
static void the_answer_may_drop_its_waker(void **state) {
    struct fixture *f = *state;
    struct bell bell = {.f = f};
    assert_int_equal(kolk_waker_new(f->loop, answer_and_drop, &bell, destroy_bell, &bell.waker), 0);
    kolk_waker_wake(bell.waker);
    drive_until_count(f, &bell.answers, 1);
    assert_int_equal(bell.destroyed, 1);
}

/* A waker may outlive its loop; its ring is then heard by nobody. */
static void a_ring_for_a_closed_loop_is_harmless(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    kolk_waker_wake(bell.waker);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_waker_wake(bell.waker);
    assert_null(kolk_waker_unref(bell.waker));
    assert_int_equal(bell.answers, 0);
    assert_int_equal(bell.destroyed, 1);

    kolk_waker *another = NULL;
    assert_int_equal(kolk_waker_new(f->loop, answer, &bell, destroy_bell, &another), KOLK_ECLOSED);
    assert_int_equal(bell.destroyed, 2);
}

static void ignore(void *userdata) { (void)userdata; }

static void ring_and_drop(void *userdata) {
    struct bell *bell = userdata;
    kolk_waker_wake(bell->waker);
    bell->waker = kolk_waker_unref(bell->waker);
}

/* A waker that is rung and dropped while its loop closes is not answered, and goes. */
static void a_ring_during_the_closing_is_harmless(void **state) {
    struct fixture *f = *state;
    struct bell bell;
    hang_bell(f, &bell);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, ignore, &bell, ring_and_drop, NULL), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(bell.answers, 0);
    assert_int_equal(bell.destroyed, 1);
}

/* NULL is no waker. */
static void null_is_no_waker(void **state) {
    struct fixture *f = *state;
    kolk_waker *waker = NULL;
    assert_int_equal(kolk_waker_wake(NULL), KOLK_EINVAL);
    assert_null(kolk_waker_ref(NULL));
    assert_null(kolk_waker_unref(NULL));
    assert_int_equal(kolk_waker_new(f->loop, NULL, word(f, "a"), unsay, &waker), KOLK_EINVAL);
    assert_record(f, "~a");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(rings_are_coalesced),
        RULE(a_ring_from_inside_the_answer_is_answered),
        RULE(wakers_do_not_mix),
        RULE(a_ring_wakes_a_sleeping_loop),
        RULE(the_answer_sees_what_was_written_before_the_ring),
        RULE(a_signal_handler_may_ring),
        RULE(a_dropped_waker_is_not_answered),
        RULE(the_answer_may_drop_its_waker),
        RULE(a_ring_for_a_closed_loop_is_harmless),
        RULE(a_ring_during_the_closing_is_harmless),
        RULE(null_is_no_waker),
    };
    return run_matrix("waker", rules, COUNT(rules));
}
