#include "core/stream/stream.hh"

#include "capi/check.hh"
#include "core/error.hh"
#include "core/stream/connect.hh"

#include <stdio.h>
#include <string.h>

using namespace kolk;

namespace {

/* One read, or one write, at a time. */
class claim {
  public:
    explicit claim(bool &place) noexcept : place_(&place) { place = true; }
    ~claim() { *place_ = false; }
    claim(const claim &) = delete;
    claim &operator=(const claim &) = delete;

  private:
    bool *place_;
};

/* What failed is remembered as raised, so that a task which returns the status ends with the words too. */
int64_t told(const stream &self, int64_t result) noexcept {
    if (result < 0 && self.failure && self.failure->status == result)
        this_thread.coroutine->raise(ref(self.failure));
    return result;
}

/* Keeps the stream while its own task might drop it. */
class holding {
  public:
    explicit holding(stream &of) noexcept : of_(&of) { of.ref(); }
    ~holding() { of_->unref(); }
    holding(const holding &) = delete;
    holding &operator=(const holding &) = delete;

  private:
    stream *of_;
};

int check_io(const stream *self, bool busy) noexcept {
    int status = check(self);
    if (status < 0)
        return status;
    if (self->closed())
        return KOLK_ECLOSED;
    return busy ? int(KOLK_EBUSY) : 0;
}

int check_task_io(const stream *self, bool busy, task *&ret_task) noexcept {
    int status = check_io(self, busy);
    if (status < 0)
        return status;
    ret_task = parkable_task(*self->owner);
    return ret_task ? 0 : int(KOLK_ENOTASK);
}

int check_request(const char *host, uint16_t port, const kolk_connect_options *options, connect_request &ret_request) noexcept {
    if (!host || !*host || !port || !valid_options(options))
        return KOLK_EINVAL;
    if (strnlen(host, longest_host + 1) > longest_host)
        return KOLK_EINVAL;
    ret_request = {host, port, 0, 0, 0};
    if (options) {
        if (options->family != 0 && options->family != 4 && options->family != 6)
            return KOLK_EINVAL;
        ret_request.family = int(options->family);
        ret_request.timeout = options->timeout_ns;
        ret_request.limit = options->limit;
    }
    return 0;
}

} // namespace

extern "C" {

int kolk_open_connection(const char *host, uint16_t port, const kolk_connect_options *options, kolk_stream **ret_stream,
                         kolk_error **ret_error) noexcept {
    connect_request request;
    int status = ret_stream ? check_request(host, port, options, request) : int(KOLK_EINVAL);
    task *self = this_thread.task;
    if (status == 0)
        status = self && parkable_task(*self->owner) ? self->owner->check() : int(KOLK_ENOTASK);
    if (status < 0)
        return deliver(static_error(status), ret_error);
    kolk_error *why;
    status = open_connection(*self, request, *ret_stream, why);
    if (status == 0)
        return 0;
    this_thread.coroutine->raise(ref(why));
    return deliver(why, ret_error);
}

int kolk_open_connection_async(kolk_loop *loop, const char *host, uint16_t port, const kolk_connect_options *options,
                               kolk_future **ret_future) noexcept {
    connect_request request;
    int status = ret_future ? check_request(host, port, options, request) : int(KOLK_EINVAL);
    if (status == 0)
        status = check_open(loop);
    return status < 0 ? status : open_connection_async(*loop, request, *ret_future);
}

kolk_stream *kolk_stream_ref(kolk_stream *self) noexcept { return checked_ref(self); }
kolk_stream *kolk_stream_unref(kolk_stream *self) noexcept { return checked_unref(self); }

int64_t kolk_stream_read(kolk_stream *self, void *buffer, size_t capacity) noexcept {
    task *current;
    int status = self && buffer && capacity ? check_task_io(self, self->reading, current) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    holding alive(*self);
    claim one(self->reading);
    return told(*self, self->read(*current, buffer, capacity));
}

int kolk_stream_read_async(kolk_stream *self, void *buffer, size_t capacity, kolk_future **ret_future) noexcept {
    bool valid = self && buffer && capacity && ret_future;
    int status = valid ? check_io(self, self->reading) : int(KOLK_EINVAL);
    return status < 0 ? status : read_async(*self, buffer, capacity, *ret_future);
}

int64_t kolk_stream_receive(kolk_stream *self, const void **ret_data) noexcept {
    task *current;
    int status = self && ret_data ? check_task_io(self, self->reading, current) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    holding alive(*self);
    claim one(self->reading);
    return told(*self, self->receive(*current, *ret_data));
}

int64_t kolk_stream_read_until(kolk_stream *self, const void *separator, size_t separator_length,
                               const void **ret_data) noexcept {
    task *current;
    bool valid = self && separator && separator_length && ret_data;
    int status = valid ? check_task_io(self, self->reading, current) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    holding alive(*self);
    claim one(self->reading);
    return told(*self, self->read_until(*current, separator, separator_length, *ret_data));
}

int kolk_stream_write(kolk_stream *self, const void *data, size_t length) noexcept {
    task *current;
    int status = self && (data || !length) ? check_task_io(self, self->writing, current) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    holding alive(*self);
    claim one(self->writing);
    return int(told(*self, self->write(*current, data, length)));
}

int kolk_stream_write_async(kolk_stream *self, const void *data, size_t length, kolk_future **ret_future) noexcept {
    bool valid = self && (data || !length) && ret_future;
    int status = valid ? check_io(self, self->writing) : int(KOLK_EINVAL);
    return status < 0 ? status : write_async(*self, data, length, *ret_future);
}

int kolk_stream_write_eof(kolk_stream *self) noexcept {
    int status = self ? check_io(self, self->writing) : int(KOLK_EINVAL);
    return status < 0 ? status : self->write_eof();
}

int kolk_stream_close(kolk_stream *self) noexcept {
    int status = check_thread(self);
    if (status == 0)
        self->close();
    return status;
}

kolk_error *kolk_stream_error(const kolk_stream *self) noexcept { return check_thread(self) < 0 ? nullptr : self->failure; }

int kolk_stream_peer_name(const kolk_stream *self, char *buffer, size_t capacity) noexcept {
    int status = buffer && capacity ? check_thread(self) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    if (self->closed())
        return KOLK_ECLOSED;
    char text[address_text];
    format_address(self->peer, text);
    int length = snprintf(buffer, capacity, "%s", text);
    return size_t(length) < capacity ? length : int(KOLK_ELIMIT);
}

int kolk_stream_fd(const kolk_stream *self) noexcept {
    int status = check_thread(self);
    if (status < 0)
        return status;
    return self->closed() ? int(KOLK_ECLOSED) : self->fd;
}

} // extern "C"
