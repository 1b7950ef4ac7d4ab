#define _GNU_SOURCE
#include "guests.h"

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int asked;

static uint32_t number_of(const char *way) {
    static const char *const names[] = {
        [KOLK_GUEST_HANDLE] = "handle", [KOLK_GUEST_THREAD] = "thread", [KOLK_GUEST_REACTOR] = "reactor"};
    for (uint32_t number = 0; number < sizeof names / sizeof *names; number++)
        if (names[number] != NULL && strcmp(names[number], way) == 0)
            return number;
    if (strcmp(way, "plugin") == 0)
        return KOLK_GUEST_REACTOR;
    fprintf(stderr, "way=%s: handle, thread, reactor or plugin is needed\n", way);
    exit(2);
}

static void complain_if_nothing_was_asked(void) {
    if (asked)
        return;
    fputs("this host has no reactor of its own: way=plugin cannot be measured\n", stderr);
    _exit(2);
}

int is_asked_for(const struct host *host, const char *way) {
    static int first = 1;
    if (first)
        atexit(complain_if_nothing_was_asked);
    first = 0;
    uint32_t number = number_of(way);
    if ((strcmp(way, "plugin") == 0) != (host->hosted != NULL))
        return 0;
    if (!(host->ways & 1u << number)) {
        fprintf(stderr, "%s does not serve way=%s\n", host->name, way);
        exit(2);
    }
    return asked = 1;
}

static const kolk_reactor_ops *plugin(const char *name, const char *module) {
    char path[4096];
    const char *directory = getenv("KOLK_TEST_MODULES");
    const kolk_reactor_ops *ops = NULL;
    if (module == NULL && directory != NULL) {
        snprintf(path, sizeof path, "%s/kolk-reactor-%s.so", directory, name);
        module = path;
    }
    if (module != NULL)
        bench_check(kolk_reactor_load(module, &ops, NULL), module);
    else
        bench_check(kolk_reactor_find(name, &ops, NULL), name);
    return ops;
}

struct stay open_stay(const struct host *host, void *self, const char *way, const char *module) {
    struct stay stay = {NULL, NULL};
    kolk_error *error = NULL;
    kolk_loop_options of_loop = {.size = sizeof of_loop};
    kolk_guest_options of_guest = {.size = sizeof of_guest, .way = number_of(way)};
    if (host->hosted != NULL) {
        of_loop.reactor_ops = plugin(host->hosted, module);
        of_loop.host = host->native(self);
    } else if (of_guest.way == KOLK_GUEST_REACTOR) {
        of_loop.reactor_ops = kolk_host_reactor();
    }
    bench_check(kolk_loop_new(&of_loop, &stay.loop, NULL), "kolk_loop_new");
    int status = host->attach(self, stay.loop, &of_guest, &stay.guest, &error);
    if (status < 0)
        bench_refused(status, kolk_error_message(error));
    return stay;
}

void close_stay(struct stay *stay) {
    kolk_guest_unref(stay->guest);
    bench_check(kolk_loop_close(stay->loop), "kolk_loop_close");
    kolk_loop_unref(stay->loop);
}
