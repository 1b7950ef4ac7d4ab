/* The selector: who watches what, and what is ready. Every rule on every reactor. */
#define _GNU_SOURCE
#include "../support/driver.h"
#include "../support/failing_allocator.h"
#include "../support/resources.h"

#include <kolk/registry.h>
#include <kolk/selector.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE (5 * SECOND)

enum { MOST = 64, REACTORS = 8 };

struct selecting {
    const char *reactor;
    kolk_selector *selector;
    int pair[2];
    int opened[MOST], opened_count;
    kolk_selector_key ready[MOST];
    pthread_t thread;
    int thread_started;
    int fds;
};

static struct selecting the_one;

/* What keys carry: any address will do. */
static char apple[1], pear[1];

static int set_up(void **state) {
    struct selecting *s = &the_one;
    memset(s, 0, sizeof *s);
    s->reactor = *state;
    s->fds = open_fds();
    *state = s;
    kolk_error *error = NULL;
    if (kolk_selector_new(s->reactor, &s->selector, &error) < 0) {
        print_error("%s\n", kolk_error_message(error));
        kolk_error_unref(error);
        return -1;
    }
    open_pair(s->pair);
    return 0;
}

static int tear_down(void **state) {
    struct selecting *s = *state;
    if (s->thread_started)
        pthread_join(s->thread, NULL);
    kolk_selector_destroy(s->selector);
    close_pair(s->pair);
    for (int i = 0; i < s->opened_count; i++)
        if (s->opened[i] >= 0)
            close(s->opened[i]);
    int leaked = open_fds() - s->fds;
    if (leaked)
        print_error("%d descriptors were left open\n", leaked);
    return leaked ? -1 : 0;
}

static int keep(struct selecting *s, int fd) {
    assert_true(fd >= 0 && s->opened_count < MOST);
    return s->opened[s->opened_count++] = fd;
}

/* A descriptor that is readable and stays so. */
static int open_ready(struct selecting *s) { return keep(s, eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)); }

static void feed(int fd) { assert_int_equal(write(fd, "x", 1), 1); }

static int selects(struct selecting *s, int64_t timeout_ns) {
    return kolk_selector_select(s->selector, timeout_ns, s->ready, MOST);
}

static void assert_ready(struct selecting *s, int fd, uint32_t events, void *data) {
    assert_int_equal(selects(s, PATIENCE), 1);
    assert_int_equal(s->ready[0].fd, fd);
    assert_int_equal(s->ready[0].events, events);
    assert_ptr_equal(s->ready[0].data, data);
}

static int add(struct selecting *s, int fd, uint32_t events, void *data) {
    return kolk_selector_register(s->selector, fd, events, data);
}

/* ---- Registering ---- */

/* What is registered is reported when it is ready, with the pointer it was registered with. */
static void a_registered_descriptor_is_reported(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    assert_int_equal(selects(s, 0), 0);
    feed(s->pair[1]);
    assert_ready(s, s->pair[0], KOLK_EVENT_READ, apple);
}

/* A key tells what it is ready for, of what it was registered for. */
static void a_key_tells_what_it_is_ready_for(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ | KOLK_EVENT_WRITE, apple), 0);
    assert_ready(s, s->pair[0], KOLK_EVENT_WRITE, apple);
    feed(s->pair[1]);
    assert_ready(s, s->pair[0], KOLK_EVENT_READ | KOLK_EVENT_WRITE, apple);
}

/* What is not read is reported again. */
static void readiness_is_a_level(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    feed(s->pair[1]);
    for (int i = 0; i < 3; i++)
        assert_ready(s, s->pair[0], KOLK_EVENT_READ, apple);
}

/* A descriptor can be registered once. */
static void a_second_registration_is_refused(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_WRITE, pear), KOLK_EEXIST);
    assert_int_equal(kolk_selector_count(s->selector), 1);
    feed(s->pair[1]);
    assert_ready(s, s->pair[0], KOLK_EVENT_READ, apple);
}

