/* Accepting connections, with a task for each. */
#include "support/driver.h"
#include "support/network.h"
#include "support/resources.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server and what its connections do. */
struct site {
    struct fixture *f;
    kolk_server *server;
    uint16_t port;
    int served;    /* Connections whose task has begun. */
    int finished;  /* Connections whose task has ended. */
    int destroyed; /* How often the userdata was let go. */
    int status;    /* What the next connection returns at once. */
    kolk_stream *kept;
};

static int echo(kolk_stream *stream, void *userdata) {
    struct site *site = userdata;
    site->served++;
    int64_t status = 0;
    const void *data = NULL;
    while (status == 0) {
        int64_t n = kolk_stream_receive(stream, &data);
        if (n <= 0) {
            status = n;
            break;
        }
        status = kolk_stream_write(stream, data, (size_t)n);
    }
    site->finished++;
    return (int)status;
}

static void let_go(void *userdata) { ((struct site *)userdata)->destroyed++; }

static void open_site_at(struct fixture *f, struct site *ret_site, const char *host, kolk_connection_fn fn) {
    *ret_site = (struct site){.f = f};
    kolk_error *error = NULL;
    if (kolk_start_server(f->loop, fn, ret_site, let_go, host, 0, NULL, &ret_site->server, &error) != 0)
        fail_msg("%s", kolk_error_message(error));
    int port = kolk_server_port(ret_site->server);
    assert_true(port > 0 && port < 65536);
    ret_site->port = (uint16_t)port;
}

static void open_site(struct fixture *f, struct site *ret_site) { open_site_at(f, ret_site, "127.0.0.1", echo); }

/* Drops the server and lets its connections end, whose peers must be closed by now. */
static void close_site(struct site *site) {
    assert_int_equal(kolk_server_close(site->server), 0);
    site->server = kolk_server_unref(site->server);
    drive_until_count(site->f, &site->finished, site->served);
    drive_during(site->f, 2 * MS);
    assert_int_equal(site->destroyed, 1);
}

static int can_read(void *context) {
    struct pollfd peer = {.fd = *(int *)context, .events = POLLIN};
    return poll(&peer, 1, 0) == 1;
}

/* Lets the loop run until the peer has something to read; the loop itself may have nothing to do then. */
static void wait_for_peer(struct fixture *f, int peer) {
    for (int i = 0; i < 5000 && !can_read(&peer); i++)
        drive_during(f, MS / 2);
    assert_true(can_read(&peer));
}

static void assert_echo(struct fixture *f, int peer, const char *text) {
    char answer[64] = "";
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
    wait_for_peer(f, peer);
    assert_int_equal(read(peer, answer, sizeof answer - 1), strlen(text));
    assert_string_equal(answer, text);
}

/* A server on a free port answers, as often as it is asked. */
static void a_server_answers(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site(f, &site);
    int peer = connect_to_loopback(4, site.port);
    assert_echo(f, peer, "hello");
    assert_echo(f, peer, "again");
    assert_int_equal(kolk_server_connections(site.server), 1);
    close(peer);
    drive_until_count(f, &site.finished, 1);
    drive_during(f, MS);
    assert_int_equal(kolk_server_connections(site.server), 0);
    close_site(&site);
}

/* A server for "localhost" answers on both loopback addresses, one for all addresses on every one; "::1" only there. */
static void a_server_answers_on_the_addresses_it_was_given(void **state) {
    struct fixture *f = *state;
    const struct {
        const char *host;
        int v4;
        int v6;
    } cases[] = {{"127.0.0.1", 1, 0}, {"::1", 0, 1}, {"localhost", 1, 1}, {NULL, 1, 1}};
    int v6 = has_ipv6();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct site site;
        if (!v6 && !cases[i].v4) {
            kolk_server *server = NULL;
            assert_true(kolk_start_server(f->loop, echo, f, NULL, cases[i].host, 0, NULL, &server, NULL) < 0);
            continue;
        }
        open_site_at(f, &site, cases[i].host, echo);
        int by4 = connect_to_loopback(4, site.port), by6 = v6 ? connect_to_loopback(6, site.port) : -1;
        if ((by4 >= 0) != cases[i].v4 || (by6 >= 0) != (v6 && cases[i].v6))
            fail_msg("host %s: IPv4 %d, IPv6 %d", cases[i].host ? cases[i].host : "NULL", by4, by6);
        if (by4 >= 0)
            assert_echo(f, by4, "four");
        if (by6 >= 0)
            assert_echo(f, by6, "six");
        close_pair((int[]){by4, by6});
        close_site(&site);
    }
}

