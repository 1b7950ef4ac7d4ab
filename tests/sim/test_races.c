/* Completions, cancellations and deadlines that race, against a small model.
 *
 * A history is made from a seed: a few futures; tasks that wait for them and for each other, plainly, with a limit or behind a
 * shield, some of which go on to a second wait; and events at moments of virtual time that finish and cancel several of them in
 * one go, often at the very moment when a limit is over. It is run on the reactor "sim", where all that is exact, and in the
 * model below; what every call returned and how every wait ended must be the same.
 *
 * The model knows no callbacks and no stacks. Its rules are these:
 *
 *   - What is done stays as it is. A waiter whose future is done goes on when all that is due at this moment has happened.
 *   - Cancelling a task cancels what it waits for, through other tasks, but not through a shield; one whose future is done, or
 *     shielded, is told itself. One request is told once.
 *   - When the time of a limited wait is up, what it waits for is cancelled. The wait ends when that has ended; if it ended as
 *     cancelled, the waiter is told that the time was up, unless somebody asked to cancel the waiter itself.
 *
 * A history that disagrees is printed as its seed: `test_races SEED` runs that one alone and tells what happens. */
#include "support/driver.h"

#include <kolk/sim.h>

#include <stdio.h>
#include <stdlib.h>

enum { FUTURES = 4, TASKS = 6, WAITS = 2, EVENTS = 6, ACTIONS = 3, MOMENTS = 8, HISTORIES = 20000, NOTES = 128 };
enum wait_kind { PLAIN, LIMITED, LIMITED_FUTURE, SHIELDED, WAIT_KINDS };
enum action_kind { SET_RESULT, SET_ERROR, CANCEL_FUTURE, CANCEL_TASK, ACTION_KINDS };

/* A target below FUTURES is a future; the others are tasks, and only of lower number than who waits: no circles. */
struct wait {
    enum wait_kind kind;
    int target;
    int64_t limit_ns;
};

struct plan {
    struct wait waits[WAITS];
    int goes_on[2]; /* to the second wait: when the first one ended well, when it did not */
};

struct event {
    int64_t when_ns;
    int count;
    struct action {
        enum action_kind kind;
        int target;
    } actions[ACTIONS];
};

struct history {
    uint64_t random;
    struct plan plans[TASKS];
    struct event events[EVENTS];
};

/* What is compared: what each action returned, how each wait and each task ended. A result shows as a number above 0. */
struct outcome {
    int returned[EVENTS][ACTIONS];
    int waits[TASKS][WAITS];
    int tasks[TASKS];
    int futures[FUTURES];
};

enum { NOT_REACHED = 1 << 20 };

static int talkative;

static void tell(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (talkative)
        vprintf(format, arguments);
    va_end(arguments);
}

static void forget_all(struct outcome *o) {
    int *all = (int *)o;
    for (size_t i = 0; i < sizeof *o / sizeof *all; i++)
        all[i] = NOT_REACHED;
}

/* What an action sets, and a future's share of it. */
static int result_of(int event, int action) { return 100 + event * ACTIONS + action; }

/* ---- Making a history ---- */

static int draw(struct history *h, int below) {
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return (int)((h->random >> 11) % (uint64_t)below);
}

static struct wait make_wait(struct history *h, int task, int number) {
    struct wait made = {.kind = (enum wait_kind)draw(h, WAIT_KINDS), .target = draw(h, FUTURES + task)};
    /* Without time only where it is no matter of who goes first at the same moment: a future, and from the beginning. */
    int least = made.target < FUTURES && number == 0 ? 0 : 1;
    made.limit_ns = least + draw(h, MOMENTS);
    return made;
}

