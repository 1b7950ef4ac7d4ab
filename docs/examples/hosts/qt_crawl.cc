/* qt_crawl: a window that shows how a crawl is getting on.
 *
 * A program of Qt like any other. The crawl runs beside it on the same thread, as tasks of kolk, in Qt's own loop; so the
 * window looks at its state and its button acts on it without a lock or a queued signal. Without a URL it crawls a small site
 * of its own, served on the same loop as well.
 *
 * All it takes to live in Qt's loop is one call of kolk_qt_attach(): see Crawl::open(). */
#include "crawl/crawler.h"
#include "crawl/site.h"
extern "C" {
#include "crawl/frontier.h"
#include "crawl/links.h"
}

#include <kolk/kolk.h>
#include <kolk/qt.h>

#include <QAbstractTableModel>
#include <QApplication>
#include <QCommandLineParser>
#include <QFontDatabase>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QTableView>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>

struct Options {
    qulonglong pages = 0; // 0: no limit
    bool quitWhenDone = false;
    QString url; // empty: the embedded site
};

static QString reason(int status, kolk_error *error) {
    const QString text = error ? kolk_error_message(error) : kolk_status_message(status);
    kolk_error_unref(error);
    return text;
}

/* ---- what is being crawled, and where it runs ---- */

class Crawl {
  public:
    ~Crawl();

    // These return an empty string, or what went wrong.
    QString open(QObject *parent, const QString &url);
    QString start(qulonglong pages, std::function<void()> done);
    void cancel() { crawler_cancel(m_crawler); }

    kolk_loop *loop() const { return m_loop; }
    const QString &url() const { return m_url; }
    int status() const { return m_crawler ? crawler_status(m_crawler) : KOLK_OK; }
    bool isRunning() const { return status() == KOLK_EPENDING; }
    crawler_progress progress() const;
    const page *firstPage() const { return m_crawler ? crawler_frontier(m_crawler)->pages : nullptr; }

  private:
    kolk_loop *m_loop = nullptr;
    kolk_guest *m_guest = nullptr;
    kolk_server *m_site = nullptr;
    crawler *m_crawler = nullptr; // the last one
    QString m_url;
    std::function<void()> m_done;
};

QString Crawl::open(QObject *parent, const QString &url) {
    kolk_error *error = nullptr;
    int status = kolk_loop_new(nullptr, &m_loop, &error);
    if (status < 0)
        return reason(status, error);

    kolk_guest_options options = {};
    options.size = sizeof options;
    options.max_ns = 2000000; // so that the window stays smooth: two milliseconds at a time
    status = kolk_qt_attach(m_loop, parent, &options, &m_guest, &error);
    if (status < 0)
        return reason(status, error);

    m_url = url;
    if (!url.isEmpty())
        return {};
    site_options slow = {};
    slow.delay_ns = 60000000; // slow enough to be watched
    status = site_start(m_loop, &slow, &m_site, &error);
    if (status < 0)
        return reason(status, error);
    char ownUrl[site_url_size];
    site_url(m_site, ownUrl);
    m_url = ownUrl;
    return {};
}

QString Crawl::start(qulonglong pages, std::function<void()> done) {
    crawler_options options = crawler_defaults;
    options.timeout_ns = 2000000000;
    if (pages > 0)
        options.max_pages = pages;
    crawler_finish(m_crawler);
    m_crawler = nullptr;
    m_done = std::move(done);

    kolk_error *error = nullptr;
    const auto onDone = [](crawler *, void *self) { static_cast<Crawl *>(self)->m_done(); };
    const int status = crawler_start(m_loop, &options, m_url.toUtf8(), onDone, this, &m_crawler, &error);
    return status < 0 ? reason(status, error) : QString();
}

crawler_progress Crawl::progress() const {
    crawler_progress now = {};
    if (m_crawler)
        crawler_get_progress(m_crawler, &now);
    return now;
}

/* Closing the loop ends what is in flight, and the stay in Qt's loop. */
Crawl::~Crawl() {
    crawler_finish(m_crawler);
    kolk_server_unref(m_site);
    kolk_loop_close(m_loop);
    kolk_guest_unref(m_guest);
    kolk_loop_unref(m_loop);
}

/* ---- its pages, as a table ---- */

