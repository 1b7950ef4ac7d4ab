/* Rules of Qt as a host that the suite for all hosts cannot say: dialogs, parents, threads, and who goes first. */
extern "C" {
#include "support/resources.h"
}

#include <kolk/kolk.h>
#include <kolk/qt.h>

#include <QtCore/QElapsedTimer>
#include <QtCore/QEventLoop>
#include <QtCore/QThread>
#include <QtCore/QTimer>
#include <QtWidgets/QApplication>
#include <QtWidgets/QDialog>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

// Last, because of its macros.
extern "C" {
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
}

/* How often the C++ heap was asked, which is how Qt makes its objects. */
static std::atomic<long> allocations{0};

[[gnu::noinline]] void *operator new(size_t size) {
    allocations++;
    void *memory = std::malloc(size > 0 ? size : 1);
    if (!memory)
        std::abort();
    return memory;
}
void *operator new(size_t size, const std::nothrow_t &) noexcept { return operator new(size); }
[[gnu::noinline]] void operator delete(void *memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void *memory, size_t) noexcept { std::free(memory); }

namespace {

constexpr int64_t ms = 1000000;

int argument_count = 1;
char program_name[] = "test_qt";
char *arguments[] = {program_name, nullptr};

/* A loop and, when the rule wants one, an application. Assertions leave by longjmp: what has a destructor lives in here. */
struct fixture {
    uint32_t way = KOLK_GUEST_ANY;
    QApplication *application = nullptr;
    QObject *parent = nullptr;
    kolk_loop *loop = nullptr;
    kolk_guest *guest = nullptr;
    std::string record;
    int fds = open_fds();
};

struct rule {
    const char *name;
    void (*check)(fixture &f);
};

/* ------ helpers ------ */

kolk_loop *new_loop(uint32_t way) {
    kolk_loop_options options = {};
    options.size = sizeof options;
    if (way == KOLK_GUEST_REACTOR)
        options.reactor_ops = kolk_host_reactor();
    kolk_loop *loop = nullptr;
    assert_int_equal(kolk_loop_new(&options, &loop, nullptr), 0);
    return loop;
}

int attach(fixture &f, QObject *parent, uint32_t max_items = 0) {
    kolk_guest_options options = {};
    options.size = sizeof options;
    options.way = f.way;
    options.max_items = max_items;
    return kolk_qt_attach(f.loop, parent, &options, &f.guest, nullptr);
}

void open_fixture(fixture &f) {
    f.application = new QApplication(argument_count, arguments);
    QApplication::setQuitOnLastWindowClosed(false); // or each dialog would end the host's loop
    f.parent = new QObject;
    f.loop = new_loop(f.way);
    assert_int_equal(attach(f, f.parent), 0);
}

void close_fixture(fixture &f) {
    kolk_guest_detach(f.guest);
    f.guest = kolk_guest_unref(f.guest);
    kolk_loop_close(f.loop);
    f.loop = kolk_loop_unref(f.loop);
    delete f.parent;
    f.parent = nullptr;
    delete f.application;
    f.application = nullptr;
}

void say(fixture &f, const char *word) { f.record += (f.record.empty() ? "" : " ") + std::string(word); }

/* Runs the host for so long. */
void run_host(int64_t delay_ms) {
    QTimer::singleShot(static_cast<int>(delay_ms), Qt::PreciseTimer, qApp, [] { QCoreApplication::quit(); });
    QCoreApplication::exec();
}

/* Runs the host until a word was said, for five seconds at most. */
void run_host_until(fixture &f, const char *text) {
    QTimer often;
    int left = 5000;
    QObject::connect(&often, &QTimer::timeout, qApp, [&] {
        if (strstr(f.record.c_str(), text) || --left == 0)
            QCoreApplication::quit();
    });
    often.start(1);
    QCoreApplication::exec();
}

struct word {
    fixture *f;
    const char *text;
};

void say_word(void *userdata) {
    auto *self = static_cast<word *>(userdata);
    say(*self->f, self->text);
}

void delete_word(void *userdata) { delete static_cast<word *>(userdata); }

void say_later(fixture &f, int64_t delay_ms, const char *text) {
    assert_int_equal(kolk_loop_call_later(f.loop, delay_ms * ms, say_word, new word{&f, text}, delete_word, nullptr), 0);
}

void say_from_thread(fixture &f, const char *text) {
    std::thread([&f, text] {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        kolk_loop_call_soon_threadsafe(f.loop, say_word, new word{&f, text}, delete_word);
    }).join();
}

/* ------ who goes first ------ */

/* A stay ends with the parent; the loop goes on, and may live with another. */
void parent_deleted_first_ends_the_stay(fixture &f) {
    say_later(f, 1, "later");
    delete f.parent;
    f.parent = nullptr;
    assert_int_equal(kolk_guest_turn(f.guest), KOLK_ECLOSED);
    assert_int_equal(kolk_guest_detach(f.guest), 0);
    run_host(20);
    assert_string_equal(f.record.c_str(), "");

    f.guest = kolk_guest_unref(f.guest);
    assert_int_equal(attach(f, nullptr), 0);
    run_host_until(f, "later");
    assert_string_equal(f.record.c_str(), "later");
}

void delete_parent(void *userdata) {
    auto &f = *static_cast<fixture *>(userdata);
    say(f, "delete");
    delete f.parent;
    f.parent = nullptr;
}

/* Nothing is touched after a turn in which the parent was deleted. */
void parent_deleted_by_a_callback(fixture &f) {
    assert_int_equal(kolk_loop_call_later(f.loop, ms, delete_parent, &f, nullptr, nullptr), 0);
    run_host_until(f, "delete");
    assert_string_equal(f.record.c_str(), "delete");
    assert_int_equal(kolk_guest_turn(f.guest), KOLK_ECLOSED);
}

/* In a callback for a descriptor, too: it is then the descriptor's own notifier that goes. */
void parent_deleted_by_a_reader(fixture &f) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(kolk_loop_add_reader(f.loop, ends[0], delete_parent, &f, nullptr), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    run_host_until(f, "delete");
    assert_string_equal(f.record.c_str(), "delete");
    kolk_loop_remove_reader(f.loop, ends[0]);
    close(ends[0]);
    close(ends[1]);
}

void detach(void *userdata) {
    auto &f = *static_cast<fixture *>(userdata);
    say(f, "detach");
    kolk_guest_detach(f.guest);
}

/* A callback of the loop ends the stay; nothing stays among the parent's children. */
void detached_by_a_callback(fixture &f) {
    assert_int_equal(kolk_loop_call_later(f.loop, ms, detach, &f, nullptr, nullptr), 0);
    run_host_until(f, "detach");
    say_later(f, 1, "not said");
    run_host(20);
    assert_string_equal(f.record.c_str(), "detach");
    assert_int_equal(f.parent->children().size(), 0);
}

/* The application goes while a guest is there: the stay is over, and the loop can be closed, or driven by itself. */
void application_goes_first(fixture &f) {
    say_later(f, 1, "later");
    run_host(0);
    delete f.application;
    f.application = nullptr;
    assert_int_equal(kolk_guest_turn(f.guest), KOLK_ECLOSED);
    assert_int_equal(f.parent->children().size(), 0);
}

/* The same with the application as the parent, while another thread keeps on posting. */
void application_is_the_parent(fixture &f) {
    kolk_guest_detach(f.guest);
    f.guest = kolk_guest_unref(f.guest);
    assert_int_equal(attach(f, f.application), 0);

    std::atomic<bool> enough{false};
    std::thread other([&] {
        while (!enough)
            kolk_loop_call_soon_threadsafe(
                f.loop, [](void *) {}, nullptr, nullptr);
    });
    run_host(20);
    delete f.application;
    f.application = nullptr;
    enough = true;
    other.join();
    assert_int_equal(kolk_guest_turn(f.guest), KOLK_ECLOSED);
}

/* Without an application, or a thread of Qt's, there is nothing to be the guest of; a second one cannot be told apart. */
void a_thread_without_dispatcher_is_refused(fixture &f) {
    int status = 0;
    std::string message;
    std::thread([&] {
        kolk_loop *loop = new_loop(KOLK_GUEST_THREAD);
        kolk_guest *guest = nullptr;
        kolk_error *error = nullptr;
        status = kolk_qt_attach(loop, nullptr, nullptr, &guest, &error);
        message = kolk_error_message(error);
        kolk_error_unref(error);
        kolk_loop_close(loop);
        kolk_loop_unref(loop);
    }).join();
    assert_int_equal(status, KOLK_EINVAL);
    assert_non_null(strstr(message.c_str(), "no event dispatcher"));
    assert_int_equal(attach(f, f.parent), KOLK_EBUSY);
}

/* A parent of another thread is refused by name. */
void a_parent_of_another_thread_is_refused(fixture &f) {
    kolk_guest_detach(f.guest);
    f.guest = kolk_guest_unref(f.guest);
    QThread elsewhere;
    QTimer stranger;
    elsewhere.start();
    stranger.moveToThread(&elsewhere);
    kolk_error *error = nullptr;
    const int status = kolk_qt_attach(f.loop, &stranger, nullptr, &f.guest, &error);
    const bool named = strstr(kolk_error_message(error), "QTimer") != nullptr;
    kolk_error_unref(error);
    elsewhere.quit();
    elsewhere.wait();
    assert_int_equal(status, KOLK_ETHREAD);
    assert_true(named);
}

/* A QThread hosts as the main thread does. When it finishes, the stay is over, and the loop may be closed from then on. */
void a_thread_of_qt_hosts_and_goes_first(fixture &f) {
    int turn_after = 0;
    QThread *thread = QThread::create([&f, &turn_after] {
        fixture inner;
        inner.way = f.way;
        inner.loop = new_loop(f.way);
        attach(inner, nullptr);
        say_later(inner, 5, "later");
        QTimer::singleShot(30, [] { QThread::currentThread()->quit(); });
        QEventLoop().exec();
        f.record = inner.record;
        auto *loop = inner.loop;
        auto *guest = inner.guest;
        const auto end = [loop, guest, &turn_after] {
            turn_after = kolk_guest_turn(guest);
            kolk_guest_unref(guest);
            kolk_loop_close(loop);
            kolk_loop_unref(loop);
        };
        QObject::connect(QThread::currentThread(), &QThread::finished, QThread::currentThread(), end, Qt::DirectConnection);
    });
    thread->start();
    thread->wait();
    delete thread;
    assert_string_equal(f.record.c_str(), "later");
    assert_int_equal(turn_after, KOLK_ECLOSED);
}

/* ------ dialogs ------ */

struct modal {
    fixture *f;
    int nesting;
    long long cpu;
    int pair[2];
};

/* Opens a dialog. It is closed when both input and timer were there, and after half a second at the latest. */
void open_dialog(void *userdata) {
    auto *self = static_cast<modal *>(userdata);
    fixture &f = *self->f;
    QDialog dialog;
    QTimer often;
    QElapsedTimer open_for;
    QObject::connect(&often, &QTimer::timeout, &dialog, [&] {
        if (f.record == "open read later" || open_for.elapsed() > 500)
            dialog.accept();
    });
    say(f, "open");
    often.start(1);
    const int before = kolk_loop_set_nesting(f.loop, self->nesting);
    open_for.start();
    const long long start = cpu_ns();
    dialog.exec();
    self->cpu = cpu_ns() - start;
    kolk_loop_set_nesting(f.loop, before);
    say(f, "closed");
}

void on_readable(void *userdata) {
    auto *self = static_cast<modal *>(userdata);
    char byte;
    if (read(self->pair[0], &byte, 1) == 1)
        say(*self->f, "read");
}

/* Gives the loop input and a timer for the time of a dialog, and runs the host until the last word. */
void run_dialog(fixture &f, modal &m, const char *last_word) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, m.pair), 0);
    assert_int_equal(kolk_loop_add_reader(f.loop, m.pair[0], on_readable, &m, nullptr), 0);
    assert_int_equal(kolk_loop_call_soon(f.loop, open_dialog, &m, nullptr, nullptr), 0);
    assert_int_equal(write(m.pair[1], "x", 1), 1);
    say_later(f, 100, "later");
    run_host_until(f, last_word);
    kolk_loop_remove_reader(f.loop, m.pair[0]);
    close(m.pair[0]);
    close(m.pair[1]);
}

