/* Descriptors, tasks and streams of a guest. */
#include "conformance.h"

#include "support/network.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CROWD = 100 };

/* One end is watched, the other is written to. */
struct watched {
    struct visit *v;
    int pair[2];
    int calls;
    int bytes;
    const char *name;
};

static struct watched open_watched(struct visit *v, const char *name) {
    struct watched w = {.v = v, .name = name};
    open_pair(w.pair);
    return w;
}

static void close_watched(struct watched *w) {
    kolk_loop_remove_reader(w->v->f.loop, w->pair[0]);
    kolk_loop_remove_writer(w->v->f.loop, w->pair[0]);
    close_pair(w->pair);
}

static void on_readable(void *userdata) {
    struct watched *w = userdata;
    w->calls++;
    int bytes = take_bytes(w->pair[0]);
    w->bytes += bytes;
    record(&w->v->f, "%s(%d)", w->name, bytes);
    arrive(w->v);
}

static void add_reader(void *userdata) {
    struct watched *w = userdata;
    if (kolk_loop_add_reader(w->v->f.loop, w->pair[0], on_readable, w, NULL) != 0)
        record(&w->v->f, "no reader");
}

static void write_byte(void *userdata) { put_byte(((struct watched *)userdata)->pair[1]); }

static void a_reader_added_by_the_host_is_called(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    host_runs(v, add_reader, &w);
    host_call_later(v, 5 * MS, write_byte, &w);
    run_until(v, 1);
    assert_record(&v->f, "read(1)");
    close_watched(&w);
}

static void a_reader_added_from_a_callback_is_called(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    assert_int_equal(kolk_loop_call_soon(v->f.loop, add_reader, &w, NULL, NULL), 0);
    host_call_later(v, 5 * MS, write_byte, &w);
    run_until(v, 1);
    assert_record(&v->f, "read(1)");
    close_watched(&w);
}

static void a_reader_of_what_is_readable_already_is_called(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    write_byte(&w);
    host_call_later(v, 2 * MS, add_reader, &w);
    run_until(v, 1);
    assert_record(&v->f, "read(1)");
    close_watched(&w);
}

static void a_reader_that_waits_again_and_again_is_called_each_time(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    add_reader(&w);
    for (int i = 0; i < 5; i++) {
        host_call_later(v, MS, write_byte, &w);
        run_until(v, 1);
    }
    assert_record(&v->f, "read(1) read(1) read(1) read(1) read(1)");
    close_watched(&w);
}

struct leisurely {
    struct watched w;
    int left;
};

static void read_nothing(void *userdata) {
    struct leisurely *reader = userdata;
    if (--reader->left == 0) {
        take_bytes(reader->w.pair[0]);
        arrive(reader->w.v);
    }
}

/* A reader is called in every turn in which it could read. */
static void a_descriptor_that_is_not_drained_keeps_coming(void **state) {
    struct visit *v = *state;
    struct leisurely reader = {.w = open_watched(v, "read"), .left = 10};
    assert_int_equal(kolk_loop_add_reader(v->f.loop, reader.w.pair[0], read_nothing, &reader, NULL), 0);
    host_call_later(v, MS, write_byte, &reader.w);
    run_until(v, 1);
    run_for(v, 5 * MS);
    assert_int_equal(reader.left, 0);
    close_watched(&reader.w);
}

static void remove_reader(void *userdata) {
    struct watched *w = userdata;
    record(&w->v->f, "removed(%d)", kolk_loop_remove_reader(w->v->f.loop, w->pair[0]));
}

static void a_removed_reader_is_not_called(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    add_reader(&w);
    run_for(v, 2 * MS);
    host_runs(v, remove_reader, &w);
    write_byte(&w);
    run_for(v, 5 * MS);
    assert_record(&v->f, "removed(1)");
    close_watched(&w);
}

static void take_and_remove(void *userdata) {
    struct watched *w = userdata;
    on_readable(userdata);
    remove_reader(w);
    write_byte(w);
}

static void a_reader_that_removes_itself_is_not_called_again(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    assert_int_equal(kolk_loop_add_reader(v->f.loop, w.pair[0], take_and_remove, &w, NULL), 0);
    host_call_later(v, MS, write_byte, &w);
    run_until(v, 1);
    run_for(v, 5 * MS);
    assert_record(&v->f, "read(1) removed(1)");
    close_watched(&w);
}

