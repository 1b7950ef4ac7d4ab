/* Modal loops: a callback opens a dialog, and whoever shows it runs the host's loop until it is closed. */
#include "conformance.h"

#include "support/resources.h"

#include <stdlib.h>

enum { STACK = 512 * 1024, EVENTS = 6 };

/* What can happen while a dialog is open. */
struct dialog {
    struct visit *v;
    int pair[2];
    int timer, readable, call, task, soon, host;
    int answers[3];
    int64_t shown_ns; /* How long the host shows it. */
    int64_t cpu;
    struct dialog *inner;
};

static int happened(const struct dialog *d) { return d->timer + d->readable + d->call + d->task + d->soon + d->host; }

static int everything_happened(void *dialog) { return happened(dialog) == EVENTS; }

static int the_host_is_through(void *dialog) { return ((struct dialog *)dialog)->host; }

static void mark(void *flag) { *(int *)flag = 1; }

static void mark_readable(void *userdata) {
    struct dialog *d = userdata;
    take_bytes(d->pair[0]);
    d->readable = 1;
}

static int mark_after_sleep(void *userdata, void **ret_result) {
    struct dialog *d = userdata;
    (void)ret_result;
    int status = kolk_sleep(MS);
    d->task = status == 0;
    return status;
}

static void *post_mark(void *userdata) {
    struct dialog *d = userdata;
    sleep_ns(5 * MS);
    if (kolk_loop_call_soon_threadsafe(d->v->f.loop, mark, &d->call, NULL) != 0)
        abort();
    return NULL;
}

/* Something of each kind, for the time while the dialog is open. */
static int prepare_events(struct dialog *d) {
    kolk_loop *loop = d->v->f.loop;
    kolk_task *task = NULL;
    int status = kolk_loop_add_reader(loop, d->pair[0], mark_readable, d, NULL);
    if (status == 0)
        status = kolk_loop_call_soon(loop, mark, &d->soon, NULL, NULL);
    if (status == 0)
        status = kolk_loop_call_later(loop, 2 * MS, mark, &d->timer, NULL, NULL);
    if (status == 0)
        status = kolk_create_task(loop, mark_after_sleep, d, NULL, NULL, &task);
    kolk_task_unref(task);
    put_byte(d->pair[1]);
    return status;
}

static void show(struct dialog *d, int (*done)(void *context)) {
    struct visit *v = d->v;
    pthread_t thread;
    if (pthread_create(&thread, NULL, post_mark, d) != 0)
        abort();
    v->host->run_modal(v->self, done, d);
    pthread_join(thread, NULL);
}

/* Returns what it was. */
static int set_nesting(struct dialog *d, int allowed) {
    int before = kolk_loop_set_nesting(d->v->f.loop, allowed);
    if (before < 0)
        record(&d->v->f, "set_nesting(%s)", kolk_status_name(before));
    return before;
}

static void open_dialog(void *userdata) {
    struct dialog *d = userdata;
    int before = set_nesting(d, 1);
    if (prepare_events(d) != 0)
        record(&d->v->f, "unprepared");
    host_call_later(d->v, 3 * MS, mark, &d->host);
    show(d, everything_happened);
    set_nesting(d, before);
    record(&d->v->f, "closed(%d)", happened(d));
    arrive(d->v);
}

static struct dialog new_dialog(struct visit *v) {
    struct dialog d = {.v = v, .shown_ns = 20 * MS};
    open_pair(d.pair);
    return d;
}

static void drop_dialog(struct dialog *d) {
    kolk_loop_remove_reader(d->v->f.loop, d->pair[0]);
    close_pair(d->pair);
}

static void everything_goes_on_while_a_callback_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog, &d, NULL, NULL), 0);
    run_until(v, 1);
    assert_record(&v->f, "closed(6)");
    drop_dialog(&d);
}

static void everything_goes_on_while_a_timer_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 2 * MS, open_dialog, &d, NULL, NULL), 0);
    run_until(v, 1);
    assert_record(&v->f, "closed(6)");
    drop_dialog(&d);
}

