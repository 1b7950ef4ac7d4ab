/* Streams that are written to, used twice at once, closed and cancelled. Reading is in test_stream_read.c. */
#include "support/callbacks.h"
#include "support/links.h"
#include "support/network.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Writing ---- */

/* What the peer has got so far, waiting for so many bytes while the loop is driven. */
struct expectation {
    struct link *link;
    size_t total;
    size_t expected;
};

static int peer_has_all(void *context) {
    struct expectation *e = context;
    drain_socket(e->link->peer, &e->total);
    if (e->total < e->expected) {
        /* The loop may have nothing to do until the kernel has moved what was read; do not let it sleep for ever. */
        kolk_loop_call_later(e->link->f->loop, MS, nothing, NULL, NULL, NULL);
    }
    return e->total >= e->expected;
}

/* What is written arrives. */
static void what_is_written_arrives(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char got[16] = "";
    link.data = "hello";
    link.length = 5;
    assert_int_equal(run_task(f, write_all, &link), 0);
    link.length = 0;
    assert_int_equal(run_task(f, write_all, &link), 0);
    assert_record(f, "write=KOLK_OK write=KOLK_OK");
    assert_int_equal(read(link.peer, got, sizeof got), 5);
    assert_string_equal(got, "hello");
    close_link(&link);
}

/* A writer whose peer does not read waits, and nothing piles up in memory; once the peer reads, all of it arrives. */
static void a_writer_waits_for_a_slow_peer(void **state) {
    struct fixture *f = *state;
    enum { TOTAL = 24 * 1024 * 1024 };
    struct link link = open_link(f);
    char *data = calloc(1, TOTAL);
    size_t held_before = failing_allocator_live_bytes(&f->memory);
    link.data = data;
    link.length = TOTAL;
    kolk_task *task = spawn_with(f, write_all, &link);
    drive_during(f, 30 * MS);
    assert_int_equal(kolk_task_done(task), 0);
    assert_true(failing_allocator_live_bytes(&f->memory) < held_before + 256 * 1024);

    struct expectation all = {.link = &link, .expected = TOTAL};
    drive_for(f, peer_has_all, &all);
    clear_record(f);
    assert_int_equal(join(f, task), 0);
    assert_int_equal(all.total, TOTAL);
    free(data);
    drive_during(f, 2 * MS);
    close_link(&link);
}

/* A future of a write is done when the kernel has taken everything. */
static void a_write_can_be_a_future(void **state) {
    struct fixture *f = *state;
    enum { TOTAL = 12 * 1024 * 1024 };
    struct link link = open_link(f);
    char *data = calloc(1, TOTAL);
    kolk_future *future = NULL;
    assert_int_equal(kolk_stream_write_async(link.stream, data, TOTAL, &future), 0);
    drive_during(f, 5 * MS);
    assert_int_equal(kolk_future_done(future), 0);
    struct expectation all = {.link = &link, .expected = TOTAL};
    drive_for(f, peer_has_all, &all);
    drive_until(f, future);
    assert_int_equal(kolk_future_result(future, NULL), 0);
    kolk_future_unref(future);
    free(data);
    drive_during(f, 2 * MS);
    close_link(&link);
}

/* The peer hears that nothing more will be written, and can still be read from. */
static void closing_one_side_leaves_the_other_open(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char byte;
    assert_int_equal(kolk_stream_write_eof(link.stream), 0);
    drive_during(f, MS);
    assert_int_equal(read(link.peer, &byte, 1), 0);
    peer_writes(&link, "still here");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(still here)");
    close_link(&link);
}

static int write_until_it_fails(void *userdata, void **ret_result) {
    struct link *link = userdata;
    (void)ret_result;
    for (int i = 0; i < 1000; i++) {
        int status = kolk_stream_write(link->stream, "x", 1);
        if (status < 0)
            return status;
        if (kolk_sleep(MS / 10) < 0)
            return KOLK_ECANCELED;
    }
    return 0;
}

