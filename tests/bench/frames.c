/* frames: what a game that draws sixty frames per second pays for a kolk under load.
 *
 * The game is docs/examples/hosts/sdl_crawl.c without its text: its window, its picture, and kolk as its guest. A frame looks
 * for events, gives kolk a turn within a budget, draws and presents; then the game sleeps until the next one is due. Without a
 * screen, run it under xvfb-run; with SDL_VIDEODRIVER=dummy all is drawn, and shown to nobody. On a machine that others use,
 * chrt --rr 10 before it all keeps them out.
 *
 * A child keeps conns connections to an echo server in the same loop busy, each with one message under way; that is more than
 * the budget allows. Blocks of frames with and without that traffic take turns, so that both see the same machine; the first
 * frames of a block are not counted. The time of a frame is without the sleep.
 *
 *   idle_…, busy_…    microseconds of a frame without and with the traffic: median, 99th percentile, maximum; and the median of
 *                     its processor time, which others on the machine do not lengthen
 *   …_over_Nms_pct    the histogram: percent of the frames that took longer than that
 *   growth_us         of the 99th percentile, by the traffic; a budget that is kept lets it grow by little more than budget_us
 *   busy_allocations  how often the loop asked for memory in all busy frames together
 *   echoes_per_frame  what was done in a busy frame */
#define _GNU_SOURCE
#include "bench.h"

#include "sdl_crawl/picture.h"

#include <kolk/sdl.h>
#include <kolk/server.h>

#include <arpa/inet.h>
#include <errno.h>
#include <SDL.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 60, WARM_UP = 5, MESSAGE = 64, WIDTH = 960, HEIGHT = 540, STEP_MS = 2, LAST_MS = 16 };

/* Of a frame. */
struct times {
    double us, cpu_us;
};

static kolk_loop *loop;
static kolk_guest *guest;
static long frame_ns;
static long conns;
static long echoes;
static atomic_long allocations; // resolver threads would count, too
static struct picture picture;

/* ---- the load ---- */

static int connect_to(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        bench_fail("socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        bench_fail("connect");
    return fd;
}

static void send_message(int fd) {
    static const char message[MESSAGE];
    if (send(fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
        _exit(0); // the server has gone
}

/* The child: one message under way on each connection. */
static void load(uint16_t port) {
    struct epoll_event ready[256];
    char reply[MESSAGE];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        bench_fail("epoll_create1");
    for (long i = 0; i < conns; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = connect_to(port)};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
            bench_fail("epoll_ctl");
        send_message(event.data.fd);
    }
    for (;;) {
        int count = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (recv(ready[i].data.fd, reply, sizeof reply, 0) <= 0)
                _exit(0);
            send_message(ready[i].data.fd);
        }
    }
}

static pid_t start_load(uint16_t port) {
    pid_t game = getpid();
    pid_t child = fork();
    if (child < 0)
        bench_fail("fork");
    if (child > 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != game)
        _exit(0); // The game ended before that, for want of a window.
    bench_pin(1);
    load(port);
    _exit(0);
}

/* ---- the server ---- */

static int echo(kolk_stream *stream, void *userdata) {
    (void)userdata;
    for (;;) {
        const void *data = NULL;
        int64_t length = kolk_stream_receive(stream, &data);
        if (length <= 0)
            return (int)length;
        int status = kolk_stream_write(stream, data, (size_t)length);
        if (status < 0)
            return status;
        echoes++;
    }
}

static void *allocate(void *userdata, size_t bytes) {
    (void)userdata;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return malloc(bytes);
}

static void release(void *userdata, void *memory, size_t bytes) {
    (void)userdata;
    (void)bytes;
    free(memory);
}

static void ignore(kolk_loop *of, kolk_error *error, void *userdata) {
    (void)of; // connections that are reset in the end
    (void)error;
    (void)userdata;
}

static void start_loop(void) {
    const kolk_allocator allocator = {.size = sizeof allocator, .allocate = allocate, .release = release};
    const kolk_loop_options loop_options = {.size = sizeof loop_options, .allocator = &allocator};
    bench_check(kolk_loop_new(&loop_options, &loop, NULL), "kolk_loop_new");
    bench_check(kolk_loop_set_exception_handler(loop, ignore, NULL, NULL), "kolk_loop_set_exception_handler");
}

/* ---- the game ---- */

/* Ends the program because SDL could not do something. */
__attribute__((noreturn, cold)) static void sdl_fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, SDL_GetError());
    exit(2);
}

static void open_window(void) {
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); // Ctrl-C ends a benchmark.
    if (picture_open(&picture, "frames", WIDTH, HEIGHT) < 0)
        sdl_fail("no window");
}

static void start_guest(int64_t budget_ns) {
    const kolk_guest_options options = {.size = sizeof options, .way = KOLK_GUEST_FRAME, .max_ns = budget_ns};
    bench_check(kolk_sdl_attach(loop, &options, &guest, NULL), "kolk_sdl_attach");
}

static void handle_events(void) {
    SDL_Event event;
    while (SDL_PollEvent(&event) == 1)
        if (event.type == SDL_QUIT) {
            SDL_SetError("somebody closed it");
            sdl_fail("the window");
        }
}

