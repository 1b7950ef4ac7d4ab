#include "core/stream/connect.hh"

#include "core/error.hh"
#include "core/future/wait_for.hh"
#include "core/stream/resolver.hh"

#include <string.h>

namespace kolk {

namespace {

/* "connect to example.org port 80: connection refused", with what went wrong underneath as its cause. */
int failed(int status, const connect_request &request, error *cause, error *&ret_error) noexcept {
    const char *why = status_message(status);
    ret_error = make_error(status, cause ? cause->os : 0, cause, "connect to %s port %u: %s", request.host,
                           unsigned(request.port), why);
    kolk::unref(cause);
    return status;
}

int find_addresses(task &self, const connect_request &request, addresses &ret_found, error *&ret_cause) noexcept {
    loop &on = *self.owner;
    socket_address digits;
    if (parse_address(request.host, request.port, digits)) {
        if (request.family && request.family != address_family(digits))
            return KOLK_ENONAME;
        ret_found.list[0] = digits;
        ret_found.count = 1;
        return 0;
    }
    resolver *names = on.resolver();
    if (!names)
        return KOLK_ENOMEM;
    return names->resolve(self, request.host, request.port, request.family, ret_found, ret_cause);
}

int connect_one(task &self, const socket_address &to, size_t limit, stream *&ret_stream, error *&ret_cause) noexcept {
    int fd;
    int started = socket_connect(to, fd);
    if (started < 0) {
        char text[address_text];
        format_address(to, text);
        int status = status_of_errno(-started);
        ret_cause = make_error(status, -started, nullptr, "connect to %s: %s", text, status_message(status));
        return status;
    }
    stream *made;
    int status = stream::make(*self.owner, fd, to, limit, started == 0, made);
    if (status < 0)
        return status;
    status = made->wait_connected(self);
    if (status < 0) {
        ret_cause = made->failure && made->failure->status == status ? kolk::ref(made->failure) : nullptr;
        made->unref();
        return status;
    }
    ret_stream = made;
    return 0;
}

/* This host cannot even try: it has no such protocol, or no way there. */
bool out_of_reach(int status) noexcept {
    return status == KOLK_ENOTSUP || status == KOLK_EADDRNOTAVAIL || status == KOLK_EUNREACH;
}

/* Of several addresses the first that answers; if none does, the reason of the last one that could be tried. */
int connect_any(task &self, const connect_request &request, stream *&ret_stream, error *&ret_error) noexcept {
    addresses found;
    error *cause = nullptr;
    int status = find_addresses(self, request, found, cause);
    if (status < 0)
        return failed(status, request, cause, ret_error);
    for (int i = 0; i < found.count; i++) {
        error *why = nullptr;
        int tried = connect_one(self, found.list[i], request.limit, ret_stream, why);
        if (i > 0 && out_of_reach(tried) && !out_of_reach(status)) {
            kolk::unref(why);
            continue;
        }
        status = tried;
        kolk::unref(std::exchange(cause, why));
        if (status == 0 || status == KOLK_ECANCELED)
            break;
    }
    if (status == 0)
        kolk::unref(cause);
    return status < 0 ? failed(status, request, cause, ret_error) : 0;
}

/* What a connecting task is given. The host is copied behind it. */
struct opening {
    loop *on;
    connect_request request;
    char host[longest_host + 1];

    opening(loop &where, const connect_request &from) noexcept : on(&where), request(from) {
        strcpy(host, from.host);
        request.host = host;
    }

    static int run(void *userdata, void **ret_result) noexcept {
        auto &self = *static_cast<opening *>(userdata);
        stream *made;
        error *why;
        int status = open_connection(*this_thread.task, self.request, made, why);
        if (status < 0)
            return raise(why);
        *ret_result = made;
        return 0;
    }

    static void release(void *userdata) noexcept {
        auto *self = static_cast<opening *>(userdata);
        self->on->objects.destroy(self);
    }
};

} // namespace

int open_connection_async(loop &on, const connect_request &request, future *&ret_future) noexcept {
    auto *what = on.objects.create<opening>(on, request);
    if (!what)
        return KOLK_ENOMEM;
    kolk_task_options options = {};
    options.name = "open_connection";
    options.destroy_result = [](void *result) { static_cast<stream *>(result)->unref(); };
    task *connecting;
    int status = create_task(on, opening::run, what, opening::release, {&options, nullptr}, connecting);
    if (status < 0) {
        opening::release(what);
        return status;
    }
    ret_future = connecting;
    return 0;
}

/* A connecting task without a limit, and a limit around it. */
static int start_limited(loop &on, connect_request request, future *&ret_limited) noexcept {
    int64_t timeout = std::exchange(request.timeout, 0);
    future *connecting;
    int status = open_connection_async(on, request, connecting);
    if (status < 0)
        return status;
    status = wait_for_async(*connecting, timeout, ret_limited);
    if (status < 0)
        connecting->cancel();
    connecting->unref();
    return status;
}

int open_connection(task &self, const connect_request &request, stream *&ret_stream, error *&ret_error) noexcept {
    if (request.timeout == 0)
        return connect_any(self, request, ret_stream, ret_error);
    future *limited;
    int status = start_limited(*self.owner, request, limited);
    if (status < 0)
        return failed(status, request, nullptr, ret_error);
    status = await(*limited);
    void *made;
    if (status == 0)
        status = limited->result(&made);
    if (status == 0) {
        ret_stream = static_cast<stream *>(made);
        ret_stream->ref();
    } else if (status == KOLK_ETIMEDOUT) {
        long long allowed = request.timeout > 0 ? request.timeout / 1'000'000 : 0;
        ret_error = make_error(status, 0, nullptr, "connect to %s port %u: no answer within %lld ms", request.host,
                               unsigned(request.port), allowed);
    } else if (error *why = limited->error(); why && why->status == status) {
        ret_error = kolk::ref(why);
    } else {
        failed(status, request, nullptr, ret_error);
    }
    limited->unref();
    return status;
}

} // namespace kolk
