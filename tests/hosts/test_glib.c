/* What only GLib does to its guests, in each of the three ways: it skips steps when another thread touches the context, keeps
 * less urgent sources waiting for as long as there is something more urgent, and runs loops within loops. */
#include "support/driver.h"

#include <kolk/glib.h>

#include <glib-unix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct stay {
    uint32_t way;
    GMainContext *context; /* NULL when the test has dropped it. */
    GMainLoop *main_loop;
    struct fixture f; /* The loop and the record. */
    kolk_guest *guest;
    int pair[2]; /* Two connected descriptors that do not block. */
};

static const kolk_reactor_ops *reactor_of(uint32_t way) { return way == KOLK_GUEST_REACTOR ? kolk_host_reactor() : NULL; }

static int open_stay(void **state) {
    uint32_t way = (uint32_t)(uintptr_t)*state;
    const kolk_loop_options options = {.size = sizeof options, .reactor_ops = reactor_of(way)};
    struct stay *s = calloc(1, sizeof *s);
    s->way = way;
    s->context = g_main_context_new();
    s->main_loop = g_main_loop_new(s->context, FALSE);
    open_pair(s->pair);
    *state = s;
    return kolk_loop_new(&options, &s->f.loop, NULL);
}

static int close_stay(void **state) {
    struct stay *s = *state;
    kolk_loop_close(s->f.loop);
    kolk_guest_unref(s->guest);
    kolk_loop_unref(s->f.loop);
    close_pair(s->pair);
    if (s->main_loop)
        g_main_loop_unref(s->main_loop);
    if (s->context)
        g_main_context_unref(s->context);
    free(s);
    return 0;
}

static void attach(struct stay *s, int priority, uint32_t max_items) {
    const kolk_guest_options options = {.size = sizeof options, .way = s->way, .max_items = max_items};
    assert_int_equal(kolk_glib_attach_full(s->f.loop, s->context, priority, &options, &s->guest, NULL), 0);
    assert_int_equal(kolk_guest_way(s->guest), s->way);
}

static gboolean quit(gpointer data) {
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

static void add_host_source(struct stay *s, GSource *source, int priority, GSourceFunc fn, gpointer data) {
    g_source_set_priority(source, priority);
    g_source_set_callback(source, fn, data, NULL);
    g_source_attach(source, s->context);
    g_source_unref(source);
}

/* Runs the host's loop for so long; what quits it is more urgent than anything. */
static void run_host(struct stay *s, guint duration_ms) {
    add_host_source(s, g_timeout_source_new(duration_ms), -1000, quit, s->main_loop);
    g_main_loop_run(s->main_loop);
}

static void put_byte(int fd) {
    if (write(fd, "x", 1) != 1)
        abort();
}

static void stop_host(void *userdata) { g_main_loop_quit(((struct stay *)userdata)->main_loop); }

/* Runs the host's loop until the task has ended. */
static void on_task_done(kolk_future *task, void *userdata) {
    (void)task;
    stop_host(userdata);
}

static void run_host_until_done(struct stay *s, kolk_task *task) {
    assert_int_equal(kolk_future_add_done_callback(kolk_task_as_future(task), on_task_done, s, NULL), 0);
    g_main_loop_run(s->main_loop);
    assert_int_equal(kolk_task_result(task, NULL), 0);
}

/* ---- another thread touches the context ---- */

enum { ROUNDS = 300, POSTS = 300 };

/* Counts how often GLib prepares and does not check before it prepares again. */
struct step_counter {
    GSource source;
    int prepared;
    int skipped;
};

static gboolean count_prepare(GSource *source, gint *timeout) {
    struct step_counter *self = (struct step_counter *)source;
    self->skipped += self->prepared;
    self->prepared = 1;
    *timeout = -1;
    return FALSE;
}

static gboolean count_check(GSource *source) {
    ((struct step_counter *)source)->prepared = 0;
    return FALSE;
}

static GSourceFuncs step_counter_funcs = {.prepare = count_prepare, .check = count_check};

struct meddler {
    GMainContext *context;
    pthread_t thread;
    int fd;
    int stop; /* Atomic. */
};

static gboolean never_called(gint fd, GIOCondition condition, gpointer data) {
    (void)fd;
    (void)condition;
    (void)data;
    return G_SOURCE_CONTINUE;
}

static void *meddle(void *userdata) {
    struct meddler *self = userdata;
    while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
        GSource *source = g_unix_fd_source_new(self->fd, G_IO_IN);
        g_source_set_callback(source, G_SOURCE_FUNC(never_called), NULL, NULL);
        g_source_attach(source, self->context);
        g_usleep(100);
        g_source_destroy(source);
        g_source_unref(source);
        g_usleep(100);
    }
    return NULL;
}

