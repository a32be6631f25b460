/*
 * A recording as a profile: named stacks with values, which every format and picture is made of.
 */
#ifndef CPROF_ANALYSIS_PROFILE_OF_H
#define CPROF_ANALYSIS_PROFILE_OF_H

#include "base/name_style.h"
#include "flamegraph/model/profile.h"
#include "profiler/recording/recording.h"

struct analysis_options {
	enum name_style names;
	bool label_ids; /* labels pid and tid too: then samples of several threads do not merge */
};

/*
 * Makes the profile of a recording (completed by naming_complete() where it is to be named here).
 * *ret is initialised here. Value types are samples/count and
 * one for each type of event, the first of which is the default. Stacks start with `[truncated:
 * STATUS]` or `[guessed]` where the walk did not reach the thread's entry. The profile does not
 * refer to the recording.
 */
void analysis_profile(const struct recording *r, const struct analysis_options *o,
		      struct profile *ret);

#endif
