/* crawl: fetches every page of a site, many at a time.
 *
 * One thread, and a task for each page in flight. A task reads like a blocking program: connect, send, receive, look for links.
 * While it waits the others run, and because only one runs at a time they share the frontier without a lock.
 *
 *     main task   takes pages from the frontier and starts a visit for each, as many as the semaphore allows
 *     visit       fetches a page in time, records what came of it, adds the links it found to the frontier
 *     fetch       the HTTP request of a visit, a task of its own so that it can be given up
 *     ticker      shows how far it is
 *
 * Ctrl-C rings a waker, which cancels the main task, which cancels the visits and waits until they have ended. */
#include "crawl/frontier.h"
#include "crawl/http.h"
#include "crawl/links.h"
#include "crawl/options.h"
#include "crawl/report.h"
#include "crawl/site.h"
#include "crawl/url.h"

#include <kolk/kolk.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct crawl {
    const struct options *options;
    struct origin origin;
    struct page *start; /* The page it begins with. Borrowed from the frontier. */
    struct frontier frontier;
    TAILQ_HEAD(visits, visit) visits;
    uint32_t in_flight;
    kolk_loop *loop;
    kolk_task *task;         /* The main task. */
    kolk_semaphore *slots;   /* A permit for each page that may be fetched at once. */
    kolk_semaphore *endings; /* A permit for each visit that has ended; where the main task waits for something to do. */
    int64_t begin_ns;
    int failure; /* Why the crawl itself cannot go on. */
    bool interrupted;
    bool on_terminal;
};

struct visit {
    struct crawl *crawl;
    struct page *page;
    kolk_task *task;
    struct http_response response;
    TAILQ_ENTRY(visit) in_visits;
};

/* ---- one page ---- */

static int fetch(void *userdata, void **ret_result) {
    struct visit *visit = userdata;
    kolk_error *error = NULL;
    (void)ret_result;
    int status = http_get(&visit->crawl->origin, visit->page->target, &visit->response, &error);
    return status < 0 ? kolk_raise(error) : 0;
}

static kolk_error *timeout_error(int64_t timeout_ns) {
    char message[64];
    kolk_error *error;
    snprintf(message, sizeof message, "not complete within %g s", (double)timeout_ns / 1e9);
    kolk_error_new(KOLK_ETIMEDOUT, message, NULL, &error);
    return error;
}

static int fetch_in_time(struct visit *visit, kolk_error **ret_error) {
    int64_t timeout_ns = visit->crawl->options->timeout_ns;
    kolk_task *task = NULL;
    int status = kolk_create_task(visit->crawl->loop, fetch, visit, NULL, NULL, &task);
    if (status == 0)
        status = kolk_wait_for(kolk_task_as_future(task), timeout_ns, NULL);
    if (task && !kolk_task_done(task)) {
        /* There was no memory to wait with. The fetch uses the visit, so it must have ended first. */
        kolk_task_cancel(task);
        kolk_await(kolk_task_as_future(task), NULL);
    }
    /* A fetch that was given up has an error, too: that it was cancelled. */
    kolk_error *error = kolk_task_error(task);
    if (kolk_error_status(error) == status)
        *ret_error = kolk_error_ref(error);
    else
        *ret_error = status == KOLK_ETIMEDOUT ? timeout_error(timeout_ns) : kolk_error_of(status);
    kolk_task_unref(task);
    return status;
}

static int follow_link(const char *url, void *userdata) {
    struct visit *visit = userdata;
    struct crawl *crawl = visit->crawl;
    char *target;
    int status = origin_target(&crawl->origin, url, &target);
    if (status != 1)
        return status;
    bool is_redirect = visit->page->status >= 300;
    status = is_redirect ? frontier_redirect(&crawl->frontier, visit->page, target)
                         : frontier_link(&crawl->frontier, visit->page, target);
    free(target);
    return status;
}

static int follow_redirect(struct visit *visit, const char *page_url) {
    char *url;
    int status = url_join(page_url, visit->response.location, &url);
    if (status != 1)
        return status;
    status = follow_link(url, visit);
    free(url);
    return status;
}