/* With nesting allowed, input and timers go on while a callback waits for a dialog. */
void a_dialog_with_nesting_lets_kolk_go_on(fixture &f) {
    modal m = {&f, 1, 0, {-1, -1}};
    run_dialog(f, m, "closed");
    assert_string_equal(f.record.c_str(), "open read later closed");
}

/* Without, kolk stands still meanwhile and costs nothing, whatever is ready; then it makes up for it. */
void a_dialog_without_nesting_costs_no_time(fixture &f) {
    modal m = {&f, 0, 0, {-1, -1}};
    run_dialog(f, m, "later");
    run_host_until(f, "read");
    assert_string_equal(f.record.substr(0, 11).c_str(), "open closed");
    assert_non_null(strstr(f.record.c_str(), "read"));
    assert_non_null(strstr(f.record.c_str(), "later"));
    assert_true(m.cpu < 250 * ms);
}

/* A dialog that the host opens by itself is nothing special. */
void a_dialog_of_the_host_needs_no_nesting(fixture &f) {
    QTimer::singleShot(0, qApp, [&f] {
        QDialog dialog;
        QTimer often;
        QObject::connect(&often, &QTimer::timeout, &dialog, [&] {
            if (f.record == "later")
                dialog.accept();
        });
        often.start(1);
        dialog.exec();
        say(f, "closed");
    });
    say_later(f, 30, "later");
    run_host_until(f, "closed");
    assert_string_equal(f.record.c_str(), "later closed");
}

