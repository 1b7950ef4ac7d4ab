/* TCP connections: what tasks and futures read and write, and how each way of failing is told. */
#include "support/driver.h"
#include "support/network.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- Names that resolve as a test needs it, on a machine without a network ---- */

typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static uintptr_t resolved_on; /* The thread that resolved a name last. */
static int names_resolved;

/* Stands in front of the C library's: this program's own definition is found first. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list) {
    getaddrinfo_fn real = (getaddrinfo_fn)dlsym(RTLD_NEXT, "getaddrinfo");
    __atomic_store_n(&resolved_on, (uintptr_t)pthread_self(), __ATOMIC_RELEASE);
    __atomic_add_fetch(&names_resolved, 1, __ATOMIC_RELEASE);
    if (node && strcmp(node, "no-such-host.invalid") == 0)
        return EAI_NONAME;
    if (node && strcmp(node, "no-memory.test") == 0)
        return EAI_MEMORY;
    if (node && strcmp(node, "no-server.test") == 0)
        return EAI_AGAIN;
    if (node && strcmp(node, "no-answer.test") == 0)
        return EAI_FAIL;
    if (node && strcmp(node, "no-descriptor.test") == 0) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (node && strcmp(node, "no-file.test") == 0) {
        errno = ENOENT;
        return EAI_SYSTEM;
    }
    if (node && strcmp(node, "slow.test") == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 150 * MS}, NULL);
        return real("127.0.0.1", service, hints, ret_list);
    }
    if (node && strcmp(node, "two.test") == 0) {
        /* The first address is one that nobody listens on. */
        struct addrinfo *first = NULL, *second = NULL;
        if (real("127.0.0.2", service, hints, &first) != 0 || real("127.0.0.1", service, hints, &second) != 0)
            return EAI_FAIL;
        struct addrinfo *last = first;
        while (last->ai_next)
            last = last->ai_next;
        last->ai_next = second;
        *ret_list = first;
        return 0;
    }
    return real(node, service, hints, ret_list);
}

/* ---- As if another process, which has the same sockets, asked first how a connect ended ---- */

static int asked_by_another;

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    int status = real(fd, address, length);
    if (status < 0 && asked_by_another)
        errno = EINPROGRESS; /* and poll() says at once that it is over */
    return status;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
    int (*real)(int, int, int, void *, socklen_t *) =
        (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    int status = real(fd, level, name, value, length);
    if (asked_by_another && name == SO_ERROR)
        *(int *)value = 0;
    return status;
}

/* ---- A connection between a stream and a plain socket ---- */

struct link {
    struct fixture *f;
    int listener;
    uint16_t port;
    int peer; /* The plain socket; -1 once it was closed. */
    kolk_stream *stream;
    /* For the tasks: */
    const char *name;
    const char *separator;
    const char *data;
    size_t length;
    char text[64]; /* What was read so far. */
    size_t text_length;
};

static void nothing(void *userdata) { (void)userdata; }

static kolk_stream *stream_of(struct fixture *f, kolk_future *connecting) {
    void *result = NULL;
    drive_until(f, connecting);
    if (kolk_future_result(connecting, &result) != 0)
        fail_msg("%s", kolk_error_message(kolk_future_error(connecting)));
    kolk_stream *stream = kolk_stream_ref(result);
    kolk_future_unref(connecting);
    return stream;
}

static struct link open_link_with(struct fixture *f, const kolk_connect_options *options) {
    struct link link = {.f = f};
    kolk_future *connecting = NULL;
    link.listener = listen_on_loopback(4, 16, &link.port);
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", link.port, options, &connecting), 0);
    link.stream = stream_of(f, connecting);
    link.peer = accept_one(link.listener);
    return link;
}

static struct link open_link(struct fixture *f) { return open_link_with(f, NULL); }

static void close_link(struct link *link) {
    kolk_stream_close(link->stream);
    kolk_stream_unref(link->stream);
    if (link->peer >= 0)
        close(link->peer);
    close(link->listener);
}

static void peer_writes(struct link *link, const char *text) {
    assert_int_equal(write(link->peer, text, strlen(text)), strlen(text));
}

static void peer_closes(struct link *link) {
    close(link->peer);
    link->peer = -1;
}

