/* A future that waits for one other, its source, and ends because of it: what then, catch, follow, shield and wait_for have in
 * common.
 *
 * While it waits it is an item in the source's list and a resource of the loop, and holds a reference to itself, so that a
 * chain whose handles were dropped runs to its end all the same. A result stays the source's, which is kept for it; a source
 * without one is let go as soon as it is done.
 *
 * Chains may be long, and whoever cancels or drops one may be a fiber with little stack left: neither recurses. A chain may
 * even lead back to itself, by way of follow; then cancelling ends the one that is met for the second time. */
#pragma once

#include "core/future/burial.hh"

namespace kolk {

struct dependent : ready_item, resource, holder {
    future *source;          /* referenced; nullptr when nothing of it is needed any more */
    bool cancelling = false; /* its source was asked to end, by way of this */

    dependent(future &self, future &of, void (*source_done)(ready_item &, bool) noexcept) noexcept
        : ready_item(source_done), resource(loop_closes), holder{&self}, source(&of) {
        of.ref();
    }

    void begin() noexcept;
    /* The last of what is done when the source is done, after `who` was finished or left to others. */
    void leave() noexcept;
    /* Ends the wait before the source is done, or what was to be done then is. */
    void abandon() noexcept;

  private:
    friend bool cancel_source(future &first) noexcept;
    static void loop_closes(resource &held) noexcept;

    bool asked = false; /* to cancel its source, right now */
};

/* The `cancel` and the `bury` of dependents; what does not pass a request on to its source has another `cancel`. */
bool cancel_source(future &first) noexcept;
void bury_dependent(holder &self, burial &rest) noexcept;

struct dependent_kind : holder_kind {
    /* Drops what was to be done with the outcome; nullptr: there is nothing. */
    void (*forget)(dependent &self) noexcept;
    /* Gives back the dependent, and with it the future, unless it returns that: it is of another kind now. The source is not
     * its business. */
    future *(*destroy)(dependent &self) noexcept;
};

} // namespace kolk