struct nest {
    fixture *f;
    int depth;
};

void open_nested(void *userdata) {
    auto *self = static_cast<nest *>(userdata);
    if (self->depth == 0)
        return;
    self->depth--;
    QDialog dialog;
    kolk_loop_call_soon(self->f->loop, open_nested, self, nullptr, nullptr);
    QTimer often;
    QObject::connect(&often, &QTimer::timeout, &dialog, [&] {
        if (self->depth == 0)
            dialog.accept();
    });
    often.start(1);
    dialog.exec();
    say(*self->f, "closed");
}

/* Dialogs in dialogs, each opened by kolk: more posts are under way at once than there were events to begin with. */
void dialogs_nest(fixture &f) {
    nest n = {&f, 5};
    kolk_loop_set_nesting(f.loop, 1);
    assert_int_equal(kolk_loop_call_soon(f.loop, open_nested, &n, nullptr, nullptr), 0);
    run_host_until(f, "closed closed closed closed closed");
    assert_int_equal(n.depth, 0);
    assert_string_equal(f.record.c_str(), "closed closed closed closed closed");
}

void delete_parent_in_dialog(void *userdata) {
    auto &f = *static_cast<fixture *>(userdata);
    QDialog dialog;
    QTimer::singleShot(10, &dialog, [&f] {
        delete f.parent;
        f.parent = nullptr;
    });
    QTimer::singleShot(30, &dialog, &QDialog::accept);
    kolk_loop_set_nesting(f.loop, 1);
    dialog.exec();
    say(f, "closed");
}