class PageModel : public QAbstractTableModel {
  public:
    enum Column { PathColumn, StatusColumn, SizeColumn, TimeColumn, ColumnCount };

    explicit PageModel(QObject *parent) : QAbstractTableModel(parent) {}

    void clear();
    void refresh(const page *first);

    /* The last page that was begun: where something happens. */
    QModelIndex front() const;

    int rowCount(const QModelIndex &parent = {}) const override { return parent.isValid() ? 0 : int(m_pages.size()); }
    int columnCount(const QModelIndex &parent = {}) const override { return parent.isValid() ? 0 : ColumnCount; }
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    QVariant data(const QModelIndex &index, int role) const override;

  private:
    static QString text(const page &page, int column);
    static QColor color(const page &page);

    QList<const page *> m_pages; // the crawler's
};

void PageModel::clear() {
    beginResetModel();
    m_pages.clear();
    endResetModel();
}

/* Pages are never taken away, and new ones come at the end. */
void PageModel::refresh(const page *first) {
    const page *next = m_pages.isEmpty() ? first : static_cast<const page *>(m_pages.last()->hh.next);
    QList<const page *> added;
    for (; next; next = static_cast<const page *>(next->hh.next))
        added.append(next);
    if (!added.isEmpty()) {
        beginInsertRows({}, rowCount(), rowCount() + int(added.size()) - 1);
        m_pages += added;
        endInsertRows();
    }
    if (!m_pages.isEmpty())
        emit dataChanged(index(0, 0), index(rowCount() - 1, ColumnCount - 1));
}

QModelIndex PageModel::front() const {
    int row = rowCount() - 1;
    while (row > 0 && (m_pages[row]->state == PAGE_TODO || m_pages[row]->state == PAGE_SEEN))
        row--;
    return index(row, 0);
}

QVariant PageModel::headerData(int section, Qt::Orientation orientation, int role) const {
    static const char *const titles[ColumnCount] = {"Page", "Status", "Size", "Time"};
    if (orientation == Qt::Horizontal && role == Qt::DisplayRole)
        return titles[section];
    if (orientation == Qt::Horizontal && role == Qt::TextAlignmentRole)
        return int(Qt::AlignLeft | Qt::AlignVCenter);
    return {};
}

QVariant PageModel::data(const QModelIndex &index, int role) const {
    const page &page = *m_pages[index.row()];
    if (role == Qt::DisplayRole)
        return text(page, index.column());
    if (role == Qt::ForegroundRole)
        return color(page);
    return {};
}

QString PageModel::text(const page &page, int column) {
    if (column == PathColumn)
        return page.target;
    if (page.state == PAGE_TAKEN)
        return column == StatusColumn ? "in flight" : "";
    if (page.state != PAGE_ANSWERED && page.state != PAGE_FAILED)
        return {};
    switch (column) {
    case StatusColumn:
        return page.state == PAGE_FAILED ? kolk_error_message(page.error) : QString::number(page.status);
    case SizeColumn:
        return QLocale().formattedDataSize(qint64(page.bytes));
    default:
        return QStringLiteral("%1 ms").arg(page.duration_ns / 1000000);
    }
}

QColor PageModel::color(const page &page) {
    if (page.state == PAGE_TAKEN)
        return "#2ec4b6";
    if (page.state == PAGE_FAILED || (page.state == PAGE_ANSWERED && page.status >= 400))
        return "#ffb454";
    return page.state == PAGE_ANSWERED ? "#e8eef2" : "#8fa3b0";
}

/* ---- the window ---- */

class CrawlWindow : public QWidget {
  public:
    explicit CrawlWindow(const Options &options);
    ~CrawlWindow() override;

    QString open();
    void start();

  protected:
    void paintEvent(QPaintEvent *event) override;

  private:
    void lay();
    void refresh();
    void finished();
    void announce();
    void complain(const QString &what);
    QString catchSignals();

    const Options m_options;
    Crawl m_crawl;
    PageModel *m_model = new PageModel(this);
    QLabel *m_title = new QLabel;
    QLabel *m_count = new QLabel; // "12 of 60 pages"
    QLabel *m_details = new QLabel;
    QProgressBar *m_bar = new QProgressBar;
    QTableView *m_table = new QTableView;
    QPushButton *m_button = new QPushButton;
    QTimer m_refresh;        // runs while there is something to follow
    bool m_announce = false; // when the window has been drawn next
};

