/* The three functions that a guest asks of its host, in terms of Qt.
 *
 *   watch         A QSocketNotifier for each descriptor and direction. It is made at the first watch and kept, switched off
 *                 while nothing is watched, so that interest that comes and goes allocates nothing.
 *   set_deadline  One precise timer of the receiver.
 *   post          An event to the receiver. Qt deletes events that it has delivered; these are taken back instead, so that
 *                 there is one for the next post. It costs what an eventfd and a notifier would, needs no descriptor, and
 *                 arrives also where socket notifiers are excluded.
 *
 * Two lifetimes meet: the stay's, which the guest ends by calling destroy, and that of Qt's objects, which end with their
 * parent. Neither may prolong the other, so there are two objects: the `stay`, held by the guest and by each event that Qt has,
 * and the `receiver` with its notifiers, which belong to Qt. Whichever ends first takes its pointer out of the other. After a
 * turn nothing is touched any more: it may have ended both.
 *
 * Run-time types stay on, unlike elsewhere: these objects are among their parent's children, and a program that tries a
 * dynamic_cast on each child would fall over one without. */
#include <kolk/qt.h>

#include <QtCore/QAbstractEventDispatcher>
#include <QtCore/QCoreApplication>
#include <QtCore/QEvent>
#include <QtCore/QSocketNotifier>
#include <QtCore/QThread>
#include <QtCore/QTimerEvent>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>

namespace {

constexpr int64_t ns_per_ms = 1000000;

class stay;

/* What is posted. */
class wake_event final : public QEvent {
  public:
    /* A type of its own: filters that an application installs take QEvent::User for theirs. */
    static Type common_type() noexcept {
        static const int type = registerEventType();
        return type > 0 ? Type(type) : User;
    }
    wake_event() noexcept : QEvent(common_type()) {}

    static void *operator new(size_t, void *place) noexcept { return place; }
    static void operator delete(void *, void *) noexcept {}

    /* Runs where Qt deletes an event: delivered, or dropped with its receiver. */
    static void operator delete(void *place) noexcept;
};

/* Where an event lives, over and over. */
struct event_place {
    // First, so that it has the address of the whole.
    alignas(wake_event) unsigned char room[sizeof(wake_event)];
    stay *owner;
    std::atomic<bool> taken;
    event_place *next;
};

class notifier final : public QSocketNotifier {
  public:
    notifier(int fd, Type type, stay *owner, QObject *parent) : QSocketNotifier(fd, type, parent), stay_(owner) {}

  protected:
    /* Instead of the signal activated(), after which Qt would look at this object again. */
    bool event(QEvent *event) override;

  private:
    stay *const stay_;
};

/* Qt's side: gets the posts and the timer, and has the notifiers as its children. */
class receiver final : public QObject {
  public:
    receiver(stay *owner, QObject *parent);
    ~receiver() override;

    int watch(int fd, uint32_t events) noexcept;
    int set_deadline(int64_t deadline_ns) noexcept;
    void forget_stay() noexcept { stay_ = nullptr; }

  protected:
    bool event(QEvent *event) override;
    void timerEvent(QTimerEvent *event) override;

  private:
    struct watched {
        notifier *reader;
        notifier *writer;
    };

    int make_room(int fd) noexcept;
    void toggle(notifier *&which, QSocketNotifier::Type type, int fd, bool on);
    void start_timer();
    void stop_timer();

    stay *stay_;                 // Null once it is over.
    watched *watched_ = nullptr; // By descriptor.
    int watched_size_ = 0;
    int timer_ = 0;
    int64_t deadline_ns_ = KOLK_NEVER;
};

/* The guest's side: what its three functions are called with. */
class stay {
  public:
    /* Returns null when memory is gone. */
    static stay *open(kolk_loop *loop, QObject *parent);

    int begin(const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) noexcept;

    void ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void unref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete this;
    }

    kolk_loop *loop() const noexcept { return loop_; }
    kolk_guest *guest() const noexcept { return guest_; }

    /* Parts the two sides. Returns the receiver, or null when they were parted already. */
    receiver *part() noexcept;

  private:
    explicit stay(kolk_loop *loop) noexcept : loop_(loop) {}
    ~stay();
    event_place *add_place() noexcept;
    event_place *take_place() noexcept;