static void peer_resets(struct link *link) {
    close_with_reset(link->peer);
    link->peer = -1;
}

static void record_bytes(struct link *link, const char *what, int64_t n, const void *data) {
    if (n < 0)
        record(link->f, "%s=%s", what, kolk_status_name((int)n));
    else
        record(link->f, "%s(%.*s)", what, (int)n, (const char *)data);
}

static int read_once(void *userdata, void **ret_result) {
    struct link *link = userdata;
    char buffer[64];
    (void)ret_result;
    record_bytes(link, "read", kolk_stream_read(link->stream, buffer, sizeof buffer), buffer);
    return 0;
}

static int read_until_once(void *userdata, void **ret_result) {
    struct link *link = userdata;
    const void *data = NULL;
    (void)ret_result;
    int64_t n = kolk_stream_read_until(link->stream, link->separator, strlen(link->separator), &data);
    record_bytes(link, "until", n, data);
    return 0;
}

static int write_all(void *userdata, void **ret_result) {
    struct link *link = userdata;
    (void)ret_result;
    int status = kolk_stream_write(link->stream, link->data, link->length);
    record(link->f, "write=%s", kolk_status_name(status));
    return 0;
}

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

/* ---- Connecting ---- */

/* A stream knows its peer and has a descriptor. */
static void a_connection_knows_its_peer(void **state) {
    struct fixture *f = *state;
    struct link link = open_link(f);
    char name[64], expected[64], tiny[4] = {'x', 'x', 'x', 'x'};
    snprintf(expected, sizeof expected, "127.0.0.1 port %d", link.port);
    assert_int_equal(kolk_stream_peer_name(link.stream, name, sizeof name), strlen(expected));
    assert_string_equal(name, expected);
    assert_int_equal(kolk_stream_peer_name(link.stream, tiny, sizeof tiny), KOLK_ELIMIT);
    assert_true(memchr(tiny, '\0', sizeof tiny) != NULL);
    assert_true(kolk_stream_fd(link.stream) >= 0);
    assert_null(kolk_stream_error(link.stream));
    close_link(&link);
}

struct attempt {
    struct fixture *f;
    const char *host;
    uint16_t port;
    const kolk_connect_options *options;
    kolk_stream *stream;
    kolk_error *error;
};

static int connect_in_task(void *userdata, void **ret_result) {
    struct attempt *a = userdata;
    (void)ret_result;
    int status = kolk_open_connection(a->host, a->port, a->options, &a->stream, &a->error);
    if (a->f)
        record(a->f, "%s", kolk_status_name(status));
    return status;
}

/* Names are resolved, and off the loop's thread. */
static void a_name_is_resolved_on_another_thread(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 4, &port);
    kolk_connect_options only4 = {.size = sizeof only4, .family = 4};
    struct attempt a = {.f = f, .host = "localhost", .port = port, .options = &only4};
    int before = __atomic_load_n(&names_resolved, __ATOMIC_ACQUIRE);
    assert_int_equal(run_task(f, connect_in_task, &a), 0);
    assert_true(__atomic_load_n(&names_resolved, __ATOMIC_ACQUIRE) > before);
    assert_true(__atomic_load_n(&resolved_on, __ATOMIC_ACQUIRE) != (uintptr_t)pthread_self());
    kolk_stream_unref(a.stream);
    close(listener);
}

/* IPv6 works where the machine has it; where not, that is what the error says. */
static void ipv6_works_where_there_is_any(void **state) {
    struct fixture *f = *state;
    if (!has_ipv6()) {
        struct attempt a = {.f = f, .host = "::1", .port = 9};
        int status = run_task(f, connect_in_task, &a);
        assert_true(status == KOLK_EADDRNOTAVAIL || status == KOLK_EUNREACH || status == KOLK_ENOTSUP);
        assert_non_null(strstr(kolk_error_message(a.error), "::1"));
        kolk_error_unref(a.error);
        return;
    }
    uint16_t port;
    int listener = listen_on_loopback(6, 4, &port);
    struct attempt a = {.f = f, .host = "::1", .port = port};
    char name[64], expected[64];
    snprintf(expected, sizeof expected, "::1 port %d", port);
    assert_int_equal(run_task(f, connect_in_task, &a), 0);
    assert_true(kolk_stream_peer_name(a.stream, name, sizeof name) > 0);
    assert_string_equal(name, expected);
    kolk_stream_unref(a.stream);
    close(listener);
}