/* The parent goes while a callback of kolk waits for a dialog, as when a window is closed under its dialog. */
void parent_deleted_in_a_dialog(fixture &f) {
    assert_int_equal(kolk_loop_call_soon(f.loop, delete_parent_in_dialog, &f, nullptr, nullptr), 0);
    say_later(f, 300, "not said");
    run_host(400);
    assert_string_equal(f.record.c_str(), "closed");
    assert_int_equal(kolk_guest_turn(f.guest), KOLK_ECLOSED);
}

/* ------ what Qt may leave out ------ */

/* A loop that excludes socket notifiers does not spin, and what kolk missed comes afterwards. Posts arrive there, too. */
void excluded_notifiers_are_made_up_for(fixture &f) {
    run_host(0);
    say_from_thread(f, "posted");
    const long long start = cpu_ns();
    QEventLoop loop;
    QTimer::singleShot(50, &loop, &QEventLoop::quit);
    loop.exec(QEventLoop::ExcludeSocketNotifiers);
    const long long used = cpu_ns() - start;
    if (f.way == KOLK_GUEST_THREAD)
        assert_string_equal(f.record.c_str(), "posted");
    run_host(10);
    assert_string_equal(f.record.c_str(), "posted");
    assert_true(used < 25 * ms);
}

/* A deadline beyond what Qt's int of milliseconds can say is neither cut short nor forgotten. */
void a_far_deadline_does_not_come_early(fixture &f) {
    constexpr int64_t day_ms = INT64_C(24) * 3600 * 1000;
    say_later(f, 30 * day_ms, "a month");
    say_later(f, 100 * 365 * day_ms, "a century");
    run_host(20);
    assert_string_equal(f.record.c_str(), "");
    say_later(f, 1, "later");
    run_host_until(f, "later");
    assert_string_equal(f.record.c_str(), "later");
}

