/* What the sanitizer that a test is built with cannot do. */
#ifndef KOLK_TEST_SANITIZERS_H
#define KOLK_TEST_SANITIZERS_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif

/* Slow, and dislikes forks. */
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_THREAD_SANITIZER 1
#else
#define UNDER_THREAD_SANITIZER 0
#endif
#define MAY_FORK (!UNDER_THREAD_SANITIZER)

#endif