/* What must arrive in spite of it. */
struct arrivals {
    struct stay *stay;
    int early;    /* Timers before their time. */
    int received; /* Bytes. */
    int posted;   /* Calls from another thread, in order. */
    int disorder; /* Calls that were not. */
};

/* Each round is a timer, and a byte that another task waits for. */
static int sleep_and_send(void *userdata, void **ret_result) {
    struct arrivals *arrivals = userdata;
    kolk_loop *loop = arrivals->stay->f.loop;
    (void)ret_result;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t begin = kolk_loop_time(loop);
        int status = kolk_sleep(MS / 2);
        if (status < 0)
            return status;
        arrivals->early += kolk_loop_time(loop) - begin < MS / 2;
        put_byte(arrivals->stay->pair[0]);
    }
    return 0;
}

static void receive(void *userdata) {
    struct arrivals *arrivals = userdata;
    char bytes[64];
    ssize_t length = read(arrivals->stay->pair[1], bytes, sizeof bytes);
    arrivals->received += length > 0 ? (int)length : 0;
}

struct posted_call {
    struct arrivals *arrivals;
    int number;
};

static void count_post(void *userdata) {
    struct posted_call *call = userdata;
    call->arrivals->disorder += call->number != call->arrivals->posted;
    call->arrivals->posted++;
}

static void *post_often(void *userdata) {
    struct arrivals *arrivals = userdata;
    for (int i = 0; i < POSTS; i++) {
        struct posted_call *call = malloc(sizeof *call);
        *call = (struct posted_call){arrivals, i};
        kolk_loop_call_soon_threadsafe(arrivals->stay->f.loop, count_post, call, free);
        g_usleep(500);
    }
    return NULL;
}

static int everything_came(struct arrivals *arrivals) { return arrivals->received == ROUNDS && arrivals->posted == POSTS; }

static int wait_for_everything(void *userdata, void **ret_result) {
    (void)ret_result;
    int status = 0;
    while (status == 0 && !everything_came(userdata))
        status = kolk_sleep(MS);
    return status;
}

/* A thread attaches and destroys sources all the time. GLib then prepares again and again without a check; nothing of kolk's is
 * lost, early, or out of order. */
static void skipped_checks_lose_nothing(void **state) {
    struct stay *s = *state;
    struct arrivals arrivals = {.stay = s};
    int unused[2];
    open_pair(unused);
    struct meddler meddler = {.context = s->context, .fd = unused[0]};
    struct step_counter *steps = (struct step_counter *)g_source_new(&step_counter_funcs, sizeof *steps);
    pthread_t poster;
    g_source_attach(&steps->source, s->context);
    attach(s, G_PRIORITY_DEFAULT, 0);

    kolk_loop_add_reader(s->f.loop, s->pair[1], receive, &arrivals, NULL);
    kolk_task *sender = spawn_with(&s->f, sleep_and_send, &arrivals),
              *waiter = spawn_with(&s->f, wait_for_everything, &arrivals);
    assert_int_equal(pthread_create(&meddler.thread, NULL, meddle, &meddler), 0);
    assert_int_equal(pthread_create(&poster, NULL, post_often, &arrivals), 0);
    run_host_until_done(s, waiter);
    __atomic_store_n(&meddler.stop, 1, __ATOMIC_RELEASE);
    pthread_join(meddler.thread, NULL);
    pthread_join(poster, NULL);

    assert_int_equal(kolk_task_result(sender, NULL), 0);
    assert_int_equal(arrivals.early, 0);
    assert_int_equal(arrivals.disorder, 0);
    assert_true(steps->skipped > 0); /* or this has tested nothing */
    kolk_task_unref(sender);
    kolk_task_unref(waiter);
    g_source_destroy(&steps->source);
    g_source_unref(&steps->source);
    close_pair(unused);
}

