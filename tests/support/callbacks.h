/* Callbacks for tests in which it does not matter much what is called. */
#ifndef KOLK_TEST_CALLBACKS_H
#define KOLK_TEST_CALLBACKS_H

#include "driver.h"

void nothing(void *userdata);
void increment(void *counter); /* An int. */

/* An exception handler: records the message. The userdata is the fixture. */
void record_exception(kolk_loop *loop, kolk_error *error, void *userdata);

/* Ask for a word to be recorded, in the next turn or after a while. */
void soon(struct fixture *f, const char *text);
void later(struct fixture *f, int64_t delay_ns, const char *text);

#endif
