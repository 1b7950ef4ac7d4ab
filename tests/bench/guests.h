/* What the benchmarks of guests share: a loop that lives in one of the hosts of the conformance suite.
 *
 * A program is made of tests/hosts/host_….c and a file that defines run_conformance() to measure, instead of checking rules. */
#ifndef GUESTS_H
#define GUESTS_H

#include "../hosts/host.h"

struct stay {
    kolk_loop *loop;
    kolk_guest *guest;
};

/** Whether this table is the one that @p way is about: "plugin" is for hosts with a reactor that rides on them, the others for
 * those without. Ends the program if the host does not serve that way, or if nothing was ever asked for in the end. */
int is_asked_for(const struct host *host, const char *way);

/** A new loop in the host. @p module is the file of the plugin; NULL: it is looked for where the tests have it, then by name.
 */
struct stay open_stay(const struct host *host, void *self, const char *way, const char *module);

void close_stay(struct stay *stay);

#endif