/* ---- priorities ---- */

static gboolean count_host(gpointer data) {
    ++*(int *)data;
    return G_SOURCE_CONTINUE;
}

/* Ready in every iteration. */
static void add_busy_source(struct stay *s, int priority, GSourceFunc fn, gpointer data) {
    add_host_source(s, g_idle_source_new(), priority, fn, data);
}

/* At equal priority a host that is never done does not keep kolk from anything. */
static void a_busy_equal_takes_turns(void **state) {
    struct stay *s = *state;
    struct arrivals arrivals = {.stay = s, .posted = POSTS};
    int host = 0;
    attach(s, G_PRIORITY_DEFAULT, 0);
    add_busy_source(s, G_PRIORITY_DEFAULT, count_host, &host);
    kolk_loop_add_reader(s->f.loop, s->pair[1], receive, &arrivals, NULL);

    kolk_task *sender = spawn_with(&s->f, sleep_and_send, &arrivals),
              *waiter = spawn_with(&s->f, wait_for_everything, &arrivals);
    run_host_until_done(s, waiter);

    assert_int_equal(arrivals.received, ROUNDS);
    assert_true(host > ROUNDS);
    kolk_task_unref(sender);
    kolk_task_unref(waiter);
}

struct busy_guest {
    kolk_loop *loop;
    int calls;
};

static void call_again(void *userdata) {
    struct busy_guest *busy = userdata;
    busy->calls++;
    kolk_loop_call_soon(busy->loop, call_again, busy, NULL, NULL);
}

/* At equal priority a guest that is never done leaves the host its turn after each budget. */
static void a_busy_guest_takes_turns(void **state) {
    struct stay *s = *state;
    struct busy_guest busy = {.loop = s->f.loop};
    int host = 0;
    attach(s, G_PRIORITY_DEFAULT, 10);
    add_busy_source(s, G_PRIORITY_DEFAULT, count_host, &host);
    for (int i = 0; i < 100; i++)
        kolk_loop_call_soon(s->f.loop, call_again, &busy, NULL, NULL);

    run_host(s, 50);

    assert_true(busy.calls > 100);
    /* Three of kolk's ways into an iteration: a descriptor, the deadline, a post. */
    assert_in_range(busy.calls, 1, 3 * 10 * (host + 1));
}

/* Below a host that is never done kolk gets nothing, as GLib has it. When that ends, all of it comes, in order. */
static void below_a_busy_host_all_waits(void **state) {
    struct stay *s = *state;
    struct fixture *f = &s->f;
    int host = 0;
    attach(s, G_PRIORITY_LOW, 0);
    kolk_loop_call_later(f->loop, 2 * MS, say, word(f, "two"), NULL, NULL);
    kolk_loop_call_later(f->loop, 4 * MS, say, word(f, "four"), NULL, NULL);
    kolk_loop_call_later(f->loop, 3 * MS, say, word(f, "three"), NULL, NULL);

    GSource *busy = g_idle_source_new();
    g_source_ref(busy);
    add_host_source(s, busy, G_PRIORITY_DEFAULT, count_host, &host);
    run_host(s, 50);
    assert_record(f, "");

    kolk_loop_call_soon_threadsafe(f->loop, say, word(f, "posted"), NULL);
    run_host(s, 10);
    assert_record(f, "");

    g_source_destroy(busy);
    g_source_unref(busy);
    run_host(s, 10);
    const int posted_first = strcmp(f->record, "posted two three four") == 0;
    assert_string_equal(f->record, posted_first ? "posted two three four" : "two three four posted");
}

