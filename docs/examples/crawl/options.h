/* The command line of crawl. */
#ifndef CRAWL_OPTIONS_H
#define CRAWL_OPTIONS_H

#include "crawler.h"

struct options {
    struct crawler_options crawl;
    const char *reactor; /* NULL: kolk chooses. */
    const char *module;  /* A file with one more reactor, or NULL. */
    const char *json;    /* A file to write, or NULL. */
    const char *url;     /* NULL: the embedded site. */
};

/* Returns -1 to go on, or the exit status of a program that is done: 0 after --help, 2 after a complaint on stderr. */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
