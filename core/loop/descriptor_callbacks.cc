#include "core/loop/descriptor_callbacks.hh"

#include "core/future/future.hh"

namespace kolk {

namespace {

struct callbacks;

struct callback final : ready_item {
    loop *owner;
    kolk_callback_fn fn;
    void *userdata;
    kolk_destroy_fn destroy;
    bool running = false, removed = false;
    callbacks *unwatched = nullptr; /* until it returns, because it was ready again while it ran */

    callback(loop &on, kolk_callback_fn call, void *data, kolk_destroy_fn release) noexcept
        : ready_item(invoke), owner(&on), fn(call), userdata(data), destroy(release) {}

    static void invoke(ready_item &item, bool closing) noexcept {
        auto &self = static_cast<callback &>(item);
        if (closing)
            return;
        self.running = true;
        self.fn(self.userdata);
        self.running = false;
        if (self.removed)
            self.finish();
        else if (self.unwatched) [[unlikely]]
            self.watch_again();
    }
    void watch_again() noexcept;

    /* What is running is released when it returns. */
    void remove() noexcept {
        removed = true;
        if (linked())
            owner->un_ready(*this);
        if (!running)
            finish();
    }

    void finish() noexcept {
        loop &on = *owner;
        destroy_userdata(destroy, userdata);
        on.objects.destroy(this);
    }
};

/* Both directions of one descriptor. */
struct callbacks final : watcher, resource {
    loop *owner;
    int fd;
    callback *of[2] = {};

    callbacks(loop &on, int descriptor) noexcept : watcher{tell}, resource(let_go), owner(&on), fd(descriptor) {}

    [[nodiscard]] uint32_t events() const noexcept {
        return (of[0] ? uint32_t(KOLK_EVENT_READ) : 0) | (of[1] ? uint32_t(KOLK_EVENT_WRITE) : 0);
    }
    int arm() noexcept {
        uint32_t wanted = events();
        for (int way = 0; way < 2; way++)
            if (of[way] && of[way]->unwatched)
                wanted &= ~(uint32_t(KOLK_EVENT_READ) << way);
        return owner->selector().arm(fd, wanted);
    }

    static void tell(watcher &self, uint32_t ready) noexcept {
        auto &mine = static_cast<callbacks &>(self);
        for (int way = 0; way < 2; way++) {
            callback *one = mine.of[way];
            if (!one || !(ready & (KOLK_EVENT_READ << way)) || one->linked())
                continue;
            if (!one->running)
                mine.owner->make_ready(*one);
            else
                mine.ready_while_running(*one, ready);
        }
    }

    /* One that runs turns inside of itself is not told of what it has yet to take, and nobody is kept awake by it. */
    void ready_while_running(callback &one, uint32_t ready) noexcept {
        one.unwatched = this;
        if (!(ready & KOLK_EVENT_INVALID)) /* which is watched no more already */
            (void)arm();
    }

    static void let_go(resource &self) noexcept {
        auto &mine = static_cast<callbacks &>(self);
        callback *both[] = {mine.of[0], mine.of[1]};
        /* First out of sight: what is released below may ask for the other one to be removed. */
        (void)mine.owner->selector().remove(mine.fd);
        mine.owner->listening--;
        mine.owner->objects.destroy(&mine);
        for (callback *one : both)
            if (one)
                one->remove();
    }
};

/* Where that fails it goes on asking, by itself; what is invalid it learns once. */
void callback::watch_again() noexcept {
    callbacks *both = std::exchange(unwatched, nullptr);
    int status = both->arm();
    if (status >= 0)
        return;
    if (status != KOLK_EBADF)
        unwatched = both;
    owner->make_ready(*this);
}

static_assert(KOLK_EVENT_READ << 1 == KOLK_EVENT_WRITE);

/* nullptr when there are none; `ret_foreign` when a stream or server watches it. */
callbacks *find(loop &on, int fd, bool &ret_foreign) noexcept {
    const selector_slot *slot = on.selector().find(fd);
    auto *who = slot ? static_cast<watcher *>(slot->data) : nullptr;
    ret_foreign = who && who->ready != callbacks::tell;
    return who && !ret_foreign ? static_cast<callbacks *>(who) : nullptr;
}

} // namespace

int add_callback(loop &on, int fd, direction way, kolk_callback_fn fn, void *userdata, kolk_destroy_fn destroy) noexcept {
    bool foreign;
    callbacks *both = find(on, fd, foreign);
    if (foreign)
        return KOLK_EBUSY;
    auto *one = on.objects.create<callback>(on, fn, userdata, destroy);
    if (!one)
        return KOLK_ENOMEM;
    bool is_new = !both;
    if (is_new) {
        both = on.objects.create<callbacks>(on, fd);
        if (!both) {
            on.objects.destroy(one);
            return KOLK_ENOMEM;
        }
    }
    callback *old = std::exchange(both->of[int(way)], one);
    int status = is_new ? on.selector().add(fd, both->events(), static_cast<watcher *>(both))
                        : on.selector().modify(fd, both->events(), static_cast<watcher *>(both));
    if (status < 0) {
        both->of[int(way)] = old;
        on.objects.destroy(one);
        if (is_new)
            on.objects.destroy(both);
        return status;
    }
    if (is_new) {
        on.resources.push_back(*both);
        on.listening++;
    }
    if (old)
        old->remove();
    return 0;
}

bool remove_callback(loop &on, int fd, direction way) noexcept {
    bool foreign;
    callbacks *both = find(on, fd, foreign);
    callback *one = both ? std::exchange(both->of[int(way)], nullptr) : nullptr;
    if (!one)
        return false;
    if (both->events()) {
        /* Not told, the reactor only reports more than is wanted. */
        (void)on.selector().modify(fd, both->events(), static_cast<watcher *>(both));
    } else {
        (void)on.selector().remove(fd);
        both->unlink();
        on.listening--;
        on.objects.destroy(both);
    }
    one->remove();
    on.touched();
    return true;
}

} // namespace kolk
