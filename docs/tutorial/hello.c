/* A task: an ordinary function that may stop. */
#include <kolk/kolk.h>

#include <stdio.h>

static int hello(void *userdata, void **ret_result) {
    (void)userdata;
    (void)ret_result;
    printf("hello\n");
    int status = kolk_sleep(100000000); // nanoseconds: a tenth of a second
    if (status < 0)
        return status;
    printf("and goodbye\n");
    return 0;
}

int main(void) { return kolk_run(hello, NULL, NULL, NULL) < 0; }
