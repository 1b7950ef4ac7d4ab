/**
 * @file stream_reader.hpp
 * Reads a stream piece by piece: up to a separator, or so many bytes.
 */
#ifndef KOLK_STREAM_READER_HPP
#define KOLK_STREAM_READER_HPP

#include <kolk/stream.hpp>

#include <cstdio>
#include <cstdlib>

namespace kolk {

inline namespace KOLK_CPP_NAMESPACE {

/**
 * Reads ahead from a stream into memory of its own; until it is gone, the stream is to be read through it alone. What it
 * returns is valid until its next read.
 */
class stream_reader {
  public:
    /** @p limit: how far it looks for a separator, in bytes. */
    explicit stream_reader(stream from, size_t limit = 65536) noexcept : from_(std::move(from)), limit_(limit) {}
    stream_reader(const stream_reader &) = delete;
    ~stream_reader() { std::free(buffer_); }

    /**
     * Everything up to and with @p separator. Empty when the peer has closed and nothing was left; #KOLK_EEOF when it closed
     * before the separator came, #KOLK_ELIMIT when the limit was reached first: what was read stays for the next read.
     *
     * @param separator  Not empty; must stay until this is done.
     */
    task<std::string_view> read_until(std::string_view separator) {
        if (separator.empty())
            co_return kolk::error(KOLK_EINVAL);
        give_back();
        size_t looked_at = 0;
        for (;;) {
            size_t at = unread().find(separator, looked_at);
            if (at != unread().npos)
                co_return take(at + separator.size());
            if (end_ - begin_ >= limit_)
                co_return no_separator();
            looked_at = end_ - begin_ < separator.size() ? 0 : end_ - begin_ - separator.size() + 1;
            result<size_t> more = co_await nothrow(read_more());
            if (!more)
                co_return more.error();
            if (*more == 0 && begin_ == end_)
                co_return std::string_view();
            if (*more == 0)
                co_return ended_without_separator();
        }
    }

    /** Exactly so many bytes; #KOLK_EEOF when the peer closed before: what was read stays for the next read. */
    task<std::string_view> read_exactly(size_t length) {
        give_back();
        while (end_ - begin_ < length) {
            result<size_t> more = co_await nothrow(read_more(length));
            if (!more)
                co_return more.error();
            if (*more == 0)
                co_return ended_before(length);
        }
        co_return take(length);
    }

    /** What is there, at least one byte; empty when the peer has closed its side. */
    task<std::string_view> read() {
        give_back();
        if (begin_ == end_) {
            result<size_t> more = co_await nothrow(read_more());
            if (!more)
                co_return more.error();
        }
        co_return take(end_ - begin_);
    }

  private:
    std::string_view unread() const noexcept { return {buffer_ + begin_, end_ - begin_}; }

    std::string_view take(size_t length) noexcept {
        taken_ = length;
        return unread().substr(0, length);
    }

    void give_back() noexcept {
        begin_ += std::exchange(taken_, 0);
        if (begin_ == end_)
            begin_ = end_ = 0;
    }

    /** Not in the coroutines themselves, whose frames would hold the words. */
    kolk::error no_separator() const noexcept {
        char why[64];
        std::snprintf(why, sizeof why, "no separator within %zu bytes", limit_);
        return failed(KOLK_ELIMIT, why);
    }
    kolk::error ended_without_separator() const noexcept {
        char why[64];
        std::snprintf(why, sizeof why, "it ended after %zu bytes without a separator", end_ - begin_);
        return failed(KOLK_EEOF, why);
    }
    kolk::error ended_before(size_t length) const noexcept {
        char why[64];
        std::snprintf(why, sizeof why, "it ended after %zu of %zu bytes", end_ - begin_, length);
        return failed(KOLK_EEOF, why);
    }
    /** Names the peer, as the errors of the stream do. */
    kolk::error failed(int status, const char *why) const noexcept {
        char peer[64], words[160];
        bool named = kolk_stream_peer_name(from_.get(), peer, sizeof peer) >= 0;
        std::snprintf(words, sizeof words, "read from %s: %s", named ? peer : "a stream", why);
        return kolk::error(status, words);
    }

    task<size_t> read_more(size_t wanted = 0) {
        if (begin_ > 0) {
            std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
            end_ -= std::exchange(begin_, 0);
        }
        size_t needed = wanted > end_ ? wanted : end_ + 1;
        if (needed > capacity_) {
            size_t grown = capacity_ * 2 > needed ? capacity_ * 2 : needed;
            grown = grown > 4096 ? grown : 4096;
            auto *larger = static_cast<char *>(std::realloc(buffer_, grown));
            if (!larger)
                co_return kolk::error(KOLK_ENOMEM);
            buffer_ = larger;
            capacity_ = grown;
        }
        result<size_t> got = co_await nothrow(from_.read(buffer_ + end_, capacity_ - end_));
        if (got)
            end_ += *got;
        co_return std::move(got);
    }

    stream from_;
    size_t limit_;
    char *buffer_ = nullptr;
    size_t capacity_ = 0, begin_ = 0, end_ = 0;
    size_t taken_ = 0; /* of what was returned last: gone with the next read */
};

} // namespace KOLK_CPP_NAMESPACE

} // namespace kolk

#endif