/* Of several addresses the first that answers is taken. */
static void the_first_address_that_answers_is_taken(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 4, &port);
    kolk_connect_options only4 = {.size = sizeof only4, .family = 4};
    struct attempt a = {.f = f, .host = "two.test", .port = port, .options = &only4};
    char name[64];
    assert_int_equal(run_task(f, connect_in_task, &a), 0);
    assert_true(kolk_stream_peer_name(a.stream, name, sizeof name) > 0);
    assert_memory_equal(name, "127.0.0.1 ", 10);
    assert_null(a.error);
    kolk_stream_unref(a.stream);
    close(listener);
}

/* Connects, both as a task and as a future, and asserts status and what the reason says. */
static void assert_refused(struct fixture *f, struct attempt a, int expected, const char *const *words) {
    char port[16];
    snprintf(port, sizeof port, "%d", a.port);
    assert_int_equal(run_task(f, connect_in_task, &a), expected);
    assert_null(a.stream);
    assert_non_null(a.error);
    assert_int_equal(kolk_error_status(a.error), expected);
    kolk_future *future = NULL;
    assert_int_equal(kolk_open_connection_async(f->loop, a.host, a.port, a.options, &future), 0);
    drive_until(f, future);
    assert_int_equal(kolk_future_result(future, NULL), expected);
    const char *const messages[] = {kolk_error_message(a.error), kolk_error_message(kolk_future_error(future))};
    for (size_t i = 0; i < COUNT(messages); i++) {
        if (!strstr(messages[i], a.host) || !strstr(messages[i], port))
            fail_msg("\"%s\" does not name %s and %s", messages[i], a.host, port);
        for (const char *const *w = words; w && *w; w++)
            if (!strstr(messages[i], *w))
                fail_msg("\"%s\" does not say \"%s\"", messages[i], *w);
    }
    kolk_error_unref(a.error);
    kolk_future_unref(future);
}

/* Where nobody listens: refused, with host, port and the system's errno. */
static void nobody_listening_is_refused(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int reserved = reserve_port(&port);
    assert_refused(f, (struct attempt){.host = "127.0.0.1", .port = port}, KOLK_EREFUSED, NULL);
    struct attempt a = {.host = "127.0.0.1", .port = port};
    assert_int_equal(run_task(f, connect_in_task, &a), KOLK_EREFUSED);
    assert_int_equal(kolk_error_os(a.error), ECONNREFUSED);
    kolk_error_unref(a.error);
    close(reserved);
}

/* The system says only once why: who asks later, as a forked child may, still learns that there is no connection. */
static void a_refusal_another_process_was_told_of_is_one(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int reserved = reserve_port(&port);
    asked_by_another = 1;
    struct attempt a = {.f = f, .host = "127.0.0.1", .port = port};
    int status = run_task(f, connect_in_task, &a);
    asked_by_another = 0;
    assert_int_equal(status, KOLK_EIO);
    assert_null(a.stream);
    assert_int_equal(kolk_error_os(a.error), ENOTCONN);
    kolk_error_unref(a.error);
    close(reserved);
}

/* A name that does not exist. */
static void an_unknown_name_is_not_found(void **state) {
    struct fixture *f = *state;
    assert_refused(f, (struct attempt){.host = "no-such-host.invalid", .port = 81}, KOLK_ENONAME, NULL);
}

/* An address to which there is no way. */
static void an_address_without_a_route_is_unreachable(void **state) {
    struct fixture *f = *state;
    assert_refused(f, (struct attempt){.host = "255.255.255.255", .port = 81}, KOLK_EUNREACH, NULL);
}

/* One that does not answer, with a limit: its queue of connections is full, so the kernel drops ours. */
static void one_that_does_not_answer_times_out(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 0, &port);
    int first = connect_to_loopback(4, port);
    assert_true(first >= 0);
    kolk_connect_options options = {.size = sizeof options, .timeout_ns = 60 * MS};
    int64_t before = kolk_loop_time(f->loop);
    assert_refused(f, (struct attempt){.host = "127.0.0.1", .port = port, .options = &options}, KOLK_ETIMEDOUT, NULL);
    assert_true(kolk_loop_time(f->loop) - before >= 120 * MS);
    close(first);
    close(listener);
}

