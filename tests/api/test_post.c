/* Posts: calls from other threads. They wake the loop, keep their order, and none is lost. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/turns.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

enum { POSTERS = 4, POSTS = 25000 };

struct poster {
    kolk_loop *loop;
    pthread_t thread;
    int next;      /* The number the loop expects from this thread. */
    int disorder;  /* How often it was another. */
    int *received; /* Of all threads. */
    int failed;
};

struct post {
    struct poster *poster;
    int number;
};

static void receive_post(void *userdata) {
    struct post *post = userdata;
    post->poster->disorder += post->number != post->poster->next;
    post->poster->next = post->number + 1;
    ++*post->poster->received;
}

static void *post_many(void *userdata) {
    struct poster *poster = userdata;
    for (int i = 0; i < POSTS; i++) {
        struct post *post = malloc(sizeof *post);
        *post = (struct post){.poster = poster, .number = i};
        poster->failed += kolk_loop_call_soon_threadsafe(poster->loop, receive_post, post, free) != 0;
    }
    return NULL;
}

/* Of a hundred thousand calls from four threads none is lost, and those of one thread arrive in their order. */
static void posts_from_threads_arrive_in_order_and_none_is_lost(void **state) {
    struct fixture *f = *state;
    struct poster posters[POSTERS];
    int received = 0;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = f->loop, .received = &received};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    drive_until_count(f, &received, POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].disorder, 0);
        assert_int_equal(posters[i].failed, 0);
    }
    assert_int_equal(received, POSTERS * POSTS);
}

struct late_post {
    kolk_loop *loop;
    void *word;
};

static void *post_after_a_while(void *userdata) {
    struct late_post *post = userdata;
    pause_ms(30);
    kolk_loop_call_soon_threadsafe(post->loop, say, post->word, unsay);
    return NULL;
}

/* A loop that sleeps, with nothing else to do, is woken by a call from another thread. */
static void a_post_wakes_a_sleeping_loop(void **state) {
    struct fixture *f = *state;
    struct late_post post = {.loop = f->loop, .word = word(f, "posted")};
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        clear_record(f);
        assert_int_equal(pthread_create(&thread, NULL, post_after_a_while, &post), 0);
        int items = drive_once(f);
        pthread_join(thread, NULL);
        assert_int_equal(items, 1);
        assert_record(f, "posted ~posted");
    }
}

enum { ROUNDS = 5000 };

struct pursuit {
    kolk_loop *loop;
    kolk_future *over;
    int answers, lost;
};

static void answer_post(void *userdata) { __atomic_add_fetch(&((struct pursuit *)userdata)->answers, 1, __ATOMIC_RELEASE); }
static void end_pursuit(void *userdata) { kolk_future_set_result(((struct pursuit *)userdata)->over, NULL, NULL); }

/* Posts again the moment it is answered, a little later each time: wherever the loop then is on its way to sleep. */
static void *pursue(void *userdata) {
    struct pursuit *pursuit = userdata;
    for (int i = 0; i < ROUNDS && !pursuit->lost; i++) {
        int64_t give_up = now_ns() + 10 * SECOND;
        for (volatile int wait = 0; wait < i % 512; wait++) {
        }
        if (kolk_loop_call_soon_threadsafe(pursuit->loop, answer_post, pursuit, NULL) != 0)
            abort();
        for (unsigned looks = 1; __atomic_load_n(&pursuit->answers, __ATOMIC_ACQUIRE) <= i && !pursuit->lost; looks++)
            pursuit->lost = looks % 4096 == 0 && now_ns() > give_up;
    }
    kolk_loop_call_soon_threadsafe(pursuit->loop, end_pursuit, pursuit, NULL);
    return NULL;
}

/* A loop that is about to sleep finds what is posted to it, at whatever point it is. */
static void a_post_reaches_a_loop_on_its_way_to_sleep(void **state) {
    struct fixture *f = *state;
    struct pursuit pursuit = {.loop = f->loop, .over = new_future(f)};
    kolk_handle *guard = NULL;
    pthread_t thread;
    /* So that one lost post does not hold up the suite. */
    assert_int_equal(kolk_loop_call_later(f->loop, 20 * SECOND, end_pursuit, &pursuit, NULL, &guard), 0);
    assert_int_equal(pthread_create(&thread, NULL, pursue, &pursuit), 0);
    drive_until(f, pursuit.over);
    pthread_join(thread, NULL);
    assert_int_equal(pursuit.lost, 0);
    assert_int_equal(kolk_handle_cancel(guard), 0);
    kolk_handle_unref(guard);
    kolk_future_unref(pursuit.over);
}

/* ---- To a loop that runs by itself: nobody need ring while it is awake, unless somebody else may look ---- */

