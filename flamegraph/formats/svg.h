/* The SVG flame graph: written only. */
#ifndef CPROF_FLAMEGRAPH_SVG_H
#define CPROF_FLAMEGRAPH_SVG_H

#include "flamegraph/formats/format.h"

extern const struct format format_svg;

#endif