struct client {
    struct site *site;
    int number;
    int *right;
};

static int talk(void *userdata, void **ret_result) {
    struct client *self = userdata;
    (void)ret_result;
    kolk_stream *stream = NULL;
    int status = kolk_open_connection("127.0.0.1", self->site->port, NULL, &stream, NULL);
    for (int i = 0; i < 10 && status == 0; i++) {
        char line[32];
        const void *answer = NULL;
        int length = snprintf(line, sizeof line, "%d says %d\n", self->number, i);
        status = kolk_stream_write(stream, line, (size_t)length);
        int64_t n = status < 0 ? status : kolk_stream_read_until(stream, "\n", 1, &answer);
        if (n < 0)
            status = (int)n;
        else if (n == length && memcmp(answer, line, (size_t)length) == 0)
            ++*self->right;
    }
    kolk_stream_unref(stream);
    return status;
}

/* Two hundred connections at once each get their own answers. */
static void two_hundred_connections_get_their_own_answers(void **state) {
    struct fixture *f = *state;
    enum { CLIENTS = 200 };
    struct site site;
    open_site(f, &site);
    static struct client clients[CLIENTS];
    static kolk_task *tasks[CLIENTS];
    int right = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.site = &site, .number = i, .right = &right};
        tasks[i] = spawn_with(f, talk, &clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(join(f, tasks[i]), 0);
    assert_int_equal(right, CLIENTS * 10);
    assert_int_equal(site.served, CLIENTS);
    close_site(&site);
}

static int keep_and_return(kolk_stream *stream, void *userdata) {
    struct site *site = userdata;
    site->served++;
    site->finished++;
    site->kept = kolk_stream_ref(stream);
    return site->status;
}

/* A connection is closed when its task returns, even if somebody kept the stream. */
static void a_connection_is_closed_when_its_task_returns(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site_at(f, &site, "127.0.0.1", keep_and_return);
    int peer = connect_to_loopback(4, site.port);
    char byte;
    wait_for_peer(f, peer);
    assert_int_equal(read(peer, &byte, 1), 0);
    assert_int_equal(kolk_stream_fd(site.kept), KOLK_ECLOSED);
    kolk_stream_unref(site.kept);
    close(peer);
    close_site(&site);
}

/* What a connection fails with goes to the exception handler, unless it is only that the peer is gone. */
static void failures_of_connections_are_reported(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    const int statuses[] = {KOLK_ERESET, KOLK_EIO, KOLK_EPIPE, KOLK_ECANCELED, KOLK_EINVAL, 0};
    struct site site;
    open_site_at(f, &site, "127.0.0.1", keep_and_return);
    for (int i = 0; i < (int)COUNT(statuses); i++) {
        site.status = statuses[i];
        int peer = connect_to_loopback(4, site.port);
        drive_until_count(f, &site.served, i + 1);
        drive_during(f, MS);
        kolk_stream_unref(site.kept);
        close(peer);
    }
    assert_record(f, "unhandled(KOLK_EIO) unhandled(KOLK_EINVAL)");
    close_site(&site);
}