    static int watch(void *userdata, int fd, uint32_t events) noexcept;
    static int set_deadline(void *userdata, int64_t deadline_ns) noexcept;
    static int post(void *userdata) noexcept;
    static void destroy(void *userdata) noexcept;

    kolk_loop *const loop_;        // Borrowed: the guest is the loop's.
    kolk_guest *guest_ = nullptr;  // Borrowed: it lives until it calls destroy().
    std::atomic<int> refs_{1};     // The guest, and each event that Qt has.
    std::mutex mutex_;             // Keeps the receiver there while another thread posts.
    receiver *receiver_ = nullptr; // Null once its parent was deleted.
    event_place *places_ = nullptr;
};

void wake_event::operator delete(void *place) noexcept {
    auto *self = static_cast<event_place *>(place);
    stay *owner = self->owner;
    self->taken.store(false, std::memory_order_release);
    owner->unref();
}

bool notifier::event(QEvent *event) {
    if (event->type() != QEvent::SockAct)
        return QSocketNotifier::event(event);
    const uint32_t events = type() == Read ? KOLK_EVENT_READ : KOLK_EVENT_WRITE;
    if (kolk_guest_ready(stay_->guest(), int(socket()), events) == KOLK_ETHREAD)
        setEnabled(false); // Moved to another thread, it would report for ever what nobody there may take.
    return true;
}

receiver::receiver(stay *owner, QObject *parent) : QObject(parent), stay_(owner) {
    // The dispatcher goes with one of these two, and a post from the guest's own thread reaches for it: the stay ends before.
    const auto end_stay = [this] { kolk_guest_detach(stay_->guest()); };
    connect(QThread::currentThread(), &QThread::finished, this, end_stay, Qt::DirectConnection);
    QCoreApplication *application = QCoreApplication::instance();
    if (application && application->thread() == thread())
        connect(application, &QObject::destroyed, this, end_stay, Qt::DirectConnection);
}

receiver::~receiver() {
    if (stay *ended = stay_) {
        // The parent is being deleted. The guest may still call the stay until it has let go of it.
        ended->ref();
        ended->part();
        kolk_guest_detach(ended->guest());
        ended->unref();
    }
    std::free(watched_);
}

bool receiver::event(QEvent *event) {
    if (event->type() != wake_event::common_type())
        return QObject::event(event);
    kolk_guest_turn(stay_->guest());
    return true;
}

void receiver::timerEvent(QTimerEvent *) {
    stop_timer();
    if (kolk_loop_time(stay_->loop()) < deadline_ns_)
        start_timer(); // The deadline is farther away than a timer can be set.
    else
        kolk_guest_turn(stay_->guest());
}

int receiver::set_deadline(int64_t deadline_ns) noexcept {
    stop_timer();
    deadline_ns_ = deadline_ns;
    if (deadline_ns == KOLK_NEVER)
        return 0;
    if (!QAbstractEventDispatcher::instance())
        return KOLK_ECLOSED;
    start_timer();
    return 0;
}

void receiver::start_timer() {
    const int64_t now_ns = kolk_loop_time(stay_->loop());
    const int64_t delay_ns = deadline_ns_ > now_ns ? deadline_ns_ - now_ns : 0;
    const int64_t delay_ms = delay_ns / ns_per_ms + (delay_ns % ns_per_ms != 0);
    timer_ = startTimer(int(std::min<int64_t>(delay_ms, INT_MAX)), Qt::PreciseTimer);
}

void receiver::stop_timer() {
    if (timer_ != 0)
        killTimer(timer_);
    timer_ = 0;
}

int receiver::watch(int fd, uint32_t events) noexcept {
    if (events != 0 && !QAbstractEventDispatcher::instance())
        return KOLK_ECLOSED;
    if (fd >= watched_size_) {
        if (events == 0)
            return 0;
        if (make_room(fd) < 0)
            return KOLK_ENOMEM;
    }
    toggle(watched_[fd].reader, QSocketNotifier::Read, fd, events & KOLK_EVENT_READ);
    toggle(watched_[fd].writer, QSocketNotifier::Write, fd, events & KOLK_EVENT_WRITE);
    return 0;
}

int receiver::make_room(int fd) noexcept {
    const int size = std::max(2 * watched_size_, fd + 1);
    auto *grown = static_cast<watched *>(std::realloc(watched_, size_t(size) * sizeof(watched)));
    if (!grown)
        return KOLK_ENOMEM;
    std::fill(grown + watched_size_, grown + size, watched{});
    watched_ = grown;
    watched_size_ = size;
    return 0;
}

