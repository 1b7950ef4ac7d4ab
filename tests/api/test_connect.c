/* TCP connections that tasks and futures make: by address and by name, and how each way of failing is told. */
#include "support/callbacks.h"
#include "support/links.h"
#include "support/network.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
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
        RULE(a_connection_nobody_wants_is_closed),
    };
    return run_matrix("connect", rules, COUNT(rules));
}
