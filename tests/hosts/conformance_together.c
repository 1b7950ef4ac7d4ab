/* All ways on all reactors, side by side in one host: what takes a second is done once, and guests do not mind each other. */
#include "conformance.h"

#include "support/resources.h"

#include <sys/resource.h>
#include <sys/select.h>

enum { MANY_STAYS = 16, CONNECTIONS = 1000 };

struct house {
    struct visit *v;
    struct stay stays[MANY_STAYS];
    const char *reactors[MANY_STAYS];
    int count;
    int refused;
    int early;
    uint32_t without; /* Bits 1 << KOLK_GUEST_…: ways that stay outside. */
};

static void move_in(void *context, uint32_t way, const kolk_reactor_ops *ops) {
    struct house *house = context;
    if (house->without & 1u << way || house->count == MANY_STAYS)
        return;
    kolk_guest_options options = {.size = sizeof options, .way = way};
    kolk_loop *loop = make_loop(house->v, ops, way);
    struct stay *stay = &house->stays[house->count];
    house->reactors[house->count] = ops->name;
    if (!loop || begin_stay(house->v, stay, loop, &options) != 0)
        house->refused++;
    stay->visit = house->v;
    house->count++;
}

static void fill_house(struct house *house, struct visit *v, uint32_t without) {
    *house = (struct house){.v = v, .without = without};
    for_each_stay(v->host, move_in, house);
    assert_int_equal(house->refused, 0);
}

static void empty_house(struct house *house) {
    for (int i = 0; i < house->count; i++) {
        end_stay(&house->stays[i]);
        assert_int_equal(kolk_loop_close(house->stays[i].loop), 0);
        kolk_loop_unref(house->stays[i].loop);
    }
}

struct bedtime {
    struct house *house;
    int64_t due;
};

static void wake_up(void *userdata) {
    struct bedtime *bedtime = userdata;
    bedtime->house->early += now_ns() < bedtime->due;
    arrive(bedtime->house->v);
}

static void sleep_in_all_rooms(struct house *house, int64_t duration_ns) {
    struct bedtime bedtimes[MANY_STAYS];
    for (int i = 0; i < house->count; i++) {
        bedtimes[i] = (struct bedtime){.house = house, .due = now_ns() + duration_ns};
        assert_int_equal(kolk_loop_call_later(house->stays[i].loop, duration_ns, wake_up, &bedtimes[i], NULL, NULL), 0);
    }
    run_until(house->v, house->count);
    assert_int_equal(house->early, 0);
}

static void long_timers_are_never_early(void **state) {
    struct house house;
    fill_house(&house, *state, 0);
    sleep_in_all_rooms(&house, 100 * MS);
    sleep_in_all_rooms(&house, SECOND);
    empty_house(&house);
}

static void never(void *userdata) { ++*(int *)userdata; }

/* Both ends of each; select cannot watch those with high numbers. */
static int open_connections(int *fds, int count) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int opened = 0;
    for (; opened < count && (rlim_t)(opened + 1) * 2 + 200 < limit.rlim_cur; opened++)
        open_pair(&fds[opened * 2]);
    return opened;
}

static int watch_connections(kolk_loop *loop, const char *reactor, const int *fds, int count, int *calls) {
    int failures = 0;
    for (int i = 0; i < count; i++) {
        if (strcmp(reactor, "select") == 0 && fds[i * 2] >= FD_SETSIZE)
            break;
        failures += kolk_loop_add_reader(loop, fds[i * 2], never, calls, NULL) != 0;
    }
    return failures;
}

static long long cpu_used_during(struct visit *v, int64_t duration_ns) {
    long long begin = cpu_ns();
    run_for(v, duration_ns);
    return cpu_ns() - begin;
}

/* A second in which nothing happens costs nothing, with a thousand connections in each guest: no thread that looks now and
 * then, no timer that goes round. A host that cannot sleep itself uses what it used without them. */
static void idle_guests_use_no_processor_time(void **state) {
    static int fds[2 * CONNECTIONS];
    struct visit *v = *state;
    struct house house;
    int calls = 0;
    long long alone = 4 * cpu_used_during(v, SECOND / 4);
    fill_house(&house, v, 1u << KOLK_GUEST_FRAME);
    int connections = open_connections(fds, CONNECTIONS); /* Last: select needs low numbers for itself. */
    for (int i = 0; i < house.count; i++)
        assert_int_equal(watch_connections(house.stays[i].loop, house.reactors[i], fds, connections, &calls), 0);
    run_for(v, 50 * MS);
    long long used = cpu_used_during(v, SECOND);
    empty_house(&house);
    for (int i = 0; i < connections; i++)
        close_pair(&fds[i * 2]);
    assert_int_equal(calls, 0);
    if (used > 5 * MS + 2 * alone)
        fail_msg(
            "%d guests with %d connections each have used %lld us of processor time in one second; the host alone: %lld us",
            house.count, connections, used / 1000, alone / 1000);
}

/* A host without guests is the host it was. */
static void a_host_that_nobody_visits_leaves_nothing(void **state) {
    struct visit *v = *state;
    run_for(v, MS);
}

static const struct host_rule rules[] = {
    HOST_RULE_THAT_NEEDS(a_host_that_nobody_visits_leaves_nothing, NEEDS_NOBODY),
    HOST_RULE_THAT_NEEDS(long_timers_are_never_early, NEEDS_NOBODY),
    HOST_RULE_THAT_NEEDS(idle_guests_use_no_processor_time, NEEDS_NOBODY),
};

const struct host_rules together_rules = {rules, COUNT(rules)};
