/*
 * Names on their way into a page. They come from outside: a symbol may hold `</script>`, an escape
 * sequence for a terminal, bytes that are not UTF-8, or marks that turn the reading direction
 * round.
 */
#ifndef CPROF_FLAMEGRAPH_ESCAPE_H
#define CPROF_FLAMEGRAPH_ESCAPE_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Adds n bytes as XML, good for an element's text and for an attribute in double quotes. Becomes
 * U+FFFD: each byte that is not UTF-8, each control character (tabs and line ends too), the two
 * noncharacters that XML forbids, and the marks that override the direction of text (a name must
 * not be able to reorder the numbers behind it).
 */
void xml_add(struct buf *out, const char *s, size_t n);

#endif