/* GTK draws at a priority like this one. A guest below it leaves it all the time it wants, and takes the rest. */
static void below_the_drawing_a_busy_guest_delays_no_frame(void **state) {
    enum { DRAWING = G_PRIORITY_HIGH_IDLE + 20, FRAMES = 10 };
    struct stay *s = *state;
    struct busy_guest busy = {.loop = s->f.loop};
    int frames = 0;
    attach(s, G_PRIORITY_DEFAULT_IDLE, 100);
    kolk_loop_call_soon(s->f.loop, call_again, &busy, NULL, NULL);

    add_host_source(s, g_timeout_source_new(5), DRAWING, count_host, &frames);
    for (int i = 0; i < 100 && frames < FRAMES; i++)
        run_host(s, 5);

    assert_true(frames >= FRAMES);
    assert_true(busy.calls > FRAMES);
}

/* ---- loops within loops ---- */

struct dialog {
    struct stay *stay;
    gboolean nesting;
    gboolean closed;
    int iterations; /* Of the context, while the dialog is shown. */
    int ticks;      /* Of kolk's timer, so far. */
    int ticks_inside;
    int received; /* Bytes, so far. */
    int received_inside;
};

static gboolean close_dialog(gpointer data) {
    ((struct dialog *)data)->closed = TRUE;
    return G_SOURCE_REMOVE;
}

static void tick(void *userdata) {
    struct dialog *dialog = userdata;
    dialog->ticks++;
    kolk_loop_call_later(dialog->stay->f.loop, MS, tick, dialog, NULL, NULL);
}

static void receive_in_dialog(void *userdata) {
    struct dialog *dialog = userdata;
    char byte;
    dialog->received += read(dialog->stay->pair[1], &byte, 1) == 1;
}

/* As gtk_dialog_run() did. The user closes it after 50 ms; meanwhile a byte comes in for kolk. */
static void show_dialog(void *userdata) {
    struct dialog *dialog = userdata;
    int ticks = dialog->ticks, received = dialog->received;
    add_host_source(dialog->stay, g_timeout_source_new(50), G_PRIORITY_DEFAULT, close_dialog, dialog);
    put_byte(dialog->stay->pair[0]);

    int before = kolk_loop_set_nesting(dialog->stay->f.loop, dialog->nesting);
    for (dialog->closed = FALSE; !dialog->closed; dialog->iterations++)
        g_main_context_iteration(dialog->stay->context, TRUE);
    kolk_loop_set_nesting(dialog->stay->f.loop, before);

    dialog->ticks_inside = dialog->ticks - ticks;
    dialog->received_inside = dialog->received - received;
    stop_host(dialog->stay);
}

static int show_dialog_in_task(void *userdata, void **ret_result) {
    (void)ret_result;
    show_dialog(userdata);
    return 0;
}

/* Begins a stay with a timer that ticks and a reader that receives. */
static void begin_with_dialog(struct dialog *dialog) {
    struct stay *s = dialog->stay;
    attach(s, G_PRIORITY_DEFAULT, 0);
    tick(dialog);
    kolk_loop_add_reader(s->f.loop, s->pair[1], receive_in_dialog, dialog, NULL);
}

