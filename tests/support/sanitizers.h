/* What the sanitizer that a test is built with cannot do. */
#ifndef KOLK_TEST_SANITIZERS_H
#define KOLK_TEST_SANITIZERS_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif

/* The thread sanitizer dislikes forks. */
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define MAY_FORK 0
#else
#define MAY_FORK 1
#endif

#endif