void receiver::toggle(notifier *&which, QSocketNotifier::Type type, int fd, bool on) {
    // Qt itself switches one off whose descriptor was closed, so what it was set to last is not remembered here.
    if (which)
        which->setEnabled(on);
    else if (on)
        which = new notifier(fd, type, stay_, this);
}

stay *stay::open(kolk_loop *loop, QObject *parent) {
    auto *self = new (std::nothrow) stay(loop);
    // One event is being delivered when the next is posted. Loops within loops need more.
    if (self && self->add_place() && self->add_place()) {
        self->receiver_ = new receiver(self, parent);
        return self;
    }
    delete self;
    return nullptr;
}

stay::~stay() {
    while (event_place *place = places_) {
        places_ = place->next;
        delete place;
    }
}

int stay::begin(const kolk_guest_options *options, kolk_guest **ret_guest, kolk_error **ret_error) noexcept {
    kolk_host_ops ops = {};
    ops.size = sizeof ops;
    ops.watch = watch;
    ops.set_deadline = set_deadline;
    ops.post = post;
    const int status = kolk_guest_new(loop_, &ops, this, destroy, options, ret_guest, ret_error);
    if (status >= 0) // Otherwise this is gone.
        guest_ = *ret_guest;
    return status;
}

receiver *stay::part() noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    receiver *parted = receiver_;
    receiver_ = nullptr;
    if (parted)
        parted->forget_stay();
    return parted;
}

event_place *stay::add_place() noexcept {
    auto *place = new (std::nothrow) event_place{{}, this, {false}, places_};
    if (place)
        places_ = place;
    return place;
}

event_place *stay::take_place() noexcept {
    event_place *place = places_;
    while (place && place->taken.load(std::memory_order_acquire))
        place = place->next;
    if (!place)
        place = add_place();
    if (place)
        place->taken.store(true, std::memory_order_relaxed);
    return place;
}

int stay::watch(void *userdata, int fd, uint32_t events) noexcept {
    auto *self = static_cast<stay *>(userdata);
    if (self->receiver_)
        return self->receiver_->watch(fd, events);
    return events == 0 ? 0 : KOLK_ECLOSED;
}

int stay::set_deadline(void *userdata, int64_t deadline_ns) noexcept {
    auto *self = static_cast<stay *>(userdata);
    if (self->receiver_)
        return self->receiver_->set_deadline(deadline_ns);
    return deadline_ns == KOLK_NEVER ? 0 : KOLK_ECLOSED;
}

int stay::post(void *userdata) noexcept {
    auto *self = static_cast<stay *>(userdata);
    const std::lock_guard<std::mutex> lock(self->mutex_);
    if (!self->receiver_)
        return KOLK_ECLOSED;
    event_place *place = self->take_place();
    if (!place)
        return KOLK_ENOMEM;
    self->ref();
    QCoreApplication::postEvent(self->receiver_, new (place->room) wake_event);
    return 0;
}

void stay::destroy(void *userdata) noexcept {
    auto *self = static_cast<stay *>(userdata);
    delete self->part();
    self->unref();
}

int refuse(int status, const char *message, kolk_error **ret_error) noexcept {
    if (ret_error)
        kolk_error_new(status, message, nullptr, ret_error);
    return status;
}

int refuse_parent(const QObject *parent, kolk_error **ret_error) noexcept {
    char message[160];
    std::snprintf(message, sizeof message, "the parent, a %.60s, belongs to another thread than the one that calls",
                  parent->metaObject()->className());
    return refuse(KOLK_ETHREAD, message, ret_error);
}

} // namespace

int kolk_qt_attach(kolk_loop *loop, QObject *parent, const kolk_guest_options *options, kolk_guest **ret_guest,
                   kolk_error **ret_error) noexcept {
    if (!QAbstractEventDispatcher::instance())
        return refuse(KOLK_EINVAL, "this thread has no event dispatcher of Qt: make the QCoreApplication or the QThread first",
                      ret_error);
    if (parent && parent->thread() != QThread::currentThread())
        return refuse_parent(parent, ret_error);
    stay *self = stay::open(loop, parent);
    if (!self)
        return refuse(KOLK_ENOMEM, nullptr, ret_error);
    return self->begin(options, ret_guest, ret_error);
}