/* ------ manners ------ */

void again(void *userdata) {
    auto &f = *static_cast<fixture *>(userdata);
    if (f.record.size() < 1000) {
        f.record += '.';
        kolk_loop_call_soon(f.loop, again, &f, nullptr, nullptr);
    } else
        QCoreApplication::quit();
}

/* A thousand wakes of a loop whose budget is one callback a turn ask Qt and the C++ heap for nothing. */
void a_wake_allocates_nothing(fixture &f) {
    kolk_guest_detach(f.guest);
    f.guest = kolk_guest_unref(f.guest);
    assert_int_equal(attach(f, f.parent, 1), 0);
    f.record.reserve(2000);
    run_host(5);
    assert_int_equal(kolk_loop_call_soon(f.loop, again, &f, nullptr, nullptr), 0);
    const long before = allocations;
    QCoreApplication::exec();
    assert_int_equal(f.record.size(), 1000);
    assert_in_range(allocations - before, 0, 50);
}

/* The objects of the adapter are like all others to whoever looks through a parent's children. */
void children_can_be_asked_for_their_type(fixture &f) {
    run_host(5);
    int found = 0;
    for (QObject *child : f.parent->findChildren<QObject *>())
        found += dynamic_cast<QTimer *>(child) != nullptr;
    assert_int_equal(found, 0);
}

/* ------ the runner ------ */

#define RULE(function)                                                                                                         \
    { #function, function }
const rule rules[] = {
    RULE(parent_deleted_first_ends_the_stay),
    RULE(parent_deleted_by_a_callback),
    RULE(parent_deleted_by_a_reader),
    RULE(detached_by_a_callback),
    RULE(application_goes_first),
    RULE(application_is_the_parent),
    RULE(a_thread_without_dispatcher_is_refused),
    RULE(a_parent_of_another_thread_is_refused),
    RULE(a_thread_of_qt_hosts_and_goes_first),
    RULE(a_dialog_with_nesting_lets_kolk_go_on),
    RULE(a_dialog_without_nesting_costs_no_time),
    RULE(a_dialog_of_the_host_needs_no_nesting),
    RULE(dialogs_nest),
    RULE(parent_deleted_in_a_dialog),
    RULE(excluded_notifiers_are_made_up_for),
    RULE(a_far_deadline_does_not_come_early),
    RULE(a_wake_allocates_nothing),
    RULE(children_can_be_asked_for_their_type),
};

struct one_test {
    const rule *what;
    uint32_t way;
    std::string name;
    fixture *f;
};

int set_up(void **state) {
    auto &test = *static_cast<one_test *>(*state);
    test.f = new fixture;
    test.f->way = test.way;
    open_fixture(*test.f);
    return 0;
}

void check(void **state) {
    auto &test = *static_cast<one_test *>(*state);
    test.what->check(*test.f);
}

/* Nothing stays behind: neither descriptors nor threads. Memory is left to the sanitizer. */
int tear_down(void **state) {
    auto &test = *static_cast<one_test *>(*state);
    close_fixture(*test.f);
    const int fds = test.f->fds;
    delete test.f;
    assert_int_equal(open_fds(), fds);
    assert_int_equal(settle_threads(1), 1);
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    setenv("QT_QPA_PLATFORM", "offscreen", 0);
    // What Qt keeps for good is there after the first application.
    delete new QApplication(argument_count, arguments);
    printf("Qt %s\n", qVersion());

    std::vector<one_test> tests;
    const std::pair<const char *, uint32_t> ways[] = {
        {"handle", KOLK_GUEST_HANDLE}, {"thread", KOLK_GUEST_THREAD}, {"reactor", KOLK_GUEST_REACTOR}};
    for (const auto &[name, way] : ways)
        for (const rule &what : rules)
            tests.push_back({&what, way, std::string(name) + ": " + what.name, nullptr});
    std::vector<CMUnitTest> cases;
    for (one_test &test : tests)
        cases.push_back({test.name.c_str(), check, set_up, tear_down, &test});
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("qt", cases.data(), cases.size(), nullptr, nullptr);
}
