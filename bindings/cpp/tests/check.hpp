/* What the tests of this binding need. A rule is a function named after the sentence it proves; inside, a failed CHECK is told
 * and the rule goes on, because nothing may jump over the destructors of C++. Each program is built twice, with and without
 * exceptions; what is said in both never throws. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <kolk/kolk.hpp>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

using namespace std::chrono_literals;

inline int failed_checks = 0;

#define CHECK(condition)                                                                                                       \
    do {                                                                                                                       \
        if (!(condition))                                                                                                      \
            failed_checks++, std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
    } while (0)

inline void check_text(const std::string &seen, const std::string &expected, const char *file, int line) {
    if (seen != expected)
        failed_checks++, std::printf("%s:%d: \"%s\", expected \"%s\"\n", file, line, seen.c_str(), expected.c_str());
}
#define CHECK_TEXT(seen, expected) check_text(seen, expected, __FILE__, __LINE__)

struct rule {
    const char *name;
    void (*check)();
};
#define RULE(function)                                                                                                         \
    { #function, function }

template <size_t N>
int run_rules(const rule (&rules)[N]) {
    int failed_rules = 0;
    for (const rule &each : rules) {
        int before = failed_checks;
        each.check();
        std::printf("%s %s\n", failed_checks == before ? "ok" : "not ok", each.name);
        failed_rules += failed_checks != before;
    }
    return failed_rules != 0;
}

/* What happened, word by word. */
class record {
  public:
    [[gnu::format(printf, 2, 3)]] void add(const char *format, ...) {
        char word[256];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(word, sizeof word, format, arguments);
        va_end(arguments);
        text += text.empty() ? "" : " ";
        text += word;
    }
    std::string text;
};

/* Says when it goes. */
class mark {
  public:
    mark(record &to, const char *name) : to_(&to), name_(name) {}
    mark(mark &&other) noexcept : to_(std::exchange(other.to_, nullptr)), name_(other.name_) {}
    ~mark() {
        if (to_)
            to_->add("~%s", name_);
    }

  private:
    record *to_;
    const char *name_;
};

/* Runs it on a loop of its own. */
template <class T>
kolk::result<T> outcome_of(kolk::task<T> body) {
    return kolk::run(kolk::nothrow(std::move(body)));
}

#endif
