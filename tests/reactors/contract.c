#define _GNU_SOURCE
#include "contract.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define PATIENCE (5000 * MS) /* no wait of these tests takes so long unless something is wrong */

enum { MANY = 500, KNOWN = 16 };

struct fixture {
    const struct subject *subject;
    const kolk_reactor_ops *ops;
    void *host;
    void *state;
    int here, there; /* a connected pair, both ends non-blocking */
    int opened[MANY + 64], opened_count;
    int open_before;
    char was_open[256];      /* by descriptor */
    uint32_t watched[KNOWN]; /* by token, to take of a report what was asked for, as kolk does */
    char record[256];
    kolk_ready ready[2 * MANY];
    kolk_allocator allocator;
    long allocations, outstanding, fail_at; /* fail_at: the n-th allocation fails; 0: none; -1: all */
    pthread_t thread;
    int thread_started;
    int64_t delay_ns;
    int write_to;
    sem_t woken;
};

static struct fixture the_fixture;

/* --- the fixture's tools --- */

static void *allocate(void *userdata, size_t bytes) {
    struct fixture *f = userdata;
    f->allocations++;
    if (f->fail_at == -1 || f->fail_at == f->allocations)
        return NULL;
    void *memory = malloc(bytes);
    if (memory) {
        memset(memory, 0xa5, bytes); /* nothing may count on zeroes */
        f->outstanding += (long)bytes;
    }
    return memory;
}

static void release(void *userdata, void *memory, size_t bytes) {
    struct fixture *f = userdata;
    f->outstanding -= (long)bytes;
    free(memory);
}

static int open_descriptors(void) {
    int count = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

static int keep(struct fixture *f, int fd) {
    assert_true(fd >= 0);
    assert_true(f->opened_count < (int)(sizeof f->opened / sizeof *f->opened));
    f->opened[f->opened_count++] = fd;
    return fd;
}

/* Closes now what teardown would close. */
static void close_now(struct fixture *f, int fd) {
    for (int i = 0; i < f->opened_count; i++)
        if (f->opened[i] == fd)
            f->opened[i] = -1;
    close(fd);
}

static void open_pair(struct fixture *f, int *ret_here, int *ret_there) {
    int ends[2];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), errno);
    *ret_here = keep(f, ends[0]);
    *ret_there = keep(f, ends[1]);
}

static void open_pipe(struct fixture *f, int *ret_reading, int *ret_writing) {
    int ends[2];
    assert_return_code(pipe2(ends, O_NONBLOCK | O_CLOEXEC), errno);
    *ret_reading = keep(f, ends[0]);
    *ret_writing = keep(f, ends[1]);
}

static int open_ready(struct fixture *f) { return keep(f, eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)); }

static void feed(int fd) { assert_int_equal(write(fd, "x", 1), 1); }

static void drain(int fd) {
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) > 0)
        continue;
}

static void fill(int fd) {
    char bytes[4096] = {0};
    while (write(fd, bytes, sizeof bytes) > 0)
        continue;
    while (write(fd, bytes, 1) > 0)
        continue;
}

