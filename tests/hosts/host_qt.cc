/* Qt as a host: a QCoreApplication per test, on whichever dispatcher it chooses. meson runs this on GLib's and on Qt's own. */
#include "host.h"

#include <kolk/qt.h>

#include <QtCore/QCoreApplication>
#include <QtCore/QEventLoop>
#include <QtCore/QHash>
#include <QtCore/QSocketNotifier>
#include <QtCore/QTimer>

namespace {

/* Used by reference for as long as an application lives. */
int argument_count = 1;
char program_name[] = "host_qt";
char *arguments[] = {program_name, nullptr};

struct qt_host {
    QCoreApplication application{argument_count, arguments};
    QHash<int, QSocketNotifier *> notifiers;
};

qt_host *the(void *self) { return static_cast<qt_host *>(self); }

void *open_host() { return new qt_host; }

void close_host(void *self) {
    qDeleteAll(the(self)->notifiers);
    delete the(self);
}

int attach(void *self, kolk_loop *loop, const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) {
    return kolk_qt_attach(loop, &the(self)->application, options, ret_guest, ret_error);
}

void run(void *) { QCoreApplication::exec(); }

void stop(void *) { QCoreApplication::quit(); }

void call_later(void *self, int64_t delay_ns, void (*fn)(void *userdata), void *userdata) {
    const int delay_ms = static_cast<int>((delay_ns + 999999) / 1000000);
    QTimer::singleShot(delay_ms, Qt::PreciseTimer, &the(self)->application, [fn, userdata] { fn(userdata); });
}

void watch(void *self, int fd, void (*fn)(void *userdata), void *userdata) {
    // Later, because this may be called by the very notifier that goes.
    if (QSocketNotifier *old = the(self)->notifiers.take(fd)) {
        old->setEnabled(false);
        old->deleteLater();
    }
    if (!fn)
        return;
    auto *notifier = new QSocketNotifier(fd, QSocketNotifier::Read, &the(self)->application);
    QObject::connect(notifier, &QSocketNotifier::activated, notifier, [fn, userdata] { fn(userdata); });
    the(self)->notifiers.insert(fd, notifier);
}

void run_modal(void *, int (*done)(void *context), void *context) {
    QEventLoop loop;
    QTimer often;
    QObject::connect(&often, &QTimer::timeout, &loop, [&] {
        if (done(context))
            loop.quit();
    });
    often.start(1);
    loop.exec();
}

const struct host qt = {
    .name = "qt",
    .ways = 1U << KOLK_GUEST_FRAME | 1U << KOLK_GUEST_HANDLE | 1U << KOLK_GUEST_THREAD | 1U << KOLK_GUEST_REACTOR,
    .granularity = 1000000,
    .hosted = nullptr,
    .open = open_host,
    .close = close_host,
    .attach = attach,
    .run = run,
    .stop = stop,
    .call_later = call_later,
    .watch = watch,
    .run_modal = run_modal,
    .after_fork = nullptr,
    .native = nullptr,
};

} // namespace

int main(int argc, char **argv) {
    // The first one leaves behind what Qt and GLib keep for good. It is not to be counted as a guest's.
    close_host(open_host());
    return run_conformance(&qt, argc, argv);
}
