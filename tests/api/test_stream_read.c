/* Streams that are read: what is there, what is received without a copy, and what comes before a separator. */
#include "support/callbacks.h"
#include "support/links.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- Reading ---- */

/* A read returns what is there, at once if something is. */
static void a_read_returns_what_is_there(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    peer_writes(&link, "tea and");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(tea and)");
    close_link(&link);
}

/* A read waits until something comes, and the loop goes on meanwhile. */
static void a_read_waits_for_something(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    kolk_task *task = spawn_with(f, read_once, &link);
    kolk_loop_call_later(f->loop, MS, say, word(f, "timer"), NULL, NULL);
    drive_during(f, 4 * MS);
    assert_record(f, "timer");
    peer_writes(&link, "cake");
    assert_int_equal(join(f, task), 0);
    assert_record(f, "timer read(cake)");
    close_link(&link);
}

/* When the peer has closed, what it sent is read first and the end then, as often as one asks. */
static void the_end_comes_after_the_data(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    peer_writes(&link, "last");
    peer_closes(&link);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(last) read() read()");
    close_link(&link);
}

/* A reader that is waiting when the peer closes is told. */
static void a_waiting_reader_is_told_of_the_end(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    kolk_task *task = spawn_with(f, read_once, &link);
    drive_during(f, MS);
    peer_closes(&link);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "read()");
    close_link(&link);
}

/* A byte of urgent data, which stays outside, does not keep a reader from what follows. */
static void urgent_data_does_not_stop_a_reader(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[16] = "";
    kolk_future *reading = NULL, *limited = NULL;
    peer_writes(&link, "before");
    assert_int_equal(send(link.peer, "!", 1, MSG_OOB), 1);
    peer_writes(&link, "after");
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "read(before)");
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &reading), 0);
    assert_int_equal(kolk_wait_for_async(reading, 2 * SECOND, &limited), 0);
    drive_until(f, limited);
    assert_int_equal(kolk_future_result(limited, NULL), 0);
    assert_string_equal(buffer, "after");
    kolk_future_unref(limited);
    kolk_future_unref(reading);
    close_link(&link);
}

static int read_to_the_end(void *userdata, void **ret_result) {
    struct link *link = userdata;
    char buffer[64];
    (void)ret_result;
    for (;;) {
        int64_t n = kolk_stream_read(link->stream, buffer, sizeof buffer);
        if (n <= 0)
            return (int)n;
        for (int64_t i = 0; i < n && link->text_length + 1 < sizeof link->text; i++)
            link->text[link->text_length++] = buffer[i];
    }
}

/* A peer that sends a byte at a time loses none. */
static void single_bytes_arrive_complete_and_in_order(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    const char text[] = "the quick brown fox jumps over the lazy dog";
    kolk_task *task = spawn_with(f, read_to_the_end, &link);
    for (size_t i = 0; i < strlen(text); i++) {
        assert_int_equal(write(link.peer, text + i, 1), 1);
        kolk_loop_call_soon(f->loop, nothing, NULL, NULL, NULL);
        drive_once(f);
    }
    peer_closes(&link);
    assert_int_equal(join(f, task), 0);
    assert_string_equal(link.text, text);
    close_link(&link);
}

/* A reset is an error, in words and with the peer's address. */
static void a_reset_is_told_with_the_peers_address(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char address[64];
    kolk_stream_peer_name(link.stream, address, sizeof address);
    kolk_task *task = spawn_with(f, read_once, &link);
    drive_during(f, MS);
    peer_resets(&link);
    assert_int_equal(join(f, task), 0);
    assert_record(f, "read=KOLK_ERESET");
    kolk_error *error = kolk_stream_error(link.stream);
    assert_non_null(error);
    assert_int_equal(kolk_error_status(error), KOLK_ERESET);
    assert_int_equal(kolk_error_os(error), ECONNRESET);
    if (!strstr(kolk_error_message(error), address))
        fail_msg("\"%s\" does not name %s", kolk_error_message(error), address);
    close_link(&link);
}

