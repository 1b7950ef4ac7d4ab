/* One waiter and three guests: waiter [--unit MS] [--sim].
 *
 * Anna needs 3 minutes to choose, Ben 1, Carla 2. A waiter who stands at each table until its order is there serves them in the
 * order they came, and is done after 6. One who goes wherever an order is ready serves the fastest first, and is done after 3:
 * nobody waits because somebody else is slow. A completion queue hands out futures in the order in which they finish. */
#include "start.h"

#include <stdio.h>

static const char help[] = "usage: waiter [--unit MS] [--sim]\n"
                           "\n"
                           "Three guests choose for 3, 1 and 2 units of time; one waiter serves them, in two ways.\n"
                           "\n"
                           "  --unit MS      a unit has so many milliseconds (1000)\n";

struct guest {
    const char *name;
    int64_t choosing_ns;
};

enum { GUESTS = 3 };

static int choose(void *userdata, void **ret_result) {
    struct guest *guest = userdata;
    *ret_result = guest;
    return kolk_sleep(guest->choosing_ns);
}

static void serve(const struct guest *guest, int64_t began) {
    printf("  %.3f s: %s\n", (double)(kolk_loop_time(kolk_loop_current()) - began) / 1e9, guest->name);
}

static int table_by_table(struct guest *guests) {
    const int64_t began = kolk_loop_time(kolk_loop_current());
    void *guest = NULL;
    int status = 0;
    puts("table by table");
    for (int i = 0; i < GUESTS && status >= 0; i++) {
        status = choose(&guests[i], &guest);
        if (status >= 0)
            serve(guest, began);
    }
    return status;
}

static int serve_as_they_choose(kolk_completion_queue *orders, int64_t began) {
    kolk_completion order;
    void *guest = NULL;
    int status;
    while ((status = kolk_completion_queue_next(orders, KOLK_NEVER, &order)) > 0) {
        status = kolk_future_result(order.future, &guest);
        kolk_future_unref(order.future);
        if (status < 0)
            break;
        serve(guest, began);
    }
    return status;
}

static int as_they_choose(struct guest *guests) {
    kolk_loop *loop = kolk_loop_current();
    const int64_t began = kolk_loop_time(loop);
    kolk_completion_queue *orders = NULL;
    int status = kolk_completion_queue_new(loop, &orders);
    puts("as they choose");
    for (int i = 0; i < GUESTS && status >= 0; i++) {
        kolk_task *task = NULL;
        status = kolk_create_task(loop, choose, &guests[i], NULL, NULL, &task);
        if (status >= 0)
            status = kolk_completion_queue_add(orders, kolk_task_as_future(task), 0);
        kolk_task_unref(task);
    }
    if (status >= 0)
        status = serve_as_they_choose(orders, began);
    kolk_completion_queue_unref(orders);
    return status;
}

static int restaurant(void *userdata, void **ret_result) {
    const int64_t unit_ns = *(int64_t *)userdata * 1000000;
    struct guest guests[GUESTS] = {{"anna", 3 * unit_ns}, {"ben", 1 * unit_ns}, {"carla", 2 * unit_ns}};
    (void)ret_result;
    int status = table_by_table(guests);
    return status < 0 ? status : as_they_choose(guests);
}

int main(int argc, char **argv) {
    int64_t unit_ms = 1000;
    const struct argument arguments[] = {{.name = "--unit", .number = &unit_ms, .least = 1, .most = 60000}, {.name = NULL}};
    struct start start = {.name = "waiter", .help = help, .arguments = arguments, .takes_time = true};
    int status = start_parse(&start, argc, argv);
    return status >= 0 ? status : start_run(&start, restaurant, &unit_ms);
}
