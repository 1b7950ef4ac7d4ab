/* libxml2 reports start tags while it parses, and no tree is built: time and memory stay in proportion to the page, however
 * deeply its elements are nested. A tree parser would need a stack as deep as the page, and this one runs inside a task. */
#include "links.h"

#include "url.h"

#include <kolk/error.h>

#include <libxml/HTMLparser.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    htmlParserCtxtPtr parser;
    const char *page_url;
    char *base; /* What <base> says instead; NULL before or without one. */
    link_fn fn;
    void *userdata;
    int status;
};

/* libxml2 writes all names in lower case. */
static const char *attribute(const xmlChar **attributes, const char *name) {
    for (; attributes && attributes[0]; attributes += 2)
        if (strcmp((const char *)attributes[0], name) == 0)
            return (const char *)attributes[1];
    return NULL;
}

static bool one_of(const char *name, const char *const *names) {
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names;
}

/* The attribute with which an element links to another page; NULL for elements that do not. */
static const char *link_attribute(const char *element) {
    static const char *const with_href[] = {"a", "area", NULL};
    static const char *const with_src[] = {"frame", "iframe", NULL};
    return one_of(element, with_href) ? "href" : one_of(element, with_src) ? "src" : NULL;
}

static int scan_link(struct scan *self, const char *link) {
    char *url = NULL;
    int status = url_join(self->base ? self->base : self->page_url, link, &url);
    if (status == 1)
        status = self->fn(url, self->userdata);
    free(url);
    return status;
}

static void start_element(void *userdata, const xmlChar *name, const xmlChar **attributes) {
    struct scan *self = userdata;
    const char *element = (const char *)name, *link_name = link_attribute(element);
    const char *link = link_name ? attribute(attributes, link_name) : NULL;
    const char *base = !self->base && strcmp(element, "base") == 0 ? attribute(attributes, "href") : NULL;
    if (base)
        self->status = url_join(self->page_url, base, &self->base);
    else if (link)
        self->status = scan_link(self, link);
    if (self->status < 0)
        xmlStopParser(self->parser);
}

/* libxml2 does not survive everywhere that memory runs out: in places it crashes or never ends. A library must live with that;
 * a program may say so and go. */
static void *or_exit(void *memory) {
    if (!memory) {
        fputs("crawl: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void *allocate(size_t size) { return or_exit(malloc(size)); }
static void *reallocate(void *memory, size_t size) { return or_exit(realloc(memory, size)); }
static char *duplicate(const char *text) { return or_exit(strdup(text)); }

void links_init(void) {
    xmlMemSetup(free, allocate, reallocate, duplicate);
    xmlInitParser();
}

void links_finish(void) { xmlCleanupParser(); }

/* UTF-8 unless the bytes are none: nearly every page is, and many forget to say so. */
int links_each(const char *html, size_t length, const char *page_url, link_fn fn, void *userdata) {
    struct scan scan = {.parser = htmlNewParserCtxt(), .page_url = page_url, .fn = fn, .userdata = userdata};
    const int options = HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET;
    *scan.parser->sax = (htmlSAXHandler){.startElement = start_element};
    scan.parser->userData = &scan;
    if (length > 0)
        xmlFreeDoc(htmlCtxtReadMemory(scan.parser, html, (int)length, NULL, "UTF-8", options));
    htmlFreeParserCtxt(scan.parser);
    free(scan.base);
    return scan.status < 0 ? scan.status : 0;
}