/* A future of a read gives the number of bytes. */
static void a_read_can_be_a_future(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char buffer[16] = "";
    kolk_future *future = NULL;
    void *result = NULL;
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &future), 0);
    assert_int_equal(kolk_future_done(future), 0);
    peer_writes(&link, "tea");
    drive_until(f, future);
    assert_int_equal(kolk_future_result(future, &result), 0);
    assert_int_equal((intptr_t)result, 3);
    assert_memory_equal(buffer, "tea", 3);
    kolk_future_unref(future);

    peer_resets(&link);
    assert_int_equal(kolk_stream_read_async(link.stream, buffer, sizeof buffer, &future), 0);
    drive_until(f, future);
    assert_int_equal(kolk_future_result(future, NULL), KOLK_ERESET);
    kolk_future_unref(future);
    close_link(&link);
}

static int echo_received(void *userdata, void **ret_result) {
    struct link *link = userdata;
    (void)ret_result;
    for (;;) {
        const void *data = NULL;
        int64_t n = kolk_stream_receive(link->stream, &data);
        if (n <= 0)
            return (int)n;
        int status = kolk_stream_write(link->stream, data, (size_t)n);
        if (status < 0)
            return status;
    }
}

/* What receive gives may be written as it is. */
static void received_bytes_can_be_echoed(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    kolk_task *task = spawn_with(f, echo_received, &link);
    peer_writes(&link, "hello ");
    drive_during(f, 2 * MS);
    peer_writes(&link, "there");
    drive_during(f, 2 * MS);
    char answer[32] = "";
    assert_int_equal(read(link.peer, answer, sizeof answer - 1), 11);
    assert_string_equal(answer, "hello there");
    peer_closes(&link);
    assert_int_equal(join(f, task), 0);
    close_link(&link);
}

/* The memory that streams share is not mixed up by two that echo at once, with a peer that is slow to take it back. */
static void echoes_do_not_mix(void **state) {
    struct fixture *f = *state;
    struct link a = open_link(f), b = open_link(f);
    kolk_task *first = spawn_with(f, echo_received, &a), *second = spawn_with(f, echo_received, &b);
    enum { TOTAL = 1024 * 1024 };
    char *block = malloc(16 * 1024);
    size_t sent[2] = {0, 0}, got[2] = {0, 0}, wrong = 0;
    struct link *links[] = {&a, &b};
    int idle = 0;
    while ((got[0] < TOTAL || got[1] < TOTAL) && idle < 5000) {
        int progress = 0;
        for (int i = 0; i < 2; i++) {
            memset(block, 'a' + i, 16 * 1024);
            ssize_t n = sent[i] < TOTAL ? write(links[i]->peer, block, 16 * 1024) : 0;
            sent[i] += n > 0 ? (size_t)n : 0;
            progress += n > 0;
            /* Read less than is sent, so that writes get stuck now and then. */
            n = read(links[i]->peer, block, 12 * 1024);
            for (ssize_t k = 0; k < n; k++)
                wrong += block[k] != 'a' + i;
            got[i] += n > 0 ? (size_t)n : 0;
            progress += n > 0;
        }
        idle = progress ? 0 : idle + 1;
        drive_during(f, progress ? 0 : MS);
    }
    free(block);
    assert_int_equal(wrong, 0);
    assert_true(got[0] >= TOTAL && got[1] >= TOTAL);
    peer_closes(&a);
    peer_closes(&b);
    assert_int_equal(join(f, first), 0);
    assert_int_equal(join(f, second), 0);
    close_link(&a);
    close_link(&b);
}

/* Nothing that was sent is on its way: what the peer's side could take it has. */
static int has_arrived(int fd) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_unacked == 0;
}

