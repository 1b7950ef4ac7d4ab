/* The layouts and numbers that programs, plugins and bindings have compiled in. They are never changed; a struct that begins
 * with `size` may grow at its end, and a list of constants too.
 *
 * Sizes are those of machines with 64-bit pointers. Nothing here is compiled into anything: a header that does not hold its
 * promise does not compile. */
#include <kolk/kolk.h>

#ifdef __cplusplus
#define HOLDS(condition) static_assert(condition, #condition)
#else
#define HOLDS(condition) _Static_assert(condition, #condition)
#endif
#define SIZE(type, bytes) HOLDS(sizeof(type) == (bytes))
#define MEMBER(type, member, offset) HOLDS(offsetof(type, member) == (offset))
#define VALUE(constant, value) HOLDS((constant) == (value))

SIZE(void *, 8);
SIZE(kolk_status, 4);
SIZE(kolk_coroutine_state, 4);
SIZE(kolk_coroutine_step, 4);

SIZE(kolk_allocator, 32);
MEMBER(kolk_allocator, size, 0);
MEMBER(kolk_allocator, reserved, 4);
MEMBER(kolk_allocator, allocate, 8);
MEMBER(kolk_allocator, release, 16);
MEMBER(kolk_allocator, userdata, 24);

SIZE(kolk_ready, 16);
MEMBER(kolk_ready, token, 0);
MEMBER(kolk_ready, events, 8);
MEMBER(kolk_ready, reserved, 12);

SIZE(kolk_reactor_config, 40);
MEMBER(kolk_reactor_config, size, 0);
MEMBER(kolk_reactor_config, reserved, 4);
MEMBER(kolk_reactor_config, allocator, 8);
MEMBER(kolk_reactor_config, host, 16);
MEMBER(kolk_reactor_config, notify, 24);
MEMBER(kolk_reactor_config, notify_userdata, 32);

SIZE(kolk_reactor_ops, 112);
MEMBER(kolk_reactor_ops, size, 0);
MEMBER(kolk_reactor_ops, abi, 4);
MEMBER(kolk_reactor_ops, name, 8);
MEMBER(kolk_reactor_ops, caps, 16);
MEMBER(kolk_reactor_ops, open, 24);
MEMBER(kolk_reactor_ops, close, 32);
MEMBER(kolk_reactor_ops, watch, 40);
MEMBER(kolk_reactor_ops, collect, 48);
MEMBER(kolk_reactor_ops, wait, 56);
MEMBER(kolk_reactor_ops, get_fd, 64);
MEMBER(kolk_reactor_ops, after_fork, 72);
MEMBER(kolk_reactor_ops, submit, 80);
MEMBER(kolk_reactor_ops, cancel, 88);
MEMBER(kolk_reactor_ops, now, 96);
MEMBER(kolk_reactor_ops, stay, 104);

SIZE(kolk_loop_options, 56);
MEMBER(kolk_loop_options, size, 0);
MEMBER(kolk_loop_options, reserved, 4);
MEMBER(kolk_loop_options, reactor, 8);
MEMBER(kolk_loop_options, reactor_ops, 16);
MEMBER(kolk_loop_options, host, 24);
MEMBER(kolk_loop_options, allocator, 32);
MEMBER(kolk_loop_options, clock, 40);
MEMBER(kolk_loop_options, clock_userdata, 48);

SIZE(kolk_plan, 16);
MEMBER(kolk_plan, deadline_ns, 0);
MEMBER(kolk_plan, ready, 8);
MEMBER(kolk_plan, reserved, 12);

SIZE(kolk_budget, 16);
MEMBER(kolk_budget, size, 0);
MEMBER(kolk_budget, max_items, 4);
MEMBER(kolk_budget, max_ns, 8);

SIZE(kolk_loop_hooks, 40);
MEMBER(kolk_loop_hooks, size, 0);
MEMBER(kolk_loop_hooks, reserved, 4);
MEMBER(kolk_loop_hooks, enter, 8);
MEMBER(kolk_loop_hooks, leave, 16);
MEMBER(kolk_loop_hooks, before_wait, 24);
MEMBER(kolk_loop_hooks, after_wait, 32);