/* Only reading and writing can be asked for, and not nothing. */
static void other_events_are_refused(void **state) {
    struct selecting *s = *state;
    const uint32_t events[] = {0, KOLK_EVENT_EDGE, KOLK_EVENT_READ | KOLK_EVENT_EDGE, KOLK_EVENT_HANGUP, 1u << 31};
    assert_int_equal(add(s, s->pair[1], KOLK_EVENT_READ, apple), 0);
    for (size_t i = 0; i < COUNT(events); i++) {
        assert_int_equal(add(s, s->pair[0], events[i], apple), KOLK_EINVAL);
        assert_int_equal(kolk_selector_modify(s->selector, s->pair[1], events[i], apple), KOLK_EINVAL);
    }
    assert_int_equal(kolk_selector_count(s->selector), 1);
}

/* A number that is not open is no descriptor. */
static void a_closed_descriptor_is_refused(void **state) {
    struct selecting *s = *state;
    int fd = eventfd(0, EFD_CLOEXEC);
    close(fd);
    assert_int_equal(add(s, fd, KOLK_EVENT_READ, apple), KOLK_EBADF);
    assert_int_equal(add(s, -1, KOLK_EVENT_READ, apple), KOLK_EBADF);
    assert_int_equal(kolk_selector_count(s->selector), 0);
}

/* Files and directories are always ready: there is nothing to wait for, with any reactor. */
static void files_and_directories_are_refused(void **state) {
    struct selecting *s = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int copy = keep(s, fcntl(fileno(file), F_DUPFD_CLOEXEC, 0));
    fclose(file);
    assert_int_equal(add(s, copy, KOLK_EVENT_READ, apple), KOLK_ENOTSUP);
    assert_int_equal(add(s, keep(s, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), KOLK_EVENT_READ, apple), KOLK_ENOTSUP);
    assert_int_equal(selects(s, 0), 0);
}

/* A number beyond what the reactor can watch is refused as such; the others watch it like any other. */
static void a_high_descriptor_is_watched_or_refused(void **state) {
    struct selecting *s = *state;
    struct rlimit before, raised;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
    raised = (struct rlimit){before.rlim_max, before.rlim_max};
    assert_return_code(setrlimit(RLIMIT_NOFILE, &raised), errno);
    int high = keep(s, fcntl(open_ready(s), F_DUPFD_CLOEXEC, FD_SETSIZE + 500));
    assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
    if (strcmp(s->reactor, "select") == 0) {
        assert_int_equal(add(s, high, KOLK_EVENT_READ, apple), KOLK_ELIMIT);
        assert_int_equal(kolk_selector_count(s->selector), 0);
    } else {
        assert_int_equal(add(s, high, KOLK_EVENT_READ, apple), 0);
        assert_ready(s, high, KOLK_EVENT_READ, apple);
    }
}

/* ---- Changing and removing ---- */

/* Modifying replaces events and pointer. */
static void modifying_replaces_events_and_data(void **state) {
    struct selecting *s = *state;
    feed(s->pair[1]);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    assert_int_equal(kolk_selector_modify(s->selector, s->pair[0], KOLK_EVENT_WRITE, pear), 0);
    assert_ready(s, s->pair[0], KOLK_EVENT_WRITE, pear);
    assert_int_equal(kolk_selector_modify(s->selector, s->pair[0], KOLK_EVENT_WRITE, apple), 0);
    assert_ready(s, s->pair[0], KOLK_EVENT_WRITE, apple);
}

/* What is not registered can be neither modified nor unregistered. */
static void an_unknown_descriptor_is_not_found(void **state) {
    struct selecting *s = *state;
    const int unknown[] = {s->pair[0], -1, 1 << 20};
    kolk_selector_key key;
    assert_int_equal(kolk_selector_modify(s->selector, s->pair[0], KOLK_EVENT_READ, apple), KOLK_ENOENT);
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_int_equal(kolk_selector_unregister(s->selector, unknown[i]), KOLK_ENOENT);
        assert_int_equal(kolk_selector_get_key(s->selector, unknown[i], &key), KOLK_ENOENT);
    }
}

