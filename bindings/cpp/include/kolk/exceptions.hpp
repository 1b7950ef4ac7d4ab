/**
 * @file exceptions.hpp
 * Whether this program is compiled with exceptions.
 *
 * What depends on it lives in an inline namespace of its own, so that parts of one program may be compiled either way: a name
 * of one kind is never linked to the other.
 */
#ifndef KOLK_EXCEPTIONS_HPP
#define KOLK_EXCEPTIONS_HPP

#ifdef __cpp_exceptions
#define KOLK_CPP_EXCEPTIONS 1       /**< 1: what fails throws, unless it is asked not to. */
#define KOLK_CPP_NAMESPACE throwing /**< Part of the names of what depends on it. */
#else
#define KOLK_CPP_EXCEPTIONS 0        /**< 0: what can fail returns a kolk::result. */
#define KOLK_CPP_NAMESPACE returning /**< Part of the names of what depends on it. */
#endif

#endif
