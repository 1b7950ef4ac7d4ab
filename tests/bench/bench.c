#define _GNU_SOURCE
#include "bench.h"

#include <kolk/error.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *bench_text(int argc, char **argv, const char *key, const char *fallback) {
    size_t length = strlen(key);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
            return argv[i] + length + 1;
    return fallback;
}

long bench_number(int argc, char **argv, const char *key, long fallback, long least) {
    const char *text = bench_text(argc, argv, key, NULL);
    if (text == NULL)
        return fallback;
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < least) {
        fprintf(stderr, "%s=%s: a whole number of at least %ld is needed\n", key, text, least);
        exit(2);
    }
    return number;
}

static uint64_t read_clock(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) < 0)
        bench_fail("clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_now(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t bench_cpu(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

long bench_resident(void) {
    long all = 0;
    long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        bench_fail("/proc/self/statm");
    if (fscanf(file, "%ld %ld", &all, &resident) != 2)
        bench_fail("/proc/self/statm");
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

void bench_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    // Refused where the machine has one processor or the process may not choose: the figures are then those of the scheduler.
    (void)sched_setaffinity(0, sizeof set, &set);
}

void bench_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_fail("setrlimit");
}

void bench_report(const char *metric, double value) {
    printf("%s %.6g\n", metric, value);
    fflush(stdout);
}

void *bench_allocate(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL && count != 0)
        bench_fail("calloc");
    return memory;
}

void bench_refused(int status, const char *what) {
    fprintf(stderr, "%s: %s\n", what, kolk_status_name(status));
    exit(2);
}

void bench_fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

uint64_t bench_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}
