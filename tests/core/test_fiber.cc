/* Fibers: what a switch keeps, and what it keeps apart. Compiled with exceptions, which the library itself is not.
 *
 * Fibers here only record; everything is compared on the main stack, because a failed assertion leaves by longjmp. */
#include "core/coroutine/fiber.hh"

#include <exception>
#include <execinfo.h>
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdexcept>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <string>
#include <sys/mman.h>

extern "C" {
#include <cmocka.h>
}

using kolk::fiber;

namespace {

constexpr size_t stack_bytes = size_t(256) << 10;

struct fixture;

/* One fiber of the fixture: runs its body once and comes back to where it was first resumed from. */
struct runner {
    fiber place;
    fixture *home;
    void (*body)(runner &);
    char *low;
    bool ended;
    bool prepared;
    double number;
    std::string text;
};

struct fixture {
    fiber main;
    fiber *resumed_from; /* where a runner goes when it pauses */
    runner runners[3];
    std::string record;
};

void run_body(void *argument) {
    auto &self = *static_cast<runner *>(argument);
    self.body(self);
    self.ended = true;
    kolk::leave_fiber(self.place, *self.home->resumed_from);
}

runner &start(fixture &f, int index, void (*body)(runner &)) {
    auto &r = f.runners[index];
    r.body = body;
    r.ended = false;
    r.prepared = true;
    kolk::prepare_fiber(r.place, r.low, r.low + stack_bytes, run_body, &r);
    return r;
}

/* From the main stack. */
void resume(runner &r) {
    r.home->resumed_from = &r.home->main;
    kolk::switch_fiber(r.home->main, r.place);
}

/* From within a runner. */
void pause(runner &r) { kolk::switch_fiber(r.place, *r.home->resumed_from); }

void forget(runner &r) {
    kolk::forget_fiber(r.place);
    r.prepared = false;
}

int set_up(void **state) {
    auto *f = new fixture();
    *state = f;
    for (auto &r : f->runners) {
        void *memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return -1;
        r.low = static_cast<char *>(memory);
        r.home = f;
    }
    return 0;
}

int tear_down(void **state) {
    auto *f = static_cast<fixture *>(*state);
    for (auto &r : f->runners) {
        if (r.prepared)
            forget(r);
        munmap(r.low, stack_bytes);
    }
    delete f;
    return 0;
}

/* Preparing runs nothing; the first switch enters the function with its argument, on the fiber's own stack. */
void first_switch_enters_with_argument(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &r = start(f, 0, [](runner &self) {
        char here;
        self.home->record += self.low <= &here && &here < self.low + stack_bytes ? "own stack" : "elsewhere";
    });
    assert_string_equal(f.record.c_str(), "");

    resume(r);
#ifndef KOLK_FIBER_ASAN // there variables may live on the heap, so that their use after return is seen
    assert_string_equal(f.record.c_str(), "own stack");
#endif
    assert_true(r.ended);
}

/* The stack starts as the calling convention wants it: code that stores whole vectors relies on its alignment. */
void first_frame_is_aligned(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &r = start(f, 0, [](runner &self) {
        alignas(16) volatile char vector[16] = {};
        self.number = double(reinterpret_cast<uintptr_t>(&vector) % 16) + vector[0];
    });
    resume(r);
    assert_true(r.number == 0);
}

/* Each continues where it was left. */
void fibers_take_turns(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto count = [](runner &self) {
        for (const char *number : {"1", "2", "3"}) {
            self.home->record += self.text + number + " ";
            pause(self);
        }
    };
    for (int i = 0; i < 2; i++)
        start(f, i, count).text = i ? "b" : "a";

    while (!f.runners[0].ended || !f.runners[1].ended)
        for (int i = 0; i < 2; i++)
            resume(f.runners[i]);
    assert_string_equal(f.record.c_str(), "a1 b1 a2 b2 a3 b3 ");
}

/* A fiber may switch to another directly, and that one back to the main stack. */
void fibers_switch_among_themselves(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &a = start(f, 0, [](runner &self) {
        self.home->record += "a ";
        kolk::switch_fiber(self.place, self.home->runners[1].place);
        self.home->record += "a again ";
    });
    start(f, 1, [](runner &self) {
        self.home->record += "b ";
        pause(self);
    });
    resume(a);
    f.record += "main ";
    resume(a);
    assert_string_equal(f.record.c_str(), "a b main a again ");
}

/* More values than there are registers a callee must keep, all alive across switches. */
[[gnu::noinline]] double keep_values(double seed, runner &self) {
    double d[12];
    uint64_t u[12];
    for (int i = 0; i < 12; i++) {
        d[i] = seed + i * 0.5;
        u[i] = uint64_t(seed * 1000) + uint64_t(i);
    }
    double d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5], d6 = d[6], d7 = d[7], d8 = d[8];
    uint64_t u0 = u[0], u1 = u[1], u2 = u[2], u3 = u[3], u4 = u[4], u5 = u[5], u6 = u[6], u7 = u[7], u8 = u[8], u9 = u[9];
    double sum = 0;
    for (int round = 0; round < 100; round++) {
        pause(self);
        sum += d0 + d1 * 2 + d2 * 3 + d3 * 4 + d4 * 5 + d5 * 6 + d6 * 7 + d7 * 8 + d8 * 9;
        sum += double(u0 ^ (u1 << 1) ^ (u2 << 2) ^ (u3 << 3) ^ (u4 << 4) ^ (u5 << 5) ^ (u6 << 6) ^ (u7 << 7) ^ (u8 << 8) ^ u9);
        d0 += 1, d1 += 1, d2 += 1, d3 += 1, d4 += 1, d5 += 1, d6 += 1, d7 += 1, d8 += 1;
        u0 += 1, u1 += 1, u2 += 1, u3 += 1, u4 += 1, u5 += 1, u6 += 1, u7 += 1, u8 += 1, u9 += 1;
    }
    return sum;
}

