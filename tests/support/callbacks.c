#include "callbacks.h"

void nothing(void *userdata) { (void)userdata; }
void increment(void *counter) { ++*(int *)counter; }

void record_exception(kolk_loop *loop, kolk_error *error, void *userdata) {
    (void)loop;
    record(userdata, "%s", kolk_error_message(error));
}

void soon(struct fixture *f, const char *text) {
    assert_int_equal(kolk_loop_call_soon(f->loop, say, word(f, text), NULL, NULL), 0);
}

void later(struct fixture *f, int64_t delay_ns, const char *text) {
    assert_int_equal(kolk_loop_call_later(f->loop, delay_ns, say, word(f, text), NULL, NULL), 0);
}