static const char colors[] = R"(
    QWidget { background: #101820; color: #e8eef2; font-size: 16px; }
    QLabel#title { color: #ffb454; }
    QLabel#count { font-size: 32px; }
    QLabel#details { color: #8fa3b0; }
    QProgressBar { background: #24323f; border: none; min-height: 24px; max-height: 24px; }
    QProgressBar::chunk { background: #2ec4b6; }
    QPushButton { background: #24323f; border: none; padding: 8px 28px; }
    QPushButton:hover { background: #34485a; }
    QPushButton:focus { border: 1px solid #2ec4b6; padding: 7px 27px; }
    QTableView { border: none; font-family: monospace; font-size: 14px; }
    QHeaderView::section { background: #101820; color: #8fa3b0; border: none; padding: 4px; font-size: 14px; }
    QScrollBar:vertical { background: #101820; width: 8px; border: none; }
    QScrollBar::handle:vertical { background: #24323f; min-height: 24px; }
    QScrollBar::add-line, QScrollBar::sub-line { height: 0; }
    QScrollBar::add-page, QScrollBar::sub-page { background: none; }
)";

CrawlWindow::CrawlWindow(const Options &options) : m_options(options) {
    setWindowTitle("kolk in Qt");
    setStyleSheet(colors);
    resize(960, 540);
    lay();
    connect(&m_refresh, &QTimer::timeout, this, &CrawlWindow::refresh);
    connect(m_button, &QPushButton::clicked, this, [this] {
        if (m_crawl.isRunning())
            m_crawl.cancel();
        else
            start();
    });
}

void CrawlWindow::lay() {
    m_title->setObjectName("title");
    m_count->setObjectName("count");
    m_details->setObjectName("details");
    m_bar->setTextVisible(false);

    m_table->setModel(m_model);
    m_table->setShowGrid(false);
    m_table->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    m_table->setSelectionMode(QAbstractItemView::NoSelection);
    m_table->setFocusPolicy(Qt::NoFocus);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(24);
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    for (int column : {PageModel::SizeColumn, PageModel::TimeColumn}) {
        m_table->horizontalHeader()->setSectionResizeMode(column, QHeaderView::Fixed);
        m_table->setColumnWidth(column, 140);
    }

    auto *below = new QHBoxLayout;
    below->addWidget(m_details, 1);
    below->addWidget(m_button);

    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(48, 30, 48, 30);
    layout->setSpacing(14);
    layout->addWidget(m_title);
    layout->addWidget(m_count);
    layout->addWidget(m_bar);
    layout->addLayout(below);
    layout->addWidget(m_table, 1);
}

QString CrawlWindow::open() {
    const QString problem = m_crawl.open(this, m_options.url);
    if (!problem.isEmpty())
        return problem;
    m_title->setText(m_crawl.url());
    return catchSignals();
}

void CrawlWindow::start() {
    m_model->clear();
    const QString problem = m_crawl.start(m_options.pages, [this] { finished(); });
    if (!problem.isEmpty())
        return complain(problem);
    m_button->setText("Cancel");
    m_refresh.start(33);
    refresh();
}

void CrawlWindow::refresh() {
    const crawler_progress now = m_crawl.progress();
    const qulonglong known = m_options.pages > 0 ? std::min<qulonglong>(m_options.pages, now.found) : now.found;
    m_count->setText(QStringLiteral("%1 of %2 pages").arg(now.done).arg(known));
    m_bar->setRange(0, int(std::max<qulonglong>(known, 1)));
    m_bar->setValue(int(now.done));
    m_details->setText(QStringLiteral("%1 in flight    %2 to do    %3 failed    %4    %5 s")
                           .arg(now.in_flight)
                           .arg(now.to_do)
                           .arg(now.failed)
                           .arg(QLocale().formattedDataSize(qint64(now.bytes)))
                           .arg(double(now.elapsed_ns) / 1e9, 0, 'f', 2));
    m_model->refresh(m_crawl.firstPage());
    m_table->scrollTo(m_model->front());
}

/* Called from a turn of kolk, which is a callback of Qt's loop like all others. */
void CrawlWindow::finished() {
    const int status = m_crawl.status();
    m_refresh.stop();
    m_button->setText("Start");
    refresh();
    if (status == KOLK_OK) {
        m_announce = true;
        update();
    } else if (status != KOLK_ECANCELED)
        complain(kolk_status_message(status));
}

/* The widgets in the window are drawn after it and shown together with it. Then the loop turns. */
void CrawlWindow::paintEvent(QPaintEvent *event) {
    QWidget::paintEvent(event);
    if (m_announce)
        QTimer::singleShot(0, this, &CrawlWindow::announce);
    m_announce = false;
}

void CrawlWindow::announce() {
    std::printf("done: %llu pages\n", static_cast<unsigned long long>(m_crawl.progress().done));
    std::fflush(stdout);
    if (m_options.quitWhenDone)
        close();
}

void CrawlWindow::complain(const QString &what) {
    m_details->setText(what);
    std::fprintf(stderr, "qt_crawl: %s: %s\n", qPrintable(m_crawl.url()), qPrintable(what));
    if (m_options.quitWhenDone)
        QTimer::singleShot(0, this, [] { QApplication::exit(1); });
}

/* ---- Ctrl-C ---- */

static kolk_waker *interruptBell;

static void onSignal(int) {
    const int interruptedErrno = errno;
    kolk_waker_wake(interruptBell);
    errno = interruptedErrno;
}

/* A signal handler may ring a bell of kolk, which rings in a turn of Qt's loop. */
QString CrawlWindow::catchSignals() {
    const auto onBell = [](void *self) { static_cast<CrawlWindow *>(self)->close(); };
    const int status = kolk_waker_new(m_crawl.loop(), onBell, this, nullptr, &interruptBell);
    if (status < 0)
        return reason(status, nullptr);
    std::signal(SIGINT, onSignal);
    std::signal(SIGTERM, onSignal);
    return {};
}

CrawlWindow::~CrawlWindow() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    interruptBell = kolk_waker_unref(interruptBell);
}

/* ---- the program ---- */

/* Returns -1 to go on, or the exit status. */
static int parseArguments(int &argc, char **argv, Options &options) {
    QCommandLineParser parser;
    parser.setApplicationDescription("Crawls what a URL leads to, or a small site of its own, and shows how far it is.");
    const QCommandLineOption help({"h", "help"}, "Show this text.");
    const QCommandLineOption pages("pages", "Stop after so many pages.", "N");
    const QCommandLineOption quit("quit-when-done", "Close the window at the end.");
    parser.addOptions({help, pages, quit});
    parser.addPositionalArgument("url", "Where to begin.", "[URL]");

    QStringList arguments;
    for (int i = 0; i < argc; i++)
        arguments += QString::fromLocal8Bit(argv[i]);
    const bool understood = parser.parse(arguments);
    if (parser.isSet(help)) {
        QCoreApplication application(argc, argv); // whose name is in the text; no display is needed for that
        std::fputs(qPrintable(parser.helpText()), stdout);
        return 0;
    }

    QString problem;
    bool isNumber = true;
    if (!understood)
        problem = parser.errorText();
    else if (parser.positionalArguments().size() > 1)
        problem = QStringLiteral("%1: there is a URL already: %2")
                      .arg(parser.positionalArguments()[1], parser.positionalArguments()[0]);
    if (parser.isSet(pages))
        options.pages = parser.value(pages).toULongLong(&isNumber);
    if (problem.isEmpty() && (!isNumber || (parser.isSet(pages) && options.pages == 0)))
        problem = QStringLiteral("--pages %1: it takes a number of pages, 1 or more").arg(parser.value(pages));
    if (!problem.isEmpty()) {
        std::fprintf(stderr, "qt_crawl: %s\n", qPrintable(problem));
        return 2;
    }
    options.quitWhenDone = parser.isSet(quit);
    options.url = parser.positionalArguments().value(0);
    return -1;
}

static int run(const Options &options) {
    CrawlWindow window(options);
    const QString problem = window.open();
    if (!problem.isEmpty()) {
        std::fprintf(stderr, "qt_crawl: %s\n", qPrintable(problem));
        return 1;
    }
    window.show();
    window.start();
    return QApplication::exec();
}

int main(int argc, char **argv) {
    Options options;
    const int exitStatus = parseArguments(argc, argv, options);
    if (exitStatus >= 0)
        return exitStatus;
    QApplication application(argc, argv);
    links_init();
    const int status = run(options);
    links_finish();
    return status;
}
