/* The loop: what runs when, on every reactor and however the loop is driven. */
#include "support/driver.h"
#include "support/resources.h"
#include "support/simulation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nothing(void *userdata) { (void)userdata; }
static void increment(void *counter) { ++*(int *)counter; }

static void soon(struct fixture *f, const char *text) {
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, text), NULL, NULL), 0);
}

static void later(struct fixture *f, int64_t delay_ns, const char *text) {
    assert_int_equal(kolk_loop_call_later(f->loop, delay_ns, say, word(f, text), NULL, NULL), 0);
}

static void at(struct fixture *f, int64_t when_ns, const char *text) {
    assert_int_equal(kolk_loop_call_at(f->loop, when_ns, say, word(f, text), NULL, NULL), 0);
}

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS}, NULL); }

/* ---- call_soon ---- */

/* Callbacks run in the order they were asked for. */
static void callbacks_run_first_in_first_out(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    soon(f, "b");
    soon(f, "c");
    assert_int_equal(drive_once(f), 3);
    assert_record(f, "a b c");
}

/* Nothing is called from inside the call that asked for it. */
static void nothing_runs_inside_call_soon(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "a");
}

static void say_and_ask_for_b(void *userdata) {
    struct fixture *f = userdata;
    record(f, "a");
    kolk_loop_call_soon(f->loop, say, word(f, "b"), NULL, NULL);
}

/* What a callback asks for belongs to the next turn. */
static void what_a_callback_adds_runs_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, say_and_ask_for_b, f, NULL, NULL), 0);
    soon(f, "c");
    assert_int_equal(drive_once(f), 2);
    assert_record(f, "a c");
    assert_int_equal(drive_once(f), 1);
    assert_record(f, "a c b");
}

/* Userdata is destroyed after the callback it belongs to, and once. */
static void userdata_is_destroyed_after_the_call(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "a"), unsay, NULL), 0);
    assert_record(f, "");
    drive_once(f);
    assert_record(f, "a ~a");
}

/* A callback can be missing its destroy function, but not its function; the userdata is destroyed in either case. */
static void a_call_without_a_function_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, NULL, word(f, "soon"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, NULL, word(f, "later"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_at(f->loop, 0, NULL, word(f, "at"), unsay, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, NULL, word(f, "safe"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_reader(f->loop, 0, NULL, word(f, "reader"), unsay), KOLK_EINVAL);
    assert_int_equal(kolk_loop_add_writer(f->loop, 1, NULL, word(f, "writer"), unsay), KOLK_EINVAL);
    assert_record(f, "~soon ~later ~at ~safe ~reader ~writer");
}

/* A callback that is cancelled does not run; its userdata is gone when cancel returns. */
static void a_cancelled_callback_does_not_run(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "a"), unsay, &handle), 0);
    soon(f, "b");
    assert_int_equal(kolk_handle_cancel(handle), 0);
    assert_record(f, "~a");
    drive_once(f);
    assert_record(f, "~a b");
    kolk_handle_unref(handle);
}

static void cancel_handle(void *userdata) { kolk_handle_cancel(*(kolk_handle **)userdata); }

/* A callback may cancel one that is due in the same turn. */
static void a_callback_cancels_the_next_of_its_turn(void **state) {
    struct fixture *f = *state;
    kolk_handle *victim = NULL;
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_handle, &victim, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, "victim"), unsay, &victim), 0);
    soon(f, "last");
    drive_once(f);
    assert_record(f, "~victim last");
    kolk_handle_unref(victim);
}

struct self_cancel {
    struct fixture *f;
    kolk_handle *handle;
};

static void cancel_myself(void *userdata) {
    struct self_cancel *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_handle_cancel(self->handle)));
    self->handle = kolk_handle_unref(self->handle);
}

/* A callback that is running is too late to be cancelled, and may drop its own handle. */
static void a_callback_cannot_cancel_itself(void **state) {
    struct fixture *f = *state;
    struct self_cancel self = {.f = f};
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_myself, &self, NULL, &self.handle), 0);
    drive_once(f);
    assert_record(f, "KOLK_EALREADY");
    assert_null(self.handle);
}

static int say_in_a_task(void *userdata, void **ret_result) {
    (void)ret_result;
    say(userdata);
    return 0;
}

static void soon_with_handle(struct fixture *f, const char *text) {
    kolk_handle *handle;
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, text), NULL, &handle), 0);
    kolk_handle_unref(handle);
}

static void soon_as_task(struct fixture *f, const char *text) {
    assert_int_equal(kolk_create_task(f->loop, say_in_a_task, word(f, text), NULL, NULL, NULL), 0);
}

static void ask_for_all_kinds(void *userdata) {
    struct fixture *f = userdata;
    soon(f, "1");
    soon_as_task(f, "2");
    soon(f, "3");
    soon_with_handle(f, "4");
    soon(f, "5");
}

/* Calls with a handle, calls without one and tasks take their turns in the order they came. */
static void all_kinds_run_in_the_order_they_came(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_int_equal(kolk_loop_call_soon(f->loop, ask_for_all_kinds, f, NULL, NULL), 0);
    soon_with_handle(f, "b");
    soon(f, "c");
    soon_as_task(f, "d");
    soon(f, "e");
    assert_int_equal(drive_once(f), 6);
    assert_record(f, "a b c d e");
    soon(f, "6");
    assert_int_equal(drive_once(f), 6);
    assert_record(f, "a b c d e 1 2 3 4 5 6");
}

enum { CROWD = 1000 };

struct crowd {
    kolk_loop *loop;
    struct member {
        struct crowd *crowd;
        int number;
    } members[CROWD];
    int next;
    int misplaced;
    int rounds;
    int destroyed;
};

static void take_place(void *userdata) {
    struct member *self = userdata;
    struct crowd *crowd = self->crowd;
    crowd->misplaced += self->number != crowd->next;
    crowd->next = (crowd->next + 1) % CROWD;
    if (crowd->next == 0)
        crowd->rounds++;
    if (crowd->rounds < 3)
        kolk_loop_call_soon(crowd->loop, take_place, self, NULL, NULL);
}

static void count_destroyed(void *userdata) { ((struct member *)userdata)->crowd->destroyed++; }

static void form_crowd(struct crowd *crowd, kolk_loop *loop, kolk_destroy_fn destroy) {
    *crowd = (struct crowd){.loop = loop};
    for (int i = 0; i < CROWD; i++) {
        crowd->members[i] = (struct member){crowd, i};
        assert_int_equal(kolk_loop_call_soon(loop, take_place, &crowd->members[i], destroy, NULL), 0);
    }
}

/* However many calls there are, they keep their order from turn to turn. */
static void a_crowd_keeps_its_order(void **state) {
    struct fixture *f = *state;
    static struct crowd crowd;
    form_crowd(&crowd, f->loop, NULL);
    for (int turn = 0; turn < 3; turn++)
        drive_once(f);
    assert_int_equal(crowd.rounds, 3);
    assert_int_equal(crowd.misplaced, 0);
}

/* Calls that find no memory to be noted together are noted one by one, in order. */
static void calls_do_without_memory_for_many(void **state) {
    struct fixture *f = *state;
    failing_allocator_arm(&f->memory, 1, 0);
    soon(f, "a");
    soon(f, "b");
    soon(f, "c");
    failing_allocator_disarm(&f->memory);
    drive_once(f);
    soon(f, "d");
    drive_once(f);
    assert_record(f, "a b c d");
}

struct chain {
    kolk_loop *loop;
    int stop;
};

static void chain_on(void *userdata) {
    struct chain *chain = userdata;
    if (!chain->stop)
        kolk_loop_call_soon(chain->loop, chain_on, chain, NULL, NULL);
}

/* Callbacks that always ask for another one keep neither descriptors nor timers from being served. */
static void a_full_ready_queue_starves_nobody(void **state) {
    struct fixture *f = *state;
    struct chain chain = {.loop = f->loop};
    int pair[2], reads = 0;
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], increment, &reads, NULL), 0);
    kolk_loop_call_soon(f->loop, chain_on, &chain, NULL, NULL);
    drive_during(f, 5 * MS);
    assert_true(reads > 0);
    chain.stop = 1;
    kolk_loop_remove_reader(f->loop, pair[0]);
    close_pair(pair);
}

/* ---- call_later, call_at ---- */

/* Timers fire in the order of their deadlines, not in that of the calls. */
static void timers_fire_in_the_order_of_their_deadlines(void **state) {
    struct fixture *f = *state;
    int64_t now = kolk_loop_time(f->loop);
    at(f, now + 9 * MS, "c");
    at(f, now + 1 * MS, "a");
    at(f, now + 5 * MS, "b");
    drive_during(f, 12 * MS);
    assert_record(f, "a b c");
}

/* Timers with equal deadlines fire in the order they were made. */
static void equal_deadlines_fire_in_the_order_they_were_made(void **state) {
    struct fixture *f = *state;
    int64_t when = kolk_loop_time(f->loop) + 2 * MS;
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(kolk_loop_call_at(f->loop, when, say, word(f, names[i]), NULL, NULL), 0);
    drive_during(f, 5 * MS);
    assert_record(f, "a b c d e");
}

