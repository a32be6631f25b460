/*
 * Events of the kernel's perf interface: names to attributes, and opening them. What an event may
 * ask for (kernel samples, build ids, loss counts) depends on the kernel and on permissions;
 * pev_sampling_probe() finds that out once, by opening it, and not by comparing versions.
 */
#ifndef CPROF_PERF_EVENT_H
#define CPROF_PERF_EVENT_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* An event that can be sampled. */
struct pev_kind {
	const char *name; /* as typed: "cpu-clock" */
	uint32_t type;	  /* PERF_TYPE_* */
	uint64_t config;
	const char *value_type, *unit; /* "cpu", "nanoseconds" */
	bool is_clock;		       /* counts nanoseconds: sampled by frequency */
	uint64_t period;	       /* of the others, where nothing is asked for */
	const char *about;
};

/* The event of a name; an unknown name is an ERR_USAGE that names the nearest one. */
struct error *pev_find_kind(const char *name, const struct pev_kind **ret) MUST_USE;

/* All that there are, ended by one without a name. */
extern const struct pev_kind pev_kinds[];

/* The sampling event of a session: what to open for each thread and CPU. */
struct pev_sampling {
	const struct pev_kind *kind;
	struct perf_event_attr attr;
	bool sees_kernel; /* kernel samples and kernel frames */
	bool counts_lost; /* read() gives lost samples */

	/* Each thread keeps its own events. Before Linux 6.12 the scheduler may exchange those of
	 * two threads that inherited them from one, and a shell that forks loses what it ran of a
	 * period with each child. Samples that carry counts (PERF_SAMPLE_READ) forbid that. */
	bool keeps_own;
};

/*
 * Fills the attributes and finds out what is allowed by opening the event, disabled, on the calling
 * thread. stack_bytes is a multiple of 8 up to PEV_STACK_MAX. `user_only` leaves the kernel out.
 */
struct error *pev_sampling_probe(const struct pev_kind *kind, uint64_t period, uint32_t stack_bytes,
				 bool user_only, struct pev_sampling *ret) MUST_USE;

/* The largest copy of a stack that the kernel's 16-bit record size has room for. */
#define PEV_STACK_MAX 65528u

/* perf_event_open(2), close-on-exec. Returns the descriptor, or -1 with errno. */
int pev_open(const struct perf_event_attr *attr, pid_t tid, int cpu, int group,
	     unsigned long flags);

/* What read() of an opened sampling event gives. */
struct pev_count {
	uint64_t value, enabled_ns, running_ns, id, lost;
};
bool pev_read(int fd, const struct pev_sampling *s, struct pev_count *ret);

#endif
