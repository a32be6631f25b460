/* The CPU limits of the control groups that a process is in (cpu.max; of the first version
 * cpu.cfs_quota_us): how often, and for how long, they held it back. */
#ifndef CPROF_PROCESS_CPU_LIMIT_H
#define CPROF_PROCESS_CPU_LIMIT_H

#include <stdint.h>

#include "base/vec.h"

struct proc_cpu_limits {
	VEC(char *) files; /* the groups' cpu.stat */
};

/* The groups of a process and those above them; none where they cannot be found. */
void proc_cpu_limits_init(struct proc_cpu_limits *l, uint32_t pid);
void proc_cpu_limits_deinit(struct proc_cpu_limits *l);

struct proc_held_back {
	uint64_t times; /* periods of the limit in which it was reached */
	uint64_t ns;	/* that CPUs were held back, all together */
};

/* Until now, of all time. */
void proc_cpu_limits_read(const struct proc_cpu_limits *l, struct proc_held_back *ret);

#endif
