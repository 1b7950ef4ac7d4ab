/* A small site to crawl when none is at hand: 60 pages about numbers, served by kolk itself.
 *
 * It has what real sites have: cycles, a page that is missing and one that is gone, redirects, two that lead to each other, a
 * page sent in chunks, a slow one, one that breaks off, and one that is no HTML. */
#ifndef CRAWL_SITE_H
#define CRAWL_SITE_H

#include <kolk/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero in a member means as usual. */
struct site_options {
    uint32_t numbers; /* How many pages about numbers there are: 50, and ten others. */
    int64_t delay_ns; /* How long each page of those takes to answer, so that there is something to watch: no time. */
};

/* Serves the site on a free port of 127.0.0.1 until the server is closed. As kolk_start_server(); options may be NULL. */
int site_start(kolk_loop *loop, const struct site_options *options, kolk_server **ret_server, kolk_error **ret_error);

enum { site_url_size = 32 };

/* Writes the URL of its first page. */
void site_url(const kolk_server *server, char ret_url[site_url_size]);

#ifdef __cplusplus
}
#endif

#endif
