/* The text of /tmp/perf-PID.map: which functions a process compiled at run time, and where. */
#ifndef CPROF_SYMBOLIZER_PERF_MAP_H
#define CPROF_SYMBOLIZER_PERF_MAP_H

#include "symbolizer/symbolizer.h"

/* A module of size bytes of text, which it takes and frees. Lines that are not understood are left
 * out, also a last one that is still being written. */
struct symbol_module *perf_map_parse(char *take_text, size_t size);

#endif
