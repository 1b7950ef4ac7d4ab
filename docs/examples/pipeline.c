/* Coroutines in a row, like commands in a shell: pipeline FILE WORD [--count] [--bound N] [--slow MS] [--pull] [--sim].
 *
 * source | upper | filter | sink prints what `tr a-z A-Z < FILE | grep -F WORD` does, and with --count what `| wc -w` makes of
 * it. The stages are tasks with a pipe between each two, which holds no more than a few lines: one that is full stops the stage
 * before it, and so a slow sink slows down the source, which never runs ahead by more than the pipes hold. With --pull the same
 * stages are generators without pipes, each of which asks the one before it: then nothing is read before it is wanted. What
 * happened is told on standard error. */
#include "start.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "usage: pipeline FILE WORD [--count] [--bound N] [--slow MS] [--pull] [--sim]\n"
                           "\n"
                           "Prints the lines of a file in capitals that contain a word.\n"
                           "\n"
                           "  --count        print how many words they have instead\n"
                           "  --bound N      a pipe holds so many lines (4)\n"
                           "  --slow MS      the sink takes so many milliseconds for each line (0)\n"
                           "  --pull         generators instead of tasks and pipes\n";

enum { LINE_SIZE = 1024, MOST_IN_PIPE = 1000, PIPES = 3 };

/* A pipe: takes a line when there is room, hands one out when there is one. */
struct pipe {
    kolk_semaphore *room, *filled;
    char *lines[MOST_IN_PIPE];
    int64_t bound, put, taken, most;
};

static int pipe_open(struct pipe *self, int64_t bound) {
    kolk_loop *loop = kolk_loop_current();
    self->bound = bound;
    int status = kolk_semaphore_new(loop, (uint32_t)bound, &self->room);
    return status < 0 ? status : kolk_semaphore_new(loop, 0, &self->filled);
}

static void pipe_close(struct pipe *self) {
    for (; self->taken < self->put; self->taken++)
        free(self->lines[self->taken % self->bound]);
    kolk_semaphore_unref(self->room);
    kolk_semaphore_unref(self->filled);
}

static int pipe_put(struct pipe *self, char *line) {
    int status = kolk_semaphore_acquire(self->room);
    if (status < 0)
        return status;
    self->lines[self->put++ % self->bound] = line;
    if (self->most < self->put - self->taken)
        self->most = self->put - self->taken;
    return kolk_semaphore_release(self->filled);
}

static int pipe_take(struct pipe *self, char **ret_line) {
    int status = kolk_semaphore_acquire(self->filled);
    if (status < 0)
        return status;
    *ret_line = self->lines[self->taken++ % self->bound];
    return kolk_semaphore_release(self->room);
}

/* A stage takes from the pipe before it and gives to the one behind it; a generator asks the one before it, and yields. NULL is
 * the end. Lines belong to whoever has them. */
struct stage {
    struct pipeline *pipeline;
    struct pipe *in, *out;
    kolk_coroutine *before;
};

enum { SOURCE, UPPER, FILTER, SINK, STAGES };

struct pipeline {
    const char *path, *word;
    int64_t bound, slow_ms;
    bool count, pull;
    struct pipe pipes[PIPES];
    struct stage stages[STAGES];
    int64_t read, received, most_ahead;
    FILE *file;
};

static int take(struct stage *self, char **ret_line) {
    if (self->in)
        return pipe_take(self->in, ret_line);
    void *line = NULL;
    int status = kolk_coroutine_next(self->before, &line);
    *ret_line = line; // what a generator returns in the end is NULL
    return status;
}

static int give(struct stage *self, char *line) {
    int status = self->out ? pipe_put(self->out, line) : line ? kolk_yield(line, NULL) : 0;
    if (status < 0 && self->out)
        free(line); // it did not get in
    return status;
}

static int source(void *userdata, void **ret_result) {
    struct stage *self = userdata;
    struct pipeline *pipeline = self->pipeline;
    char line[LINE_SIZE];
    int status = 0;
    (void)ret_result;
    while (status >= 0 && fgets(line, sizeof line, pipeline->file)) {
        char *copy = strdup(line);
        if (++pipeline->read - pipeline->received > pipeline->most_ahead)
            pipeline->most_ahead = pipeline->read - pipeline->received;
        status = copy ? give(self, copy) : KOLK_ENOMEM;
    }
    return status < 0 ? status : give(self, NULL);
}

