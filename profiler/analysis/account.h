/*
 * What became of the samples that there should have been, and what the profiling cost: the facts of
 * a recording put together, for the summary and for machines.
 *
 * The ledger of the ebpf backend, whose program runs at every tick of every CPU:
 *
 *	expected = entries + idle unseen + missed
 *	entries	 = emitted + filtered + idle + lost
 */
#ifndef CPROF_ANALYSIS_ACCOUNT_H
#define CPROF_ANALYSIS_ACCOUNT_H

#include "profiler/recording/recording.h"

struct account {
	uint64_t expected;    /* 0: the recording has no ledger */
	bool has_entries;     /* what follows, up to idle, is there: the ebpf backend's */
	uint64_t entries;     /* runs of the kernel program */
	uint64_t missed;      /* ticks at which it did not run */
	uint64_t filtered;    /* at which something else ran */
	uint64_t idle;	      /* at which nothing ran ... */
	uint64_t idle_unseen; /* ... and the program did not, either */
	uint64_t emitted, lost;
	int64_t open; /* what is left of expected: 0 where it adds up */
};

void account_of(const struct recording *r, struct account *ret);

struct cost {
	uint64_t target_ns; /* CPU time of what was recorded; 0: not known */
	uint64_t all_ns;    /* CPU time of the profiling: the parts below, and the rest */
	uint64_t kernel_ns; /* of the kernel program, at the samples */
	uint64_t load_ns;   /* until it was loaded */
	uint64_t tables_ns; /* compiling unwind tables */
	uint64_t names_ns;  /* looking up names */
};

void cost_of(const struct recording *r, struct cost *ret);

/* A cost in per cent of the target's CPU time; 0 where that is not known. */
double cost_percent(const struct cost *c, uint64_t ns);

/* What comes with every sample: without the tables and the names, which are paid for once. */
uint64_t cost_running_ns(const struct cost *c);

#endif
