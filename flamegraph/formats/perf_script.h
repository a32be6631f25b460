/* `perf script` text, for format.c's table. */
#ifndef CPROF_FLAMEGRAPH_PERF_SCRIPT_H
#define CPROF_FLAMEGRAPH_PERF_SCRIPT_H

#include "flamegraph/formats/format.h"

extern const struct format format_perf_script;

#endif
