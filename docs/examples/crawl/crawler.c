/* A task for each page in flight, which reads like a blocking program: connect, send, receive, look for links. While it waits
 * the others run, and because only one runs at a time they share the frontier without a lock.
 *
 *     main task   takes pages from the frontier and starts a visit for each, as many as the semaphore allows
 *     visit       fetches a page in time, records what came of it, adds the links it found to the frontier
 *     fetch       the HTTP request of a visit, a task of its own so that it can be given up
 *
 * Cancelling the main task cancels the visits and waits until they have ended. */
#include "crawler.h"

#include "frontier.h"
#include "http.h"
#include "links.h"
#include "url.h"

#include <kolk/kolk.h>

#include <stdio.h>
#include <stdlib.h>

struct crawler {
    struct crawler_options options;
    struct origin origin;
    struct frontier frontier;
    TAILQ_HEAD(visits, visit) visits;
    uint32_t in_flight;
    uint32_t references; /* The owner, the main task and each visit, whichever goes last: a loop may end at any time. */
    kolk_loop *loop;
    kolk_task *task;         /* The main task. */
    kolk_semaphore *slots;   /* A permit for each page that may be fetched at once. */
    kolk_semaphore *endings; /* A permit for each visit that has ended; where the main task waits for something to do. */
    int64_t begin_ns;
    int64_t end_ns; /* 0 while it goes on. */
    int failure;    /* Why the crawl itself cannot go on. */
    crawler_done_fn on_done;
    void *userdata; /* Of on_done. */
};

struct visit {
    struct crawler *crawler;
    struct page *page;
    kolk_task *task;
    struct http_response response;
    TAILQ_ENTRY(visit) in_visits;
};

static void release(struct crawler *self) {
    if (--self->references > 0)
        return;
    kolk_task_unref(self->task);
    kolk_semaphore_unref(self->endings);
    kolk_semaphore_unref(self->slots);
    frontier_finish(&self->frontier);
    free(self);
}

/* ---- one page ---- */

static int fetch(void *userdata, void **ret_result) {
    struct visit *visit = userdata;
    kolk_error *error = NULL;
    (void)ret_result;
    int status = http_get(&visit->crawler->origin, visit->page->target, &visit->response, &error);
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
    int64_t timeout_ns = visit->crawler->options.timeout_ns;
    kolk_task *task = NULL;
    int status = kolk_create_task(visit->crawler->loop, fetch, visit, NULL, NULL, &task);
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
    struct crawler *self = visit->crawler;
    char *target;
    int status = origin_target(&self->origin, url, &target);
    if (status != 1)
        return status;
    bool is_redirect = visit->page->status >= 300;
    status = is_redirect ? frontier_redirect(&self->frontier, visit->page, target)
                         : frontier_link(&self->frontier, visit->page, target);
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
    if (asprintf(&page_url, "http://%s%s", visit->crawler->origin.authority, visit->page->target) < 0)
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
    struct crawler *self = visit->crawler;
    int64_t begin_ns = kolk_loop_time(self->loop);
    kolk_error *error = NULL;
    (void)ret_result;
    int status = fetch_in_time(visit, &error);
    int64_t duration_ns = kolk_loop_time(self->loop) - begin_ns;
    if (status == 0) {
        frontier_answered(&self->frontier, visit->page, visit->response.status, visit->response.body_length, duration_ns);
        status = follow(visit);
        if (status < 0) {
            self->failure = status;
            kolk_task_cancel(self->task);
        }
    } else if (status != KOLK_ECANCELED) {
        frontier_failed(&self->frontier, visit->page, error, visit->response.body_length, duration_ns);
    }
    kolk_error_unref(error);
    return 0;
}

/* ---- all pages ---- */

/* The destroy function of the visit's task: it runs however the task ends, also when it never began. */
static void visit_end(void *userdata) {
    struct visit *visit = userdata;
    struct crawler *self = visit->crawler;
    TAILQ_REMOVE(&self->visits, visit, in_visits);
    self->in_flight--;
    kolk_semaphore_release(self->slots);
    kolk_semaphore_release(self->endings);
    http_response_clear(&visit->response);
    kolk_task_unref(visit->task);
    free(visit);
    release(self);
}

/* Takes over a permit of the semaphore. */
static int start_visit(struct crawler *self) {
    /* The HTML parser runs on the task's stack. */
    const kolk_task_options options = {.size = sizeof options, .name = "visit", .stack_size = 256 * 1024};
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        return KOLK_ENOMEM;
    visit->crawler = self;
    visit->page = frontier_next(&self->frontier);
    TAILQ_INSERT_TAIL(&self->visits, visit, in_visits);
    self->in_flight++;
    self->references++;
    return kolk_create_task(self->loop, visit_page, visit, visit_end, &options, &visit->task);
}

