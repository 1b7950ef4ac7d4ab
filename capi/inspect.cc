#include "core/task/inspect.hh"

#include "capi/check.hh"

using namespace kolk;

extern "C" {

int kolk_task_get_info(const kolk_task *self, kolk_task_info *ret_info) noexcept {
    int status = ret_info && ret_info->size >= sizeof *ret_info ? check_thread(self) : int(KOLK_EINVAL);
    if (status == 0)
        describe(*self, *ret_info);
    return status;
}

int kolk_loop_all_tasks(const kolk_loop *loop, kolk_task **ret_tasks, size_t capacity) noexcept {
    int status = ret_tasks || capacity == 0 ? check(loop) : int(KOLK_EINVAL);
    if (status < 0)
        return status;
    auto &tasks = const_cast<kolk_loop *>(loop)->tasks;
    size_t count = 0;
    for (task *each = tasks.front(); each; each = tasks.after(*each), count++)
        if (count < capacity)
            ret_tasks[count] = each;
    return int(count);
}

int kolk_loop_format_tasks(const kolk_loop *loop, char *text, size_t size) noexcept {
    int status = text || size == 0 ? check(loop) : int(KOLK_EINVAL);
    return status < 0 ? status : format_tasks(const_cast<kolk_loop &>(*loop), text, size);
}

} // extern "C"