static int upper(void *userdata, void **ret_result) {
    struct stage *self = userdata;
    char *line = NULL;
    int status;
    (void)ret_result;
    while ((status = take(self, &line)) >= 0 && line) {
        for (char *c = line; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        status = give(self, line);
        if (status < 0)
            break;
    }
    return status < 0 ? status : give(self, NULL);
}

static int filter(void *userdata, void **ret_result) {
    struct stage *self = userdata;
    char *line = NULL;
    int status;
    (void)ret_result;
    while ((status = take(self, &line)) >= 0 && line) {
        if (!strstr(line, self->pipeline->word)) {
            self->pipeline->received++; // this one will not come to the sink
            free(line);
            continue;
        }
        status = give(self, line);
        if (status < 0)
            break;
    }
    return status < 0 ? status : give(self, NULL);
}

static int count_words(const char *line) {
    int count = 0;
    for (bool inside = false; *line; line++) {
        bool letter = !isspace((unsigned char)*line);
        count += letter && !inside;
        inside = letter;
    }
    return count;
}

/* The sink is whoever began it all. */
static int sink(struct stage *self) {
    struct pipeline *pipeline = self->pipeline;
    char *line = NULL;
    long words = 0;
    int status = 0;
    while (status >= 0 && (status = take(self, &line)) >= 0 && line) {
        pipeline->received++;
        if (pipeline->count)
            words += count_words(line);
        else
            fputs(line, stdout);
        free(line);
        if (pipeline->slow_ms > 0)
            status = kolk_sleep(pipeline->slow_ms * 1000000);
    }
    if (status >= 0 && pipeline->count)
        printf("%ld\n", words);
    return status;
}

static const kolk_coroutine_fn bodies[SINK] = {source, upper, filter};

/* Tasks in a group: when one fails, none of the others goes on. */
static int push(struct pipeline *self) {
    kolk_task_group *group = NULL;
    int status = 0;
    for (int i = 0; i < PIPES && status >= 0; i++) {
        status = pipe_open(&self->pipes[i], self->bound);
        self->stages[i].out = &self->pipes[i];
        self->stages[i + 1].in = &self->pipes[i];
    }
    if (status >= 0)
        status = kolk_task_group_enter(0, &group);
    if (status >= 0) {
        for (int i = 0; i < SINK && status >= 0; i++)
            status = kolk_task_group_create_task(group, bodies[i], &self->stages[i], NULL, NULL, NULL);
        if (status >= 0)
            status = sink(&self->stages[SINK]);
        status = kolk_task_group_leave(group, status);
    }
    kolk_task_group_unref(group);
    for (int i = 0; i < PIPES; i++) {
        fprintf(stderr, "pipe %d: at most %d of %d lines\n", i + 1, (int)self->pipes[i].most, (int)self->bound);
        pipe_close(&self->pipes[i]);
    }
    return status;
}

/* Generators: the sink asks the filter, that one asks upper, and so on. */
static int pull(struct pipeline *self) {
    int status = 0;
    for (int i = 0; i < SINK && status >= 0; i++)
        status = kolk_coroutine_new(kolk_loop_current(), bodies[i], &self->stages[i], NULL, 0, &self->stages[i + 1].before);
    if (status >= 0)
        status = sink(&self->stages[SINK]);
    for (int i = SINK; i > 0; i--)
        kolk_coroutine_unref(self->stages[i].before);
    return status;
}

static int run(void *userdata, void **ret_result) {
    struct pipeline *self = userdata;
    char message[512];
    kolk_error *error = NULL;
    (void)ret_result;
    self->file = fopen(self->path, "r");
    if (!self->file) {
        snprintf(message, sizeof message, "%s: %s", self->path, strerror(errno));
        kolk_error_new(KOLK_ENOENT, message, NULL, &error);
        return kolk_raise(error);
    }
    for (int i = 0; i < STAGES; i++)
        self->stages[i].pipeline = self;
    int status = self->pull ? pull(self) : push(self);
    fprintf(stderr, "the source was at most %d lines ahead\n", (int)self->most_ahead);
    fclose(self->file);
    return status;
}

int main(int argc, char **argv) {
    static struct pipeline pipeline = {.bound = 4}; // large
    const struct argument arguments[] = {{.name = "FILE", .text = &pipeline.path},
                                         {.name = "WORD", .text = &pipeline.word},
                                         {.name = "--count", .flag = &pipeline.count},
                                         {.name = "--bound", .number = &pipeline.bound, .least = 1, .most = MOST_IN_PIPE},
                                         {.name = "--slow", .number = &pipeline.slow_ms, .least = 0, .most = 60000},
                                         {.name = "--pull", .flag = &pipeline.pull},
                                         {.name = NULL}};
    struct start start = {.name = "pipeline", .help = help, .arguments = arguments, .takes_time = true};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_run(&start, run, &pipeline);
}
