#include "profiler/bpf/explain.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/bpf/freeze.h"
#include "profiler/bpf/sampler.h"
#include "profiler/perf/explain.h"

/* What lets a container run the backend. Docker's default filter lets bpf() and perf_event_open
 * pass with these capabilities, others' do not. */
#define CONTAINER_CAPS	"--cap-add BPF --cap-add PERFMON"
#define CONTAINER_FLAGS CONTAINER_CAPS " --security-opt seccomp=unconfined"
#define OLD_DOCKER                                                                                 \
	"where docker does not know these capabilities, --cap-add SYS_ADMIN in their place"

/* --- the facts --- */

static int read_setting(const char *path)
{
	char *text = NULL;
	int value = PEV_UNKNOWN;
	struct error *err = file_read_proc(path, 64, &text, NULL);

	if (err)
		error_free(err);
	else if (sscanf(text, "%d", &value) != 1)
		value = PEV_UNKNOWN;
	free(text);
	return value;
}

static int probe_call(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	return syscall(SYS_bpf, INT32_MAX, &attr, sizeof(attr)) < 0 ? errno : 0;
}

void kern_limits_read(struct kern_limits *ret, bool probe)
{
	*ret = (struct kern_limits){
		.call_errno = probe_call(),
		.unprivileged_disabled = read_setting("/proc/sys/kernel/unprivileged_bpf_disabled"),
		.jit = read_setting("/proc/sys/net/core/bpf_jit_enable"),
		.has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0,
		.has_loop = -1,
		.may_freeze = kern_may_freeze(),
	};
	pev_limits_read(&ret->perf);
	if (probe)
		ret->has_loop =
			libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_loop, NULL);
}

/* --- what stands in the way --- */

static bool has_cap(const struct kern_limits *l, int cap)
{
	return !l->perf.in_user_ns && (pev_limits_has_cap(&l->perf, cap) ||
				       pev_limits_has_cap(&l->perf, PEV_CAP_SYS_ADMIN));
}

/* The call does not come to the kernel. Before Linux 5.17 or so the kernel itself refuses every
 * command to the unprivileged, the unknown ones too. */
static bool is_filtered(const struct kern_limits *l)
{
	if (l->call_errno == ENOSYS)
		return l->perf.seccomp == 2;
	if (l->call_errno == EPERM && !has_cap(l, PEV_CAP_BPF) && l->perf.seccomp != 2)
		return false;
	return l->call_errno != EINVAL;
}

static struct error *explain_filter(const struct kern_limits *l)
{
	struct error *err;

	if (l->perf.seccomp == 2) {
		err = error_new(ERR_PERMISSION,
				"a seccomp filter (of a container, or of systemd) refuses bpf: %s",
				strerror(l->call_errno));
		return error_hint(err,
				  "docker run " CONTAINER_FLAGS " (podman: the same; " OLD_DOCKER
				  "); systemd: SystemCallFilter=bpf perf_event_open");
	}
	err = error_new(ERR_UNSUPPORTED,
			"bpf does not reach a Linux kernel here: %s (a sandbox, or a security "
			"module?)",
			strerror(l->call_errno));
	return error_hint(err, "profile outside of the sandbox");
}

static struct error *explain_capabilities(const struct kern_limits *l)
{
	bool bpf = has_cap(l, PEV_CAP_BPF), perfmon = has_cap(l, PEV_CAP_PERFMON);
	struct error *err;

	if (bpf && perfmon)
		return NULL;
	if (l->perf.in_user_ns) {
		err = error_new(
			ERR_PERMISSION,
			"unwinding in the kernel takes CAP_BPF and CAP_PERFMON, which count for "
			"nothing in a user namespace (a rootless container?)");
		return error_hint(
			err, "run cprof on the host, or a container of root's: sudo podman "
			     "run " CONTAINER_FLAGS ", docker run --userns=host " CONTAINER_FLAGS);
	}
	err = error_new(ERR_PERMISSION,
			"unwinding in the kernel takes CAP_BPF and CAP_PERFMON, and cprof has %s",
			bpf	  ? "no CAP_PERFMON"
			: perfmon ? "no CAP_BPF"
				  : "neither");
	if (l->perf.uid == 0)
		return error_hint(err,
				  "root without them (a container?): docker run " CONTAINER_CAPS
				  " (podman: the same; " OLD_DOCKER ")");
	return error_hint(err,
			  "run as root (sudo cprof ...; the program still runs as you); `cprof "
			  "doctor` says how to give the two capabilities in place of root");
}

struct error *kern_explain_freeze(void)
{
	struct error *err =
		error_new(ERR_UNSUPPORTED,
			  "this kernel may freeze when a BPF program reads a stack in an interrupt "
			  "(Linux 5.19 to 6.1.35, 6.2, 6.3 to 6.3.9, with hardened usercopy)");