static void on_writable(void *userdata) {
    struct watched *w = userdata;
    record(&w->v->f, "write");
    kolk_loop_remove_writer(w->v->f.loop, w->pair[0]);
    arrive(w->v);
}

static void fill(int fd) {
    static const char block[65536];
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void drain_peer(void *userdata) {
    struct watched *w = userdata;
    record(&w->v->f, "drained");
    take_bytes(w->pair[1]);
}

static void a_writer_is_called_when_there_is_room(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "");
    fill(w.pair[0]);
    assert_int_equal(kolk_loop_add_writer(v->f.loop, w.pair[0], on_writable, &w, NULL), 0);
    host_call_later(v, 5 * MS, drain_peer, &w);
    run_until(v, 1);
    assert_record(&v->f, "drained write");
    close_watched(&w);
}

static void reader_and_writer_of_one_descriptor_are_both_called(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    add_reader(&w);
    assert_int_equal(kolk_loop_add_writer(v->f.loop, w.pair[0], on_writable, &w, NULL), 0);
    run_until(v, 1);
    host_call_later(v, MS, write_byte, &w);
    run_until(v, 1);
    assert_record(&v->f, "write read(1)");
    close_watched(&w);
}

static void close_peer(void *userdata) {
    struct watched *w = userdata;
    close(w->pair[1]);
    w->pair[1] = -1;
}

static void take_end_of_file(void *userdata) {
    struct watched *w = userdata;
    char byte;
    record(&w->v->f, "end(%d)", (int)read(w->pair[0], &byte, 1));
    kolk_loop_remove_reader(w->v->f.loop, w->pair[0]);
    arrive(w->v);
}

static void a_reader_is_told_that_the_peer_has_gone(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "");
    assert_int_equal(kolk_loop_add_reader(v->f.loop, w.pair[0], take_end_of_file, &w, NULL), 0);
    host_call_later(v, 2 * MS, close_peer, &w);
    run_until(v, 1);
    assert_record(&v->f, "end(0)");
    close_watched(&w);
}

/* Moves the watched end of one pair to the number of the other's. */
static void take_over_number(struct watched *from, struct watched *to) {
    int number = to->pair[0];
    if (dup2(from->pair[0], number) != number)
        abort();
    close(from->pair[0]);
    from->pair[0] = number;
    to->pair[0] = -1;
}

static void a_number_may_be_used_again(void **state) {
    struct visit *v = *state;
    struct watched old = open_watched(v, "old"), new = open_watched(v, "new");
    add_reader(&old);
    run_for(v, 2 * MS);
    remove_reader(&old);
    take_over_number(&new, &old);
    add_reader(&new);
    host_call_later(v, 2 * MS, write_byte, &new);
    run_until(v, 1);
    assert_record(&v->f, "removed(1) new(1)");
    close_watched(&new);
    close_pair(old.pair);
}

/* Against the rules, but it happens: nobody told kolk of the close. */
static void a_number_may_be_used_again_before_its_reader_is_removed(void **state) {
    struct visit *v = *state;
    struct watched old = open_watched(v, "old"), new = open_watched(v, "new");
    add_reader(&old);
    run_for(v, 2 * MS);
    take_over_number(&new, &old);
    add_reader(&new);
    host_call_later(v, 2 * MS, write_byte, &new);
    run_until(v, 1);
    assert_record(&v->f, "new(1)");
    close_watched(&new);
    close_pair(old.pair);
}

static void *write_from_here(void *userdata) {
    sleep_ns(10 * MS); /* The host sleeps by now. */
    write_byte(userdata);
    return NULL;
}

static void a_write_from_another_thread_is_read(void **state) {
    struct visit *v = *state;
    struct watched w = open_watched(v, "read");
    add_reader(&w);
    pthread_t thread = start_thread(write_from_here, &w);
    run_until(v, 1);
    pthread_join(thread, NULL);
    assert_record(&v->f, "read(1)");
    close_watched(&w);
}

static void on_crowd_member(void *userdata) {
    struct watched *w = userdata;
    w->calls++;
    w->bytes += take_bytes(w->pair[0]);
    arrive(w->v);
}