struct deadline {
    kolk_loop *loop;
    int64_t when_ns;
    int *early;
    int *fired;
};

static void check_deadline(void *userdata) {
    struct deadline *deadline = userdata;
    *deadline->early += kolk_loop_time(deadline->loop) < deadline->when_ns;
    ++*deadline->fired;
}

/* No timer fires before its time, not even by the microseconds that a coarse kernel clock would round away. */
static void timers_are_never_early(void **state) {
    struct fixture *f = *state;
    enum { TIMERS = 300 };
    static struct deadline deadlines[TIMERS];
    int early = 0, fired = 0;
    int64_t now = kolk_loop_time(f->loop);
    for (int i = 0; i < TIMERS; i++) {
        deadlines[i] =
            (struct deadline){.loop = f->loop, .when_ns = now + (i * 7919 % 20000) * 1000, .early = &early, .fired = &fired};
        assert_int_equal(kolk_loop_call_at(f->loop, deadlines[i].when_ns, check_deadline, &deadlines[i], NULL, NULL), 0);
    }
    drive_until_count(f, &fired, TIMERS);
    assert_int_equal(early, 0);
}

/* A moment that has passed is due on the next turn, after what waits there already. */
static void a_deadline_in_the_past_is_due_on_the_next_turn(void **state) {
    struct fixture *f = *state;
    const int64_t past[] = {0, -1, -SECOND, INT64_MIN};
    for (size_t i = 0; i < COUNT(past); i++) {
        assert_int_equal(kolk_loop_call_later(f->loop, past[i], say, word(f, "later"), NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_at(f->loop, past[i], say, word(f, "at"), NULL, NULL), 0);
        soon(f, "soon");
        assert_int_equal(drive_once(f), 3);
        assert_memory_equal(f->record, "soon ", 5);
        clear_record(f);
    }
}

/* The beginning of time is past too: a loop with nothing else to do does not sleep until then. */
static void a_deadline_at_the_beginning_of_time_is_due(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_at(f->loop, INT64_MIN, say, word(f, "at"), NULL, NULL), 0);
    alarm(30); /* What guards other waits is itself a timer of the loop. */
    drive_once(f);
    alarm(0);
    assert_record(f, "at");
}

/* A delay beyond the end of time is no overflow: the call waits. */
static void a_delay_of_centuries_does_not_overflow(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, INT64_MAX, say, word(f, "late"), NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, INT64_MAX - 1, say, word(f, "late"), NULL, &handle), 0);
    assert_true(kolk_handle_when(handle) > kolk_loop_time(f->loop));
    kolk_handle_unref(handle);
    drive_during(f, 2 * MS);
    assert_record(f, "");
}

/* A cancelled timer does not fire. */
static void a_cancelled_timer_does_not_fire(void **state) {
    struct fixture *f = *state;
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 1 * MS, say, word(f, "a"), unsay, &handle), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    assert_record(f, "~a");
    kolk_handle_unref(handle);
    drive_during(f, 4 * MS);
    assert_record(f, "~a");
}

/* A timer may cancel one that is due in the same turn. */
static void a_timer_cancels_its_neighbour_of_the_same_deadline(void **state) {
    struct fixture *f = *state;
    kolk_handle *victim = NULL;
    int64_t when = kolk_loop_time(f->loop) + MS;
    assert_int_equal(kolk_loop_call_at(f->loop, when, cancel_handle, &victim, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_at(f->loop, when, say, word(f, "victim"), unsay, &victim), 0);
    drive_during(f, 4 * MS);
    assert_record(f, "~victim");
    kolk_handle_unref(victim);
}

/* ---- Other threads ---- */

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

/* Posts of the loop's own thread are posts like any other. */
static void the_loops_own_thread_may_post_too(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "a"), NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "b"), NULL), 0);
    assert_record(f, "");
    drive_during(f, MS);
    assert_record(f, "a b");
}

/* ---- Descriptors ---- */

struct watcher {
    struct fixture *f;
    int fd;
    const char *name;
    int calls;
    int other; /* A descriptor this watcher does something to. */
};

static void read_and_record(void *userdata) {
    struct watcher *watcher = userdata;
    char buffer[16];
    ssize_t n = read(watcher->fd, buffer, sizeof buffer);
    watcher->calls++;
    record(watcher->f, "%s(%.*s)", watcher->name, n > 0 ? (int)n : 0, buffer);
}

/* A reader is called when there is something to read. */
static void a_reader_is_called_when_there_is_something_to_read(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    later(f, 1 * MS, "timer");
    drive_during(f, 3 * MS);
    assert_record(f, "timer");

    assert_int_equal(write(pair[1], "tea", 3), 3);
    drive_until_count(f, &reader.calls, 1);
    assert_record(f, "timer read(tea)");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

static void read_one_byte(void *userdata) {
    struct watcher *watcher = userdata;
    char byte = '?';
    watcher->calls += read(watcher->fd, &byte, 1) == 1;
    record(watcher->f, "%c", byte);
}

/* A reader that leaves something unread is called again. */
static void a_reader_is_called_every_turn_while_there_is_more(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0]};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_one_byte, &reader, NULL), 0);
    assert_int_equal(write(pair[1], "tea", 3), 3);
    for (int i = 1; i <= 3; i++)
        drive_until_count(f, &reader.calls, i);
    drive_during(f, 2 * MS);
    assert_record(f, "t e a");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* End of file is something to read. */
static void a_reader_is_called_when_the_peer_is_gone(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "eof"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    close(pair[1]);
    pair[1] = -1;
    drive_until_count(f, &reader.calls, 1);
    assert_memory_equal(f->record, "eof()", 5);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

static void record_and_remove_writer(void *userdata) {
    struct watcher *watcher = userdata;
    watcher->calls++;
    record(watcher->f, "%s=%d", watcher->name, kolk_loop_remove_writer(watcher->f->loop, watcher->fd));
}

static void fill(int fd) {
    static const char block[4096];
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void drain(int fd) {
    char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
}

/* A writer is called when there is room, not before. */
static void a_writer_is_called_when_there_is_room(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    fill(pair[0]);
    struct watcher writer = {.f = f, .fd = pair[0], .name = "write"};
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], record_and_remove_writer, &writer, NULL), 0);
    drive_during(f, 2 * MS);
    assert_record(f, "");
    drain(pair[1]);
    drive_until_count(f, &writer.calls, 1);
    assert_record(f, "write=1");
    close_pair(pair);
}

/* One descriptor can have a reader and a writer; each hears of its own side. */
static void a_descriptor_can_have_a_reader_and_a_writer(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    struct watcher writer = {.f = f, .fd = pair[0], .name = "write"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], record_and_remove_writer, &writer, NULL), 0);
    drive_until_count(f, &writer.calls, 1);
    assert_record(f, "write=1");
    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_until_count(f, &reader.calls, 1);
    assert_record(f, "write=1 read(x)");

    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], record_and_remove_writer, &writer, NULL), 0);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    drive_until_count(f, &writer.calls, 2);
    assert_record(f, "write=1 read(x) write=1");
    close_pair(pair);
}

/* A second reader replaces the first, whose userdata is destroyed. */
static void a_second_reader_replaces_the_first(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher second = {.f = f, .fd = pair[0], .name = "second"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], say, word(f, "first"), unsay), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &second, NULL), 0);
    assert_record(f, "~first");
    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_until_count(f, &second.calls, 1);
    assert_record(f, "~first second(x)");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* Removing tells whether there was one, and destroys its userdata. */
static void removing_tells_whether_there_was_one(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], say, word(f, "r"), unsay), 0);
    assert_int_equal(kolk_loop_remove_writer(f->loop, pair[0]), 0);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    assert_record(f, "~r");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 0);
    assert_int_equal(kolk_loop_remove_reader(f->loop, -1), 0);
    close_pair(pair);
}

static void remove_myself(void *userdata) {
    struct watcher *watcher = userdata;
    watcher->calls++;
    record(watcher->f, "%s=%d", watcher->name, kolk_loop_remove_reader(watcher->f->loop, watcher->fd));
}

static void say_removed(void *userdata) {
    struct watcher *watcher = userdata;
    record(watcher->f, "~%s", watcher->name);
}

/* A reader may remove itself; what it was given is destroyed only after it has returned, or by then. */
static void a_reader_may_remove_itself(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "r"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], remove_myself, &reader, say_removed), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_until_count(f, &reader.calls, 1);
    drive_during(f, 2 * MS);
    assert_record(f, "r=1 ~r");
    close_pair(pair);
}

static void remove_the_other(void *userdata) {
    struct watcher *watcher = userdata;
    watcher->calls++;
    record(watcher->f, "%d", kolk_loop_remove_reader(watcher->f->loop, watcher->other));
    kolk_loop_remove_reader(watcher->f->loop, watcher->fd);
}

