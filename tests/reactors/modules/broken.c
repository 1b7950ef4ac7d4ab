/* A reactor with one thing wrong with it, chosen by what is defined when it is compiled; and a few that are unusual but right.
 */
#include <kolk/reactor.h>

#include <errno.h>
#include <stddef.h>

static int open_nothing(const kolk_reactor_config *config, void **ret_state) {
    static int something;
    (void)config;
#ifdef OPEN_STATUS
    return OPEN_STATUS;
#endif
    *ret_state = &something;
    return 0;
}

static void close_nothing(void *state) { (void)state; }

static int watch_nothing(void *state, int fd, uint32_t events, uint64_t token) {
    (void)state, (void)fd, (void)events, (void)token;
    return 0;
}

static int collect_nothing(void *state, int64_t timeout_ns, kolk_ready *ret_ready, uint32_t capacity) {
    (void)state, (void)timeout_ns, (void)ret_ready, (void)capacity;
    return 0;
}

#ifdef UNDEFINED_SYMBOL
int kolk_test_no_such_function(void *state, int64_t timeout_ns);
#endif

#ifndef SIZE
#define SIZE sizeof(kolk_reactor_ops)
#endif
#ifndef ABI
#define ABI KOLK_REACTOR_ABI
#endif
#ifndef NAME
#define NAME "nothing"
#endif
#ifndef CAPS
#define CAPS 0
#endif
#ifndef OPEN
#define OPEN 1
#endif
#ifndef CLOSE
#define CLOSE 1
#endif
#ifndef WATCH
#define WATCH 1
#endif
#ifndef COLLECT
#define COLLECT 1
#endif

static const kolk_reactor_ops table = {
    .size = SIZE,
    .abi = ABI,
    .name = NAME,
    .caps = CAPS,
    .open = OPEN ? open_nothing : NULL,
    .close = CLOSE ? close_nothing : NULL,
    .watch = WATCH ? watch_nothing : NULL,
    .collect = COLLECT ? collect_nothing : NULL,
#ifdef UNDEFINED_SYMBOL
    .wait = kolk_test_no_such_function,
#endif
#ifdef STRAY_MEMBER
    .wait = (int (*)(void *, int64_t))1, /* behind a bit that is not set: must not be believed */
#endif
};

#ifdef WRONG_ENTRY
__attribute__((visibility("default"))) int kolk_reactor_entry_v0(const kolk_reactor_ops **ret_ops);
int kolk_reactor_entry_v0(const kolk_reactor_ops **ret_ops) {
    *ret_ops = &table;
    return 0;
}
#else
int KOLK_REACTOR_ENTRY(const kolk_reactor_ops **ret_ops) {
#ifdef ENTRY_STATUS
    (void)table;
    (void)ret_ops;
    return ENTRY_STATUS;
#else
    *ret_ops = &table;
    return 0;
#endif
}
#endif
