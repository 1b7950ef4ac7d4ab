#include "core/platform/worker_threads.hh"

#include <pthread.h>
#include <signal.h>

namespace kolk {

/* Shared by the loop and the threads, and freed by whoever leaves last. */
struct worker_threads {
    static constexpr int most = 4;

    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t work = PTHREAD_COND_INITIALIZER;
    allocator memory;
    job *first = nullptr, **last = &first;
    int queued = 0, idle = 0, started = 0, users = 1;
    bool closed = false;
    struct worker {
        pthread_t thread;
        bool busy;
        worker_threads *of;
    } workers[most];

    explicit worker_threads(const allocator &from) noexcept : memory(from) {}

    /* With the lock held, which it gives up. */
    void leave() noexcept {
        bool gone = --users == 0;
        pthread_mutex_unlock(&lock);
        if (!gone)
            return;
        pthread_mutex_destroy(&lock);
        pthread_cond_destroy(&work);
        allocator from = memory;
        destroy(from, this);
    }

    static void *run(void *argument) noexcept {
        auto &self = *static_cast<worker *>(argument);
        worker_threads &all = *self.of;
        pthread_mutex_lock(&all.lock);
        for (;;) {
            while (!all.first && !all.closed) {
                all.idle++;
                pthread_cond_wait(&all.work, &all.lock);
                all.idle--;
            }
            if (all.closed)
                break;
            job *mine = all.first;
            all.first = mine->next;
            if (!all.first)
                all.last = &all.first;
            all.queued--;
            self.busy = true;
            pthread_mutex_unlock(&all.lock);
            mine->work(*mine);
            pthread_mutex_lock(&all.lock);
            self.busy = false;
        }
        all.leave();
        return nullptr;
    }

    /* With the lock held. Signals are the program's: none is handled on our threads. */
    bool start_one() noexcept {
        sigset_t all_signals, before;
        sigfillset(&all_signals);
        worker &one = workers[started];
        one.busy = false;
        one.of = this;
        pthread_sigmask(SIG_SETMASK, &all_signals, &before);
        bool done = pthread_create(&one.thread, nullptr, run, &one) == 0;
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (done) {
            started++;
            users++;
        }
        return done;
    }
};

worker_threads *make_workers(const allocator &memory) noexcept { return create<worker_threads>(memory, memory); }

bool submit(worker_threads &to, job &what) noexcept {
    pthread_mutex_lock(&to.lock);
    bool taken = to.idle > to.queued || (to.started < to.most && to.start_one()) || to.started > 0;
    if (taken) {
        what.next = nullptr;
        *to.last = &what;
        to.last = &what.next;
        to.queued++;
        pthread_cond_signal(&to.work);
    }
    pthread_mutex_unlock(&to.lock);
    return taken;
}

void forget_workers(worker_threads &all) noexcept {
    allocator from = all.memory;
    destroy(from, &all);
}

void close_workers(worker_threads &all) noexcept {
    pthread_t ending[worker_threads::most];
    int count = 0;
    pthread_mutex_lock(&all.lock);
    all.closed = true;
    job *left = all.first;
    all.first = nullptr;
    for (int i = 0; i < all.started; i++)
        if (all.workers[i].busy)
            pthread_detach(all.workers[i].thread);
        else
            ending[count++] = all.workers[i].thread;
    pthread_cond_broadcast(&all.work);
    all.leave();
    for (int i = 0; i < count; i++)
        pthread_join(ending[i], nullptr);
    while (left) {
        job *next = left->next;
        left->abandon(*left);
        left = next;
    }
}

} // namespace kolk