/* A reactor with a clock of its own keeps its promises in the time of that clock. */
static int64_t now(const struct fixture *f) {
    struct timespec time;
    if (f->ops->caps & KOLK_REACTOR_CLOCK)
        return f->ops->now(f->state);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int watch(struct fixture *f, int fd, uint32_t events, uint64_t token) {
    int status = f->ops->watch(f->state, fd, events, token);
    if (status == 0 && token < KNOWN)
        f->watched[token] = events;
    return status;
}

static int collect(struct fixture *f, int64_t timeout_ns, uint32_t capacity) {
    return f->ops->collect(f->state, timeout_ns, f->ready, capacity);
}

static int by_token(const void *left, const void *right) {
    const kolk_ready *a = left, *b = right;
    return (a->token > b->token) - (a->token < b->token);
}

/* What one `collect` reports, by token: "1:r 2:rw 3:i" (i: invalid). Hang-ups show as what they make readable or writable. */
static const char *report(struct fixture *f, int64_t timeout_ns) {
    int count = collect(f, timeout_ns, 2 * MANY);
    f->record[0] = '\0';
    if (count < 0) {
        snprintf(f->record, sizeof f->record, "error %s", strerror(-count));
        return f->record;
    }
    qsort(f->ready, (size_t)count, sizeof *f->ready, by_token);
    size_t length = 0;
    for (int i = 0; i < count && i < KNOWN; i++) {
        const kolk_ready *each = &f->ready[i];
        uint32_t events = each->events & (each->token < KNOWN ? f->watched[each->token] | KOLK_EVENT_INVALID : ~0u);
        length += (size_t)snprintf(f->record + length, sizeof f->record - length, "%s%d:%s%s%s", i ? " " : "", (int)each->token,
                                   events & KOLK_EVENT_INVALID ? "i"
                                   : events & KOLK_EVENT_READ  ? "r"
                                                               : "",
                                   !(events & KOLK_EVENT_INVALID) && events & KOLK_EVENT_WRITE ? "w" : "",
                                   each->reserved ? " reserved not 0" : "");
    }
    return f->record;
}

static void *write_later(void *userdata) {
    struct fixture *f = userdata;
    struct timespec delay = {f->delay_ns / 1000000000, f->delay_ns % 1000000000};
    nanosleep(&delay, NULL);
    if (write(f->write_to, "x", 1) != 1)
        abort();
    return NULL;
}

static void start(struct fixture *f, void *(*body)(void *)) {
    assert_int_equal(pthread_create(&f->thread, NULL, body, f), 0);
    f->thread_started = 1;
}

static void start_writer(struct fixture *f, int fd, int64_t delay_ns) {
    f->write_to = fd;
    f->delay_ns = delay_ns;
    start(f, write_later);
}

static void join(struct fixture *f) {
    if (f->thread_started)
        pthread_join(f->thread, NULL);
    f->thread_started = 0;
}

static int open_state(struct fixture *f, void **ret_state) {
    kolk_reactor_config config = {.size = sizeof config, .allocator = &f->allocator, .host = f->host};
    return f->ops->open(&config, ret_state);
}

static int setup(void **state) {
    struct fixture *f = &the_fixture;
    memset(f, 0, sizeof *f);
    f->subject = *state;
    f->ops = f->subject->ops;
    f->allocator = (kolk_allocator){sizeof f->allocator, 0, allocate, release, f};
    f->open_before = open_descriptors();
    for (int fd = 0; fd < (int)sizeof f->was_open; fd++)
        f->was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    sem_init(&f->woken, 0, 0);
    f->host = f->subject->make_host ? f->subject->make_host() : NULL;
    *state = f;
    if (open_state(f, &f->state) != 0)
        return -1;
    open_pair(f, &f->here, &f->there);
    return 0;
}

/* Nothing may be left: no descriptor, no memory. */
static int teardown(void **state) {
    struct fixture *f = *state;
    join(f);
    f->ops->close(f->state);
    if (f->host)
        f->subject->free_host(f->host);
    for (int i = 0; i < f->opened_count; i++)
        if (f->opened[i] >= 0)
            close(f->opened[i]);
    sem_destroy(&f->woken);
    int leaked = open_descriptors() - f->open_before;
    if (leaked || f->outstanding)
        print_error("%d descriptors and %ld bytes were not released\n", leaked, f->outstanding);
    return leaked || f->outstanding ? -1 : 0;
}

/* --- readiness --- */

/* Data to read makes a descriptor readable, and that is all it says. */
static void data_is_readable(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_string_equal(report(f, 0), "");
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(f->ready[0].events, KOLK_EVENT_READ);
}

/* Room in the buffer makes a descriptor writable; a full buffer does not. */
static void room_is_writable(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_WRITE, 1), 0);
    assert_string_equal(report(f, PATIENCE), "1:w");
    assert_int_equal(f->ready[0].events, KOLK_EVENT_WRITE);
    fill(f->here);
    assert_string_equal(report(f, 0), "");
    drain(f->there);
    assert_string_equal(report(f, PATIENCE), "1:w");
}

/* A descriptor that can be read and written is one entry. */
static void both_directions_are_one_entry(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ | KOLK_EVENT_WRITE, 1), 0);
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:rw");
}

/* What is not read is reported again, as often as it is asked for. */
static void unread_data_is_reported_again(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    feed(f->there);
    for (int i = 0; i < 3; i++)
        assert_string_equal(report(f, PATIENCE), "1:r");
    drain(f->here);
    assert_string_equal(report(f, 0), "");
}

/* With KOLK_EVENT_EDGE only changes are reported: once, until there is more. */
static void edge_is_reported_once(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ | KOLK_EVENT_EDGE, 1), 0);
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_string_equal(report(f, 0), "");
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

/* Watching again reports what is ready now, also with KOLK_EVENT_EDGE. */
static void edge_watched_again_is_reported(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ | KOLK_EVENT_EDGE, 1), 0);
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ | KOLK_EVENT_EDGE, 1), 0);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

