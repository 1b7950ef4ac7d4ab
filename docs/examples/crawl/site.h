/* A small site to crawl when none is at hand: 60 pages about numbers, served by kolk itself.
 *
 * It has what real sites have: cycles, a page that is missing and one that is gone, redirects, two that lead to each other, a
 * page sent in chunks, a slow one, one that breaks off, and one that is no HTML. */
#ifndef CRAWL_SITE_H
#define CRAWL_SITE_H

#include <kolk/server.h>

/* Serves the site on a free port of 127.0.0.1 until the server is closed. As kolk_start_server(). */
int site_start(kolk_loop *loop, kolk_server **ret_server, kolk_error **ret_error);

#endif
