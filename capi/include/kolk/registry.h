/**
 * @file registry.h
 * Which reactors can be chosen, and how more are added.
 *
 * A name is looked for among the reactors built into the library and those a program registered, then as the file
 * `kolk-reactor-NAME.so` in the one directory compiled into the library. Nothing else is searched; no environment variable
 * can add a file. A module is opened with RTLD_NOW, RTLD_LOCAL and RTLD_NODELETE, checked, and refused with a reason if
 * anything is missing. What was refused does not stay loaded; what was accepted is never unloaded.
 *
 * The environment variable KOLK_REACTOR may choose among the names that can be chosen anyway, for loops whose options name no
 * reactor. It is ignored in programs that run with more privileges than their caller.
 */
#ifndef KOLK_REGISTRY_H
#define KOLK_REGISTRY_H

#include <kolk/error.h>
#include <kolk/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Lists the reactors that can be opened here, the default order first. Each one is opened and closed to find out.
 *
 * @param ret_names  Receives the names, static strings; may be NULL when @p capacity is 0.
 * @param capacity   How many fit.
 * @return how many there are, which may be more than @p capacity; or #KOLK_EINVAL.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_reactor_names(const char **ret_names, uint32_t capacity) KOLK_NOEXCEPT;

/**
 * Finds a reactor by name, loading its module if need be.
 *
 * @param name       Letters, digits, '_' and '-', at most 64 of them; anything else is refused before any file is touched.
 * @param ret_ops    Receives the table. Static.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL for a name that cannot be one, #KOLK_ENOENT for an unknown one, #KOLK_EPLUGIN for a broken module.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_reactor_find(const char *name, const kolk_reactor_ops **ret_ops, kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * Loads a reactor module from a file. The table can be given to kolk_loop_options::reactor_ops at once, or to
 * kolk_reactor_register() to be found by name.
 *
 * @param path       Absolute.
 * @param ret_ops    Receives the table. Static.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_EINVAL for a relative path, #KOLK_EPLUGIN when the file is no usable reactor.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_reactor_load(const char *path, const kolk_reactor_ops **ret_ops, kolk_error **ret_error) KOLK_NOEXCEPT;

/**
 * Lets a reactor be found by its name.
 *
 * @param ops        Checked as a module's table is. Must stay valid for the life of the process.
 * @param ret_error  Receives the reason when this fails; may be NULL. @ref owned_by_caller.
 * @return 0; #KOLK_EPLUGIN when a member is missing, #KOLK_EEXIST when the name is taken, #KOLK_ELIMIT beyond 32 of them.
 * @threads{any} @since 0.1
 */
KOLK_API int kolk_reactor_register(const kolk_reactor_ops *ops, kolk_error **ret_error) KOLK_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