/* A reader that is removed by another one of the same batch is not called any more. */
static void a_reader_removed_by_its_neighbour_is_not_called(void **state) {
    struct fixture *f = *state;
    int a[2], b[2];
    open_pair(a);
    open_pair(b);
    struct watcher first = {.f = f, .fd = a[0], .other = b[0]};
    struct watcher second = {.f = f, .fd = b[0], .other = a[0]};
    assert_int_equal(kolk_loop_add_reader(f->loop, a[0], remove_the_other, &first, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, b[0], remove_the_other, &second, NULL), 0);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    drive_during(f, 3 * MS);
    assert_int_equal(first.calls + second.calls, 1);
    assert_record(f, "1");
    close_pair(a);
    close_pair(b);
}

struct reuse {
    struct fixture *f;
    int *mine;
    int *other;
    int replacement; /* An idle descriptor that takes the other's number. */
    struct watcher *new_owner;
    int *done;
};

static void give_the_number_away(void *userdata) {
    struct reuse *reuse = userdata;
    kolk_loop_remove_reader(reuse->f->loop, reuse->mine[0]);
    if ((*reuse->done)++)
        return;
    kolk_loop_remove_reader(reuse->f->loop, reuse->other[0]);
    dup2(reuse->replacement, reuse->other[0]);
    reuse->new_owner->fd = reuse->other[0];
    kolk_loop_add_reader(reuse->f->loop, reuse->other[0], read_and_record, reuse->new_owner, NULL);
}

/* A descriptor that is closed and reopened under the same number in a callback does not get the old one's event. */
static void a_reused_number_gets_no_stale_event(void **state) {
    struct fixture *f = *state;
    int a[2], b[2], idle[2], done = 0;
    open_pair(a);
    open_pair(b);
    open_pair(idle);
    struct watcher new_owner = {.f = f, .name = "new"};
    struct reuse first = {.f = f, .mine = a, .other = b, .replacement = idle[0], .new_owner = &new_owner, .done = &done};
    struct reuse second = {.f = f, .mine = b, .other = a, .replacement = idle[0], .new_owner = &new_owner, .done = &done};
    assert_int_equal(kolk_loop_add_reader(f->loop, a[0], give_the_number_away, &first, NULL), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, b[0], give_the_number_away, &second, NULL), 0);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    drive_during(f, 3 * MS);
    assert_int_equal(done, 1);
    assert_record(f, "");

    assert_int_equal(write(idle[1], "hello", 5), 5);
    drive_until_count(f, &new_owner.calls, 1);
    assert_record(f, "new(hello)");
    assert_int_equal(kolk_loop_remove_reader(f->loop, new_owner.fd), 1);
    close_pair(a);
    close_pair(b);
    close_pair(idle);
}

/* A descriptor that was closed while it was watched costs its owner the events, not the loop its life or its sleep. */
static void a_descriptor_closed_behind_the_loop_does_not_spin(void **state) {
    struct fixture *f = *state;
    int pair[2], calls = 0;
    open_pair(pair);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], increment, &calls, NULL), 0);
    drive_during(f, 1 * MS);
    close(pair[0]);
    drive_during(f, 20 * MS);
    assert_true(calls <= 1);
    assert_true(kolk_loop_remove_reader(f->loop, pair[0]) >= 0);
    pair[0] = -1;
    close_pair(pair);
    soon(f, "alive");
    drive_once(f);
    assert_record(f, "alive");
}

/* Every reactor gives the same answer for what cannot be watched, and the userdata is destroyed. */
static void what_cannot_be_watched_is_refused(void **state) {
    struct fixture *f = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int closed = dup(0);
    close(closed);
    assert_int_equal(kolk_loop_add_reader(f->loop, fileno(file), say, word(f, "file"), unsay), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_add_writer(f->loop, fileno(file), say, word(f, "file"), unsay), KOLK_ENOTSUP);
    assert_int_equal(kolk_loop_add_reader(f->loop, closed, say, word(f, "closed"), unsay), KOLK_EBADF);
    assert_int_equal(kolk_loop_add_writer(f->loop, closed, say, word(f, "closed"), unsay), KOLK_EBADF);
    assert_int_equal(kolk_loop_add_reader(f->loop, -1, say, word(f, "none"), unsay), KOLK_EBADF);
    assert_record(f, "~file ~file ~closed ~closed ~none");
    fclose(file);
}

/* A descriptor beyond what select can hold is refused there, and watched everywhere else. */
static void a_large_descriptor_is_watched_or_refused(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct rlimit old, wide;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    wide = old;
    if (wide.rlim_cur < 2000)
        wide.rlim_cur = 2000 < wide.rlim_max ? 2000 : wide.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &wide), 0);
    int large = dup2(pair[0], 1500);
    assert_int_equal(large, 1500);
    struct watcher reader = {.f = f, .fd = large, .name = "large"};
    int status = kolk_loop_add_reader(f->loop, large, read_and_record, &reader, NULL);
    if (strcmp(f->reactor, "select") == 0) {
        assert_int_equal(status, KOLK_ELIMIT);
    } else {
        assert_int_equal(status, 0);
        assert_int_equal(write(pair[1], "x", 1), 1);
        drive_until_count(f, &reader.calls, 1);
        assert_record(f, "large(x)");
        assert_int_equal(kolk_loop_remove_reader(f->loop, large), 1);
    }
    close(large);
    close_pair(pair);
    setrlimit(RLIMIT_NOFILE, &old);
}

/* Three hundred descriptors that are ready at once are all served. */
static void many_ready_descriptors_are_all_served(void **state) {
    struct fixture *f = *state;
    enum { PAIRS = 300 };
    static int pairs[PAIRS][2];
    static struct watcher watchers[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        open_pair(pairs[i]);
        watchers[i] = (struct watcher){.f = f, .fd = pairs[i][0], .name = "r"};
        assert_int_equal(kolk_loop_add_reader(f->loop, pairs[i][0], remove_myself, &watchers[i], NULL), 0);
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
    }
    for (int i = 0; i < PAIRS; i++)
        drive_until_count(f, &watchers[i].calls, 1);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(watchers[i].calls, 1);
        close_pair(pairs[i]);
    }
}

/* A reader that is always ready leaves room for timers and posts. */
static void a_busy_descriptor_starves_nobody(void **state) {
    struct fixture *f = *state;
    int pair[2], calls = 0;
    open_pair(pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], increment, &calls, NULL), 0);
    later(f, 2 * MS, "timer");
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    drive_during(f, 5 * MS);
    assert_record(f, "post timer");
    assert_true(calls > 0);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* ---- Running, nesting, closing ---- */

struct nested {
    struct fixture *f;
    kolk_future *future;
};

static void run_from_inside(void *userdata) {
    struct nested *nested = userdata;
    struct fixture *f = nested->f;
    record(f, "%s", kolk_status_name(kolk_loop_run_once(f->loop)));
    record(f, "%s", kolk_status_name(kolk_loop_run_forever(f->loop)));
    record(f, "%s", kolk_status_name(kolk_loop_run_until_complete(f->loop, nested->future)));
    record(f, "%s", kolk_status_name(kolk_loop_dispatch(f->loop, NULL, NULL)));
    record(f, "%s", kolk_status_name(kolk_loop_close(f->loop)));
}

/* A loop cannot be run or closed from inside itself, and goes on when someone tries. */
static void a_loop_cannot_be_run_or_closed_from_inside(void **state) {
    struct fixture *f = *state;
    struct nested nested = {.f = f, .future = new_future(f)};
    assert_int_equal(kolk_loop_call_soon(f->loop, run_from_inside, &nested, NULL, NULL), 0);
    soon(f, "on");
    drive_once(f);
    assert_record(f, "KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY KOLK_EBUSY on");
    kolk_future_unref(nested.future);
}

static void record_where(void *userdata) {
    struct fixture *f = userdata;
    record(f, "%s %d", kolk_loop_current() == f->loop ? "mine" : "other", kolk_loop_is_running(f->loop));
}

/* Inside a callback the loop is current and running; outside it is neither. */
static void the_current_loop_is_known_inside_callbacks(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, record_where, f, NULL, NULL), 0);
    assert_null(kolk_loop_current());
    assert_int_equal(kolk_loop_is_running(f->loop), 0);
    drive_once(f);
    assert_record(f, "mine 1");
    assert_null(kolk_loop_current());
    assert_int_equal(kolk_loop_is_running(f->loop), 0);
}

struct inner {
    struct fixture *f;
    kolk_loop *loop;
};

static void say_inner(void *userdata) {
    struct inner *inner = userdata;
    record(inner->f, "inner:%d", kolk_loop_current() == inner->loop);
}

static void run_inner(void *userdata) {
    struct inner *inner = userdata;
    kolk_loop_call_soon(inner->loop, say_inner, inner, NULL, NULL);
    record(inner->f, "ran:%d", kolk_loop_run_once(inner->loop));
    record(inner->f, "outer:%d", kolk_loop_current() == inner->f->loop);
}

