/* gtk_crawl: a window that shows how a crawl is getting on.
 *
 * A GTK program like any other. The crawl runs beside it on the same thread, as tasks of kolk, in GTK's own loop; so its state
 * is looked at and its buttons act on it without a lock. Without a URL it crawls a small site of its own, served on the same
 * loop as well.
 *
 * The loop of GTK is a GMainContext, and kolk-glib all it takes to live in it: see crawl_open(). */
#include "crawl/crawler.h"
#include "crawl/frontier.h"
#include "crawl/links.h"
#include "crawl/site.h"

#include <glib-unix.h>
#include <gtk/gtk.h>
#include <inttypes.h>
#include <kolk/glib.h>
#include <kolk/kolk.h>

struct options {
    gint64 pages; /* 0: no limit. */
    gboolean quit_when_done;
    char **urls; /* NULL: the embedded site. */
};

/* What is being crawled, and where it runs. */
struct crawl {
    kolk_loop *loop;
    kolk_guest *guest;
    kolk_server *site;       /* The embedded one, or NULL. */
    struct crawler *crawler; /* The last one; NULL before the first. */
    char url[2048];
};

struct window {
    struct options options;
    struct crawl crawl;
    GtkApplication *application;
    GtkWidget *window;
    GtkWidget *button;
    GtkWidget *bar;
    GtkWidget *count;   /* "12 of 60 pages" */
    GtkWidget *details; /* The rest, in one line. */
    GtkWidget *pages;   /* Those that are of interest. */
    guint tick;         /* The tick callback, 0 when nothing moves. */
    int exit_status;
};

/* ---- the crawl, on GTK's loop ---- */

static int crawl_open(struct crawl *self, const char *url, kolk_error **ret_error) {
    const struct site_options site_options = {.delay_ns = INT64_C(60000000)}; // slow enough to be watched
    // A turn takes at most two milliseconds of a frame, and only those that drawing the window leaves over.
    const kolk_guest_options options = {.size = sizeof options, .max_ns = INT64_C(2000000)};
    int status = kolk_loop_new(NULL, &self->loop, ret_error);
    if (status == 0)
        status = kolk_glib_attach_full(self->loop, NULL, G_PRIORITY_DEFAULT_IDLE, &options, &self->guest, ret_error);
    if (status < 0 || url) {
        g_strlcpy(self->url, url ? url : "", sizeof self->url);
        return status;
    }
    status = site_start(self->loop, &site_options, &self->site, ret_error);
    if (status == 0)
        site_url(self->site, self->url);
    return status;
}

/* Closing the loop ends what is in flight, and the stay in GTK's loop. Accepts what was only half opened. */
static void crawl_close(struct crawl *self) {
    crawler_finish(self->crawler);
    kolk_server_unref(self->site);
    kolk_loop_close(self->loop);
    kolk_guest_unref(self->guest);
    kolk_loop_unref(self->loop);
}

static gboolean crawl_is_under_way(const struct crawl *self) {
    return self->crawler && crawler_status(self->crawler) == KOLK_EPENDING;
}

/* ---- what is shown ---- */

static void show_text(GtkWidget *label, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void show_text(GtkWidget *label, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    gtk_label_set_text(GTK_LABEL(label), text);
    g_free(text);
}

/* Those in flight; in the end, those that failed. */
static void show_pages(struct window *self) {
    GString *text = g_string_new(NULL);
    for (const struct page *page = crawler_frontier(self->crawl.crawler)->pages; page; page = page->hh.next)
        if (page->state == PAGE_TAKEN)
            g_string_append_printf(text, "%s\n", page->target);
        else if (page->state == PAGE_FAILED && !crawl_is_under_way(&self->crawl))
            g_string_append_printf(text, "%s: %s\n", page->target, kolk_error_message(page->error));
    gtk_label_set_text(GTK_LABEL(self->pages), text->str);
    g_string_free(text, TRUE);
}

static void show_progress(struct window *self) {
    struct crawler_progress now;
    crawler_get_progress(self->crawl.crawler, &now);
    uint64_t limit = (uint64_t)self->options.pages, known = limit && limit < now.found ? limit : now.found;
    gboolean done = crawler_status(self->crawl.crawler) == 0;

    // A page may lead to many more; the bar does not go back for that.
    double share = done ? 1 : (double)now.done / (double)MAX(known, 1);
    if (share > gtk_progress_bar_get_fraction(GTK_PROGRESS_BAR(self->bar)))
        gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(self->bar), share);
    show_text(self->count, "%" PRIu64 " of %" PRIu64 " pages", now.done, known);
    char *size = g_format_size(now.bytes);
    show_text(self->details, "%" PRIu32 " in flight    %" PRIu64 " to do    %" PRIu64 " failed    %s    %.2f s", now.in_flight,
              now.to_do, now.failed, size, (double)now.elapsed_ns / 1e9);
    g_free(size);
    show_pages(self);
}