	return error_hint(err, "6.1.36, 6.3.10, 6.4 and newer are mended; if your distribution has "
			       "mended this one, --backend ebpf");
}

static struct error *explain_kernel(const struct kern_limits *l)
{
	struct error *err;

	if (l->call_errno == ENOSYS)
		return error_hint(error_new(ERR_UNSUPPORTED, "this kernel has no BPF"),
				  "it was built without CONFIG_BPF_SYSCALL: another kernel is "
				  "needed to unwind in it");
	if (!strcmp(l->perf.lockdown, "confidentiality")) {
		err = error_new(ERR_PERMISSION,
				"the kernel is locked down (confidentiality): BPF programs may "
				"not read its memory");
		return error_hint(err, "see /sys/kernel/security/lockdown: `integrity` would do; "
				       "it is set on the kernel's command line (lockdown=)");
	}
	if (!l->has_btf) {
		err = error_new(ERR_UNSUPPORTED, "this kernel does not describe its types (no "
						 "/sys/kernel/btf/vmlinux)");
		return error_hint(err, "it was built without CONFIG_DEBUG_INFO_BTF, or /sys is "
				       "not mounted here");
	}
	if (l->jit == 0) {
		err = error_new(ERR_UNSUPPORTED,
				"BPF programs are interpreted here (net.core.bpf_jit_enable is 0), "
				"and loops of BPF need the compiler");
		return error_hint(err, "sudo sysctl net.core.bpf_jit_enable=1");
	}
	if (l->has_loop == 0) {
		err = error_new(ERR_UNSUPPORTED, "this kernel's BPF has no loops (bpf_loop)");
		return error_hint(err, "Linux 5.17 and newer have them");
	}
	return l->may_freeze ? kern_explain_freeze() : NULL;
}

struct error *kern_explain_limits(const struct kern_limits *l)
{
	static const struct perf_event_attr clock = { .type = PERF_TYPE_SOFTWARE,
						      .config = PERF_COUNT_SW_CPU_CLOCK };
	struct error *err;

	if (is_filtered(l))
		return explain_filter(l);
	err = l->call_errno == ENOSYS ? NULL : explain_capabilities(l);
	if (!err)
		err = explain_kernel(l);
	if (!err && pev_limits_call_filtered(&l->perf))
		err = pev_explain_open_with(
			&l->perf, l->perf.call_errno,
			&(struct pev_request){ .attr = &clock, .event = "cpu-clock", .tid = -1 },
			(uid_t)-1);
	return err;
}

/* --- what failed --- */

#define MEMORY_HINT                                                                                \
	"the kernel program's memory counts as cprof's: raise the limit of its control group "     \
	"(memory.max; MemoryMax= of a systemd unit, --memory of a container)"

struct error *kern_explain_memory(uint64_t left, uint64_t needed)
{
	struct error *err;

	err = error_new(ERR_SYSTEM,
			"too little memory to unwind in the kernel: it takes %" PRIu64
			" MiB, and %" PRIu64 " MiB are left",
			needed >> 20, left >> 20);
	return error_hint(err, MEMORY_HINT);
}

struct error *kern_explain_with(const struct kern_limits *l, int errnum, const char *what,
				const char *words)
{
	struct error *err = kern_explain_limits(l);

	if (err)
		return err;
	switch (errnum) {
	case ENOMEM:
		err = error_errno(errnum, "%s", what);
		return error_hint(err, MEMORY_HINT);
	case EMFILE:
		err = error_new(ERR_SYSTEM, "%s: too few file descriptors: cprof may open %" PRIu64,
				what, l->perf.nofile);
		return error_hint(err, "ulimit -n %" PRIu64 "%s", l->perf.nofile_hard,
				  l->perf.nofile >= l->perf.nofile_hard
					  ? " is the most here: raise it as root"
					  : "");
	case ENFILE:
		return error_hint(error_errno(errnum, "%s", what), "sudo sysctl fs.file-max=...");
	case EPERM:
		err = error_errno(errnum, "%s", what);
		return error_hint(err, "nothing that cprof knows forbids it: a security module "
				       "(SELinux, AppArmor, BPF's own) may; its log says so");
	case E2BIG:
	case EINVAL:
	case EACCES:
	case ENOSPC:
		err = error_new(ERR_UNSUPPORTED, "%s: this kernel's verifier refuses it (%s)%s%s",
				what, strerror(errnum), *words ? ": " : "", words);
		return error_hint(err, "a mistake of cprof, or of a kernel that it was not tried "
				       "on: CPROF_DEBUG=bpf prints the verifier's reasons");
	}
	return error_errno(errnum, "%s", what);
}

struct error *kern_explain(int errnum, const char *what, const char *words)
{
	struct kern_limits l;
	bool is_about_memory = errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE;

	kern_limits_read(&l, !is_about_memory);
	return kern_explain_with(&l, errnum, what, words);
}