/* Another loop of the same thread may be run inside a callback; the outer one is current again afterwards. */
static void another_loop_may_be_run_inside_a_callback(void **state) {
    struct fixture *f = *state;
    struct inner inner = {.f = f};
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = f->ops};
    assert_int_equal(kolk_loop_new(&options, &inner.loop, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, run_inner, &inner, NULL, NULL), 0);
    drive_once(f);
    assert_record(f, "inner:1 ran:1 outer:1");
    assert_int_equal(kolk_loop_close(inner.loop), 0);
    kolk_loop_unref(inner.loop);
}

static void record_exception(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    record(userdata, "%s", kolk_error_message(error));
}

struct pending {
    int called;
    int destroyed;
};

static void call_pending(void *userdata) { ((struct pending *)userdata)->called++; }
static void destroy_pending(void *userdata) { ((struct pending *)userdata)->destroyed++; }

/* Closing destroys everything that was pending, without calling it. */
static void closing_destroys_what_was_pending(void **state) {
    struct fixture *f = *state;
    int pair[2];
    struct pending p = {0, 0};
    open_pair(pair);
    assert_int_equal(kolk_loop_call_soon(f->loop, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, SECOND, call_pending, &p, destroy_pending, NULL), 0);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], call_pending, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &p, destroy_pending), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(p.called, 0);
    assert_int_equal(p.destroyed, 7);
    close_pair(pair);
}

/* Closing releases each of many calls once, whatever a budget left over of them. */
static void closing_destroys_a_crowd_once(void **state) {
    struct fixture *f = *state;
    static struct crowd crowd;
    form_crowd(&crowd, f->loop, count_destroyed);
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_int_equal(crowd.next, 2);
    assert_int_equal(crowd.destroyed, 2);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(crowd.next, 2);
    assert_int_equal(crowd.misplaced, 0);
    assert_int_equal(crowd.destroyed, CROWD);
}

struct both_ways {
    struct fixture *f;
    int fd;
};

static void remove_both(void *userdata) {
    struct both_ways *self = userdata;
    record(self->f, "~reader");
    kolk_loop_remove_reader(self->f->loop, self->fd);
    kolk_loop_remove_writer(self->f->loop, self->fd);
}

/* What is destroyed by the closing may remove its neighbours, which are then destroyed once all the same. */
static void closing_survives_who_removes_both_ways(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct both_ways both = {.f = f, .fd = pair[0]};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, &both, remove_both), 0);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, word(f, "writer"), unsay), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_true(strcmp(f->record, "~reader ~writer") == 0 || strcmp(f->record, "~writer ~reader") == 0);
    close_pair(pair);
}

static void drop_future(void *future) { kolk_future_unref(future); }

/* What the closing destroys may drop objects of the loop, which is not dropped with them. */
static void closing_survives_who_drops_objects(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, future, drop_future), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);
}

static void drop_handler(void *f) { record(f, "dropped"); }

static void set_another_handler(void *userdata) {
    struct fixture *f = userdata;
    record(f, "%s", kolk_status_name(kolk_loop_set_exception_handler(f->loop, record_exception, f, drop_handler)));
}

/* An exception handler that goes with the loop cannot leave another one behind. */
static void an_exception_handler_set_by_the_closing_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, f, set_another_handler), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    kolk_future_unref(future);
    assert_record(f, "dropped KOLK_ECLOSED");
}

/* Callbacks that always ask for another one do not keep a loop from being closed. */
static void an_endless_chain_does_not_keep_a_loop_open(void **state) {
    struct fixture *f = *state;
    struct chain chain = {.loop = f->loop};
    assert_int_equal(kolk_loop_call_soon(f->loop, chain_on, &chain, NULL, NULL), 0);
    drive_once(f);
    assert_int_equal(kolk_loop_close(f->loop), 0);
}

/* Closing twice is fine; asking a closed loop for anything is answered. */
static void a_closed_loop_answers(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_is_closed(f->loop), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(kolk_loop_is_closed(f->loop), 1);

    kolk_plan plan;
    kolk_handle *handle = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_loop_run_once(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_run_forever(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_wait(f->loop, 0), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_get_fd(f->loop), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_soon(f->loop, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_later(f->loop, 0, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_at(f->loop, 0, nothing, &destroyed, count_destroy, &handle), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], nothing, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &destroyed, count_destroy), KOLK_ECLOSED);
    assert_int_equal(destroyed, 7);
    assert_null(handle);
    assert_string_equal(kolk_loop_reactor(f->loop), f->reactor);
    kolk_future_unref(future);
    close_pair(pair);
}

/* The last reference closes a loop that nobody closed. */
static void the_last_reference_closes_the_loop(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    assert_int_equal(kolk_loop_call_soon(f->loop, nothing, &destroyed, count_destroy, NULL), 0);
    assert_ptr_equal(kolk_loop_ref(f->loop), f->loop);
    assert_null(kolk_loop_unref(f->loop));
    assert_int_equal(destroyed, 0);
    f->loop = kolk_loop_unref(f->loop);
    assert_int_equal(destroyed, 1);
}

static void drop_the_loop(void *userdata) {
    struct fixture *f = userdata;
    f->loop = kolk_loop_unref(f->loop);
    record(f, "dropped");
}

/* The last reference may be dropped inside of the loop, which finishes its turn and closes. */
static void the_last_reference_may_be_dropped_inside(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, word(f, "pending"), unsay, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, drop_the_loop, f, NULL, NULL), 0);
    soon(f, "same turn");
    drive_once(f);
    assert_record(f, "dropped same turn ~pending");
}

/* The loop knows its reactor, and its clock runs forwards. */
static void the_loop_knows_its_reactor_and_its_time(void **state) {
    struct fixture *f = *state;
    assert_string_equal(kolk_loop_reactor(f->loop), f->reactor);
    int64_t before = kolk_loop_time(f->loop);
    pause_ms(2);
    int64_t after = kolk_loop_time(f->loop);
    assert_true(after - before >= 2 * MS);
}

/* An error that nobody read reaches the exception handler. */
static void an_unread_error_reaches_the_exception_handler(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_record(f, "unhandled(KOLK_EIO)");
}

struct one_shot {
    struct fixture *f;
    int calls;
    int nested; /* Errors that it makes itself, before it goes. */
};

static void drop_an_error(struct fixture *f) {
    kolk_future *future = new_future(f);
    kolk_future_set_error(future, kolk_error_of(KOLK_EIO));
    kolk_future_unref(future);
}

static void handle_one(kolk_loop *loop, kolk_error *error, void *userdata) {
    struct one_shot *self = userdata;
    (void)error;
    self->calls++;
    if (self->nested-- > 0)
        drop_an_error(self->f);
    kolk_loop_set_exception_handler(loop, NULL, NULL, NULL);
    record(self->f, "call(%d)", self->calls);
}

static void destroy_one_shot(void *userdata) {
    struct one_shot *self = userdata;
    record(self->f, "destroyed");
    free(self);
}

/* A handler that replaces itself is released when the last of its calls has returned. */
static void an_exception_handler_may_replace_itself(void **state) {
    struct fixture *f = *state;
    for (int nested = 0; nested <= 1; nested++) {
        struct one_shot *one_shot = calloc(1, sizeof *one_shot);
        assert_non_null(one_shot);
        *one_shot = (struct one_shot){.f = f, .nested = nested};
        clear_record(f);
        assert_int_equal(kolk_loop_set_exception_handler(f->loop, handle_one, one_shot, destroy_one_shot), 0);
        drop_an_error(f);
        drop_an_error(f);
        assert_record(f, nested ? "call(2) call(2) destroyed" : "call(1) destroyed");
    }
}

/* A new exception handler replaces the old one, whose userdata is destroyed; NULL leaves nobody. */
static void an_exception_handler_can_be_replaced(void **state) {
    struct fixture *f = *state;
    int destroyed = 0;
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, record_exception, &destroyed, count_destroy), 0);
    watch_errors(f);
    assert_int_equal(destroyed, 1);
    assert_int_equal(kolk_loop_set_exception_handler(f->loop, NULL, NULL, NULL), 0);
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_future_set_error(future, kolk_error_of(KOLK_EIO)), 0);
    kolk_future_unref(future);
    drive_during(f, MS);
    assert_int_equal(f->unhandled, 0);
}

/* ---- The thirds ---- */

/* The plan tells when the next timer is due and whether there is work already. */
static void prepare_tells_the_deadline_and_what_is_ready(void **state) {
    struct fixture *f = *state;
    kolk_plan plan = {.deadline_ns = -1, .ready = 7};
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);

    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 10 * SECOND, nothing, NULL, NULL, &handle), 0);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == kolk_handle_when(handle));

    soon(f, "a");
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 1);
    assert_record(f, "");
    drive_once(f);

    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(plan.ready, 0);
    assert_true(plan.deadline_ns == KOLK_NEVER);
}

/* A timer that is due is work, whichever member of the plan the host looks at. */
static void prepare_reports_a_timer_that_is_due(void **state) {
    struct fixture *f = *state;
    kolk_plan plan;
    later(f, 0, "due");
    pause_ms(2);
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_true(plan.ready == 1 || plan.deadline_ns <= kolk_loop_time(f->loop));
    drive_once(f);
    assert_record(f, "due");
}

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

