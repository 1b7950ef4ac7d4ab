#include "core/future/wrap_thread_future.hh"

#include "core/future/thread_news.hh"

namespace kolk {

namespace {

/* While it waits it is a resource of the loop, and holds a reference to itself, so that its callbacks are called also when its
 * handles were dropped. A result stays the thread future's, which is kept for it. */
struct wrapped final : future, resource {
    thread_future *source; /* referenced */
    thread_news *news = nullptr;

    wrapped(loop &on, thread_future &of) noexcept : future(on, kind_of_wrapped), resource(loop_closes), source(&of) {
        of.ref();
    }

    /* 0 or KOLK_ENOMEM. */
    [[nodiscard]] int begin() noexcept {
        int status = thread_news::listen(*owner, *source, source_done, this, news);
        if (status == KOLK_EALREADY) {
            source->hand_on(*this);
            return 0;
        }
        if (status < 0)
            return status;
        ref();
        owner->resources.push_back(*this);
        return 0;
    }

    static void source_done(void *ear) noexcept {
        auto &self = *static_cast<wrapped *>(ear);
        self.news = nullptr;
        self.resource::unlink();
        self.source->hand_on(self);
        self.unref();
    }

    /* Ends the wait before the source is done, or before its news has arrived. */
    void abandon() noexcept {
        if (resource::linked())
            resource::unlink();
        std::exchange(news, nullptr)->leave();
        end_cancelled();
        unref();
    }

    static void loop_closes(resource &held) noexcept { static_cast<wrapped &>(held).abandon(); }

    static const future_kind kind_of_wrapped;
};

constinit const future_kind wrapped::kind_of_wrapped = {
    "thread future",
    [](future &self) noexcept {
        auto &mine = static_cast<wrapped &>(self);
        thread_future &source = *mine.source;
        source.ref();
        mine.abandon();
        /* Last, for it calls the callbacks of the source. One that is running goes on. */
        (void)source.cancel();
        source.unref();
        return true;
    },
    [](future &self) noexcept {
        auto &mine = static_cast<wrapped &>(self);
        thread_future &source = *mine.source;
        dispose_of(mine);
        source.unref();
    },
    false,
};

} // namespace

int wrap_thread_future(loop &on, thread_future &source, future *&ret_future) noexcept {
    auto *made = on.objects.create<wrapped>(on, source);
    if (!made)
        return KOLK_ENOMEM;
    if (int status = made->begin(); status < 0) {
        made->unref();
        return status;
    }
    ret_future = made;
    return 0;
}

} // namespace kolk
