/* How good a recording is: how many of its stacks are whole, and how the others ended. */
#ifndef CPROF_ANALYSIS_HEALTH_H
#define CPROF_ANALYSIS_HEALTH_H

#include "base/buf.h"
#include "profiler/recording/recording.h"

/* Fewer samples than this say little. */
#define HEALTH_FEW_SAMPLES 200

/* No higher sampling rate is recommended: taking the samples would show in the picture. */
#define HEALTH_RATE_MAX 9999

struct health {
	uint64_t samples; /* taken; time that is only booked (`[kernel, not visible]`) is not */
	uint64_t by_status[UNWIND_STATUS_COUNT];
	uint64_t whole, cut; /* stacks; the rest of the samples has no user stack to walk */
	uint64_t span_ns;    /* from the first sample to the last */
};

void health_of(const struct recording *r, struct health *ret);

/* Is this time without a stack, booked under a name? */
bool health_is_booked(const struct recording *r, const struct recording_sample *s);

/* Adds "99.98 %": the share of whole stacks, never rounded up to 100. */
void health_add_percent(struct buf *out, const struct health *h);

/* The sampling rate that would have given enough samples, a round number; 0 where there were
 * enough, or where no sensible rate would do. */
uint64_t health_better_frequency(const struct recording *r, const struct health *h);

#endif
