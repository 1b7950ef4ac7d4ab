/* What stands in front of the picture: a title, the graph of frame times, and the bar. */
#ifndef SDL_CRAWL_PANEL_H
#define SDL_CRAWL_PANEL_H

#include <SDL.h>
#include <stdint.h>

enum { PANEL_FRAMES = 240 };

struct panel;

/* What it shows. */
struct panel_state {
    uint64_t done, known; /* Pages. */
    const char *note;     /* Beside their count. */
    double budget_ms;     /* For kolk, in each frame. */
};

/* Returns NULL when the font cannot be opened: SDL_GetError(). */
struct panel *panel_new(SDL_Renderer *renderer, const char *font);
void panel_free(struct panel *self);

/* Notes how long a frame took, and kolk in it. */
void panel_note_frame(struct panel *self, double frame_ms, double kolk_ms);

void panel_draw(struct panel *self, const struct panel_state *state);

#endif