/* A listening socket is readable when a connection waits, and a connecting one writable when it is connected. */
static void connections_are_reported(void **state) {
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listening = keep(f, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    assert_return_code(bind(listening, (struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(listen(listening, 8), errno);
    assert_return_code(getsockname(listening, (struct sockaddr *)&address, &length), errno);
    assert_int_equal(watch(f, listening, KOLK_EVENT_READ, 1), 0);
    assert_string_equal(report(f, 0), "");

    int connecting = keep(f, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (connect(connecting, (struct sockaddr *)&address, sizeof address) < 0)
        assert_int_equal(errno, EINPROGRESS);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(watch(f, connecting, KOLK_EVENT_WRITE, 2), 0);
    assert_string_equal(report(f, PATIENCE), "1:r 2:w");
}

/* Tokens come back as they were given, all 64 bits. */
static void tokens_come_back_whole(void **state) {
    struct fixture *f = *state;
    const uint64_t tokens[] = {0, 1, UINT64_C(0x8000000000000000), UINT64_MAX};
    feed(f->there);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, tokens[i]), 0);
        assert_int_equal(collect(f, PATIENCE, 4), 1);
        assert_true(f->ready[0].token == tokens[i]);
    }
}

/* Two reactors of a kind know nothing of each other. */
static void two_reactors_are_apart(void **state) {
    struct fixture *f = *state;
    void *other = NULL;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(open_state(f, &other), 0);
    int status = f->ops->watch(other, f->there, KOLK_EVENT_WRITE, 2);
    int count = f->ops->collect(other, PATIENCE, f->ready, 4);
    uint64_t token = f->ready[0].token;
    f->ops->close(other);
    assert_int_equal(status, 0);
    assert_int_equal(count, 1);
    assert_int_equal(token, 2);
    assert_string_equal(report(f, 0), "");
}

/* --- changing and removing --- */

/* Watching again replaces the events. */
static void watching_again_replaces_events(void **state) {
    struct fixture *f = *state;
    feed(f->there);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_WRITE, 1), 0);
    assert_string_equal(report(f, PATIENCE), "1:w");
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(f->ready[0].events, KOLK_EVENT_READ);
}

/* Watching again replaces the token. */
static void watching_again_replaces_token(void **state) {
    struct fixture *f = *state;
    feed(f->there);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 2), 0);
    assert_string_equal(report(f, PATIENCE), "2:r");
}

/* What is removed is not reported, even when it was ready before. */
static void removed_is_not_reported(void **state) {
    struct fixture *f = *state;
    int second = open_ready(f);
    feed(f->there);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(watch(f, second, KOLK_EVENT_READ, 2), 0);
    assert_int_equal(collect(f, PATIENCE, 1), 1);
    uint64_t left = f->ready[0].token == 1 ? 2 : 1; /* seen by the reactor, perhaps, but not reported yet */
    assert_int_equal(watch(f, left == 1 ? f->here : second, 0, left), 0);
    assert_string_equal(report(f, PATIENCE), left == 1 ? "2:r" : "1:r");
}

/* Removing what is not there succeeds: never watched, removed before, closed, not a descriptor at all. */
static void removing_what_is_not_there_succeeds(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, 0, 1), 0);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(watch(f, f->here, 0, 1), 0);
    assert_int_equal(watch(f, f->here, 0, 1), 0);
    assert_int_equal(watch(f, f->there, KOLK_EVENT_READ, 2), 0);
    close_now(f, f->there);
    assert_int_equal(watch(f, f->there, 0, 2), 0);
    assert_int_equal(watch(f, 100000, 0, 3), 0);
    assert_int_equal(watch(f, -1, 0, 3), 0);
    assert_string_equal(report(f, 0), "");
}

/* What was removed can be watched again. */
static void removed_can_be_watched_again(void **state) {
    struct fixture *f = *state;
    feed(f->there);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
        assert_string_equal(report(f, PATIENCE), "1:r");
        assert_int_equal(watch(f, f->here, 0, 1), 0);
        assert_string_equal(report(f, 0), "");
    }
}

/* --- descriptors that are closed or reused --- */

/* Puts another pair's end where @c fd was, and returns its other end. */
static int reuse_number(struct fixture *f, int fd) {
    int here, there;
    close_now(f, fd);
    open_pair(f, &here, &there);
    if (here != fd) {
        assert_int_equal(dup2(here, fd), fd);
        close_now(f, here);
        keep(f, fd);
    }
    return there;
}

/* A number that was closed and given to another file is watched like any new one. */
static void reused_number_is_watched_anew(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_string_equal(report(f, 0), "");
    int peer = reuse_number(f, f->here);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 2), 0);
    assert_string_equal(report(f, 0), "");
    feed(peer);
    assert_string_equal(report(f, PATIENCE), "2:r");
}

/* Also when it was removed after it was closed, and when the new file is ready at once. */
static void reused_number_after_late_removal(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    int peer = reuse_number(f, f->here);
    assert_int_equal(watch(f, f->here, 0, 1), 0);
    feed(peer);
    assert_string_equal(report(f, 0), "");
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 2), 0);
    assert_string_equal(report(f, PATIENCE), "2:r");
}

/* A descriptor closed behind the reactor's back is reported as invalid once, or not at all; the others go on, and waiting is
 * still waiting. */
static void closed_behind_its_back_does_not_spin(void **state) {
    struct fixture *f = *state;
    int other_here, other_there;
    open_pair(f, &other_here, &other_there);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ | KOLK_EVENT_WRITE, 1), 0);
    assert_int_equal(watch(f, other_here, KOLK_EVENT_READ, 2), 0);
    close_now(f, f->here);
    close_now(f, f->there);
    const char *first = report(f, 20 * MS);
    assert_true(strcmp(first, "1:i") == 0 || strcmp(first, "") == 0);
    for (int i = 0; i < 3; i++) {
        int64_t begun = now(f);
        assert_string_equal(report(f, 5 * MS), "");
        assert_true(now(f) - begun >= 5 * MS);
    }
    feed(other_there);
    assert_string_equal(report(f, PATIENCE), "2:r");
}

