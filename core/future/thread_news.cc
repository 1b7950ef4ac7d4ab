#include "core/future/thread_news.hh"

namespace kolk {

thread_news::thread_news(loop &to, thread_future &about, told_fn told, void *ear) noexcept
    : thread_listener(set_out), inbox_item(arrived), to_(&to), about_(&about), told_(told), ear_(ear) {
    to.ref();
    about.ref();
}

int thread_news::listen(loop &to, thread_future &about, told_fn told, void *ear, thread_news *&ret_news) noexcept {
    if (about.done())
        return KOLK_EALREADY;
    if (about.check_process() < 0)
        return 0;
    auto *made = create<thread_news>(to.memory(), to, about, told, ear);
    if (!made)
        return KOLK_ENOMEM;
    if (!about.listen(*made)) {
        made->free();
        return KOLK_EALREADY;
    }
    ret_news = made;
    return 0;
}

/* On the thread that finishes the future. */
void thread_news::set_out(thread_listener &listener, thread_future &) noexcept {
    auto &self = static_cast<thread_news &>(listener);
    /* A reference of our own: once posted, this may be gone, and its reference with it, while we still ring. */
    loop &to = *self.to_;
    to.ref();
    if (!to.post(self))
        self.unref(); /* the loop has closed */
    to.unref();
}

void thread_news::arrived(inbox_item &item, bool) noexcept {
    auto &self = static_cast<thread_news &>(item);
    if (void *ear = std::exchange(self.ear_, nullptr)) {
        self.told_(ear);
        self.unref();
    }
    self.unref();
}

void thread_news::leave() noexcept {
    ear_ = nullptr;
    if (about_->unlisten(*this))
        unref();
    unref();
}

void thread_news::unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        free();
}

void thread_news::free() noexcept {
    loop &to = *to_;
    thread_future &about = *about_;
    destroy(to.memory(), this);
    to.unref();
    about.unref();
}

} // namespace kolk