/* Waiting takes nothing: what ended the sleep is still there for dispatch, and for another wait. */
static void wait_takes_nothing(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    kolk_plan plan;
    assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    int status = kolk_loop_wait(f->loop, KOLK_NEVER);
    if (f->ops->caps & KOLK_REACTOR_WAIT) {
        assert_int_equal(status, 0);
        assert_int_equal(kolk_loop_wait(f->loop, KOLK_NEVER), 0);
    } else {
        assert_int_equal(status, KOLK_ENOTSUP);
    }
    assert_record(f, "");
    while (reader.calls == 0)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0);
    assert_record(f, "read(x)");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* Waiting ends at the deadline, and not before. */
static void wait_ends_at_the_deadline(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_WAIT)) {
        assert_int_equal(kolk_loop_wait(f->loop, kolk_loop_time(f->loop)), KOLK_ENOTSUP);
        return;
    }
    int64_t deadline = kolk_loop_time(f->loop) + 5 * MS;
    assert_int_equal(kolk_loop_wait(f->loop, deadline), 0);
    assert_true(kolk_loop_time(f->loop) >= deadline);
    /* One that has passed is no wait at all. */
    assert_int_equal(kolk_loop_wait(f->loop, 0), 0);
}

static void stop_it(void *loop) { kolk_loop_stop(loop); }

static void dispatch_once(struct fixture *f) { assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0); }

/* A stop inside of a dispatch does not end the waits that follow. */
static void a_stop_inside_a_dispatch_leaves_later_waits_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_it, f->loop, NULL, NULL), 0);
    dispatch_once(f);
    dispatch_once(f);
    int64_t deadline = kolk_loop_time(f->loop) + 5 * MS;
    if (f->ops->caps & KOLK_REACTOR_WAIT) {
        assert_int_equal(kolk_loop_wait(f->loop, deadline), 0);
        assert_true(kolk_loop_time(f->loop) >= deadline);
    }
    drive_during(f, MS);
}

/* A stop outside of a run is for what comes next: a dispatch, and then no run. */
static void a_dispatch_takes_the_stop_before_it(void **state) {
    struct fixture *f = *state;
    kolk_future *later = NULL;
    assert_int_equal(kolk_sleep_async(f->loop, MS, &later), 0);
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    dispatch_once(f);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, later), 0);
    kolk_future_unref(later);
}

/* Dispatch never sleeps, and a host that only dispatches misses nothing. */
static void dispatch_alone_is_enough(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    kolk_progress progress = {7, 7};
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(progress.items, 0);
    assert_int_equal(progress.more, 0);
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    later(f, 2 * MS, "timer");
    assert_int_equal(write(pair[1], "x", 1), 1);
    for (int i = 0; i < 5000 && f->recorded < strlen("read(x) timer"); i++) {
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, NULL), 0);
        pause_ms(1);
    }
    assert_record(f, "read(x) timer");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

static int readable(int fd, int timeout_ms) {
    struct pollfd handle = {.fd = fd, .events = POLLIN};
    return poll(&handle, 1, timeout_ms);
}

/* A budget of items is kept; what it leaves over is run first next time, before what was added since. */
static void a_budget_of_items_is_kept(void **state) {
    struct fixture *f = *state;
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < COUNT(names); i++)
        soon(f, names[i]);
    kolk_budget budget = {.size = sizeof budget, .max_items = 2};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b");
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 1);
    if (f->ops->caps & KOLK_REACTOR_GET_FD)
        assert_int_equal(readable(kolk_loop_get_fd(f->loop), 0), 1);
    soon(f, "f");
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b c d");
    assert_int_equal(progress.more, 1);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_record(f, "a b c d e f");
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 0);
}

/* What is asked for while a budget is kept comes after what the budget leaves over. */
static void a_budget_leaves_the_order_alone(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    assert_int_equal(kolk_loop_call_soon(f->loop, ask_for_all_kinds, f, NULL, NULL), 0);
    soon(f, "b");
    soon_with_handle(f, "c");
    soon(f, "d");
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    kolk_progress progress = {.more = 1};
    for (int turn = 0; progress.more; turn++) {
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
        assert_int_equal(progress.items, 1);
        if (turn == 1)
            soon(f, "6");
    }
    assert_record(f, "a b c d 1 2 3 4 5 6");
}

static void burn_two_ms(void *userdata) {
    struct fixture *f = userdata;
    int64_t until = kolk_loop_time(f->loop) + 2 * MS;
    while (kolk_loop_time(f->loop) < until)
        ;
    record(f, "burnt");
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

/* A budget of time is looked at between items: at least one runs. */
static void a_budget_of_time_is_kept(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(kolk_loop_call_soon(f->loop, burn_two_ms, f, NULL, NULL), 0);
    kolk_budget budget = {.size = sizeof budget, .max_ns = MS};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 1);
    assert_int_equal(progress.more, 1);
    assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_record(f, "burnt burnt burnt");
}

/* A budget of all the time there is limits nothing. */
static void a_budget_of_centuries_does_not_overflow(void **state) {
    struct fixture *f = *state;
    soon(f, "a");
    soon(f, "b");
    kolk_budget budget = {.size = sizeof budget, .max_ns = INT64_MAX};
    kolk_progress progress;
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
    assert_int_equal(progress.items, 2);
    assert_int_equal(progress.more, 0);
    assert_record(f, "a b");
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

/* A budget with another size is refused rather than guessed at. */
static void a_budget_of_the_wrong_size_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_budget budget = {.size = 1, .max_items = 1};
    soon(f, "a");
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), KOLK_EINVAL);
    assert_record(f, "");
}

static void dispatch_all(struct fixture *f) {
    kolk_progress progress = {.more = 1};
    while (progress.more)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
}

/* The handle is readable exactly while dispatch would make progress, for every kind of work. */
static void the_handle_is_readable_exactly_while_there_is_work(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD)) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    assert_true(fd >= 0);
    assert_int_equal(kolk_loop_get_fd(f->loop), fd);
    assert_int_equal(readable(fd, 0), 0);

    soon(f, "soon");
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    assert_int_equal(kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "post"), NULL), 0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    later(f, 3 * MS, "timer");
    assert_int_equal(readable(fd, 0), 0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);

    assert_int_equal(kolk_loop_add_writer(f->loop, pair[0], record_and_remove_writer,
                                          &(struct watcher){.f = f, .fd = pair[0], .name = "write"}, NULL),
                     0);
    assert_int_equal(readable(fd, 5000), 1);
    dispatch_all(f);
    assert_int_equal(readable(fd, 0), 0);
    assert_record(f, "soon post timer read(x) write=1");
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* A timer that is cancelled leaves a host that sleeps on the handle alone. */
static void the_handle_forgets_a_cancelled_timer(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    kolk_handle *handle = NULL;
    assert_int_equal(kolk_loop_call_later(f->loop, 5 * MS, nothing, NULL, NULL, &handle), 0);
    assert_int_equal(kolk_handle_cancel(handle), 0);
    kolk_handle_unref(handle);
    kolk_progress progress;
    /* The kernel's timer may still go off once, if moving it would have cost more than that. */
    if (readable(fd, 20) == 1)
        assert_int_equal(kolk_loop_dispatch(f->loop, NULL, &progress), 0);
    assert_int_equal(readable(fd, 20), 0);
}

/* A waker that is rung, put off by a budget and then dropped leaves nothing to be readable for. */
static void the_handle_forgets_a_dropped_waker(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    kolk_waker *waker = NULL;
    assert_int_equal(kolk_waker_new(f->loop, nothing, NULL, NULL, &waker), 0);
    soon(f, "a");
    kolk_waker_wake(waker);
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    assert_int_equal(kolk_loop_dispatch(f->loop, &budget, NULL), 0);
    assert_int_equal(readable(fd, 0), 1);
    kolk_waker_unref(waker);
    assert_int_equal(readable(fd, 0), 0);
}

/* A host that watches edges hears of work that a budget left over, and of work that is added later. */
static void the_handle_can_be_watched_for_edges(void **state) {
    struct fixture *f = *state;
    int fd = kolk_loop_get_fd(f->loop);
    if (fd < 0) {
        assert_int_equal(fd, KOLK_ENOTSUP);
        return;
    }
    int parent = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, fd, &event), 0);
    const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < COUNT(names); i++)
        soon(f, names[i]);
    kolk_budget budget = {.size = sizeof budget, .max_items = 1};
    kolk_progress progress = {.more = 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
        assert_int_equal(kolk_loop_dispatch(f->loop, &budget, &progress), 0);
        assert_int_equal(progress.more, i < 2);
    }
    assert_record(f, "a b c");
    soon(f, "d");
    assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
    dispatch_all(f);
    later(f, MS, "e");
    assert_int_equal(epoll_wait(parent, &event, 1, 5000), 1);
    dispatch_all(f);
    assert_record(f, "a b c d e");
    close(parent);
}

struct taker {
    int fd;
    int *taken;
};

static void take_one_byte(void *userdata) {
    struct taker *taker = userdata;
    char byte;
    *taker->taken += read(taker->fd, &byte, 1) == 1;
}

