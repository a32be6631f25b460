/* The `--names` styles for names that come from text, demangled already. */
#ifndef CPROF_FLAMEGRAPH_TIDY_H
#define CPROF_FLAMEGRAPH_TIDY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/name_style.h"

/*
 * Adds the name s[0..n) in a style to out. NAMES_PERL gives what stackcollapse-perf.pl gives, but
 * that a parenthesis inside template arguments does not cut the name (`std::function<int
 * (int)>::operator()` becomes `std::function<int (int)>::operator`); `java` says that the process's
 * name starts with that word, whose signatures the script condenses.
 */
void name_tidy(const char *s, size_t n, enum name_style style, bool java, struct buf *out);

#endif
