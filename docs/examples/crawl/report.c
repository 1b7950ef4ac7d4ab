#include "report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { status_codes = 1000, error_kinds = 13 };

/* How errors are called in the table and in JSON. The last row is for all others. */
static const struct {
    int status;
    const char *kind;
} kinds[error_kinds] = {
    {KOLK_ETIMEDOUT, "timeout"},
    {KOLK_EEOF, "truncated"},
    {KOLK_EUNSPECIFIED, "malformed"},
    {KOLK_ELIMIT, "too large"},
    {KOLK_EREFUSED, "refused"},
    {KOLK_ERESET, "reset"},
    {KOLK_EPIPE, "closed"},
    {KOLK_EUNREACH, "unreachable"},
    {KOLK_ENONAME, "host not found"},
    {KOLK_EADDRNOTAVAIL, "no address left"},
    {KOLK_EMFILE, "no descriptor left"},
    {KOLK_ENOMEM, "out of memory"},
    {0, "other"},
};

struct tally {
    uint64_t by_status[status_codes];
    uint64_t by_kind[error_kinds];
    const struct page *example[error_kinds]; /* The first page with an error of this kind. */
};

static size_t kind_of(const struct page *page) {
    size_t kind = 0;
    while (kind < error_kinds - 1 && kinds[kind].status != kolk_error_status(page->error))
        kind++;
    return kind;
}

static struct tally count(const struct frontier *frontier) {
    struct tally tally = {0};
    for (const struct page *page = frontier->pages; page; page = page->hh.next) {
        if (page->state == PAGE_ANSWERED)
            tally.by_status[page->status]++;
        if (page->state != PAGE_FAILED)
            continue;
        size_t kind = kind_of(page);
        if (tally.by_kind[kind]++ == 0)
            tally.example[kind] = page;
    }
    return tally;
}

/* ---- while it runs ---- */

static double seconds(int64_t nanoseconds) { return (double)nanoseconds / 1e9; }

static double rate(uint64_t pages, int64_t elapsed_ns) { return elapsed_ns > 0 ? (double)pages / seconds(elapsed_ns) : 0; }

static void print_bytes(FILE *out, uint64_t bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1000 && unit < 4; unit++)
        amount /= 1000;
    fprintf(out, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}

/* On a terminal the line begins where the last one did, is cut at the edge instead of wrapped, and clears what was longer. */
void progress_print(FILE *out, bool on_terminal, const struct crawler_progress *progress) {
    fprintf(out, "%s%.1f s: %llu pages, ", on_terminal ? "\r\033[?7l" : "", seconds(progress->elapsed_ns),
            (unsigned long long)progress->done);
    print_bytes(out, progress->bytes);
    fprintf(out, ", %u in flight, %llu to do, %llu errors, %.0f pages/s%s", progress->in_flight,
            (unsigned long long)progress->to_do, (unsigned long long)progress->failed,
            rate(progress->done, progress->elapsed_ns), on_terminal ? "\033[K\033[?7h" : "\n");
    fflush(out);
}

void progress_clear(FILE *out, bool on_terminal) {
    if (on_terminal)
        fputs("\r\033[K", out);
    fflush(out);
}

/* ---- the table ---- */