/* Dispatches once per edge until so many bytes were taken, or no edge comes any more. */
static void dispatch_at_edges(struct fixture *f, int parent, const int *taken, int expected) {
    struct epoll_event event;
    while (*taken < expected && epoll_wait(parent, &event, 1, 1000) == 1)
        dispatch_once(f);
}

/* A host that watches edges hears again of a descriptor that its reader did not empty. */
static void an_edge_follows_while_a_reader_leaves_something(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        return;
    int pair[2], taken = 0, parent = epoll_create1(EPOLL_CLOEXEC);
    open_pair(pair);
    struct taker taker = {.fd = pair[0], .taken = &taken};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], take_one_byte, &taker, NULL), 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, kolk_loop_get_fd(f->loop), &event), 0);
    assert_int_equal(write(pair[1], "0123456789", 10), 10);
    dispatch_at_edges(f, parent, &taken, 10);
    assert_int_equal(taken, 10);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close(parent);
    close_pair(pair);
}

/* A host that watches edges hears of all descriptors, however many are ready at once. */
static void an_edge_follows_while_descriptors_are_left(void **state) {
    struct fixture *f = *state;
    if (!(f->ops->caps & KOLK_REACTOR_GET_FD))
        return;
    enum { PAIRS = 300 };
    static int pairs[PAIRS][2];
    static struct taker takers[PAIRS];
    int taken = 0, parent = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < PAIRS; i++) {
        open_pair(pairs[i]);
        takers[i] = (struct taker){.fd = pairs[i][0], .taken = &taken};
        assert_int_equal(kolk_loop_add_reader(f->loop, pairs[i][0], take_one_byte, &takers[i], NULL), 0);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    assert_int_equal(epoll_ctl(parent, EPOLL_CTL_ADD, kolk_loop_get_fd(f->loop), &event), 0);
    for (int i = 0; i < PAIRS; i++)
        assert_int_equal(write(pairs[i][1], "x", 1), 1);
    dispatch_at_edges(f, parent, &taken, PAIRS);
    assert_int_equal(taken, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        assert_int_equal(kolk_loop_remove_reader(f->loop, pairs[i][0]), 1);
        close_pair(pairs[i]);
    }
    close(parent);
}

/* ---- Signals, threads, fork ---- */

static void on_signal(int number) { (void)number; }

/* Signals that keep interrupting the wait neither fail the run nor make a timer early. */
static void interrupted_waits_are_taken_up_again(void **state) {
    struct fixture *f = *state;
    struct sigaction old, action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    assert_int_equal(setitimer(ITIMER_REAL, &every_ms, NULL), 0);
    int early = 0, fired = 0;
    struct deadline deadline = {
        .loop = f->loop, .when_ns = kolk_loop_time(f->loop) + 30 * MS, .early = &early, .fired = &fired};
    assert_int_equal(kolk_loop_call_at(f->loop, deadline.when_ns, check_deadline, &deadline, NULL, NULL), 0);
    drive_during(f, 35 * MS);
    struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
    assert_int_equal(fired, 1);
    assert_int_equal(early, 0);
}

struct foreign {
    struct fixture *f;
    int fd;
    kolk_future *future;
    kolk_handle *handle;
    int expected; /* The status each call must return. */
    char wrong[512];
};

static void expect(struct foreign *foreign, const char *what, int status) {
    if (status != foreign->expected) {
        size_t used = strlen(foreign->wrong);
        snprintf(foreign->wrong + used, sizeof foreign->wrong - used, "%s=%s ", what, kolk_status_name(status));
    }
}

/* Calls everything a loop can be asked for; the answers must all be `expected`. */
static void *ask_everything(void *userdata) {
    struct foreign *a = userdata;
    kolk_loop *loop = a->f->loop;
    kolk_plan plan;
    kolk_future *future = NULL;
    int destroyed = 0;
    expect(a, "run_once", kolk_loop_run_once(loop));
    expect(a, "run_forever", kolk_loop_run_forever(loop));
    expect(a, "run_until_complete", kolk_loop_run_until_complete(loop, a->future));
    expect(a, "stop", kolk_loop_stop(loop));
    expect(a, "close", kolk_loop_close(loop));
    expect(a, "is_running", kolk_loop_is_running(loop));
    expect(a, "prepare", kolk_loop_prepare(loop, &plan));
    expect(a, "wait", kolk_loop_wait(loop, 0));
    expect(a, "dispatch", kolk_loop_dispatch(loop, NULL, NULL));
    expect(a, "get_fd", kolk_loop_get_fd(loop));
    expect(a, "call_soon", kolk_loop_call_soon(loop, nothing, &destroyed, count_destroy, NULL));
    expect(a, "call_later", kolk_loop_call_later(loop, 0, nothing, &destroyed, count_destroy, NULL));
    expect(a, "call_at", kolk_loop_call_at(loop, 0, nothing, &destroyed, count_destroy, NULL));
    expect(a, "add_reader", kolk_loop_add_reader(loop, a->fd, nothing, &destroyed, count_destroy));
    expect(a, "add_writer", kolk_loop_add_writer(loop, a->fd, nothing, &destroyed, count_destroy));
    expect(a, "set_exception_handler", kolk_loop_set_exception_handler(loop, record_exception, &destroyed, count_destroy));
    expect(a, "remove_reader", kolk_loop_remove_reader(loop, a->fd));
    expect(a, "remove_writer", kolk_loop_remove_writer(loop, a->fd));
    expect(a, "future_new", kolk_future_new(loop, &future));
    expect(a, "future_result", kolk_future_result(a->future, NULL));
    expect(a, "future_cancel", kolk_future_cancel(a->future));
    expect(a, "handle_cancel", kolk_handle_cancel(a->handle));
    if (destroyed != 6)
        expect(a, "destroyed", destroyed);
    if (kolk_future_unref(a->future) != a->future)
        expect(a, "future_unref", 0);
    if (kolk_handle_unref(a->handle) != a->handle)
        expect(a, "handle_unref", 0);
    return NULL;
}

static struct foreign make_foreign(struct fixture *f, int fd, int expected) {
    struct foreign foreign = {.f = f, .fd = fd, .future = new_future(f), .expected = expected};
    assert_int_equal(kolk_loop_call_later(f->loop, 5 * MS, say, word(f, "timer"), NULL, &foreign.handle), 0);
    return foreign;
}

/* A thread that does not own the loop is refused everything except what is open to any thread, and changes nothing. */
static void a_wrong_thread_is_refused(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    struct foreign foreign = make_foreign(f, pair[0], KOLK_ETHREAD);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_everything, &foreign), 0);
    pthread_join(thread, NULL);
    assert_string_equal(foreign.wrong, "");

    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_during(f, 10 * MS);
    assert_record(f, "read(x) timer");
    kolk_future_unref(foreign.future);
    kolk_handle_unref(foreign.handle);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

/* A forked child is refused everything, and nothing it tries reaches the parent's loop. */
static void a_forked_child_is_refused_and_harms_nothing(void **state) {
    struct fixture *f = *state;
    int pair[2];
    open_pair(pair);
    struct watcher reader = {.f = f, .fd = pair[0], .name = "read"};
    assert_int_equal(kolk_loop_add_reader(f->loop, pair[0], read_and_record, &reader, NULL), 0);
    drive_during(f, MS);
    struct foreign foreign = make_foreign(f, pair[0], KOLK_EFORKED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ask_everything(&foreign);
        expect(&foreign, "call_soon_threadsafe", kolk_loop_call_soon_threadsafe(f->loop, nothing, NULL, NULL));
        kolk_loop_unref(f->loop);
        if (*foreign.wrong)
            dprintf(2, "in the child: %s\n", foreign.wrong);
        _exit(*foreign.wrong ? 1 : 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    assert_int_equal(write(pair[1], "x", 1), 1);
    drive_during(f, 10 * MS);
    assert_record(f, "read(x) timer");
    kolk_future_unref(foreign.future);
    kolk_handle_unref(foreign.handle);
    assert_int_equal(kolk_loop_remove_reader(f->loop, pair[0]), 1);
    close_pair(pair);
}

struct forking {
    struct fixture *f;
    int forked;
    pid_t child;
    int fired;
};

/* The parent asks for a call soon; the child lets it, and goes on in the same turn afterwards. */
static void fork_inside(void *userdata) {
    struct forking *self = userdata;
    self->child = fork();
    self->forked = 1;
    if (self->child == 0) {
        alarm(30);
        pause_ms(20);
    } else {
        kolk_loop_call_later(self->f->loop, 60 * MS, increment, &self->fired, NULL, NULL);
    }
}

/* A child that was forked inside a callback and finishes the turn does not move the timer that the parent's host waits for. */
static void a_child_forked_inside_leaves_the_timers_alone(void **state) {
    struct fixture *f = *state;
    struct forking forking = {.f = f};
    pid_t parent = getpid();
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, MS, fork_inside, &forking, NULL, NULL), 0);
    while (!forking.forked)
        drive_once(f);
    if (getpid() != parent)
        _exit(0);
    assert_true(forking.child > 0);
    drive_until_count(f, &forking.fired, 1);
    int status = -1;
    assert_int_equal(waitpid(forking.child, &status, 0), forking.child);
    assert_int_equal(status, 0);
}

