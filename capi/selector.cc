#include "core/selector/selector.hh"

#include "core/error.hh"
#include "core/platform/descriptor.hh"
#include "core/reactor/registry.hh"

using namespace kolk;

namespace {

int check(const kolk_selector *self, int fd, uint32_t events) noexcept {
    if (!self || !events || (events & ~uint32_t(KOLK_EVENT_READ | KOLK_EVENT_WRITE)))
        return KOLK_EINVAL;
    return check_pollable(fd);
}

kolk_selector_key key_of(int fd, const selector_slot &slot, uint32_t events) noexcept { return {fd, events, slot.data}; }

} // namespace

extern "C" {

int kolk_selector_new(const char *reactor, kolk_selector **ret_selector, kolk_error **ret_error) noexcept {
    if (!ret_selector)
        return deliver(static_error(KOLK_EINVAL), ret_error);
    const kolk_reactor_ops *ops;
    int status = reactor ? find_reactor(reactor, ops, ret_error) : find_default_reactor(ops, ret_error);
    if (status < 0)
        return status;
    auto *self = create<kolk_selector>(default_allocator(), default_allocator());
    if (!self)
        return deliver(static_error(KOLK_ENOMEM), ret_error);
    status = self->open(*ops, nullptr);
    if (status < 0) {
        kolk_selector_destroy(self);
        return deliver(
            make_error(status, 0, nullptr, "the reactor '%s' cannot be opened: %s", ops->name, status_message(status)),
            ret_error);
    }
    *ret_selector = self;
    return 0;
}

void kolk_selector_destroy(kolk_selector *self) noexcept {
    if (self) {
        allocator memory = self->memory();
        destroy(memory, self);
    }
}

int kolk_selector_register(kolk_selector *self, int fd, uint32_t events, void *data) noexcept {
    int status = check(self, fd, events);
    return status < 0 ? status : self->add(fd, events, data);
}

int kolk_selector_modify(kolk_selector *self, int fd, uint32_t events, void *data) noexcept {
    int status = check(self, fd, events);
    return status < 0 ? status : self->modify(fd, events, data);
}

int kolk_selector_unregister(kolk_selector *self, int fd) noexcept { return self ? self->remove(fd) : int(KOLK_EINVAL); }

int kolk_selector_select(kolk_selector *self, int64_t timeout_ns, kolk_selector_key *ret_ready, uint32_t capacity) noexcept {
    if (!self || !ret_ready || !capacity)
        return KOLK_EINVAL;
    kolk_ready events[64];
    int found = self->collect(timeout_ns, events, capacity < 64 ? capacity : 64);
    int kept = 0;
    for (int i = 0; i < found; i++)
        if (const selector_slot *slot = self->lookup(events[i]))
            if (uint32_t ready = events[i].events & slot->events)
                ret_ready[kept++] = key_of(int(uint32_t(events[i].token)), *slot, ready);
    return found < 0 ? found : kept;
}

int kolk_selector_get_key(const kolk_selector *self, int fd, kolk_selector_key *ret_key) noexcept {
    if (!self || !ret_key)
        return KOLK_EINVAL;
    const selector_slot *slot = self->find(fd);
    if (!slot)
        return KOLK_ENOENT;
    *ret_key = key_of(fd, *slot, slot->events);
    return 0;
}

int kolk_selector_next(const kolk_selector *self, int after_fd, kolk_selector_key *ret_key) noexcept {
    if (!self || !ret_key)
        return KOLK_EINVAL;
    int fd = self->next(after_fd);
    if (fd < 0)
        return 0;
    *ret_key = key_of(fd, *self->find(fd), self->find(fd)->events);
    return 1;
}

uint32_t kolk_selector_count(const kolk_selector *self) noexcept { return self ? self->count() : 0; }
const char *kolk_selector_reactor(const kolk_selector *self) noexcept { return self ? self->ops().name : ""; }

} // extern "C"
