/* cpp/tasks: what C++20 coroutines cost. Modes and figures as in ../tasks.c; in mode=call coroutines await each other. */
extern "C" {
#include "../bench.h"
}

#include <kolk/kolk.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

struct measurement {
    long n, window, tasks, depth;
};

using mode = kolk::task<long> (*)(const measurement &self, long n);

template <class T>
auto array_of(long count) {
    return std::make_unique<T[]>(size_t(count));
}

[[noreturn]] void missing(const char *what) {
    std::fprintf(stderr, "%s is missing\n", what);
    std::exit(2);
}

kolk::task<int> return_at_once() { co_return 1; }

kolk::task<long> measure_spawn(const measurement &self, long n) {
    auto tasks = array_of<kolk::task_handle<int>>(self.window);
    long done = 0;
    for (; done < n; done += self.window) {
        for (long i = 0; i < self.window; i++)
            tasks[i] = kolk::spawn(return_at_once());
        for (long i = 0; i < self.window; i++)
            if (co_await std::move(tasks[i]) != 1)
                missing("mode=spawn: a task");
    }
    co_return done;
}

kolk::task<void> yield_often(long often) {
    for (; often > 0; often--)
        co_await kolk::yield_now();
}

kolk::task<long> measure_yield(const measurement &self, long n) {
    long each = n / self.tasks + 1;
    auto tasks = array_of<kolk::task_handle<void>>(self.tasks);
    for (long i = 0; i < self.tasks; i++)
        tasks[i] = kolk::spawn(yield_often(each));
    for (long i = 0; i < self.tasks; i++)
        co_await std::move(tasks[i]);
    co_return each *self.tasks;
}

kolk::task<long> measure_ready(const measurement &, long n) {
    auto future = kolk::future<long>::make();
    bench_check(future.set_result(1), "set_result");
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += co_await future;
    co_return sum;
}

kolk::task<long> call_deeper(long depth) {
    if (depth == 0) {
        co_await kolk::yield_now();
        co_return 1;
    }
    co_return co_await call_deeper(depth - 1) + 1;
}

kolk::task<long> measure_call(const measurement &self, long n) {
    long done = 0;
    for (; done < n; done += self.depth)
        if (co_await kolk::spawn(call_deeper(self.depth)) != self.depth + 1)
            missing("mode=call: a level");
    co_return done;
}

kolk::task<long> add_to_the_one_before(const kolk::task_handle<long> *before) {
    // Not a conditional expression: gcc 12 awaits in both branches of one.
    if (!before)
        co_return 1;
    co_return co_await *before + 1;
}

kolk::task<long> measure_chain(const measurement &self, long n) {
    auto tasks = array_of<kolk::task_handle<long>>(self.depth);
    long done = 0;
    for (; done < n; done += self.depth) {
        for (long i = 0; i < self.depth; i++)
            tasks[i] = kolk::spawn(add_to_the_one_before(i == 0 ? nullptr : &tasks[i - 1]));
        if (co_await tasks[self.depth - 1] != self.depth)
            missing("mode=chain: a link");
    }
    co_return done;
}

kolk::task<void> wait_at_gate(const kolk::future<void> &gate) { co_await gate; }

kolk::task<long> measure_parked(const measurement &, long n) {
    auto gate = kolk::future<void>::make();
    auto tasks = array_of<kolk::task_handle<void>>(n);
    long before = bench_resident();
    for (long i = 0; i < n; i++) {
        tasks[i] = kolk::spawn(wait_at_gate(gate));
        co_await kolk::yield_now();
    }
    bench_report("rss_b", double(bench_resident() - before) / double(n));
    bench_check(gate.set_result(), "set_result");
    for (long i = 0; i < n; i++)
        co_await std::move(tasks[i]);
    co_return n;
}

kolk::task<void> measure(mode run, const measurement &self) {
    // A short pass first, so that pools are filled and code is in the caches. Parked tasks are to be counted cold.
    if (run != measure_parked)
        co_await run(self, self.n < 2000 ? self.n : 2000);
    uint64_t start = bench_now();
    long done = co_await run(self, self.n);
    bench_report("ns_per_op", double(bench_now() - start) / double(done));
}

} // namespace

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        mode run;
    } modes[] = {{"spawn", measure_spawn}, {"yield", measure_yield}, {"ready", measure_ready},
                 {"call", measure_call},   {"chain", measure_chain}, {"parked", measure_parked}};
    const char *name = bench_text(argc, argv, "mode", "spawn");
    const measurement asked = {
        .n = bench_number(argc, argv, "n", 1000, 1),
        .window = bench_number(argc, argv, "window", 1, 1),
        .tasks = bench_number(argc, argv, "k", 2, 1),
        .depth = bench_number(argc, argv, "depth", 1000, 1),
    };
    mode run = nullptr;
    for (const auto &each : modes)
        if (std::strcmp(name, each.name) == 0)
            run = each.run;
    if (!run) {
        std::fprintf(stderr, "mode=%s: spawn, yield, ready, call, chain or parked is needed\n", name);
        return 2;
    }
    bench_raise_descriptor_limit();
    bench_check(kolk::run(kolk::nothrow(measure(run, asked))).status(), "kolk::run");
    return 0;
}
