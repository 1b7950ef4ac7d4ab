/* A program of Qt in which kolk is a guest: a timer of Qt's and a task of kolk's, on one thread and in one loop. */
#include <kolk/kolk.h>
#include <kolk/qt.h>

#include <QCoreApplication>
#include <QTimer>

#include <cstdio>

/* [task] */
static int count(void *, void **) {
    for (int i = 1; i <= 3; i++) {
        int status = kolk_sleep(100000000);
        if (status < 0)
            return status;
        std::printf("kolk: %d\n", i);
    }
    QCoreApplication::quit();
    return 0;
}
/* [task] */

/* [main] */
int main(int argc, char **argv) {
    QCoreApplication application(argc, argv);
    QTimer timer;
    QObject::connect(&timer, &QTimer::timeout, [] { std::printf("Qt: tick\n"); });
    timer.start(120);

    kolk_loop *loop = nullptr;
    kolk_guest *guest = nullptr;
    kolk_error *error = nullptr;
    int status = kolk_loop_new(nullptr, &loop, &error);
    if (status == 0)
        status = kolk_qt_attach(loop, &application, nullptr, &guest, &error);
    if (status == 0)
        status = kolk_create_task(loop, count, nullptr, nullptr, nullptr, nullptr);
    if (status == 0)
        status = QCoreApplication::exec();
    else
        std::fprintf(stderr, "in_qt: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));

    kolk_error_unref(error);
    kolk_loop_close(loop); // ends the stay in Qt's loop
    kolk_guest_unref(guest);
    kolk_loop_unref(loop);
    return status < 0 ? 1 : status;
}
/* [main] */