/* Who has no time left, as a deadline that has passed leaves it, is not given all the time there is. */
static void a_limit_below_zero_is_over(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 0, &port);
    int first = connect_to_loopback(4, port);
    kolk_connect_options options = {.size = sizeof options, .timeout_ns = -1};
    assert_refused(f, (struct attempt){.host = "127.0.0.1", .port = port, .options = &options}, KOLK_ETIMEDOUT, NULL);
    close(first);
    close(listener);
}

static int connect_in_child(void *userdata, void **ret_result) {
    struct attempt *a = userdata;
    (void)ret_result;
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(kolk_open_connection(a->host, a->port, NULL, &a->stream, NULL) == KOLK_EFORKED ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    record(a->f, "%d", status);
    return 0;
}

/* In a forked child the loop is the parent's, and so is what it watches. */
static void a_forked_child_cannot_connect(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 1, &port);
    struct attempt a = {.f = f, .host = "127.0.0.1", .port = port};
    assert_int_equal(run_task(f, connect_in_child, &a), 0);
    assert_record(f, "0");
    close(listener);
}

/* The limit counts for resolving as well. */
static void a_slow_name_times_out(void **state) {
    struct fixture *f = *state;
    kolk_connect_options options = {.size = sizeof options, .timeout_ns = 20 * MS};
    assert_refused(f, (struct attempt){.host = "slow.test", .port = 81, .options = &options}, KOLK_ETIMEDOUT, NULL);
}

/* A resolver that fails is told apart from a name that does not exist, and its own words are the cause. */
static void a_resolver_that_fails_says_how(void **state) {
    struct fixture *f = *state;
    const struct {
        const char *host;
        int expected, code, os;
    } cases[] = {{"no-such-host.invalid", KOLK_ENONAME, EAI_NONAME, 0},
                 {"no-server.test", KOLK_EUNREACH, EAI_AGAIN, 0},
                 {"no-answer.test", KOLK_EIO, EAI_FAIL, 0},
                 {"no-memory.test", KOLK_ENOMEM, EAI_MEMORY, 0},
                 {"no-descriptor.test", KOLK_EMFILE, EAI_SYSTEM, EMFILE},
                 {"no-file.test", KOLK_EIO, EAI_SYSTEM, ENOENT}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct attempt a = {.host = cases[i].host, .port = 81};
        char expected[128];
        snprintf(expected, sizeof expected, "look up %s: %s", a.host, gai_strerror(cases[i].code));
        assert_int_equal(run_task(f, connect_in_task, &a), cases[i].expected);
        kolk_error *cause = kolk_error_cause(a.error);
        assert_string_equal(kolk_error_message(cause), expected);
        assert_int_equal(kolk_error_os(cause), cases[i].os);
        assert_int_equal(kolk_error_os(a.error), cases[i].os);
        kolk_error_unref(a.error);
    }
}

struct ticker {
    struct fixture *f;
    int ticks;
    int stop;
};

static void tick(void *userdata) {
    struct ticker *ticker = userdata;
    ticker->ticks++;
    if (!ticker->stop)
        kolk_loop_call_later(ticker->f->loop, 5 * MS, tick, ticker, NULL, NULL);
}

/* While a name takes long to resolve, the loop goes on with everything else. */
static void the_loop_goes_on_while_a_name_is_resolved(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 4, &port);
    struct ticker ticker = {.f = f};
    struct attempt a = {.f = f, .host = "slow.test", .port = port};
    kolk_task *task = spawn_with(f, connect_in_task, &a);
    tick(&ticker);
    drive_until(f, kolk_task_as_future(task));
    ticker.stop = 1;
    assert_int_equal(join(f, task), 0);
    assert_true(ticker.ticks >= 5);
    drive_during(f, 8 * MS);
    kolk_stream_unref(a.stream);
    close(listener);
}