static void each_of_many_descriptors_is_read_once(void **state) {
    struct visit *v = *state;
    struct watched *crowd = calloc(CROWD, sizeof *crowd);
    assert_non_null(crowd);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = open_watched(v, "");
        assert_int_equal(kolk_loop_add_reader(v->f.loop, crowd[i].pair[0], on_crowd_member, &crowd[i], NULL), 0);
    }
    run_for(v, MS);
    for (int i = 0; i < CROWD; i++)
        write_byte(&crowd[i]);
    run_until(v, CROWD);
    run_for(v, 3 * MS);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].bytes, 1);
        assert_int_equal(crowd[i].calls, 1);
        close_watched(&crowd[i]);
    }
    free(crowd);
}

/* ---- Tasks ---- */

static void arrived(kolk_future *future, void *visit) {
    (void)future;
    arrive(visit);
}

/* Runs the host until the task has ended; drops it. */
static int join_task(struct visit *v, kolk_task *task) {
    assert_int_equal(kolk_future_add_done_callback(kolk_task_as_future(task), arrived, v, NULL), 0);
    run_until(v, 1);
    int status = kolk_task_result(task, NULL);
    kolk_task_unref(task);
    return status;
}

static int sleep_and_record(void *visit, void **ret_result) {
    struct visit *v = visit;
    (void)ret_result;
    for (int i = 1; i <= 3; i++) {
        int64_t due = kolk_loop_time(v->f.loop) + 2 * MS;
        int status = kolk_sleep(2 * MS);
        if (status < 0)
            return status;
        record(&v->f, kolk_loop_time(v->f.loop) >= due ? "%d" : "%d early", i);
    }
    return 0;
}

static void a_task_sleeps(void **state) {
    struct visit *v = *state;
    assert_int_equal(join_task(v, spawn_with(&v->f, sleep_and_record, v)), 0);
    assert_record(&v->f, "1 2 3");
}

static void set_future(void *future) { kolk_future_set_result(future, NULL, NULL); }

static int await_future(void *future, void **ret_result) {
    (void)ret_result;
    return kolk_await(future, NULL);
}

static void a_task_goes_on_when_the_host_sets_its_future(void **state) {
    struct visit *v = *state;
    kolk_future *future = new_future(&v->f);
    kolk_task *task = spawn_with(&v->f, await_future, future);
    host_call_later(v, 5 * MS, set_future, future);
    assert_int_equal(join_task(v, task), 0);
    kolk_future_unref(future);
}

static int echo(kolk_stream *stream, void *userdata) {
    (void)userdata;
    for (;;) {
        const void *data;
        int64_t length = kolk_stream_receive(stream, &data);
        if (length <= 0)
            return (int)length;
        int status = kolk_stream_write(stream, data, (size_t)length);
        if (status < 0)
            return status;
    }
}

enum { MESSAGE = 100000, ROUNDS = 5 };

struct talk {
    struct visit *v;
    uint16_t port;
    size_t heard;
};

static int say_and_hear(struct talk *talk, kolk_stream *stream, const char *text, char *heard) {
    int status = kolk_stream_write(stream, text, MESSAGE / 100);
    for (size_t got = 0; status >= 0 && got < MESSAGE / 100;) {
        int64_t length = kolk_stream_read(stream, heard, MESSAGE);
        if (length <= 0)
            return length < 0 ? (int)length : KOLK_EEOF;
        got += (size_t)length;
        talk->heard += (size_t)length;
    }
    return status;
}

static int talk(void *userdata, void **ret_result) {
    struct talk *talk = userdata;
    kolk_stream *stream = NULL;
    char *text = calloc(2, MESSAGE);
    (void)ret_result;
    int status = text ? kolk_open_connection("127.0.0.1", talk->port, NULL, &stream, NULL) : KOLK_ENOMEM;
    for (int i = 0; i < ROUNDS && status >= 0; i++)
        status = say_and_hear(talk, stream, text, text + MESSAGE);
    kolk_stream_unref(stream);
    free(text);
    return status;
}

static void streams_echo_over_loopback(void **state) {
    struct visit *v = *state;
    kolk_server *server = NULL;
    assert_int_equal(kolk_start_server(v->f.loop, echo, NULL, NULL, "127.0.0.1", 0, NULL, &server, NULL), 0);
    struct talk talks[3];
    kolk_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        talks[i] = (struct talk){.v = v, .port = (uint16_t)kolk_server_port(server)};
        tasks[i] = spawn_with(&v->f, talk, &talks[i]);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(join_task(v, tasks[i]), 0);
        assert_int_equal(talks[i].heard, ROUNDS * (MESSAGE / 100));
    }
    kolk_server_unref(server);
}

