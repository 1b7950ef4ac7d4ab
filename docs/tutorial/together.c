/* Several tasks at once: three naps, and the longest one is all that the program takes. */
#include <kolk/kolk.h>

#include <stdio.h>

#define MILLISECONDS INT64_C(1000000)

struct nap {
    const char *who;
    int64_t how_long;
};

static int sleep_and_tell(void *userdata, void **ret_result) {
    struct nap *nap = userdata;
    int status = kolk_sleep(nap->how_long);
    if (status < 0)
        return status;
    printf("%s is awake\n", nap->who);
    *ret_result = nap;
    return 0;
}

static int everybody(void *userdata, void **ret_result) {
    static struct nap naps[] = {{"anna", 300 * MILLISECONDS}, {"ben", 100 * MILLISECONDS}, {"carla", 200 * MILLISECONDS}};
    kolk_loop *loop = kolk_loop_current();
    kolk_task *tasks[3] = {NULL, NULL, NULL};
    kolk_future *futures[3] = {NULL, NULL, NULL};
    kolk_future *all = NULL;
    void *result = NULL;
    int status = 0;
    (void)userdata;
    (void)ret_result;

    for (int i = 0; i < 3 && status >= 0; i++) {
        status = kolk_create_task(loop, sleep_and_tell, &naps[i], NULL, NULL, &tasks[i]);
        futures[i] = kolk_task_as_future(tasks[i]);
    }
    if (status >= 0)
        status = kolk_gather(loop, futures, 3, 0, &all);
    if (status >= 0)
        status = kolk_await(all, &result);
    if (status >= 0)
        for (int i = 0; i < 3; i++)
            printf("%d: %s\n", i, ((struct nap **)result)[i]->who);

    kolk_future_unref(all);
    for (int i = 0; i < 3; i++)
        kolk_task_unref(tasks[i]);
    return status;
}

int main(void) { return kolk_run(everybody, NULL, NULL, NULL) < 0; }