/* Writing to a peer that is gone is an error, and raises no signal. */
static void writing_to_a_peer_that_is_gone_raises_no_signal(void **state) {
    struct fixture *f = *state;
    struct sigaction old, kill_me = {.sa_handler = SIG_DFL};
    assert_int_equal(sigaction(SIGPIPE, &kill_me, &old), 0);
    struct link link = open_link(f);
    peer_closes(&link);
    int status = run_task(f, write_until_it_fails, &link);
    sigaction(SIGPIPE, &old, NULL);
    assert_true(status == KOLK_EPIPE || status == KOLK_ERESET);
    assert_int_equal(kolk_error_status(kolk_stream_error(link.stream)), status);
    close_link(&link);
}

/* ---- Two at once, closing, cancelling ---- */

/* One read and one write at a time: a second one is refused and the first goes on. */
static void a_second_reader_or_writer_is_refused(void **state) {
    struct fixture *f = *state;
    enum { TOTAL = 12 * 1024 * 1024 };
    struct link link = open_link(f);
    char *data = calloc(1, TOTAL), buffer[8] = "";
    kolk_future *reading = NULL, *writing = NULL, *refused = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &reading), 0);
    assert_int_equal(kolk_stream_write_async(link.stream, data, TOTAL, &writing), 0);
    drive_during(f, MS);
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &refused), KOLK_EBUSY);
    assert_int_equal(kolk_stream_write_async(link.stream, "x", 1, &refused), KOLK_EBUSY);
    assert_int_equal(kolk_stream_write_eof(link.stream), KOLK_EBUSY);
    assert_null(refused);
    link.data = "x";
    link.length = 1;
    link.separator = "x";
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_int_equal(run_task(f, read_until_once, &link), 0);
    assert_int_equal(run_task(f, write_all, &link), 0);
    assert_record(f, "read=KOLK_EBUSY until=KOLK_EBUSY write=KOLK_EBUSY");
    assert_int_equal(kolk_future_done(reading) + kolk_future_done(writing), 0);
    peer_writes(&link, "tea");
    drive_until(f, reading);
    assert_memory_equal(buffer, "tea", 3);
    kolk_future_cancel(writing);
    drive_until(f, writing);
    kolk_future_unref(reading);
    kolk_future_unref(writing);
    free(data);
    close_link(&link);
}

/* Closing ends what is under way; closing again is fine; everything else is refused. */
static void closing_ends_what_is_under_way(void **state) {
    struct fixture *f = *state;
    enum { TOTAL = 12 * 1024 * 1024 };
    struct link link = open_link(f);
    char *data = calloc(1, TOTAL), name[64];
    link.data = data;
    link.length = TOTAL;
    kolk_task *reader = spawn_with(f, read_once, &link), *writer = spawn_with(f, write_all, &link);
    drive_during(f, 2 * MS);
    assert_record(f, "");
    assert_int_equal(kolk_stream_close(link.stream), 0);
    assert_int_equal(kolk_stream_close(link.stream), 0);
    assert_int_equal(join(f, reader), 0);
    assert_int_equal(join(f, writer), 0);
    assert_true(strcmp(f->record, "read=KOLK_ECLOSED write=KOLK_ECLOSED") == 0 ||
                strcmp(f->record, "write=KOLK_ECLOSED read=KOLK_ECLOSED") == 0);
    free(data);

    clear_record(f);
    kolk_future *refused = NULL;
    link.data = "x";
    link.length = 1;
    link.separator = "x";
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_int_equal(run_task(f, read_until_once, &link), 0);
    assert_int_equal(run_task(f, write_all, &link), 0);
    assert_record(f, "read=KOLK_ECLOSED until=KOLK_ECLOSED write=KOLK_ECLOSED");
    assert_int_equal(kolk_stream_read_async(link.stream, name, 1, &refused), KOLK_ECLOSED);
    assert_int_equal(kolk_stream_write_async(link.stream, name, 1, &refused), KOLK_ECLOSED);
    assert_int_equal(kolk_stream_write_eof(link.stream), KOLK_ECLOSED);
    assert_int_equal(kolk_stream_fd(link.stream), KOLK_ECLOSED);
    assert_int_equal(kolk_stream_peer_name(link.stream, name, sizeof name), KOLK_ECLOSED);
    close_link(&link);
}

