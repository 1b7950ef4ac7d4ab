#include "core/task/semaphore.hh"

#include "core/error.hh"

using namespace kolk;

namespace {

/* A task that waits, on its own stack. */
struct waiting_task final : parking, permit_wait {
    task *who;
    bool granted = false;

    explicit waiting_task(task &self) noexcept : parking{let_go, "semaphore"}, permit_wait(wake_up), who(&self) {}

    static void wake_up(permit_wait &self) noexcept {
        auto &mine = static_cast<waiting_task &>(self);
        mine.granted = true;
        mine.who->wake();
    }
    static bool let_go(parking &self, task &) noexcept {
        auto &mine = static_cast<waiting_task &>(self);
        if (mine.linked())
            mine.unlink();
        return false;
    }
};

/* A future that waits. It holds the semaphore until it is gone; the semaphore's list does not hold it, or a future that nobody
 * refers to could never leave. */
struct permit_future final : future, permit_wait {
    semaphore *of;

    explicit permit_future(semaphore &from) noexcept : future(*from.owner, kind_of_permit), permit_wait(granted), of(&from) {
        from.ref();
    }

    static void granted(permit_wait &self) noexcept { static_cast<permit_future &>(self).finish(nullptr, nullptr); }

    static const future_kind kind_of_permit;
};

constinit const future_kind permit_future::kind_of_permit = {
    "semaphore",
    [](future &self) noexcept {
        auto &mine = static_cast<permit_future &>(self);
        mine.unlink();
        mine.end_cancelled();
        return true;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<permit_future &>(self);
        if (mine.linked())
            mine.unlink();
        semaphore *of = mine.of;
        dispose_of(mine);
        of->unref();
    },
    false,
};

} // namespace

void kolk_semaphore::unref() noexcept {
    if (--refs == 0)
        dispose_of(*this);
}

int kolk_semaphore::acquire(task &self) noexcept {
    if (permits > 0) {
        permits--;
        return 0;
    }
    waiting_task wait(self);
    waiting.push_back(wait);
    ref();
    int status = self.park(wait);
    /* Cancelled after the permit was handed over: the next one gets it. */
    if (status < 0 && wait.granted)
        (void)release();
    unref();
    return status;
}

int kolk_semaphore::acquire_async(future *&ret_future) noexcept {
    auto *made = owner->objects.create<permit_future>(*this);
    if (!made)
        return KOLK_ENOMEM;
    if (permits > 0) {
        permits--;
        made->finish(nullptr, nullptr);
    } else {
        waiting.push_back(*made);
    }
    ret_future = made;
    return 0;
}

int kolk_semaphore::release() noexcept {
    if (permit_wait *first = waiting.pop_front())
        first->grant(*first);
    else if (permits == UINT32_MAX)
        return KOLK_ELIMIT;
    else
        permits++;
    return 0;
}
