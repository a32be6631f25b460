/* The insides of the perf backend, for the files of this folder. */
#ifndef CPROF_CAPTURE_PERF_H
#define CPROF_CAPTURE_PERF_H

#include "profiler/capture/backend.h"
#include "profiler/capture/perf/events.h"
#include "profiler/capture/perf/grow.h"
#include "profiler/capture/perf/ledger.h"
#include "profiler/capture/session.h"

struct perf_state {
	struct events events;
	struct grow grow;
	struct ledger ledger;
	VEC(uint32_t) ended; /* processes whose end was told, to be looked at once more */
	uint64_t checked_ns; /* when what has ended was looked for */
};

static inline struct perf_state *perf_of(const struct capture *c)
{
	return c->backend_state;
}

/* drain.c: everything in the rings up to a time. */
void perf_drain(struct capture *c, bool is_last);

/* Until a thread's copies grow its stacks are cut: looks closely for a while. */
void perf_watch(struct capture *c, uint64_t time_ns);

/* What was not told: threads that have ended, processes that gained privileges. */
void perf_tend(struct capture *c, uint64_t now_ns);

/* Processes that are said to have ended, and live: the kernel takes its events from a program that
 * gains privileges (setuid). Each becomes a diagnostic. */
void perf_check_ended(struct capture *c);

/* sample.c: unwinds a sample and writes it. */
void perf_sample(struct capture *c, const struct pev_record *r);

/* finish.c: the ledger, as facts and diagnostics. */
void perf_write_facts(struct capture *c);

#endif
