#include "panel.h"

#include <SDL_ttf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 24, BAR_HEIGHT = 14, GRAPH_HEIGHT = 64 };

static const SDL_Color text_colour = {0xe8, 0xee, 0xf2, 255};
static const SDL_Color quiet_colour = {0x8f, 0xa3, 0xb0, 255};
static const SDL_Color accent_colour = {0x2e, 0xc4, 0xb6, 255};
static const SDL_Color warm_colour = {0xff, 0xb4, 0x54, 255};
static const SDL_Color trough_colour = {0x24, 0x32, 0x3f, 255};

/* A text and its picture, which is made anew only when the text changes. */
struct label {
    TTF_Font *font;
    SDL_Color colour;
    char text[96];
    SDL_Texture *texture;
};

enum { TITLE, SUBTITLE, COUNT, NOTE, RATE, SHARE, LABELS };

struct panel {
    SDL_Renderer *renderer;
    TTF_Font *large, *medium, *small;
    struct label labels[LABELS];
    float frame_ms[PANEL_FRAMES], kolk_ms[PANEL_FRAMES]; /* Of the last frames; a ring. */
    unsigned frames;
};

/* ---- parts ---- */

static void fill(SDL_Renderer *renderer, SDL_Color colour, int x, int y, int width, int height) {
    SDL_SetRenderDrawColor(renderer, colour.r, colour.g, colour.b, colour.a);
    SDL_RenderFillRect(renderer, &(SDL_Rect){x, y, width, height});
}

/* SDL_DestroyTexture() takes NULL for a mistake, and its words for that would replace those of the one before. */
static void drop(SDL_Texture *texture) {
    if (texture)
        SDL_DestroyTexture(texture);
}

static void set_text(struct panel *self, int which, const char *text) {
    struct label *label = &self->labels[which];
    if (label->texture && strcmp(label->text, text) == 0)
        return;
    snprintf(label->text, sizeof label->text, "%s", text);
    drop(label->texture);
    SDL_Surface *surface = TTF_RenderUTF8_Blended(label->font, text, label->colour);
    label->texture = surface ? SDL_CreateTextureFromSurface(self->renderer, surface) : NULL;
    SDL_FreeSurface(surface);
}

/* Its left or, when right is set, its right end is at x. */
static void put_text(struct panel *self, int which, int x, int y, SDL_bool right) {
    SDL_Rect at = {.x = x, .y = y};
    SDL_Texture *texture = self->labels[which].texture;
    if (!texture || SDL_QueryTexture(texture, NULL, NULL, &at.w, &at.h) < 0)
        return; /* Nothing to show is no reason to stop. */
    if (right)
        at.x -= at.w;
    SDL_RenderCopy(self->renderer, texture, NULL, &at);
}

/* ---- frame times ---- */

void panel_note_frame(struct panel *self, double frame_ms, double kolk_ms) {
    unsigned place = self->frames++ % PANEL_FRAMES;
    self->frame_ms[place] = (float)frame_ms;
    self->kolk_ms[place] = (float)kolk_ms;
}

static float mean(const float *times, unsigned count) {
    float sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += times[i];
    return count == 0 ? 0 : sum / (float)count;
}

/* The whole height is the time there is: a sixtieth of a second. */
static int graph_pixels(float ms) {
    int pixels = (int)(ms * GRAPH_HEIGHT * 60 / 1000 + 0.5f);
    return pixels < GRAPH_HEIGHT ? pixels : GRAPH_HEIGHT;
}

