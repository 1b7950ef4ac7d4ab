#include "core/stream/stream.hh"

#include "core/error.hh"
#include "core/platform/wake_fd.hh"

#include <stdio.h>
#include <string.h>

using namespace kolk;

namespace {

constexpr size_t first_buffer = 4096;

/* A task that waits for one direction. */
struct direction_wait final : parking {
    ready_item **place;

    direction_wait(ready_item *&where, const char *what) noexcept : parking{let_go, what}, place(&where) {}
    static bool let_go(parking &self, task &) noexcept {
        *static_cast<direction_wait &>(self).place = nullptr;
        return false;
    }
};

void wake_one(loop &on, ready_item *&place) noexcept {
    if (ready_item *item = std::exchange(place, nullptr); item && !item->linked())
        on.make_ready(*item);
}

} // namespace

kolk_stream::kolk_stream(loop &on, int descriptor, const socket_address &to, size_t read_limit, bool connected) noexcept
    : counted(on), watcher{tell}, resource(let_go), fd(descriptor), writable(connected),
      limit(read_limit ? read_limit : default_limit), peer(to) {}

kolk_stream::~kolk_stream() {
    close();
    kolk::unref(failure);
    if (buffer)
        owner->objects.give(buffer, capacity);
}

int kolk_stream::make(loop &on, int descriptor, const socket_address &to, size_t read_limit, bool connected,
                      kolk_stream *&ret_stream) noexcept {
    auto *made = on.objects.create<kolk_stream>(on, descriptor, to, read_limit, connected);
    if (!made) {
        close_fd(descriptor);
        return KOLK_ENOMEM;
    }
    uint32_t events = KOLK_EVENT_READ | KOLK_EVENT_WRITE | (on.edge_triggered() ? uint32_t(KOLK_EVENT_EDGE) : 0);
    int status = on.selector().add(descriptor, events, static_cast<watcher *>(made));
    if (status == 0 && !on.edge_triggered())
        status = on.selector().arm(descriptor, 0);
    if (status < 0) {
        close_fd(std::exchange(made->fd, -1));
        dispose_of(*made);
        return status;
    }
    on.resources.push_back(*made);
    ret_stream = made;
    return 0;
}

void kolk_stream::unref() noexcept {
    if (--refs == 0)
        dispose_of(*this);
}

void kolk_stream::close() noexcept {
    if (closed())
        return;
    (void)owner->selector().remove(fd);
    close_fd(std::exchange(fd, -1));
    if (resource::linked())
        resource::unlink();
    wake_one(*owner, reader);
    wake_one(*owner, writer);
}

void kolk_stream::let_go(resource &self) noexcept { static_cast<kolk_stream &>(self).close(); }

void kolk_stream::tell(watcher &self, uint32_t events) noexcept {
    auto &mine = static_cast<kolk_stream &>(self);
    loop &on = *mine.owner;
    bool ended = events & (KOLK_EVENT_HANGUP | KOLK_EVENT_INVALID);
    mine.hung_up |= ended;
    uint32_t unwanted = 0;
    if (ended || (events & KOLK_EVENT_READ)) {
        mine.readable = true;
        unwanted |= mine.reader ? 0 : KOLK_EVENT_READ;
        wake_one(on, mine.reader);
    }
    if (events & (KOLK_EVENT_WRITE | KOLK_EVENT_INVALID)) {
        mine.writable = true;
        unwanted |= mine.writer ? 0 : KOLK_EVENT_WRITE;
        wake_one(on, mine.writer);
    }
    /* Nobody waits for it: a level-triggered reactor would report it for ever. Not earlier, because mostly the same task waits
     * for the same thing again, and then nothing need be told. */
    if (unwanted && !on.edge_triggered())
        (void)on.selector().arm(mine.fd, on.selector().find(mine.fd)->armed & ~unwanted);
}

int kolk_stream::fail(int64_t number, const char *doing) noexcept {
    int status = status_of_errno(int(-number));
    return fail_with(status, int(-number), doing, status_message(status));
}

