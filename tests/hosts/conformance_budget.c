/* Fairness: neither keeps the other from its turns, and a turn ends when its budget is spent. */
#include "conformance.h"

#include <stdlib.h>

enum { FLOOD = 10000, ITEM_US = 50, HOST_TURNS = 15, BUDGET_ITEMS = 10 };

/* Callbacks that ask to be called again, for ever, each busy for a while. */
struct flood {
    struct visit *v;
    int over;
    int calls;
    int left; /* Of the flood, once it is over. */
    int64_t item_ns;
};

static void again(void *userdata) {
    struct flood *flood = userdata;
    flood->calls++;
    if (flood->over) {
        if (--flood->left == 0)
            arrive(flood->v);
        return;
    }
    spin(flood->item_ns);
    if (kolk_loop_call_soon(flood->v->f.loop, again, flood, NULL, NULL) != 0)
        abort();
}

static void start_flood(struct visit *v, struct flood *flood) {
    *flood = (struct flood){.v = v, .left = FLOOD, .item_ns = ITEM_US * 1000};
    for (int i = 0; i < FLOOD; i++)
        assert_int_equal(kolk_loop_call_soon(v->f.loop, again, flood, NULL, NULL), 0);
}

static void drain(void *userdata) {
    struct flood *flood = userdata;
    while (flood->left > 0 && kolk_guest_turn(flood->v->guest) > 0)
        ;
}

/* Each is called for the last time: none was lost. Frames of a few items would take seconds for that. */
static void end_flood(struct flood *flood) {
    flood->over = 1;
    if (flood->v->way == KOLK_GUEST_FRAME)
        host_runs(flood->v, drain, flood);
    run_until(flood->v, 1);
    assert_int_equal(flood->left, 0);
}

struct hosts_turns {
    struct visit *v;
    int left;
    int pair[2];
};

static void host_timer(void *userdata) {
    struct hosts_turns *turns = userdata;
    if (--turns->left == 0)
        arrive(turns->v);
    else
        host_call_later(turns->v, MS, host_timer, turns);
}

/* Without a budget, each round of the flood takes half a second. */
static void a_flood_leaves_the_host_its_timers(void **state) {
    struct visit *v = *state;
    struct flood flood;
    start_flood(v, &flood);
    struct hosts_turns turns = {.v = v, .left = HOST_TURNS};
    host_call_later(v, MS, host_timer, &turns);
    run_until(v, 1);
    assert_int_equal(turns.left, 0);
    assert_true(flood.calls < FLOOD);
    end_flood(&flood);
}

static void host_reads(void *userdata) {
    struct hosts_turns *turns = userdata;
    take_bytes(turns->pair[0]);
    if (--turns->left == 0)
        arrive(turns->v);
    else
        put_byte(turns->pair[1]);
}

static void a_flood_leaves_the_host_its_descriptors(void **state) {
    struct visit *v = *state;
    struct flood flood;
    start_flood(v, &flood);
    struct hosts_turns turns = {.v = v, .left = HOST_TURNS};
    open_pair(turns.pair);
    v->host->watch(v->self, turns.pair[0], host_reads, &turns);
    put_byte(turns.pair[1]);
    run_until(v, 1);
    assert_int_equal(turns.left, 0);
    assert_true(flood.calls < FLOOD);
    v->host->watch(v->self, turns.pair[0], NULL, NULL);
    close_pair(turns.pair);
    end_flood(&flood);
}

struct host_measures {
    struct visit *v;
    int items;
    int64_t took_ns;
};

static void take_one_turn(void *userdata) {
    struct host_measures *turn = userdata;
    int64_t begin = now_ns();
    turn->items = kolk_guest_turn(turn->v->guest);
    turn->took_ns = now_ns() - begin;
}

/* As each item takes its time, more of them than fit in mean that the turn was longer than that. */
static void a_turn_ends_when_its_time_is_up(void **state) {
    struct visit *v = *state;
    struct flood flood;
    start_flood(v, &flood);
    for (int i = 0; i < 5; i++) {
        struct host_measures turn = {.v = v};
        host_runs(v, take_one_turn, &turn);
        assert_in_range(turn.items, 1, v->options.max_ns / flood.item_ns + 1);
    }
    end_flood(&flood);
}

