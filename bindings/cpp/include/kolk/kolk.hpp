/**
 * @file kolk.hpp
 * All of kolk for C++20.
 */
#ifndef KOLK_KOLK_HPP
#define KOLK_KOLK_HPP

#include <kolk/await.hpp>
#include <kolk/counted.hpp>
#include <kolk/duration.hpp>
#include <kolk/error.hpp>
#include <kolk/exceptions.hpp>
#include <kolk/frames.hpp>
#include <kolk/future.hpp>
#include <kolk/gather.hpp>
#include <kolk/generator.hpp>
#include <kolk/loop.hpp>
#include <kolk/payload.hpp>
#include <kolk/promise.hpp>
#include <kolk/result.hpp>
#include <kolk/scope.hpp>
#include <kolk/semaphore.hpp>
#include <kolk/server.hpp>
#include <kolk/sleep.hpp>
#include <kolk/spawn.hpp>
#include <kolk/stream.hpp>
#include <kolk/stream_reader.hpp>
#include <kolk/task.hpp>
#include <kolk/task_group.hpp>
#include <kolk/wait_for.hpp>

#endif
