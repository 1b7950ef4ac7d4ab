#include "core/task/run_threadsafe.hh"

#include "core/error.hh"
#include "core/future/thread_news.hh"

namespace kolk {

namespace {

/* One task on its way: posted as a call, so that it keeps its place among those of its thread, and then, as an item in the list
 * of the task, waiting for its end. No loop closes before its tasks have ended, so one of the two always comes about. */
struct posted_task final : ready_item {
    /* Cancels the task, from the ready queue: that may call the user, which news may not. */
    struct cancellation final : ready_item {
        posted_task *of;

        explicit cancellation(posted_task &self) noexcept : ready_item(run_it), of(&self) {}
        static void run_it(ready_item &item, bool) noexcept { (void)static_cast<cancellation &>(item).of->made->cancel(); }
    };

    loop *on;
    thread_future *about; /* referenced */
    kolk_coroutine_fn fn;
    void *userdata; /* ours until the task is made */
    kolk_destroy_fn destroy;
    task_plan plan;
    kolk_task_options options = {};
    char name[32];
    kolk_destroy_fn destroy_result = nullptr; /* the result is the thread future's, or ours if that is done already */
    task *made = nullptr;                     /* referenced */
    thread_news *news = nullptr;
    cancellation cancelling{*this};

    posted_task(loop &where, thread_future &told, kolk_coroutine_fn body, void *data, kolk_destroy_fn release,
                const task_plan &how) noexcept
        : ready_item(task_ended), on(&where), about(&told), fn(body), userdata(data),
          destroy(release), plan{nullptr, how.address} {
        about->ref();
        if (how.options) {
            options = *how.options;
            copy_name(name, options.name);
            options.name = name;
            destroy_result = std::exchange(options.destroy_result, nullptr);
            plan.options = &options;
        }
    }

    static void start(void *self) noexcept { static_cast<posted_task *>(self)->start(); }

    void start() noexcept {
        int status = thread_news::listen(*on, *about, cancelled, this, news);
        if (status == KOLK_EALREADY)
            return; /* cancelled on its way */
        if (status == 0)
            status = create_task(*on, fn, userdata, destroy, plan, made);
        if (status < 0) {
            if (news)
                std::exchange(news, nullptr)->leave();
            (void)about->fail(static_error(status));
            return;
        }
        made->add_waiter(*this);
    }

    /* The call is over, or will not be made because the loop closes. */
    static void posted(void *argument) noexcept {
        auto &self = *static_cast<posted_task *>(argument);
        if (self.made)
            return;
        (void)self.about->cancel();
        destroy_userdata(self.destroy, self.userdata);
        self.free();
    }

    static void cancelled(void *ear) noexcept {
        auto &self = *static_cast<posted_task *>(ear);
        self.news = nullptr;
        self.on->make_ready(self.cancelling);
    }

    static void task_ended(ready_item &item, bool) noexcept {
        auto &self = static_cast<posted_task &>(item);
        if (self.news)
            self.news->leave();
        if (self.cancelling.linked())
            self.on->un_ready(self.cancelling);
        self.pass_on();
        self.made->unref();
        self.free();
    }

    void pass_on() noexcept {
        if (made->has_result()) {
            if (!about->finish(made->value, destroy_result))
                destroy_userdata(destroy_result, made->value);
            return;
        }
        error *why = ref(static_cast<error *>(made->value));
        if (made->state == outcome::cancelled) {
            if (!about->cancel(why))
                unref(why);
        } else if (about->wanted() && about->fail(why)) {
            made->unread = false;
        } else {
            unref(why); /* what nobody can ask for is left to the exception handler of the loop */
        }
    }

    void free() noexcept {
        about->unref();
        kolk::destroy(on->memory(), this);
    }
};

} // namespace

int run_threadsafe(loop &on, kolk_coroutine_fn fn, void *userdata, kolk_destroy_fn destroy, const task_plan &plan,
                   thread_future *&ret_future) noexcept {
    thread_future *about;
    int status = thread_future::make(on.memory(), on.thread(), about);
    if (status < 0)
        return status;
    auto *made = create<posted_task>(on.memory(), on, *about, fn, userdata, destroy, plan);
    status = made ? on.post_call(posted_task::start, made, posted_task::posted) : int(KOLK_ENOMEM);
    if (status < 0) {
        if (made)
            made->free();
        about->unref();
        return status;
    }
    ret_future = about;
    return 0;
}

} // namespace kolk
