/* The two halves of the pprof format. */
#ifndef CPROF_FLAMEGRAPH_PPROF_H
#define CPROF_FLAMEGRAPH_PPROF_H

#include "flamegraph/formats/format.h"

extern const struct format format_pprof;

/* Mappings that the writer makes up for frames known by name only, so that their kind survives. */
#define PPROF_KERNEL_FILE "[kernel.kallsyms]"
#define PPROF_JIT_FILE	  "[jit]"

bool pprof_detect(const void *bytes, size_t size, bool whole);
struct error *pprof_read(const void *bytes, size_t size, const struct read_options *o,
			 const struct format_notices *n, struct profile *ret) MUST_USE;

#endif