static void a_turn_ends_after_so_many_items(void **state) {
    struct visit *v = *state;
    struct flood flood;
    start_flood(v, &flood);
    flood.item_ns = 0;
    for (int i = 0; i < 5; i++) {
        struct host_measures turn = {.v = v};
        host_runs(v, take_one_turn, &turn);
        assert_int_equal(turn.items, BUDGET_ITEMS);
    }
    end_flood(&flood);
}

static void a_turn_without_a_budget_runs_what_was_ready(void **state) {
    struct visit *v = *state;
    struct flood flood;
    start_flood(v, &flood);
    flood.item_ns = 0;
    struct host_measures turn = {.v = v};
    host_runs(v, take_one_turn, &turn);
    assert_int_equal(turn.items, FLOOD);
    end_flood(&flood);
}

struct numbered {
    struct visit *v;
    int number;
};

static void note(void *userdata) {
    struct numbered *numbered = userdata;
    record(&numbered->v->f, "%d", numbered->number);
    arrive(numbered->v);
}

/* And nobody has to come back for it: the host is told that there is more. */
static void what_a_budget_leaves_over_comes_first_in_the_next_turn(void **state) {
    struct visit *v = *state;
    struct numbered numbered[12];
    for (int i = 0; i < 12; i++) {
        numbered[i] = (struct numbered){.v = v, .number = i};
        assert_int_equal(kolk_loop_call_soon(v->f.loop, note, &numbered[i], NULL, NULL), 0);
    }
    run_until(v, 12);
    assert_record(&v->f, "0 1 2 3 4 5 6 7 8 9 10 11");
}

enum { BURST = 5000 };

struct burst {
    struct visit *v;
    int next, disorder;
};

struct one_of_a_burst {
    struct burst *burst;
    int number;
};

static void due_in_a_burst(void *userdata) {
    struct one_of_a_burst *one = userdata;
    one->burst->disorder += one->number != one->burst->next++;
    arrive(one->burst->v);
}

/* More than one turn takes, whose budget is limited: the host is told that there are more. */
static void very_many_timers_that_are_due_at_once_all_come(void **state) {
    static struct one_of_a_burst ones[BURST];
    struct visit *v = *state;
    struct burst burst = {.v = v};
    int64_t now = kolk_loop_time(v->f.loop);
    for (int i = 0; i < BURST; i++) {
        ones[i] = (struct one_of_a_burst){&burst, i};
        assert_int_equal(kolk_loop_call_at(v->f.loop, now - BURST + i, due_in_a_burst, &ones[i], NULL, NULL), 0);
    }
    run_until(v, BURST);
    assert_int_equal(burst.next, BURST);
    assert_int_equal(burst.disorder, 0);
}

enum { CROWD = 40 };

/* Of kolk's turns, those between two of the host's. */
struct crowd {
    struct visit *v;
    int pairs[CROWD][2];
    int served, between, most;
};

static void hosts_turn_among_a_crowd(void *userdata) {
    struct crowd *crowd = userdata;
    crowd->most = crowd->between > crowd->most ? crowd->between : crowd->most;
    crowd->between = 0;
    if (crowd->served < CROWD)
        host_call_later(crowd->v, 0, hosts_turn_among_a_crowd, crowd);
    else
        arrive(crowd->v);
}

struct one_of_a_crowd {
    struct crowd *crowd;
    int fd;
};

static void serve_one_of_a_crowd(void *userdata) {
    struct one_of_a_crowd *one = userdata;
    if (take_bytes(one->fd) != 1)
        record(&one->crowd->v->f, "nothing to read");
    one->crowd->served++;
    one->crowd->between++;
}

/* Also where the host tells of one after the other. It has its turn before half of them are through. */
static void descriptors_that_are_ready_together_share_a_budget(void **state) {
    struct visit *v = *state;
    struct crowd crowd = {.v = v};
    struct one_of_a_crowd ones[CROWD];
    for (int i = 0; i < CROWD; i++) {
        open_pair(crowd.pairs[i]);
        ones[i] = (struct one_of_a_crowd){&crowd, crowd.pairs[i][0]};
        assert_int_equal(kolk_loop_add_reader(v->f.loop, ones[i].fd, serve_one_of_a_crowd, &ones[i], NULL), 0);
        put_byte(crowd.pairs[i][1]);
    }
    host_call_later(v, 0, hosts_turn_among_a_crowd, &crowd);
    run_until(v, 1);
    assert_record(&v->f, "");
    assert_int_equal(crowd.served, CROWD);
    assert_in_range(crowd.most, 1, CROWD / 2);
    for (int i = 0; i < CROWD; i++) {
        kolk_loop_remove_reader(v->f.loop, ones[i].fd);
        close_pair(crowd.pairs[i]);
    }
}

