/* docs/examples/my_future.c once more, with a coroutine of C++: a future and a task of one's own. The driver is the same, for
 * it does not care how a coroutine is made, and so are the lines. */
#include <kolk/kolk.hpp>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace {

/* Keeps a result and the callbacks that want it. */
struct my_future {
    const char *result = nullptr;
    std::vector<std::pair<const char *, std::function<void(my_future &)>>> callbacks;

    void set_result(const char *value) {
        result = value;
        std::string names;
        for (auto &[name, callback] : callbacks)
            names += (names.empty() ? "" : ", ") + std::string(name);
        std::printf("cblist [%s]\n", names.c_str());
        for (auto &[name, callback] : callbacks)
            callback(*this);
    }
};

/* Each future that comes out of the coroutine gets the next step as callback, and its result goes back in. */
struct my_task {
    kolk_coroutine *coroutine;
    int status = 0;

    void step(my_future &done) {
        void *next = nullptr;
        std::printf("sending %s\n", done.result ? "bytes" : "NoneType");
        status = kolk_coroutine_send(coroutine, const_cast<char *>(done.result), &next);
        if (status != KOLK_COROUTINE_YIELDED) {
            std::puts("si");
            return;
        }
        std::puts("got next future");
        static_cast<my_future *>(next)->callbacks.emplace_back("Task.step", [this](my_future &of) { step(of); });
    }

    void start() {
        my_future first;
        std::puts(">>sending none to initial future");
        first.set_result(nullptr);
        std::puts("...stepping");
        step(first);
        std::puts(">>>after priming");
    }
};

struct peer {
    my_future future;
    my_future *pending = nullptr;

    my_future *begin() {
        future = {};
        return pending = &future;
    }
};

/* Waits for a connection, then for chunks until one is empty. Awaiting is handing the future out, and being sent its result. */
kolk::generator<my_future *> fetch(peer &from) {
    std::puts("about to yield connection future");
    void *chunk = co_yield from.begin();
    std::puts("connected!");
    do
        chunk = co_yield from.begin();
    while (*static_cast<const char *>(chunk));
}

/* The loop: finishes whatever is pending, first the connection, then chunks, the last one empty. */
void run(peer &on) {
    int chunks_left = 4;
    for (bool connected = false; on.pending; connected = true) {
        my_future done = std::move(*std::exchange(on.pending, nullptr));
        if (!connected)
            std::puts("on connected cb ran");
        done.set_result(!connected ? nullptr : chunks_left-- > 0 ? "a chunk" : "");
    }
}

} // namespace

int main() {
    kolk_loop *loop = nullptr;
    if (kolk_loop_new(nullptr, &loop, nullptr) < 0)
        return 1;
    bool failed = true;
    {
        peer from;
        if (auto made = kolk::make_coroutine(loop, fetch(from))) {
            my_task task{made->get()};
            task.start();
            run(from);
            failed = task.status != KOLK_COROUTINE_RETURNED;
        }
    }
    kolk_loop_close(loop);
    kolk_loop_unref(loop);
    return failed;
}