/* What was unregistered is not reported, and can be registered again. */
static void an_unregistered_descriptor_is_not_reported(void **state) {
    struct selecting *s = *state;
    feed(s->pair[1]);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    assert_int_equal(kolk_selector_unregister(s->selector, s->pair[0]), 0);
    assert_int_equal(selects(s, 0), 0);
    assert_int_equal(kolk_selector_unregister(s->selector, s->pair[0]), KOLK_ENOENT);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, pear), 0);
    assert_ready(s, s->pair[0], KOLK_EVENT_READ, pear);
}

/* A descriptor that was closed first can still be unregistered. */
static void a_closed_descriptor_can_be_unregistered(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    close(s->pair[0]);
    s->pair[0] = -1;
    kolk_selector_key key;
    assert_int_equal(kolk_selector_next(s->selector, -1, &key), 1);
    assert_int_equal(kolk_selector_unregister(s->selector, key.fd), 0);
    assert_int_equal(kolk_selector_count(s->selector), 0);
}

/* A number that went to another file belongs to its new registration: nothing of the old one comes back. */
static void a_reused_number_is_a_new_registration(void **state) {
    struct selecting *s = *state;
    int number = open_ready(s);
    assert_int_equal(add(s, number, KOLK_EVENT_READ, apple), 0);
    assert_ready(s, number, KOLK_EVENT_READ, apple);
    assert_int_equal(kolk_selector_unregister(s->selector, number), 0);
    assert_int_equal(dup2(s->pair[0], number), number);
    assert_int_equal(add(s, number, KOLK_EVENT_READ, pear), 0);
    assert_int_equal(selects(s, 0), 0);
    feed(s->pair[1]);
    assert_ready(s, number, KOLK_EVENT_READ, pear);
}

/* Closed behind the selector's back, a descriptor is reported once at most, so that its owner finds out, and never spins. */
static void a_descriptor_closed_behind_its_back_does_not_spin(void **state) {
    struct selecting *s = *state;
    int other = open_ready(s);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    close(s->pair[0]);
    s->pair[0] = -1;
    assert_in_range(selects(s, MS), 0, 1);
    for (int i = 0; i < 3; i++) {
        int64_t begun = now_ns();
        assert_int_equal(selects(s, 5 * MS), 0);
        assert_true(now_ns() - begun >= 5 * MS);
    }
    assert_int_equal(add(s, other, KOLK_EVENT_READ, pear), 0);
    assert_ready(s, other, KOLK_EVENT_READ, pear);
}

/* A peer that has gone makes its descriptor readable. */
static void a_closed_peer_is_readable(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    close(s->pair[1]);
    s->pair[1] = -1;
    assert_ready(s, s->pair[0], KOLK_EVENT_READ, apple);
}

/* ---- Selecting ---- */

/* With room for fewer than are ready, the rest comes next time. */
static void what_does_not_fit_comes_next_time(void **state) {
    struct selecting *s = *state;
    char items[10];
    unsigned seen = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(add(s, open_ready(s), KOLK_EVENT_READ, &items[i]), 0);
    for (int calls = 0; calls < 12; calls++) {
        int count = kolk_selector_select(s->selector, PATIENCE, s->ready, 3);
        assert_in_range(count, 1, 3);
        for (int i = 0; i < count; i++)
            seen |= 1u << ((char *)s->ready[i].data - items);
    }
    assert_int_equal(seen, 0x3ff);
}

/* One call reports each descriptor once, however many are ready. */
static void none_comes_twice_in_a_call(void **state) {
    struct selecting *s = *state;
    char items[40];
    uint64_t seen = 0;
    for (int i = 0; i < 40; i++)
        assert_int_equal(add(s, open_ready(s), KOLK_EVENT_READ, &items[i]), 0);
    for (int calls = 0; calls < 4; calls++) {
        uint64_t now_seen = 0;
        int count = selects(s, PATIENCE);
        assert_in_range(count, 1, 40);
        for (int i = 0; i < count; i++)
            now_seen |= UINT64_C(1) << ((char *)s->ready[i].data - items);
        assert_int_equal(__builtin_popcountll(now_seen), count);
        seen |= now_seen;
    }
    assert_int_equal(__builtin_popcountll(seen), 40);
}