/* Local values survive, whether they live in integer or in floating-point registers: fibers that compute in turns get what
 * each gets when it computes alone. */
void values_in_registers_survive(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto compute = [](runner &self) { self.number = keep_values(self.number, self); };
    double alone[3];
    for (int i = 0; i < 3; i++) {
        auto &r = start(f, i, compute);
        r.number = 1.5 * i;
        while (!r.ended)
            resume(r);
        alone[i] = r.number;
        forget(r);
    }
    for (int i = 0; i < 3; i++)
        start(f, i, compute).number = 1.5 * i;
    while (!f.runners[2].ended)
        for (auto &r : f.runners)
            resume(r);
    for (int i = 0; i < 3; i++)
        assert_true(f.runners[i].number == alone[i]);
    assert_true(alone[0] != alone[1]);
}

/* A conversion and not a sum, because valgrind rounds sums to nearest whatever the mode. */
[[gnu::noinline]] bool rounds_up() {
    volatile double just_above_one = 1.0000000001;
    volatile float narrowed = float(just_above_one);
    return narrowed > 1;
}

/* A rounding mode set in one fiber is not seen by others, and is found again. */
void rounding_mode_stays_with_its_fiber(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &up = start(f, 0, [](runner &self) {
        fesetround(FE_UPWARD);
        pause(self);
        self.home->record += rounds_up() && fegetround() == FE_UPWARD ? "up " : "lost ";
    });
    auto &plain = start(
        f, 1, [](runner &self) { self.home->record += rounds_up() || fegetround() != FE_TONEAREST ? "leaked " : "nearest "; });
    resume(up);
    int on_main = fegetround();
    bool main_rounds_up = rounds_up();
    resume(plain);
    resume(up);

    assert_int_equal(on_main, FE_TONEAREST);
    assert_false(main_rounds_up);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_string_equal(f.record.c_str(), "nearest up ");
}

/* A new fiber rounds as whoever made it, as a new thread does. */
void rounding_mode_is_inherited(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    fesetround(FE_UPWARD);
    auto &r = start(f, 0, [](runner &self) { self.home->record += rounds_up() ? "up" : "nearest"; });
    fesetround(FE_TONEAREST);
    resume(r);
    assert_string_equal(f.record.c_str(), "up");
}

/* Two fibers that pause while they handle an exception each find their own again. */
void exceptions_being_handled_stay_apart(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto body = [](runner &self) {
        try {
            throw std::runtime_error(self.text);
        } catch (const std::exception &) {
            pause(self);
            try {
                throw; // whatever the runtime believes is being handled
            } catch (const std::exception &again) {
                self.home->record += again.what();
                self.home->record += ' ';
            }
        }
        self.home->record += std::current_exception() ? "left over " : "none ";
    };
    start(f, 0, body).text = "tea";
    start(f, 1, body).text = "milk";
    resume(f.runners[0]);
    resume(f.runners[1]);
    assert_true(std::current_exception() == nullptr);
    resume(f.runners[0]);
    resume(f.runners[1]);
    assert_string_equal(f.record.c_str(), "tea none milk none ");
}

struct pauses_when_destroyed {
    runner &self;
    ~pauses_when_destroyed() {
        pause(self);
        self.home->record += std::to_string(std::uncaught_exceptions());
    }
};