static void *post_dialog(void *userdata) {
    struct dialog *d = userdata;
    sleep_ns(5 * MS);
    if (kolk_loop_call_soon_threadsafe(d->v->f.loop, open_dialog, d, NULL) != 0)
        abort();
    return NULL;
}

static void everything_goes_on_while_a_call_from_another_thread_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    pthread_t thread = start_thread(post_dialog, &d);
    run_until(v, 1);
    pthread_join(thread, NULL);
    assert_record(&v->f, "closed(6)");
    drop_dialog(&d);
}

struct dialog_on_demand {
    struct dialog d;
    int pair[2];
};

static void read_and_open_dialog(void *userdata) {
    struct dialog_on_demand *demand = userdata;
    take_bytes(demand->pair[0]);
    open_dialog(&demand->d);
}

static void everything_goes_on_while_a_reader_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog_on_demand demand = {.d = new_dialog(v)};
    open_pair(demand.pair);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, demand.pair[0], read_and_open_dialog, &demand, NULL), 0);
    put_byte(demand.pair[1]);
    run_until(v, 1);
    assert_record(&v->f, "closed(6)");
    kolk_loop_remove_reader(v->f.loop, demand.pair[0]);
    close_pair(demand.pair);
    drop_dialog(&demand.d);
}

static int open_dialog_in_task(void *userdata, void **ret_result) {
    (void)ret_result;
    open_dialog(userdata);
    return 0;
}

static void everything_goes_on_while_a_task_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    kolk_task_options options = {.size = sizeof options, .stack_size = STACK};
    kolk_task *task = NULL;
    assert_int_equal(kolk_create_task(v->f.loop, open_dialog_in_task, &d, NULL, &options, &task), 0);
    run_until(v, 1);
    assert_record(&v->f, "closed(6)");
    run_for(v, 3 * MS);
    assert_int_equal(kolk_task_done(task), 1);
    kolk_task_unref(task);
    drop_dialog(&d);
}

static void everything_goes_on_while_the_host_shows_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    host_call_later(v, MS, open_dialog, &d);
    run_until(v, 1);
    assert_record(&v->f, "closed(6)");
    drop_dialog(&d);
}

static void open_inner_dialog(void *userdata) {
    struct dialog *d = userdata;
    open_dialog(d->inner);
    d->timer = 1;
}

static void open_outer_dialog(void *userdata) {
    struct dialog *d = userdata;
    int before = set_nesting(d, 1);
    if (kolk_loop_call_later(d->v->f.loop, MS, open_inner_dialog, d, NULL, NULL) != 0)
        record(&d->v->f, "unprepared");
    host_call_later(d->v, 0, mark, &d->host);
    d->readable = d->task = d->soon = 1;
    show(d, everything_happened);
    set_nesting(d, before);
    record(&d->v->f, "outer(%d)", happened(d));
    arrive(d->v);
}

static void a_dialog_may_show_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog outer = new_dialog(v), inner = new_dialog(v);
    outer.inner = &inner;
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_outer_dialog, &outer, NULL, NULL), 0);
    run_until(v, 2);
    assert_record(&v->f, "closed(6) outer(6)");
    assert_int_equal(kolk_loop_set_nesting(v->f.loop, 0), 0);
    drop_dialog(&inner);
    drop_dialog(&outer);
}

/* Of a descriptor, one direction that is ready and stays so while its callback shows a dialog. */
static void open_idle_dialog(void *userdata) {
    struct dialog *d = userdata;
    if (d->cpu != 0) { /* The second time. */
        arrive(d->v);
        return;
    }
    set_nesting(d, 1);
    host_call_later(d->v, d->shown_ns, mark, &d->host);
    d->cpu = cpu_ns();
    d->v->host->run_modal(d->v->self, the_host_is_through, d);
    d->cpu = cpu_ns() - d->cpu;
    set_nesting(d, 0);
    arrive(d->v);
}

