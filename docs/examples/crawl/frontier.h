/* What a crawl knows: every page seen so far, once, and which of them are still to do.
 *
 * Pages are fetched many at a time, so a page may be found by a long way before the short one is known. Each page therefore
 * keeps its links: when it turns out to be nearer to the start, so does everything behind it. What is within the depth limit is
 * then the same for any number of jobs and any order of answers. */
#ifndef CRAWL_FRONTIER_H
#define CRAWL_FRONTIER_H

#include <kolk/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

enum page_state {
    PAGE_SEEN,     /* Linked to, but too far away so far. */
    PAGE_TODO,     /* In the queue. */
    PAGE_TAKEN,    /* Being fetched. */
    PAGE_ANSWERED, /* The server gave a status. */
    PAGE_FAILED    /* It did not, or not all of the page. */
};

struct page {
    char *target; /* Path and query. Key of the table. */
    enum page_state state;
    uint32_t depth;       /* Fewest links from the start page, as far as known. A redirect does not count as a link. */
    uint32_t redirects;   /* Redirects in a row that led here. */
    int status;           /* Of the answer. */
    kolk_error *error;    /* Of the failure; owned. */
    uint64_t bytes;       /* Of the body. */
    int64_t duration_ns;  /* From the connection to the last byte. */
    struct page **links;  /* Pages it leads to. */
    size_t link_count;    /* How many. */
    size_t link_capacity; /* How many fit. */
    bool moved;           /* Waits in a list of pages that came nearer. */
    STAILQ_ENTRY(page) in_todo;
    STAILQ_ENTRY(page) in_moved;
    UT_hash_handle hh;
};

struct frontier {
    struct page *pages; /* The table, in the order in which pages were first seen: the start comes first. */
    STAILQ_HEAD(todo, page) todo;
    size_t todo_count;
    uint32_t max_depth;
    uint64_t max_pages;
    uint64_t taken, answered, failed; /* How many pages so far. */
    uint64_t bytes;                   /* Of all bodies so far. */
};

void frontier_init(struct frontier *self, uint32_t max_depth, uint64_t max_pages);
void frontier_finish(struct frontier *self);

/* Adds the page where it all starts. Returns 0 or KOLK_ENOMEM. */
int frontier_start(struct frontier *self, const char *target, struct page **ret_page);

/* A page leads to another, by a link or by being a redirect. Returns 0 or KOLK_ENOMEM. */
int frontier_link(struct frontier *self, struct page *from, const char *target);
int frontier_redirect(struct frontier *self, struct page *from, const char *target);

/* Whether there is a page to take now, and taking it. */
bool frontier_has_next(const struct frontier *self);
struct page *frontier_next(struct frontier *self);

/* What came of a page that was taken. The error is borrowed. */
void frontier_answered(struct frontier *self, struct page *page, int status, uint64_t bytes, int64_t duration_ns);
void frontier_failed(struct frontier *self, struct page *page, kolk_error *error, uint64_t bytes, int64_t duration_ns);

#endif