/* A fiber that pauses in a destructor during unwinding: the others are not unwinding, and it still is when it continues. */
void unwinding_stays_with_its_fiber(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &unwinding = start(f, 0, [](runner &self) {
        try {
            pauses_when_destroyed pauses{self};
            throw std::runtime_error("tea");
        } catch (const std::exception &e) {
            self.home->record += e.what();
        }
        self.home->record += std::to_string(std::uncaught_exceptions());
    });
    auto &plain = start(f, 1, [](runner &self) { self.home->record += std::to_string(std::uncaught_exceptions()); });

    resume(unwinding);
    int on_main = std::uncaught_exceptions();
    resume(plain);
    resume(unwinding);
    assert_int_equal(on_main, 0);
    assert_string_equal(f.record.c_str(), "01tea0");
}

/* A fiber that is first entered while another handles an exception knows nothing of that one. */
void new_fiber_handles_no_exception(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    start(f, 0, [](runner &self) { self.home->record += std::current_exception() ? "inherited" : "none"; });
    try {
        throw std::runtime_error("tea");
    } catch (const std::exception &e) {
        resume(f.runners[0]);
        f.record += std::current_exception() ? " mine" : " lost";
    }
    assert_string_equal(f.record.c_str(), "none mine");
}

/* Fills a few arrays on its stack, so that tools which watch them have something to watch. */
[[gnu::noinline]] int use_stack(int depth) {
    volatile char bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = char(depth);
    return depth == 0 ? bytes[0] : use_stack(depth - 1) + bytes[599];
}

/* With one array too large for any tool to move it off the stack. */
[[gnu::noinline]] void leave_with_large_frame(runner &self) {
    volatile char bytes[80000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = char(i);
    self.home->record += 'x';
    if (!self.ended)
        kolk::leave_fiber(self.place, *self.home->resumed_from);
}

/* Leaves from deep inside, with all those frames still open. */
[[gnu::noinline]] int leave_from_below(runner &self, int depth) {
    volatile char bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = char(depth);
    if (depth > 0)
        return leave_from_below(self, depth - 1) + bytes[0];
    leave_with_large_frame(self);
    return bytes[0];
}

/* The memory of a fiber that ended, wherever it stood, serves the next one. */
void memory_serves_again(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    for (int i = 0; i < 10; i++) {
        auto &left = start(f, 0, [](runner &self) { leave_from_below(self, 20); });
        resume(left);
        forget(left);
        auto &ended = start(f, 0, [](runner &self) { self.number = use_stack(30); });
        resume(ended);
        assert_true(ended.ended);
        forget(ended);
        memset(ended.low, 0, stack_bytes);
    }
    assert_string_equal(f.record.c_str(), "xxxxxxxxxx");
}

size_t address_space() {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * 4096;
}

/* What tools keep for a fiber goes with it. */
void ended_fibers_leave_nothing_behind(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    size_t before = 0;
    for (int i = 0; i < 120; i++) {
        if (i == 20)
            before = address_space();
        auto &r = start(f, 0, [](runner &self) { self.number = use_stack(10); });
        resume(r);
        forget(r);
    }
    assert_true(address_space() <= before + (size_t(16) << 20));
}

/* One that never started can be forgotten too. */
void unstarted_fiber_can_be_forgotten(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto unexpected = [](runner &self) { self.home->record += "ran"; };
    forget(start(f, 0, unexpected));
    resume(start(f, 0, [](runner &self) { self.home->record += "second"; }));
    assert_string_equal(f.record.c_str(), "second");
}

/* Debuggers, profilers and the unwinder find the end of the stack, and not beyond it. */
void backtraces_end_where_the_fiber_began(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &r = start(f, 0, [](runner &self) {
        void *frames[64];
        self.number = backtrace(frames, 64);
    });
    resume(r);
    assert_true(2 <= r.number && r.number <= 12);
}

/* A hundred thousand switches between two, from the same places: nothing adds up. */
void switching_does_not_wear_out(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    auto &r = start(f, 0, [](runner &self) {
        for (int i = 0; i < 100000; i++) {
            self.number++;
            pause(self);
        }
    });
    while (!r.ended)
        resume(r);
    assert_true(r.number == 100000);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_switch_enters_with_argument, set_up, tear_down),
        cmocka_unit_test_setup_teardown(first_frame_is_aligned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fibers_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fibers_switch_among_themselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_in_registers_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rounding_mode_stays_with_its_fiber, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rounding_mode_is_inherited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exceptions_being_handled_stay_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unwinding_stays_with_its_fiber, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_fiber_handles_no_exception, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_serves_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ended_fibers_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unstarted_fiber_can_be_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(backtraces_end_where_the_fiber_began, set_up, tear_down),
        cmocka_unit_test_setup_teardown(switching_does_not_wear_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
