/* Raw symbol names made readable: C++, Rust (legacy and v0), D through libiberty. */
#ifndef CPROF_SYMBOLIZER_DEMANGLE_H
#define CPROF_SYMBOLIZER_DEMANGLE_H

#include "base/buf.h"
#include "base/name_style.h"

/* Adds the readable form of a raw name to out; a name that cannot be demangled stays as it is.
 * Input over 32 KiB is not demangled, output is cut at 8 KiB with an ellipsis. */
void name_demangle(const char *raw, enum name_style style, struct buf *out);

#endif
