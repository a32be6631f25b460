/*
 * Why the kernel refused an event or a ring, in words that tell what to do. An errno of
 * perf_event_open has many causes: a setting, a missing capability, a container's filter, a machine
 * without counters, a target of another user. The causes are told apart by facts that are looked up
 * at the time (profiler/perf/limits.h).
 */
#ifndef CPROF_PERF_EXPLAIN_H
#define CPROF_PERF_EXPLAIN_H

#include <linux/perf_event.h>
#include <sys/types.h>

#include "base/error.h"
#include "profiler/perf/limits.h"

/* What was asked for. */
struct pev_request {
	const struct perf_event_attr *attr;
	const char *event; /* its name as the user knows it */
	pid_t tid;	   /* 0 the caller itself, -1 every thread of a CPU */
};

/* The error of a perf_event_open that failed with errnum. */
struct error *pev_explain_open(int errnum, const struct pev_request *r) MUST_USE;

/* The error of a ring of `bytes` that could not be mapped. `rings` is how many the session wants in
 * all. */
struct error *pev_explain_ring(int errnum, uint64_t bytes, unsigned int rings) MUST_USE;

/* The same from given facts; `owner` is the target's user, (uid_t)-1 where it is not known. Pure.
 */
struct error *pev_explain_open_with(const struct pev_limits *l, int errnum,
				    const struct pev_request *r, uid_t owner) MUST_USE;
struct error *pev_explain_ring_with(const struct pev_limits *l, int errnum, uint64_t bytes,
				    unsigned int rings) MUST_USE;

#endif
