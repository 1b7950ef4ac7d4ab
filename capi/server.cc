#include "core/stream/server.hh"

#include "capi/check.hh"
#include "core/error.hh"

using namespace kolk;

extern "C" {

int kolk_start_server(kolk_loop *loop, kolk_connection_fn fn, void *userdata, kolk_destroy_fn destroy, const char *host,
                      uint16_t port, const kolk_server_options *options, kolk_server **ret_server,
                      kolk_error **ret_error) noexcept {
    constexpr uint32_t default_backlog = 4096;
    bool valid = fn && ret_server && valid_options(options);
    int status = valid ? check_open(loop) : int(KOLK_EINVAL);
    if (status == 0 && options && options->stack_size > stack_pool::maximum_size)
        status = KOLK_ELIMIT;
    server *made = status == 0 ? loop->objects.create<server>(*loop, fn, userdata, destroy) : nullptr;
    if (!made)
        return refuse(deliver(static_error(status < 0 ? status : int(KOLK_ENOMEM)), ret_error), destroy, userdata);
    server_request request = {host, port, default_backlog, 0, 0};
    if (options) {
        request.backlog = options->backlog ? options->backlog : default_backlog;
        request.stack_size = options->stack_size;
        request.stream_limit = options->stream_limit;
    }
    kolk_error *why;
    status = made->listen(request, why);
    if (status < 0) {
        made->unref();
        return deliver(why, ret_error);
    }
    *ret_server = made;
    return 0;
}

kolk_server *kolk_server_ref(kolk_server *self) noexcept { return checked_ref(self); }
kolk_server *kolk_server_unref(kolk_server *self) noexcept { return checked_unref(self); }

int kolk_server_port(const kolk_server *self) noexcept {
    int status = check_thread(self);
    if (status < 0)
        return status;
    return self->closed() ? int(KOLK_ECLOSED) : self->port;
}

int kolk_server_connections(const kolk_server *self) noexcept {
    int status = check_thread(self);
    return status < 0 ? status : int(self->connections);
}

int kolk_server_close(kolk_server *self) noexcept {
    int status = check_thread(self);
    if (status == 0)
        self->close();
    return status;
}

} // extern "C"
