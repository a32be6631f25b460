/* What the machine kept from the targets while they were recorded: CPU time that went to other
 * machines, waiting for a CPU, limits of control groups, sampling rates that the kernel lowered. */
#ifndef CPROF_CAPTURE_MACHINE_H
#define CPROF_CAPTURE_MACHINE_H

#include "profiler/process/cpu_limit.h"

struct capture;

/* Counters of all time. What the kernel does not tell is 0. */
struct session_machine {
	uint64_t steal_ns;    /* of all CPUs */
	uint64_t wait_ns;     /* of all threads, ready to run and without a CPU */
	uint64_t pressure_ns; /* while at least one thread waited for a CPU */
	uint64_t max_rate_hz;
	struct proc_held_back held_back;
	struct proc_cpu_limits limits; /* of the target; none where there are many */
};

/* When sampling begins. */
void session_machine_begin(struct capture *c);

/* When it is over: the differences, as facts and diagnostics. */
void session_machine_end(struct capture *c);

void session_machine_deinit(struct session_machine *m);

#endif