struct own_run {
    struct fixture *f;
    int fd;
    int asleep, awake; /* The handle was silent before the post; it was readable, or the hook told, after it. */
    int told, posted;
    int64_t waited;
};

static int readable_now(int fd) { return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1; }
static void mark_posted(void *userdata) { ((struct own_run *)userdata)->posted++; }
static void mark_told(void *userdata) { ((struct own_run *)userdata)->told++; }

static void *post_mark(void *userdata) {
    struct own_run *run = userdata;
    if (kolk_loop_call_soon_threadsafe(run->f->loop, mark_posted, run, NULL) != 0)
        abort();
    return NULL;
}

static void *post_mark_after_a_while(void *userdata) {
    pause_ms(30);
    return post_mark(userdata);
}

static void run_by_itself(struct own_run *run, kolk_callback_fn fn) {
    call_soon(run->f, fn, run);
    assert_int_equal(kolk_loop_run_forever(run->f->loop), 0);
}

static void post_and_stop(void *userdata) {
    struct own_run *run = userdata;
    in_a_thread(post_mark, run);
    kolk_loop_stop(run->f->loop);
}

/* What came in the last turn of a run is there for the host that comes next. */
static void what_is_posted_as_a_run_ends_is_found_by_a_host(void **state) {
    struct fixture *f = *state;
    for (int i = 1; i <= 2; i++) {
        struct own_run run = {.f = f};
        run_by_itself(&run, post_and_stop);
        assert_int_equal(run.posted, 0);
        assert_int_equal(prepare(f).ready, 1);
        if (f->ops->caps & KOLK_REACTOR_GET_FD)
            assert_true(readable_now(kolk_loop_get_fd(f->loop)));
        dispatch_all(f);
        assert_int_equal(run.posted, 1);
    }
}

static void look_at_the_handle(void *userdata) {
    struct own_run *run = userdata;
    kolk_loop *loop = run->f->loop;
    run->asleep = !readable_now(run->fd);
    in_a_thread(post_mark, run);
    run->awake = readable_now(run->fd);
    kolk_loop_stop(loop);
}

static void look_at_the_handle_in_a_dialog(void *userdata) {
    struct own_run *run = userdata;
    kolk_loop *loop = run->f->loop;
    kolk_loop_set_nesting(loop, 1);
    kolk_loop_dispatch(loop, NULL, NULL);
    look_at_the_handle(run);
    kolk_loop_dispatch(loop, NULL, NULL);
    kolk_loop_set_nesting(loop, 0);
}

static void ask_for_the_handle_and_look_at_it(void *userdata) {
    struct own_run *run = userdata;
    run->fd = kolk_loop_get_fd(run->f->loop);
    look_at_the_handle(run);
}

/* Who sleeps on the handle in a callback sees it, whether the loop may be turned there or not. */
static void what_is_posted_during_a_run_shows_at_the_handle(void **state) {
    static const kolk_callback_fn ways[] = {ask_for_the_handle_and_look_at_it, look_at_the_handle,
                                            look_at_the_handle_in_a_dialog};
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        skip();
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct own_run run = {.f = f, .fd = i > 0 ? kolk_loop_get_fd(f->loop) : -1};
        run_by_itself(&run, ways[i]);
        assert_int_equal(run.asleep, 1);
        assert_int_equal(run.awake, 1);
        dispatch_all(f);
        assert_int_equal(run.posted, 1);
    }
}

static void plan_and_post(void *userdata) {
    struct own_run *run = userdata;
    kolk_plan plan;
    kolk_loop_prepare(run->f->loop, &plan);
    run->told = 0;
    in_a_thread(post_mark, run);
    run->awake = run->told;
    kolk_loop_stop(run->f->loop);
}

static void hang_a_hook_and_post(void *userdata) {
    struct own_run *run = userdata;
    kolk_loop_set_plan_hook(run->f->loop, mark_told, run, NULL);
    plan_and_post(run);
}

/* A plan that is made in a callback is out of date with the next post. */
static void what_is_posted_during_a_run_is_told_to_the_hook(void **state) {
    struct fixture *f = *state;
    struct own_run run = {.f = f};
    for (int i = 1; i <= 2; i++) {
        run_by_itself(&run, i == 1 ? hang_a_hook_and_post : plan_and_post);
        assert_int_equal(run.awake, 1);
        assert_int_equal(run.told, 1);
        dispatch_all(f);
        assert_int_equal(run.posted, i);
    }
    assert_int_equal(kolk_loop_set_plan_hook(f->loop, NULL, NULL, NULL), 0);
}

