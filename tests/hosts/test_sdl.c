/* What is special about SDL as a host: the one queue that is shared with the program, events that outlive their guest, a queue
 * that says no. */
#include "support/driver.h"

#include <kolk/sdl.h>

#include <pthread.h>
#include <SDL.h>

static const kolk_guest_options by_thread = {.size = sizeof by_thread, .way = KOLK_GUEST_THREAD};
static const kolk_guest_options by_frame = {.size = sizeof by_frame, .way = KOLK_GUEST_FRAME};

static void start_sdl(void) { assert_int_equal(SDL_Init(SDL_INIT_EVENTS), 0); }

static kolk_guest *attach(kolk_loop *loop, const kolk_guest_options *options) {
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    if (kolk_sdl_attach(loop, options, &guest, &error) != 0)
        fail_msg("%s", kolk_error_message(error));
    return guest;
}

static void finish(kolk_guest *guest) {
    assert_int_equal(kolk_guest_detach(guest), 0);
    kolk_guest_unref(guest);
    SDL_Quit();
}

/* The next event, within ten seconds. */
static SDL_Event next_event(void) {
    SDL_Event event = {.type = SDL_FIRSTEVENT};
    assert_int_equal(SDL_WaitEventTimeout(&event, 10000), 1);
    return event;
}

static void count(void *counter) { ++*(int *)counter; }

/* Handles events until *counter is as high. */
static void handle_until(const int *counter, int expected) {
    while (*counter < expected) {
        SDL_Event event = next_event();
        assert_int_equal(kolk_sdl_handle_event(&event), 1);
    }
}

/* ---- attach ---- */

static void assert_refused(struct fixture *f, uint32_t way, int status, const char *words) {
    const kolk_guest_options options = {.size = sizeof options, .way = way};
    kolk_guest *guest = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_sdl_attach(f->loop, &options, &guest, &error), status);
    assert_null(guest);
    assert_int_equal(kolk_error_status(error), status);
    assert_non_null(strstr(kolk_error_message(error), words));
    kolk_error_unref(error);
    assert_int_equal(kolk_sdl_attach(f->loop, &options, &guest, NULL), status);
}

static void other_ways_are_refused_in_words(void **state) {
    start_sdl();
    assert_refused(*state, KOLK_GUEST_HANDLE, KOLK_ENOTSUP, "KOLK_GUEST_THREAD (3)");
    assert_refused(*state, KOLK_GUEST_REACTOR, KOLK_ENOTSUP, "KOLK_GUEST_FRAME (1)");
    SDL_Quit();
}

static void sdl_must_have_a_queue(void **state) {
    struct fixture *f = *state;
    assert_refused(f, KOLK_GUEST_THREAD, KOLK_EINVAL, "SDL_Init()");
    assert_refused(f, KOLK_GUEST_ANY, KOLK_EINVAL, "SDL_INIT_EVENTS");
    finish(attach(f->loop, &by_frame)); // which needs none
}

static void any_way_is_the_thread(void **state) {
    struct fixture *f = *state;
    start_sdl();
    kolk_guest *guest = attach(f->loop, NULL);
    assert_int_equal(kolk_guest_way(guest), KOLK_GUEST_THREAD);
    finish(guest);
}

static void arguments_are_checked(void **state) {
    struct fixture *f = *state;
    kolk_guest *guest = NULL;
    start_sdl();
    assert_int_equal(kolk_sdl_attach(NULL, NULL, &guest, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_sdl_attach(f->loop, NULL, NULL, NULL), KOLK_EINVAL);
    assert_int_equal(kolk_sdl_handle_event(NULL), KOLK_EINVAL);
    guest = attach(f->loop, NULL);
    kolk_guest *second = NULL;
    assert_int_equal(kolk_sdl_attach(f->loop, NULL, &second, NULL), KOLK_EBUSY);
    assert_null(second);
    finish(guest);
}

static void sdl_may_be_quit_and_begun_again(void **state) {
    struct fixture *f = *state;
    int calls = 0;
    for (int round = 1; round <= 3; round++) {
        start_sdl();
        kolk_guest *guest = attach(f->loop, &by_thread);
        assert_int_equal(kolk_loop_call_later(f->loop, MS, count, &calls, NULL, NULL), 0);
        handle_until(&calls, round);
        finish(guest);
    }
}

/* ---- events ---- */

static void events_of_the_program_are_left_alone(void **state) {
    struct fixture *f = *state;
    start_sdl();
    SDL_Event event = {.type = SDL_RegisterEvents(1)};
    assert_int_equal(kolk_sdl_handle_event(&event), 0);
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_sdl_handle_event(&event), 0);
    event.type = SDL_QUIT;
    assert_int_equal(kolk_sdl_handle_event(&event), 0);

    // Even one of kolk's type, which nobody but kolk should push.
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &(int){0}, NULL, NULL), 0);
    event = next_event();
    assert_int_equal(kolk_sdl_handle_event(&event), 1);
    event.user.data2 = NULL;
    assert_int_equal(kolk_sdl_handle_event(&event), 0);
    finish(guest);
}

