/* What was recorded, as a heading. */
#ifndef CPROF_ANALYSIS_TARGET_H
#define CPROF_ANALYSIS_TARGET_H

#include "base/buf.h"
#include "profiler/recording/recording.h"

/* Adds the words of the command, or what cprof attached to ("all CPUs"), printable; nothing where
 * the recording does not tell. */
void target_add(struct buf *out, const struct recording *r);

#endif