/* Reads in a task what a slow peer writes, all of it through the host's wait. */
static int write_much(void *userdata, void **ret_result) {
    struct talk *talk = userdata;
    kolk_stream *stream = NULL;
    char *text = calloc(10, MESSAGE);
    (void)ret_result;
    int status = text ? kolk_open_connection("127.0.0.1", talk->port, NULL, &stream, NULL) : KOLK_ENOMEM;
    if (status >= 0)
        status = kolk_stream_write(stream, text, 10 * MESSAGE);
    if (status >= 0)
        status = kolk_stream_write_eof(stream);
    char byte;
    if (status >= 0)
        status = (int)kolk_stream_read(stream, &byte, 1);
    kolk_stream_unref(stream);
    free(text);
    return status;
}

static int count_all(kolk_stream *stream, void *userdata) {
    struct talk *talk = userdata;
    for (;;) {
        const void *data;
        int64_t length = kolk_stream_receive(stream, &data);
        if (length <= 0)
            return (int)length;
        talk->heard += (size_t)length;
    }
}

static void a_stream_takes_more_than_the_kernel_holds(void **state) {
    struct visit *v = *state;
    struct talk talk = {.v = v};
    kolk_server *server = NULL;
    assert_int_equal(kolk_start_server(v->f.loop, count_all, &talk, NULL, "127.0.0.1", 0, NULL, &server, NULL), 0);
    talk.port = (uint16_t)kolk_server_port(server);
    assert_int_equal(join_task(v, spawn_with(&v->f, write_much, &talk)), 0);
    assert_int_equal(talk.heard, 10 * MESSAGE);
    kolk_server_unref(server);
}

/* ---- Beside the host ---- */

struct hosts_watch {
    struct watched w;
    int left;
};

static void host_reads(void *userdata) {
    struct hosts_watch *watch = userdata;
    take_bytes(watch->w.pair[0]);
    if (--watch->left == 0)
        arrive(watch->w.v);
    else
        write_byte(&watch->w);
}

static void kolk_reads(void *userdata) {
    struct hosts_watch *watch = userdata;
    take_bytes(watch->w.pair[0]);
    if (--watch->left == 0)
        arrive(watch->w.v);
    else
        write_byte(&watch->w);
}

static void watches_of_the_host_and_of_kolk_do_not_mix(void **state) {
    struct visit *v = *state;
    struct hosts_watch hosts = {.w = open_watched(v, ""), .left = 10}, ours = {.w = open_watched(v, ""), .left = 10};
    v->host->watch(v->self, hosts.w.pair[0], host_reads, &hosts);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, ours.w.pair[0], kolk_reads, &ours, NULL), 0);
    write_byte(&hosts.w);
    write_byte(&ours.w);
    run_until(v, 2);
    assert_int_equal(hosts.left, 0);
    assert_int_equal(ours.left, 0);
    v->host->watch(v->self, hosts.w.pair[0], NULL, NULL);
    close_watched(&hosts.w);
    close_watched(&ours.w);
}

static const struct host_rule rules[] = {
    HOST_RULE(a_reader_added_by_the_host_is_called),
    HOST_RULE(a_reader_added_from_a_callback_is_called),
    HOST_RULE(a_reader_of_what_is_readable_already_is_called),
    HOST_RULE(a_reader_that_waits_again_and_again_is_called_each_time),
    HOST_RULE(a_descriptor_that_is_not_drained_keeps_coming),
    HOST_RULE(a_removed_reader_is_not_called),
    HOST_RULE(a_reader_that_removes_itself_is_not_called_again),
    HOST_RULE(a_writer_is_called_when_there_is_room),
    HOST_RULE(reader_and_writer_of_one_descriptor_are_both_called),
    HOST_RULE(a_reader_is_told_that_the_peer_has_gone),
    HOST_RULE(a_number_may_be_used_again),
    HOST_RULE(a_number_may_be_used_again_before_its_reader_is_removed),
    HOST_RULE(a_write_from_another_thread_is_read),
    HOST_RULE(each_of_many_descriptors_is_read_once),
    HOST_RULE(a_task_sleeps),
    HOST_RULE(a_task_goes_on_when_the_host_sets_its_future),
    HOST_RULE(streams_echo_over_loopback),
    HOST_RULE(a_stream_takes_more_than_the_kernel_holds),
    HOST_RULE(watches_of_the_host_and_of_kolk_do_not_mix),
};

const struct host_rules io_rules = {rules, COUNT(rules)};