/* What was reported as invalid is forgotten: its number can be watched again, and removing it is fine. */
static void invalid_is_forgotten(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    close_now(f, f->here);
    report(f, 0);
    int here, there;
    open_pair(f, &here, &there);
    assert_int_equal(here, f->here); /* the lowest free number */
    feed(there);
    assert_string_equal(report(f, 0), "");
    assert_int_equal(watch(f, here, 0, 1), 0);
    assert_int_equal(watch(f, here, KOLK_EVENT_READ, 2), 0);
    assert_string_equal(report(f, PATIENCE), "2:r");
}

/* A number that is no open descriptor is refused, or accepted and reported as invalid once. */
static void unopened_number_is_refused_or_invalid(void **state) {
    struct fixture *f = *state;
    close_now(f, f->here);
    int status = watch(f, f->here, KOLK_EVENT_READ, 1);
    if (status == 0)
        assert_string_equal(report(f, PATIENCE), "1:i");
    else
        assert_int_equal(status, -EBADF);
    assert_string_equal(report(f, 0), "");
    assert_int_equal(watch(f, -1, KOLK_EVENT_READ, 1), -EBADF);
}

/* --- hang-ups and errors --- */

/* A closed peer makes a descriptor readable: the read says end of file. */
static void closed_peer_is_readable(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    close_now(f, f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_string_equal(report(f, PATIENCE), "1:r");
    char byte;
    assert_int_equal(read(f->here, &byte, 1), 0);
}

/* So does the last writer of a pipe when it goes, although there is no data and poll calls it a hang-up only. */
static void closed_writer_is_readable(void **state) {
    struct fixture *f = *state;
    int reading, writing;
    open_pipe(f, &reading, &writing);
    assert_int_equal(watch(f, reading, KOLK_EVENT_READ, 1), 0);
    close_now(f, writing);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

/* Data that came before the hang-up is still there. */
static void data_before_hang_up_is_readable(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    feed(f->there);
    close_now(f, f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
    char byte;
    assert_int_equal(read(f->here, &byte, 1), 1);
    assert_string_equal(report(f, PATIENCE), "1:r");
    assert_int_equal(read(f->here, &byte, 1), 0);
}

/* A peer that will write no more makes a descriptor readable. */
static void half_closed_peer_is_readable(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_return_code(shutdown(f->there, SHUT_WR), errno);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

/* But it does not make a full buffer writable: a writer would be woken again and again for nothing. */
static void half_closed_peer_is_not_writable(void **state) {
    struct fixture *f = *state;
    fill(f->here);
    assert_return_code(shutdown(f->there, SHUT_WR), errno);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_WRITE, 1), 0);
    assert_string_equal(report(f, 5 * MS), "");
}

/* A pipe without a reader is writable, also when it is full: the write says EPIPE. */
static void closed_reader_is_writable(void **state) {
    struct fixture *f = *state;
    int reading, writing;
    open_pipe(f, &reading, &writing);
    fill(writing);
    assert_int_equal(watch(f, writing, KOLK_EVENT_WRITE, 1), 0);
    assert_string_equal(report(f, 0), "");
    close_now(f, reading);
    assert_string_equal(report(f, PATIENCE), "1:w");
}

/* A refused connection is writable: the socket says why. */
static void refused_connection_is_writable(void **state) {
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int nobody = keep(f, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); /* bound but not listening */
    assert_return_code(bind(nobody, (struct sockaddr *)&address, sizeof address), errno);
    assert_return_code(getsockname(nobody, (struct sockaddr *)&address, &length), errno);
    int connecting = keep(f, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (connect(connecting, (struct sockaddr *)&address, sizeof address) < 0 && errno == EINPROGRESS) {
        assert_int_equal(watch(f, connecting, KOLK_EVENT_WRITE, 1), 0);
        assert_string_equal(report(f, PATIENCE), "1:w");
        int number = 0;
        socklen_t size = sizeof number;
        assert_return_code(getsockopt(connecting, SOL_SOCKET, SO_ERROR, &number, &size), errno);
        errno = number;
    }
    assert_int_equal(errno, ECONNREFUSED);
}

/* --- time --- */

/* 0 does not wait. Measured over many calls, because one may be unlucky. */
static void zero_timeout_does_not_wait(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    int64_t begun = now(f);
    for (int i = 0; i < 100; i++)
        assert_int_equal(collect(f, 0, 4), 0);
    assert_true(now(f) - begun < PATIENCE);
}

/* A timeout is never early, whatever its size: below a millisecond, not a multiple of the clock's grain, longer. */
static void timeout_is_never_early(void **state) {
    struct fixture *f = *state;
    const int64_t timeouts[] = {1, 999, 1001, 50000, 200001, 999999, MS, MS + 1, 3 * MS + 7, 20 * MS};
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
            int64_t begun = now(f);
            assert_int_equal(collect(f, timeouts[i], 4), 0);
            int64_t passed = now(f) - begun;
            assert_true(passed >= timeouts[i]);
            assert_true(passed < PATIENCE);
        }
}

/* With nothing watched, a timeout is still a timeout. */
static void timeout_holds_with_nothing_watched(void **state) {
    struct fixture *f = *state;
    int64_t begun = now(f);
    assert_int_equal(collect(f, 5 * MS, 4), 0);
    assert_true(now(f) - begun >= 5 * MS);
}

/* A negative timeout waits until something is ready. */
static void negative_timeout_waits(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    int64_t begun = now(f);
    start_writer(f, f->there, 20 * MS);
    assert_string_equal(report(f, -1), "1:r");
    if (!(f->ops->caps & KOLK_REACTOR_CLOCK)) /* what others take does not count there */
        assert_true(now(f) - begun >= 20 * MS);
}

static int sleep_without_limit(struct fixture *f) {
    void *own = NULL;
    return open_state(f, &own) < 0 || f->ops->collect(own, -1, f->ready, 4) < 0;
}

/* Also when nothing is watched: only a signal could end it. In a child, which is killed when it has slept long enough. */
static void negative_timeout_waits_with_nothing_watched(void **state) {
    struct fixture *f = *state;
    struct timespec long_enough = {0, 50 * MS};
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(sleep_without_limit(f));
    nanosleep(&long_enough, NULL);
    pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    assert_int_equal(ended, 0);
}

/* Readiness ends a wait at once, and a timeout of centuries does not overflow into a short one. */
static void long_timeout_waits_until_ready(void **state) {
    struct fixture *f = *state;
    const int64_t timeouts[] = {PATIENCE, (INT64_C(1) << 32) * MS + 5 * MS, INT64_MAX};
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    for (int i = 0; i < 3; i++) {
        int64_t begun = now(f);
        start_writer(f, f->there, 20 * MS);
        assert_string_equal(report(f, timeouts[i]), "1:r");
        assert_true(now(f) - begun >= 20 * MS && now(f) - begun < PATIENCE);
        join(f);
        drain(f->here);
    }
}

static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    signals++;
}

/* Runs a wait with a signal coming every 10 ms. Returns its result and how long it took. */
static int sleep_with_signals(struct fixture *f, int by_wait, int64_t timeout_ns, int64_t *ret_passed) {
    struct sigaction action = {.sa_handler = count_signal}, before;
    struct itimerval ticking = {{0, 10000}, {0, 10000}}, stopped = {{0, 0}, {0, 0}};
    signals = 0;
    sigaction(SIGALRM, &action, &before);
    int64_t begun = now(f);
    setitimer(ITIMER_REAL, &ticking, NULL);
    int result = by_wait ? f->ops->wait(f->state, timeout_ns) : collect(f, timeout_ns, 4);
    setitimer(ITIMER_REAL, &stopped, NULL);
    *ret_passed = now(f) - begun;
    sigaction(SIGALRM, &before, NULL);
    return result;
}

/* A signal ends a wait early; nothing has failed. */
static void signal_ends_wait(void **state) {
    struct fixture *f = *state;
    int64_t passed;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    for (int by_wait = 0; by_wait < (f->ops->caps & KOLK_REACTOR_WAIT ? 2 : 1); by_wait++) {
        assert_int_equal(sleep_with_signals(f, by_wait, 4 * PATIENCE, &passed), 0);
        assert_true(passed < PATIENCE);
        assert_true(signals > 0);
    }
}

/* Where the library below sleeps on after a signal, the wait lasts as long as it was asked to, and nothing has failed. */
static void signal_does_not_disturb_wait(void **state) {
    struct fixture *f = *state;
    int64_t passed;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    for (int by_wait = 0; by_wait < (f->ops->caps & KOLK_REACTOR_WAIT ? 2 : 1); by_wait++) {
        assert_int_equal(sleep_with_signals(f, by_wait, 50 * MS, &passed), 0);
        assert_true(passed >= 50 * MS && passed < PATIENCE);
        assert_true(signals > 0);
    }
}

/* --- many --- */

/* With room for fewer than are ready, all of them get their turn. */
static void small_capacity_starves_nobody(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(watch(f, open_ready(f), KOLK_EVENT_READ, (uint64_t)i), 0);
    for (uint32_t capacity = 1; capacity <= 3; capacity++) {
        unsigned seen = 0;
        for (int calls = 0; calls < 16; calls++) {
            int count = collect(f, PATIENCE, capacity);
            assert_in_range(count, 1, capacity);
            for (int i = 0; i < count; i++)
                seen |= 1u << f->ready[i].token;
        }
        assert_int_equal(seen, 0xff);
    }
}

/* One that is closed among others that are ready makes none of them come twice, wherever the reactor begins to look. */
static void none_comes_twice_when_one_is_closed(void **state) {
    struct fixture *f = *state;
    for (int begin = 0; begin < 4; begin++)
        for (int closed = 0; closed < 4; closed++) {
            int fds[4], seen[4] = {0};
            for (int i = 0; i < 4; i++) {
                fds[i] = open_ready(f);
                assert_int_equal(watch(f, fds[i], KOLK_EVENT_READ, (uint64_t)i), 0);
            }
            if (begin)
                assert_in_range(collect(f, PATIENCE, (uint32_t)begin), 1, begin);
            close_now(f, fds[closed]);
            int count = collect(f, PATIENCE, 8);
            assert_in_range(count, 1, 4);
            for (int i = 0; i < count; i++)
                seen[f->ready[i].token]++;
            for (int i = 0; i < 4; i++) {
                assert_in_range(seen[i], 0, 1);
                assert_int_equal(watch(f, fds[i], 0, 0), 0);
                if (i != closed)
                    close_now(f, fds[i]);
            }
        }
}

/* Counts how often each token below MANY is reported, until a call reports nothing new. */
static int collect_all(struct fixture *f, unsigned char *seen) {
    int different = 0, news = 1;
    memset(seen, 0, MANY);
    while (news) {
        news = 0;
        int count = collect(f, 0, 2 * MANY);
        assert_true(count >= 0);
        for (int i = 0; i < count; i++)
            if (!seen[f->ready[i].token]++)
                news++;
        different += news;
    }
    return different;
}

/* Hundreds of descriptors: each is reported, and when half are removed exactly the other half. */
static void many_descriptors(void **state) {
    struct fixture *f = *state;
    unsigned char seen[MANY];
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = open_ready(f);
        assert_int_equal(watch(f, fds[i], KOLK_EVENT_READ, (uint64_t)i), 0);
    }
    assert_int_equal(collect_all(f, seen), MANY);
    for (int i = 0; i < MANY; i += 2)
        assert_int_equal(watch(f, fds[i], 0, 0), 0);
    assert_int_equal(collect_all(f, seen), MANY / 2);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(seen[i] != 0, i % 2);
}

