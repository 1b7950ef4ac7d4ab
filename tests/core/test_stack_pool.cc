/* The stacks of fibers: sizes, guards, what is kept, what is given back, and what happens when the system has no more.
 *
 * What must not happen to this process (overflows, a system that refuses) happens to a child. */
#include "core/coroutine/stack_pool.hh"

#include <kolk/error.h>

#include <algorithm>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#ifdef KOLK_VALGRIND
#include <valgrind/valgrind.h>
#endif

extern "C" {
#include <cmocka.h>
}

using kolk::stack;
using kolk::stack_pool;

namespace {

constexpr size_t KiB = 1024;
constexpr size_t MiB = 1024 * KiB;
constexpr int advise_guard = 102; /* MADV_GUARD_INSTALL */
constexpr size_t smallest = stack_pool::minimum_size;

struct taken_stack {
    stack s;
    size_t size;
};

struct fixture {
    stack_pool *pool;
    std::vector<taken_stack> taken; /* given back at the end, also when a case fails */
    int pipe_ends[2];
    size_t page;
};

void make_pool(fixture &f, size_t cached_limit) {
    delete f.pool;
    f.pool = new stack_pool(cached_limit);
}

stack take(fixture &f, size_t size) {
    stack s = {};
    assert_int_equal(f.pool->acquire(size, s), 0);
    f.taken.push_back({s, size});
    return s;
}

void give_back_last(fixture &f) {
    auto last = f.taken.back();
    f.taken.pop_back();
    f.pool->release(last.s, last.size);
}

void give_back_all(fixture &f) {
    while (!f.taken.empty())
        give_back_last(f);
}

int set_up(void **state) {
    auto *f = new fixture();
    *state = f;
    f->page = size_t(sysconf(_SC_PAGESIZE));
    make_pool(*f, 4);
    return pipe2(f->pipe_ends, O_NONBLOCK | O_CLOEXEC);
}

int tear_down(void **state) {
    auto *f = static_cast<fixture *>(*state);
    give_back_all(*f);
    delete f->pool;
    close(f->pipe_ends[0]);
    close(f->pipe_ends[1]);
    delete f;
    return 0;
}

/* Asks the kernel, which answers instead of killing. Not through write(), which tools watch. */
bool is_readable(fixture &f, const char *byte) {
    char drained;
    long wrote = syscall(SYS_write, f.pipe_ends[1], byte, 1);
    return wrote == 1 && read(f.pipe_ends[0], &drained, 1) == 1;
}

bool is_mapped(fixture &f, char *byte) {
    unsigned char resident;
    auto page = reinterpret_cast<uintptr_t>(byte) & ~(f.page - 1);
    return mincore(reinterpret_cast<void *>(page), 1, &resident) == 0;
}

bool kernel_guards_pages() {
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    void *memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool guards = madvise(memory, page, advise_guard) == 0;
    munmap(memory, page);
    return guards;
}

/* Processor time, memory and addresses are those of the program only without a tool in between. */
bool is_measurable() {
#ifdef KOLK_FIBER_SANITIZED
    return false;
#elif defined(KOLK_VALGRIND)
    return !RUNNING_ON_VALGRIND;
#else
    return true;
#endif
}

/* The default is 64 KiB; where instrumented code needs more, it is more. All of it can be used, up to a little at the top. */
void default_stack_is_usable_throughout(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    stack s = take(f, 0);
    assert_true(s.high > s.low);
    size_t bytes = size_t(s.high - s.low);
    assert_in_range(bytes, stack_pool::default_size - f.page / 2, stack_pool::default_size);
    memset(s.low, 0x5a, bytes);
    assert_int_equal(s.high[-1], 0x5a);
}

/* Whoever asks for a size gets that, up to a little at the top, and never less than the minimum. */
void sizes_are_rounded_up(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    for (size_t size : {size_t(1), smallest - 1, smallest, smallest + 1, 100 * KiB, 3 * MiB}) {
        for (int i = 0; i < 20; i++) {
            stack s = take(f, size);
            assert_true(size_t(s.high - s.low) >= std::max(size, smallest) - f.page / 2);
            s.low[0] = s.high[-1] = 1;
        }
    }
}

/* The largest size is 1 GiB, of which only what is used costs memory; one byte more is refused, and leaves the result alone. */
void sizes_end_at_a_gigabyte(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    stack large = take(f, stack_pool::maximum_size);
    large.low[0] = large.high[-1] = 1;

    stack untouched = {};
    assert_int_equal(f.pool->acquire(stack_pool::maximum_size + 1, untouched), KOLK_ELIMIT);
    assert_int_equal(f.pool->acquire(SIZE_MAX, untouched), KOLK_ELIMIT);
    assert_null(untouched.low);
}

/* The one that came back last is the next to go: the cache still knows it. */
void last_in_is_first_out(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    stack a = take(f, 0), b = take(f, 0), c = take(f, 0);
    give_back_all(f); // c, b, a
    assert_ptr_equal(take(f, 0).high, a.high);
    assert_ptr_equal(take(f, 0).high, b.high);
    assert_ptr_equal(take(f, 0).high, c.high);
}

/* Different sizes do not mix. */
void each_size_has_its_own_stacks(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    stack small = take(f, smallest);
    give_back_last(f);
    stack other = take(f, 1 * MiB);
    assert_ptr_not_equal(other.high, small.high);
    assert_true(size_t(other.high - other.low) >= 1 * MiB - f.page / 2);
    assert_ptr_equal(take(f, smallest).low, small.low);
}

/* Stacks neither overlap nor touch: below each lies a page that cannot be read. */
void each_stack_has_a_guard_below(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    for (size_t size : {size_t(0), smallest, 1 * MiB})
        for (int i = 0; i < 50; i++) {
            stack s = take(f, size);
            assert_true(is_readable(f, s.low));
            assert_false(is_readable(f, s.low - 1));
            assert_false(is_readable(f, s.low - f.page));
        }
    std::sort(f.taken.begin(), f.taken.end(), [](auto &a, auto &b) { return a.s.low < b.s.low; });
    for (size_t i = 1; i < f.taken.size(); i++)
        assert_true(f.taken[i].s.low - f.taken[i - 1].s.high >= ptrdiff_t(f.page));
}

/* A guard stays when its stack has been used, given back and trimmed. */
void guards_outlive_their_users(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    make_pool(f, 0);
    stack s = take(f, 0);
    memset(s.low, 1, size_t(s.high - s.low));
    give_back_last(f);
    assert_ptr_equal(take(f, 0).low, s.low);
    assert_true(is_readable(f, s.low));
    assert_false(is_readable(f, s.low - 1));
}

/* Tops at the same offset of their pages would compete for the same lines of the cache. */
void tops_are_spread_over_the_page(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    bool seen[16] = {};
    int different = 0;
    for (int i = 0; i < 16; i++) {
        size_t offset = size_t(-reinterpret_cast<uintptr_t>(take(f, 0).high)) % f.page;
        assert_true(offset % 64 == 0 && offset < f.page / 2);
        different += !seen[offset / 64 % 16];
        seen[offset / 64 % 16] = true;
    }
    assert_int_equal(different, 16);
}

/* Free stacks keep their pages up to the limit; of more than that, those free the longest lose them. */
void pages_beyond_the_limit_are_given_back(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    make_pool(f, 2);
    for (int i = 0; i < 5; i++) {
        stack s = take(f, 0);
        s.low[0] = s.high[-1] = char('1' + i);
    }
    give_back_all(f); // 5 first, 1 last

    std::vector<int> found;
    for (int i = 0; i < 5; i++) {
        stack s = take(f, 0);
        assert_int_equal(s.low[0], s.high[-1]);
        found.push_back(s.low[0]);
    }
    const std::vector<int> expected = {'1', '2', 0, 0, 0};
    assert_true(found == expected);

    for (auto &t : f.taken) // there is room again, and those in use are left alone
        t.s.low[0] = 'x';
    give_back_last(f);
    take(f, 0);
    for (auto &t : f.taken)
        assert_int_equal(t.s.low[0], 'x');
}

/* Nothing stays mapped when the pool goes. */
void the_pool_takes_its_mappings_along(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    std::vector<char *> bytes;
    for (int i = 0; i < 100; i++)
        bytes.push_back(take(f, i % 2 ? 0 : smallest).low);
    give_back_all(f);
    for (char *byte : bytes)
        assert_true(is_mapped(f, byte));
    make_pool(f, 0);
    for (char *byte : bytes)
        assert_false(is_mapped(f, byte));
}

/* Fibers that are left at once, for the test of what they cost. */
struct parked {
    kolk::fiber place;
    kolk::fiber *main;
};

void park(void *argument) {
    auto &self = *static_cast<parked *>(argument);
    for (;;)
        kolk::switch_fiber(self.place, *self.main);
}

/* Pages and page tables of this process. */
size_t resident_bytes() {
    size_t kilobytes = 0, value;
    char line[200];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %zu", &value) == 1 || sscanf(line, "VmPTE: %zu", &value) == 1)
            kilobytes += value;
    if (file)
        fclose(file);
    return kilobytes * KiB;
}

/* A hundred thousand parked fibers, each guarded, cost little more than the one page that each stands on. Kernels that cannot
 * guard within a mapping stop earlier, with a clear answer. */
void hundred_thousand_parked_fibers_cost_a_page_each(void **state) {
    auto &f = *static_cast<fixture *>(*state);
    constexpr size_t many = 100000;
    kolk::fiber main;
    f.taken.reserve(many);
    memset(f.taken.data(), 0, many * sizeof f.taken[0]);
    size_t before = resident_bytes();
    int status = 0;
    while (f.taken.size() < many) {
        stack s = {};
        if ((status = f.pool->acquire(0, s)) != 0)
            break;
        f.taken.push_back({s, 0});
        if (!is_measurable())
            continue; // tools keep about a megabyte for each
        auto *p = ::new (s.high - sizeof(parked)) parked{{}, &main};
        kolk::prepare_fiber(p->place, s.low, reinterpret_cast<char *>(p), park, p);
        kolk::switch_fiber(main, p->place);
    }
    if (!kernel_guards_pages()) {
        assert_int_equal(status, KOLK_ELIMIT);
        return;
    }
    assert_int_equal(f.taken.size(), many);
    for (auto &t : f.taken)
        if (is_readable(f, t.s.low - 1))
            fail_msg("the stack at %p has no guard", static_cast<void *>(t.s.low));
    if (is_measurable())
        assert_in_range((resident_bytes() - before) / many, f.page, f.page + 154);
}

/* ---- What children do. ---- */

enum outcome { hit_guard = 42, damaged_neighbour = 43, missed_guard = 44, unexpected = 45 };

struct victim {
    stack_pool pool{4};
    stack neighbours[7], used; /* `used` lies above the others, which must stay as they are */
    kolk::fiber main, fiber;
};

victim *current;

/* On a stack of its own. Where the fault is decides. */
void judge_fault(int, siginfo_t *info, void *) {
    victim &v = *current;
    for (auto &neighbour : v.neighbours)
        for (char *byte = neighbour.low; byte < neighbour.high; byte++)
            if (*byte != 0x11)
                _exit(damaged_neighbour);
    auto *at = static_cast<char *>(info->si_addr);
    _exit(v.neighbours[6].high <= at && at < v.used.low ? hit_guard : missed_guard);
}

void enter_above_neighbours(void (*body)(void *)) {
    victim &v = *(current = new victim());
    stack all[8];
    for (auto &s : all) {
        if (v.pool.acquire(smallest, s) != 0)
            _exit(unexpected);
        memset(s.low, 0x11, size_t(s.high - s.low));
    }
    std::sort(all, all + 8, [](auto &a, auto &b) { return a.low < b.low; });
    std::copy(all, all + 7, v.neighbours);
    v.used = all[7];

    stack_t alternate = {};
    alternate.ss_size = 256 * KiB;
    alternate.ss_sp = malloc(alternate.ss_size);
    struct sigaction action = {};
    action.sa_sigaction = judge_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    if (!alternate.ss_sp || sigaltstack(&alternate, nullptr) != 0 || sigaction(SIGSEGV, &action, nullptr) != 0)
        _exit(unexpected);
    kolk::prepare_fiber(v.fiber, v.used.low, v.used.high, body, nullptr);
    kolk::switch_fiber(v.main, v.fiber);
    _exit(unexpected);
}

/* The exit status of a child that runs `what`; its complaints go nowhere, because they are expected. */
int run_in_child(void (*what)()) {
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        what();
        _exit(unexpected);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* AddressSanitizer may insist on handling faults itself; then it has seen the overflow, says so and exits with 1. */
void assert_hit_guard(int status) {
    assert_true(WIFEXITED(status));
#ifdef KOLK_FIBER_ASAN
    if (WEXITSTATUS(status) == 1)
        return;
#endif
    assert_int_equal(WEXITSTATUS(status), hit_guard);
}

[[gnu::noinline]] int recurse(volatile char *above) {
    volatile char frame[500];
    frame[0] = above ? above[0] : 1;
    return frame[0] ? recurse(frame) + frame[0] : 0;
}

/* Recursion without end reaches the guard, and nothing beyond it. */
void endless_recursion_hits_the_guard(void **) {
    assert_hit_guard(
        run_in_child([] { enter_above_neighbours([](void *) { _exit(recurse(nullptr) ? missed_guard : unexpected); }); }));
}

volatile size_t far_end = 0;

[[gnu::noinline]] int use_large_frame() {
    volatile char frame[100 * KiB];
    frame[far_end] = 1;
    return frame[far_end];
}

/* A frame that would reach into a neighbour does not step over the guard, because the compiler touches it page by page. */
void large_frame_does_not_step_over_the_guard(void **) {
    assert_hit_guard(
        run_in_child([] { enter_above_neighbours([](void *) { _exit(use_large_frame() ? missed_guard : unexpected); }); }));
}

/* From now on, calls of this number fail with this error if an argument has one of these bits (BPF_JSET) or is this value
 * (BPF_JEQ). */
void make_fail(long number, int argument, uint16_t test, uint32_t operand, int error) {
    auto low_half = uint32_t(offsetof(seccomp_data, args) + sizeof(uint64_t) * size_t(argument)); // little endian
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, uint32_t(number), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_half),
        BPF_JUMP(uint16_t(BPF_JMP | test | BPF_K), operand, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | uint32_t(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(unexpected);
}

/* Without memory for a slab: KOLK_ENOMEM, and the result is left alone. What was mapped before still serves. */
void failing_mmap_means_enomem(void **) {
    int status = run_in_child([] {
        stack_pool pool(4);
        stack first = {}, other = {};
        if (pool.acquire(0, first) != 0)
            _exit(1);
        make_fail(SYS_mmap, 3, BPF_JSET, MAP_STACK, ENOMEM);
        if (pool.acquire(smallest, other) != KOLK_ENOMEM || other.low)
            _exit(2);
        if (pool.acquire(smallest, other) != KOLK_ENOMEM)
            _exit(3);
        pool.release(first, 0);
        if (pool.acquire(0, other) != 0 || other.high != first.high)
            _exit(4);
        pool.release(other, 0);
        _exit(0);
    });
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Without memory for the pool's own notes it is the same. */
void failing_bookkeeping_means_enomem(void **) {
    int status = run_in_child([] {
        stack_pool pool(4);
        stack s = {};
        make_fail(SYS_mmap, 1, BPF_JEQ, 4 * KiB, ENOMEM); // the size of the first notes
        _exit(pool.acquire(0, s) == KOLK_ENOMEM && !s.low ? 0 : 1);
    });
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* On a kernel that cannot guard within a mapping, overflows hit a guard all the same. */
void older_kernels_guard_by_mapping(void **) {
    assert_hit_guard(run_in_child([] {
        make_fail(SYS_madvise, 2, BPF_JEQ, advise_guard, EINVAL);
        enter_above_neighbours([](void *) { _exit(recurse(nullptr) ? missed_guard : unexpected); });
    }));
}

/* There, guards end at a quarter of the mappings that a process may have: the pool says so, while others can still map. What
 * was handed out can be used again. */
void older_kernels_limit_the_guards(void **) {
    int status = run_in_child([] {
        make_fail(SYS_madvise, 2, BPF_JEQ, advise_guard, EINVAL);
        size_t allowed = 65530;
        if (FILE *file = fopen("/proc/sys/vm/max_map_count", "r")) {
            if (fscanf(file, "%zu", &allowed) != 1)
                _exit(unexpected);
            fclose(file);
        }
        stack_pool pool(4);
        stack s = {}, last = {};
        size_t count = 0;
        int failed;
        for (; (failed = pool.acquire(smallest, s)) == 0; count++)
            last = s;
        if (failed != KOLK_ELIMIT)
            _exit(1);
        if (count != allowed / 8)
            _exit(2);
        pool.release(last, smallest);
        if (pool.acquire(smallest, s) != 0 || s.high != last.high)
            _exit(3);
        void *other = mmap(nullptr, 4 * KiB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        _exit(other == MAP_FAILED ? 4 : 0);
    });
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(default_stack_is_usable_throughout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_are_rounded_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_end_at_a_gigabyte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_in_is_first_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_size_has_its_own_stacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_stack_has_a_guard_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guards_outlive_their_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tops_are_spread_over_the_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_beyond_the_limit_are_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_pool_takes_its_mappings_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hundred_thousand_parked_fibers_cost_a_page_each, set_up, tear_down),
        cmocka_unit_test(endless_recursion_hits_the_guard),
        cmocka_unit_test(large_frame_does_not_step_over_the_guard),
        cmocka_unit_test(failing_mmap_means_enomem),
        cmocka_unit_test(failing_bookkeeping_means_enomem),
        cmocka_unit_test(older_kernels_guard_by_mapping),
        cmocka_unit_test(older_kernels_limit_the_guards),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
