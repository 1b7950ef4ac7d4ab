/* Reading a file as a list and as a generator: read_hosts FILE [--list].
 *
 * The hosts are the lines that do not begin with '#'. The list is there when the whole file has been read; the generator reads
 * on only when somebody asks for the next host, so that reading and receiving take turns. Making it runs no code. */
#include "start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "usage: read_hosts FILE [--list]\n"
                           "\n"
                           "Shows when the lines of a file are read, and when they are received.\n"
                           "\n"
                           "  --list         read all of it first\n";

enum { LINE_SIZE = 256 };

struct options {
    const char *path;
    bool list;
};

/* Returns whether there was one more line. */
static bool read_host(FILE *file, char line[LINE_SIZE]) {
    if (!fgets(line, LINE_SIZE, file))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    printf("Read: %s\n", line);
    return true;
}

static int open_hosts(const char *path, FILE **ret_file, kolk_error **ret_error) {
    char text[512];
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(text, sizeof text, "%s: %s", path, strerror(errno));
        kolk_error_new(KOLK_ENOENT, text, NULL, ret_error);
        return KOLK_ENOENT;
    }
    *ret_file = file;
    return 0;
}

/* The generator. What it hands out is its own until it is resumed. */
static int generate_hosts(void *userdata, void **ret_result) {
    const struct options *options = userdata;
    char line[LINE_SIZE];
    FILE *file = NULL;
    kolk_error *error = NULL;
    (void)ret_result;
    puts("Entering the generator ...");
    int status = open_hosts(options->path, &file, &error);
    if (status < 0)
        return kolk_raise(error);
    while (status >= 0 && read_host(file, line))
        if (line[0] != '#')
            status = kolk_yield(line, NULL);
    fclose(file); // also when it is closed in the middle
    return status;
}

static int receive_generated(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    kolk_coroutine *hosts = NULL;
    void *host;
    int status = kolk_coroutine_new(loop, generate_hosts, userdata, NULL, 0, &hosts);
    if (status < 0)
        return status;
    while ((status = kolk_coroutine_next(hosts, &host)) == KOLK_COROUTINE_YIELDED)
        printf("Received: %s\n", (char *)host);
    if (status < 0)
        *ret_error = kolk_error_ref(kolk_coroutine_error(hosts));
    kolk_coroutine_unref(hosts);
    return status;
}

static int receive_list(kolk_loop *loop, void *userdata, kolk_error **ret_error) {
    const struct options *options = userdata;
    char(*hosts)[LINE_SIZE] = NULL;
    char line[LINE_SIZE];
    size_t count = 0;
    FILE *file = NULL;
    (void)loop;
    int status = open_hosts(options->path, &file, ret_error);
    if (status < 0)
        return status;
    while (status >= 0 && read_host(file, line)) {
        if (line[0] == '#')
            continue;
        void *grown = realloc(hosts, (count + 1) * sizeof *hosts);
        if (!grown) {
            status = KOLK_ENOMEM;
            break;
        }
        hosts = grown;
        memcpy(hosts[count++], line, sizeof line);
    }
    fclose(file);
    for (size_t i = 0; i < count; i++)
        printf("Received: %s\n", hosts[i]);
    free(hosts);
    return status;
}

int main(int argc, char **argv) {
    struct options options = {.path = NULL};
    const struct argument arguments[] = {
        {.name = "FILE", .text = &options.path}, {.name = "--list", .flag = &options.list}, {.name = NULL}};
    struct start start = {.name = "read_hosts", .help = help, .arguments = arguments};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_by_hand(&start, options.list ? receive_list : receive_generated, &options);
}