/* A task that is cancelled in a read takes nothing from the stream. */
static void a_cancelled_read_takes_nothing(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    kolk_task *task = spawn_with(f, read_once, &link);
    drive_during(f, MS);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), 0);
    peer_writes(&link, "tea");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read=KOLK_ECANCELED read(tea)");

    char buffer[8];
    kolk_future *future = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &future), 0);
    assert_int_equal(kolk_future_cancel(future), 1);
    drive_until(f, future);
    assert_int_equal(kolk_future_cancelled(future), 1);
    kolk_future_unref(future);
    peer_writes(&link, "cake");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read=KOLK_ECANCELED read(tea) read(cake)");
    close_link(&link);
}

/* A read that is cancelled in read_until keeps what has come so far. */
static void a_cancelled_read_until_keeps_what_came(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    link.separator = "\n";
    kolk_task *task = spawn_with(f, read_until_once, &link);
    peer_writes(&link, "half ");
    drive_during(f, 2 * MS);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), 0);
    peer_writes(&link, "a line;");
    read_until(&link, ";");
    assert_record(f, "until=KOLK_ECANCELED until(half a line;)");
    close_link(&link);
}

/* A reader that is cancelled and whose stream is closed, before it gets to run, has been cancelled. */
static void a_cancellation_outranks_the_closing(void **state) {
    struct fixture *f = *state;
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        clear_record(f);
        struct link link = open_link(f);
        kolk_task *task = spawn_with(f, read_once, &link);
        drive_during(f, MS);
        if (cancel_first)
            assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(kolk_stream_close(link.stream), 0);
        if (!cancel_first)
            assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(join(f, task), 0);
        assert_record(f, "read=KOLK_ECANCELED");
        close_link(&link);
    }
}

/* A write that is cancelled may have written a part, and the stream can be used again. */
static void a_cancelled_write_leaves_the_stream_usable(void **state) {
    struct fixture *f = *state;
    enum { TOTAL = 12 * 1024 * 1024 };
    struct link link = open_link(f);
    char *data = calloc(1, TOTAL);
    link.data = data;
    link.length = TOTAL;
    kolk_task *task = spawn_with(f, write_all, &link);
    drive_during(f, 2 * MS);
    kolk_task_cancel(task);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "write=KOLK_ECANCELED");
    free(data);
    size_t total = 0;
    for (int i = 0; i < 5; i++) {
        drain_socket(link.peer, &total);
        drive_during(f, MS);
    }
    assert_true(total > 0 && total < TOTAL);
    link.data = "x";
    link.length = 1;
    assert_int_equal(run_task(f, write_all, &link), 0);
    assert_record(f, "write=KOLK_ECANCELED write=KOLK_OK");
    close_link(&link);
}

/* A read can be given a limit in time. */
static void a_read_can_time_out(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[8];
    kolk_future *reading = NULL, *limited = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &reading), 0);
    assert_int_equal(kolk_wait_for_async(reading, 2 * MS, &limited), 0);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, NULL), KOLK_ETIMEDOUT);
    kolk_future_unref(limited);
    kolk_future_unref(reading);
    peer_writes(&link, "tea");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(tea)");
    close_link(&link);
}

/* Dropping the last reference closes. */
static void dropping_a_stream_closes_it(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    size_t total = 0;
    assert_ptr_equal(kolk_stream_ref(link.stream), link.stream);
    assert_null(kolk_stream_unref(link.stream));
    assert_int_equal(drain_socket(link.peer, &total), 0);
    link.stream = kolk_stream_unref(link.stream);
    drive_during(f, MS);
    assert_int_equal(drain_socket(link.peer, &total), 1);
    close(link.peer);
    close(link.listener);
}