static void frame(uint64_t *next, struct times *ret_times) {
    uint64_t begin = bench_now();
    uint64_t cpu = bench_cpu();
    handle_events();
    bench_check(kolk_guest_turn(guest), "kolk_guest_turn");
    whirl_move(picture.whirl, (float)frame_ns / 1e9f);
    picture_draw(&picture);
    SDL_RenderPresent(picture.renderer);
    ret_times->cpu_us = (double)(bench_cpu() - cpu) / 1000;
    uint64_t end = bench_now();
    ret_times->us = (double)(end - begin) / 1000;
    *next = *next + (uint64_t)frame_ns > end ? *next + (uint64_t)frame_ns : end;
    const struct timespec until = {.tv_sec = (time_t)(*next / 1000000000), .tv_nsec = (long)(*next % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* Some frames that count, after some that do not. */
static void block(struct times *ret_times, long count) {
    uint64_t next = bench_now();
    for (int i = 0; i < WARM_UP; i++)
        frame(&next, ret_times);
    for (long i = 0; i < count; i++)
        frame(&next, &ret_times[i]);
}

/* Until each connection has been through a few times, so that its buffers are there. It sleeps in between: the child may have
 * nowhere else to run. */
static void warm_up(const kolk_server *server) {
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t end = bench_now() + UINT64_C(60000000000);
    while (kolk_server_connections(server) < conns || echoes < 10 * conns) {
        bench_check(kolk_guest_turn(guest), "kolk_guest_turn");
        if (bench_now() > end)
            bench_refused(KOLK_ETIMEDOUT, "a minute of traffic before the first frame");
        nanosleep(&pause, NULL);
    }
}

/* ---- the figures ---- */

static int compare(const void *left, const void *right) {
    double a = ((const struct times *)left)->us;
    double b = ((const struct times *)right)->us;
    return (a > b) - (a < b);
}

static int compare_cpu(const void *left, const void *right) {
    double a = ((const struct times *)left)->cpu_us;
    double b = ((const struct times *)right)->cpu_us;
    return (a > b) - (a < b);
}

static void report(const char *kind, const char *what, double value) {
    char metric[64];
    snprintf(metric, sizeof metric, "%s_%s", kind, what);
    bench_report(metric, value);
}

static void report_histogram(const char *kind, const struct times *sorted, long n) {
    long i = 0;
    for (int ms = STEP_MS; ms <= LAST_MS; ms += STEP_MS) {
        char what[32];
        snprintf(what, sizeof what, "over_%dms_pct", ms);
        while (i < n && sorted[i].us <= 1000.0 * ms)
            i++;
        report(kind, what, 100.0 * (double)(n - i) / (double)n);
    }
}

/* Returns the 99th percentile. */
static double report_times(const char *kind, struct times *times, long n) {
    qsort(times, (size_t)n, sizeof *times, compare_cpu);
    report(kind, "cpu_us", times[n / 2].cpu_us);
    qsort(times, (size_t)n, sizeof *times, compare);
    report(kind, "p50_us", times[n / 2].us);
    report(kind, "p99_us", times[n * 99 / 100].us);
    report(kind, "max_us", times[n - 1].us);
    report_histogram(kind, times, n);
    return times[n * 99 / 100].us;
}

/* Blocks of both kinds in turn, until there are n frames of each. */
static void measure(pid_t child, struct times *idle, struct times *busy, long n) {
    long counted_allocations = 0;
    long counted_echoes = 0;
    long frames = 0;
    for (long done = 0; done < n; done += BLOCK) {
        long count = n - done < BLOCK ? n - done : BLOCK;
        kill(child, SIGSTOP);
        block(idle + done, count);
        kill(child, SIGCONT);
        long allocations_before = atomic_load(&allocations);
        long echoes_before = echoes;
        block(busy + done, count);
        counted_allocations += atomic_load(&allocations) - allocations_before;
        counted_echoes += echoes - echoes_before;
        frames += WARM_UP + count;
    }
    double idle_p99 = report_times("idle", idle, n);
    double busy_p99 = report_times("busy", busy, n);
    bench_report("growth_us", busy_p99 - idle_p99);
    bench_report("busy_allocations", (double)counted_allocations);
    bench_report("echoes_per_frame", (double)counted_echoes / (double)frames);
}

int main(int argc, char **argv) {
    conns = bench_number(argc, argv, "conns", 1000, 1);
    long n = bench_number(argc, argv, "n", 600, 1);
    frame_ns = 1000000000 / bench_number(argc, argv, "hz", 60, 1);
    long budget_us = bench_number(argc, argv, "budget_us", 2000, 1);
    struct times *idle = bench_allocate((size_t)n, sizeof *idle);
    struct times *busy = bench_allocate((size_t)n, sizeof *busy);
    const kolk_server_options options = {.size = sizeof options, .backlog = 4096};
    kolk_server *server = NULL;

    bench_raise_descriptor_limit();
    bench_pin(0);
    start_loop();
    bench_check(kolk_start_server(loop, echo, NULL, NULL, "127.0.0.1", 0, &options, &server, NULL), "kolk_start_server");
    pid_t child = start_load((uint16_t)bench_check(kolk_server_port(server), "kolk_server_port"));
    open_window(); // After the fork, which SDL does not survive.
    start_guest(budget_us * 1000);
    warm_up(server);
    measure(child, idle, busy, n);

    kill(child, SIGKILL);
    if (waitpid(child, NULL, 0) < 0)
        bench_fail("waitpid");
    bench_check(kolk_guest_detach(guest), "kolk_guest_detach");
    kolk_guest_unref(guest);
    kolk_server_unref(server);
    bench_check(kolk_loop_close(loop), "kolk_loop_close");
    kolk_loop_unref(loop);
    picture_close(&picture);
    free(idle);
    free(busy);
    return 0;
}