static void detaching_takes_the_event_out_of_the_queue(void **state) {
    struct fixture *f = *state;
    int calls = 0;
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    SDL_Event mine = {.type = SDL_RegisterEvents(1)};
    assert_int_equal(SDL_PushEvent(&mine), 1);
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls, NULL, NULL), 0);
    while (!SDL_HasEvents(SDL_USEREVENT, mine.type - 1))
        SDL_Delay(1);
    assert_int_equal(kolk_guest_detach(guest), 0);
    assert_int_equal(SDL_HasEvents(SDL_USEREVENT, mine.type - 1), SDL_FALSE);
    assert_int_equal(SDL_HasEvent(mine.type), SDL_TRUE);
    assert_int_equal(calls, 0);
    finish(guest);
}

static void an_event_that_outlives_its_guest_does_nothing(void **state) {
    struct fixture *f = *state;
    int calls = 0;
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls, NULL, NULL), 0);
    SDL_Event stale = next_event();
    assert_int_equal(kolk_guest_detach(guest), 0);
    kolk_guest_unref(guest);
    assert_int_equal(kolk_sdl_handle_event(&stale), 1);
    assert_int_equal(calls, 0);

    // Nor does it move another guest, which may well be where the first one was.
    guest = attach(f->loop, &by_frame);
    assert_int_equal(kolk_sdl_handle_event(&stale), 1);
    assert_int_equal(calls, 0);
    assert_true(kolk_guest_turn(guest) >= 0);
    assert_int_equal(calls, 1);
    finish(guest);
}

static void detach_guest(void *guest) { (void)kolk_guest_detach(guest); }

static void a_guest_may_leave_in_its_own_event(void **state) {
    struct fixture *f = *state;
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_loop_call_soon(f->loop, detach_guest, guest, NULL, NULL), 0);
    SDL_Event event = next_event();
    kolk_guest_unref(guest); // From here on only its stay keeps it.
    assert_int_equal(kolk_sdl_handle_event(&event), 1);
    assert_int_equal(kolk_sdl_handle_event(&event), 1);
    SDL_Quit();
}

static void each_event_is_for_its_own_guest(void **state) {
    struct fixture *f = *state;
    int calls[2] = {0, 0};
    kolk_loop *other = NULL;
    start_sdl();
    assert_int_equal(kolk_loop_new(NULL, &other, NULL), 0);
    kolk_guest *guests[2] = {attach(f->loop, &by_thread), attach(other, &by_thread)};
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls[0], NULL, NULL), 0);
    assert_int_equal(kolk_loop_call_soon(other, count, &calls[1], NULL, NULL), 0);
    handle_until(&calls[0], 1);
    handle_until(&calls[1], 1);
    assert_int_equal(kolk_guest_detach(guests[0]), 0);
    assert_int_equal(kolk_loop_call_soon(other, count, &calls[1], NULL, NULL), 0);
    handle_until(&calls[1], 2);
    assert_int_equal(calls[0], 1);
    kolk_guest_unref(guests[0]);
    assert_int_equal(kolk_loop_close(other), 0);
    kolk_loop_unref(other);
    finish(guests[1]);
}

static void *handle_elsewhere(void *event) { return (void *)(intptr_t)kolk_sdl_handle_event(event); }

static void events_belong_to_the_thread_of_the_loop(void **state) {
    struct fixture *f = *state;
    pthread_t thread;
    void *status;
    int calls = 0;
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls, NULL, NULL), 0);
    SDL_Event event = next_event();
    assert_int_equal(pthread_create(&thread, NULL, handle_elsewhere, &event), 0);
    assert_int_equal(pthread_join(thread, &status), 0);
    assert_int_equal((intptr_t)status, KOLK_ETHREAD);
    assert_int_equal(calls, 0);
    assert_int_equal(kolk_sdl_handle_event(&event), 1);
    assert_int_equal(calls, 1);
    finish(guest);
}

static void again_and_again(void *userdata) {
    struct fixture *f = userdata;
    (void)kolk_loop_call_soon(f->loop, again_and_again, f, NULL, NULL);
}

