#include "whirl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WATER = 7000, DRIFT = 160, SHADES = 256 };

struct drop {
    float radius; /* 1 at the rim, 0 in the middle; negative: not there. */
    float angle;
    float light; /* Falls on its place in each frame. */
};

struct whirl {
    int width, height;
    uint64_t seed;
    struct drop water[WATER];
    struct drop drift[DRIFT];
    int next_drift;
    uint32_t water_shades[SHADES]; /* By the light on a plane. */
    uint32_t drift_shades[SHADES];
    uint8_t *water_light, *drift_light; /* width * height each. */
};

/* From 0 to 1 (xorshift64*). */
static float chance(struct whirl *self) {
    self->seed ^= self->seed >> 12;
    self->seed ^= self->seed << 25;
    self->seed ^= self->seed >> 27;
    return (float)((self->seed * UINT64_C(2685821657736338717)) >> 40) / (float)(1 << 24);
}

/* ---- shades ---- */

static uint32_t mix(uint32_t from, uint32_t to, float part) {
    uint32_t mixed = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        float a = (float)(from >> shift & 255);
        float b = (float)(to >> shift & 255);
        mixed |= (uint32_t)(a + (b - a) * part + 0.5f) << shift;
    }
    return mixed;
}

/* From one colour over a second to a third. */
static void make_shades(uint32_t shades[SHADES], uint32_t dark, uint32_t middle, uint32_t bright) {
    for (int i = 0; i < SHADES; i++) {
        float part = (float)i / (SHADES - 1);
        shades[i] = part < 0.6f ? mix(dark, middle, part / 0.6f) : mix(middle, bright, (part - 0.6f) / 0.4f);
    }
}

/* ---- drops ---- */

static void scatter(struct whirl *self) {
    for (int i = 0; i < WATER; i++) {
        self->water[i].radius = sqrtf(chance(self));
        self->water[i].angle = chance(self) * 6.2831853f;
        self->water[i].light = 20 + 90 * chance(self) * chance(self);
    }
    for (int i = 0; i < DRIFT; i++)
        self->drift[i].radius = -1;
}

/* The nearer to the middle, the faster it turns and sinks. */
static void drag(struct drop *drop, float seconds) {
    drop->angle += seconds * 0.34f / (drop->radius + 0.1f);
    drop->radius -= seconds * (0.03f + 0.07f * (1 - drop->radius));
}

static void brighten(uint8_t *place, float light) {
    float sum = (float)*place + light;
    *place = (uint8_t)(sum < 254 ? sum + 0.5f : 255);
}

/* Shares the light among the four pixels that the place lies between. */
static void shine(const struct whirl *self, uint8_t *plane, float x, float y, float light) {
    int left = (int)x, top = (int)y;
    if (x < 0 || y < 0 || left >= self->width - 1 || top >= self->height - 1)
        return;
    uint8_t *at = plane + (size_t)top * (size_t)self->width + left;
    x -= (float)left;
    y -= (float)top;
    brighten(at, light * (1 - x) * (1 - y));
    brighten(at + 1, light * x * (1 - y));
    brighten(at + self->width, light * (1 - x) * y);
    brighten(at + self->width + 1, light * x * y);
}

/* Where a drop is seen: from above the rim, so that the middle lies deeper. */
static void place(const struct whirl *self, const struct drop *drop, float *ret_x, float *ret_y) {
    float sunk = 1 - drop->radius;
    float depth = 0.40f * (float)self->height * sunk * sunk * sunk * sunk * sunk;
    *ret_x = (float)self->width * (0.5f + 0.53f * drop->radius * cosf(drop->angle));
    *ret_y = (float)self->height * (0.37f + 0.41f * drop->radius * sinf(drop->angle)) + depth;
}

static void fade(uint8_t *plane, size_t count, int keep) {
    for (size_t i = 0; i < count; i++)
        plane[i] = (uint8_t)(plane[i] * keep >> 6);
}

/* ---- the whirl ---- */

struct whirl *whirl_new(int width, int height) {
    size_t pixels = (size_t)width * (size_t)height;
    struct whirl *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->width = width;
    self->height = height;
    self->seed = 1;
    self->water_light = calloc(pixels, 1);
    self->drift_light = calloc(pixels, 1);
    if (!self->water_light || !self->drift_light) {
        whirl_free(self);
        return NULL;
    }
    make_shades(self->water_shades, 0x101820, 0x1f8a8f, 0xd6fff6);
    make_shades(self->drift_shades, 0x000000, 0xc9751a, 0xffd9a0);
    scatter(self);
    return self;
}

void whirl_free(struct whirl *self) {
    if (!self)
        return;
    free(self->water_light);
    free(self->drift_light);
    free(self);
}

void whirl_drop(struct whirl *self) {
    struct drop *drop = &self->drift[self->next_drift];
    self->next_drift = (self->next_drift + 1) % DRIFT;
    // By the golden angle, so that those that come close together in time do not in space.
    *drop = (struct drop){.radius = 0.80f + 0.15f * chance(self), .angle = 2.39996f * (float)self->next_drift, .light = 255};
}

static void move_water(struct whirl *self, float seconds) {
    for (int i = 0; i < WATER; i++) {
        struct drop *drop = &self->water[i];
        float x, y;
        drag(drop, seconds);
        if (drop->radius < 0.02f) {
            drop->radius = 1;
            drop->angle = chance(self) * 6.2831853f;
        }
        place(self, drop, &x, &y);
        shine(self, self->water_light, x, y, drop->light);
    }
}

/* A drift is as wide as two pixels. */
static void move_drift(struct whirl *self, float seconds) {
    for (int i = 0; i < DRIFT; i++) {
        struct drop *drop = &self->drift[i];
        float x, y;
        if (drop->radius < 0.02f)
            continue;
        drag(drop, seconds);
        place(self, drop, &x, &y);
        for (int part = 0; part < 4; part++)
            shine(self, self->drift_light, x + (float)(part % 2), y + (float)(part / 2), drop->light);
    }
}

void whirl_move(struct whirl *self, float seconds) {
    size_t pixels = (size_t)self->width * (size_t)self->height;
    fade(self->water_light, pixels, 58);
    fade(self->drift_light, pixels, 61);
    move_water(self, seconds);
    move_drift(self, seconds);
}

/* Adds two colours, each part up to 255. */
static uint32_t add(uint32_t a, uint32_t b) {
    uint32_t sum = (a & 0xfefefe) + (b & 0xfefefe);
    uint32_t over = sum & 0x1010100;
    return (sum | (over - (over >> 8))) & 0xffffff;
}

void whirl_draw(const struct whirl *self, uint32_t *pixels, int pitch) {
    for (int y = 0; y < self->height; y++) {
        uint32_t *line = (uint32_t *)((char *)pixels + (size_t)y * (size_t)pitch);
        const uint8_t *water = self->water_light + (size_t)y * (size_t)self->width;
        const uint8_t *drift = self->drift_light + (size_t)y * (size_t)self->width;
        for (int x = 0; x < self->width; x++) {
            line[x] = 0xff000000 | self->water_shades[water[x]];
            if (drift[x] != 0)
                line[x] = 0xff000000 | add(line[x], self->drift_shades[drift[x]]);
        }
    }
}
