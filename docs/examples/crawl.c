/* crawl: fetches every page of a site, many at a time.
 *
 * How that is done stands in crawl/crawler.c. This is the program around it: a loop that does nothing else, a task that shows
 * how far it is, and a table in the end. Ctrl-C rings a waker, which cancels the crawl. */
#include "crawl/crawler.h"
#include "crawl/frontier.h"
#include "crawl/links.h"
#include "crawl/options.h"
#include "crawl/report.h"
#include "crawl/site.h"

#include <kolk/kolk.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct program {
    const struct options *options;
    struct crawler *crawler;
    kolk_loop *loop;
    bool interrupted;
    bool on_terminal;
};

static int tick(void *userdata, void **ret_result) {
    struct program *program = userdata;
    const int64_t period_ns = program->on_terminal ? INT64_C(100000000) : INT64_C(1000000000);
    struct crawler_progress progress;
    int status;
    (void)ret_result;
    while ((status = kolk_sleep(period_ns)) == 0) {
        crawler_get_progress(program->crawler, &progress);
        progress_print(stderr, program->on_terminal, &progress);
    }
    return status;
}

/* ---- Ctrl-C ---- */

static kolk_waker *interrupt_bell;

static void on_signal(int number) {
    int interrupted_errno = errno;
    (void)number;
    kolk_waker_wake(interrupt_bell);
    errno = interrupted_errno;
}

static void on_interrupt(void *userdata) {
    struct program *program = userdata;
    program->interrupted = true;
    crawler_cancel(program->crawler);
}

static int catch_interrupts(struct program *program) {
    /* Once: a second Ctrl-C ends the program the hard way. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    int status = kolk_waker_new(program->loop, on_interrupt, program, NULL, &interrupt_bell);
    if (status < 0)
        return status;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return 0;
}

static void release_interrupts(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    interrupt_bell = kolk_waker_unref(interrupt_bell);
}

/* ---- the program ---- */

static int complain(const char *what, int status, kolk_error *error) {
    fprintf(stderr, "crawl: %s: %s\n", what, error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    return 1;
}

static void print_exception(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    (void)userdata;
    fprintf(stderr, "crawl: %s\n", kolk_error_message(error));
}

static int run(struct program *program) {
    int status = catch_interrupts(program);
    if (status == 0)
        status = kolk_create_task(program->loop, tick, program, NULL, NULL, NULL);
    if (status == 0)
        status = kolk_loop_run_until_complete(program->loop, crawler_future(program->crawler));
    if (status == 0 && !program->interrupted)
        status = crawler_status(program->crawler);
    return status;
}

static int write_json(FILE *file, const struct report *report, const struct frontier *frontier) {
    int status = report_write_json(file, report, frontier);
    if (fclose(file) != 0 && status == 0)
        status = KOLK_EIO;
    return status;
}

static int present(struct program *program, const char *url, FILE *json) {
    const struct frontier *frontier = crawler_frontier(program->crawler);
    struct crawler_progress progress;
    crawler_get_progress(program->crawler, &progress);
    const struct report report = {.url = url,
                                  .reactor = kolk_loop_reactor(program->loop),
                                  .jobs = program->options->crawl.jobs,
                                  .interrupted = program->interrupted,
                                  .elapsed_ns = progress.elapsed_ns};
    int exit_status = program->interrupted ? 130 : 0, status;
    progress_clear(stderr, program->on_terminal);
    if (frontier->pages->state == PAGE_FAILED)
        exit_status = complain(url, 0, kolk_error_ref(frontier->pages->error));
    else if ((status = report_print(stdout, &report, frontier)) < 0)
        exit_status = complain("the table", status, NULL);
    if (json && (status = write_json(json, &report, frontier)) < 0)
        exit_status = complain(program->options->json, status, NULL);
    return exit_status;
}

static int run_and_present(struct program *program, const char *url) {
    const char *json_name = program->options->json;
    FILE *json = json_name ? fopen(json_name, "w") : NULL;
    if (json_name && !json) {
        fprintf(stderr, "crawl: %s: %s\n", json_name, strerror(errno));
        return 1;
    }
    int status = run(program);
    if (status == 0)
        return present(program, url, json);
    if (json)
        fclose(json);
    return complain(url, status, NULL);
}

/* Crawls what a URL leads to. Closes the loop, because that ends the ticker while there is something to look at. */
static int crawl_url(kolk_loop *loop, const struct options *options, const char *url) {
    struct program program = {.options = options, .loop = loop, .on_terminal = isatty(STDERR_FILENO)};
    kolk_error *error = NULL;
    int status = crawler_start(loop, &options->crawl, url, NULL, NULL, &program.crawler, &error);
    if (status < 0)
        return complain(url, status, error), status == KOLK_EINVAL ? 2 : 1;
    int exit_status = run_and_present(&program, url);
    kolk_loop_close(loop);
    release_interrupts();
    crawler_finish(program.crawler);
    return exit_status;
}

static int crawl_own_site(kolk_loop *loop, const struct options *options) {
    kolk_server *server = NULL;
    kolk_error *error = NULL;
    char url[site_url_size];
    int status = site_start(loop, NULL, &server, &error);
    if (status < 0)
        return complain("cannot serve the embedded site", status, error);
    site_url(server, url);
    int exit_status = crawl_url(loop, options, url);
    kolk_server_unref(server);
    return exit_status;
}

/* Makes the reactor in a file one that can be chosen by name. */
static int load_module(const char *file, kolk_error **ret_error) {
    const kolk_reactor_ops *ops;
    char *path = realpath(file, NULL);
    if (!path)
        return kolk_error_new(KOLK_ENOENT, strerror(errno), NULL, ret_error), KOLK_ENOENT;
    int status = kolk_reactor_load(path, &ops, ret_error);
    free(path);
    return status < 0 ? status : kolk_reactor_register(ops, ret_error);
}

int main(int argc, char **argv) {
    struct options options;
    kolk_loop *loop = NULL;
    kolk_error *error = NULL;
    int exit_status = options_parse(argc, argv, &options);
    if (exit_status >= 0)
        return exit_status;

    int status = options.module ? load_module(options.module, &error) : 0;
    if (status < 0)
        return complain(options.module, status, error), 2;
    const kolk_loop_options loop_options = {.size = sizeof loop_options, .reactor = options.reactor};
    status = kolk_loop_new(&loop_options, &loop, &error);
    if (status < 0)
        return complain("cannot make a loop", status, error), 2;
    kolk_loop_set_exception_handler(loop, print_exception, NULL, NULL);
    links_init();

    exit_status = options.url ? crawl_url(loop, &options, options.url) : crawl_own_site(loop, &options);
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    links_finish();
    return exit_status;
}
