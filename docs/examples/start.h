/* How most of the example programs begin: the command line, the loop, and what went wrong in words.
 *
 * Programs that take time can be told to take none: with --sim the loop has the reactor "sim", whose clock jumps to the next
 * deadline (kolk/sim.h). It is a module: --module FILE loads it from where it was built, if it is not installed. */
#ifndef EXAMPLES_START_H
#define EXAMPLES_START_H

#include <kolk/kolk.h>

#include <stdbool.h>

/* A word of the command line. One of the three pointers says what it is. */
struct argument {
    const char *name; /* "--block" for an option; anything else is a word that must be there, in this order. */
    bool *flag;       /* An option alone. */
    const char **text;
    int64_t *number; /* From `least` to `most`. */
    int64_t least, most;
};

struct start {
    const char *name;                 /* Of the program, for messages. */
    const char *help;                 /* What --help shows. */
    const struct argument *arguments; /* The last one has no name. */
    bool takes_time;                  /* It takes --sim and --module. */
    bool sim;                         /* It was told to. */
    const char *module;
};

/* Reads the command line. Returns -1 to go on, or what the program is to exit with. */
int start_parse(struct start *self, int argc, char **argv);

/* Runs the main task to its end, and prints why it failed if it did. Returns what the program is to exit with. */
int start_run(const struct start *self, kolk_coroutine_fn fn, void *userdata);

/* The same for coroutines that are driven by hand: makes a loop, which lends them their stacks, and hands it over. */
int start_by_hand(const struct start *self, int (*fn)(kolk_loop *loop, void *userdata, kolk_error **ret_error), void *userdata);

#endif
