#include "profiler/perf/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

static char *read_text(const char *path)
{
	struct error *err;
	char *text;

	err = file_read_proc(path, 65536, &text, NULL);
	if (!err)
		return text;
	error_free(err);
	return NULL;
}

static int read_setting(const char *path)
{
	char *text = read_text(path), *end;
	int value = PEV_UNKNOWN;

	if (text) {
		long v = strtol(text, &end, 10);
		if (end != text && v > INT_MIN && v <= INT_MAX)
			value = (int)v;
	}
	free(text);
	return value;
}

/* The number behind "NAME:" at the start of a line; false where there is none. */
static bool status_field(const char *status, const char *name, int base, uint64_t *ret)
{
	size_t len = strlen(name);

	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ':') {
			char *end;
			*ret = strtoull(line + len + 1, &end, base);
			return end != line + len + 1;
		}
	}
	return false;
}

static void read_status(struct pev_limits *l)
{
	char *status = read_text("/proc/self/status");
	uint64_t v;

	l->seccomp = PEV_UNKNOWN;
	if (status && status_field(status, "CapEff", 16, &v))
		l->caps = v;
	if (status && status_field(status, "Seccomp", 10, &v))
		l->seccomp = (int)v;
	free(status);
}

/* The inode of the first user namespace: PROC_USER_INIT_INO of the kernel. */
#define FIRST_USER_NAMESPACE 0xeffffffdul

/* The first user namespace maps every id to itself; another one may, too. */
static bool in_user_namespace(void)
{
	struct stat st;

	if (stat("/proc/self/ns/user", &st) == 0)
		return st.st_ino != FIRST_USER_NAMESPACE;

	char *map = read_text("/proc/self/uid_map");
	unsigned int inside, outside, count;
	bool nested = map && sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 &&
		      (inside != 0 || outside != 0 || count != UINT32_MAX);

	free(map);
	return nested;
}

/* The word in brackets of "none [integrity] confidentiality". */
static void read_lockdown(struct pev_limits *l)
{
	char *text = read_text("/sys/kernel/security/lockdown");
	char *open = text ? strchr(text, '[') : NULL, *close = open ? strchr(open, ']') : NULL;

	if (close && (size_t)(close - open) <= sizeof(l->lockdown)) {
		memcpy(l->lockdown, open + 1, (size_t)(close - open) - 1);
		l->lockdown[close - open - 1] = '\0';
	}
	free(text);
}

/* Unknown flags are refused first of all, also by the kernels of distributions that refuse
 * everything to the unprivileged next. */
static int probe_call(void)
{
	long fd = syscall(SYS_perf_event_open, NULL, 0, -1, -1, ~0ul);

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

static uint64_t limit_value(rlim_t v)
{
	return v == RLIM_INFINITY ? UINT64_MAX : v;
}

uint64_t pev_max_sample_rate(void)
{
	int rate = read_setting("/proc/sys/kernel/perf_event_max_sample_rate");

	return rate > 0 ? (uint64_t)rate : 0;
}

void pev_limits_read(struct pev_limits *ret)
{
	struct rlimit r;

	*ret = (struct pev_limits){ .uid = geteuid(), .call_errno = probe_call() };
	read_status(ret);
	read_lockdown(ret);
	ret->in_user_ns = in_user_namespace();
	ret->paranoid = read_setting("/proc/sys/kernel/perf_event_paranoid");
	ret->kptr_restrict = read_setting("/proc/sys/kernel/kptr_restrict");
	ret->ptrace_scope = read_setting("/proc/sys/kernel/yama/ptrace_scope");

	int mlock_kb = read_setting("/proc/sys/kernel/perf_event_mlock_kb");
	ret->max_sample_rate = pev_max_sample_rate();
	ret->mlock_kb = mlock_kb > 0 ? (uint64_t)mlock_kb : 0;

	if (getrlimit(RLIMIT_MEMLOCK, &r) == 0)
		ret->memlock_bytes = limit_value(r.rlim_cur);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		ret->nofile = limit_value(r.rlim_cur);
		ret->nofile_hard = limit_value(r.rlim_max);
	}
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	ret->cpus = cpus > 0 ? (unsigned int)cpus : 1;
}

bool pev_limits_privileged(const struct pev_limits *l)
{
	return !l->in_user_ns &&
	       (pev_limits_has_cap(l, PEV_CAP_PERFMON) || pev_limits_has_cap(l, PEV_CAP_SYS_ADMIN));
}

bool pev_limits_call_filtered(const struct pev_limits *l)
{
	/* A kernel without perf events answers ENOSYS too: there a filter is what makes the
	 * difference. */
	return l->call_errno != EINVAL && (l->call_errno != ENOSYS || l->seccomp == 2);
}

uint64_t pev_limits_ring_bytes(const struct pev_limits *l, unsigned int rings)
{
	/* CAP_IPC_LOCK lifts the limit, and so does a perf_event_paranoid of -1. */
	if ((!l->in_user_ns && pev_limits_has_cap(l, PEV_CAP_IPC_LOCK)) || l->paranoid == -1 ||
	    l->memlock_bytes == UINT64_MAX)
		return UINT64_MAX;
	if (!rings)
		rings = 1;

	uint64_t all = l->mlock_kb * 1024 * l->cpus + l->memlock_bytes;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = all / rings / page, ring = 0;
	for (uint64_t data = 1; data + 1 <= pages; data *= 2)
		ring = data * page;
	return ring;
}

const char *pev_cap_name(int cap)
{
	switch (cap) {
	case PEV_CAP_IPC_LOCK:
		return "CAP_IPC_LOCK";
	case PEV_CAP_SYS_PTRACE:
		return "CAP_SYS_PTRACE";
	case PEV_CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN";
	case PEV_CAP_PERFMON:
		return "CAP_PERFMON";
	case PEV_CAP_BPF:
		return "CAP_BPF";
	}
	return NULL;
}
