/* Delegation: a coroutine lets whoever drives it talk to another one, through any number of levels. Python's `yield from`. */
#include "support/driver.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEVELS = 1000, STACK = 32 * 1024 };

static void *number(intptr_t value) { return (void *)value; }

/* One level of a chain. The last one, without a level below, does what its body says. */
struct level {
    struct fixture *f;
    const char *name;
    kolk_coroutine_fn fn;
    struct level *below;
    kolk_coroutine *self;
    void *frame; /* Where on its stack its body runs. */
    int entered;
    int left;
};

static kolk_coroutine *make(struct fixture *f, kolk_coroutine_fn fn, void *userdata) {
    kolk_coroutine *made = NULL;
    assert_int_equal(kolk_coroutine_new(f->loop, fn, userdata, NULL, STACK, &made), 0);
    return made;
}

/* Resumes it with a value, and asserts that it yields this one. */
static void assert_sends(kolk_coroutine *coroutine, void *sent, const char *expected) {
    void *value = NULL;
    assert_int_equal(kolk_coroutine_send(coroutine, sent, &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, expected);
}

/* Delegates to the level below, says how that ended, and passes it on. */
static int delegate(void *userdata, void **ret_result) {
    struct level *self = userdata;
    self->entered++;
    self->frame = __builtin_frame_address(0);
    void *result = NULL;
    int status = kolk_yield_from(self->below->self, &result);
    self->left++;
    if (self->name)
        record(self->f, "%s(%s)", self->name, status == 0 ? (char *)result : kolk_status_name(status));
    *ret_result = result;
    return status;
}

/* Makes a chain of the levels, outermost first, each of which delegates to the next. */
static kolk_coroutine *make_chain(struct fixture *f, struct level *levels, size_t count, kolk_coroutine_fn innermost) {
    for (size_t i = 0; i < count; i++) {
        levels[i].f = f;
        levels[i].fn = i + 1 < count ? delegate : innermost;
        levels[i].below = i + 1 < count ? &levels[i + 1] : NULL;
        levels[i].self = make(f, levels[i].fn, &levels[i]);
    }
    return levels[0].self;
}

static void drop_chain(struct level *levels, size_t count) {
    for (size_t i = 0; i < count; i++)
        levels[i].self = kolk_coroutine_unref(levels[i].self);
}

/* Yields what it is sent, until an error is thrown in that it does not expect. */
static int echo(void *userdata, void **ret_result) {
    struct level *self = userdata;
    void *sent = "ready";
    self->entered++;
    for (;;) {
        void *next = NULL;
        int status = kolk_yield(sent ? sent : "nothing", &next);
        if (status == KOLK_ENOENT) {
            record(self->f, "caught(%s)", kolk_error_message(kolk_raised()));
            next = "caught";
        } else if (status < 0) {
            record(self->f, "echo(%s)", kolk_status_name(status));
            self->left++;
            return status;
        }
        sent = next;
        if (sent && strcmp(sent, "end") == 0) {
            self->left++;
            *ret_result = "the end";
            return 0;
        }
    }
}

static int yield_before_and_after(void *userdata, void **ret_result) {
    struct level *self = userdata;
    void *result = NULL;
    int status = kolk_yield("before", NULL);
    if (status == 0)
        status = kolk_yield_from(self->below->self, &result);
    record(self->f, "%s", (char *)result);
    if (status == 0)
        status = kolk_yield("after", NULL);
    *ret_result = "outer result";
    return status;
}

/* What the inner one yields comes out of the outer one, between what that yields itself; its return value stays inside. */
static void values_come_out_of_the_outer_one(void **state) {
    struct fixture *f = *state;
    struct level inner = {.f = f}, outer = {.f = f, .below = &inner};
    inner.self = make(f, echo, &inner);
    outer.self = make(f, yield_before_and_after, &outer);
    assert_sends(outer.self, NULL, "before");
    assert_int_equal(kolk_coroutine_get_state(inner.self), KOLK_COROUTINE_CREATED);
    assert_sends(outer.self, NULL, "ready");
    assert_sends(outer.self, NULL, "nothing");
    assert_sends(outer.self, "end", "after");
    assert_record(f, "the end");
    assert_int_equal(kolk_coroutine_get_state(inner.self), KOLK_COROUTINE_CLOSED);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(outer.self, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "outer result");
    kolk_coroutine_unref(outer.self);
    kolk_coroutine_unref(inner.self);
}

/* What is sent goes to the inner one. */
static void what_is_sent_goes_to_the_inner_one(void **state) {
    struct fixture *f = *state;
    struct level chain[2] = {{.name = "outer"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    assert_sends(outer, NULL, "ready");
    assert_sends(outer, "tea", "tea");
    assert_sends(outer, "milk", "milk");
    assert_record(f, "");
    assert_int_equal(kolk_coroutine_send(outer, "end", NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "outer(the end)");
    drop_chain(chain, COUNT(chain));
}

/* What is thrown goes to the inner one with its words, and the outer one does not hear of what that one catches. */
static void what_is_thrown_goes_to_the_inner_one(void **state) {
    struct fixture *f = *state;
    struct level chain[2] = {{.name = "outer"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    kolk_error *error = NULL;
    void *value = NULL;
    assert_sends(outer, NULL, "ready");
    assert_int_equal(kolk_error_new(KOLK_ENOENT, "no such cup", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_throw(outer, error, &value), KOLK_COROUTINE_YIELDED);
    kolk_error_unref(error);
    assert_string_equal(value, "caught");
    assert_record(f, "caught(no such cup)");
    drop_chain(chain, COUNT(chain));
}

/* What the inner one does not catch is the outer one's to catch: the same error, innermost first. */
static void an_error_unwinds_level_by_level(void **state) {
    struct fixture *f = *state;
    struct level chain[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    kolk_error *error = NULL;
    assert_sends(outer, NULL, "ready");
    assert_int_equal(kolk_error_new(KOLK_EPIPE, "thrown", NULL, &error), 0);
    assert_int_equal(kolk_coroutine_throw(outer, error, NULL), KOLK_EPIPE);
    assert_record(f, "echo(KOLK_EPIPE) c(KOLK_EPIPE) b(KOLK_EPIPE) a(KOLK_EPIPE)");
    for (size_t i = 0; i < COUNT(chain); i++) {
        assert_int_equal(kolk_coroutine_get_state(chain[i].self), KOLK_COROUTINE_CLOSED);
        assert_ptr_equal(kolk_coroutine_error(chain[i].self), error);
    }
    kolk_error_unref(error);
    drop_chain(chain, COUNT(chain));
}

static int catch_and_go_on(void *userdata, void **ret_result) {
    struct level *self = userdata;
    int status = kolk_yield_from(self->below->self, NULL);
    record(self->f, "%s: %s", kolk_status_name(status), kolk_error_message(kolk_raised()));
    status = kolk_yield("recovered", NULL);
    *ret_result = "done";
    return status;
}

static int fail_with_words(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    kolk_error *error = NULL;
    kolk_error_new(KOLK_EREFUSED, "port 81 refused", NULL, &error);
    return kolk_raise(error);
}

/* The outer one may catch the failure of the inner one, has its words, and goes on. */
static void the_outer_one_may_catch_a_failure(void **state) {
    struct fixture *f = *state;
    struct level inner = {.f = f}, outer = {.f = f, .below = &inner};
    inner.self = make(f, fail_with_words, &inner);
    outer.self = make(f, catch_and_go_on, &outer);
    assert_sends(outer.self, NULL, "recovered");
    assert_record(f, "KOLK_EREFUSED: port 81 refused");
    assert_int_equal(kolk_coroutine_next(outer.self, NULL), KOLK_COROUTINE_RETURNED);
    kolk_coroutine_unref(outer.self);
    kolk_coroutine_unref(inner.self);
}

/* Closing the outer one ends the inner one first, and each level cleans up. */
static void closing_ends_the_innermost_first(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = "a"}, {.name = "b"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    assert_sends(outer, NULL, "ready");
    assert_int_equal(kolk_coroutine_close(outer), 0);
    assert_record(f, "echo(KOLK_ECANCELED) b(KOLK_ECANCELED) a(KOLK_ECANCELED)");
    for (size_t i = 0; i < COUNT(chain); i++)
        assert_int_equal(kolk_coroutine_get_state(chain[i].self), KOLK_COROUTINE_CLOSED);
    drop_chain(chain, COUNT(chain));
}

static int refuse_once(void *userdata, void **ret_result) {
    struct level *self = userdata;
    (void)ret_result;
    if (kolk_yield("working", NULL) < 0)
        record(self->f, "not yet=%s", kolk_status_name(kolk_yield("still here", NULL)));
    return KOLK_ECANCELED;
}

/* When the inner one yields instead of ending, closing the outer one is refused; both can be closed again. */
static void a_yield_during_close_is_an_error_of_all(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = "a"}, {.name = "b"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), refuse_once);
    assert_sends(outer, NULL, "working");
    assert_int_equal(kolk_coroutine_close(outer), KOLK_EYIELD);
    for (size_t i = 0; i < COUNT(chain); i++)
        assert_int_equal(kolk_coroutine_get_state(chain[i].self), KOLK_COROUTINE_SUSPENDED);
    assert_record(f, "");
    assert_int_equal(kolk_coroutine_close(outer), 0);
    assert_record(f, "not yet=KOLK_ECANCELED b(KOLK_ECANCELED) a(KOLK_ECANCELED)");
    drop_chain(chain, COUNT(chain));
}

static int return_when_closed(void *userdata, void **ret_result) {
    (void)userdata;
    kolk_yield("working", NULL);
    *ret_result = "in time";
    return 0;
}

static int go_on_after_the_inner_one(void *userdata, void **ret_result) {
    struct level *self = userdata;
    int status = kolk_yield_from(self->below->self, ret_result);
    record(self->f, "%s", kolk_status_name(status));
    return status == 0 ? kolk_yield("more", NULL) : status;
}

/* An inner one may return when it is closed, and has ended well; the outer one is told to end all the same. */
static void an_inner_one_may_return_when_it_is_closed(void **state) {
    struct fixture *f = *state;
    struct level inner = {.f = f}, outer = {.f = f, .below = &inner};
    inner.self = make(f, return_when_closed, &inner);
    outer.self = make(f, go_on_after_the_inner_one, &outer);
    assert_sends(outer.self, NULL, "working");
    assert_int_equal(kolk_coroutine_close(outer.self), 0);
    assert_record(f, "KOLK_ECANCELED");
    assert_int_equal(kolk_coroutine_get_state(inner.self), KOLK_COROUTINE_CLOSED);
    assert_null(kolk_coroutine_error(inner.self));
    kolk_coroutine_unref(outer.self);
    kolk_coroutine_unref(inner.self);
}

/* Dropping the last reference to the outermost one closes from the innermost on. */
static void dropping_the_outermost_closes_all(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = "a"}, {.name = "b"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    assert_sends(outer, NULL, "ready");
    for (size_t i = 1; i < COUNT(chain); i++)
        chain[i].self = kolk_coroutine_unref(chain[i].self);
    assert_record(f, "");
    assert_sends(outer, "tea", "tea");
    assert_null(kolk_coroutine_unref(outer));
    assert_record(f, "echo(KOLK_ECANCELED) b(KOLK_ECANCELED) a(KOLK_ECANCELED)");
}

static int drop_oneself(void *userdata, void **ret_result) {
    struct level *self = userdata;
    self->self = kolk_coroutine_unref(self->self);
    int status = kolk_yield("alive", NULL);
    *ret_result = "well";
    return status;
}

/* The inner one is kept alive by who delegates to it, and its userdata destroyed when that is over. */
static void delegating_keeps_the_inner_one_alive(void **state) {
    struct fixture *f = *state;
    struct level chain[2] = {{.name = "a"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), drop_oneself);
    assert_sends(outer, NULL, "alive");
    assert_null(chain[1].self);
    assert_int_equal(kolk_coroutine_next(outer, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "a(well)");
    kolk_coroutine_unref(outer);
}

/* One that was driven by hand before goes on where it stands. */
static void an_inner_one_may_have_been_started_before(void **state) {
    struct fixture *f = *state;
    struct level chain[2] = {{.name = "a"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo);
    assert_sends(chain[1].self, NULL, "ready");
    assert_sends(chain[1].self, "one", "one");
    assert_sends(outer, NULL, "nothing");
    assert_sends(outer, "two", "two");
    drop_chain(chain, COUNT(chain));
}

/* A chain that was put together from its inner end works as one that grew from the outer end. */
static void a_chain_may_be_put_together_from_inside(void **state) {
    struct fixture *f = *state;
    struct level chain[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    make_chain(f, chain, COUNT(chain), echo);
    assert_sends(chain[3].self, NULL, "ready");
    for (int i = 2; i >= 0; i--)
        assert_sends(chain[i].self, NULL, "nothing");
    assert_sends(chain[0].self, "tea", "tea");
    assert_int_equal(kolk_coroutine_send(chain[0].self, "end", NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "c(the end) b(the end) a(the end)");
    drop_chain(chain, COUNT(chain));
}

/* ---- A thousand levels ---- */

/* Values, sends, throws and the return value pass through a thousand levels; none of the bodies between is entered for it. */
static void a_thousand_levels_are_one_channel(void **state) {
    struct fixture *f = *state;
    struct level *chain = calloc(LEVELS, sizeof *chain);
    kolk_coroutine *outer = make_chain(f, chain, LEVELS, echo);
    assert_sends(outer, NULL, "ready");
    for (int i = 0; i < 100; i++)
        assert_sends(outer, "tea", "tea");
    void *value = NULL;
    assert_int_equal(kolk_coroutine_throw(outer, kolk_error_of(KOLK_ENOENT), &value), KOLK_COROUTINE_YIELDED);
    assert_string_equal(value, "caught");
    for (int i = 0; i < LEVELS; i++) {
        assert_int_equal(chain[i].entered, 1);
        assert_int_equal(chain[i].left, 0);
    }
    assert_int_equal(kolk_coroutine_send(outer, "end", &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "the end");
    for (int i = 0; i < LEVELS; i++)
        assert_int_equal(chain[i].left, 1);
    drop_chain(chain, LEVELS);
    free(chain);
}

/* Closing ends a thousand levels; an error unwinds through all of them and is still the same; so does the last unref. */
static void a_thousand_levels_end_together(void **state) {
    struct fixture *f = *state;
    struct level *chain = calloc(LEVELS, sizeof *chain);
    for (int way = 0; way < 3; way++) {
        memset(chain, 0, LEVELS * sizeof *chain);
        kolk_coroutine *outer = make_chain(f, chain, LEVELS, echo);
        assert_sends(outer, NULL, "ready");
        if (way == 0) {
            assert_int_equal(kolk_coroutine_close(outer), 0);
        } else if (way == 1) {
            kolk_error *error = NULL;
            assert_int_equal(kolk_error_new(KOLK_EPIPE, "from afar", NULL, &error), 0);
            assert_int_equal(kolk_coroutine_throw(outer, error, NULL), KOLK_EPIPE);
            assert_ptr_equal(kolk_coroutine_error(outer), error);
            kolk_error_unref(error);
        } else {
            for (int i = 1; i < LEVELS; i++)
                chain[i].self = kolk_coroutine_unref(chain[i].self);
            chain[0].self = kolk_coroutine_unref(chain[0].self);
        }
        for (int i = 0; i < LEVELS; i++)
            assert_int_equal(chain[i].left, 1);
        drop_chain(chain, LEVELS);
    }
    free(chain);
}

/* Pages of the levels between are taken away, and given back when something touches them: that is counted. */
static struct {
    char *pages[LEVELS];
    size_t page_size;
    int taken;
    volatile int touched;
    struct sigaction before[2];
    char stack[64 * 1024];
} watch;

static void give_back(int signal, siginfo_t *info, void *context) {
    (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(watch.page_size - 1));
    for (int i = 0; i < watch.taken; i++) {
        if (watch.pages[i] == page) {
            watch.touched++;
            mprotect(page, watch.page_size, PROT_READ | PROT_WRITE);
            return;
        }
    }
    sigaction(signal, &watch.before[signal == SIGBUS], NULL);
}

static void take_pages(const struct level *levels, int count) {
    watch.page_size = (size_t)sysconf(_SC_PAGESIZE);
    watch.touched = 0;
    stack_t handler_stack = {.ss_sp = watch.stack, .ss_size = sizeof watch.stack};
    assert_int_equal(sigaltstack(&handler_stack, NULL), 0);
    struct sigaction action = {.sa_sigaction = give_back, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &watch.before[0]);
    sigaction(SIGBUS, &action, &watch.before[1]);
    for (watch.taken = 0; watch.taken < count; watch.taken++)
        watch.pages[watch.taken] = (char *)((uintptr_t)levels[watch.taken].frame & ~(uintptr_t)(watch.page_size - 1));
    for (int i = 0; i < count; i++)
        assert_int_equal(mprotect(watch.pages[i], watch.page_size, PROT_NONE), 0);
}

/* Returns how many pages were touched. */
static int give_pages_back(void) {
    for (int i = 0; i < watch.taken; i++)
        assert_int_equal(mprotect(watch.pages[i], watch.page_size, PROT_READ | PROT_WRITE), 0);
    sigaction(SIGSEGV, &watch.before[0], NULL);
    sigaction(SIGBUS, &watch.before[1], NULL);
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    return watch.touched;
}

/* How many of the levels between the outermost and the innermost are touched by resuming ten times in every way. */
static int count_touched(struct fixture *f, int levels) {
    struct level *chain = calloc((size_t)levels, sizeof *chain);
    void *values[10] = {NULL}, *caught = NULL;
    kolk_coroutine *outer = make_chain(f, chain, (size_t)levels, echo);
    assert_sends(outer, NULL, "ready");
    assert_sends(outer, "tea", "tea");
    take_pages(&chain[1], levels - 2);
    for (size_t i = 0; i < COUNT(values); i++)
        kolk_coroutine_send(outer, "tea", &values[i]);
    kolk_coroutine_throw(outer, kolk_error_of(KOLK_ENOENT), &caught);
    int touched = give_pages_back();
    for (size_t i = 0; i < COUNT(values); i++)
        assert_string_equal(values[i], "tea");
    assert_string_equal(caught, "caught");
    drop_chain(chain, (size_t)levels);
    free(chain);
    return touched;
}

/* Resuming through a thousand levels touches as much memory of those between as through eight: it costs the same. */
static void resuming_costs_the_same_at_any_depth(void **state) {
    struct fixture *f = *state;
    int few = count_touched(f, 8);
    assert_true(few < 6); /* Not all of them. */
    assert_int_equal(count_touched(f, LEVELS), few);
}

/* ---- What is refused ---- */

struct refusal {
    struct fixture *f;
    kolk_coroutine *sub;
};

static int try_once(void *userdata, void **ret_result) {
    struct refusal *self = userdata;
    record(self->f, "%s", kolk_status_name(kolk_yield_from(self->sub, ret_result)));
    return 0;
}

/* Delegates where nobody can, and returns the word for it. */
static void assert_refused(struct fixture *f, kolk_coroutine *sub, const char *expected) {
    struct refusal refusal = {.f = f, .sub = sub};
    kolk_coroutine *trying = make(f, try_once, &refusal);
    clear_record(f);
    assert_int_equal(kolk_coroutine_next(trying, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, expected);
    kolk_coroutine_unref(trying);
}

/* Outside of a coroutine nobody can delegate. */
static void only_a_coroutine_delegates(void **state) {
    struct fixture *f = *state;
    struct level inner = {.f = f};
    inner.self = make(f, echo, &inner);
    assert_int_equal(kolk_yield_from(inner.self, NULL), KOLK_ENOTASK);
    assert_int_equal(kolk_coroutine_get_state(inner.self), KOLK_COROUTINE_CREATED);
    kolk_coroutine_unref(inner.self);
}

/* One that has ended is refused, as is none at all. */
static void an_ended_one_is_refused(void **state) {
    struct fixture *f = *state;
    struct level inner = {.f = f};
    inner.self = make(f, echo, &inner);
    assert_int_equal(kolk_coroutine_close(inner.self), 0);
    assert_refused(f, inner.self, "KOLK_EEXITED");
    assert_refused(f, NULL, "KOLK_EINVAL");
    kolk_coroutine_unref(inner.self);
}

/* One that is delegated to already is busy, for delegation and for being resumed by hand, until that is over. */
static void one_that_is_delegated_to_is_busy(void **state) {
    struct fixture *f = *state;
    struct level chain[2] = {{.name = NULL}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), echo), *inner = chain[1].self;
    assert_sends(outer, NULL, "ready");
    assert_refused(f, inner, "KOLK_EBUSY");
    assert_int_equal(kolk_coroutine_next(inner, NULL), KOLK_EBUSY);
    assert_int_equal(kolk_coroutine_send(inner, "tea", NULL), KOLK_EBUSY);
    assert_int_equal(kolk_coroutine_throw(inner, kolk_error_of(KOLK_EIO), NULL), KOLK_EBUSY);
    assert_int_equal(kolk_coroutine_close(inner), KOLK_EBUSY);
    assert_sends(outer, "tea", "tea");
    assert_int_equal(kolk_coroutine_send(outer, "end", NULL), KOLK_COROUTINE_RETURNED);
    assert_refused(f, inner, "KOLK_EEXITED");
    drop_chain(chain, COUNT(chain));
}

static int delegate_upwards(void *userdata, void **ret_result) {
    struct level *self = userdata;
    (void)ret_result;
    record(self->f, "self=%s", kolk_status_name(kolk_yield_from(self->self, NULL)));
    record(self->f, "above=%s", kolk_status_name(kolk_yield_from(self[-1].self, NULL)));
    record(self->f, "top=%s", kolk_status_name(kolk_yield_from(self[-2].self, NULL)));
    record(self->f, "states %d %d %d", kolk_coroutine_get_state(self[-2].self), kolk_coroutine_get_state(self[-1].self),
           kolk_coroutine_get_state(self->self));
    record(self->f, "current %d", kolk_coroutine_current() == self->self);
    return 0;
}

/* Nobody delegates to himself or to one that waits for him: they are all running. */
static void running_ones_are_refused(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = NULL}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), delegate_upwards);
    assert_int_equal(kolk_coroutine_next(outer, NULL), KOLK_COROUTINE_RETURNED);
    assert_record(f, "self=KOLK_EBUSY above=KOLK_EBUSY top=KOLK_EBUSY states 1 1 1 current 1");
    drop_chain(chain, COUNT(chain));
}

/* One of another loop is refused. */
static void one_of_another_loop_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_loop *other = NULL;
    struct level inner = {.f = f};
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    assert_int_equal(kolk_coroutine_new(other, echo, &inner, NULL, 0, &inner.self), 0);
    assert_refused(f, inner.self, "KOLK_EINVAL");
    assert_int_equal(kolk_coroutine_get_state(inner.self), KOLK_COROUTINE_CREATED);
    kolk_coroutine_unref(inner.self);
    kolk_loop_unref(other);
}

/* ---- With futures and tasks ---- */

static int await_future(void *userdata, void **ret_result) { return kolk_await(userdata, ret_result); }

static int delegate_once(void *userdata, void **ret_result) { return kolk_yield_from(userdata, ret_result); }

/* Outside of tasks, what the inner one awaits comes out of the outer one like a value. */
static void what_the_inner_one_awaits_is_told_to_whoever_drives(void **state) {
    struct fixture *f = *state;
    kolk_future *future = new_future(f);
    kolk_coroutine *inner = make(f, await_future, future), *outer = make(f, delegate_once, inner);
    void *value = NULL;
    assert_int_equal(kolk_coroutine_next(outer, &value), KOLK_COROUTINE_AWAITING);
    assert_ptr_equal(value, future);
    assert_int_equal(kolk_future_set_result(future, "tea", NULL), 0);
    assert_int_equal(kolk_coroutine_next(outer, &value), KOLK_COROUTINE_RETURNED);
    assert_string_equal(value, "tea");
    kolk_coroutine_unref(outer);
    kolk_coroutine_unref(inner);
    kolk_future_unref(future);
}

static int sleep_then_return(void *userdata, void **ret_result) {
    struct level *self = userdata;
    int status = kolk_sleep(MS);
    record(self->f, "slept(%s)", kolk_status_name(status));
    *ret_result = "tea";
    return status;
}

/* Inside a task delegating is awaiting: the task waits for what the inner one waits for, and others run meanwhile. */
static void a_task_awaits_by_delegating(void **state) {
    struct fixture *f = *state;
    struct level chain[4] = {{.name = "task"}, {.name = "b"}, {.name = "c"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), sleep_then_return);
    kolk_task *task = spawn_with(f, delegate_once, outer);
    drive_once(f);
    assert_record(f, "");
    drive_until(f, kolk_task_as_future(task));
    void *result = NULL;
    assert_int_equal(kolk_task_result(task, &result), 0);
    assert_string_equal(result, "tea");
    assert_record(f, "slept(KOLK_OK) c(tea) b(tea) task(tea)");
    kolk_task_unref(task);
    drop_chain(chain, COUNT(chain));
}

/* A task that is cancelled hears of it in its innermost coroutine, and ends level by level. */
static void cancelling_a_task_reaches_the_innermost(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = "a"}, {.name = "b"}};
    kolk_coroutine *outer = make_chain(f, chain, COUNT(chain), sleep_then_return);
    kolk_task *task = spawn_with(f, delegate_once, outer);
    drive_once(f);
    assert_int_equal(kolk_task_cancel(task), 1);
    assert_int_equal(join(f, task), KOLK_ECANCELED);
    assert_record(f, "slept(KOLK_ECANCELED) b(KOLK_ECANCELED) a(KOLK_ECANCELED)");
    drop_chain(chain, COUNT(chain));
}

static int yield_and_return_status(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    return kolk_yield("for nobody", NULL);
}

/* A value that is yielded inside a task has nowhere to go. */
static void a_yield_inside_a_task_is_refused(void **state) {
    struct fixture *f = *state;
    kolk_coroutine *inner = make(f, yield_and_return_status, NULL);
    assert_int_equal(run_task(f, delegate_once, inner), KOLK_EYIELD);
    kolk_coroutine_unref(inner);
}

static int consume_from_a_task(void *userdata, void **ret_result) {
    struct level *self = userdata;
    void *value = NULL;
    int step;
    while ((step = kolk_coroutine_next(self->self, &value)) == KOLK_COROUTINE_YIELDED)
        record(self->f, "got(%s)", (char *)value);
    *ret_result = value;
    return step;
}

static int sleep_and_yield(void *userdata, void **ret_result) {
    (void)userdata;
    int status = kolk_yield("one", NULL);
    if (status == 0)
        status = kolk_sleep(MS);
    if (status == 0)
        status = kolk_yield("two", NULL);
    *ret_result = "end";
    return status;
}

/* A task may drive by hand a coroutine that delegates; what the innermost awaits, the task waits for. */
static void a_task_drives_one_that_delegates(void **state) {
    struct fixture *f = *state;
    struct level chain[3] = {{.name = "a"}, {.name = "b"}};
    make_chain(f, chain, COUNT(chain), sleep_and_yield);
    kolk_task *task = spawn_with(f, consume_from_a_task, &chain[0]);
    drive_until(f, kolk_task_as_future(task));
    assert_int_equal(join(f, task), 0);
    assert_record(f, "got(one) got(two) b(end) a(end)");
    drop_chain(chain, COUNT(chain));
}

/* ---- To other kinds ---- */

struct counting_state {
    kolk_step step;
    struct fixture *f;
    intptr_t n;
};

/* Adds up what it is sent, beginning with ten. */
static int add_up(void *state, void **ret_value) {
    struct counting_state *self = state;
    KOLK_STEP_BEGIN(&self->step);
    for (self->n = 10; self->n < 100; self->n += (intptr_t)*ret_value) {
        KOLK_STEP_YIELD(&self->step, ret_value, number(self->n));
        if (self->step.status < 0) {
            record(self->f, "step(%s)", kolk_status_name(self->step.status));
            return self->step.status;
        }
    }
    *ret_value = number(self->n);
    KOLK_STEP_END(&self->step);
}

static int delegate_number(void *userdata, void **ret_result) {
    struct level *self = userdata;
    int status = kolk_yield_from(self->below->self, ret_result);
    record(self->f, "%s(%s)", self->name, kolk_status_name(status));
    return status;
}

/* Delegating works alike to a coroutine without a stack. */
static void a_step_coroutine_can_be_delegated_to(void **state) {
    struct fixture *f = *state;
    struct counting_state counting = {.f = f};
    struct level inner = {.f = f}, outer = {.f = f, .name = "fiber", .below = &inner};
    void *value = NULL;
    for (int closes = 0; closes < 2; closes++) {
        assert_int_equal(kolk_step_coroutine_new(f->loop, add_up, &counting, sizeof counting, NULL, &inner.self), 0);
        outer.self = make(f, delegate_number, &outer);
        assert_int_equal(kolk_coroutine_next(outer.self, &value), KOLK_COROUTINE_YIELDED);
        assert_int_equal((intptr_t)value, 10);
        assert_int_equal(kolk_coroutine_send(outer.self, number(20), &value), KOLK_COROUTINE_YIELDED);
        assert_int_equal((intptr_t)value, 30);
        if (closes) {
            assert_int_equal(kolk_coroutine_close(outer.self), 0);
        } else {
            assert_int_equal(kolk_coroutine_send(outer.self, number(70), &value), KOLK_COROUTINE_RETURNED);
            assert_int_equal((intptr_t)value, 100);
        }
        kolk_coroutine_unref(outer.self);
        kolk_coroutine_unref(inner.self);
    }
    assert_record(f, "fiber(KOLK_OK) step(KOLK_ECANCELED) fiber(KOLK_ECANCELED)");
}

int main(int argc, char **argv) {
    select_tests(argc, argv);
    static const struct rule plain[] = {
        RULE(values_come_out_of_the_outer_one),
        RULE(what_is_sent_goes_to_the_inner_one),
        RULE(what_is_thrown_goes_to_the_inner_one),
        RULE(an_error_unwinds_level_by_level),
        RULE(the_outer_one_may_catch_a_failure),
        RULE(closing_ends_the_innermost_first),
        RULE(a_yield_during_close_is_an_error_of_all),
        RULE(an_inner_one_may_return_when_it_is_closed),
        RULE(dropping_the_outermost_closes_all),
        RULE(delegating_keeps_the_inner_one_alive),
        RULE(an_inner_one_may_have_been_started_before),
        RULE(a_chain_may_be_put_together_from_inside),
        RULE(a_thousand_levels_are_one_channel),
        RULE(a_thousand_levels_end_together),
        RULE(resuming_costs_the_same_at_any_depth),
        RULE(only_a_coroutine_delegates),
        RULE(an_ended_one_is_refused),
        RULE(one_that_is_delegated_to_is_busy),
        RULE(running_ones_are_refused),
        RULE(one_of_another_loop_is_refused),
        RULE(what_the_inner_one_awaits_is_told_to_whoever_drives),
        RULE(a_step_coroutine_can_be_delegated_to),
    };
    static const struct rule matrix[] = {
        RULE(a_task_awaits_by_delegating),
        RULE(cancelling_a_task_reaches_the_innermost),
        RULE(a_yield_inside_a_task_is_refused),
        RULE(a_task_drives_one_that_delegates),
    };
    return run_plain("yield_from", plain, COUNT(plain)) + run_matrix("delegating tasks", matrix, COUNT(matrix));
}
