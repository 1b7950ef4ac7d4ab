/* What a crawl found: the line while it runs, the table at its end, and the same as JSON. */
#ifndef CRAWL_REPORT_H
#define CRAWL_REPORT_H

#include "crawler.h"
#include "frontier.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report {
    const char *url;     /* Where it started. Static, or alive as long as the report. */
    const char *reactor; /* Static. */
    uint32_t jobs;
    bool interrupted;
    int64_t elapsed_ns;
};

/* Writes how far a crawl is. On a terminal the line replaces the one before; elsewhere it is one more line. */
void progress_print(FILE *out, bool on_terminal, const struct crawler_progress *progress);

/* Takes the line away again, if there is one. */
void progress_clear(FILE *out, bool on_terminal);

/* Writes the final table. Returns 0 or KOLK_ENOMEM. */
int report_print(FILE *out, const struct report *self, const struct frontier *frontier);

/* Writes everything as one JSON object. Returns 0, KOLK_ENOMEM, or KOLK_EIO when the file cannot be written. */
int report_write_json(FILE *out, const struct report *self, const struct frontier *frontier);

#endif
