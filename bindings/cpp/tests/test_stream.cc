/* Connections, from both sides. */
#include "check.hpp"

#include <memory>

namespace {

kolk::task<void> echo(kolk::stream peer) {
    char buffer[4096];
    for (;;) {
        auto got = co_await kolk::nothrow(peer.read(buffer, sizeof buffer));
        if (!got || *got == 0)
            co_return;
        auto put = co_await kolk::nothrow(peer.write(buffer, *got));
        if (!put)
            co_await kolk::fail(put.status());
    }
}

kolk::task<void> say_lines(kolk::stream peer) {
    for (const char *piece : {"one\r\ntw", "o\r", "\n5 end rest"}) {
        (void)co_await kolk::nothrow(peer.write(piece));
        (void)co_await kolk::nothrow(kolk::sleep(1ms));
    }
}

kolk::task<void> stay_silent(kolk::stream) { co_await co_await kolk::nothrow(kolk::sleep(1h)); }

/* What is written comes back, however it is cut. */
void what_is_written_is_read() {
    auto main = []() -> kolk::task<void> {
        auto server = *kolk::start_server(echo, "127.0.0.1", 0);
        auto peer = co_await kolk::nothrow(kolk::open_connection("127.0.0.1", uint16_t(server.port())));
        CHECK(peer);
        std::string sent(100000, 'x'), got;
        auto write = [](kolk::stream to, const std::string &text) -> kolk::task<void> {
            CHECK(co_await kolk::nothrow(to.write(text)));
            CHECK(to.write_eof() == 0);
        };
        auto writing = kolk::spawn(write(*peer, sent));
        for (;;) {
            char buffer[1000];
            auto some = co_await kolk::nothrow(peer->read(std::span(buffer)));
            CHECK(some);
            if (!some || *some == 0)
                break;
            got.append(buffer, *some);
        }
        CHECK(got == sent);
        CHECK(co_await kolk::nothrow(writing));
    };
    CHECK(outcome_of(main()));
}

/* A connection that nobody takes fails with words that name it. */
void a_refused_connection_says_which() {
    auto main = []() -> kolk::task<void> {
        int port;
        {
            auto server = *kolk::start_server(echo, "127.0.0.1", 0);
            port = server.port();
            server.close();
        }
        auto peer = co_await kolk::nothrow(kolk::open_connection("127.0.0.1", uint16_t(port)));
        CHECK(peer.code() == std::errc::connection_refused);
        CHECK(std::strstr(peer.message(), std::to_string(port).c_str()) != nullptr);
    };
    CHECK(outcome_of(main()));
}

/* A reader cuts the stream at separators and counts, wherever the pieces that arrive are cut. */
void a_reader_cuts_at_separators_and_counts() {
    auto main = []() -> kolk::task<void> {
        auto server = *kolk::start_server(say_lines, "127.0.0.1", 0);
        kolk::stream_reader reader(*co_await kolk::nothrow(kolk::open_connection("127.0.0.1", uint16_t(server.port()))));
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read_until("\r\n"))), "one\r\n");
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read_until("\r\n"))), "two\r\n");
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read_exactly(5))), "5 end");
        std::string from = "read from 127.0.0.1 port " + std::to_string(server.port()) + ": ";
        auto line = co_await kolk::nothrow(reader.read_until("\n"));
        CHECK(line.status() == KOLK_EEOF);
        CHECK_TEXT(std::string(line.message()), from + "it ended after 5 bytes without a separator");
        auto six = co_await kolk::nothrow(reader.read_exactly(6));
        CHECK(six.status() == KOLK_EEOF);
        CHECK_TEXT(std::string(six.message()), from + "it ended after 5 of 6 bytes");
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read())), " rest");
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read())), "");
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read_until("\n"))), "");
        CHECK((co_await kolk::nothrow(reader.read_until(""))).status() == KOLK_EINVAL);
    };
    CHECK(outcome_of(main()));
}

/* It looks no further than its limit, and what it has read is not lost. */
void a_reader_keeps_to_its_limit() {
    auto main = []() -> kolk::task<void> {
        auto server = *kolk::start_server(say_lines, "127.0.0.1", 0);
        kolk::stream_reader reader(*co_await kolk::nothrow(kolk::open_connection("127.0.0.1", uint16_t(server.port()))), 6);
        auto end = co_await kolk::nothrow(reader.read_until("end"));
        CHECK(end.status() == KOLK_ELIMIT);
        CHECK(std::strstr(end.message(), "no separator within 6 bytes") != nullptr);
        CHECK_TEXT(std::string(*co_await kolk::nothrow(reader.read_until("\r\n"))), "one\r\n");
    };
    CHECK(outcome_of(main()));
}

/* A read that is cancelled leaves its buffer alone, and the stream goes on. */
void a_read_can_be_cancelled() {
    auto main = []() -> kolk::task<void> {
        auto server = *kolk::start_server(stay_silent, "127.0.0.1", 0);
        auto peer = *co_await kolk::nothrow(kolk::open_connection("127.0.0.1", uint16_t(server.port())));
        auto read = [](kolk::stream from) -> kolk::task<size_t> {
            char buffer[100];
            co_return co_await kolk::nothrow(from.read(buffer, sizeof buffer));
        };
        CHECK((co_await kolk::nothrow(kolk::wait_for(read(peer), 1ms))).status() == KOLK_ETIMEDOUT);
        CHECK((co_await kolk::nothrow(kolk::wait_for(kolk::spawn(read(peer)), 1ms))).status() == KOLK_ETIMEDOUT);
        CHECK(co_await kolk::nothrow(peer.write("still there")));
        CHECK(server.connections() == 1);
    };
    CHECK(outcome_of(main()));
}

/* The handler is kept while the server is there, and goes with it. */
void a_handler_lives_as_long_as_its_server() {
    record seen;
    auto main = [&]() -> kolk::task<void> {
        auto server = *kolk::start_server([here = std::make_shared<mark>(seen, "handler")](
                                              kolk::stream peer) -> kolk::task<void> { return echo(std::move(peer)); },
                                          "127.0.0.1", 0);
        (void)co_await kolk::nothrow(kolk::yield_now());
        CHECK_TEXT(seen.text, "");
    };
    CHECK(outcome_of(main()));
    CHECK_TEXT(seen.text, "~handler");
}

} // namespace

int main() {
    return run_rules({
        RULE(what_is_written_is_read),
        RULE(a_refused_connection_says_which),
        RULE(a_reader_cuts_at_separators_and_counts),
        RULE(a_reader_keeps_to_its_limit),
        RULE(a_read_can_be_cancelled),
        RULE(a_handler_lives_as_long_as_its_server),
    });
}
