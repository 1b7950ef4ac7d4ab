/**
 * @file kolk.h
 * All of kolk.
 */
#ifndef KOLK_KOLK_H
#define KOLK_KOLK_H

#include <kolk/allocator.h>
#include <kolk/api.h>
#include <kolk/completion_queue.h>
#include <kolk/coroutine.h>
#include <kolk/error.h>
#include <kolk/future.h>
#include <kolk/guest.h>
#include <kolk/handle.h>
#include <kolk/host.h>
#include <kolk/inspect.h>
#include <kolk/local.h>
#include <kolk/loop.h>
#include <kolk/reactor.h>
#include <kolk/registry.h>
#include <kolk/scope.h>
#include <kolk/selector.h>
#include <kolk/semaphore.h>
#include <kolk/server.h>
#include <kolk/sim.h>
#include <kolk/step.h>
#include <kolk/stream.h>
#include <kolk/task.h>
#include <kolk/task_group.h>
#include <kolk/thread_future.h>
#include <kolk/timer.h>
#include <kolk/waker.h>
#include <kolk/watchdog.h>

#endif
