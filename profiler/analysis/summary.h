/*
 * What people want to know of a recording: how much was sampled, how good the stacks are, what was
 * lost and why, what cprof cost, and where the time went. `cprof record` ends with it, `cprof
 * report` starts with it.
 */
#ifndef CPROF_ANALYSIS_SUMMARY_H
#define CPROF_ANALYSIS_SUMMARY_H

#include "base/buf.h"
#include "flamegraph/model/profile.h"
#include "profiler/analysis/health.h"

/*
 * Adds the lines of the summary to out: samples, completeness with the reasons, the ledger, kernel
 * time that is not visible, overhead, whether there are too few samples or the recording was cut,
 * and the diagnostics. `indent` stands before each line.
 */
void summary_health(const struct recording *r, const char *indent, struct buf *out);

/* Adds the n hottest functions of the profile's default type, a line each: share and name. Names
 * are cut at `width` columns (0: never). */
void summary_hottest(const struct profile *p, size_t n, unsigned int width, const char *indent,
		     struct buf *out);

/* Both, for the end of `record`: five functions. */
void summary_print(const struct recording *r, const struct profile *p, unsigned int width,
		   struct buf *out);

/* Adds a name for the terminal, at most `width` columns (0: all of it): the end is kept as "...".
 */
void summary_add_name(struct buf *out, const char *name, size_t len, unsigned int width);

/* What is put behind a name: "_[k]" in the kernel, "_[j]" compiled at run time, "" for others and
 * for names that say so themselves (`[jit]`). */
const char *summary_mark(const char *name, enum frame_kind kind);

/* A ledger line that has a number: by its key in the recording, and for people. */
struct summary_loss {
	const char *key;
	const char *words;
};

/* Why samples are missing; ended by a NULL key. */
extern const struct summary_loss summary_losses[];

#endif