/* Adds what an answer leads to. Only pages that are there have links worth following. */
static int follow(struct visit *visit) {
    const struct http_response *response = &visit->response;
    char *page_url;
    int status = 0;
    if (asprintf(&page_url, "http://%s%s", visit->crawl->origin.authority, visit->page->target) < 0)
        return KOLK_ENOMEM;
    if (response->status >= 300 && response->status < 400 && response->location)
        status = follow_redirect(visit, page_url);
    else if (response->status < 300 && response->is_html)
        status = links_each(response->body, response->body_length, page_url, follow_link, visit);
    free(page_url);
    return status;
}

static int visit_page(void *userdata, void **ret_result) {
    struct visit *visit = userdata;
    struct crawl *crawl = visit->crawl;
    int64_t begin_ns = kolk_loop_time(crawl->loop);
    kolk_error *error = NULL;
    (void)ret_result;
    int status = fetch_in_time(visit, &error);
    int64_t duration_ns = kolk_loop_time(crawl->loop) - begin_ns;
    if (status == 0) {
        frontier_answered(&crawl->frontier, visit->page, visit->response.status, visit->response.body_length, duration_ns);
        status = follow(visit);
        if (status < 0) {
            crawl->failure = status;
            kolk_task_cancel(crawl->task);
        }
    } else if (status != KOLK_ECANCELED) {
        frontier_failed(&crawl->frontier, visit->page, error, visit->response.body_length, duration_ns);
    }
    kolk_error_unref(error);
    return 0;
}

/* ---- all pages ---- */

/* The destroy function of the visit's task: it runs however the task ends, also when it never began. */
static void visit_end(void *userdata) {
    struct visit *visit = userdata;
    struct crawl *crawl = visit->crawl;
    TAILQ_REMOVE(&crawl->visits, visit, in_visits);
    crawl->in_flight--;
    kolk_semaphore_release(crawl->slots);
    kolk_semaphore_release(crawl->endings);
    http_response_clear(&visit->response);
    kolk_task_unref(visit->task);
    free(visit);
}

/* Takes over a permit of the semaphore. */
static int start_visit(struct crawl *crawl) {
    /* The HTML parser runs on the task's stack. */
    const kolk_task_options options = {.size = sizeof options, .name = "visit", .stack_size = 256 * 1024};
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        return KOLK_ENOMEM;
    visit->crawl = crawl;
    visit->page = frontier_next(&crawl->frontier);
    TAILQ_INSERT_TAIL(&crawl->visits, visit, in_visits);
    crawl->in_flight++;
    return kolk_create_task(crawl->loop, visit_page, visit, visit_end, &options, &visit->task);
}

/* Inside the main task: returns when the last visit has ended, so that nobody uses the frontier any more. */
static void cancel_visits(struct crawl *crawl) {
    for (struct visit *visit = TAILQ_FIRST(&crawl->visits); visit; visit = TAILQ_NEXT(visit, in_visits))
        kolk_task_cancel(visit->task);
    while (crawl->in_flight > 0 && kolk_semaphore_acquire(crawl->endings) == 0)
        ;
}

static int crawl_site(void *userdata, void **ret_result) {
    struct crawl *crawl = userdata;
    int status = 0;
    (void)ret_result;
    while (status == 0 && (frontier_has_next(&crawl->frontier) || crawl->in_flight > 0)) {
        if (!frontier_has_next(&crawl->frontier)) {
            status = kolk_semaphore_acquire(crawl->endings);
            continue;
        }
        status = kolk_semaphore_acquire(crawl->slots);
        if (status == 0)
            status = start_visit(crawl);
    }
    if (status < 0)
        cancel_visits(crawl);
    return status;
}

static int tick(void *userdata, void **ret_result) {
    struct crawl *crawl = userdata;
    const int64_t period_ns = crawl->on_terminal ? INT64_C(100000000) : INT64_C(1000000000);
    int status;
    (void)ret_result;
    while ((status = kolk_sleep(period_ns)) == 0)
        progress_print(stderr, crawl->on_terminal, &crawl->frontier, crawl->in_flight,
                       kolk_loop_time(crawl->loop) - crawl->begin_ns);
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
    struct crawl *crawl = userdata;
    crawl->interrupted = true;
    kolk_task_cancel(crawl->task);
}

