/* The picture: water that turns and sinks, and what drifts in it.
 *
 * Knows nothing of SDL: it computes pixels. Light falls on two planes, water and drift, and fades, so that what moves leaves a
 * trail. */
#ifndef SDL_CRAWL_WHIRL_H
#define SDL_CRAWL_WHIRL_H

#include <stdint.h>

struct whirl;

/* Returns NULL when memory is gone. */
struct whirl *whirl_new(int width, int height);
void whirl_free(struct whirl *self);

/* Throws something in at the rim. The oldest is forgotten when there are too many. */
void whirl_drop(struct whirl *self);

/* Goes on by some seconds. */
void whirl_move(struct whirl *self, float seconds);

/* Writes the picture as 32-bit ARGB; pitch is the bytes of a line. */
void whirl_draw(const struct whirl *self, uint32_t *pixels, int pitch);

#endif
