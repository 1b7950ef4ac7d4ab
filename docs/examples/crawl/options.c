#include "options.h"

#include <kolk/registry.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: crawl [options] [URL]\n"
                            "\n"
                            "Crawls one site over HTTP, many pages at a time, and tells what it found.\n"
                            "Without a URL it serves a small site of its own on loopback and crawls that.\n"
                            "\n"
                            "  --jobs N        pages fetched at once (8)\n"
                            "  --max-pages N   stop after so many requests (no limit)\n"
                            "  --depth N       follow links so far from the start page (no limit)\n"
                            "  --timeout S     seconds one page may take (10)\n"
                            "  --json FILE     write the result as JSON, too\n"
                            "  --reactor NAME  how to wait for descriptors\n"
                            "  --module FILE   load one more reactor from a file\n"
                            "  --help          show this\n"
                            "\n";

static void print_reactors(FILE *out) {
    const char *names[64];
    int count = kolk_reactor_names(names, 64);
    fputs("reactors here:", out);
    for (int i = 0; i < count && i < 64; i++)
        fprintf(out, " %s", names[i]);
    fputc('\n', out);
}

static bool parse_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *ret_number) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
    if (end && *end == '\0' && errno == 0 && number >= least && number <= most) {
        *ret_number = number;
        return true;
    }
    fprintf(stderr, "crawl: %s takes a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"\n", name, least, most, text);
    return false;
}

static bool parse_seconds(const char *name, const char *text, int64_t *ret_nanoseconds) {
    char *end = NULL;
    double seconds = isdigit((unsigned char)*text) || *text == '.' ? strtod(text, &end) : -1;
    if (end && *end == '\0' && isfinite(seconds) && seconds >= 0.001 && seconds <= 1e6) {
        *ret_nanoseconds = (int64_t)(seconds * 1e9);
        return true;
    }
    fprintf(stderr, "crawl: %s takes seconds from 0.001 to 1000000, not \"%s\"\n", name, text);
    return false;
}

enum choice {
    option_jobs = 1,
    option_pages,
    option_depth,
    option_timeout,
    option_json,
    option_reactor,
    option_module,
    option_help
};

static bool parse_option(int option, const char *value, struct options *options) {
    uint64_t number = 0;
    bool fine = true;
    switch (option) {
    case option_jobs:
        fine = parse_number("--jobs", value, 1, 10000, &number);
        options->crawl.jobs = (uint32_t)number;
        return fine;
    case option_pages:
        return parse_number("--max-pages", value, 1, UINT32_MAX, &options->crawl.max_pages);
    case option_depth:
        fine = parse_number("--depth", value, 0, UINT32_MAX - 1, &number);
        options->crawl.max_depth = (uint32_t)number;
        return fine;
    case option_timeout:
        return parse_seconds("--timeout", value, &options->crawl.timeout_ns);
    case option_json:
        options->json = value;
        return true;
    case option_reactor:
        options->reactor = value;
        return true;
    case option_module:
        options->module = value;
        return true;
    default: /* getopt_long has said what is wrong. */
        return false;
    }
}

int options_parse(int argc, char **argv, struct options *ret_options) {
    static const struct option known[] = {
        {"jobs", required_argument, NULL, option_jobs},
        {"max-pages", required_argument, NULL, option_pages},
        {"depth", required_argument, NULL, option_depth},
        {"timeout", required_argument, NULL, option_timeout},
        {"json", required_argument, NULL, option_json},
        {"reactor", required_argument, NULL, option_reactor},
        {"module", required_argument, NULL, option_module},
        {"help", no_argument, NULL, option_help},
        {NULL, 0, NULL, 0},
    };
    *ret_options = (struct options){.crawl = crawler_defaults};
    bool fine = true;
    int option;
    while (fine && (option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == option_help) {
            fputs(usage, stdout);
            print_reactors(stdout);
            return 0;
        }
        fine = parse_option(option, optarg, ret_options);
    }
    if (fine && argc - optind > 1) {
        fprintf(stderr, "crawl: one URL at most, but there is also \"%s\"\n", argv[optind + 1]);
        fine = false;
    }
    if (!fine) {
        fputs("try \"crawl --help\"\n", stderr);
        return 2;
    }
    ret_options->url = argv[optind];
    return -1;
}