/* A timeout is never early, also below a millisecond and with nothing registered. */
static void a_timeout_is_never_early(void **state) {
    struct selecting *s = *state;
    const int64_t timeouts[] = {1, 200001, MS + 1, 10 * MS};
    for (int registered = 0; registered < 2; registered++) {
        for (size_t i = 0; i < COUNT(timeouts); i++) {
            int64_t begun = now_ns();
            assert_int_equal(selects(s, timeouts[i]), 0);
            assert_true(now_ns() - begun >= timeouts[i] && now_ns() - begun < PATIENCE);
        }
        if (!registered)
            assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    }
}

static void *feed_later(void *userdata) {
    struct selecting *s = userdata;
    nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
    if (write(s->pair[1], "x", 1) != 1)
        abort();
    return NULL;
}

/* A negative timeout waits until something is ready. */
static void a_negative_timeout_waits(void **state) {
    struct selecting *s = *state;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    int64_t begun = now_ns();
    assert_int_equal(pthread_create(&s->thread, NULL, feed_later, s), 0);
    s->thread_started = 1;
    assert_int_equal(selects(s, -1), 1);
    assert_true(now_ns() - begun >= 20 * MS);
}

/* Two selectors may watch the same descriptor, and one of them may go. */
static void selectors_are_independent(void **state) {
    struct selecting *s = *state;
    kolk_selector *other = NULL;
    assert_int_equal(kolk_selector_new(s->reactor, &other, NULL), 0);
    int status = kolk_selector_register(other, s->pair[0], KOLK_EVENT_READ, pear);
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ, apple), 0);
    feed(s->pair[1]);
    int count = kolk_selector_select(other, PATIENCE, s->ready, MOST);
    void *data = s->ready[0].data;
    kolk_selector_destroy(other);
    assert_int_equal(status, 0);
    assert_int_equal(count, 1);
    assert_ptr_equal(data, pear);
    assert_ready(s, s->pair[0], KOLK_EVENT_READ, apple);
}

/* ---- Asking ---- */

/* A key is what was registered. */
static void a_key_is_what_was_registered(void **state) {
    struct selecting *s = *state;
    kolk_selector_key key;
    assert_int_equal(add(s, s->pair[0], KOLK_EVENT_READ | KOLK_EVENT_WRITE, apple), 0);
    assert_int_equal(kolk_selector_get_key(s->selector, s->pair[0], &key), 0);
    assert_int_equal(key.fd, s->pair[0]);
    assert_int_equal(key.events, KOLK_EVENT_READ | KOLK_EVENT_WRITE);
    assert_ptr_equal(key.data, apple);
}

/* Walking visits all registrations by number, also while they are unregistered and others are added behind. */
static void walking_visits_all_in_order(void **state) {
    struct selecting *s = *state;
    kolk_selector_key key = {-1, 0, NULL};
    int visited = 0, last = -1;
    for (int i = 0; i < 6; i++)
        assert_int_equal(add(s, open_ready(s), KOLK_EVENT_READ, apple), 0);
    assert_int_equal(kolk_selector_count(s->selector), 6);
    while (kolk_selector_next(s->selector, key.fd, &key) == 1) {
        assert_true(key.fd > last);
        last = key.fd;
        if (visited++ == 2)
            assert_int_equal(add(s, keep(s, fcntl(key.fd, F_DUPFD_CLOEXEC, 200)), KOLK_EVENT_READ, pear), 0);
        assert_int_equal(kolk_selector_unregister(s->selector, key.fd), 0);
    }
    assert_int_equal(visited, 7);
    assert_ptr_equal(key.data, pear);
    assert_int_equal(kolk_selector_count(s->selector), 0);
    assert_int_equal(kolk_selector_next(s->selector, -1, &key), 0);
}

