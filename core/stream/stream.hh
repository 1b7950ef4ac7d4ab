/* A TCP connection.
 *
 * Each direction remembers whether the next system call is worth trying. With an edge-triggered reactor the descriptor is
 * registered once for both directions and never touched again: a read that fills only part of its buffer has drained the
 * socket, and whatever comes later is a new edge, so the next read waits without asking. The one thing that must not be
 * waited for twice is the end: once a hang-up was reported, or urgent data, before which a read stops short, reading always
 * asks. With a level-triggered reactor interest follows those who wait. */
#pragma once

#include "core/platform/socket.hh"
#include "core/task/task.hh"

#include <kolk/stream.h>

struct kolk_stream final : kolk::counted, kolk::watcher, kolk::resource {
    static constexpr size_t default_limit = 65536;

    int fd;
    bool readable = false;
    bool writable;
    bool hung_up = false;
    bool reading = false; /* a read is under way */
    bool writing = false;
    kolk::ready_item *reader = nullptr; /* who is made ready when this may be read; set while parked */
    kolk::ready_item *writer = nullptr;
    kolk_error *failure = nullptr; /* owned */
    char *buffer = nullptr;        /* what read_until read too much of */
    size_t begin = 0, end = 0, capacity = 0;
    size_t limit;
    kolk::socket_address peer;

    kolk_stream(kolk::loop &on, int descriptor, const kolk::socket_address &to, size_t read_limit, bool connected) noexcept;
    ~kolk_stream();

    /* Takes the descriptor over, also when it fails. */
    [[nodiscard]] static int make(kolk::loop &on, int descriptor, const kolk::socket_address &to, size_t read_limit,
                                  bool connected, kolk_stream *&ret_stream) noexcept;

    void ref() noexcept { refs++; }
    void unref() noexcept;
    [[nodiscard]] bool closed() const noexcept { return fd < 0; }
    void close() noexcept;
    [[nodiscard]] int write_eof() noexcept;

    /* Inside the task; `reading` and `writing` have been claimed. */
    [[nodiscard]] int64_t read(kolk_task &self, void *into, size_t size) noexcept;
    [[nodiscard]] int64_t receive(kolk_task &self, const void *&ret_data) noexcept;
    [[nodiscard]] int64_t read_until(kolk_task &self, const void *separator, size_t length, const void *&ret_data) noexcept;
    [[nodiscard]] int write(kolk_task &self, const void *data, size_t length) noexcept;
    [[nodiscard]] int wait_connected(kolk_task &self) noexcept;

  private:
    [[nodiscard]] int64_t try_receive(kolk_task &self, void *into, size_t size) noexcept;
    [[nodiscard]] int wait(kolk_task &self, kolk::ready_item *&place, uint32_t event) noexcept;
    [[nodiscard]] int make_room() noexcept;
    /* Each remembers the failure in words, and returns its status. */
    int fail(int64_t number, const char *doing) noexcept;
    int fail_with(int status, int number, const char *doing, const char *why) noexcept;
    int fail_to_find() noexcept;
    int fail_at_end() noexcept;
    int fail_without_memory(const char *doing) noexcept;

    static void tell(kolk::watcher &self, uint32_t events) noexcept;
    static void let_go(kolk::resource &self) noexcept;
};

namespace kolk {

using stream = ::kolk_stream;

/* As tasks of their own, for those who cannot wait. */
[[nodiscard]] int read_async(stream &from, void *into, size_t size, future *&ret_future) noexcept;
[[nodiscard]] int write_async(stream &to, const void *data, size_t length, future *&ret_future) noexcept;

} // namespace kolk
