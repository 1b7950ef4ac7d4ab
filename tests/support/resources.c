#include "resources.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int count_entries(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        abort();
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

int open_fds(void) { return count_entries("/proc/self/fd") - 1; /* The directory itself was open while counting. */ }

int running_threads(void) { return count_entries("/proc/self/task"); }

int settle_threads(int expected) {
    int count = running_threads();
    for (int i = 0; count > expected && i < 500; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
        count = running_threads();
    }
    return count;
}

size_t resident_bytes(void) {
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2) {
        perror("/proc/self/statm");
        abort();
    }
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

long long cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