/* ---- Running on its own: not a matter of reactor or mode ---- */

static void stop_loop(void *userdata) {
    struct fixture *f = userdata;
    record(f, "stop");
    kolk_loop_stop(f->loop);
    kolk_loop_call_soon(f->loop, say, word(f, "next"), NULL, NULL);
}

/* Stopping lets the current turn finish; what belongs to the next one waits for the next run. */
static void stop_ends_the_run_after_the_current_turn(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_loop, f, NULL, NULL), 0);
    soon(f, "same turn");
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "stop same turn");
    assert_int_equal(kolk_loop_run_once(f->loop), 1);
    assert_record(f, "stop same turn next");
}

/* Stopping before a run makes it one turn long. */
static void stop_before_a_run_makes_it_one_turn_long(void **state) {
    struct fixture *f = *state;
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    assert_int_equal(kolk_loop_call_soon(f->loop, say_and_ask_for_b, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "a");
    assert_int_equal(kolk_loop_stop(f->loop), 0);
    assert_int_equal(kolk_loop_run_forever(f->loop), 0);
    assert_record(f, "a b");
}

/* A run for a future that was stopped first says so. */
static void a_stopped_run_until_complete_is_pending(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_call_soon(f->loop, stop_loop, f, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_EPENDING);
    kolk_future_unref(future);
}

/* Whatever the outcome of the future, the run that waited for it went well. */
static void run_until_complete_does_not_judge_the_outcome(void **state) {
    struct fixture *f = *state;
    kolk_future *ok = new_future(f), *failed = new_future(f), *cancelled = new_future(f);
    kolk_future_set_result(ok, NULL, NULL);
    kolk_future_set_error(failed, kolk_error_of(KOLK_EIO));
    kolk_future_cancel(cancelled);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, ok), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, failed), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, cancelled), 0);
    assert_int_equal(kolk_future_result(failed, NULL), KOLK_EIO);
    kolk_future_unref(ok);
    kolk_future_unref(failed);
    kolk_future_unref(cancelled);
}

static void settle_and_drop(void *future) {
    kolk_future_set_result(future, NULL, NULL);
    kolk_future_unref(future);
}

/* A run keeps the future it waits for. */
static void run_until_complete_keeps_the_future_alive(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    assert_int_equal(kolk_loop_call_soon(f->loop, settle_and_drop, future, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), 0);
}

/* A future of another loop would never be done here. */
static void run_until_complete_refuses_a_foreign_future(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    kolk_future *future = NULL;
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_future_new(other, &future), 0);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, future), KOLK_EINVAL);
    assert_int_equal(kolk_loop_run_until_complete(f->loop, NULL), KOLK_EINVAL);
    kolk_future_unref(future);
    kolk_loop_close(other);
    kolk_loop_unref(other);
}

struct thread_loop {
    pthread_t thread;
    int count;
};

static void *run_a_loop(void *userdata) {
    struct thread_loop *self = userdata;
    kolk_loop *loop = NULL;
    if (kolk_loop_new(NULL, &loop, NULL) != 0)
        return NULL;
    for (int i = 0; i < 1000; i++)
        kolk_loop_call_soon(loop, increment, &self->count, NULL, NULL);
    kolk_loop_run_once(loop);
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return NULL;
}

/* Loops of different threads know nothing of each other. */
static void each_thread_may_have_its_loop(void **state) {
    (void)state;
    struct thread_loop loops[4];
    for (size_t i = 0; i < COUNT(loops); i++) {
        loops[i].count = 0;
        assert_int_equal(pthread_create(&loops[i].thread, NULL, run_a_loop, &loops[i]), 0);
    }
    for (size_t i = 0; i < COUNT(loops); i++) {
        pthread_join(loops[i].thread, NULL);
        assert_int_equal(loops[i].count, 1000);
    }
}

/* Who has borrowed a loop may own it after all, also when its last owner has gone; its objects do not notice. */
static void a_loop_that_is_borrowed_can_be_owned_again(void **state) {
    kolk_loop *loop = NULL;
    kolk_future *future = NULL;
    (void)state;
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_int_equal(kolk_future_new(loop, &future), 0);
    kolk_loop_unref(loop);
    kolk_loop *again = kolk_loop_ref(kolk_future_loop(future));
    assert_int_equal(kolk_loop_is_closed(again), 1);
    kolk_loop_unref(again);
    assert_int_equal(kolk_future_result(future, NULL), KOLK_EPENDING);
    kolk_future_unref(future);
}

static void drop_it_here(void *loop) { kolk_loop_unref(loop); }
static void own_it_again(void *kept) { *(kolk_loop **)kept = kolk_loop_ref(kolk_loop_current()); }

static void own_and_drop_it_again(void *kept) {
    own_it_again(kept);
    kolk_loop_unref(*(kolk_loop **)kept);
    own_it_again(kept);
}

/* The same in the turn in which the last owner goes, after which the loop closes. */
static void a_loop_can_be_owned_again_in_the_turn_that_is_its_last(void **state) {
    static const kolk_callback_fn ways[] = {own_it_again, own_and_drop_it_again};
    (void)state;
    for (size_t i = 0; i < COUNT(ways); i++) {
        kolk_loop *loop = NULL, *kept = NULL;
        assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(loop, drop_it_here, loop, NULL, NULL), 0);
        assert_int_equal(kolk_loop_call_soon(loop, ways[i], &kept, NULL, NULL), 0);
        assert_true(kolk_loop_run_once(loop) >= 0);
        assert_int_equal(kolk_loop_is_closed(kept), 1);
        kolk_loop_unref(kept);
    }
}

static void call_nobody(void *nothing) { (void)nothing; }

/* What a loop releases when it closes may have been its last owner. */
static void the_last_owner_may_go_while_the_loop_closes(void **state) {
    struct failing_allocator memory;
    kolk_loop_options options = {.size = sizeof options, .allocator = &memory.hook};
    kolk_loop *loop = NULL;
    (void)state;
    failing_allocator_init(&memory);
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_int_equal(kolk_loop_call_later(loop, SECOND, call_nobody, loop, drop_it_here, NULL), 0);
    assert_int_equal(kolk_loop_close(loop), 0);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
}

static void *drop_loop(void *loop) {
    kolk_loop_unref(loop);
    return NULL;
}