static void make_history(struct history *h, uint64_t seed) {
    *h = (struct history){.random = seed * 0x9e3779b97f4a7c15 + 1};
    for (int i = 0; i < TASKS; i++) {
        for (int k = 0; k < WAITS; k++)
            h->plans[i].waits[k] = make_wait(h, i, k);
        h->plans[i].goes_on[0] = draw(h, 2);
        h->plans[i].goes_on[1] = draw(h, 2);
    }
    for (int i = 0; i < EVENTS; i++) {
        struct event *event = &h->events[i];
        event->when_ns = 1 + draw(h, MOMENTS);
        event->count = 1 + draw(h, ACTIONS);
        for (int k = 0; k < event->count; k++) {
            enum action_kind kind = (enum action_kind)draw(h, ACTION_KINDS);
            event->actions[k].kind = kind;
            event->actions[k].target = draw(h, kind == CANCEL_TASK ? TASKS : FUTURES);
        }
    }
}

/* ---- The model ---- */

enum state { PENDING, DONE };

struct model_future {
    enum state state;
    int status; /* a result, or an error; when done */
};

struct model_task {
    int wait;         /* which one is under way */
    int going_on;     /* its future is done: it continues when all that is due has happened */
    int told;         /* to stop, itself */
    int asked;        /* to stop, by whatever way, during this wait */
    int64_t limit_at; /* of this wait; KOLK_NEVER: none */
    int time_is_up;   /* of this wait */
};

struct model {
    const struct history *history;
    int64_t now;
    struct model_future futures[FUTURES + TASKS]; /* tasks are futures */
    struct model_task tasks[TASKS];
    int queue[NOTES], first, last; /* tasks that go on */
    struct outcome outcome;
};

static const struct wait *wait_of(const struct model *m, int task) {
    return &m->history->plans[task].waits[m->tasks[task].wait];
}

static int is_done(const struct model *m, int task) { return m->futures[FUTURES + task].state == DONE; }

static void go_on(struct model *m, int task) {
    if (m->tasks[task].going_on)
        return;
    m->tasks[task].going_on = 1;
    m->queue[m->last++] = task;
}

static void model_finish(struct model *m, int future, int status) {
    m->futures[future] = (struct model_future){.state = DONE, .status = status};
    for (int i = 0; i < TASKS; i++)
        if (!is_done(m, i) && m->tasks[i].wait >= 0 && wait_of(m, i)->target == future)
            go_on(m, i);
}

static int model_cancel(struct model *m, int future) {
    if (m->futures[future].state == DONE)
        return 0;
    if (future < FUTURES) {
        model_finish(m, future, KOLK_ECANCELED);
        return 1;
    }
    int task = future - FUTURES;
    struct model_task *t = &m->tasks[task];
    t->asked = 1;
    if (t->going_on || wait_of(m, task)->kind == SHIELDED) {
        t->told = 1;
        go_on(m, task);
    } else {
        model_cancel(m, wait_of(m, task)->target);
    }
    return 1;
}

static void model_wait(struct model *m, int task, int number) {
    struct model_task *t = &m->tasks[task];
    *t = (struct model_task){.wait = number, .limit_at = KOLK_NEVER};
    const struct wait *wait = wait_of(m, task);
    int limited = wait->kind == LIMITED || wait->kind == LIMITED_FUTURE;
    if (m->futures[wait->target].state == DONE) {
        go_on(m, task);
    } else if (limited && wait->limit_ns == 0) {
        t->time_is_up = 1;
        model_cancel(m, wait->target);
    } else if (limited) {
        t->limit_at = m->now + wait->limit_ns;
    }
}

static int end_of_wait(const struct model *m, int task) {
    const struct model_task *t = &m->tasks[task];
    int status = m->futures[wait_of(m, task)->target].status;
    if (t->told)
        return KOLK_ECANCELED;
    return t->time_is_up && status == KOLK_ECANCELED && !t->asked ? KOLK_ETIMEDOUT : status;
}

static void model_continue(struct model *m, int task) {
    int number = m->tasks[task].wait, status = end_of_wait(m, task);
    m->outcome.waits[task][number] = status;
    if (number + 1 < WAITS && m->history->plans[task].goes_on[status < 0]) {
        model_wait(m, task, number + 1);
    } else {
        m->outcome.tasks[task] = status;
        m->tasks[task].wait = -1;
        model_finish(m, FUTURES + task, status);
    }
}

