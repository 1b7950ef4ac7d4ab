/* The picture in its window: the whirl, and what a program draws over it before it shows the two. */
#ifndef SDL_CRAWL_PICTURE_H
#define SDL_CRAWL_PICTURE_H

#include "whirl.h"

#include <SDL.h>

/* All zeros before it is opened. */
struct picture {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture; /* What the whirl is drawn on. */
    struct whirl *whirl;
};

/* Starts SDL, and opens a window. Returns 0, or -1: SDL_GetError(). */
int picture_open(struct picture *self, const char *title, int width, int height);

/* Ends SDL. Accepts what was not opened, or only in part. */
void picture_close(struct picture *self);

/* Draws the whirl as it is now. SDL_RenderPresent() shows it. */
void picture_draw(const struct picture *self);

#endif
