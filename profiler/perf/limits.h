/*
 * What this machine and this process' privileges allow of perf events: the facts behind `cprof
 * doctor` and behind the explanation of a perf_event_open that was refused. Settings are read where
 * the kernel shows them; whether the system call is reachable at all is found out by making it.
 */
#ifndef CPROF_PERF_LIMITS_H
#define CPROF_PERF_LIMITS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PEV_UNKNOWN INT_MIN /* a setting that the kernel does not have or does not show */

struct pev_limits {
	uid_t uid;	 /* effective */
	uint64_t caps;	 /* effective capabilities, a bit each */
	bool in_user_ns; /* capabilities count inside a user namespace only: perf does not honour
			    them */
	int seccomp;	 /* of /proc/self/status: 0 none, 1 strict, 2 a filter; PEV_UNKNOWN */

	/* errno of a perf_event_open that every kernel refuses with EINVAL before it looks at
	 * permissions. Another one means that the call did not reach the kernel's perf code. */
	int call_errno;

	int paranoid;	   /* perf_event_paranoid */
	int kptr_restrict; /* 0: kernel addresses are shown */
	int ptrace_scope;  /* of Yama */
	char lockdown[24]; /* "none", "integrity", "confidentiality"; "" where there is none */

	uint64_t max_sample_rate; /* Hz a CPU; 0 unknown */
	uint64_t mlock_kb;	  /* perf_event_mlock_kb: of all rings of a user, for each CPU */
	uint64_t memlock_bytes;	  /* RLIMIT_MEMLOCK, which comes on top; UINT64_MAX unlimited */
	uint64_t nofile, nofile_hard;
	unsigned int cpus; /* online */
};

void pev_limits_read(struct pev_limits *ret);

/* The highest rate that the kernel allows now, in Hz; 0 where it does not say. */
uint64_t pev_max_sample_rate(void);

/* The two capabilities that lift perf_event_paranoid, where they count. */
bool pev_limits_privileged(const struct pev_limits *l);

/* A filter, or a sandbox that plays the kernel, keeps the system call away from the kernel. */
bool pev_limits_call_filtered(const struct pev_limits *l);

/* Bytes that the rings of this user may have in each CPU's share, if `rings` are mapped and nothing
 * else of the user's is; UINT64_MAX without a limit. A ring is a power of two pages and one more.
 */
uint64_t pev_limits_ring_bytes(const struct pev_limits *l, unsigned int rings);

/* "CAP_PERFMON", or NULL where the bit has no name here. */
const char *pev_cap_name(int cap);

#define PEV_CAP_IPC_LOCK   14
#define PEV_CAP_SYS_PTRACE 19
#define PEV_CAP_SYS_ADMIN  21
#define PEV_CAP_PERFMON	   38
#define PEV_CAP_BPF	   39

static inline bool pev_limits_has_cap(const struct pev_limits *l, int cap)
{
	return l->caps >> cap & 1;
}

#endif