/* Fills what the kernel keeps for the peer, so that a write has to wait. Returns how many bytes that took. */
static size_t fill_the_way_to(struct link *link) {
    int fd = kolk_stream_fd(link->stream);
    char block[4096];
    size_t total = 0, before;
    int quiet = 0;
    memset(block, '.', sizeof block);
    do {
        before = total;
        for (ssize_t n; (n = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
            total += (size_t)n;
        /* What the peer's side takes over meanwhile leaves room for more. */
        nanosleep(&(struct timespec){.tv_nsec = 3 * MS}, NULL);
        quiet = total > before || !has_arrived(fd) ? 0 : quiet + 1;
    } while (quiet < 5);
    return total;
}

struct relay {
    struct link from, to;
};

static int relay_the_rest(void *userdata, void **ret_result) {
    struct relay *relay = userdata;
    const void *data = NULL;
    (void)ret_result;
    int64_t n = kolk_stream_read_until(relay->from.stream, ";", 1, &data);
    if (n > 0)
        n = kolk_stream_receive(relay->from.stream, &data);
    return n > 0 ? kolk_stream_write(relay->to.stream, data, (size_t)n) : (int)n;
}

/* Received bytes are written as they were, even if the stream they came from goes while the write waits. */
static void received_bytes_outlive_their_stream_in_a_write(void **state) {
    struct fixture *f = *state;
    struct relay relay = {open_link(f), open_link(f)};
    size_t before = fill_the_way_to(&relay.to), got = 0;
    char *bytes = malloc(before + 64);
    peer_writes(&relay.from, "first;the rest");
    kolk_task *task = spawn_with(f, relay_the_rest, &relay);
    drive_during(f, 5 * MS);
    assert_int_equal(kolk_task_done(task), 0);
    relay.from.stream = kolk_stream_unref(relay.from.stream);
    for (int i = 0; i < 5000 && got < before + 8; i++) {
        ssize_t n = read(relay.to.peer, bytes + got, before + 64 - got);
        got += n > 0 ? (size_t)n : 0;
        drive_during(f, n > 0 ? 0 : MS);
    }
    assert_int_equal(got, before + 8);
    assert_memory_equal(bytes + before, "the rest", 8);
    assert_int_equal(join(f, task), 0);
    free(bytes);
    close_link(&relay.from);
    close_link(&relay.to);
}

/* ---- read_until ---- */

/* Several lines that came in one packet are handed out one by one. */
static void lines_of_one_packet_come_one_by_one(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    peer_writes(&link, "one;two;three");
    read_until(&link, ";");
    read_until(&link, ";");
    assert_record(f, "until(one;) until(two;)");
    /* What follows the separator is there for a plain read. */
    assert_int_equal(run_task(f, read_once, &link), 0);
    assert_record(f, "until(one;) until(two;) read(three)");
    close_link(&link);
}

/* A line that comes in pieces, with its separator torn apart, is handed out whole. */
static void a_line_in_pieces_comes_whole(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    const char *const pieces[] = {"Host", ": a\r", "\n", "\r", "\nbody"};
    link.separator = "\r\n\r\n";
    kolk_task *task = spawn_with(f, read_until_once, &link);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        drive_during(f, MS);
        assert_record(f, "");
        peer_writes(&link, pieces[i]);
    }
    assert_int_equal(join(f, task), 0);
    assert_record(f, "until(Host: a\r\n\r\n)");
    read_until(&link, "dy");
    assert_record(f, "until(Host: a\r\n\r\n) until(body)");
    close_link(&link);
}

/* A separator whose beginning repeats is found all the same. */
static void a_separator_that_overlaps_itself_is_found(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    link.separator = "aab";
    kolk_task *task = spawn_with(f, read_until_once, &link);
    for (const char *c = "aaaab!"; *c; c++) {
        assert_int_equal(write(link.peer, c, 1), 1);
        drive_during(f, MS / 4);
    }
    assert_int_equal(join(f, task), 0);
    assert_record(f, "until(aaaab)");
    close_link(&link);
}

/* When the peer closes before the separator, that is told, and what came stays for a plain read. */
static void an_end_before_the_separator_is_told(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    peer_writes(&link, "half a li");
    peer_closes(&link);
    read_until(&link, "\n");
    assert_record(f, "until=KOLK_EEOF");
    assert_int_equal(run_task(f, read_once, &link), 0);
    read_until(&link, "\n");
    assert_record(f, "until=KOLK_EEOF read(half a li) until()");
    close_link(&link);
}

/* Beyond the limit the separator is not looked for; what came stays for a plain read. */
static void a_line_beyond_the_limit_is_told(void **state) {
    struct fixture *f = *state;
    kolk_connect_options options = {.size = sizeof options, .limit = 16};
    struct link link = open_link_with(f, &options);
    peer_writes(&link, "0123456789abcdefghij\n");
    read_until(&link, "\n");
    assert_record(f, "until=KOLK_ELIMIT");
    peer_closes(&link);
    assert_int_equal(run_task(f, read_to_the_end, &link), 0);
    assert_string_equal(link.text, "0123456789abcdefghij\n");
    close_link(&link);
}

static int read_until_without_memory(void *userdata, void **ret_result) {
    struct link *link = userdata;
    failing_allocator_arm(&link->f->memory, 1, 1);
    int status = read_until_once(link, ret_result);
    failing_allocator_disarm(&link->f->memory);
    return status;
}

/* Whatever ends a search is told in words too, with the peer's address. */
static void what_ends_a_search_is_told_in_words(void **state) {
    struct fixture *f = *state;
    kolk_connect_options options = {.size = sizeof options, .limit = 16};
    struct link link = open_link_with(f, &options);
    char words[3][128];
    snprintf(words[0], sizeof words[0], "read from 127.0.0.1 port %d: out of memory", link.port);
    snprintf(words[1], sizeof words[1], "read from 127.0.0.1 port %d: no separator within 16 bytes", link.port);
    snprintf(words[2], sizeof words[2], "read from 127.0.0.1 port %d: it ended after 9 bytes without a separator", link.port);
    link.separator = "\n";
    assert_int_equal(run_task(f, read_until_without_memory, &link), 0);
    assert_string_equal(kolk_error_message(kolk_stream_error(link.stream)), words[0]);
    peer_writes(&link, "0123456789abcdef");
    read_until(&link, "\n");
    assert_string_equal(kolk_error_message(kolk_stream_error(link.stream)), words[1]);
    assert_int_equal(run_task(f, read_once, &link), 0);
    peer_writes(&link, "half a li");
    peer_closes(&link);
    read_until(&link, "\n");
    assert_string_equal(kolk_error_message(kolk_stream_error(link.stream)), words[2]);
    assert_int_equal(kolk_error_status(kolk_stream_error(link.stream)), KOLK_EEOF);
    assert_record(f, "until=KOLK_ENOMEM until=KOLK_ELIMIT read(0123456789abcdef) until=KOLK_EEOF");
    close_link(&link);
}

/* A line of a megabyte is read, if the limit allows it. */
static void a_large_limit_is_honoured(void **state) {
    struct fixture *f = *state;
    enum { LINE = 1024 * 1024 };
    kolk_connect_options options = {.size = sizeof options, .limit = 2 * LINE};
    struct link link = open_link_with(f, &options);
    char *line = malloc(LINE);
    memset(line, 'x', LINE - 1);
    line[LINE - 1] = '\n';
    link.separator = "\n";
    kolk_task *task = spawn_with(f, read_until_once, &link);
    size_t sent = 0;
    for (int i = 0; i < 20000 && sent < LINE; i++) {
        ssize_t n = write(link.peer, line + sent, LINE - sent);
        sent += n > 0 ? (size_t)n : 0;
        drive_during(f, 0);
    }
    free(line);
    assert_int_equal(join(f, task), 0);
    /* The record is cut, but it begins with what was read and not with an error. */
    assert_memory_equal(f->record, "until(xxx", 9);
    close_link(&link);
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule rules[] = {
        RULE(a_read_returns_what_is_there),
        RULE(a_read_waits_for_something),
        RULE(the_end_comes_after_the_data),
        RULE(a_waiting_reader_is_told_of_the_end),
        RULE(urgent_data_does_not_stop_a_reader),
        RULE(single_bytes_arrive_complete_and_in_order),
        RULE(a_reset_is_told_with_the_peers_address),
        RULE(a_read_can_be_a_future),
        RULE(received_bytes_can_be_echoed),
        RULE(echoes_do_not_mix),
        RULE(received_bytes_outlive_their_stream_in_a_write),
        RULE(lines_of_one_packet_come_one_by_one),
        RULE(a_line_in_pieces_comes_whole),
        RULE(a_separator_that_overlaps_itself_is_found),
        RULE(an_end_before_the_separator_is_told),
        RULE(a_line_beyond_the_limit_is_told),
        RULE(what_ends_a_search_is_told_in_words),
        RULE(a_large_limit_is_honoured),
    };
    return run_matrix("stream_read", rules, COUNT(rules));
}