/* Where nesting is not allowed, kolk stands still while a dialog is shown, and does not keep it busy. Afterwards it goes on. */
static void a_dialog_stops_kolk(void **state) {
    struct stay *s = *state;
    struct dialog dialog = {.stay = s};
    begin_with_dialog(&dialog);

    kolk_loop_call_soon(s->f.loop, show_dialog, &dialog, NULL, NULL);
    g_main_loop_run(s->main_loop);
    assert_int_equal(dialog.ticks_inside, 0);
    assert_int_equal(dialog.received_inside, 0);
    /* For each thing that has come, it may find out once that kolk is busy. */
    assert_in_range(dialog.iterations, 1, 20);

    int ticks = dialog.ticks;
    run_host(s, 20);
    assert_true(dialog.ticks > ticks);
    assert_int_equal(dialog.received, 1);
}

/* Where it is allowed, timers and descriptors go on. */
static void a_dialog_with_nesting_lets_kolk_go_on(void **state) {
    struct stay *s = *state;
    struct dialog dialog = {.stay = s, .nesting = TRUE};
    begin_with_dialog(&dialog);

    kolk_loop_call_soon(s->f.loop, show_dialog, &dialog, NULL, NULL);
    g_main_loop_run(s->main_loop);
    assert_true(dialog.ticks_inside > 3);
    assert_int_equal(dialog.received_inside, 1);

    int ticks = dialog.ticks;
    run_host(s, 20);
    assert_true(dialog.ticks > ticks);
}

/* The same from inside a task; what GLib calls runs on the task's stack then. */
static void a_task_may_show_a_dialog(void **state) {
    struct stay *s = *state;
    struct dialog dialog = {.stay = s, .nesting = TRUE};
    begin_with_dialog(&dialog);

    kolk_task *task = spawn_with(&s->f, show_dialog_in_task, &dialog);
    run_host_until_done(s, task);
    assert_true(dialog.ticks_inside > 3);
    assert_int_equal(dialog.received_inside, 1);
    kolk_task_unref(task);
}

/* A dialog of the host's own, outside of any callback of kolk's, does not matter to kolk at all. */
static gboolean show_host_dialog(gpointer data) {
    show_dialog(data);
    return G_SOURCE_REMOVE;
}

static void a_dialog_of_the_host_needs_no_nesting(void **state) {
    struct stay *s = *state;
    struct dialog dialog = {.stay = s};
    begin_with_dialog(&dialog);

    add_host_source(s, g_idle_source_new(), G_PRIORITY_DEFAULT, show_host_dialog, &dialog);
    g_main_loop_run(s->main_loop);
    assert_true(dialog.ticks_inside > 3);
    assert_int_equal(dialog.received_inside, 1);
}

/* ---- the context itself ---- */

/* A program that drops its context before its loop has only lost the context. */
static void the_context_may_go_first(void **state) {
    struct stay *s = *state;
    attach(s, G_PRIORITY_DEFAULT, 0);
    run_host(s, 1);
    g_main_loop_unref(s->main_loop);
    g_main_context_unref(s->context);
    s->main_loop = NULL;
    s->context = NULL;

    kolk_loop_add_reader(s->f.loop, s->pair[1], say, word(&s->f, "never"), NULL);
    kolk_loop_call_soon(s->f.loop, say, word(&s->f, "never"), NULL, NULL);
    kolk_loop_call_later(s->f.loop, 0, say, word(&s->f, "never"), NULL, NULL);
    put_byte(s->pair[0]);
    assert_int_equal(kolk_loop_close(s->f.loop), 0);
    assert_record(&s->f, "");
}

/* NULL is the default context. */
static void null_is_the_default_context(void **state) {
    struct stay *s = *state;
    const kolk_guest_options options = {.size = sizeof options, .way = s->way};
    assert_int_equal(kolk_glib_attach(s->f.loop, NULL, &options, &s->guest, NULL), 0);
    kolk_loop_call_later(s->f.loop, MS, say, word(&s->f, "here"), NULL, NULL);
    while (!s->f.recorded)
        g_main_context_iteration(NULL, TRUE);
    assert_record(&s->f, "here");
}

static void *hold_context(void *userdata) {
    struct stay *s = userdata;
    g_main_loop_run(s->main_loop);
    return NULL;
}