static void model_act(struct model *m, int event) {
    for (int k = 0; k < m->history->events[event].count; k++) {
        struct action action = m->history->events[event].actions[k];
        int *returned = &m->outcome.returned[event][k];
        if (action.kind == CANCEL_TASK || action.kind == CANCEL_FUTURE) {
            *returned = model_cancel(m, action.kind == CANCEL_TASK ? FUTURES + action.target : action.target);
        } else if (m->futures[action.target].state == DONE) {
            *returned = KOLK_EALREADY;
        } else {
            *returned = 0;
            model_finish(m, action.target, action.kind == SET_RESULT ? result_of(event, k) : KOLK_EIO);
        }
    }
}

static void settle(struct model *m) {
    while (m->first < m->last)
        model_continue(m, m->queue[m->first++]);
    m->first = m->last = 0;
}

static void run_model(struct model *m, const struct history *h) {
    *m = (struct model){.history = h};
    forget_all(&m->outcome);
    for (int i = 0; i < TASKS; i++)
        m->tasks[i].wait = -1;
    for (int i = 0; i < TASKS; i++)
        model_wait(m, i, 0);
    settle(m);
    for (m->now = 1; m->now <= 4 * MOMENTS; m->now++) {
        for (int i = 0; i < EVENTS; i++)
            if (h->events[i].when_ns == m->now)
                model_act(m, i);
        for (int i = 0; i < TASKS; i++)
            if (!is_done(m, i) && m->tasks[i].limit_at == m->now) {
                m->tasks[i].time_is_up = 1;
                model_cancel(m, wait_of(m, i)->target);
            }
        settle(m);
    }
    for (int i = 0; i < FUTURES; i++)
        if (m->futures[i].state == PENDING)
            model_finish(m, i, KOLK_EPIPE);
    settle(m);
    for (int i = 0; i < FUTURES; i++)
        m->outcome.futures[i] = m->futures[i].status;
}

/* ---- The real thing ---- */

struct world {
    const struct history *history;
    kolk_loop *loop;
    kolk_future *futures[FUTURES];
    kolk_task *tasks[TASKS];
    struct outcome outcome;
};

/* What a callback or a task is told. */
struct part {
    struct world *w;
    int number;
};

static void *as_pointer(int number) { return (void *)(intptr_t)number; }
static int as_status(int status, void *result) { return status < 0 ? status : (int)(intptr_t)result; }

static kolk_future *target_of(const struct world *w, int target) {
    return target < FUTURES ? w->futures[target] : kolk_task_as_future(w->tasks[target - FUTURES]);
}

static int perform(const struct world *w, const struct wait *wait) {
    kolk_future *target = target_of(w, wait->target), *between = NULL;
    void *result = NULL;
    int status = 0;
    if (wait->kind == SHIELDED)
        status = kolk_shield(target, &between);
    else if (wait->kind == LIMITED_FUTURE)
        status = kolk_wait_for_async(target, wait->limit_ns, &between);
    if (status == 0 && wait->kind == LIMITED)
        status = kolk_wait_for(target, wait->limit_ns, &result);
    else if (status == 0)
        status = kolk_await(between ? between : target, &result);
    kolk_future_unref(between);
    return as_status(status, result);
}

static int wait_as_planned(void *userdata, void **ret_result) {
    struct part *part = userdata;
    struct world *w = part->w;
    const struct plan *plan = &w->history->plans[part->number];
    int status = 0;
    for (int k = 0; k < WAITS && (k == 0 || plan->goes_on[status < 0]); k++) {
        status = perform(w, &plan->waits[k]);
        w->outcome.waits[part->number][k] = status;
        tell("%lld: wait %d of task %d ended with %d\n", (long long)kolk_loop_time(w->loop), k, part->number, status);
    }
    *ret_result = as_pointer(status);
    return status < 0 ? status : 0;
}

