/* Errors as objects and as codes of the standard library. */
#include "check.hpp"

namespace {

/* A status is an error_code of kolk's category, by conversion too. */
void a_status_is_an_error_code() {
    std::error_code code = KOLK_EREFUSED;
    CHECK(code.category() == kolk::category());
    CHECK(code.value() == KOLK_EREFUSED);
    CHECK_TEXT(code.message(), "connection refused");
    CHECK_TEXT(code.category().name(), "kolk");
}

/* What the standard library has a word for compares equal to it. */
void codes_compare_equal_to_what_the_standard_library_calls_them() {
    CHECK(kolk::code_of(KOLK_EREFUSED) == std::errc::connection_refused);
    CHECK(kolk::code_of(KOLK_ECANCELED) == std::errc::operation_canceled);
    CHECK(kolk::code_of(KOLK_ENOMEM) == std::errc::not_enough_memory);
    CHECK(kolk::code_of(KOLK_EPIPE) != std::errc::connection_refused);
    CHECK(kolk::code_of(KOLK_EYIELD) != std::errc::not_enough_memory);
    CHECK(!kolk::code_of(0));
    CHECK(!kolk::code_of(7));
}

/* And the other way round; there is a status for every code. */
void every_code_has_a_status() {
    CHECK(kolk::status_of(std::make_error_code(std::errc::timed_out)) == KOLK_ETIMEDOUT);
    CHECK(kolk::status_of(std::error_code(ECONNRESET, std::system_category())) == KOLK_ERESET);
    CHECK(kolk::status_of(std::make_error_code(std::errc::owner_dead)) == KOLK_EUNSPECIFIED);
    CHECK(kolk::status_of(kolk::code_of(KOLK_EYIELD)) == KOLK_EYIELD);
    CHECK(kolk::status_of(kolk::code_of(0)) == KOLK_EUNSPECIFIED);
}

/* An error says which, in words, and why. */
void an_error_has_a_status_words_and_a_cause() {
    kolk::error cause(KOLK_ENOENT, "no menu"), why(KOLK_EIO, "no tea", cause), copy = why;
    CHECK(why.status() == KOLK_EIO);
    CHECK(why.code() == std::errc::io_error);
    CHECK_TEXT(why.what(), "no tea");
    CHECK(why.cause() == cause.get());
    CHECK(copy.get() == why.get());
    copy = kolk::error(KOLK_ECANCELED);
    CHECK(copy.cancelled() && !why.cancelled());
    CHECK_TEXT(why.message(), "no tea");
}

/* An error that nobody has is never empty. */
void no_error_counts_as_one_without_a_code() {
    CHECK(kolk::error::adopt(nullptr).status() == KOLK_EUNSPECIFIED);
    CHECK(kolk::error::share(nullptr).status() == KOLK_EUNSPECIFIED);
}

/* A result holds a value or an error, and tells which. */
void a_result_holds_a_value_or_an_error() {
    kolk::result<std::string> good = std::string("tea"), bad = kolk::error(KOLK_EIO, "no tea");
    CHECK(good && good.status() == 0 && !good.code());
    CHECK_TEXT(*good, "tea");
    CHECK_TEXT(good.value(), "tea");
    CHECK(!bad && bad.status() == KOLK_EIO && bad.code() == std::errc::io_error);
    CHECK_TEXT(bad.message(), "no tea");
    CHECK_TEXT(bad.error().message(), "no tea");
    CHECK_TEXT(std::move(bad).value_or("milk"), "milk");

    kolk::result<std::string> moved = std::move(good);
    CHECK_TEXT(*moved, "tea");
    moved = kolk::result<std::string>(kolk::error(KOLK_EPIPE));
    CHECK(moved.status() == KOLK_EPIPE);
    CHECK(kolk::result<void>::of_status(0) && kolk::result<void>::of_status(3));
    CHECK(kolk::result<void>::of_status(KOLK_EBUSY).status() == KOLK_EBUSY);
}

/* Durations become nanoseconds, never fewer, and never overflow. */
void durations_are_rounded_up_and_bounded() {
    CHECK(kolk::nanoseconds_of(2ms) == 2000000);
    CHECK(kolk::nanoseconds_of(std::chrono::duration<double>(1.5)) == 1500000000);
    CHECK(kolk::nanoseconds_of(std::chrono::duration<double, std::nano>(0.25)) == 1);
    CHECK(kolk::nanoseconds_of(std::chrono::hours::max()) == KOLK_NEVER);
    CHECK(kolk::nanoseconds_of(std::chrono::hours::min()) == -KOLK_NEVER);
    CHECK(kolk::nanoseconds_of(kolk::never) == KOLK_NEVER);
    CHECK(kolk::nanoseconds_of(-5ns) == -5);
}

} // namespace

int main() {
    return run_rules({
        RULE(a_status_is_an_error_code),
        RULE(codes_compare_equal_to_what_the_standard_library_calls_them),
        RULE(every_code_has_a_status),
        RULE(an_error_has_a_status_words_and_a_cause),
        RULE(no_error_counts_as_one_without_a_code),
        RULE(a_result_holds_a_value_or_an_error),
        RULE(durations_are_rounded_up_and_bounded),
    });
}
