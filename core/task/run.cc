#include "core/task/run.hh"

#include "core/error.hh"
#include "core/task/shutdown.hh"

namespace kolk {

int cancel_all(loop &on) noexcept {
    if (on.running())
        return KOLK_EBUSY;
    on.ref(); /* a task may drop the last other reference */
    cancel_each_task(on);
    int status = 0;
    while (status >= 0 && !on.closed() && !on.tasks.empty())
        status = on.run_once();
    on.unref();
    return status < 0 ? status : 0;
}

int run_main(loop &on, kolk_coroutine_fn fn, void *userdata, void **ret_result, error **ret_error) noexcept {
    task *main;
    error *why = nullptr;
    int status = create_task(on, fn, userdata, nullptr, {nullptr, reinterpret_cast<void *>(fn)}, main);
    if (status == 0) {
        status = on.run_until_complete(*main);
        if (status == 0) {
            status = main->result(ret_result);
            why = status < 0 ? ref(main->error()) : nullptr;
        }
        int ended = cancel_all(on);
        if (status >= 0 && ended < 0)
            status = ended;
        main->unref();
    }
    int closed = on.close();
    if (status >= 0 && closed < 0)
        status = closed;
    if (status < 0)
        deliver(why ? why : static_error(status), ret_error);
    on.user_unref();
    return status;
}

} // namespace kolk
