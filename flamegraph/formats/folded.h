/* The two halves of the folded format, for folded.c's table entry. */
#ifndef CPROF_FLAMEGRAPH_FOLDED_H
#define CPROF_FLAMEGRAPH_FOLDED_H

#include "flamegraph/formats/format.h"

extern const struct format format_folded;

bool folded_detect(const void *bytes, size_t size, bool whole);
struct error *folded_read(const void *bytes, size_t size, const struct read_options *o,
			  const struct format_notices *n, struct profile *ret) MUST_USE;

#endif