int kolk_stream::fail_with(int status, int number, const char *doing, const char *why) noexcept {
    char text[address_text];
    format_address(peer, text);
    error *what = make_error(status, number, nullptr, "%s %s: %s", doing, text, why);
    kolk::unref(std::exchange(failure, what));
    return status;
}

int kolk_stream::fail_to_find() noexcept {
    char why[64];
    snprintf(why, sizeof why, "no separator within %zu bytes", limit);
    return fail_with(KOLK_ELIMIT, 0, "read from", why);
}

int kolk_stream::fail_at_end() noexcept {
    char why[64];
    snprintf(why, sizeof why, "it ended after %zu bytes without a separator", end - begin);
    return fail_with(KOLK_EEOF, 0, "read from", why);
}

int kolk_stream::fail_without_memory(const char *doing) noexcept {
    return fail_with(KOLK_ENOMEM, 0, doing, status_message(KOLK_ENOMEM));
}

int kolk_stream::wait(task &self, ready_item *&place, uint32_t event) noexcept {
    if (!owner->edge_triggered()) {
        int status = owner->selector().arm(fd, owner->selector().find(fd)->armed | event);
        if (status < 0)
            return fail_with(status, 0, "wait for", status_message(status));
    }
    place = &self;
    direction_wait waiting(place, event == KOLK_EVENT_READ ? "stream read" : "stream write");
    int status = self.park(waiting);
    place = nullptr;
    /* A cancellation is delivered once, so nothing may come before it. */
    return status == 0 && closed() ? int(KOLK_ECLOSED) : status;
}

int64_t kolk_stream::try_receive(task &self, void *into, size_t size) noexcept {
    for (;;) {
        if (closed())
            return KOLK_ECLOSED;
        if (readable) {
            int64_t count = socket_receive(fd, into, size);
            if (count > 0) {
                readable = hung_up || size_t(count) == size;
                return count;
            }
            if (count == 0)
                return 0;
            if (!would_block(count))
                return fail(count, "read from");
            readable = false;
        }
        if (int status = wait(self, reader, KOLK_EVENT_READ); status < 0)
            return status;
    }
}

int64_t kolk_stream::read(task &self, void *into, size_t size) noexcept {
    if (begin == end)
        return try_receive(self, into, size);
    size_t count = size < end - begin ? size : end - begin;
    memcpy(into, buffer + begin, count);
    begin += size_t(count);
    return int64_t(count);
}

int64_t kolk_stream::receive(task &self, const void *&ret_data) noexcept {
    char *shared = owner->receive_buffer();
    if (!shared)
        return fail_without_memory("read from");
    int64_t count = read(self, shared, loop::receive_buffer_size);
    if (count > 0)
        ret_data = shared;
    return count;
}

/* Room behind what is there: by moving it to the front, or into a buffer twice as large. */
int kolk_stream::make_room() noexcept {
    if (begin == end)
        begin = end = 0;
    if (end < capacity)
        return 0;
    if (begin > 0) {
        memmove(buffer, buffer + begin, end - begin);
        end -= begin;
        begin = 0;
        return 0;
    }
    size_t larger = capacity ? capacity * 2 : first_buffer;
    auto *memory = static_cast<char *>(owner->objects.take(larger));
    if (!memory)
        return fail_without_memory("read from");
    if (buffer) {
        memcpy(memory, buffer, end);
        owner->objects.give(buffer, capacity);
    }
    buffer = memory;
    capacity = larger;
    return 0;
}

int64_t kolk_stream::read_until(task &self, const void *separator, size_t length, const void *&ret_data) noexcept {
    size_t searched = 0;
    for (;;) {
        size_t there = end - begin;
        const char *from = buffer + begin;
        size_t skip = searched >= length ? searched - length + 1 : 0;
        if (there >= length)
            if (auto *found = static_cast<const char *>(memmem(from + skip, there - skip, separator, length))) {
                int64_t count = found + length - from;
                if (size_t(count) > limit)
                    return fail_to_find();
                ret_data = from;
                begin += size_t(count);
                return count;
            }
        if (there >= limit)
            return fail_to_find();
        searched = there;
        if (int status = make_room(); status < 0)
            return status;
        int64_t count = try_receive(self, buffer + end, capacity - end);
        if (count < 0)
            return count;
        if (count == 0)
            return begin == end ? 0 : fail_at_end();
        end += size_t(count);
    }
}

