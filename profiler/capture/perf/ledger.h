/*
 * The ledger: how many samples there should have been, by the kernel's own counts, and where each
 *of them went. Every term is measured on its own, and what is left over is shown:
 *
 *   expected = the events' counts (nanoseconds on a CPU, for clocks) over the period
 *	      = emitted		 records that came
 *	      + lost		 for which the ring had no room, by the kernel's count
 *	      + throttled	 while the kernel held the event back
 *	      + unsampled	 what each thread ran since its last sample on a CPU: a thread that
 *				 runs for less than a period is never sampled, since each starts
 *				 its own (two such rests, where an event with longer copies took
 *				 over: see grow.h)
 *	      + not visible	 ticks in the kernel, where only user code may be sampled
 *	      + unexplained	 ticks that came late and stand for several (interrupts off, a
 *virtual machine that was not run)
 */
#ifndef CPROF_CAPTURE_PERF_LEDGER_H
#define CPROF_CAPTURE_PERF_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/vec.h"

/* One thread on one CPU. */
struct ledger_entry {
	uint32_t thread, cpu;
	uint64_t samples;
	uint64_t weight; /* of its samples */
	uint64_t count;	 /* of the event, once the thread has ended */
	bool has_ended;
	bool was_split; /* two events took turns: a period may have begun in either */
};

struct ledger {
	VEC(struct ledger_entry) entries;
	struct map by_thread;		     /* (thread, cpu) -> entry */
	uint64_t emitted, weight;	     /* samples, and the sum of their weights */
	uint64_t lost_records, lost_samples; /* as told in the rings */
	uint64_t throttled_ns;
	struct map throttled_since; /* stream of an event -> index of starts */
	VEC(uint64_t) starts;	    /* time; 0: not throttled now */
	uint64_t damaged;
};

void ledger_deinit(struct ledger *l);

void ledger_sample(struct ledger *l, uint32_t thread, uint32_t cpu, uint64_t weight);
/* A sample of the thread's event was dropped: another event's stands for it. */
void ledger_split(struct ledger *l, uint32_t thread, uint32_t cpu);
void ledger_ended(struct ledger *l, uint32_t thread, uint32_t cpu, uint64_t count);
void ledger_throttle(struct ledger *l, uint64_t stream, bool start, uint64_t time_ns);

/* What the counts of the threads say. */
struct ledger_rest {
	int64_t unsampled;	  /* sum of what was left of a period */
	uint64_t unsampled_tasks; /* threads that ran and were never sampled */
	int64_t beyond;		  /* whole periods that no sample stands for */
};

/* Sums up over the threads that have ended; each(context, thread, whole periods in units) is called
 * for every thread that has some. */
void ledger_sum(const struct ledger *l, uint64_t period, struct ledger_rest *ret,
		void (*each)(void *context, uint32_t thread, int64_t beyond), void *context);

#endif
