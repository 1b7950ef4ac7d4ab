/* Wake-ups: what another thread, a signal handler or the host itself hands to a guest reaches it, though the host sleeps. */
#include "conformance.h"

#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

enum { POSTERS = 2 };

static void post(struct visit *v, kolk_callback_fn fn, void *userdata) {
    if (kolk_loop_call_soon_threadsafe(v->f.loop, fn, userdata, NULL) != 0)
        abort();
}

static void *post_while_the_host_sleeps(void *visit) {
    sleep_ns(10 * MS);
    post(visit, arrive, visit);
    return NULL;
}

static void a_call_from_another_thread_wakes_the_host(void **state) {
    struct visit *v = *state;
    pthread_t thread = start_thread(post_while_the_host_sleeps, v);
    run_until(v, 1);
    pthread_join(thread, NULL);
}

/* Nothing else is in the host that could wake it, and nobody has run it yet. */
static void a_call_made_before_the_host_runs_is_not_lost(void **state) {
    struct visit *v = *state;
    post(v, arrive, v);
    run_until(v, 1);
}

static void call_soon(void *visit) {
    struct visit *v = visit;
    if (kolk_loop_call_soon(v->f.loop, arrive, v, NULL, NULL) != 0)
        abort();
}

static void what_the_host_asks_for_is_called(void **state) {
    struct visit *v = *state;
    for (int i = 0; i < 3; i++) {
        host_call_later(v, 2 * MS, call_soon, v);
        run_until(v, 1);
    }
}

static void what_was_asked_for_before_the_host_runs_is_called(void **state) {
    struct visit *v = *state;
    call_soon(v);
    run_until(v, 1);
}

struct chain {
    struct visit *v;
    int left;
};

static void go_on(void *userdata) {
    struct chain *chain = userdata;
    if (--chain->left == 0)
        arrive(chain->v);
    else if (kolk_loop_call_soon(chain->v->f.loop, go_on, chain, NULL, NULL) != 0)
        abort();
}

static void callbacks_that_ask_for_more_are_not_left_behind(void **state) {
    struct visit *v = *state;
    struct chain chain = {.v = v, .left = v->way == KOLK_GUEST_FRAME ? 20 : 200};
    go_on(&chain);
    run_until(v, 1);
}

/* ---- Wakers ---- */

struct bell {
    struct visit *v;
    kolk_waker *waker;
    int answers;
    int expected;
    int published; /* By the ringing threads. */
};

static void answer(void *userdata) {
    struct bell *bell = userdata;
    bell->answers++;
    if (__atomic_load_n(&bell->published, __ATOMIC_RELAXED) == bell->expected) {
        bell->expected = -1;
        arrive(bell->v);
    }
}

static void hang_bell(struct visit *v, struct bell *bell, int expected) {
    *bell = (struct bell){.v = v, .expected = expected};
    assert_int_equal(kolk_waker_new(v->f.loop, answer, bell, NULL, &bell->waker), 0);
}

static void ring(struct bell *bell) {
    __atomic_add_fetch(&bell->published, 1, __ATOMIC_RELAXED);
    kolk_waker_wake(bell->waker);
}

static void *ring_while_the_host_sleeps(void *bell) {
    sleep_ns(10 * MS);
    ring(bell);
    return NULL;
}

static void a_waker_rung_by_another_thread_wakes_the_host(void **state) {
    struct visit *v = *state;
    struct bell bell;
    hang_bell(v, &bell, 1);
    pthread_t thread = start_thread(ring_while_the_host_sleeps, &bell);
    run_until(v, 1);
    pthread_join(thread, NULL);
    kolk_waker_unref(bell.waker);
}

static struct bell *bell_of_signal;

static void ring_in_handler(int signal) {
    (void)signal;
    ring(bell_of_signal);
}

static void *signal_while_the_host_sleeps(void *thread) {
    sleep_ns(10 * MS);
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

static void a_waker_rung_in_a_signal_handler_wakes_the_host(void **state) {
    struct visit *v = *state;
    struct bell bell;
    hang_bell(v, &bell, 1);
    bell_of_signal = &bell;
    struct sigaction action = {.sa_handler = ring_in_handler, .sa_flags = SA_RESTART}, old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    pthread_t self = pthread_self();
    pthread_t thread = start_thread(signal_while_the_host_sleeps, &self);
    run_until(v, 1);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &old, NULL);
    kolk_waker_unref(bell.waker);
}

/* ---- Many ---- */

/* How many in all; the thread sanitizer makes each ten times as dear. */
static int many(void) { return UNDER_THREAD_SANITIZER ? 10000 : 100000; }

struct poster {
    struct visit *v;
    int *received; /* All together, on the host's thread. */
    int next;      /* The number that comes next, if those of a thread come in order. */
    int disorder;
    int sent;
};