/* A closed loop may be dropped by any thread. */
static void a_closed_loop_may_be_dropped_by_another_thread(void **state) {
    (void)state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    kolk_loop_options options = {.size = sizeof options, .allocator = &memory.hook};
    kolk_loop *loop = NULL;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_int_equal(kolk_loop_close(loop), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drop_loop, loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(failing_allocator_live_blocks(&memory), 0);
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

/* ---- Making one ---- */

static void refuse(const kolk_loop_options *options, int expected, const char *word_of_reason) {
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_loop_new(options, &loop, &error), expected);
    assert_null(loop);
    assert_non_null(error);
    assert_int_equal(kolk_error_status(error), expected);
    if (!strstr(kolk_error_message(error), word_of_reason))
        fail_msg("\"%s\" does not say \"%s\"", kolk_error_message(error), word_of_reason);
    kolk_error_unref(error);
    assert_int_equal(kolk_loop_new(options, &loop, NULL), expected);
}

/* A reactor that does not exist is refused with its name in the reason. */
static void an_unknown_reactor_is_refused_by_name(void **state) {
    (void)state;
    kolk_loop_options options = {.size = sizeof options, .reactor = "no-such-reactor"};
    refuse(&options, KOLK_ENOENT, "no-such-reactor");
}

/* A name that could be a path is refused before any file is looked for. */
static void a_name_that_cannot_be_one_is_refused(void **state) {
    (void)state;
    const char *const names[] = {"",
                                 "a/b",
                                 "../epoll",
                                 "e poll",
                                 "epoll.so",
                                 "\xc3\xa9poll",
                                 "a-name-of-more-than-sixty-four-characters-is-not-looked-for-at-all"};
    for (size_t i = 0; i < COUNT(names); i++) {
        kolk_loop_options options = {.size = sizeof options, .reactor = names[i]};
        refuse(&options, KOLK_EINVAL, "");
    }
}

/* Options of a size that no version had are refused, and so is having nowhere to put the loop. */
static void options_of_the_wrong_size_are_refused(void **state) {
    (void)state;
    kolk_loop_options options = {.size = 0};
    refuse(&options, KOLK_EINVAL, "");
    options.size = 3;
    refuse(&options, KOLK_EINVAL, "");
    assert_int_equal(kolk_loop_new(NULL, NULL, NULL), KOLK_EINVAL);
}

/* A reactor's table is checked before it is used. */
static void a_broken_reactor_table_is_refused(void **state) {
    (void)state;
    const kolk_reactor_ops *good = reactor_under_test("poll");
    kolk_reactor_ops broken[] = {*good, *good, *good, *good, *good, *good};
    broken[0].abi = KOLK_REACTOR_ABI + 1;
    broken[1].size = 8;
    broken[2].open = NULL;
    broken[3].watch = NULL;
    broken[4].collect = NULL;
    broken[5].close = NULL;
    for (size_t i = 0; i < COUNT(broken); i++) {
        kolk_loop_options options = {.size = sizeof options, .reactor_ops = &broken[i]};
        refuse(&options, KOLK_EPLUGIN, "");
    }
}

/* KOLK_REACTOR chooses for loops whose options do not. */
static void the_environment_chooses_among_known_names(void **state) {
    (void)state;
    kolk_loop *loop = NULL;
    setenv("KOLK_REACTOR", "poll", 1);
    assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
    assert_string_equal(kolk_loop_reactor(loop), "poll");
    kolk_loop_unref(loop);
    kolk_loop_options options = {.size = sizeof options, .reactor = "select"};
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_string_equal(kolk_loop_reactor(loop), "select");
    kolk_loop_unref(loop);
    setenv("KOLK_REACTOR", "no-such-reactor", 1);
    refuse(NULL, KOLK_ENOENT, "no-such-reactor");
    unsetenv("KOLK_REACTOR");
}

/* A reactor that fails ends the run with an error, and leaves the loop in one piece. */
static void a_failing_reactor_fails_the_run(void **state) {
    (void)state;
    struct simulation simulation = {.now_ns = 1};
    kolk_loop_options options = simulation_options(&simulation);
    kolk_loop *loop = NULL;
    int calls = 0;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    /* With nothing to wait for, the simulated reactor refuses to sleep for ever. */
    assert_true(kolk_loop_run_forever(loop) < 0);
    assert_int_equal(kolk_loop_call_soon(loop, increment, &calls, NULL, NULL), 0);
    assert_int_equal(kolk_loop_run_once(loop), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

/* A loop that was refused its descriptors says so, and leaves none behind. */
static void a_loop_without_descriptors_is_refused(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NOFILE, &none);
        kolk_loop *loop = NULL;
        int status = kolk_loop_new(NULL, &loop, NULL);
        if (status != KOLK_EMFILE)
            dprintf(2, "kolk_loop_new: %s\n", kolk_status_name(status));
        _exit(status == KOLK_EMFILE && !loop ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A hundred loops one after the other leave nothing behind. */
static void loops_leave_nothing_behind(void **state) {
    (void)state;
    int fds = open_fds();
    for (int i = 0; i < 100; i++) {
        kolk_loop *loop = NULL;
        assert_int_equal(kolk_loop_new(NULL, &loop, NULL), 0);
        assert_int_equal(kolk_loop_close(loop), 0);
        kolk_loop_unref(loop);
    }
    assert_int_equal(open_fds(), fds);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(callbacks_run_first_in_first_out),
        RULE(all_kinds_run_in_the_order_they_came),
        RULE(a_crowd_keeps_its_order),
        RULE(calls_do_without_memory_for_many),
        RULE(nothing_runs_inside_call_soon),
        RULE(what_a_callback_adds_runs_on_the_next_turn),
        RULE(userdata_is_destroyed_after_the_call),
        RULE(a_call_without_a_function_is_refused),
        RULE(a_cancelled_callback_does_not_run),
        RULE(a_callback_cancels_the_next_of_its_turn),
        RULE(a_callback_cannot_cancel_itself),
        RULE_IN_REAL_TIME(a_full_ready_queue_starves_nobody),
        RULE(timers_fire_in_the_order_of_their_deadlines),
        RULE(equal_deadlines_fire_in_the_order_they_were_made),
        RULE(timers_are_never_early),
        RULE(a_deadline_in_the_past_is_due_on_the_next_turn),
        RULE(a_deadline_at_the_beginning_of_time_is_due),
        RULE(a_delay_of_centuries_does_not_overflow),
        RULE(a_cancelled_timer_does_not_fire),
        RULE(a_timer_cancels_its_neighbour_of_the_same_deadline),
        RULE(posts_from_threads_arrive_in_order_and_none_is_lost),
        RULE(a_post_wakes_a_sleeping_loop),
        RULE(the_loops_own_thread_may_post_too),
        RULE(a_reader_is_called_when_there_is_something_to_read),
        RULE(a_reader_is_called_every_turn_while_there_is_more),
        RULE(a_reader_is_called_when_the_peer_is_gone),
        RULE(a_writer_is_called_when_there_is_room),
        RULE(a_descriptor_can_have_a_reader_and_a_writer),
        RULE(a_second_reader_replaces_the_first),
        RULE(removing_tells_whether_there_was_one),
        RULE(a_reader_may_remove_itself),
        RULE(a_reader_removed_by_its_neighbour_is_not_called),
        RULE(a_reused_number_gets_no_stale_event),
        RULE(a_descriptor_closed_behind_the_loop_does_not_spin),
        RULE(what_cannot_be_watched_is_refused),
        RULE(a_large_descriptor_is_watched_or_refused),
        RULE(many_ready_descriptors_are_all_served),
        RULE_IN_REAL_TIME(a_busy_descriptor_starves_nobody),
        RULE(a_loop_cannot_be_run_or_closed_from_inside),
        RULE(the_current_loop_is_known_inside_callbacks),
        RULE(another_loop_may_be_run_inside_a_callback),
        RULE(closing_destroys_what_was_pending),
        RULE(closing_destroys_a_crowd_once),
        RULE(closing_survives_who_removes_both_ways),
        RULE(closing_survives_who_drops_objects),
        RULE(an_exception_handler_set_by_the_closing_is_refused),
        RULE(an_endless_chain_does_not_keep_a_loop_open),
        RULE(a_closed_loop_answers),
        RULE(the_last_reference_closes_the_loop),
        RULE(the_last_reference_may_be_dropped_inside),
        RULE_IN_REAL_TIME(the_loop_knows_its_reactor_and_its_time),
        RULE(an_unread_error_reaches_the_exception_handler),
        RULE(an_exception_handler_can_be_replaced),
        RULE(an_exception_handler_may_replace_itself),
        RULE(prepare_tells_the_deadline_and_what_is_ready),
        RULE(prepare_reports_a_timer_that_is_due),
        RULE(prepare_sees_a_post),
        RULE(wait_takes_nothing),
        RULE(wait_ends_at_the_deadline),
        RULE(a_stop_inside_a_dispatch_leaves_later_waits_alone),
        RULE(a_dispatch_takes_the_stop_before_it),
        RULE_IN_REAL_TIME(dispatch_alone_is_enough),
        RULE(a_budget_of_items_is_kept),
        RULE(a_budget_leaves_the_order_alone),
        RULE(posted_calls_count_one_by_one),
        RULE_IN_REAL_TIME(a_budget_of_time_is_kept),
        RULE(a_budget_of_centuries_does_not_overflow),
        RULE(a_post_during_a_dispatch_is_more),
        RULE(a_budget_of_the_wrong_size_is_refused),
        RULE(the_handle_is_readable_exactly_while_there_is_work),
        RULE(the_handle_forgets_a_cancelled_timer),
        RULE(the_handle_forgets_a_dropped_waker),
        RULE(the_handle_can_be_watched_for_edges),
        RULE(an_edge_follows_while_a_reader_leaves_something),
        RULE(an_edge_follows_while_descriptors_are_left),
        RULE(interrupted_waits_are_taken_up_again),
        RULE(a_wrong_thread_is_refused),
        RULE(a_forked_child_is_refused_and_harms_nothing),
        RULE(a_child_forked_inside_leaves_the_timers_alone),
    };
    static const struct rule plain[] = {
        RULE(stop_ends_the_run_after_the_current_turn),    RULE(stop_before_a_run_makes_it_one_turn_long),
        RULE(a_stopped_run_until_complete_is_pending),     RULE(run_until_complete_does_not_judge_the_outcome),
        RULE(run_until_complete_refuses_a_foreign_future), RULE(posts_to_a_loop_that_is_closing_are_refused),
        RULE(run_until_complete_keeps_the_future_alive),
    };
    static const struct rule bare[] = {
        RULE(each_thread_may_have_its_loop),
        RULE(a_loop_that_is_borrowed_can_be_owned_again),
        RULE(a_loop_can_be_owned_again_in_the_turn_that_is_its_last),
        RULE(the_last_owner_may_go_while_the_loop_closes),
        RULE(a_closed_loop_may_be_dropped_by_another_thread),
        RULE(an_unknown_reactor_is_refused_by_name),
        RULE(a_name_that_cannot_be_one_is_refused),
        RULE(options_of_the_wrong_size_are_refused),
        RULE(a_broken_reactor_table_is_refused),
        RULE(the_environment_chooses_among_known_names),
        RULE(a_failing_reactor_fails_the_run),
        RULE(a_loop_without_descriptors_is_refused),
        RULE(loops_leave_nothing_behind),
    };
    return run_matrix("loop", matrix, COUNT(matrix)) + run_plain("loop alone", plain, COUNT(plain)) +
           run_bare("making loops", bare, COUNT(bare));
}
