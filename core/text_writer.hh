/* Text that may be longer than the room for it, as snprintf counts. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

namespace kolk {

class text_writer {
  public:
    text_writer(char *text, size_t size) noexcept : text_(text), size_(size) {
        if (size_ > 0)
            *text_ = 0;
    }
    [[gnu::format(printf, 2, 3)]] void add(const char *format, ...) noexcept {
        va_list arguments;
        va_start(arguments, format);
        bool room = length_ < size_;
        int added = vsnprintf(room ? text_ + length_ : nullptr, room ? size_ - length_ : 0, format, arguments);
        va_end(arguments);
        length_ += added > 0 ? size_t(added) : 0;
    }
    /* Of all that was added. */
    [[nodiscard]] size_t length() const noexcept { return length_; }

  private:
    char *text_;
    size_t size_, length_ = 0;
};

} // namespace kolk