/* A server that was closed accepts nobody, and those it serves are served on. */
static void a_closed_server_serves_on_whom_it_has(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site(f, &site);
    int peer = connect_to_loopback(4, site.port);
    assert_echo(f, peer, "before");
    assert_int_equal(kolk_server_close(site.server), 0);
    assert_int_equal(kolk_server_close(site.server), 0);
    assert_int_equal(kolk_server_port(site.server), KOLK_ECLOSED);
    assert_int_equal(connect_to_loopback(4, site.port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_echo(f, peer, "after");
    assert_int_equal(kolk_server_connections(site.server), 1);
    assert_int_equal(site.destroyed, 0);
    close(peer);
    close_site(&site);
}

/* Dropping the last reference closes the server, not its connections. */
static void dropping_a_server_closes_it(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site(f, &site);
    int peer = connect_to_loopback(4, site.port);
    assert_echo(f, peer, "before");
    assert_ptr_equal(kolk_server_ref(site.server), site.server);
    assert_null(kolk_server_unref(site.server));
    assert_null(kolk_server_unref(site.server));
    assert_int_equal(connect_to_loopback(4, site.port), -1);
    assert_echo(f, peer, "after");
    assert_int_equal(site.destroyed, 0);
    close(peer);
    drive_until_count(f, &site.finished, 1);
    drive_during(f, 2 * MS);
    assert_int_equal(site.destroyed, 1);
}

/* Closing the loop ends server and connections, whose clean-up runs. */
static void closing_the_loop_ends_the_server(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site(f, &site);
    int peer = connect_to_loopback(4, site.port);
    assert_echo(f, peer, "before");
    int waiting = connect_to_loopback(4, site.port);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_int_equal(site.finished, site.served);
    assert_int_equal(connect_to_loopback(4, site.port), -1);
    kolk_server *server = NULL;
    assert_int_equal(kolk_start_server(f->loop, echo, &site, let_go, "127.0.0.1", 0, NULL, &server, NULL), KOLK_ECLOSED);
    assert_int_equal(kolk_server_close(site.server), 0);
    kolk_server_unref(site.server);
    assert_int_equal(site.destroyed, 2);
    close(peer);
    close(waiting);
}

/* A client that resets before it was accepted, or in the middle, costs the others nothing. */
static void a_rude_client_costs_the_others_nothing(void **state) {
    struct fixture *f = *state;
    watch_errors(f);
    struct site site;
    open_site(f, &site);
    int polite = connect_to_loopback(4, site.port);
    assert_echo(f, polite, "one");
    for (int i = 0; i < 5; i++)
        close_with_reset(connect_to_loopback(4, site.port));
    int rude = connect_to_loopback(4, site.port);
    assert_echo(f, rude, "half");
    close_with_reset(rude);
    assert_echo(f, polite, "two");
    drive_during(f, 2 * MS);
    assert_int_equal(f->unhandled, 0);
    close(polite);
    close_site(&site);
}

/* A client that does not read its answers stops its own task and nobody else's. */
static void a_client_that_does_not_read_stops_only_itself(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site(f, &site);
    int greedy = connect_to_loopback(4, site.port), polite = connect_to_loopback(4, site.port);
    char *block = calloc(1, 1024 * 1024);
    size_t sent = 0;
    for (int stuck = 0; stuck < 20;) {
        ssize_t n = write(greedy, block, 1024 * 1024);
        stuck = n > 0 ? 0 : stuck + 1;
        sent += n > 0 ? (size_t)n : 0;
        drive_during(f, MS / 4);
    }
    free(block);
    assert_true(sent > 0);
    assert_echo(f, polite, "quick");
    assert_true(failing_allocator_live_bytes(&f->memory) < 4 * 1024 * 1024);
    close(greedy);
    close(polite);
    close_site(&site);
}

/* An address that is taken, that is not ours, or that is a name cannot be bound; the reason names host and port. */
static void what_cannot_be_bound_is_refused_with_reason(void **state) {
    struct fixture *f = *state;
    uint16_t taken;
    int listener = listen_on_loopback(4, 4, &taken);
    char port[16];
    snprintf(port, sizeof port, "%d", taken);
    const struct {
        const char *host;
        uint16_t port;
        int expected;
    } cases[] = {{"127.0.0.1", taken, KOLK_EADDRINUSE},
                 {"203.0.113.77", taken, KOLK_EADDRNOTAVAIL},
                 {"example.invalid", taken, KOLK_EINVAL},
                 {"127.0.0.1.5", taken, KOLK_EINVAL},
                 {"", taken, KOLK_EINVAL}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        kolk_server *server = NULL;
        kolk_error *error = NULL;
        struct site site = {.f = f};
        int status = kolk_start_server(f->loop, echo, &site, let_go, cases[i].host, cases[i].port, NULL, &server, &error);
        if (status != cases[i].expected)
            fail_msg("%s: %s", cases[i].host, kolk_status_name(status));
        assert_null(server);
        assert_non_null(error);
        /* What is wrong with a host that is none has nothing to do with the port. */
        const char *expected_port = status == KOLK_EINVAL ? "" : port;
        if (!strstr(kolk_error_message(error), cases[i].host) || !strstr(kolk_error_message(error), expected_port))
            fail_msg("\"%s\" does not name %s and %s", kolk_error_message(error), cases[i].host, expected_port);
        kolk_error_unref(error);
        assert_int_equal(site.destroyed, 1);
    }
    close(listener);
}

/* All addresses are both versions of IP: a port that another server has in one of them is taken. */
static void a_port_taken_in_one_version_is_taken(void **state) {
    struct fixture *f = *state;
    for (int version = has_ipv6() ? 6 : 4; version >= 4; version -= 2) {
        uint16_t taken;
        int listener = listen_on_loopback(version, 4, &taken);
        kolk_server *server = NULL;
        int status = kolk_start_server(f->loop, echo, f, NULL, NULL, taken, NULL, &server, NULL);
        if (status != KOLK_EADDRINUSE)
            fail_msg("taken in IPv%d: %s", version, kolk_status_name(status));
        assert_null(server);
        close(listener);
    }
}

static int read_a_line(kolk_stream *stream, void *userdata) {
    struct site *site = userdata;
    const void *line = NULL;
    site->served++;
    site->status = (int)kolk_stream_read_until(stream, "\n", 1, &line);
    site->finished++;
    return 0;
}

/* Options are honoured: a small limit is that of the streams. */
static void the_options_reach_the_streams(void **state) {
    struct fixture *f = *state;
    struct site site = {.f = f};
    kolk_server_options options = {.size = sizeof options, .backlog = 8, .stack_size = (size_t)128 * 1024, .stream_limit = 16};
    assert_int_equal(kolk_start_server(f->loop, read_a_line, &site, let_go, "127.0.0.1", 0, &options, &site.server, NULL), 0);
    int peer = connect_to_loopback(4, (uint16_t)kolk_server_port(site.server));
    assert_int_equal(write(peer, "0123456789abcdefghij\n", 21), 21);
    drive_until_count(f, &site.finished, 1);
    assert_int_equal(site.status, KOLK_ELIMIT);
    close(peer);
    close_site(&site);

    /* Those that no connection could be served with are refused. */
    kolk_server *server = NULL;
    options.stack_size = ((size_t)1 << 30) + 1;
    assert_int_equal(kolk_start_server(f->loop, echo, &site, let_go, "127.0.0.1", 0, &options, &server, NULL), KOLK_ELIMIT);
    options.size = 4;
    assert_int_equal(kolk_start_server(f->loop, echo, &site, let_go, "127.0.0.1", 0, &options, &server, NULL), KOLK_EINVAL);
    assert_int_equal(site.destroyed, 3);
    assert_null(server);
}

static int close_own_server(kolk_stream *stream, void *userdata) {
    struct site *site = userdata;
    site->served++;
    kolk_server_close(site->server);
    site->server = kolk_server_unref(site->server);
    int status = kolk_stream_write(stream, "bye", 3);
    site->finished++;
    return status;
}

/* A server that is closed from inside a connection's task lets that task finish. */
static void a_connection_may_close_its_own_server(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site_at(f, &site, "127.0.0.1", close_own_server);
    int peer = connect_to_loopback(4, site.port);
    char answer[8] = "";
    wait_for_peer(f, peer);
    assert_int_equal(read(peer, answer, sizeof answer - 1), 3);
    assert_string_equal(answer, "bye");
    close(peer);
    drive_during(f, 2 * MS);
    assert_int_equal(site.destroyed, 1);
}

static int fork_and_go_on(kolk_stream *stream, void *userdata) {
    struct site *site = userdata;
    const void *data = NULL;
    int64_t n = kolk_stream_receive(stream, &data);
    pid_t child = n > 0 ? fork() : -1;
    if (child == 0) {
        alarm(30);
        return 0; /* As if it had not noticed: what is its stream to it is the parent's connection. */
    }
    waitpid(child, NULL, 0);
    return echo(stream, site);
}

/* A connection outlives a child that was forked in its task and let the task end. */
static void a_forked_child_leaves_the_connection_open(void **state) {
    struct fixture *f = *state;
    struct site site;
    open_site_at(f, &site, "127.0.0.1", fork_and_go_on);
    int peer = connect_to_loopback(4, site.port);
    assert_int_equal(write(peer, "fork", 4), 4);
    pid_t parent = getpid();
    while (site.served == 0) {
        assert_true(drive_once(f) >= 0 || getpid() != parent);
        if (getpid() != parent)
            _exit(0);
    }
    assert_echo(f, peer, "hello");
    close(peer);
    close_site(&site);
}

/* ---- A reactor that is short of memory ---- */

static kolk_reactor_ops short_ops; /* The first reactor's, with a way to fail. */
static int (*watch_of_reactor)(void *, int, uint32_t, uint64_t);
static int short_of_memory, refused; /* Whether nothing more can be watched; how often that was so. */

static int watch_if_possible(void *state, int fd, uint32_t events, uint64_t token) {
    if (events && short_of_memory) {
        refused++;
        return -ENOMEM;
    }
    return watch_of_reactor(state, fd, events, token);
}

static void count_error(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    (void)error;
    ++*(int *)userdata;
}

/* Lets the loop run until the counter has got there. */
static void run_until_count(kolk_loop *loop, const int *counter, int expected) {
    for (int i = 0; i < 3000 && *counter < expected; i++) {
        kolk_future *pause = NULL;
        assert_int_equal(kolk_sleep_async(loop, 10 * MS, &pause), 0);
        assert_int_equal(kolk_loop_run_until_complete(loop, pause), 0);
        kolk_future_unref(pause);
    }
    assert_true(*counter >= expected);
}

/* A server that cannot go on when its pause is over makes another one, and tells nobody again. */
static void a_server_whose_pause_is_not_long_enough_makes_another(void **state) {
    (void)state;
    const char *name;
    assert_true(reactors_under_test(&name, 1) >= 1);
    short_ops = *reactor_under_test(name);
    watch_of_reactor = short_ops.watch;
    short_ops.watch = watch_if_possible;
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = &short_ops};
    kolk_loop *loop = NULL;
    struct site site = {.f = NULL};
    int told = 0;
    assert_int_equal(kolk_loop_new(&options, &loop, NULL), 0);
    assert_int_equal(kolk_loop_set_exception_handler(loop, count_error, &told, NULL), 0);
    assert_int_equal(kolk_start_server(loop, echo, &site, NULL, "127.0.0.1", 0, NULL, &site.server, NULL), 0);
    uint16_t port = (uint16_t)kolk_server_port(site.server);

    int turned_away = connect_to_loopback(4, port);
    refused = 0;
    short_of_memory = 1;
    run_until_count(loop, &refused, 3); /* The connection, and two attempts to go on. */
    short_of_memory = 0;
    int served = connect_to_loopback(4, port);
    run_until_count(loop, &site.served, 1);
    assert_int_equal(told, 1);

    close_pair((int[]){turned_away, served});
    run_until_count(loop, &site.finished, 1);
    kolk_server_unref(site.server);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
}

/* ---- Out of descriptors ---- */

struct shortage {
    int reports;
    int served;
};

static void count_report(kolk_loop *loop, kolk_error *error, void *userdata) {
    struct shortage *shortage = userdata;
    (void)loop;
    shortage->reports += kolk_error_status(error) == KOLK_EMFILE ? 1 : 1000;
}

static int count_connection(kolk_stream *stream, void *userdata) {
    ((struct shortage *)userdata)->served++;
    return kolk_stream_write(stream, "x", 1);
}

static int complain(const char *what, long long value) {
    dprintf(2, "out of descriptors: %s %lld\n", what, value);
    return 1;
}

/* Runs in a child of its own, whose descriptors are used up. Returns 0 when all went as it should. */
static int run_short_of_descriptors(const kolk_reactor_ops *ops) {
    struct shortage shortage = {0, 0};
    kolk_loop_options options = {.size = sizeof options, .reactor_ops = ops};
    kolk_loop *loop = NULL;
    kolk_server *server = NULL;
    if (kolk_loop_new(&options, &loop, NULL) != 0 ||
        kolk_loop_set_exception_handler(loop, count_report, &shortage, NULL) != 0 ||
        kolk_start_server(loop, count_connection, &shortage, NULL, "127.0.0.1", 0, NULL, &server, NULL) != 0)
        return complain("setup", 0);
    int peer = connect_to_loopback(4, (uint16_t)kolk_server_port(server));
    int highest = dup(peer);
    struct rlimit limit = {(rlim_t)highest, (rlim_t)highest};
    close(highest);
    struct rlimit old;
    getrlimit(RLIMIT_NOFILE, &old);
    limit.rlim_max = old.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return complain("setrlimit", errno);

    kolk_future *pause = NULL;
    long long cpu = cpu_ns();
    if (kolk_sleep_async(loop, 450 * MS, &pause) != 0 || kolk_loop_run_until_complete(loop, pause) != 0)
        return complain("run", 0);
    kolk_future_unref(pause);
    cpu = cpu_ns() - cpu;
    if (shortage.served != 0)
        return complain("served", shortage.served);
    if (shortage.reports != 1)
        return complain("reports", shortage.reports);
    /* A server that spins burns all of it. */
    if (cpu > 225 * MS)
        return complain("nanoseconds burnt", cpu);

    setrlimit(RLIMIT_NOFILE, &old);
    if (kolk_sleep_async(loop, 300 * MS, &pause) != 0 || kolk_loop_run_until_complete(loop, pause) != 0)
        return complain("run", 1);
    kolk_future_unref(pause);
    if (shortage.served != 1)
        return complain("served after the shortage", shortage.served);
    close(peer);
    kolk_server_unref(server);
    if (kolk_loop_close(loop) != 0)
        return complain("close", 0);
    kolk_loop_unref(loop);
    return 0;
}

/* Out of descriptors, the server reports it once, does not spin, and serves who waited once there are some again. */
static void a_server_survives_a_shortage_of_descriptors(void **state) {
    (void)state;
    const char *names[8];
    size_t count = reactors_under_test(names, COUNT(names));
    pid_t children[COUNT(names)];
    for (size_t i = 0; i < count; i++) {
        const kolk_reactor_ops *ops = reactor_under_test(names[i]);
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(run_short_of_descriptors(ops));
    }
    for (size_t i = 0; i < count; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("%s: status %#x", names[i], status);
    }
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule matrix[] = {
        RULE(a_server_answers),
        RULE(a_server_answers_on_the_addresses_it_was_given),
        RULE(two_hundred_connections_get_their_own_answers),
        RULE(a_connection_is_closed_when_its_task_returns),
        RULE(failures_of_connections_are_reported),
        RULE(a_closed_server_serves_on_whom_it_has),
        RULE(dropping_a_server_closes_it),
        RULE(closing_the_loop_ends_the_server),
        RULE(a_rude_client_costs_the_others_nothing),
        RULE(a_client_that_does_not_read_stops_only_itself),
        RULE(what_cannot_be_bound_is_refused_with_reason),
        RULE(a_port_taken_in_one_version_is_taken),
        RULE(the_options_reach_the_streams),
        RULE(a_connection_may_close_its_own_server),
        RULE(a_forked_child_leaves_the_connection_open),
    };
    static const struct rule bare[] = {
        RULE(a_server_whose_pause_is_not_long_enough_makes_another),
        RULE(a_server_survives_a_shortage_of_descriptors),
    };
    return run_matrix("server", matrix, COUNT(matrix)) + run_bare("server", bare, COUNT(bare));
}
