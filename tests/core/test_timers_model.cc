/* The timer wheel against the simplest thing that could be right: a list sorted by deadline, then by start.
 *
 * Thousands of short random histories, each from a seed of its own: timers are started, moved and stopped, and time passes, in
 * steps from a nanosecond to a day. After every step that lets time pass the wheel must have let go of the same timers in the
 * same order, and know the same next deadline. A history that disagrees is printed as its seed: `test_timers_model SEED` runs
 * that one alone and prints each step. */
#include "core/loop/timer_wheel.hh"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include <cmocka.h>
}

using kolk::ready_item;
using kolk::ready_queue;
using kolk::timer_node;
using kolk::timer_wheel;

namespace {

constexpr int timers = 40, steps = 300, histories = 20000;

bool talkative;

struct numbered : timer_node {
    numbered() noexcept : timer_node([](ready_item &, bool) noexcept {}) {}
};

struct running {
    int64_t when;
    int id;
};

/* What is running, in the order in which it must become due. */
struct sorted_list {
    running items[timers];
    int length = 0;

    bool remove(int id) noexcept {
        for (int i = 0; i < length; i++)
            if (items[i].id == id) {
                memmove(&items[i], &items[i + 1], size_t(--length - i) * sizeof *items);
                return true;
            }
        return false;
    }

    void start(int id, int64_t when) noexcept {
        remove(id);
        int at = length;
        while (at > 0 && items[at - 1].when > when)
            at--;
        memmove(&items[at + 1], &items[at], size_t(length++ - at) * sizeof *items);
        items[at] = {when, id};
    }

    [[nodiscard]] int64_t next_deadline() const noexcept { return length ? items[0].when : INT64_MAX; }
};

struct history {
    uint64_t random;
    int64_t now;
    numbered nodes[timers];
    timer_wheel wheel;
    sorted_list model;

    explicit history(uint64_t seed) noexcept : random(seed * 0x9e3779b97f4a7c15 + 1) {
        now = draw(3) ? distance() : 0; /* clocks begin anywhere */
    }

    uint64_t draw(uint64_t below) noexcept {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return (random >> 11) % below;
    }

    /* Each magnitude about as often, up to a day and a bit, so that every level of the wheel is used. */
    int64_t distance() noexcept { return int64_t(draw(uint64_t(1) << draw(47))); }

    int64_t deadline() noexcept {
        switch (draw(8)) {
        case 0:
            return model.length ? model.items[draw(uint64_t(model.length))].when : now; /* the same as another one */
        case 1:
            return now - distance(); /* passed already */
        case 2:
            return draw(4) ? now + distance() * 1000 : INT64_MAX - 1; /* years; never */
        default:
            return now + distance();
        }
    }

    void start() noexcept {
        int id = int(draw(timers));
        int64_t when = deadline();
        if (talkative)
            printf("start %d at %lld\n", id, (long long)when);
        if (wheel.empty())
            wheel.begin_at(now); /* as the loop does */
        wheel.start(nodes[id], when);
        model.start(id, when);
    }

    bool stop() noexcept {
        int id = int(draw(timers));
        if (talkative)
            printf("stop %d\n", id);
        if (nodes[id].waiting() != model.remove(id))
            return false;
        if (nodes[id].waiting())
            wheel.stop(nodes[id]);
        return !nodes[id].waiting();
    }

    /* By chance, or to exactly the next deadline, or to the moment before it. Not all that is due need be taken. */
    bool pass() noexcept {
        int64_t next = model.next_deadline(), then = now + distance();
        if (draw(2) && next > now && next < INT64_MAX - 1)
            then = next - int64_t(draw(2));
        now = then > now ? then : now;
        if (talkative)
            printf("now %lld\n", (long long)now);
        ready_queue due;
        uint32_t most = draw(2) ? UINT32_MAX : uint32_t(draw(4));
        bool more = false;
        if (most == UINT32_MAX)
            wheel.expire(now, due);
        else
            more = wheel.expire_some(now, due, most);
        bool right = true;
        for (; most > 0 && model.length && model.items[0].when <= now; most--) {
            ready_item *fired = due.pop_front();
            right = right && fired == &nodes[model.items[0].id] && !nodes[model.items[0].id].waiting();
            model.remove(model.items[0].id);
        }
        right = right && due.empty() && more == (model.length && model.items[0].when <= now);
        while (due.pop_front())
            continue;
        return right;
    }

    [[nodiscard]] bool agrees() noexcept {
        return wheel.empty() == (model.length == 0) && wheel.next_deadline() == model.next_deadline();
    }

    /* The step that disagrees; `steps` when none does. */
    int run() noexcept {
        for (int step = 0; step < steps; step++) {
            uint64_t what = draw(10);
            bool right = true;
            if (what < 5)
                start();
            else if (what < 7)
                right = stop();
            else
                right = pass();
            if (!right || (draw(2) && !agrees()))
                return step;
        }
        return steps;
    }
};

int run_history(uint64_t seed) noexcept {
    history one(seed);
    return one.run();
}

void any_history_agrees_with_a_sorted_list(void **) {
    for (uint64_t seed = 1; seed <= histories; seed++) {
        int step = run_history(seed);
        if (step < steps)
            fail_msg("seed %llu disagrees at step %d of %d", (unsigned long long)seed, step, steps);
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc > 1) {
        talkative = true;
        int step = run_history(strtoull(argv[1], nullptr, 0));
        printf("%s at step %d\n", step < steps ? "disagrees" : "agrees to the end,", step);
        return step < steps;
    }
    const CMUnitTest tests[] = {
        cmocka_unit_test(any_history_agrees_with_a_sorted_list),
    };
    return cmocka_run_group_tests_name("timers against a model", tests, nullptr, nullptr);
}