int kolk_stream::write(task &self, const void *data, size_t length) noexcept {
    const char *from = static_cast<const char *>(data);
    char *kept = nullptr; /* what did not fit, if it lies in memory that others receive into while we wait */
    size_t kept_size = 0;
    int status = 0;
    while (length > 0 || closed()) {
        if (closed()) {
            status = KOLK_ECLOSED;
            break;
        }
        if (writable) {
            int64_t count = socket_send(fd, from, length);
            if (count >= 0) {
                from += count;
                length -= size_t(count);
                continue;
            }
            if (!would_block(count)) {
                status = fail(count, "write to");
                break;
            }
            writable = false;
        }
        if (!kept && owner->is_shared(from)) {
            kept = static_cast<char *>(owner->objects.take(length));
            if (!kept) {
                status = fail_without_memory("write to");
                break;
            }
            kept_size = length;
            memcpy(kept, from, length);
            from = kept;
        }
        status = wait(self, writer, KOLK_EVENT_WRITE);
        if (status < 0)
            break;
    }
    if (kept)
        owner->objects.give(kept, kept_size);
    return status;
}

int kolk_stream::wait_connected(task &self) noexcept {
    while (!writable)
        if (int status = wait(self, writer, KOLK_EVENT_WRITE); status < 0)
            return status;
    int number = socket_connected(fd);
    return number < 0 ? fail(number, "connect to") : 0;
}

int kolk_stream::write_eof() noexcept {
    int number = socket_end_writing(fd);
    return number < 0 ? fail(number, "end of writing to") : 0;
}

namespace {

/* A read or write that runs in a task of its own. */
struct request {
    stream *on; /* referenced */
    void *memory;
    size_t size;
    bool is_read;

    request(stream &which, void *data, size_t bytes, bool reads) noexcept
        : on(&which), memory(data), size(bytes), is_read(reads) {
        which.ref();
        (reads ? which.reading : which.writing) = true;
    }

    static int run(void *userdata, void **ret_result) noexcept {
        auto &self = *static_cast<request *>(userdata);
        task &current = *this_thread.task;
        int64_t result =
            self.is_read ? self.on->read(current, self.memory, self.size) : self.on->write(current, self.memory, self.size);
        if (result >= 0) {
            *ret_result = reinterpret_cast<void *>(intptr_t(result));
            return 0;
        }
        error *what = self.on->failure;
        return what && what->status == result ? raise(kolk::ref(what)) : int(result);
    }

    static void release(void *userdata) noexcept {
        auto *self = static_cast<request *>(userdata);
        stream *on = self->on;
        (self->is_read ? on->reading : on->writing) = false;
        on->owner->objects.destroy(self);
        on->unref();
    }
};

int start(stream &on, void *memory, size_t size, bool reads, future *&ret_future) noexcept {
    auto *what = on.owner->objects.create<request>(on, memory, size, reads);
    if (!what)
        return KOLK_ENOMEM;
    kolk_task_options options = {};
    options.name = reads ? "stream_read" : "stream_write";
    task *runner;
    int status = create_task(*on.owner, request::run, what, request::release, {&options, nullptr}, runner);
    if (status < 0) {
        request::release(what);
        return status;
    }
    ret_future = runner;
    return 0;
}

} // namespace

namespace kolk {

int read_async(stream &from, void *into, size_t size, future *&ret_future) noexcept {
    return start(from, into, size, true, ret_future);
}

int write_async(stream &to, const void *data, size_t length, future *&ret_future) noexcept {
    return start(to, const_cast<void *>(data), length, false, ret_future);
}

} // namespace kolk
