/* The reactor that is a host: it has the host watch, and hands out what the host told.
 *
 * What kolk watches is kept in a table by descriptor, so that a host may come later, go, and be followed by another. */
#pragma once

#include <kolk/guest.h>

namespace kolk {

extern const kolk_reactor_ops host_reactor;

/* For a state of that reactor. The host is asked for all that is watched so far: 0 or what it answered, and then it watches
 * nothing. */
[[nodiscard]] int host_reactor_bind(void *state, const kolk_host_ops &ops, void *userdata) noexcept;
void host_reactor_unbind(void *state) noexcept;

/* What the host told of a descriptor; one that is not watched is ignored. */
void host_reactor_tell(void *state, int fd, uint32_t events) noexcept;

/* The host tells again and again, and nobody may listen now: it is not to watch this one until it was collected, and the loop
 * is told that there is something to collect. */
void host_reactor_mute(void *state, int fd) noexcept;

/* What the host refused to watch again, when it was collected: 0, or what it answers now. */
[[nodiscard]] int host_reactor_watch_again(void *state) noexcept;

/* A host looks once and then tells of one descriptor after the other. What was told before may have been served since it
 * looked: then the kernel is asked whether that is still so. */
void host_reactor_doubt(void *state, int fd, bool doubtful) noexcept;
/* It is not collected now; the loop is told that there is something to collect. */
void host_reactor_put_off(void *state, int fd) noexcept;

} // namespace kolk