/* Once per frame, as long as there is something to follow. */
static gboolean on_tick(GtkWidget *widget, GdkFrameClock *clock, gpointer data) {
    (void)widget;
    (void)clock;
    show_progress(data);
    return G_SOURCE_CONTINUE;
}

/* ---- what the user does, and what comes of it ---- */

static void show_error(struct window *self, int status, kolk_error *error) {
    const char *message = error ? kolk_error_message(error) : kolk_status_message(status);
    show_text(self->details, "%s: %s", self->crawl.url, message);
    g_printerr("gtk_crawl: %s: %s\n", self->crawl.url, message);
    self->exit_status = 1;
    if (self->options.quit_when_done)
        gtk_window_close(GTK_WINDOW(self->window));
}

/* The frame with the full bar has been drawn. */
static void on_last_frame(GdkFrameClock *clock, gpointer data) {
    struct window *self = data;
    struct crawler_progress now;
    g_signal_handlers_disconnect_by_func(clock, on_last_frame, self);
    crawler_get_progress(self->crawl.crawler, &now);
    g_print("done: %" PRIu64 " pages\n", now.done);
    if (self->options.quit_when_done)
        gtk_window_close(GTK_WINDOW(self->window));
}

static void on_crawl_done(struct crawler *crawler, void *userdata) {
    struct window *self = userdata;
    int status = crawler_status(crawler);
    gtk_widget_remove_tick_callback(self->window, self->tick);
    gtk_button_set_label(GTK_BUTTON(self->button), "Start");
    show_progress(self);
    if (status < 0 && status != KOLK_ECANCELED)
        show_error(self, status, NULL);
    else if (status == 0) {
        GdkFrameClock *clock = gtk_widget_get_frame_clock(self->window);
        g_signal_connect(clock, "after-paint", G_CALLBACK(on_last_frame), self);
        gdk_frame_clock_request_phase(clock, GDK_FRAME_CLOCK_PHASE_PAINT);
    }
}

static void start(struct window *self) {
    struct crawler_options options = crawler_defaults;
    kolk_error *error = NULL;
    if (self->options.pages)
        options.max_pages = (uint64_t)self->options.pages;
    crawler_finish(self->crawl.crawler);
    self->crawl.crawler = NULL;
    int status = crawler_start(self->crawl.loop, &options, self->crawl.url, on_crawl_done, self, &self->crawl.crawler, &error);
    if (status == 0) {
        gtk_button_set_label(GTK_BUTTON(self->button), "Cancel");
        gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(self->bar), 0);
        self->tick = gtk_widget_add_tick_callback(self->window, on_tick, self, NULL);
    } else
        show_error(self, status, error);
    kolk_error_unref(error);
}

static void on_clicked(GtkButton *button, gpointer data) {
    struct window *self = data;
    (void)button;
    if (crawl_is_under_way(&self->crawl))
        crawler_cancel(self->crawl.crawler);
    else
        start(self);
}

static gboolean on_terminate(gpointer data) {
    struct window *self = data;
    if (self->window)
        gtk_window_close(GTK_WINDOW(self->window));
    return G_SOURCE_CONTINUE;
}

/* ---- the window ---- */

static const char style[] =
    "window { background: #101820; color: #e8eef2; }"
    "button { background: #24323f; color: #e8eef2; border: none; box-shadow: none; text-shadow: none; }"
    ".title { color: #ffb454; font-size: 16px; }"
    ".count { font-size: 32px; }"
    ".details, .pages { color: #8fa3b0; font-size: 16px; }"
    ".pages { font-family: monospace; }"
    "progressbar trough, progressbar progress { min-height: 24px; margin: 0; border: none; border-radius: 0; }"
    "progressbar trough { background: #24323f; }"
    "progressbar progress { background: #2ec4b6; }";