/* Inside the main task: returns when the last visit has ended, so that nobody uses the frontier any more. */
static void cancel_visits(struct crawler *self) {
    for (struct visit *visit = TAILQ_FIRST(&self->visits); visit; visit = TAILQ_NEXT(visit, in_visits))
        kolk_task_cancel(visit->task);
    while (self->in_flight > 0 && kolk_semaphore_acquire(self->endings) == 0)
        ;
}

static int crawl_site(void *userdata, void **ret_result) {
    struct crawler *self = userdata;
    int status = 0;
    (void)ret_result;
    while (status == 0 && (frontier_has_next(&self->frontier) || self->in_flight > 0)) {
        if (!frontier_has_next(&self->frontier)) {
            status = kolk_semaphore_acquire(self->endings);
            continue;
        }
        status = kolk_semaphore_acquire(self->slots);
        if (status == 0)
            status = start_visit(self);
    }
    if (status < 0)
        cancel_visits(self);
    return status;
}

static void main_task_end(void *userdata) {
    struct crawler *self = userdata;
    self->end_ns = kolk_loop_time(self->loop);
    release(self);
}

static void main_task_done(kolk_future *future, void *userdata) {
    struct crawler *self = userdata;
    (void)future;
    if (self->on_done)
        self->on_done(self, self->userdata);
}

static void callback_end(void *userdata) { release(userdata); }

/* ---- the crawler ---- */

const struct crawler_options crawler_defaults = {
    .jobs = 8, .max_depth = UINT32_MAX - 1, .max_pages = UINT64_MAX, .timeout_ns = INT64_C(10) * 1000000000};

static int start(struct crawler *self, const char *target) {
    struct page *page;
    int status = frontier_start(&self->frontier, target, &page);
    if (status == 0)
        status = kolk_semaphore_new(self->loop, self->options.jobs, &self->slots);
    if (status == 0)
        status = kolk_semaphore_new(self->loop, 0, &self->endings);
    if (status < 0)
        return status;
    self->begin_ns = kolk_loop_time(self->loop);
    self->references++;
    status = kolk_create_task(self->loop, crawl_site, self, main_task_end, NULL, &self->task);
    if (status < 0 || !self->on_done)
        return status;
    self->references++;
    status = kolk_future_add_done_callback(kolk_task_as_future(self->task), main_task_done, self, callback_end);
    if (status < 0)
        kolk_task_cancel(self->task);
    return status;
}

int crawler_start(kolk_loop *loop, const struct crawler_options *options, const char *url, crawler_done_fn on_done,
                  void *userdata, struct crawler **ret_crawler, kolk_error **ret_error) {
    const char *reason = NULL;
    char *target = NULL;
    struct crawler *self = calloc(1, sizeof *self);
    if (!self)
        return kolk_error_new(KOLK_ENOMEM, NULL, NULL, ret_error), KOLK_ENOMEM;
    self->options = options ? *options : crawler_defaults;
    self->loop = loop;
    self->on_done = on_done;
    self->userdata = userdata;
    self->references = 1;
    TAILQ_INIT(&self->visits);
    frontier_init(&self->frontier, self->options.max_depth, self->options.max_pages);
    int status = origin_parse(url, &self->origin, &target, &reason);
    if (status == 0)
        status = start(self, target);
    free(target);
    if (status == 0)
        *ret_crawler = self;
    else {
        kolk_error_new(status, reason, NULL, ret_error);
        release(self);
    }
    return status;
}

void crawler_get_progress(const struct crawler *self, struct crawler_progress *ret_progress) {
    int64_t now_ns = self->end_ns ? self->end_ns : kolk_loop_time(self->loop);
    *ret_progress = (struct crawler_progress){.found = HASH_COUNT(self->frontier.pages),
                                              .done = self->frontier.answered + self->frontier.failed,
                                              .failed = self->frontier.failed,
                                              .to_do = self->frontier.todo_count,
                                              .bytes = self->frontier.bytes,
                                              .in_flight = self->in_flight,
                                              .elapsed_ns = now_ns - self->begin_ns};
}

int crawler_status(const struct crawler *self) {
    int status = kolk_task_result(self->task, NULL);
    return status != KOLK_EPENDING && self->failure ? self->failure : status;
}

kolk_future *crawler_future(const struct crawler *self) { return kolk_task_as_future(self->task); }

const struct frontier *crawler_frontier(const struct crawler *self) { return &self->frontier; }

void crawler_cancel(struct crawler *self) { kolk_task_cancel(self->task); }

void crawler_finish(struct crawler *self) {
    if (!self)
        return;
    self->on_done = NULL;
    kolk_task_cancel(self->task);
    release(self);
}