SIZE(kolk_host_ops, 40);
MEMBER(kolk_host_ops, size, 0);
MEMBER(kolk_host_ops, reserved, 4);
MEMBER(kolk_host_ops, watch, 8);
MEMBER(kolk_host_ops, set_deadline, 16);
MEMBER(kolk_host_ops, post, 24);
MEMBER(kolk_host_ops, after_fork, 32);

SIZE(kolk_guest_options, 24);
MEMBER(kolk_guest_options, size, 0);
MEMBER(kolk_guest_options, way, 4);
MEMBER(kolk_guest_options, max_items, 8);
MEMBER(kolk_guest_options, reserved, 12);
MEMBER(kolk_guest_options, max_ns, 16);

SIZE(kolk_progress, 8);
MEMBER(kolk_progress, items, 0);
MEMBER(kolk_progress, more, 4);

SIZE(kolk_selector_key, 16);
MEMBER(kolk_selector_key, fd, 0);
MEMBER(kolk_selector_key, events, 4);
MEMBER(kolk_selector_key, data, 8);

SIZE(kolk_task_options, 48);
MEMBER(kolk_task_options, size, 0);
MEMBER(kolk_task_options, reserved, 4);
MEMBER(kolk_task_options, name, 8);
MEMBER(kolk_task_options, stack_size, 16);
MEMBER(kolk_task_options, destroy_result, 24);
MEMBER(kolk_task_options, location, 32);
MEMBER(kolk_task_options, group, 40);

SIZE(kolk_coroutine_ops, 32);
MEMBER(kolk_coroutine_ops, size, 0);
MEMBER(kolk_coroutine_ops, reserved, 4);
MEMBER(kolk_coroutine_ops, kind, 8);
MEMBER(kolk_coroutine_ops, resume, 16);
MEMBER(kolk_coroutine_ops, destroy, 24);

SIZE(kolk_step, 16);
MEMBER(kolk_step, at, 0);
MEMBER(kolk_step, status, 4);
MEMBER(kolk_step, future, 8);

SIZE(kolk_completion, 16);
MEMBER(kolk_completion, future, 0);
MEMBER(kolk_completion, tag, 8);

SIZE(kolk_task_info, 240);
MEMBER(kolk_task_info, size, 0);
MEMBER(kolk_task_info, state, 4);
MEMBER(kolk_task_info, parent, 8);
MEMBER(kolk_task_info, awaited, 16);
MEMBER(kolk_task_info, cancelling, 24);
MEMBER(kolk_task_info, reserved, 28);
MEMBER(kolk_task_info, kind, 32);
MEMBER(kolk_task_info, name, 48);
MEMBER(kolk_task_info, awaits, 80);
MEMBER(kolk_task_info, location, 144);

SIZE(kolk_stall, 48);
MEMBER(kolk_stall, size, 0);
MEMBER(kolk_stall, frame_count, 4);
MEMBER(kolk_stall, duration_ns, 8);
MEMBER(kolk_stall, task, 16);
MEMBER(kolk_stall, location, 24);
MEMBER(kolk_stall, frames, 32);
MEMBER(kolk_stall, text, 40);

SIZE(kolk_sim_options, 32);
MEMBER(kolk_sim_options, size, 0);
MEMBER(kolk_sim_options, reserved, 4);
MEMBER(kolk_sim_options, seed, 8);
MEMBER(kolk_sim_options, start_ns, 16);
MEMBER(kolk_sim_options, lateness_ns, 24);

SIZE(kolk_connect_options, 24);
MEMBER(kolk_connect_options, size, 0);
MEMBER(kolk_connect_options, family, 4);
MEMBER(kolk_connect_options, timeout_ns, 8);
MEMBER(kolk_connect_options, limit, 16);