static void load_style(void) {
    GtkCssProvider *provider = gtk_css_provider_new();
    gtk_css_provider_load_from_data(provider, style, -1);
    gtk_style_context_add_provider_for_display(gdk_display_get_default(), GTK_STYLE_PROVIDER(provider),
                                               GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
    g_object_unref(provider);
}

static GtkWidget *add_label(GtkWidget *box, const char *class) {
    GtkWidget *label = gtk_label_new("");
    gtk_widget_add_css_class(label, class);
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
    gtk_box_append(GTK_BOX(box), label);
    return label;
}

static GtkWidget *new_content(struct window *self) {
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
    gtk_widget_set_margin_start(box, 48);
    gtk_widget_set_margin_end(box, 48);
    gtk_widget_set_margin_top(box, 36);
    gtk_widget_set_margin_bottom(box, 36);
    gtk_label_set_text(GTK_LABEL(add_label(box, "title")), self->crawl.url);
    self->count = add_label(box, "count");
    self->bar = gtk_progress_bar_new();
    gtk_box_append(GTK_BOX(box), self->bar);
    self->details = add_label(box, "details");
    self->pages = add_label(box, "pages");
    gtk_widget_set_vexpand(self->pages, TRUE);
    gtk_widget_set_valign(self->pages, GTK_ALIGN_START);
    self->button = gtk_button_new_with_label("Start");
    gtk_widget_set_halign(self->button, GTK_ALIGN_END);
    g_signal_connect(self->button, "clicked", G_CALLBACK(on_clicked), self);
    gtk_box_append(GTK_BOX(box), self->button);
    return box;
}

static void show_window(struct window *self) {
    load_style();
    self->window = gtk_application_window_new(self->application);
    gtk_window_set_title(GTK_WINDOW(self->window), "kolk in GTK");
    gtk_window_set_default_size(GTK_WINDOW(self->window), 960, 540);
    gtk_window_set_child(GTK_WINDOW(self->window), new_content(self));
    gtk_window_present(GTK_WINDOW(self->window));
}

static void on_activate(GApplication *application, gpointer data) {
    struct window *self = data;
    kolk_error *error = NULL;
    (void)application;
    int status = crawl_open(&self->crawl, self->options.urls ? self->options.urls[0] : NULL, &error);
    if (status == 0) {
        show_window(self);
        start(self);
    } else {
        g_printerr("gtk_crawl: %s\n", error ? kolk_error_message(error) : kolk_status_message(status));
        self->exit_status = 1;
    }
    kolk_error_unref(error);
}

/* The window is gone, and with the last window the application ends. What is in flight must not report to it any more. */
static void on_window_removed(GtkApplication *application, GtkWindow *window, gpointer data) {
    struct window *self = data;
    (void)application;
    (void)window;
    self->window = NULL;
    crawler_finish(self->crawl.crawler);
    self->crawl.crawler = NULL;
}

/* ---- the program ---- */

static int on_options(GApplication *application, GVariantDict *unused, gpointer data) {
    const struct options *options = data;
    (void)application;
    (void)unused;
    if (options->pages >= 0 && (!options->urls || !options->urls[1]))
        return -1; // go on
    if (options->pages < 0)
        g_printerr("gtk_crawl: --pages %" PRId64 ": a number of pages from 1, or 0 for all of them\n", options->pages);
    else
        g_printerr("gtk_crawl: %s: there is a URL already: %s\n", options->urls[1], options->urls[0]);
    return 2;
}

static GtkApplication *new_application(struct window *self) {
    const GOptionEntry entries[] = {
        {"pages", 0, 0, G_OPTION_ARG_INT64, &self->options.pages, "Stop after so many pages", "N"},
        {"quit-when-done", 0, 0, G_OPTION_ARG_NONE, &self->options.quit_when_done, "Close the window at the end", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &self->options.urls, NULL, "[URL]"},
        {0}};
    GtkApplication *application = gtk_application_new(NULL, G_APPLICATION_NON_UNIQUE);
    g_application_add_main_option_entries(G_APPLICATION(application), entries);
    g_application_set_option_context_summary(
        G_APPLICATION(application), "Crawls what a URL leads to, or a small site of its own, and shows how far it is.");
    g_signal_connect(application, "handle-local-options", G_CALLBACK(on_options), &self->options);
    g_signal_connect(application, "activate", G_CALLBACK(on_activate), self);
    g_signal_connect(application, "window-removed", G_CALLBACK(on_window_removed), self);
    return application;
}

int main(int argc, char **argv) {
    struct window self = {0};
    self.application = new_application(&self);
    links_init();
    g_unix_signal_add(SIGTERM, on_terminate, &self);
    int exit_status = g_application_run(G_APPLICATION(self.application), argc, argv);
    crawl_close(&self.crawl);
    links_finish();
    g_object_unref(self.application);
    g_strfreev(self.options.urls);
    return exit_status ? exit_status : self.exit_status;
}