/* A descriptor beyond FD_SETSIZE is watched like any other, or refused with -ERANGE; memory beside a set is never touched. */
static void high_descriptor_is_watched_or_refused(void **state) {
    struct fixture *f = *state;
    struct rlimit files;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &files), errno);
    struct rlimit raised = {files.rlim_max, files.rlim_max};
    assert_return_code(setrlimit(RLIMIT_NOFILE, &raised), errno);
    int high = keep(f, fcntl(f->here, F_DUPFD_CLOEXEC, FD_SETSIZE + 500));
    feed(f->there);
    int status = watch(f, high, KOLK_EVENT_READ | KOLK_EVENT_WRITE, 1);
    if (f->subject->stops_at) {
        assert_int_equal(status, -ERANGE);
        assert_string_equal(report(f, 0), "");
        assert_int_equal(watch(f, f->subject->stops_at, KOLK_EVENT_READ, 1), -ERANGE);
    } else {
        assert_int_equal(status, 0);
        assert_string_equal(report(f, PATIENCE), "1:rw");
    }
    assert_int_equal(watch(f, high, 0, 1), 0);
    assert_return_code(setrlimit(RLIMIT_NOFILE, &files), errno);
}

/* A regular file is refused with -EPERM, or always ready. */
static void regular_file_is_refused_or_ready(void **state) {
    struct fixture *f = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = keep(f, fcntl(fileno(file), F_DUPFD_CLOEXEC, 0));
    fclose(file);
    int status = watch(f, fd, KOLK_EVENT_READ, 1);
    if (status == 0)
        assert_string_equal(report(f, PATIENCE), "1:r");
    else
        assert_int_equal(status, -EPERM);
    assert_int_equal(watch(f, fd, 0, 1), 0);
    assert_string_equal(report(f, 0), "");
}

