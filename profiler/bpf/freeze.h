/*
 * Kernels that a BPF program may freeze by reading user memory in an interrupt: with
 * CONFIG_HARDENED_USERCOPY they look up, under a lock, what memory the copy goes to
 * (check_object_size, find_vmap_area), and the interrupted code may hold that lock. Since Linux
 * 5.19; mended in 6.4 (d319f344561d), 6.3.10 and 6.1.36. There is nothing to try this by but to
 * freeze, so here alone versions are compared.
 */
#ifndef CPROF_BPF_FREEZE_H
#define CPROF_BPF_FREEZE_H

#include <stdbool.h>

/* What a kernel says of itself. */
struct kern_version {
	const char *release;   /* uname -r: "6.1.0-50-amd64" */
	const char *version;   /* uname -v: "#1 SMP ... Debian 6.1.176-1 (2026-01-02)" */
	const char *signature; /* /proc/version_signature of Ubuntu, or "" */
	const char *config;    /* what it was built with, as far as that is known, or "" */
};

bool kern_version_may_freeze(const struct kern_version *v); /* pure */

/* The running kernel. */
bool kern_may_freeze(void);

#endif
