/* The links of an HTML page. */
#ifndef CRAWL_LINKS_H
#define CRAWL_LINKS_H

#include <stddef.h>

/* Before the first page, and after the last, in a program that uses libxml for nothing else. A program that has libxml to share
 * leaves both out. */
void links_init(void);
void links_finish(void);

/* Called with each link as an absolute URL, valid during the call. A negative return is the last call. */
typedef int (*link_fn)(const char *url, void *userdata);

/* Calls fn with every http link of a page, in the order of the page: <a>, <area>, <frame> and <iframe>, seen from <base> if the
 * page has one. page_url is where the page was found. Returns 0, what fn returned, or KOLK_ENOMEM. */
int links_each(const char *html, size_t length, const char *page_url, link_fn fn, void *userdata);

#endif