/* --- what is announced --- */

/* `wait` takes nothing: what is ready stays for `collect`. */
static void wait_takes_nothing(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    feed(f->there);
    for (int i = 0; i < 3; i++)
        assert_true(f->ops->wait(f->state, i == 0 ? -1 : i == 1 ? 0 : PATIENCE) >= 0);
    assert_string_equal(report(f, 0), "1:r");
}

/* `wait` keeps its timeout as `collect` does. */
static void wait_is_never_early(void **state) {
    struct fixture *f = *state;
    const int64_t timeouts[] = {0, 1, 200001, MS + 1, 10 * MS};
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        int64_t begun = now(f);
        assert_true(f->ops->wait(f->state, timeouts[i]) >= 0);
        int64_t passed = now(f) - begun;
        assert_true(passed >= timeouts[i] && passed < PATIENCE);
    }
}

/* A closed descriptor does not keep `wait` from waiting for the others. */
static void wait_survives_closed_descriptor(void **state) {
    struct fixture *f = *state;
    int fd = open_ready(f);
    assert_int_equal(watch(f, fd, KOLK_EVENT_READ, 2), 0);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    close_now(f, fd);
    assert_true(f->ops->wait(f->state, MS) >= 0);
    report(f, 0);
    feed(f->there);
    assert_true(f->ops->wait(f->state, PATIENCE) >= 0);
    assert_string_equal(report(f, 0), "1:r");
}

static void *wait_without_limit(void *userdata) {
    struct fixture *f = userdata;
    f->ops->wait(f->state, -1);
    sem_post(&f->woken);
    return NULL;
}

static int woken_within(struct fixture *f, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec += ns % 1000000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return sem_timedwait(&f->woken, &until) == 0;
}

