#include "core/selector/selector.hh"

#include "core/error.hh"

#include <errno.h>
#include <string.h>

using namespace kolk;

void kolk_selector::close() noexcept {
    if (has_clock())
        closed_at_ = now();
    closed_ = true;
    if (ops_)
        ops_->close(state_);
    state_ = nullptr;
    for (uint32_t i = 0; i < capacity_ / page_size; i++)
        release(memory_, pages_[i], page_size * sizeof(selector_slot));
    release(memory_, pages_, capacity_ / page_size * sizeof *pages_);
    pages_ = nullptr;
    capacity_ = count_ = 0;
}

int kolk_selector::open(const kolk_reactor_ops &ops, void *host, void (*notify)(void *), void *notify_userdata) noexcept {
    kolk_reactor_config config = {sizeof config, 0, &memory_, host, notify, notify_userdata};
    int status = ops.open(&config, &state_);
    if (status < 0)
        return failed(-status);
    ops_ = &ops;
    return 0;
}

int kolk_selector::failed(int number) noexcept { return status_of_errno(number); }

selector_slot *kolk_selector::reserve(int fd) noexcept {
    if (uint32_t(fd) >= capacity_) {
        uint32_t old_pages = capacity_ / page_size, new_pages = uint32_t(fd) / page_size + 1;
        auto **pages = static_cast<selector_slot **>(allocate(memory_, new_pages * sizeof *pages_));
        if (!pages)
            return nullptr;
        for (uint32_t i = 0; i < old_pages; i++)
            pages[i] = pages_[i];
        for (uint32_t i = old_pages; i < new_pages; i++) {
            pages[i] = static_cast<selector_slot *>(allocate(memory_, page_size * sizeof(selector_slot)));
            if (!pages[i]) {
                while (i-- > old_pages)
                    release(memory_, pages[i], page_size * sizeof(selector_slot));
                release(memory_, pages, new_pages * sizeof *pages_);
                return nullptr;
            }
            memset(static_cast<void *>(pages[i]), 0, page_size * sizeof(selector_slot));
        }
        release(memory_, pages_, old_pages * sizeof *pages_);
        pages_ = pages;
        capacity_ = new_pages * page_size;
    }
    return &pages_[uint32_t(fd) / page_size][uint32_t(fd) % page_size];
}

const selector_slot *kolk_selector::find(int fd) const noexcept {
    if (fd < 0 || uint32_t(fd) >= capacity_)
        return nullptr;
    const selector_slot *slot = &pages_[uint32_t(fd) / page_size][uint32_t(fd) % page_size];
    return slot->events ? slot : nullptr;
}

int kolk_selector::next(int after_fd) const noexcept {
    for (uint32_t fd = after_fd < 0 ? 0 : uint32_t(after_fd) + 1; fd < capacity_; fd++)
        if (find(int(fd)))
            return int(fd);
    return -1;
}

int kolk_selector::add(int fd, uint32_t events, void *data) noexcept {
    if (fd < 0)
        return KOLK_EBADF;
    selector_slot *slot = reserve(fd);
    if (!slot)
        return KOLK_ENOMEM;
    if (slot->events)
        return KOLK_EEXIST;
    int status = watch(fd, events, slot->generation);
    if (status < 0)
        return status == -EPERM ? int(KOLK_ENOTSUP) : failed(-status);
    slot->data = data;
    slot->events = slot->armed = uint8_t(events);
    count_++;
    return 0;
}

int kolk_selector::modify(int fd, uint32_t events, void *data) noexcept {
    auto *slot = const_cast<selector_slot *>(find(fd));
    if (!slot)
        return KOLK_ENOENT;
    /* Always told to the reactor, also when nothing seems to change: the descriptor may have been closed and its number given
     * to another, which nobody watches yet. */
    int status = watch(fd, events, slot->generation);
    if (status < 0)
        return failed(-status);
    slot->data = data;
    slot->events = slot->armed = uint8_t(events);
    return 0;
}

int kolk_selector::arm(int fd, uint32_t events) noexcept {
    selector_slot &slot = pages_[uint32_t(fd) / page_size][uint32_t(fd) % page_size];
    if (slot.armed == events || forked())
        return 0;
    int status = watch(fd, events, slot.generation);
    if (status < 0)
        return failed(-status);
    slot.armed = uint8_t(events);
    return 0;
}

int kolk_selector::remove(int fd) noexcept {
    auto *slot = const_cast<selector_slot *>(find(fd));
    if (!slot)
        return KOLK_ENOENT;
    if (slot->armed && !forked())
        watch(fd, 0, 0);
    slot->generation = (slot->generation + 1) & generation_mask;
    slot->events = slot->armed = 0;
    slot->data = nullptr;
    count_--;
    return 0;
}

/* What cannot be watched any more, because it was closed in the child, is left unwatched. */
int kolk_selector::after_fork() noexcept {
    if (ops_->caps & KOLK_REACTOR_AFTER_FORK)
        if (int status = ops_->after_fork(state_); status < 0)
            return failed(-status);
    for (int fd = next(-1); fd >= 0; fd = next(fd)) {
        selector_slot &slot = pages_[uint32_t(fd) / page_size][uint32_t(fd) % page_size];
        int status = slot.armed ? watch(fd, slot.armed, slot.generation) : 0;
        if (status == -EBADF)
            slot.armed = 0;
        else if (status < 0)
            return failed(-status);
    }
    forks_ = fork_count();
    return 0;
}

int kolk_selector::wait(int64_t timeout_ns) noexcept {
    call_back_waiter();
    int status = wait_as_waiter(timeout_ns);
    dismiss_waiter();
    return status;
}

int kolk_selector::wait_as_waiter(int64_t timeout_ns) noexcept {
    if (!(ops_->caps & KOLK_REACTOR_WAIT))
        return KOLK_ENOTSUP;
    int status = ops_->wait(state_, timeout_ns);
    return status < 0 ? failed(-status) : 0;
}

int kolk_selector::get_fd() noexcept {
    if (!(ops_->caps & KOLK_REACTOR_GET_FD))
        return KOLK_ENOTSUP;
    int fd = ops_->get_fd(state_);
    return fd < 0 ? failed(-fd) : fd;
}