static int catch_interrupts(struct crawl *crawl) {
    /* Once: a second Ctrl-C ends the program the hard way. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    int status = kolk_waker_new(crawl->loop, on_interrupt, crawl, NULL, &interrupt_bell);
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

static int run(struct crawl *crawl) {
    kolk_loop *loop = crawl->loop;
    int status = kolk_semaphore_new(loop, crawl->options->jobs, &crawl->slots);
    if (status == 0)
        status = kolk_semaphore_new(loop, 0, &crawl->endings);
    if (status == 0)
        status = catch_interrupts(crawl);
    if (status == 0)
        status = kolk_create_task(loop, tick, crawl, NULL, NULL, NULL);
    if (status == 0)
        status = kolk_create_task(loop, crawl_site, crawl, NULL, NULL, &crawl->task);
    if (status == 0)
        status = kolk_loop_run_until_complete(loop, kolk_task_as_future(crawl->task));
    if (status == 0 && !crawl->interrupted)
        status = crawl->failure ? crawl->failure : kolk_task_result(crawl->task, NULL);
    return status;
}

static int write_json(FILE *file, const struct report *report, const struct frontier *frontier) {
    int status = report_write_json(file, report, frontier);
    if (fclose(file) != 0 && status == 0)
        status = KOLK_EIO;
    return status;
}

static int present(struct crawl *crawl, const char *url, int64_t elapsed_ns, FILE *json) {
    const struct report report = {.url = url,
                                  .reactor = kolk_loop_reactor(crawl->loop),
                                  .jobs = crawl->options->jobs,
                                  .interrupted = crawl->interrupted,
                                  .elapsed_ns = elapsed_ns};
    int exit_status = crawl->interrupted ? 130 : 0, status;
    progress_clear(stderr, crawl->on_terminal);
    if (crawl->start->state == PAGE_FAILED)
        exit_status = complain(url, 0, kolk_error_ref(crawl->start->error));
    else if ((status = report_print(stdout, &report, &crawl->frontier)) < 0)
        exit_status = complain("the table", status, NULL);
    if (json && (status = write_json(json, &report, &crawl->frontier)) < 0)
        exit_status = complain(crawl->options->json, status, NULL);
    return exit_status;
}

static int run_and_present(struct crawl *crawl, const char *url) {
    const char *json_name = crawl->options->json;
    FILE *json = json_name ? fopen(json_name, "w") : NULL;
    if (json_name && !json) {
        fprintf(stderr, "crawl: %s: %s\n", json_name, strerror(errno));
        return 1;
    }
    crawl->begin_ns = kolk_loop_time(crawl->loop);
    int status = run(crawl);
    if (status == 0)
        return present(crawl, url, kolk_loop_time(crawl->loop) - crawl->begin_ns, json);
    if (json)
        fclose(json);
    return complain(url, status, NULL);
}

/* Crawls what a URL leads to. Closes the loop, because that ends what is left, the ticker at least, while the memory of the
 * tasks is still there. */
static int crawl_url(kolk_loop *loop, const struct options *options, const char *url) {
    struct crawl crawl = {.options = options, .loop = loop, .on_terminal = isatty(STDERR_FILENO)};
    const char *reason = NULL;
    char *target = NULL;
    int status = origin_parse(url, &crawl.origin, &target, &reason);
    if (status == KOLK_EINVAL) {
        fprintf(stderr, "crawl: %s: %s\n", url, reason);
        return 2;
    }
    TAILQ_INIT(&crawl.visits);
    frontier_init(&crawl.frontier, options->max_depth, options->max_pages);
    if (status == 0)
        status = frontier_start(&crawl.frontier, target, &crawl.start);
    int exit_status = status == 0 ? run_and_present(&crawl, url) : complain(url, status, NULL);
    kolk_loop_close(loop);
    release_interrupts();
    kolk_task_unref(crawl.task);
    kolk_semaphore_unref(crawl.endings);
    kolk_semaphore_unref(crawl.slots);
    frontier_finish(&crawl.frontier);
    free(target);
    return exit_status;
}

static int crawl_own_site(kolk_loop *loop, const struct options *options) {
    kolk_server *server = NULL;
    kolk_error *error = NULL;
    char url[64];
    int status = site_start(loop, &server, &error);
    if (status < 0)
        return complain("cannot serve the embedded site", status, error);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", kolk_server_port(server));
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
