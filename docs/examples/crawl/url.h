/* URLs: which server a crawl stays on, and where a link leads. Parsing, resolving and normalising are uriparser's. */
#ifndef CRAWL_URL_H
#define CRAWL_URL_H

#include <stdint.h>

/* The one server that is crawled. */
struct origin {
    char host[254];      /* A name or an address, in lower case; IPv6 without brackets. */
    uint16_t port;       /* 80 when the URL names none. */
    char authority[264]; /* As in URLs and in the Host header: with brackets, and with the port unless it is 80. */
};

/* Takes the URL a crawl starts from apart. ret_target receives path and query, to be freed. Returns 0; KOLK_EINVAL, with a
 * sentence in ret_reason; KOLK_ENOMEM. */
int origin_parse(const char *url, struct origin *ret_origin, char **ret_target, const char **ret_reason);

/* Makes an absolute URL of a link found under base, the way browsers do. Returns 1 and the URL, to be freed; 0 when the link
 * leads to no http URL; KOLK_ENOMEM. */
int url_join(const char *base, const char *link, char **ret_url);

/* Whether a URL made by url_join() leads to this server: 1 and path and query, to be freed; 0; KOLK_ENOMEM. */
int origin_target(const struct origin *self, const char *url, char **ret_target);

#endif
