/*
 * What every demo workload shares: its command line, its threads, the clock around the measured
 * part and the words it prints. A demo describes itself with a struct demo and calls demo_main().
 *
 * The output is for people and for `cprof demo`: the last line is "metric VALUE UNIT".
 */
#ifndef CPROF_DEMO_H
#define CPROF_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct demo_variant {
	const char *name; /* "baseline", "optimised", or a step between them */
	const char *about;
	const void *technique; /* the demo's own; what the variant does differently */
};

struct demo {
	const char *name;
	const char *about;
	const char *unit;      /* of the metric: "GB/s" */
	double work_per_unit;  /* how much work one unit is: 1e9 bytes */
	uint64_t default_size; /* bytes a thread works on */
	const struct demo_variant *variants;
	size_t variant_count;

	/* Set-up of one thread's data, outside the measured time; NULL: failed, and said so. */
	void *(*set_up)(uint64_t size);

	/* One round of the measured work. Returns the work done, or a negative number if the answer
	 * is wrong (it says how). */
	double (*round)(void *data, const struct demo_variant *variant);

	void (*tear_down)(void *data);
};

/* Parses the options, runs, prints. Returns the exit status. */
int demo_main(const struct demo *d, int argc, char **argv);

#endif