/* A connection can be cancelled while it resolves and while it connects. */
static void connecting_can_be_cancelled(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 0, &port);
    int first = connect_to_loopback(4, port);
    struct attempt attempts[] = {{.f = f, .host = "slow.test", .port = port}, {.f = f, .host = "127.0.0.1", .port = port}};
    for (size_t i = 0; i < COUNT(attempts); i++) {
        kolk_task *task = spawn_with(f, connect_in_task, &attempts[i]);
        kolk_future *future = NULL;
        assert_int_equal(kolk_open_connection_async(f->loop, attempts[i].host, port, NULL, &future), 0);
        drive_during(f, 5 * MS);
        assert_int_equal(kolk_task_cancel(task), 1);
        assert_int_equal(kolk_future_cancel(future), 1);
        assert_int_equal(join(f, task), KOLK_ECANCELED);
        drive_until(f, future);
        assert_int_equal(kolk_future_result(future, NULL), KOLK_ECANCELED);
        kolk_future_unref(future);
        kolk_error_unref(attempts[i].error);
        assert_null(attempts[i].stream);
    }
    assert_record(f, "KOLK_ECANCELED KOLK_ECANCELED");
    close(first);
    close(listener);
}

static void cancel_task(void *task) { kolk_task_cancel(task); }

/* Runs the task until it waits for a name, and returns when the addresses have come, of which it has not heard. */
static void ask_for_a_name(struct fixture *f) {
    kolk_plan plan = {.ready = 0};
    drive_once(f);
    for (int i = 0; i < 5000 && !plan.ready; i++) {
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
        assert_int_equal(kolk_loop_prepare(f->loop, &plan), 0);
    }
    assert_int_equal(plan.ready, 1);
}

/* A task can be cancelled when the addresses have come and it has not yet got to them. */
static void a_task_can_be_cancelled_before_it_hears_of_the_answer(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int reserved = reserve_port(&port);
    struct attempt a = {.f = f, .host = "localhost", .port = port};
    kolk_task *task = spawn_with(f, connect_in_task, &a);
    ask_for_a_name(f);
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_task, task, NULL, NULL), 0);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "KOLK_ECANCELED");
    kolk_error_unref(a.error);
    close(reserved);
}

/* So can one that was cancelled before they came, and has not yet got to that. */
static void a_task_can_be_cancelled_again_when_the_answer_has_come(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int reserved = reserve_port(&port);
    struct attempt a = {.f = f, .host = "localhost", .port = port};
    kolk_task *task = spawn_with(f, connect_in_task, &a);
    ask_for_a_name(f);
    /* The next turn takes the answer in before it comes to either of these. */
    assert_int_equal(kolk_loop_call_soon(f->loop, cancel_task, task, NULL, NULL), 0);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "KOLK_ECANCELED");
    kolk_error_unref(a.error);
    close(reserved);
}

/* A loop may be closed while names are being resolved and connections made. */
static void a_loop_may_be_closed_while_connecting(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 0, &port);
    int first = connect_to_loopback(4, port);
    struct attempt slow = {.f = f, .host = "slow.test", .port = port}, full = {.f = f, .host = "127.0.0.1", .port = port};
    kolk_future *future = NULL;
    assert_int_equal(kolk_create_task(f->loop, connect_in_task, &slow, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_create_task(f->loop, connect_in_task, &full, NULL, NULL, NULL), 0);
    assert_int_equal(kolk_open_connection_async(f->loop, "slow.test", port, NULL, &future), 0);
    drive_during(f, 5 * MS);
    assert_int_equal(kolk_loop_close(f->loop), 0);
    assert_record(f, "KOLK_ECANCELED KOLK_ECANCELED");
    kolk_error_unref(slow.error);
    kolk_error_unref(full.error);
    kolk_future_unref(future);
    close(first);
    close(listener);
}

/* The last reference closes the loop also while a name is being resolved for it. */
static void a_loop_may_be_dropped_while_resolving(void **state) {
    struct fixture *f = *state;
    kolk_future *future = NULL;
    int destroyed = 0;
    assert_int_equal(kolk_loop_call_later(f->loop, 1000 * SECOND, nothing, &destroyed, count_destroy, NULL), 0);
    assert_int_equal(kolk_open_connection_async(f->loop, "slow.test", 81, NULL, &future), 0);
    drive_during(f, 5 * MS);
    kolk_future_unref(future);
    f->loop = kolk_loop_unref(f->loop);
    assert_int_equal(destroyed, 1);
}