static void be_busy(void *userdata) {
    struct hosts_turns *turns = userdata;
    if (turns->left <= 0)
        return;
    spin(20000);
    host_call_later(turns->v, 0, be_busy, turns);
}

struct kolks_turns {
    struct visit *v;
    struct hosts_turns *host;
    int left;
    int pair[2];
};

static void kolk_turn(struct kolks_turns *turns) {
    if (--turns->left > 0)
        return;
    turns->host->left = 0;
    arrive(turns->v);
}

static void kolk_timer_came(void *userdata) {
    struct kolks_turns *turns = userdata;
    kolk_turn(turns);
    if (turns->left > 0 && kolk_loop_call_later(turns->v->f.loop, MS, kolk_timer_came, turns, NULL, NULL) != 0)
        abort();
}

static void kolk_reads(void *userdata) {
    struct kolks_turns *turns = userdata;
    take_bytes(turns->pair[0]);
    kolk_turn(turns);
    if (turns->left > 0)
        put_byte(turns->pair[1]);
}

static void a_host_that_is_always_busy_leaves_kolk_its_timers(void **state) {
    struct visit *v = *state;
    struct hosts_turns host = {.v = v, .left = 1};
    struct kolks_turns turns = {.v = v, .host = &host, .left = HOST_TURNS};
    host_call_later(v, 0, be_busy, &host);
    kolk_timer_came(&turns);
    run_until(v, 1);
    assert_int_equal(turns.left, 0);
    run_for(v, MS);
}

static void a_host_that_is_always_busy_leaves_kolk_its_descriptors(void **state) {
    struct visit *v = *state;
    struct hosts_turns host = {.v = v, .left = 1};
    struct kolks_turns turns = {.v = v, .host = &host, .left = HOST_TURNS};
    open_pair(turns.pair);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, turns.pair[0], kolk_reads, &turns, NULL), 0);
    put_byte(turns.pair[1]);
    host_call_later(v, 0, be_busy, &host);
    run_until(v, 1);
    assert_int_equal(turns.left, 0);
    run_for(v, MS);
    kolk_loop_remove_reader(v->f.loop, turns.pair[0]);
    close_pair(turns.pair);
}

static void *post_on(void *userdata) {
    struct kolks_turns *turns = userdata;
    sleep_ns(5 * MS);
    if (kolk_loop_call_soon_threadsafe(turns->v->f.loop, kolk_timer_came, turns, NULL) != 0)
        abort();
    return NULL;
}

static void a_host_that_is_always_busy_leaves_kolk_its_calls(void **state) {
    struct visit *v = *state;
    struct hosts_turns host = {.v = v, .left = 1};
    struct kolks_turns turns = {.v = v, .host = &host, .left = 2};
    host_call_later(v, 0, be_busy, &host);
    pthread_t thread = start_thread(post_on, &turns);
    run_until(v, 1);
    pthread_join(thread, NULL);
    run_for(v, MS);
    assert_int_equal(turns.left, 0);
}

static const struct host_rule rules[] = {
    HOST_RULE_WITH_BUDGET(a_flood_leaves_the_host_its_timers, 0, MS),
    HOST_RULE_WITH_BUDGET(a_flood_leaves_the_host_its_descriptors, BUDGET_ITEMS, 0),
    HOST_RULE_WITH_BUDGET(a_turn_ends_when_its_time_is_up, 0, MS),
    HOST_RULE_WITH_BUDGET(a_turn_ends_after_so_many_items, BUDGET_ITEMS, 0),
    HOST_RULE(a_turn_without_a_budget_runs_what_was_ready),
    HOST_RULE_WITH_BUDGET(what_a_budget_leaves_over_comes_first_in_the_next_turn, 5, 0),
    HOST_RULE_WITH_BUDGET(very_many_timers_that_are_due_at_once_all_come, 0, MS),
    HOST_RULE_WITH_BUDGET(descriptors_that_are_ready_together_share_a_budget, 2, 0),
    HOST_RULE(a_host_that_is_always_busy_leaves_kolk_its_timers),
    HOST_RULE(a_host_that_is_always_busy_leaves_kolk_its_descriptors),
    HOST_RULE(a_host_that_is_always_busy_leaves_kolk_its_calls),
};

const struct host_rules budget_rules = {rules, COUNT(rules)};
