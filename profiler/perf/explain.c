#include "profiler/perf/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What lets a container profile: with all that cprof can use, of which perf events take
 * CAP_PERFMON. Docker's default filter refuses the call without it. */
#define CONTAINER_FLAGS "--cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined"

static const char *describe_target(const struct pev_request *r, char *text, size_t size)
{
	if (r->tid < 0)
		return "all programs";
	if (r->tid == 0)
		return "a program";
	snprintf(text, size, "thread %d", (int)r->tid);
	return text;
}

/* The call never came to the kernel's perf code. */
static struct error *explain_filter(const struct pev_limits *l, int errnum)
{
	struct error *err;

	if (l->seccomp == 2) {
		err = error_new(ERR_PERMISSION,
				"a seccomp filter (of a container, or of systemd) refuses "
				"perf_event_open: %s",
				strerror(errnum));
		return error_hint(err,
				  "docker run " CONTAINER_FLAGS " (podman: the same; where docker "
				  "does not know these capabilities, --cap-add SYS_ADMIN in their "
				  "place); systemd: SystemCallFilter=perf_event_open");
	}
	err = error_new(ERR_UNSUPPORTED,
			"perf_event_open does not reach a Linux kernel here: %s (a sandbox such as "
			"gVisor?)",
			strerror(errnum));
	return error_hint(err, "profile outside of the sandbox");
}

static struct error *explain_paranoid(const struct pev_limits *l, int allowed, const char *what)
{
	struct error *err = error_new(ERR_PERMISSION,
				      "perf_event_paranoid is %d: this kernel lets only "
				      "privileged users profile%s",
				      l->paranoid, what);

	if (l->in_user_ns)
		return error_hint(err,
				  "root inside a user namespace does not count: on the host, "
				  "sudo sysctl kernel.perf_event_paranoid=%d",
				  allowed);
	if (l->uid == 0)
		return error_hint(
			err,
			"root without CAP_PERFMON (a container?): add it with --cap-add PERFMON, "
			"or on the host: sysctl kernel.perf_event_paranoid=%d",
			allowed);
	return error_hint(err,
			  "run as root (sudo cprof ...; the program still runs as you), "
			  "or: sudo sysctl kernel.perf_event_paranoid=%d",
			  allowed);
}

static struct error *explain_refusal(const struct pev_limits *l, int errnum,
				     const struct pev_request *r, uid_t owner)
{
	char text[32];
	const char *target = describe_target(r, text, sizeof(text));
	struct error *err;

	if (!pev_limits_privileged(l)) {
		if (l->paranoid > 2)
			return explain_paranoid(l, 2, "");
		if (l->paranoid > 0 && r->tid < 0)
			return explain_paranoid(l, 0, " all programs at once");
		if (l->paranoid > 1 && !r->attr->exclude_kernel)
			return explain_paranoid(l, 1, " the kernel's part");
		if (r->attr->type == PERF_TYPE_TRACEPOINT && l->paranoid > -1)
			return explain_paranoid(l, -1, " tracepoints");
	}
	if (r->tid > 0 && owner != (uid_t)-1 && owner != l->uid) {
		err = error_new(ERR_PERMISSION, "%s belongs to user %u, and cprof runs as user %u",
				target, (unsigned int)owner, (unsigned int)l->uid);
		return error_hint(err, "run cprof as that user or as root%s",
				  l->uid == 0 ? " with CAP_SYS_PTRACE" : "");
	}
	if (r->tid > 0) {
		err = error_new(ERR_PERMISSION, "the kernel does not let this user look into %s",
				target);
		return error_hint(
			err,
			"it runs with privileges of its own (setuid, capabilities) or is marked "
			"not dumpable: run as root");
	}
	err = error_new(ERR_PERMISSION, "perf_event_open of %s: %s", r->event, strerror(errnum));
	if (l->lockdown[0] && strcmp(l->lockdown, "none") != 0)
		return error_hint(
			err, "the kernel is locked down (%s): see /sys/kernel/security/lockdown",
			l->lockdown);
	return error_hint(
		err,
		"nothing that cprof knows forbids it: a security module (SELinux, AppArmor) may; "
		"its log says so");
}

static bool is_hardware(const struct perf_event_attr *attr)
{
	return attr->type == PERF_TYPE_HARDWARE || attr->type == PERF_TYPE_HW_CACHE ||
	       attr->type == PERF_TYPE_RAW;
}

/* No such event: that is a fact about the machine and not a lack of permission. */
static struct error *explain_absent(int errnum, const struct pev_request *r)
{
	struct error *err;