/* A selector knows what it runs on. */
static void a_selector_knows_its_reactor(void **state) {
    struct selecting *s = *state;
    assert_string_equal(kolk_selector_reactor(s->selector), s->reactor);
}

/* Missing arguments are answered, not followed. */
static void missing_arguments_are_refused(void **state) {
    struct selecting *s = *state;
    kolk_selector_key key;
    assert_int_equal(kolk_selector_new(s->reactor, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_selector_register(NULL, s->pair[0], KOLK_EVENT_READ, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_selector_modify(NULL, s->pair[0], KOLK_EVENT_READ, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_selector_unregister(NULL, s->pair[0]), KOLK_EINVAL);
    assert_int_equal(kolk_selector_select(NULL, 0, s->ready, MOST), KOLK_EINVAL);
    assert_int_equal(kolk_selector_select(s->selector, 0, NULL, MOST), KOLK_EINVAL);
    assert_int_equal(kolk_selector_select(s->selector, 0, s->ready, 0), KOLK_EINVAL);
    assert_int_equal(kolk_selector_get_key(NULL, s->pair[0], &key), KOLK_EINVAL);
    assert_int_equal(kolk_selector_get_key(s->selector, s->pair[0], NULL), KOLK_EINVAL);
    assert_int_equal(kolk_selector_next(NULL, -1, &key), KOLK_EINVAL);
    assert_int_equal(kolk_selector_next(s->selector, -1, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_selector_count(NULL), 0);
    kolk_selector_destroy(NULL);
}

/* ---- When there is not enough ---- */

/* Whichever allocation fails, making a selector and registering say so, lose nothing, and work when tried again. */
static void failed_allocations_are_reported(void **state) {
    struct selecting *s = *state;
    struct failing_allocator memory;
    failing_allocator_init(&memory);
    int status = KOLK_ENOMEM, fd = open_ready(s), mistaken = 0;
    size_t n = 0;
    assert_int_equal(kolk_set_default_allocator(&memory.hook), 0);
    while (status == KOLK_ENOMEM && n < 100) {
        kolk_selector *made = NULL;
        failing_allocator_arm(&memory, ++n, 0);
        status = kolk_selector_new(s->reactor, &made, NULL);
        if (status == 0) {
            status = kolk_selector_register(made, fd, KOLK_EVENT_READ, apple);
            failing_allocator_disarm(&memory);
            if (status == KOLK_ENOMEM) /* nothing is half registered */
                mistaken += kolk_selector_count(made) != 0 || kolk_selector_register(made, fd, KOLK_EVENT_READ, apple) != 0;
            mistaken += kolk_selector_select(made, 0, s->ready, MOST) != 1;
        }
        failing_allocator_disarm(&memory);
        kolk_selector_destroy(made);
        mistaken += failing_allocator_live_blocks(&memory) != 0;
    }
    kolk_set_default_allocator(NULL);
    assert_int_equal(status, 0);
    assert_int_equal(mistaken, 0);
    assert_int_equal(failing_allocator_mistakes(&memory), 0);
    assert_true(n > 2);
}

/* Without descriptors a selector that needs one says so. */
static void a_lack_of_descriptors_is_reported(void **state) {
    struct selecting *s = *state;
    struct rlimit before, none;
    kolk_selector *made = NULL;
    kolk_error *error = NULL;
    assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
    none = (struct rlimit){0, before.rlim_max};
    assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
    int status = kolk_selector_new(s->reactor, &made, &error);
    setrlimit(RLIMIT_NOFILE, &before);
    int described = kolk_error_status(error);
    kolk_error_unref(error);
    kolk_selector_destroy(made);
    int needs_one = strcmp(s->reactor, "epoll") == 0 || strcmp(s->reactor, "libevent") == 0;
    assert_int_equal(status, needs_one ? KOLK_EMFILE : 0);
    assert_int_equal(described, status);
}

/* ---- Names: no reactor in particular ---- */

/* A reactor that there is none of is refused by name. */
static void an_unknown_reactor_is_refused(void **state) {
    (void)state;
    kolk_selector *made = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_selector_new("kqueue", &made, &error), KOLK_ENOENT);
    int named = strstr(kolk_error_message(error), "'kqueue'") != NULL;
    kolk_error_unref(error);
    assert_true(named);
    assert_null(made);
    assert_int_equal(kolk_selector_new("../poll", &made, NULL), KOLK_EINVAL);
}

/* Without a name it is the first of those that can be opened. */
static void the_default_is_the_first_name(void **state) {
    (void)state;
    kolk_selector *made = NULL;
    const char *first = NULL;
    char *chosen = getenv("KOLK_REACTOR") ? strdup(getenv("KOLK_REACTOR")) : NULL;
    unsetenv("KOLK_REACTOR");
    assert_true(kolk_reactor_names(&first, 1) >= 1);
    assert_int_equal(kolk_selector_new(NULL, &made, NULL), 0);
    int same = strcmp(kolk_selector_reactor(made), first) == 0;
    kolk_selector_destroy(made);
    if (chosen)
        setenv("KOLK_REACTOR", chosen, 1);
    free(chosen);
    assert_true(same);
}

static const struct rule rules[] = {
    RULE(a_registered_descriptor_is_reported),
    RULE(a_key_tells_what_it_is_ready_for),
    RULE(readiness_is_a_level),
    RULE(a_second_registration_is_refused),
    RULE(other_events_are_refused),
    RULE(a_closed_descriptor_is_refused),
    RULE(files_and_directories_are_refused),
    RULE(a_high_descriptor_is_watched_or_refused),
    RULE(modifying_replaces_events_and_data),
    RULE(an_unknown_descriptor_is_not_found),
    RULE(an_unregistered_descriptor_is_not_reported),
    RULE(a_closed_descriptor_can_be_unregistered),
    RULE(a_reused_number_is_a_new_registration),
    RULE_IN_REAL_TIME(a_descriptor_closed_behind_its_back_does_not_spin),
    RULE(a_closed_peer_is_readable),
    RULE(what_does_not_fit_comes_next_time),
    RULE(none_comes_twice_in_a_call),
    RULE_IN_REAL_TIME(a_timeout_is_never_early),
    RULE(a_negative_timeout_waits),
    RULE(selectors_are_independent),
    RULE(a_key_is_what_was_registered),
    RULE(walking_visits_all_in_order),
    RULE(a_selector_knows_its_reactor),
    RULE(missing_arguments_are_refused),
    RULE(failed_allocations_are_reported),
    RULE(a_lack_of_descriptors_is_reported),
};
static const struct rule bare[] = {
    RULE(an_unknown_reactor_is_refused),
    RULE(the_default_is_the_first_name),
};

static void skip_rule(void **state) {
    (void)state;
    skip();
}

int main(int argc, char **argv) {
    static const char *reactors[REACTORS];
    static struct CMUnitTest tests[REACTORS * COUNT(rules)];
    static char names[REACTORS * COUNT(rules)][96];
    select_tests(argc, argv);
    size_t count = reactors_under_test(reactors, REACTORS), made = 0;
    for (size_t i = 0; i < count; i++) {
        const kolk_reactor_ops *ops = reactor_under_test(reactors[i]), *found;
        /* A selector is asked for by name, and a module that is not installed has none until it is registered. */
        if (!ops || (kolk_reactor_find(reactors[i], &found, NULL) < 0 && kolk_reactor_register(ops, NULL) < 0))
            return 1;
        for (size_t j = 0; j < COUNT(rules); j++, made++) {
            int out = rules[j].real_time && ops->caps & KOLK_REACTOR_CLOCK;
            snprintf(names[made], sizeof names[made], "%s: %s%s", reactors[i], rules[j].name, out ? " (real time only)" : "");
            tests[made] =
                (struct CMUnitTest){names[made], out ? skip_rule : rules[j].check, set_up, tear_down, (void *)reactors[i]};
        }
    }
    return _cmocka_run_group_tests("selector", tests, made, NULL, NULL) + run_bare("making selectors", bare, COUNT(bare));
}