/* A `wait` that sleeps on another thread sees what is watched after it fell asleep. */
static void wait_elsewhere_sees_late_watch(void **state) {
    struct fixture *f = *state;
    start(f, wait_without_limit);
    assert_false(woken_within(f, 20 * MS));
    feed(f->there);
    int status = watch(f, f->here, KOLK_EVENT_READ, 1);
    if (!woken_within(f, PATIENCE))
        fail_msg("the wait sleeps on"); /* the thread cannot be joined then */
    assert_int_equal(status, 0);
    assert_string_equal(report(f, 0), "1:r");
}

/* The descriptor of a reactor is readable when and only when `collect` would return something. */
static void handle_is_readable_when_there_is_something(void **state) {
    struct fixture *f = *state;
    struct pollfd handle = {f->ops->get_fd(f->state), POLLIN, 0};
    assert_true(handle.fd >= 0);
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(poll(&handle, 1, 0), 0);
    feed(f->there);
    assert_int_equal(poll(&handle, 1, (int)(PATIENCE / MS)), 1);
    assert_string_equal(report(f, 0), "1:r");
    assert_int_equal(poll(&handle, 1, 0), 1);
    drain(f->here);
    assert_int_equal(poll(&handle, 1, 0), 0);
    assert_string_equal(report(f, 0), "");
    assert_int_equal(f->ops->get_fd(f->state), handle.fd);
}

/* Runs @c body in a forked child. Returns its exit status. */
static int in_child(struct fixture *f, int (*body)(struct fixture *)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body(f));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int close_reactor(struct fixture *f) {
    f->ops->close(f->state);
    return 0;
}

/* Closing the reactor in a forked child leaves the parent's alone. */
static void closing_in_a_child_leaves_the_parent_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    assert_int_equal(in_child(f, close_reactor), 0);
    feed(f->there);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

static int use_after_fork(struct fixture *f) {
    if (f->ops->after_fork(f->state) != 0)
        return 1;
    if (watch(f, f->here, KOLK_EVENT_READ, 1) != 0 || strcmp(report(f, PATIENCE), "1:r") != 0)
        return 2;
    if (watch(f, f->here, 0, 1) != 0 || strcmp(report(f, 0), "") != 0)
        return 3;
    f->ops->close(f->state);
    return 0;
}

/* After `after_fork` the child has a reactor of its own, and what it removes stays in the parent's. */
static void child_has_its_own_reactor(void **state) {
    struct fixture *f = *state;
    assert_int_equal(watch(f, f->here, KOLK_EVENT_READ, 1), 0);
    feed(f->there);
    assert_int_equal(in_child(f, use_after_fork), 0);
    assert_string_equal(report(f, PATIENCE), "1:r");
}

/* --- resources --- */

/* Nothing a reactor opens is inherited by a program that is started. */
static void descriptors_are_close_on_exec(void **state) {
    struct fixture *f = *state;
    for (int fd = 0; fd < (int)sizeof f->was_open; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC) && !f->was_open[fd])
            fail_msg("descriptor %d is inherited", fd);
    }
}

/* Whichever allocation fails, the call says -ENOMEM, what was watched before still is, and nothing is lost. */
static void failed_allocation_is_reported(void **state) {
    struct fixture *f = *state;
    int low = open_ready(f), high = keep(f, fcntl(low, F_DUPFD_CLOEXEC, 900));
    long n = 1;
    for (int done = 0; !done; n++) {
        void *tried = NULL;
        f->allocations = 0;
        f->fail_at = n;
        int status = open_state(f, &tried);
        int low_status = status == 0 ? f->ops->watch(tried, low, KOLK_EVENT_READ, 1) : 0;
        int high_status = status == 0 ? f->ops->watch(tried, high, KOLK_EVENT_READ, 2) : 0;
        done = f->allocations < n;
        f->fail_at = 0;
        int count = status == 0 ? f->ops->collect(tried, 0, f->ready, 4) : 0;
        if (status == 0)
            f->ops->close(tried);
        if (status != 0)
            assert_int_equal(status, -ENOMEM);
        assert_true(low_status == 0 || low_status == -ENOMEM);
        assert_true(high_status == 0 || high_status == -ENOMEM);
        assert_int_equal((status != 0) + (low_status != 0) + (high_status != 0), !done);
        assert_int_equal(count, status ? 0 : (low_status == 0) + (high_status == 0));
    }
    assert_true(n > 2); /* the last round was without a failure, so there was one before it */
}

/* Closing nothing is fine. */
static void closing_null_is_fine(void **state) {
    struct fixture *f = *state;
    f->ops->close(NULL);
}

/* A reactor that never watched anything, or still watches something, closes cleanly. (Teardown counts.) */
static void closing_releases_everything(void **state) {
    struct fixture *f = *state;
    void *unused = NULL;
    assert_int_equal(open_state(f, &unused), 0);
    f->ops->close(unused);
    for (int i = 0; i < 20; i++)
        assert_int_equal(watch(f, open_ready(f), KOLK_EVENT_READ, (uint64_t)i), 0);
    feed(f->there);
    assert_int_equal(collect(f, 0, 3), 3);
}