	if (is_hardware(r->attr)) {
		err = error_new(ERR_UNSUPPORTED, "this machine has no hardware counter for %s (%s)",
				r->event,
				errnum == ENOENT ? "no PMU, or one that does not count it"
						 : "its PMU cannot sample it");
		return error_hint(
			err, "most virtual machines have no PMU: sample by the software clock, "
			     "-e cpu-clock (the default)");
	}
	err = error_new(ERR_UNSUPPORTED, "this kernel has no event %s: %s", r->event,
			strerror(errnum));
	return error_hint(err, "sample by -e cpu-clock, which every kernel has");
}

static struct error *explain_invalid(const struct pev_limits *l, const struct pev_request *r)
{
	struct error *err;

	if (r->attr->freq && l->max_sample_rate && r->attr->sample_freq > l->max_sample_rate) {
		err = error_new(ERR_UNSUPPORTED,
				"the kernel samples at %" PRIu64 " Hz at the most, not at %" PRIu64,
				l->max_sample_rate, (uint64_t)r->attr->sample_freq);
		return error_hint(err,
				  "-F %" PRIu64
				  ", or: sudo sysctl kernel.perf_event_max_sample_rate=%" PRIu64,
				  l->max_sample_rate, (uint64_t)r->attr->sample_freq);
	}
	err = error_new(ERR_UNSUPPORTED,
			"the kernel does not take event %s as cprof asks for it: %s", r->event,
			strerror(EINVAL));
	return error_hint(err, "`cprof doctor` shows what this kernel can do");
}

struct error *pev_explain_open_with(const struct pev_limits *l, int errnum,
				    const struct pev_request *r, uid_t owner)
{
	char text[32];

	if (pev_limits_call_filtered(l))
		return explain_filter(l, errnum);

	switch (errnum) {
	case ENOSYS:
		return error_hint(
			error_new(ERR_UNSUPPORTED, "this kernel has no perf events"),
			"it was built without CONFIG_PERF_EVENTS: another kernel is needed");
	case EACCES:
	case EPERM:
		return explain_refusal(l, errnum, r, owner);
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
		return explain_absent(errnum, r);
	case EMFILE:
		return error_hint(
			error_new(ERR_SYSTEM,
				  "too few file descriptors: cprof needs one for each "
				  "thread and CPU, and may open %" PRIu64,
				  l->nofile),
			"ulimit -n %" PRIu64 "%s", l->nofile_hard,
			l->nofile >= l->nofile_hard ? " is the most here: raise it as root" : "");
	case ENFILE:
		return error_hint(error_errno(ENFILE, "the whole system ran out of open files"),
				  "sudo sysctl fs.file-max=...");
	case ESRCH:
		return error_new(ERR_NOT_FOUND, "%s has ended",
				 describe_target(r, text, sizeof(text)));
	case EBUSY:
		return error_hint(
			error_new(ERR_UNSUPPORTED, "event %s is in use by somebody else", r->event),
			"a counter that is pinned or exclusive (another profiler, the NMI "
			"watchdog): "
			"stop it, or sample by -e cpu-clock");
	case EINVAL:
		return explain_invalid(l, r);
	}
	return error_errno(errnum, "perf_event_open of %s", r->event);
}

struct error *pev_explain_open(int errnum, const struct pev_request *r)
{
	struct pev_limits l;
	struct stat st;
	uid_t owner = (uid_t)-1;
	char path[32];

	pev_limits_read(&l);
	snprintf(path, sizeof(path), "/proc/%d", (int)r->tid);
	if (r->tid > 0 && stat(path, &st) == 0)
		owner = st.st_uid;
	return pev_explain_open_with(&l, errnum, r, owner);
}

struct error *pev_explain_ring_with(const struct pev_limits *l, int errnum, uint64_t bytes,
				    unsigned int rings)
{
	struct error *err;

	if (errnum != EPERM)
		return error_errno(errnum, "cannot map a ring of %" PRIu64 " KiB", bytes / 1024);

	err = error_new(ERR_PERMISSION,
			"too little lockable memory for %u rings of %" PRIu64
			" KiB: perf_event_mlock_kb is "
			"%" PRIu64 " (a CPU), RLIMIT_MEMLOCK %" PRIu64 " KiB",
			rings, bytes / 1024, l->mlock_kb, l->memlock_bytes / 1024);
	return error_hint(err,
			  "sudo sysctl kernel.perf_event_mlock_kb=%" PRIu64
			  ", or a higher `ulimit -l`; "
			  "another profiler of the same user may hold the rest",
			  (bytes / 1024 + 8) * (rings / MAX(l->cpus, 1u) + 1));
}

struct error *pev_explain_ring(int errnum, uint64_t bytes, unsigned int rings)
{
	struct pev_limits l;

	pev_limits_read(&l);
	return pev_explain_ring_with(&l, errnum, bytes, rings);
}