/* As in a game that is loading, and draws frames but takes no events. */
static void turns_beside_the_events_push_no_second_one(void **state) {
    struct fixture *f = *state;
    SDL_Event events[8];
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    again_and_again(f);
    for (int i = 0; i < 5; i++)
        assert_true(kolk_guest_turn(guest) > 0);
    assert_int_equal(SDL_PeepEvents(events, 8, SDL_PEEKEVENT, SDL_USEREVENT, SDL_LASTEVENT), 1);
    for (int i = 0; i < 5; i++) {
        SDL_Event event = next_event();
        assert_int_equal(kolk_sdl_handle_event(&event), 1);
    }
    finish(guest);
}

static int SDLCALL let_all_pass(void *userdata, SDL_Event *event) {
    (void)userdata;
    (void)event;
    return 1;
}

/* SDL tells nobody what it threw away. */
static void after_a_flush_one_turn_is_enough(void **state) {
    struct fixture *f = *state;
    int calls = 0;
    start_sdl();
    kolk_guest *guest = attach(f->loop, &by_thread);
    for (int by_filter = 0; by_filter <= 1; by_filter++) {
        assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls, NULL, NULL), 0);
        if (by_filter)
            SDL_SetEventFilter(let_all_pass, NULL);
        else
            SDL_FlushEvents(SDL_FIRSTEVENT, SDL_LASTEVENT);
        assert_int_equal(SDL_HasEvents(SDL_USEREVENT, SDL_LASTEVENT), SDL_FALSE);
        assert_int_equal(kolk_loop_call_later(f->loop, 20 * MS, count, &calls, NULL, NULL), 0);
        assert_true(kolk_guest_turn(guest) > 0);
        handle_until(&calls, 2 + 2 * by_filter);
    }
    SDL_SetEventFilter(NULL, NULL);
    finish(guest);
}

/* ---- a queue that says no ---- */

/* Refuses what is kolk's, as long as *userdata is more than 0. */
static int SDLCALL refuse(void *userdata, SDL_Event *event) {
    return event->type < SDL_USEREVENT || SDL_AtomicGet(userdata) == 0 || SDL_AtomicAdd(userdata, -1) <= 0;
}

static void what_a_filter_refuses_is_pushed_again(void **state) {
    struct fixture *f = *state;
    SDL_atomic_t refusals;
    int calls = 0;
    start_sdl();
    watch_errors(f);
    SDL_AtomicSet(&refusals, 20);
    SDL_SetEventFilter(refuse, &refusals);
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_loop_call_soon(f->loop, count, &calls, NULL, NULL), 0);
    handle_until(&calls, 1);
    assert_int_equal(SDL_AtomicGet(&refusals), 0);
    assert_int_equal(kolk_loop_call_later(f->loop, MS, count, &calls, NULL, NULL), 0);
    handle_until(&calls, 2);
    SDL_SetEventFilter(NULL, NULL);
    finish(guest);
}

static int SDLCALL drop_all(void *userdata, SDL_Event *event) {
    (void)userdata;
    (void)event;
    return 0;
}

static void what_a_full_queue_refuses_is_pushed_again(void **state) {
    struct fixture *f = *state;
    int calls = 0;
    start_sdl();
    watch_errors(f);
    SDL_Event mine = {.type = SDL_USEREVENT};
    while (SDL_PushEvent(&mine) == 1)
        ;
    kolk_guest *guest = attach(f->loop, &by_thread);
    assert_int_equal(kolk_loop_call_later(f->loop, MS, count, &calls, NULL, NULL), 0);
    SDL_Delay(20); // Meanwhile the guest's thread is refused, again and again.
    SDL_FilterEvents(drop_all, NULL);
    handle_until(&calls, 1);
    finish(guest);
}

int main(int argc, char **argv) {
    static const struct rule rules[] = {
        RULE(other_ways_are_refused_in_words),
        RULE(sdl_must_have_a_queue),
        RULE(any_way_is_the_thread),
        RULE(arguments_are_checked),
        RULE(sdl_may_be_quit_and_begun_again),
        RULE(events_of_the_program_are_left_alone),
        RULE(detaching_takes_the_event_out_of_the_queue),
        RULE(an_event_that_outlives_its_guest_does_nothing),
        RULE(a_guest_may_leave_in_its_own_event),
        RULE(each_event_is_for_its_own_guest),
        RULE(events_belong_to_the_thread_of_the_loop),
        RULE(turns_beside_the_events_push_no_second_one),
        RULE(after_a_flush_one_turn_is_enough),
        RULE(what_a_filter_refuses_is_pushed_again),
        RULE(what_a_full_queue_refuses_is_pushed_again),
    };
    select_tests(argc, argv);
    return run_plain("sdl", rules, COUNT(rules));
}
