/* sdl_crawl: a game of sixty frames per second, in which kolk crawls a site.
 *
 * Each frame computes a picture and gives kolk two milliseconds at the most. The site is served by kolk, too, in the same loop.
 * Each page that arrives falls into the whirl. */
#include "crawl/crawler.h"
#include "crawl/links.h"
#include "crawl/site.h"
#include "sdl_crawl/panel.h"
#include "sdl_crawl/picture.h"

#include <kolk/kolk.h>
#include <kolk/sdl.h>

#include <errno.h>
#include <getopt.h>
#include <SDL.h>
#include <SDL_ttf.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 960, HEIGHT = 540, FRAMES_PER_SECOND = 60, BUDGET_NS = 2000000 };

static const char usage[] = "usage: sdl_crawl [options]\n"
                            "\n"
                            "Crawls a small site of its own while a picture moves, in an SDL window.\n"
                            "\n"
                            "  --pages N         stop after N pages\n"
                            "  --frames N        end after N frames\n"
                            "  --quit-when-done  end when the crawl is done\n"
                            "  --font FILE       for the text (" FONT ")\n"
                            "  --help            this text\n";

struct options {
    uint64_t pages;  /* 0: no limit. */
    uint64_t frames; /* 0: no limit. */
    int quit_when_done;
    const char *font;
};

struct game {
    const struct options *options;
    struct picture picture;
    struct panel *panel;
    kolk_loop *loop;
    kolk_guest *guest;
    kolk_server *server;
    struct crawler *crawler;
    struct crawler_progress progress;
    uint64_t presented; /* Frames. */
    int announced;      /* That the crawl is done. */
    int quit;
};

/* ---- the command line ---- */

/* Ends the program when the text is no number that makes sense. */
static uint64_t parse_count(const char *option, const char *text) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number == 0) {
        fprintf(stderr, "sdl_crawl: --%s %s: a whole number of at least 1 is needed\n", option, text);
        exit(2);
    }
    return number;
}

