/* Every reactor keeps the contract, built in and loaded.
 *
 * Without arguments: all that are built into the library, and all modules in the directory KOLK_TEST_MODULES. With arguments:
 * the modules named, for reactors from elsewhere. With --old-kernel before them: as on a kernel without epoll_pwait2, where
 * epoll knows only milliseconds. */
#define _GNU_SOURCE
#include "contract.h"

#include <kolk/registry.h>

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 16 };

static const char *const known[] = {"epoll", "poll", "select", "libevent", "sim"};
static struct subject subjects[MOST];
static char labels[MOST][96];
static int count;

static int add(const char *name, const char *how, const kolk_reactor_ops *ops) {
    if (count == MOST)
        return -1;
    snprintf(labels[count], sizeof labels[count], "%s, %s", name, how);
    subjects[count] = describe(labels[count], ops);
    count++;
    return 0;
}

static int add_module(const char *path) {
    const kolk_reactor_ops *ops;
    kolk_error *error = NULL;
    if (kolk_reactor_load(path, &ops, &error) == 0)
        return add(ops->name, "loaded", ops);
    fprintf(stderr, "%s\n", kolk_error_message(error));
    kolk_error_unref(error);
    return -1;
}

/* Makes one system call fail as an unknown one does. */
static int forbid(unsigned number) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
        return -1;
    return syscall(number, -1, NULL, 0, NULL, NULL, 0) < 0 && errno == ENOSYS ? 0 : -1;
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc > 1 && strcmp(argv[1], "--old-kernel") == 0) {
        if (forbid(SYS_epoll_pwait2) < 0) {
            perror("epoll_pwait2 cannot be forbidden");
            return 1;
        }
        argc--;
        argv++;
    }
    const char *directory = getenv("KOLK_TEST_MODULES");
    for (int i = 1; i < argc; i++)
        failed += add_module(argv[i]) < 0;
    for (int i = 0; i < (int)(sizeof known / sizeof *known) && argc == 1; i++) {
        const kolk_reactor_ops *ops;
        if (strcmp(known[i], "libevent") != 0 && kolk_reactor_find(known[i], &ops, NULL) == 0)
            failed += add(known[i], "built in", ops) < 0;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/kolk-reactor-%s.so", directory ? directory : "", known[i]);
        if (access(path, F_OK) == 0)
            failed += add_module(path) < 0;
    }
    if (count == 0) {
        fprintf(stderr, "no reactor to test\n");
        return 1;
    }
    return run_contract("reactors", subjects, count) != 0 || failed;
}
