/*
 * Why the kernel refused the sampling program, in words that tell what to do. Told apart by facts
 * that are looked up at the time, as in profiler/perf/explain.h: an EPERM of bpf() may be a missing
 * capability, a container's filter, a kernel that is locked down, or a security module.
 */
#ifndef CPROF_BPF_EXPLAIN_H
#define CPROF_BPF_EXPLAIN_H

#include <stdbool.h>

#include "base/error.h"
#include "profiler/perf/limits.h"

struct kern_limits {
	struct pev_limits perf;

	/* errno of a bpf() with a command that no kernel has. EINVAL: it came to the kernel's BPF
	 * code, or (before Linux 5.17 or so) did so with privileges. */
	int call_errno;
	int unprivileged_disabled; /* kernel.unprivileged_bpf_disabled; PEV_UNKNOWN */
	int jit;		   /* net.core.bpf_jit_enable; PEV_UNKNOWN */
	bool has_btf;		   /* the kernel describes its types */
	int has_loop;		   /* bpf_loop: 1 yes, 0 no, negative: not found out */
	bool may_freeze;	   /* freeze.h */
};

/* With `probe`, loads a program of one instruction to find out has_loop. */
void kern_limits_read(struct kern_limits *ret, bool probe);

/* Of a kernel that may freeze. Pure. */
struct error *kern_explain_freeze(void) MUST_USE;

/* What keeps the backend from running here whatever is tried; NULL: nothing known. Pure. */
struct error *kern_explain_limits(const struct kern_limits *l) MUST_USE;

/* The error of `what` ("loading the sampling program") that failed with errnum; `words` is what the
 * kernel's verifier said last, or "". Never NULL. Pure. */
struct error *kern_explain_with(const struct kern_limits *l, int errnum, const char *what,
				const char *words) MUST_USE;
struct error *kern_explain(int errnum, const char *what, const char *words) MUST_USE;

/* The error of a machine, or a control group, that has less memory left than loading takes. Pure.
 */
struct error *kern_explain_memory(uint64_t left, uint64_t needed) MUST_USE;

#endif
