/* What to do about stacks that are cut, where there is something that can be done. */
#ifndef CPROF_ANALYSIS_ADVICE_H
#define CPROF_ANALYSIS_ADVICE_H

#include "base/buf.h"
#include "profiler/analysis/health.h"

/* A line for each reason that many stacks are cut for. */
void advice_add(const struct health *h, const char *indent, struct buf *out);

#endif
