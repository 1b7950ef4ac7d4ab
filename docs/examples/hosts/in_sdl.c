/* A program of SDL, in which kolk is a guest: in_sdl, or in_sdl --frames.
 *
 * A task of kolk counts to three and then asks the program to end, as closing its window would. Without an argument the program
 * sleeps until there is an event; with --frames it draws sixty frames per second, if it drew. */
#include <kolk/kolk.h>
#include <kolk/sdl.h>

#include <SDL.h>
#include <stdio.h>
#include <string.h>

static int count(void *userdata, void **ret_result) {
    SDL_Event quit = {.type = SDL_QUIT};
    (void)userdata;
    (void)ret_result;
    int status = 0;
    for (int i = 1; i <= 3 && status >= 0; i++) {
        status = kolk_sleep(INT64_C(50000000));
        if (status >= 0)
            printf("kolk: %d\n", i);
    }
    SDL_PushEvent(&quit);
    return status;
}

/* [events] */
static int run_events(void) {
    SDL_Event event;
    while (SDL_WaitEvent(&event) == 1) {
        int status = kolk_sdl_handle_event(&event); // A turn, when it is kolk's.
        if (status < 0)
            return status;
        if (event.type == SDL_QUIT)
            return 0;
    }
    return KOLK_EIO;
}
/* [events] */

/* [frames] */
static int run_frames(kolk_guest *guest) {
    SDL_Event event;
    for (;;) {
        while (SDL_PollEvent(&event) == 1)
            if (event.type == SDL_QUIT)
                return 0;
        int status = kolk_guest_turn(guest); // Two milliseconds at the most.
        if (status < 0)
            return status;
        SDL_Delay(16); // Here a game moves its world, draws, and waits for the next frame.
    }
}
/* [frames] */

/* [attach] */
static int run(int by_frame, kolk_error **ret_error) {
    const kolk_guest_options options = {.size = sizeof options,
                                        .way = by_frame ? KOLK_GUEST_FRAME : KOLK_GUEST_THREAD,
                                        .max_ns = by_frame ? INT64_C(2000000) : 0};
    kolk_loop *loop = NULL;
    kolk_guest *guest = NULL;
    int status = kolk_loop_new(NULL, &loop, ret_error);
    if (status >= 0)
        status = kolk_sdl_attach(loop, &options, &guest, ret_error);
    if (status >= 0)
        status = kolk_create_task(loop, count, NULL, NULL, NULL, NULL);
    if (status >= 0)
        status = by_frame ? run_frames(guest) : run_events();

    kolk_guest_unref(guest);
    kolk_loop_close(loop); // Before SDL_Quit(): kolk takes leave of SDL here.
    kolk_loop_unref(loop);
    return status;
}
/* [attach] */

int main(int argc, char **argv) {
    kolk_error *error = NULL;
    if (SDL_Init(SDL_INIT_EVENTS) < 0) {
        fprintf(stderr, "%s\n", SDL_GetError());
        return 1;
    }
    int status = run(argc > 1 && strcmp(argv[1], "--frames") == 0, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error != NULL ? kolk_error_message(error) : kolk_status_message(status));
    kolk_error_unref(error);
    SDL_Quit();
    return status < 0;
}
