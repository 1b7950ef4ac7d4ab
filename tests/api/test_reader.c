/* Readers and writers: who is called when a descriptor is ready, and who is not any more. */
#include "support/callbacks.h"
#include "support/driver.h"
#include "support/watcher.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
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
    };
    return run_matrix("reader", matrix, COUNT(matrix));
}