static void draw_graph(struct panel *self, int right, int top, double budget_ms) {
    const SDL_Color back = {0x10, 0x18, 0x20, 200};
    char text[96];
    int left = right - PANEL_FRAMES;
    int bottom = top + GRAPH_HEIGHT;
    unsigned count = self->frames < PANEL_FRAMES ? self->frames : PANEL_FRAMES;
    fill(self->renderer, back, left - 8, top - 8, PANEL_FRAMES + 16, GRAPH_HEIGHT + 64);
    for (unsigned i = 0; i < count; i++) {
        unsigned place = (self->frames - count + i) % PANEL_FRAMES;
        int x = right - (int)count + (int)i;
        int frame = graph_pixels(self->frame_ms[place]);
        int kolk = graph_pixels(self->kolk_ms[place]);
        fill(self->renderer, quiet_colour, x, bottom - frame, 1, frame - kolk);
        fill(self->renderer, warm_colour, x, bottom - kolk, 1, kolk);
    }
    fill(self->renderer, trough_colour, left, top, PANEL_FRAMES, 1);
    fill(self->renderer, trough_colour, left, bottom, PANEL_FRAMES, 1);
    // The text changes twice a second, or nobody could read it.
    if (self->frames % 30 == 1) {
        snprintf(text, sizeof text, "frame %.1f of 16.7 ms", (double)mean(self->frame_ms, count));
        set_text(self, RATE, text);
        snprintf(text, sizeof text, "kolk %.2f of %.1f ms", (double)mean(self->kolk_ms, count), budget_ms);
        set_text(self, SHARE, text);
    }
    put_text(self, RATE, left, bottom + 6, SDL_FALSE);
    put_text(self, SHARE, left, bottom + 26, SDL_FALSE);
}

/* ---- the bar ---- */

static void draw_bar(struct panel *self, const struct panel_state *state, int width, int height) {
    const SDL_Color back = {0x10, 0x18, 0x20, 200};
    int top = height - MARGIN - BAR_HEIGHT;
    int length = width - 2 * MARGIN;
    int full = state->known == 0 ? 0 : (int)((uint64_t)length * state->done / state->known);
    char text[96];
    fill(self->renderer, back, 0, top - 56, width, height - top + 56);
    fill(self->renderer, trough_colour, MARGIN, top, length, BAR_HEIGHT);
    fill(self->renderer, accent_colour, MARGIN, top, full, BAR_HEIGHT);
    snprintf(text, sizeof text, "%llu of %llu pages", (unsigned long long)state->done, (unsigned long long)state->known);
    set_text(self, COUNT, text);
    set_text(self, NOTE, state->note);
    put_text(self, COUNT, MARGIN, top - 42, SDL_FALSE);
    put_text(self, NOTE, width - MARGIN, top - 34, SDL_TRUE);
}

/* ---- the panel ---- */

static void make_label(struct panel *self, int which, TTF_Font *font, SDL_Color colour) {
    self->labels[which].font = font;
    self->labels[which].colour = colour;
}

struct panel *panel_new(SDL_Renderer *renderer, const char *font) {
    struct panel *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->renderer = renderer;
    self->large = TTF_OpenFont(font, 38);
    self->medium = TTF_OpenFont(font, 26);
    self->small = TTF_OpenFont(font, 15);
    if (!self->large || !self->medium || !self->small) {
        panel_free(self);
        return NULL;
    }
    make_label(self, TITLE, self->large, text_colour);
    make_label(self, SUBTITLE, self->small, quiet_colour);
    make_label(self, COUNT, self->medium, text_colour);
    make_label(self, NOTE, self->small, quiet_colour);
    make_label(self, RATE, self->small, quiet_colour);
    make_label(self, SHARE, self->small, warm_colour);
    set_text(self, TITLE, "kolk");
    set_text(self, SUBTITLE, "a crawl inside an SDL game");
    return self;
}

void panel_free(struct panel *self) {
    if (!self)
        return;
    for (int i = 0; i < LABELS; i++)
        drop(self->labels[i].texture);
    TTF_Font *fonts[] = {self->large, self->medium, self->small};
    for (int i = 0; i < 3; i++)
        if (fonts[i])
            TTF_CloseFont(fonts[i]);
    free(self);
}

void panel_draw(struct panel *self, const struct panel_state *state) {
    int width = 0, height = 0;
    SDL_GetRendererOutputSize(self->renderer, &width, &height);
    SDL_SetRenderDrawBlendMode(self->renderer, SDL_BLENDMODE_BLEND);
    put_text(self, TITLE, MARGIN, MARGIN - 10, SDL_FALSE);
    put_text(self, SUBTITLE, MARGIN + 2, MARGIN + 36, SDL_FALSE);
    draw_graph(self, width - MARGIN, MARGIN, state->budget_ms);
    draw_bar(self, state, width, height);
}
