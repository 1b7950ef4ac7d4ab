#include "start.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct argument *find_option(const struct argument *arguments, const char *name) {
    while (arguments->name && strcmp(arguments->name, name) != 0)
        arguments++;
    return arguments->name ? arguments : NULL;
}

/* The argument that the word with this number belongs to. */
static const struct argument *find_word(const struct argument *arguments, int number) {
    for (; arguments->name; arguments++)
        if (arguments->name[0] != '-' && number-- == 0)
            return arguments;
    return NULL;
}

static bool set(const char *program, const struct argument *argument, const char *value) {
    if (argument->text) {
        *argument->text = value;
        return true;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || number < argument->least || number > argument->most) {
        fprintf(stderr, "%s: %s is a number from %" PRId64 " to %" PRId64 ", not \"%s\"\n", program, argument->name,
                argument->least, argument->most, value);
        return false;
    }
    *argument->number = number;
    return true;
}

/* Returns how many words were used, or -1 after a message. */
static int set_option(const struct start *self, const struct argument *option, char **words) {
    if (!option) {
        fprintf(stderr, "%s: there is no option \"%s\"\n", self->name, words[0]);
        return -1;
    }
    if (option->flag) {
        *option->flag = true;
        return 1;
    }
    if (!words[1]) {
        fprintf(stderr, "%s: %s needs a value\n", self->name, words[0]);
        return -1;
    }
    return set(self->name, option, words[1]) ? 2 : -1;
}

static bool parse(struct start *self, char **words) {
    const struct argument in_virtual_time[] = {
        {.name = "--sim", .flag = &self->sim}, {.name = "--module", .text = &self->module}, {.name = NULL}};
    const struct argument *argument;
    int count = 0;
    while (*words) {
        int used = 1;
        if (words[0][0] == '-' && words[0][1]) {
            argument = find_option(self->arguments, words[0]);
            if (!argument && self->takes_time)
                argument = find_option(in_virtual_time, words[0]);
            used = set_option(self, argument, words);
        } else {
            argument = find_word(self->arguments, count++);
            if (!argument)
                fprintf(stderr, "%s: \"%s\" is too much\n", self->name, words[0]);
            if (!argument || !set(self->name, argument, words[0]))
                return false;
        }
        if (used < 0)
            return false;
        words += used;
    }
    argument = find_word(self->arguments, count);
    if (argument)
        fprintf(stderr, "%s: %s is missing\n", self->name, argument->name);
    return !argument;
}

int start_parse(struct start *self, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(self->help, stdout);
            if (self->takes_time)
                fputs("  --sim          in virtual time, which jumps to the next deadline\n"
                      "  --module FILE  where the reactor for that is, if it is not installed; an absolute path\n",
                      stdout);
            return 0;
        }
    if (parse(self, argv + 1))
        return -1;
    fprintf(stderr, "try \"%s --help\"\n", self->name);
    return 2;
}

/* The reactor in a file becomes one that can be chosen by name. */
static int load(const char *path, kolk_error **ret_error) {
    const kolk_reactor_ops *ops;
    int status = kolk_reactor_load(path, &ops, ret_error);
    return status < 0 ? status : kolk_reactor_register(ops, ret_error);
}

static int finish(const struct start *self, int status, kolk_error *error) {
    if (status < 0)
        fprintf(stderr, "%s: %s\n", self->name, error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    return status < 0;
}

int start_run(const struct start *self, kolk_coroutine_fn fn, void *userdata) {
    const kolk_loop_options options = {.size = sizeof options, .reactor = self->sim ? "sim" : NULL};
    kolk_error *error = NULL;
    int status = self->module ? load(self->module, &error) : 0;
    if (status >= 0)
        status = kolk_run_with(&options, fn, userdata, NULL, &error);
    return finish(self, status, error);
}

int start_by_hand(const struct start *self, int (*fn)(kolk_loop *loop, void *userdata, kolk_error **ret_error),
                  void *userdata) {
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    int status = kolk_loop_new(NULL, &loop, &error);
    if (status >= 0)
        status = fn(loop, userdata, &error);
    kolk_loop_unref(loop);
    return finish(self, status, error);
}
