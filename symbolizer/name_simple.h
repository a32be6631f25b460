/*
 * Demangled names made short: `ns::Class<T>::f(int) const` becomes `ns::Class::f`. Works on text,
 * because that is what all demanglers give. A name whose brackets do not match is added as it is.
 */
#ifndef CPROF_SYMBOLIZER_NAME_SIMPLE_H
#define CPROF_SYMBOLIZER_NAME_SIMPLE_H

#include "base/buf.h"

/* C++ and D: without template arguments, arguments, return type, qualifiers and ABI tags.
 * Operators, lambdas with their parameters' outer types, and anonymous namespaces stay. */
void name_simplify_cxx(const char *name, size_t len, struct buf *out);

/* Rust: without generic arguments, but `<Type as Trait>::f` and `<impl Trait for Type>::f` stay. */
void name_simplify_rust(const char *name, size_t len, struct buf *out);

#endif