SIZE(kolk_server_options, 24);
MEMBER(kolk_server_options, size, 0);
MEMBER(kolk_server_options, backlog, 4);
MEMBER(kolk_server_options, stack_size, 8);
MEMBER(kolk_server_options, stream_limit, 16);

VALUE(KOLK_OK, 0);
VALUE(KOLK_ECANCELED, -1);
VALUE(KOLK_ETIMEDOUT, -2);
VALUE(KOLK_ENOMEM, -3);
VALUE(KOLK_EINVAL, -4);
VALUE(KOLK_EBUSY, -5);
VALUE(KOLK_ECLOSED, -6);
VALUE(KOLK_EPENDING, -7);
VALUE(KOLK_EALREADY, -8);
VALUE(KOLK_ETHREAD, -9);
VALUE(KOLK_EFORKED, -10);
VALUE(KOLK_ENOTASK, -11);
VALUE(KOLK_ENOTSUP, -12);
VALUE(KOLK_EEXIST, -13);
VALUE(KOLK_ENOENT, -14);
VALUE(KOLK_ELIMIT, -15);
VALUE(KOLK_EBADF, -16);
VALUE(KOLK_EMFILE, -17);
VALUE(KOLK_EREFUSED, -18);
VALUE(KOLK_ERESET, -19);
VALUE(KOLK_EUNREACH, -20);
VALUE(KOLK_ENONAME, -21);
VALUE(KOLK_EPIPE, -22);
VALUE(KOLK_EADDRINUSE, -23);
VALUE(KOLK_EADDRNOTAVAIL, -24);
VALUE(KOLK_EACCESS, -25);
VALUE(KOLK_EEOF, -26);
VALUE(KOLK_EIO, -27);
VALUE(KOLK_EPLUGIN, -28);
VALUE(KOLK_EEXITED, -29);
VALUE(KOLK_ENOTSTARTED, -30);
VALUE(KOLK_EYIELD, -31);
VALUE(KOLK_EUNSPECIFIED, -32);

VALUE(KOLK_COROUTINE_CREATED, 0);
VALUE(KOLK_COROUTINE_RUNNING, 1);
VALUE(KOLK_COROUTINE_SUSPENDED, 2);
VALUE(KOLK_COROUTINE_CLOSED, 3);

VALUE(KOLK_COROUTINE_RETURNED, 0);
VALUE(KOLK_COROUTINE_YIELDED, 1);
VALUE(KOLK_COROUTINE_AWAITING, 2);

VALUE(KOLK_TASK_STARTING, 0);
VALUE(KOLK_TASK_READY, 1);
VALUE(KOLK_TASK_RUNNING, 2);
VALUE(KOLK_TASK_WAITING, 3);
VALUE(KOLK_TASK_ENDED, 4);

VALUE(KOLK_ALL_COMPLETED, 0);
VALUE(KOLK_FIRST_COMPLETED, 1);
VALUE(KOLK_FIRST_ERROR, 2);

VALUE(KOLK_SCOPE_LEVEL, 1);
VALUE(KOLK_SCOPE_SHIELD, 2);
VALUE(KOLK_TASK_GROUP_LEVEL, 1);

VALUE(KOLK_EVENT_READ, 1);
VALUE(KOLK_EVENT_WRITE, 2);
VALUE(KOLK_EVENT_EDGE, 4);
VALUE(KOLK_EVENT_HANGUP, 8);
VALUE(KOLK_EVENT_INVALID, 16);

VALUE(KOLK_REACTOR_ABI, 1);
VALUE(KOLK_REACTOR_EDGE, 1);
VALUE(KOLK_REACTOR_WAIT, 2);
VALUE(KOLK_REACTOR_WAIT_ANYWHERE, 4);
VALUE(KOLK_REACTOR_GET_FD, 8);
VALUE(KOLK_REACTOR_AFTER_FORK, 16);
VALUE(KOLK_REACTOR_SUBMIT, 32);
VALUE(KOLK_REACTOR_CLOCK, 64);

VALUE(KOLK_GATHER_RETURN_ERRORS, 1);
VALUE(KOLK_NEVER, INT64_C(9223372036854775807));