/* What cannot be an address is refused before anything is tried. */
static void what_cannot_be_connected_to_is_refused(void **state) {
    struct fixture *f = *state;
    char long_name[300];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 50; i < sizeof long_name - 1; i += 50)
        long_name[i] = '.';
    kolk_connect_options family = {.size = sizeof family, .family = 5}, size = {.size = 2};
    const struct attempt attempts[] = {{.host = NULL, .port = 80},
                                       {.host = "", .port = 80},
                                       {.host = "127.0.0.1", .port = 0},
                                       {.host = long_name, .port = 80},
                                       {.host = "127.0.0.1", .port = 80, .options = &family},
                                       {.host = "127.0.0.1", .port = 80, .options = &size}};
    for (size_t i = 0; i < COUNT(attempts); i++) {
        struct attempt a = attempts[i];
        kolk_future *future = NULL;
        int status = run_task(f, connect_in_task, &a);
        kolk_error_unref(a.error);
        if (status != KOLK_EINVAL)
            fail_msg("attempt %zu: %s", i, kolk_status_name(status));
        assert_int_equal(kolk_open_connection_async(f->loop, a.host, a.port, a.options, &future), KOLK_EINVAL);
        assert_null(future);
    }
    kolk_stream *stream = NULL;
    assert_int_equal(kolk_open_connection("127.0.0.1", 80, NULL, &stream, NULL), KOLK_ENOTASK);
    assert_null(stream);
}

/* An address can be limited to one IP version. */
static void an_address_of_the_other_version_is_not_found(void **state) {
    struct fixture *f = *state;
    kolk_connect_options only6 = {.size = sizeof only6, .family = 6};
    struct attempt a = {.host = "127.0.0.1", .port = 80, .options = &only6};
    int status = run_task(f, connect_in_task, &a);
    assert_int_equal(status, KOLK_ENONAME);
    kolk_error_unref(a.error);
}

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

static void read_until(struct link *link, const char *separator) {
    link->separator = separator;
    assert_int_equal(run_task(link->f, read_until_once, link), 0);
}

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

/* ---- Writing ---- */

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

/* A connection whose future is dropped without anybody having taken the stream is closed. */
static void a_connection_nobody_wants_is_closed(void **state) {
    struct fixture *f = *state;
    uint16_t port;
    int listener = listen_on_loopback(4, 4, &port);
    kolk_future *future = NULL;
    assert_int_equal(kolk_open_connection_async(f->loop, "127.0.0.1", port, NULL, &future), 0);
    drive_until(f, future);
    kolk_future_unref(future);
    int peer = accept_one(listener);
    size_t total = 0;
    drive_during(f, MS);
    assert_int_equal(drain_socket(peer, &total), 1);
    close(peer);
    close(listener);
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
        RULE(a_connection_knows_its_peer),
        RULE(a_name_is_resolved_on_another_thread),
        RULE(ipv6_works_where_there_is_any),
        RULE(the_first_address_that_answers_is_taken),
        RULE(nobody_listening_is_refused),
        RULE(a_refusal_another_process_was_told_of_is_one),
        RULE(an_unknown_name_is_not_found),
        RULE(an_address_without_a_route_is_unreachable),
        RULE(one_that_does_not_answer_times_out),
        RULE(a_limit_below_zero_is_over),
        RULE(a_forked_child_cannot_connect),
        RULE(a_slow_name_times_out),
        RULE(a_resolver_that_fails_says_how),
        RULE(the_loop_goes_on_while_a_name_is_resolved),
        RULE(connecting_can_be_cancelled),
        RULE(a_task_can_be_cancelled_before_it_hears_of_the_answer),
        RULE(a_task_can_be_cancelled_again_when_the_answer_has_come),
        RULE(a_loop_may_be_closed_while_connecting),
        RULE(a_loop_may_be_dropped_while_resolving),
        RULE(what_cannot_be_connected_to_is_refused),
        RULE(an_address_of_the_other_version_is_not_found),
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
        RULE(a_connection_nobody_wants_is_closed),
        RULE(closing_the_loop_closes_its_streams),
        RULE(the_descriptor_of_a_stream_is_its_own),
        RULE(what_makes_no_sense_is_refused),
    };
    return run_matrix("stream", rules, COUNT(rules));
}
