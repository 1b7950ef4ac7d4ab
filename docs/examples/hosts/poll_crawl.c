/* A program whose loop is poll() crawls a site, and shows all the while how far it is.
 *
 *     poll_crawl [URL]       without a URL: a site that it serves to itself
 *
 * kolk is one descriptor among others. The program looks after its own in the same poll(): the line that it draws ten times a
 * second, and standard input, where Enter gives up. */
#include "crawl/crawler.h"
#include "crawl/site.h"

#include <kolk/kolk.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static const int64_t second = 1000000000;

/* The line, and a new one below it where there is no terminal. */
static void draw(const struct crawler *crawler) {
    struct crawler_progress now;
    crawler_get_progress(crawler, &now);
    int on_terminal = isatty(STDOUT_FILENO);
    printf("%s%5.1f s: %" PRIu64 " of %" PRIu64 " pages, %" PRIu32 " in flight%s", on_terminal ? "\r\033[K" : "",
           (double)now.elapsed_ns / 1e9, now.done, now.found, now.in_flight, on_terminal ? "" : "\n");
    fflush(stdout);
}

/* Returns what is to be watched from now on: nothing, when nobody can press a key. */
static int give_up_on_enter(struct crawler *crawler) {
    char keys[256];
    ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
    if (count > 0)
        crawler_cancel(crawler);
    return count > 0 ? STDIN_FILENO : -1;
}

/* [loop] */
static int run(kolk_loop *loop, struct crawler *crawler) {
    // At most two milliseconds at a time, for the sake of the program's own business. What is left over is reported by poll().
    const kolk_budget budget = {.size = sizeof budget, .max_ns = 2000000};
    struct pollfd watched[] = {{.fd = kolk_loop_get_fd(loop), .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    int64_t next_line = kolk_loop_time(loop);
    int status = watched[0].fd < 0 ? watched[0].fd : 0;

    while (status == 0 && crawler_status(crawler) == KOLK_EPENDING) {
        int64_t left = next_line - kolk_loop_time(loop);
        if (left <= 0) {
            draw(crawler);
            next_line += second / 10;
            continue;
        }
        // The time is that of the next line: kolk needs none.
        if (poll(watched, 2, (int)(left / 1000000) + 1) < 0) {
            status = errno == EINTR ? 0 : KOLK_EIO;
            continue;
        }
        if (watched[0].revents != 0)
            status = kolk_loop_dispatch(loop, &budget, NULL);
        if (watched[1].revents != 0)
            watched[1].fd = give_up_on_enter(crawler);
    }
    return status < 0 ? status : crawler_status(crawler);
}
/* [loop] */

int main(int argc, char **argv) {
    const struct site_options slow = {.delay_ns = 50000000};
    char own_url[site_url_size];
    const char *url = argc > 1 ? argv[1] : own_url;
    kolk_loop *loop = NULL;
    kolk_server *server = NULL;
    struct crawler *crawler = NULL;
    kolk_error *error = NULL;

    int status = kolk_loop_new(NULL, &loop, &error);
    if (status == 0 && url == own_url && (status = site_start(loop, &slow, &server, &error)) == 0)
        site_url(server, own_url);
    if (status == 0)
        status = crawler_start(loop, NULL, url, NULL, NULL, &crawler, &error);
    if (status == 0) {
        status = run(loop, crawler);
        draw(crawler);
    }
    if (status < 0)
        fprintf(stderr, "\n%s: %s\n", url, error ? kolk_error_message(error) : kolk_status_message(status));
    else
        puts("\ndone");
    kolk_error_unref(error);
    kolk_loop_close(loop);
    crawler_finish(crawler);
    kolk_server_unref(server);
    kolk_loop_unref(loop);
    return status < 0;
}