struct parcel {
    struct poster *poster;
    int number;
};

static void receive(void *userdata) {
    struct parcel *parcel = userdata;
    struct poster *poster = parcel->poster;
    poster->disorder += parcel->number != poster->next++;
    if (++*poster->received == many())
        arrive(poster->v);
    free(parcel);
}

static void *post_many(void *userdata) {
    struct poster *poster = userdata;
    for (int i = 0; i < many() / POSTERS; i++) {
        struct parcel *parcel = malloc(sizeof *parcel);
        if (!parcel)
            abort();
        *parcel = (struct parcel){.poster = poster, .number = i};
        post(poster->v, receive, parcel);
    }
    return NULL;
}

static void no_call_from_two_threads_is_lost(void **state) {
    struct visit *v = *state;
    int received = 0;
    struct poster posters[POSTERS] = {{.v = v, .received = &received}, {.v = v, .received = &received}};
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        threads[i] = start_thread(post_many, &posters[i]);
    run_until(v, 1);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(received, many());
    assert_int_equal(posters[0].disorder + posters[1].disorder, 0);
}

static void *ring_many(void *bell) {
    for (int i = 0; i < many() / POSTERS; i++)
        ring(bell);
    return NULL;
}

/* Rings are coalesced, but the last one is answered. */
static void no_ring_from_two_threads_is_lost(void **state) {
    struct visit *v = *state;
    struct bell bell;
    hang_bell(v, &bell, many());
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        threads[i] = start_thread(ring_many, &bell);
    run_until(v, 1);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(bell.answers, 1, many());
    kolk_waker_unref(bell.waker);
}

struct rally {
    struct visit *v;
    sem_t returned;
    int rounds;
    int hits;
};

static void hit_back(void *userdata) {
    struct rally *rally = userdata;
    if (++rally->hits == rally->rounds)
        arrive(rally->v);
    sem_post(&rally->returned);
}

static void *serve(void *userdata) {
    struct rally *rally = userdata;
    for (int i = 0; i < rally->rounds; i++) {
        post(rally->v, hit_back, rally);
        sem_wait(&rally->returned);
    }
    return NULL;
}

/* One at a time: each finds the host about to sleep, asleep, or just awake, and none may rely on the next. */
static void each_of_many_single_calls_wakes_the_host(void **state) {
    struct visit *v = *state;
    struct rally rally = {.v = v, .rounds = v->way == KOLK_GUEST_FRAME ? 50 : 2000};
    assert_int_equal(sem_init(&rally.returned, 0, 0), 0);
    pthread_t thread = start_thread(serve, &rally);
    run_until(v, 1);
    pthread_join(thread, NULL);
    sem_destroy(&rally.returned);
    assert_int_equal(rally.hits, rally.rounds);
}

/* A timer that was due while the other thread posts, and the other way round. */
struct mixture {
    struct rally rally;
    int ticks;
};

static void tick(void *userdata) {
    struct mixture *mixture = userdata;
    if (--mixture->ticks == 0)
        arrive(mixture->rally.v);
    else if (kolk_loop_call_later(mixture->rally.v->f.loop, 100000, tick, mixture, NULL, NULL) != 0)
        abort();
}

static void timers_and_calls_from_another_thread_keep_each_other_up(void **state) {
    struct visit *v = *state;
    int rounds = v->way == KOLK_GUEST_FRAME ? 20 : 200;
    struct mixture mixture = {.rally = {.v = v, .rounds = rounds}, .ticks = rounds};
    assert_int_equal(sem_init(&mixture.rally.returned, 0, 0), 0);
    tick(&mixture);
    pthread_t thread = start_thread(serve, &mixture.rally);
    run_until(v, 2);
    pthread_join(thread, NULL);
    sem_destroy(&mixture.rally.returned);
    assert_int_equal(mixture.rally.hits, rounds);
    assert_int_equal(mixture.ticks, 0);
}

static const struct host_rule rules[] = {
    HOST_RULE(a_call_from_another_thread_wakes_the_host),
    HOST_RULE(a_call_made_before_the_host_runs_is_not_lost),
    HOST_RULE(what_the_host_asks_for_is_called),
    HOST_RULE(what_was_asked_for_before_the_host_runs_is_called),
    HOST_RULE(callbacks_that_ask_for_more_are_not_left_behind),
    HOST_RULE(a_waker_rung_by_another_thread_wakes_the_host),
    HOST_RULE(a_waker_rung_in_a_signal_handler_wakes_the_host),
    HOST_RULE(no_call_from_two_threads_is_lost),
    HOST_RULE(no_ring_from_two_threads_is_lost),
    HOST_RULE(each_of_many_single_calls_wakes_the_host),
    HOST_RULE(timers_and_calls_from_another_thread_keep_each_other_up),
};

const struct host_rules wake_rules = {rules, COUNT(rules)};
