/* Fetches every page of a site, many at a time, as tasks on a loop that somebody else runs.
 *
 * The loop may be driven in any way: by its own functions, as crawl.c does, or by a host whose guest it is, as the programs in
 * hosts/ do. All functions are called on the loop's thread. */
#ifndef CRAWL_CRAWLER_H
#define CRAWL_CRAWLER_H

#include <kolk/future.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct crawler;
struct frontier;

struct crawler_options {
    uint32_t jobs;      /* Pages fetched at once. */
    uint32_t max_depth; /* Links from the start page. */
    uint64_t max_pages; /* Requests until it stops. */
    int64_t timeout_ns; /* For one page. */
};

/* 8 jobs, 10 seconds, and no other limit. */
extern const struct crawler_options crawler_defaults;

/* How far a crawl is. */
struct crawler_progress {
    uint64_t found;     /* Pages known to be there: done, in flight, to do, and those beyond a limit. */
    uint64_t done;      /* Pages that were answered or failed. */
    uint64_t failed;    /* Those of them that failed. */
    uint64_t to_do;     /* Pages that wait for a turn. */
    uint64_t bytes;     /* Of all bodies so far. */
    uint32_t in_flight; /* Pages being fetched now. */
    int64_t elapsed_ns; /* Since the start; after the end, what it took. */
};

/* Called once, from a turn of the loop, when no page is in flight any more. May finish the crawler. */
typedef void (*crawler_done_fn)(struct crawler *self, void *userdata);

/* Begins to crawl what a URL leads to; it goes on while the loop is run. options may be NULL for the
 * defaults, and on_done when nobody wants to know. Returns 0, KOLK_ENOMEM, what the loop says, or KOLK_EINVAL: then the error,
 * owned by the caller, tells what is wrong with the URL. */
int crawler_start(kolk_loop *loop, const struct crawler_options *options, const char *url, crawler_done_fn on_done,
                  void *userdata, struct crawler **ret_crawler, kolk_error **ret_error);

void crawler_get_progress(const struct crawler *self, struct crawler_progress *ret_progress);

/* KOLK_EPENDING while it goes on; then 0, KOLK_ECANCELED, or why it could not go on. */
int crawler_status(const struct crawler *self);

/* Done when the crawl is; a task can await it. Borrowed. */
kolk_future *crawler_future(const struct crawler *self);

/* Its pages; the first of them is the start. Borrowed. */
const struct frontier *crawler_frontier(const struct crawler *self);

/* Gives up: on_done is called when the pages in flight have ended. */
void crawler_cancel(struct crawler *self);

/* Gives the crawler back, at any time: what is in flight is cancelled, and on_done is not called any more. Accepts NULL. */
void crawler_finish(struct crawler *self);

#ifdef __cplusplus
}
#endif

#endif
