/* A few threads for calls that block. */
#pragma once

#include "core/allocator.hh"

namespace kolk {

/* A call that blocks. The memory is its owner's, who hears of the end from the call itself. */
struct job {
    job *next = nullptr;
    void (*work)(job &self) noexcept;    /* on a worker */
    void (*abandon)(job &self) noexcept; /* instead, if the workers close before its turn: on the closing thread */

    job(void (*run)(job &) noexcept, void (*drop)(job &) noexcept) noexcept : work(run), abandon(drop) {}
};

/* Threads are started when there is work and none is idle, at most four of them, and stay until closed. */
struct worker_threads;

/* nullptr when memory is gone. */
[[nodiscard]] worker_threads *make_workers(const allocator &memory) noexcept;

/* False when no thread could be started and none is there to do it. */
[[nodiscard]] bool submit(worker_threads &to, job &what) noexcept;

/* In a forked child, where they do not exist: only gives back the memory. The jobs are their owners'. */
void forget_workers(worker_threads &all) noexcept;

/* Frees them. Idle threads have ended when it returns; one that is in the middle of a call is left to end by itself. */
void close_workers(worker_threads &all) noexcept;

} // namespace kolk