static int act(const struct world *w, int event, int number) {
    struct action action = w->history->events[event].actions[number];
    static const char *const names[] = {"result for future", "error for future", "cancel future", "cancel task"};
    tell("%lld: %s %d\n", (long long)kolk_loop_time(w->loop), names[action.kind], action.target);
    switch (action.kind) {
    case SET_RESULT:
        return kolk_future_set_result(w->futures[action.target], as_pointer(result_of(event, number)), NULL);
    case SET_ERROR:
        return kolk_future_set_error(w->futures[action.target], kolk_error_of(KOLK_EIO));
    case CANCEL_FUTURE:
        return kolk_future_cancel(w->futures[action.target]);
    default:
        return kolk_task_cancel(w->tasks[action.target]);
    }
}

static void happen(void *userdata) {
    struct part *part = userdata;
    for (int k = 0; k < part->w->history->events[part->number].count; k++)
        part->w->outcome.returned[part->number][k] = act(part->w, part->number, k);
}

/* At the very end nobody may be left waiting. */
static void finish_all(void *userdata) {
    struct world *w = userdata;
    kolk_loop_stop(w->loop);
    for (int i = 0; i < FUTURES; i++)
        kolk_future_set_error(w->futures[i], kolk_error_of(KOLK_EPIPE));
}

static int prepare(struct world *w, struct part *tasks, struct part *events) {
    int wrong = 0;
    for (int i = 0; i < FUTURES; i++)
        wrong |= kolk_future_new(w->loop, &w->futures[i]);
    for (int i = 0; i < EVENTS; i++) {
        events[i] = (struct part){w, i};
        wrong |= kolk_loop_call_at(w->loop, w->history->events[i].when_ns, happen, &events[i], NULL, NULL);
    }
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct part){w, i};
        wrong |= kolk_create_task(w->loop, wait_as_planned, &tasks[i], NULL, NULL, &w->tasks[i]);
    }
    return wrong | kolk_loop_call_at(w->loop, 5 * MOMENTS, finish_all, w, NULL, NULL);
}

static int take_outcomes(struct world *w) {
    if (kolk_loop_run_forever(w->loop) != 0)
        return -1;
    for (int i = 0; i < TASKS; i++) {
        void *result = NULL;
        if (kolk_loop_run_until_complete(w->loop, kolk_task_as_future(w->tasks[i])) != 0)
            return -1;
        int status = kolk_task_result(w->tasks[i], &result);
        w->outcome.tasks[i] = as_status(status, result);
    }
    for (int i = 0; i < FUTURES; i++) {
        void *result = NULL;
        int status = kolk_future_result(w->futures[i], &result);
        w->outcome.futures[i] = as_status(status, result);
    }
    return 0;
}

/* 0 when it could be run to its end and left nothing behind. */
static int run_world(struct world *w, const struct history *h) {
    struct failing_allocator memory;
    struct part tasks[TASKS], events[EVENTS];
    kolk_sim_options sim = {.size = sizeof sim};
    failing_allocator_init(&memory);
    kolk_loop_options options = {
        .size = sizeof options, .reactor_ops = reactor_under_test("sim"), .host = &sim, .allocator = &memory.hook};
    *w = (struct world){.history = h};
    forget_all(&w->outcome);
    if (!options.reactor_ops || kolk_loop_new(&options, &w->loop, NULL) != 0)
        return -1;
    int wrong = prepare(w, tasks, events) || take_outcomes(w);
    for (int i = 0; i < TASKS; i++)
        kolk_task_unref(w->tasks[i]);
    for (int i = 0; i < FUTURES; i++)
        kolk_future_unref(w->futures[i]);
    wrong |= kolk_loop_close(w->loop);
    kolk_loop_unref(w->loop);
    return wrong || failing_allocator_live_blocks(&memory) || failing_allocator_mistakes(&memory) ? -1 : 0;
}

/* ---- Both ---- */

