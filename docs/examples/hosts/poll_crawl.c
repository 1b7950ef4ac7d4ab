/* poll_crawl [URL]: a program whose loop is poll() crawls a site, its own if none is given, and shows how far it is. */
#include "crawl/crawler.h"
#include "crawl/site.h"

#include <kolk/kolk.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* Over the line before, which is never longer; below it where there is no terminal. */
static void draw(const struct crawler *crawler) {
    struct crawler_progress now;
    crawler_get_progress(crawler, &now);
    dprintf(STDOUT_FILENO, "%5.1f s: %" PRIu64 " of %" PRIu64 " pages, %" PRIu64 " failed, %" PRIu32 " in flight%s",
            (double)now.elapsed_ns / 1e9, now.done, now.found, now.failed, now.in_flight, isatty(STDOUT_FILENO) ? "\r" : "\n");
}

/* [loop] */
static int run(kolk_loop *loop, struct crawler *crawler) {
    const kolk_budget budget = {.size = sizeof budget, .max_ns = 2000000}; // What is left over is reported by poll().
    struct pollfd kolk = {.fd = kolk_loop_get_fd(loop), .events = POLLIN};
    int status = kolk.fd < 0 ? kolk.fd : 0;
    for (int64_t next_line = 0; status == 0 && crawler_status(crawler) == KOLK_EPENDING;) {
        int64_t now = kolk_loop_time(loop);
        if (now >= next_line) {
            draw(crawler);
            next_line = now + 100000000;
        }
        if (poll(&kolk, 1, (int)((next_line - now) / 1000000) + 1) > 0) // The time is that of the line: kolk needs none.
            status = kolk_loop_dispatch(loop, &budget, NULL);
    }
    draw(crawler);
    return status < 0 ? status : crawler_status(crawler);
}
/* [loop] */

int main(int argc, char **argv) {
    const struct site_options slow = {.delay_ns = 50000000};
    char own_url[site_url_size] = "its own site", *url = argc > 1 ? argv[1] : own_url;
    kolk_loop *loop = NULL;
    kolk_server *server = NULL;
    struct crawler *crawler = NULL;
    kolk_error *error = NULL;
    int status = kolk_loop_new(NULL, &loop, &error);
    if (status == 0 && url == own_url && (status = site_start(loop, &slow, &server, &error)) == 0)
        site_url(server, own_url);
    if (status == 0 && (status = crawler_start(loop, NULL, url, NULL, NULL, &crawler, &error)) == 0)
        status = run(loop, crawler);
    puts(status < 0 ? "" : "\ndone");
    if (status < 0)
        fprintf(stderr, "%s: %s\n", url, error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    kolk_loop_close(loop);
    crawler_finish(crawler);
    kolk_server_unref(server);
    kolk_loop_unref(loop);
    return status < 0;
}
