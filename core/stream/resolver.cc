#include "core/stream/resolver.hh"

#include "core/error.hh"

#include <string.h>

namespace kolk {

/* One name on its way: to a worker, which looks it up, and back through the loop's inbox. It belongs to that way; the waiting
 * task only lends it an ear, and may leave at any time. */
struct lookup final : job, inbox_item, link<> {
    /* The ear: on the stack of the task. Each of the two knows the other as long as it is there. */
    struct wait final : parking {
        lookup *of;
        task *who;
        addresses *found;
        int status = KOLK_EPENDING;
        lookup_failure failure;

        wait(lookup &which, task &self, addresses &found_here) noexcept
            : parking{let_go, "host name"}, of(&which), who(&self), found(&found_here) {
            which.ear = this;
        }
        static bool let_go(parking &self, task &) noexcept {
            /* Only once: without an ear the lookup may soon be gone, and the task be cancelled again before it runs. */
            if (lookup *on_its_way = std::exchange(static_cast<wait &>(self).of, nullptr))
                on_its_way->ear = nullptr;
            return false;
        }
    };

    loop *to; /* referenced */
    wait *ear = nullptr;
    uint16_t port;
    int family;
    addresses found;
    int status = 0;
    lookup_failure failure;
    char host[256];

    lookup(loop &on, const char *name, uint16_t at, int version) noexcept
        : job(look_up, not_done), inbox_item(arrived), to(&on), port(at), family(version) {
        strcpy(host, name);
        on.ref();
    }

    static void look_up(job &self) noexcept {
        auto &mine = static_cast<lookup &>(self);
        mine.status = lookup_name(mine.host, mine.port, mine.family, mine.found.list, addresses::most, mine.failure);
        mine.found.count = mine.status;
        /* A reference of our own: once posted, the lookup may be gone, and its reference with it, while we still ring. */
        loop &on = *mine.to;
        on.ref();
        if (!on.post(mine))
            mine.free();
        on.unref();
    }

    static void not_done(job &self) noexcept {
        auto &mine = static_cast<lookup &>(self);
        if (mine.linked())
            mine.unlink();
        mine.free();
    }

    static void arrived(inbox_item &self, bool) noexcept {
        auto &mine = static_cast<lookup &>(self);
        if (mine.linked())
            mine.unlink();
        if (wait *ear = mine.ear) {
            *ear->found = mine.found;
            ear->status = mine.status < 0 ? mine.status : 0;
            ear->failure = mine.failure;
            ear->of = nullptr;
            ear->who->wake();
        }
        mine.free();
    }

    void free() noexcept {
        loop &on = *to;
        destroy(on.memory(), this);
        on.unref();
    }
};

resolver *resolver::make(loop &on) noexcept {
    worker_threads *threads = make_workers(on.memory());
    if (!threads)
        return nullptr;
    auto *made = create<resolver>(on.memory(), on, *threads);
    if (!made)
        close_workers(*threads);
    return made;
}

void resolver::let_go() noexcept {
    while (on_their_way_.pop_front())
        ;
}

/* What comes after this may fail, and all be done again: workers that are running already stay. */
int resolver::after_fork() noexcept {
    if (forks_ == fork_count())
        return 0;
    worker_threads *threads = make_workers(owner_->memory());
    if (!threads)
        return KOLK_ENOMEM;
    forget_workers(*std::exchange(workers_, threads));
    for (lookup *each = on_their_way_.front(), *next; each; each = next) {
        next = on_their_way_.after(*each);
        if (!owner_->has_arrived(*each) && !submit(*workers_, *each))
            return KOLK_ELIMIT; /* the first one, or there would be a worker for it: none is running */
    }
    forks_ = fork_count();
    return 0;
}

void resolver::close() noexcept {
    close_workers(*workers_);
    allocator memory = owner_->memory();
    destroy(memory, this);
}

int resolver::resolve(task &self, const char *host, uint16_t port, int family, addresses &ret_found,
                      error *&ret_cause) noexcept {
    auto *request = create<lookup>(owner_->memory(), *owner_, host, port, family);
    if (!request)
        return KOLK_ENOMEM;
    lookup::wait wait(*request, self, ret_found);
    if (!submit(*workers_, *request)) {
        request->free();
        return KOLK_ELIMIT;
    }
    on_their_way_.push_back(*request);
    int parked = self.park(wait);
    if (parked < 0)
        return parked;
    if (wait.status < 0 && wait.failure.why)
        ret_cause = make_error(wait.status, wait.failure.os, nullptr, "look up %s: %s", host, wait.failure.why);
    return wait.status;
}

} // namespace kolk