/* What is under way keeps a dropped stream alive; when that is done, the stream closes. */
static void what_is_under_way_keeps_a_dropped_stream(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[8] = "";
    size_t total = 0;
    kolk_future *reading = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &reading), 0);
    drive_during(f, MS);
    link.stream = kolk_stream_unref(link.stream);
    assert_int_equal(drain_socket(link.peer, &total), 0);
    peer_writes(&link, "tea");
    drive_until(f, reading);
    assert_int_equal(kolk_future_result(reading, NULL), 0);
    assert_string_equal(buffer, "tea");
    kolk_future_unref(reading);
    drive_during(f, MS);
    assert_int_equal(drain_socket(link.peer, &total), 1);
    close(link.peer);
    close(link.listener);
}

/* Closing the loop cancels whoever waits on a stream, and closes the stream. */
static void closing_the_loop_closes_its_streams(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[8];
    kolk_task *task = spawn_with(f, read_once, &link);
    drive_during(f, MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_true(strcmp(f->record, "read=KOLK_ECANCELED") == 0 || strcmp(f->record, "read=KOLK_ECLOSED") == 0);
    kolk_task_unref(task);
    kolk_future *future = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &future), KOLK_ECLOSED);
    size_t total = 0;
    assert_int_equal(drain_socket(link.peer, &total), 1);
    close_link(&link);
}

/* The descriptor of a stream is the stream's: nobody else watches it. */
static void the_descriptor_of_a_stream_is_its_own(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    int fd = kolk_stream_fd(link.stream);
    assert_int_equal(kolk_loop_add_reader(f->loop, fd, say, word(f, "r"), unsay), KOLK_EBUSY);
    assert_int_equal(kolk_loop_add_writer(f->loop, fd, say, word(f, "w"), unsay), KOLK_EBUSY);
    assert_record(f, "~r ~w");
    assert_int_equal(kolk_loop_remove_reader(f->loop, fd), 0);
    clear_record(f);
    peer_writes(&link, "tea");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(tea)");
    close_link(&link);
}

/* Outside of a task nobody can wait, and there is nothing to read into or look for. */
static void what_makes_no_sense_is_refused(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[8];
    const void *data = NULL;
    kolk_future *future = NULL;
    assert_int_equal(kolk_stream_read(link.stream, buffer, sizeof buffer), KOLK_ENOTASK);
    assert_int_equal(kolk_stream_receive(link.stream, &data), KOLK_ENOTASK);
    assert_int_equal(kolk_stream_read_until(link.stream, "\n", 1, &data), KOLK_ENOTASK);
    assert_int_equal(kolk_stream_write(link.stream, "x", 1), KOLK_ENOTASK);
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, 0, &future), KOLK_EINVAL);
    assert_int_equal(kolk_stream_read_async(link.stream, NULL, 1, &future), KOLK_EINVAL);
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, 1, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_stream_write_async(link.stream, NULL, 1, &future), KOLK_EINVAL);
    assert_int_equal(kolk_stream_write_async(link.stream, "x", 1, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_stream_peer_name(link.stream, NULL, 10), KOLK_EINVAL);
    assert_null(future);
    close_link(&link);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(what_is_written_arrives),
        RULE(a_writer_waits_for_a_slow_peer),
        RULE(a_write_can_be_a_future),
        RULE(closing_one_side_leaves_the_other_open),
        RULE(writing_to_a_peer_that_is_gone_raises_no_signal),
        RULE(a_second_reader_or_writer_is_refused),
        RULE(closing_ends_what_is_under_way),
        RULE(a_cancelled_read_takes_nothing),
        RULE(a_cancelled_read_until_keeps_what_came),
        RULE(a_cancellation_outranks_the_closing),
        RULE(a_cancelled_write_leaves_the_stream_usable),
        RULE(a_read_can_time_out),
        RULE(dropping_a_stream_closes_it),
        RULE(what_is_under_way_keeps_a_dropped_stream),
        RULE(closing_the_loop_closes_its_streams),
        RULE(the_descriptor_of_a_stream_is_its_own),
        RULE(what_makes_no_sense_is_refused),
    };
    return run_matrix("stream", rules, COUNT(rules));
}