static void check_idle_dialog(struct visit *v, int (*add)(kolk_loop *, int, kolk_callback_fn, void *, kolk_destroy_fn)) {
    struct dialog d = new_dialog(v);
    d.shown_ns = 100 * MS;
    put_byte(d.pair[1]);
    assert_int_equal(add(v->f.loop, d.pair[0], open_idle_dialog, &d, NULL), 0);
    run_until(v, 2);
    assert_record(&v->f, "");
    assert_true(d.cpu < 50 * MS);
    kolk_loop_remove_writer(v->f.loop, d.pair[0]);
    drop_dialog(&d);
}

static void the_host_does_not_spin_while_a_reader_shows_a_dialog_before_it_reads(void **state) {
    check_idle_dialog(*state, kolk_loop_add_reader);
}

static void the_host_does_not_spin_while_a_writer_shows_a_dialog_before_it_writes(void **state) {
    check_idle_dialog(*state, kolk_loop_add_writer);
}

/* Of two guests, the one that another keeps from its turns for a while. */
struct two_dialogs {
    struct dialog d;
    struct stay other;
    int came_early;
};

static void mark_in_time(void *userdata) {
    struct two_dialogs *two = userdata;
    two->came_early |= !two->d.host;
    two->d.timer = 1;
}

static int the_timer_came(void *dialog) { return ((struct dialog *)dialog)->timer; }

static void open_dialog_of_the_other(void *userdata) {
    struct two_dialogs *two = userdata;
    struct visit *v = two->d.v;
    kolk_loop_set_nesting(two->other.loop, 1);
    if (kolk_loop_call_later(v->f.loop, MS, mark_in_time, two, NULL, NULL) != 0)
        record(&v->f, "unprepared");
    host_call_later(v, two->d.shown_ns, mark, &two->d.host);
    v->host->run_modal(v->self, the_host_is_through, &two->d);
}

static void open_dialog_around_the_other(void *userdata) {
    struct two_dialogs *two = userdata;
    struct visit *v = two->d.v;
    kolk_loop_set_nesting(v->f.loop, 1);
    if (kolk_loop_call_soon(two->other.loop, open_dialog_of_the_other, two, NULL, NULL) != 0)
        record(&v->f, "unprepared");
    v->host->run_modal(v->self, the_timer_came, &two->d);
    kolk_loop_set_nesting(v->f.loop, 0);
    arrive(v);
}

/* Its turns were refused, because the other one was on top of it; nothing else reminds the host. */
static void a_guest_goes_on_in_its_dialog_when_that_of_another_guest_is_closed(void **state) {
    struct visit *v = *state;
    struct two_dialogs two = {.d = new_dialog(v)};
    kolk_loop *loop = make_loop(v, v->f.ops, v->way);
    assert_non_null(loop);
    assert_int_equal(begin_stay(v, &two.other, loop, &v->options), 0);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog_around_the_other, &two, NULL, NULL), 0);
    run_until(v, 1);
    assert_record(&v->f, "");
    assert_int_equal(two.came_early, 0);
    end_stay(&two.other);
    assert_int_equal(kolk_loop_close(loop), 0);
    kolk_loop_unref(loop);
    drop_dialog(&two.d);
}

/* ---- Forbidden ---- */

static void ask_for_turn(void *userdata) {
    struct dialog *d = userdata;
    d->answers[0] = kolk_guest_turn(d->v->guest);
    d->answers[1] = kolk_loop_dispatch(d->v->f.loop, NULL, NULL);
    d->answers[2] = kolk_loop_is_running(d->v->f.loop);
}

static void open_dialog_without_leave(void *userdata) {
    struct dialog *d = userdata;
    if (prepare_events(d) != 0)
        record(&d->v->f, "unprepared");
    host_call_later(d->v, d->shown_ns / 2, ask_for_turn, d);
    host_call_later(d->v, d->shown_ns, mark, &d->host);
    d->cpu = cpu_ns();
    show(d, the_host_is_through);
    d->cpu = cpu_ns() - d->cpu;
    record(&d->v->f, "closed(%d)", happened(d));
    arrive(d->v);
}