static void parse_options(int argc, char **argv, struct options *ret_options) {
    static const struct option names[] = {{"pages", required_argument, NULL, 'p'},    {"frames", required_argument, NULL, 'f'},
                                          {"quit-when-done", no_argument, NULL, 'q'}, {"font", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    *ret_options = (struct options){.font = FONT};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p':
            ret_options->pages = parse_count("pages", optarg);
            break;
        case 'f':
            ret_options->frames = parse_count("frames", optarg);
            break;
        case 'q':
            ret_options->quit_when_done = 1;
            break;
        case 't':
            ret_options->font = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sdl_crawl: %s: no arguments are taken\n%s", argv[optind], usage);
        exit(2);
    }
}

/* ---- the window ---- */

static int complain(const char *what, const char *why) {
    fprintf(stderr, "sdl_crawl: %s: %s\n", what, why);
    return -1;
}

static int open_window(struct game *game) {
    if (picture_open(&game->picture, "kolk in a game", WIDTH, HEIGHT) < 0)
        return complain("no window", SDL_GetError());
    if (TTF_Init() < 0)
        return complain("no text", TTF_GetError());
    game->panel = panel_new(game->picture.renderer, game->options->font);
    return game->panel ? 0 : complain(game->options->font, TTF_GetError());
}

static void close_window(struct game *game) {
    panel_free(game->panel);
    if (TTF_WasInit())
        TTF_Quit();
    picture_close(&game->picture);
}

/* ---- kolk ---- */

static int refused(const char *what, int status, kolk_error *error) {
    complain(what, error ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    return -1;
}

static void print_error(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    (void)userdata;
    fprintf(stderr, "sdl_crawl: %s\n", kolk_error_message(error));
}

/* [attach] */
static int start_kolk(struct game *game) {
    const kolk_guest_options options = {.size = sizeof options, .way = KOLK_GUEST_FRAME, .max_ns = BUDGET_NS};
    kolk_error *error = NULL;
    int status = kolk_loop_new(NULL, &game->loop, &error);
    if (status == 0)
        status = kolk_loop_set_exception_handler(game->loop, print_error, NULL, NULL);
    if (status == 0)
        status = kolk_sdl_attach(game->loop, &options, &game->guest, &error);
    return status < 0 ? refused("kolk", status, error) : 0;
}
/* [attach] */

static int start_crawl(struct game *game) {
    const struct site_options site = {.numbers = 480, .delay_ns = INT64_C(80000000)};
    struct crawler_options options = crawler_defaults;
    char url[site_url_size];
    kolk_error *error = NULL;
    options.jobs = 16;
    if (game->options->pages > 0)
        options.max_pages = game->options->pages;
    int status = site_start(game->loop, &site, &game->server, &error);
    if (status == 0) {
        site_url(game->server, url);
        status = crawler_start(game->loop, &options, url, NULL, NULL, &game->crawler, &error);
    }
    return status < 0 ? refused("the crawl", status, error) : 0;
}

/* The crawl is given up first, so that its tasks end while the loop still turns for them. */
static void stop_kolk(struct game *game) {
    crawler_finish(game->crawler);
    kolk_guest_detach(game->guest);
    kolk_guest_unref(game->guest);
    kolk_server_unref(game->server);
    kolk_loop_close(game->loop);
    kolk_loop_unref(game->loop);
}

/* ---- frames ---- */

static int is_done(const struct game *game) { return crawler_status(game->crawler) != KOLK_EPENDING; }

static void handle_events(struct game *game) {
    SDL_Event event;
    while (SDL_PollEvent(&event) == 1)
        if (event.type == SDL_QUIT || (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_ESCAPE))
            game->quit = 1;
}

/* Each page that came since the last frame falls into the whirl. */
static void look_at_crawl(struct game *game) {
    uint64_t done_before = game->progress.done;
    crawler_get_progress(game->crawler, &game->progress);
    for (uint64_t i = done_before; i < game->progress.done; i++)
        whirl_drop(game->picture.whirl);
}

static uint64_t pages_to_do(const struct game *game) {
    uint64_t limit = game->options->pages;
    uint64_t found = game->progress.found;
    return is_done(game) ? game->progress.done : limit > 0 && limit < found ? limit : found;
}

static void draw(struct game *game) {
    char note[64];
    if (is_done(game))
        snprintf(note, sizeof note, "done in %.2f s", (double)game->progress.elapsed_ns / 1e9);
    else
        snprintf(note, sizeof note, "%u in flight", (unsigned)game->progress.in_flight);
    picture_draw(&game->picture);
    panel_draw(game->panel,
               &(struct panel_state){
                   .done = game->progress.done, .known = pages_to_do(game), .note = note, .budget_ms = BUDGET_NS / 1e6});
    SDL_RenderPresent(game->picture.renderer);
}

static double milliseconds_since(Uint64 begin) {
    return (double)(SDL_GetPerformanceCounter() - begin) * 1000 / (double)SDL_GetPerformanceFrequency();
}

/* [frame] */
static int frame(struct game *game) {
    Uint64 begin = SDL_GetPerformanceCounter();
    handle_events(game);
    int status = kolk_guest_turn(game->guest);
    double kolk_ms = milliseconds_since(begin);
    look_at_crawl(game);
    whirl_move(game->picture.whirl, 1.0f / FRAMES_PER_SECOND);
    draw(game);
    panel_note_frame(game->panel, milliseconds_since(begin), kolk_ms);
    return status;
}
/* [frame] */

/* When the frame that shows it has been presented. */
static void announce(struct game *game) {
    if (game->announced || !is_done(game))
        return;
    game->announced = 1;
    printf("done: %llu pages\n", (unsigned long long)game->progress.done);
    fflush(stdout);
    if (game->options->quit_when_done)
        game->quit = 1;
}

static void sleep_until(Uint64 *next, Uint64 period) {
    Uint64 now = SDL_GetPerformanceCounter();
    *next += period;
    if (*next < now)
        *next = now; /* Too late: begin at once, and do not hurry afterwards. */
    else
        SDL_Delay((Uint32)((*next - now) * 1000 / SDL_GetPerformanceFrequency()));
}

static int play(struct game *game) {
    Uint64 next = SDL_GetPerformanceCounter();
    while (!game->quit) {
        int status = frame(game);
        if (status < 0)
            return refused("a turn of kolk's", status, NULL);
        announce(game);
        if (++game->presented == game->options->frames)
            break;
        sleep_until(&next, SDL_GetPerformanceFrequency() / FRAMES_PER_SECOND);
    }
    int status = crawler_status(game->crawler);
    return status < 0 && status != KOLK_EPENDING ? refused("the crawl", status, NULL) : 0;
}

int main(int argc, char **argv) {
    struct options options;
    struct game game = {.options = &options};
    parse_options(argc, argv, &options);
    links_init();
    int status = open_window(&game);
    if (status == 0)
        status = start_kolk(&game);
    if (status == 0)
        status = start_crawl(&game);
    if (status == 0)
        status = play(&game);
    stop_kolk(&game);
    close_window(&game);
    links_finish();
    return status < 0;
}
