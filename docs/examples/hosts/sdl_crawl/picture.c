#include "picture.h"

int picture_open(struct picture *self, const char *title, int width, int height) {
    // The pixels are computed here. Without this they would reach the window through OpenGL, itself computed where there is no
    // graphics card, at ten times the cost.
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        return -1;
    self->window = SDL_CreateWindow(title, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, width, height, 0);
    if (self->window)
        self->renderer = SDL_CreateRenderer(self->window, -1, SDL_RENDERER_SOFTWARE);
    if (self->renderer)
        self->texture = SDL_CreateTexture(self->renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STREAMING, width, height);
    if (!self->texture)
        return -1;
    self->whirl = whirl_new(width, height);
    return self->whirl ? 0 : SDL_OutOfMemory();
}

void picture_close(struct picture *self) {
    whirl_free(self->whirl);
    if (self->texture)
        SDL_DestroyTexture(self->texture);
    if (self->renderer)
        SDL_DestroyRenderer(self->renderer);
    if (self->window)
        SDL_DestroyWindow(self->window);
    SDL_Quit();
}

void picture_draw(const struct picture *self) {
    void *pixels;
    int pitch;
    if (SDL_LockTexture(self->texture, NULL, &pixels, &pitch) == 0) {
        whirl_draw(self->whirl, pixels, pitch);
        SDL_UnlockTexture(self->texture);
    }
    SDL_RenderCopy(self->renderer, self->texture, NULL, NULL);
}