static void without_leave_nothing_of_kolk_runs_in_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog_without_leave, &d, NULL, NULL), 0);
    run_until(v, 1);
    assert_record(&v->f, "closed(1)");
    assert_int_equal(d.answers[0], KOLK_EBUSY);
    assert_int_equal(d.answers[1], KOLK_EBUSY);
    assert_int_equal(d.answers[2], 1);
    drop_dialog(&d);
}

static void arrive_when_all_happened(void *userdata) {
    struct dialog *d = userdata;
    if (everything_happened(d))
        arrive(d->v);
    else if (kolk_loop_call_later(d->v->f.loop, MS, arrive_when_all_happened, d, NULL, NULL) != 0)
        abort();
}

static void what_became_ready_during_a_dialog_is_run_afterwards(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog_without_leave, &d, NULL, NULL), 0);
    run_until(v, 1);
    arrive_when_all_happened(&d);
    run_until(v, 1);
    assert_int_equal(happened(&d), EVENTS);
    drop_dialog(&d);
}

/* Nobody asks: what is there has to wake the host by itself. */
static int seen_to_the_end(void *userdata, void **ret_result) {
    struct dialog *d = userdata;
    (void)ret_result;
    while (!everything_happened(d)) {
        int status = kolk_sleep(MS);
        if (status < 0)
            return status;
    }
    arrive(d->v);
    return 0;
}

static void timers_go_on_after_a_dialog(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    kolk_task *task = spawn_with(&v->f, seen_to_the_end, &d);
    assert_int_equal(kolk_loop_call_later(v->f.loop, 3 * MS, open_dialog_without_leave, &d, NULL, NULL), 0);
    run_until(v, 2);
    assert_int_equal(happened(&d), EVENTS);
    kolk_task_unref(task);
    drop_dialog(&d);
}

/* A descriptor that is ready and that nobody serves keeps a host awake that goes on asking for it. */
static void the_host_does_not_spin_in_a_dialog_without_leave(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    d.shown_ns = 100 * MS;
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog_without_leave, &d, NULL, NULL), 0);
    run_until(v, 1);
    assert_true(d.cpu < 50 * MS);
    drop_dialog(&d);
}

static void write_byte(void *userdata) { put_byte(((struct dialog *)userdata)->pair[1]); }

static void open_dialog_for_a_byte(void *userdata) {
    struct dialog *d = userdata;
    host_call_later(d->v, d->shown_ns / 4, write_byte, d);
    host_call_later(d->v, d->shown_ns, mark, &d->host);
    d->v->host->run_modal(d->v->self, the_host_is_through, d);
}

static void mark_readable_and_arrive(void *userdata) {
    struct dialog *d = userdata;
    mark_readable(d);
    arrive(d->v);
}

/* With nothing beside it that would bring a turn. */
static void a_descriptor_that_becomes_ready_during_a_dialog_is_served_afterwards(void **state) {
    struct visit *v = *state;
    struct dialog d = new_dialog(v);
    assert_int_equal(kolk_loop_add_reader(v->f.loop, d.pair[0], mark_readable_and_arrive, &d, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(v->f.loop, open_dialog_for_a_byte, &d, NULL, NULL), 0);
    run_until(v, 1);
    assert_int_equal(d.readable, 1);
    drop_dialog(&d);
}

static const struct host_rule rules[] = {
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_a_callback_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_a_timer_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_a_call_from_another_thread_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_a_reader_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_a_task_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(everything_goes_on_while_the_host_shows_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(a_dialog_may_show_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(the_host_does_not_spin_while_a_reader_shows_a_dialog_before_it_reads, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(the_host_does_not_spin_while_a_writer_shows_a_dialog_before_it_writes, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(a_guest_goes_on_in_its_dialog_when_that_of_another_guest_is_closed, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(without_leave_nothing_of_kolk_runs_in_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(what_became_ready_during_a_dialog_is_run_afterwards, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(timers_go_on_after_a_dialog, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(the_host_does_not_spin_in_a_dialog_without_leave, NEEDS_MODAL),
    HOST_RULE_THAT_NEEDS(a_descriptor_that_becomes_ready_during_a_dialog_is_served_afterwards, NEEDS_MODAL),
};

const struct host_rules nested_rules = {rules, COUNT(rules)};