/* --- running them --- */

struct rule {
    CMUnitTestFunction check;
    const char *name;
    uint64_t caps; /* what a reactor must announce for this to apply */
    uint64_t not ; /* and what it must not */
};

#define RULE(name)                                                                                                             \
    { name, #name, 0, 0 }
#define RULE_IF(name, caps)                                                                                                    \
    { name, #name, caps, 0 }
#define RULE_UNLESS(name, caps)                                                                                                \
    { name, #name, 0, caps }

static const struct rule rules[] = {
    RULE(data_is_readable),
    RULE(room_is_writable),
    RULE(both_directions_are_one_entry),
    RULE(unread_data_is_reported_again),
    RULE_IF(edge_is_reported_once, KOLK_REACTOR_EDGE),
    RULE_IF(edge_watched_again_is_reported, KOLK_REACTOR_EDGE),
    RULE(connections_are_reported),
    RULE(tokens_come_back_whole),
    RULE(two_reactors_are_apart),
    RULE(watching_again_replaces_events),
    RULE(watching_again_replaces_token),
    RULE(removed_is_not_reported),
    RULE(removing_what_is_not_there_succeeds),
    RULE(removed_can_be_watched_again),
    RULE(reused_number_is_watched_anew),
    RULE(reused_number_after_late_removal),
    RULE(closed_behind_its_back_does_not_spin),
    RULE(invalid_is_forgotten),
    RULE(unopened_number_is_refused_or_invalid),
    RULE(closed_peer_is_readable),
    RULE(closed_writer_is_readable),
    RULE(data_before_hang_up_is_readable),
    RULE(half_closed_peer_is_readable),
    RULE(half_closed_peer_is_not_writable),
    RULE(closed_reader_is_writable),
    RULE(refused_connection_is_writable),
    RULE(zero_timeout_does_not_wait),
    RULE(timeout_is_never_early),
    RULE(timeout_holds_with_nothing_watched),
    RULE(negative_timeout_waits),
    RULE(negative_timeout_waits_with_nothing_watched),
    RULE_UNLESS(long_timeout_waits_until_ready, KOLK_REACTOR_CLOCK), /* of real time */
    RULE(small_capacity_starves_nobody),
    RULE(none_comes_twice_when_one_is_closed),
    RULE(many_descriptors),
    RULE(high_descriptor_is_watched_or_refused),
    RULE(regular_file_is_refused_or_ready),
    RULE_IF(wait_takes_nothing, KOLK_REACTOR_WAIT),
    RULE_IF(wait_is_never_early, KOLK_REACTOR_WAIT),
    RULE_IF(wait_survives_closed_descriptor, KOLK_REACTOR_WAIT),
    RULE_IF(wait_elsewhere_sees_late_watch, KOLK_REACTOR_WAIT_ANYWHERE),
    RULE_IF(handle_is_readable_when_there_is_something, KOLK_REACTOR_GET_FD),
    RULE(closing_in_a_child_leaves_the_parent_alone),
    RULE_IF(child_has_its_own_reactor, KOLK_REACTOR_AFTER_FORK),
    RULE(failed_allocation_is_reported),
    RULE(descriptors_are_close_on_exec),
    RULE(closing_null_is_fine),
    RULE(closing_releases_everything),
};
static const struct rule ends_wait = RULE_UNLESS(signal_ends_wait, KOLK_REACTOR_CLOCK);
static const struct rule does_not_disturb_wait = RULE(signal_does_not_disturb_wait);

enum { RULES = sizeof rules / sizeof *rules };

struct subject describe(const char *label, const kolk_reactor_ops *ops) {
    struct subject described = {.label = label, .ops = ops};
    if (strcmp(ops->name, "select") == 0)
        described.stops_at = FD_SETSIZE;
    if (strcmp(ops->name, "libevent") == 0)
        described.sleeps_through_signals = 1;
    return described;
}

int run_contract(const char *group, const struct subject *subjects, int count) {
    size_t room = (size_t)count * (RULES + 1), used = 0;
    struct CMUnitTest *tests = calloc(room, sizeof *tests);
    char(*names)[128] = calloc(room, sizeof *names);
    if (!tests || !names)
        return -1;
    for (int i = 0; i < count; i++)
        for (int j = 0; j <= RULES; j++) {
            const struct rule *rule = j < RULES                            ? &rules[j]
                                      : subjects[i].sleeps_through_signals ? &does_not_disturb_wait
                                                                           : &ends_wait;
            if ((rule->caps & ~subjects[i].ops->caps) || (rule->not &subjects[i].ops->caps))
                continue;
            snprintf(names[used], sizeof names[used], "%s: %s", subjects[i].label, rule->name);
            tests[used] = (struct CMUnitTest){names[used], rule->check, setup, teardown, (void *)&subjects[i]};
            used++;
        }
    int failed = _cmocka_run_group_tests(group, tests, used, NULL, NULL);
    free(tests);
    free(names);
    return failed;
}