/* kolk's thread and the context's are the same, or attaching fails and says why. */
static void a_context_of_another_thread_is_refused(void **state) {
    struct stay *s = *state;
    const kolk_guest_options options = {.size = sizeof options, .way = s->way};
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_context, s), 0);
    while (!g_main_loop_is_running(s->main_loop))
        g_usleep(1000);
    while (g_main_context_acquire(s->context)) {
        g_main_context_release(s->context);
        g_usleep(1000);
    }

    int status = kolk_glib_attach(s->f.loop, s->context, &options, &guest, &error);

    g_main_loop_quit(s->main_loop);
    pthread_join(thread, NULL);
    assert_int_equal(status, KOLK_ETHREAD);
    assert_null(guest);
    assert_string_equal(kolk_error_message(error), "the GMainContext is being iterated by another thread");
    kolk_error_unref(error);
}

static void *iterate_here(void *userdata) {
    struct stay *s = userdata;
    for (int i = 0; i < 20; i++) {
        g_main_context_iteration(s->context, FALSE);
        g_usleep(500);
    }
    return NULL;
}

/* What another thread comes upon when it iterates the context now and then, it leaves for kolk's own thread. */
static void what_another_thread_comes_upon_is_not_lost(void **state) {
    struct stay *s = *state;
    struct arrivals arrivals = {.stay = s};
    struct posted_call call = {.arrivals = &arrivals};
    pthread_t thread;
    attach(s, G_PRIORITY_DEFAULT, 0);
    kolk_loop_add_reader(s->f.loop, s->pair[1], receive, &arrivals, NULL);
    kolk_loop_call_later(s->f.loop, MS, say, word(&s->f, "timer"), NULL, NULL);
    kolk_loop_call_soon_threadsafe(s->f.loop, count_post, &call, NULL);
    put_byte(s->pair[0]);

    assert_int_equal(pthread_create(&thread, NULL, iterate_here, s), 0);
    pthread_join(thread, NULL);
    assert_int_equal(arrivals.received + arrivals.posted, 0);
    assert_record(&s->f, "");

    run_host(s, 10);
    assert_int_equal(arrivals.received, 1);
    assert_int_equal(arrivals.posted, 1);
    assert_record(&s->f, "timer");
}

/* ---- all of them, in each way ---- */

static const struct rule rules[] = {
    RULE(skipped_checks_lose_nothing),
    RULE(a_busy_equal_takes_turns),
    RULE(a_busy_guest_takes_turns),
    RULE(below_a_busy_host_all_waits),
    RULE(below_the_drawing_a_busy_guest_delays_no_frame),
    RULE(a_dialog_stops_kolk),
    RULE(a_dialog_with_nesting_lets_kolk_go_on),
    RULE(a_task_may_show_a_dialog),
    RULE(a_dialog_of_the_host_needs_no_nesting),
    RULE(the_context_may_go_first),
    RULE(null_is_the_default_context),
    RULE(a_context_of_another_thread_is_refused),
    RULE(what_another_thread_comes_upon_is_not_lost),
};

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        uint32_t way;
    } ways[] = {{"handle", KOLK_GUEST_HANDLE}, {"thread", KOLK_GUEST_THREAD}, {"reactor", KOLK_GUEST_REACTOR}};
    static struct CMUnitTest tests[COUNT(ways) * COUNT(rules)];
    static char names[COUNT(tests)][96];
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (size_t i = 0; i < COUNT(tests); i++) {
        const struct rule *rule = &rules[i % COUNT(rules)];
        snprintf(names[i], sizeof names[i], "%s: %s", ways[i / COUNT(rules)].name, rule->name);
        tests[i] =
            (struct CMUnitTest){names[i], rule->check, open_stay, close_stay, (void *)(uintptr_t)ways[i / COUNT(rules)].way};
    }
    return cmocka_run_group_tests_name("glib", tests, NULL, NULL);
}