static int by_size(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* The smallest time that at least so many percent of the pages kept within. */
static int64_t percentile(const int64_t *sorted, size_t count, size_t percent) {
    return count ? sorted[(count * percent + 99) / 100 - 1] : 0;
}

static int print_times(FILE *out, const struct frontier *frontier) {
    size_t used = 0;
    int64_t *times = calloc(frontier->answered + 1, sizeof *times);
    if (!times)
        return KOLK_ENOMEM;
    for (const struct page *page = frontier->pages; page; page = page->hh.next)
        if (page->state == PAGE_ANSWERED)
            times[used++] = page->duration_ns;
    qsort(times, used, sizeof *times, by_size);
    fprintf(out, "fetch time  p50 %.1f ms, p99 %.1f ms\n", seconds(percentile(times, used, 50)) * 1e3,
            seconds(percentile(times, used, 99)) * 1e3);
    free(times);
    return 0;
}

static void print_statuses(FILE *out, const struct tally *tally) {
    const char *label = "statuses";
    for (int status = 0; status < status_codes; status++) {
        if (tally->by_status[status] == 0)
            continue;
        fprintf(out, "%-10s  %d  %8llu\n", label, status, (unsigned long long)tally->by_status[status]);
        label = "";
    }
}

static void print_errors(FILE *out, const struct tally *tally) {
    const char *label = "errors";
    for (size_t kind = 0; kind < error_kinds; kind++) {
        const struct page *example = tally->example[kind];
        if (!example)
            continue;
        fprintf(out, "%-10s  %s: %llu, such as %s: %s\n", label, kinds[kind].kind, (unsigned long long)tally->by_kind[kind],
                example->target, kolk_error_message(example->error));
        label = "";
    }
    if (*label)
        fprintf(out, "%-10s  none\n", label);
}

int report_print(FILE *out, const struct report *self, const struct frontier *frontier) {
    struct tally tally = count(frontier);
    fprintf(out, "%s %s (reactor %s, %u jobs)\n\n", self->interrupted ? "interrupted while crawling" : "crawled", self->url,
            self->reactor, self->jobs);
    fprintf(out, "pages       %llu\n", (unsigned long long)(frontier->answered + frontier->failed));
    fprintf(out, "bytes       %llu\n", (unsigned long long)frontier->bytes);
    print_statuses(out, &tally);
    print_errors(out, &tally);
    fprintf(out, "elapsed     %.3f s\n", seconds(self->elapsed_ns));
    fprintf(out, "rate        %.0f pages/s\n", rate(frontier->answered + frontier->failed, self->elapsed_ns));
    return print_times(out, frontier);
}

/* ---- JSON ---- */

/* jansson's "new reference" functions take the value over, also when it is NULL because memory ran out, and then fail. */
static int page_to_json(json_t *pages, const struct page *page) {
    json_t *entry = json_object();
    json_t *outcome = page->state == PAGE_ANSWERED ? json_integer(page->status) : json_string(kinds[kind_of(page)].kind);
    int failed = json_object_set_new(entry, "url", json_string(page->target));
    failed |= json_object_set_new(entry, page->state == PAGE_ANSWERED ? "status" : "error", outcome);
    failed |= json_object_set_new(entry, "bytes", json_integer((json_int_t)page->bytes));
    failed |= json_object_set_new(entry, "depth", json_integer(page->depth));
    failed |= json_array_append_new(pages, entry);
    return failed;
}

static int tallies_to_json(json_t *statuses, json_t *errors, const struct tally *tally) {
    int failed = 0;
    for (int status = 0; status < status_codes; status++) {
        char name[12];
        snprintf(name, sizeof name, "%d", status);
        if (tally->by_status[status] > 0)
            failed |= json_object_set_new(statuses, name, json_integer((json_int_t)tally->by_status[status]));
    }
    for (size_t kind = 0; kind < error_kinds; kind++)
        if (tally->by_kind[kind] > 0)
            failed |= json_object_set_new(errors, kinds[kind].kind, json_integer((json_int_t)tally->by_kind[kind]));
    return failed;
}

int report_write_json(FILE *out, const struct report *self, const struct frontier *frontier) {
    struct tally tally = count(frontier);
    json_t *root = json_object(), *pages = json_array(), *statuses = json_object(), *errors = json_object();
    int failed = tallies_to_json(statuses, errors, &tally);
    for (const struct page *page = frontier->pages; page; page = page->hh.next)
        if (page->state == PAGE_ANSWERED || page->state == PAGE_FAILED)
            failed |= page_to_json(pages, page);
    failed |= json_object_set_new(root, "pages", pages);
    failed |= json_object_set_new(root, "statuses", statuses);
    failed |= json_object_set_new(root, "errors", errors);
    failed |= json_object_set_new(root, "seconds", json_real(seconds(self->elapsed_ns)));
    int unwritten = failed ? 0 : json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) || putc('\n', out) == EOF;
    json_decref(root);
    return failed ? KOLK_ENOMEM : unwritten ? KOLK_EIO : 0;
}
