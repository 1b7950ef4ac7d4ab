/* The program of docs/how-to/use-from-cpp.md. */
#include <kolk/kolk.hpp>

#include <cstdio>

using namespace std::chrono_literals;

//! [task]
kolk::task<int> measure(const char *what, std::chrono::milliseconds delay) {
    co_await kolk::sleep(delay);
    std::printf("%s is measured\n", what);
    co_return int(delay.count());
}
//! [task]

//! [server]
kolk::task<void> echo(kolk::stream peer) {
    kolk::stream_reader reader(peer);
    for (;;) {
        std::string_view line = co_await reader.read_until("\n");
        if (line.empty())
            co_return;
        co_await peer.write(line);
    }
}

kolk::task<void> talk() {
    kolk::server server = kolk::start_server(echo, "127.0.0.1", 0).value();
    kolk::stream peer = co_await kolk::open_connection("127.0.0.1", server.port());
    co_await peer.write("anybody home?\n");
    kolk::stream_reader reader(peer);
    std::string_view line = co_await reader.read_until("\n");
    std::printf("echo: %.*s", int(line.size()), line.data());
}
//! [server]

//! [group]
kolk::task<void> broken() {
    co_await kolk::sleep(1ms);
    throw kolk::error(KOLK_EIO, "the kettle is broken");
}

kolk::task<void> together() {
    try {
        co_await kolk::with_task_group([](kolk::task_group &group) -> kolk::task<void> {
            group.spawn(measure("never", 1000000ms));
            group.spawn(broken());
            co_return;
        });
    } catch (const kolk::error &e) {
        std::printf("group: %s\n", e.what());
    }
}
//! [group]

//! [errors]
kolk::task<void> fail_in_two_ways() {
    try {
        co_await kolk::wait_for(kolk::sleep(1h), 1ms);
    } catch (const kolk::error &e) {
        std::printf("thrown: %s\n", e.what());
    }
    kolk::result<void> ended = co_await kolk::nothrow(kolk::wait_for(kolk::sleep(1h), 1ms));
    if (ended.code() == std::errc::timed_out)
        std::printf("returned: %s\n", ended.message());
}
//! [errors]

//! [generator]
kolk::generator<int> squares(int count) {
    for (int i = 1; i <= count; i++)
        co_yield i *i;
}
//! [generator]

//! [main]
kolk::task<void> everything() {
    auto [tea, milk] = co_await kolk::gather(measure("tea", 2ms), measure("milk", 1ms));
    std::printf("%d and %d\n", tea, milk);

    kolk::task_handle<int> beside = kolk::spawn(measure("sugar", 1h));
    co_await kolk::yield_now();
    beside.cancel("no sugar");
    std::printf("%s\n", (co_await kolk::nothrow(beside)).message());

    co_await talk();
    co_await together();
    co_await fail_in_two_ways();
    for (int square : squares(3))
        std::printf("%d\n", square);
}

int main() { kolk::run(everything()); }
//! [main]