static void wait_for_the_post(void *userdata) {
    struct own_run *run = userdata;
    kolk_loop *loop = run->f->loop;
    pthread_t thread;
    run->waited = now_ns();
    if (pthread_create(&thread, NULL, post_mark_after_a_while, run) != 0)
        abort();
    kolk_loop_wait(loop, kolk_loop_time(loop) + 10 * SECOND);
    run->waited = now_ns() - run->waited;
    pthread_join(thread, NULL);
    kolk_loop_stop(loop);
}

/* Nor does a callback that waits for the kernel sleep through it. */
static void a_wait_during_a_run_ends_with_a_post(void **state) {
    struct fixture *f = *state;
    struct own_run run = {.f = f};
    run_by_itself(&run, wait_for_the_post);
    assert_in_range(run.waited, 0, 5 * SECOND);
    dispatch_all(f);
    assert_int_equal(run.posted, 1);
}

/* ---- With all else ---- */

/* Posts of the loop's own thread are posts like any other. */
static void the_loops_own_thread_may_post_too(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "a"), NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "b"), NULL), 0);
    assert_record(f, "");
    drive_during(f, MS);
    assert_record(f, "a b");
}

/* ---- Plans, budgets, closing ---- */

/* A post from another thread makes the plan ready. */
static void prepare_sees_a_post(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    if (!plan.ready && (f->ops->caps & KOLK_REACTOR_WAIT))
        assert_int_equal(kolk_loop_wait(f->loop, KOLK_NEVER), 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0);
    assert_record(f, "post");
}

struct posted_count {
    int called;
    int destroyed;
};

static void count_posted(void *userdata) { ((struct posted_count *)userdata)->called++; }
static void destroy_posted(void *userdata) { ((struct posted_count *)userdata)->destroyed++; }

/* Calls from other threads count one by one against a budget; what a closing loop finds left over is released, not called. */
static void posted_calls_count_one_by_one(void **state) {
    struct fixture *f = *state;
    struct posted_count count = {0, 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, count_posted, &count, destroy_posted), 0);
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 1);
    assert_int_equal(count.called, 2);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, count_posted, &count, destroy_posted), 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(count.called, 4);
    assert_int_equal(count.destroyed, 4);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(count.called, 4);
    assert_int_equal(count.destroyed, 6);
}

static void *post_nothing(void *loop) {
    kolk_loop_call_soon_threadsafe(loop, nothing, NULL, NULL);
    return NULL;
}

static void let_a_thread_post(void *userdata) {
    struct fixture *f = userdata;
    pthread_t thread;
    record(f, "%d", pthread_create(&thread, NULL, post_nothing, f->loop));
    pthread_join(thread, NULL);
}

/* What other threads posted meanwhile is something more, for dispatch as for prepare. */
static void a_post_during_a_dispatch_is_more(void **state) {
    struct fixture *f = *state;
    kolk_plan plan;
    kolk_progress progress;
    assert_int_equal(kolk_loop_call_soon(f->loop, let_a_thread_post, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_record(f, "0");
    assert_int_equal(progress.more, 1);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 1);
}

static void *post_until_closed(void *userdata) {
    struct poster *poster = userdata;
    while (kolk_loop_call_soon_threadsafe(poster->loop, nothing, &poster->next, NULL) == 0)
        poster->failed++;
    kolk_loop_unref(poster->loop);
    return NULL;
}

/* Threads may go on posting while the loop is being closed: each post is run, dropped or refused. */
static void posts_to_a_loop_that_is_closing_are_refused(void **state) {
    struct fixture *f = *state;
    struct poster posters[POSTERS];
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = kolk_loop_ref(f->loop)};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_until_closed, &posters[i]), 0);
    }
    drive_during(f, 5 * MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(posts_from_threads_arrive_in_order_and_none_is_lost),
        RULE(a_post_wakes_a_sleeping_loop),
        RULE_IN_REAL_TIME(a_post_reaches_a_loop_on_its_way_to_sleep),
        RULE(what_is_posted_as_a_run_ends_is_found_by_a_host),
        RULE(what_is_posted_during_a_run_shows_at_the_handle),
        RULE(what_is_posted_during_a_run_is_told_to_the_hook),
        RULE_IN_REAL_TIME(a_wait_during_a_run_ends_with_a_post),
        RULE(the_loops_own_thread_may_post_too),
        RULE(prepare_sees_a_post),
        RULE(posted_calls_count_one_by_one),
        RULE(a_post_during_a_dispatch_is_more),
    };
    static const struct rule plain[] = {
        RULE(posts_to_a_loop_that_is_closing_are_refused),
    };
    return run_matrix("post", matrix, COUNT(matrix)) + run_plain("post alone", plain, COUNT(plain));
}