static int differs(const char *what, int number, int part, int found, int expected) {
    if (found != expected)
        fprintf(stderr, "%s %d.%d: %d, the model says %d\n", what, number, part, found, expected);
    return found != expected;
}

static int compare(const struct outcome *found, const struct outcome *expected) {
    int differences = 0;
    for (int i = 0; i < EVENTS; i++)
        for (int k = 0; k < ACTIONS; k++)
            differences += differs("action", i, k, found->returned[i][k], expected->returned[i][k]);
    for (int i = 0; i < TASKS; i++)
        for (int k = 0; k < WAITS; k++)
            differences += differs("wait of task", i, k, found->waits[i][k], expected->waits[i][k]);
    for (int i = 0; i < TASKS; i++)
        differences += differs("task", i, 0, found->tasks[i], expected->tasks[i]);
    for (int i = 0; i < FUTURES; i++)
        differences += differs("future", i, 0, found->futures[i], expected->futures[i]);
    return differences;
}

static const char *name_of(int target) {
    static char names[2][16];
    static int used;
    char *name = names[used ^= 1];
    snprintf(name, sizeof *names, target < FUTURES ? "future %d" : "task %d", target < FUTURES ? target : target - FUTURES);
    return name;
}

static void describe(const struct history *h) {
    static const char *const kinds[] = {"plainly", "at most so long:", "by a future, at most so long:", "behind a shield"};
    for (int i = 0; i < TASKS; i++)
        for (int k = 0; k < WAITS; k++) {
            const struct wait *wait = &h->plans[i].waits[k];
            int limited = wait->kind == LIMITED || wait->kind == LIMITED_FUTURE;
            tell("task %d, wait %d%s%s: for %s, %s", i, k, k && h->plans[i].goes_on[0] ? ", after success" : "",
                 k && h->plans[i].goes_on[1] ? ", after failure" : "", name_of(wait->target), kinds[wait->kind]);
            tell(limited ? " %lld\n" : "\n", (long long)wait->limit_ns);
        }
}

/* How often waits ended in each way: a model that is never asked the question is right for nothing. */
struct tally {
    int results, errors, cancelled, too_late, never_reached;
};

static void count_waits(const struct outcome *o, struct tally *ret_tally) {
    for (int i = 0; i < TASKS; i++)
        for (int k = 0; k < WAITS; k++) {
            int status = o->waits[i][k];
            ret_tally->never_reached += status == NOT_REACHED;
            ret_tally->results += status >= 0 && status != NOT_REACHED;
            ret_tally->errors += status == KOLK_EIO;
            ret_tally->cancelled += status == KOLK_ECANCELED;
            ret_tally->too_late += status == KOLK_ETIMEDOUT;
        }
}

static int check_history(uint64_t seed, struct tally *ret_tally) {
    static struct history h;
    static struct model m;
    static struct world w;
    make_history(&h, seed);
    describe(&h);
    run_model(&m, &h);
    count_waits(&m.outcome, ret_tally);
    return run_world(&w, &h) != 0 ? -1 : compare(&w.outcome, &m.outcome);
}

/* Whatever finishes, is cancelled or takes too long, in whatever order and at whatever moment: the model foresees it. */
static void races_end_as_the_model_says(void **state) {
    struct tally tally = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        int differences = check_history(seed, &tally);
        if (differences)
            fail_msg("seed %llu: %s", (unsigned long long)seed, differences < 0 ? "it did not end well" : "see above");
    }
    assert_true(tally.results > HISTORIES / 2 && tally.errors > HISTORIES / 2 && tally.cancelled > HISTORIES / 2 &&
                tally.too_late > HISTORIES / 2 && tally.never_reached > HISTORIES / 2);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        talkative = 1;
        return check_history(strtoull(argv[1], NULL, 0), &(struct tally){0}) != 0;
    }
    static const struct rule rules[] = {RULE(races_end_as_the_model_says)};
    return run_bare("races", rules, COUNT(rules));
}
