/*
 * `cprof doctor`: what this machine allows, and what to do about what it does not. Events are
 * really opened, as a recording would open them; no version and no name of a distribution is
 * compared (but for one bug of some kernels, which cannot be tried: profiler/bpf/freeze.h). Each
 * check is a function in the table at the end that fills in one finding.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "profiler/bpf/explain.h"
#include "profiler/bpf/sampler.h"
#include "profiler/cmd/command.h"
#include "profiler/perf/explain.h"
#include "profiler/process/cgroup.h"
#include "profiler/process/namespace.h"

enum state {
	STATE_OK,
	STATE_LIMITED, /* a recording works, and lacks something */
	STATE_NO,      /* does not work at all */
	STATE_INFO,    /* neither good nor bad: to be known */
};

static const char *const state_names[] = { "ok", "limited", "no", "info" };

/* What opening one kind of event gave: errno, 0 where it worked. */
struct trial {
	struct perf_event_attr attr;
	const char *event;
	pid_t tid; /* 0 or -1 */
	int errnum;
};

struct machine {
	struct pev_limits limits;
	struct trial user, kernel, everything, cycles;
	struct kern_limits kern;
	struct error *ebpf;  /* why the ebpf backend does not run here; NULL: it does */
	struct error *shut;  /* in namespaces in which nothing can be recorded; NULL: not so */
	bool kernel_symbols; /* /proc/kallsyms shows addresses */
	bool secure;	     /* cprof's file is setuid or has capabilities */
	struct utsname uts;
};

struct finding {
	enum state state;
	struct buf found;  /* one line */
	struct buf advice; /* empty: nothing to do */
};

static void try_open(struct trial *t)
{
	long fd = syscall(SYS_perf_event_open, &t->attr, t->tid, t->tid < 0 ? 0 : -1, -1,
			  PERF_FLAG_FD_CLOEXEC);

	t->errnum = fd < 0 ? errno : 0;
	if (fd >= 0)
		close((int)fd);
}

static struct perf_event_attr sampling_attr(uint32_t type, uint64_t config, bool user_only)
{
	return (struct perf_event_attr){
		.type = type,
		.size = sizeof(struct perf_event_attr),
		.config = config,
		.freq = 1,
		.sample_freq = 99,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.disabled = 1,
		.exclude_kernel = user_only,
		.exclude_hv = user_only,
	};
}

/* Names need addresses: without permission all of them are shown as 0. */
static bool kernel_symbols_shown(void)
{
	char *text;
	bool shown = false;
	struct error *err = file_read_proc("/proc/kallsyms", 65536, &text, NULL);

	if (err) {
		error_free(err);
		return false;
	}
	for (char *line = text; line && !shown; line = strchr(line, '\n')) {
		line += *line == '\n';
		shown = strtoull(line, NULL, 16) != 0;
	}
	free(text);
	return shown;
}

static void machine_probe(struct machine *m)
{
	const uint64_t clock = PERF_COUNT_SW_CPU_CLOCK, cycles = PERF_COUNT_HW_CPU_CYCLES;

	*m = (struct machine){
		.user = { sampling_attr(PERF_TYPE_SOFTWARE, clock, true), "cpu-clock", 0, 0 },
		.kernel = { sampling_attr(PERF_TYPE_SOFTWARE, clock, false), "cpu-clock", 0, 0 },
		.everything = { sampling_attr(PERF_TYPE_SOFTWARE, clock, false), "cpu-clock", -1,
				0 },
		.cycles = { sampling_attr(PERF_TYPE_HARDWARE, cycles, true), "cycles", 0, 0 },
		.kernel_symbols = kernel_symbols_shown(),
		.secure = getauxval(AT_SECURE) != 0,
	};
	m->ebpf = kern_probe();
	m->shut = proc_check_mount();
	if (!m->shut)
		m->shut = proc_set_clock();
	kern_limits_read(&m->kern, true);
	m->limits = m->kern.perf;
	uname(&m->uts);
	try_open(&m->user);
	try_open(&m->kernel);
	try_open(&m->everything);
	try_open(&m->cycles);
}

static void machine_deinit(struct machine *m)
{
	error_free(m->ebpf);
	error_free(m->shut);
}

static bool can_record(const struct machine *m)
{
	return !m->shut && (!m->user.errnum || !m->ebpf);
}

static void add_words(struct buf *out, const char *words)
{
	if (words)
		buf_printf(out, "%s%s", out->len ? "; " : "", words);
}

/* The error that a recording would end with, as a finding. */
static void explain_trial(const struct machine *m, const struct trial *t, enum state state,
			  struct finding *f)
{
	const struct pev_request r = { &t->attr, t->event, t->tid };
	struct error *err = pev_explain_open_with(&m->limits, t->errnum, &r, (uid_t)-1);

	f->state = state;
	buf_add_str(&f->found, error_message(err));
	if (error_hint_of(err))
		buf_add_str(&f->advice, error_hint_of(err));
	error_free(err);
}

/* Whatever is asked, the answer is the same. */
static bool is_filtered(const struct machine *m, const struct trial *t, struct finding *f)
{
	if (!t->errnum || !pev_limits_call_filtered(&m->limits))
		return false;
	f->state = STATE_NO;
	buf_add_str(&f->found, "refused, too: see `sampling` above");
	return true;
}

static void check_sampling(const struct machine *m, struct finding *f)
{
	if (m->user.errnum) {
		explain_trial(m, &m->user, STATE_NO, f);
		return;
	}
	buf_printf(&f->found, "perf_event_open works for user %u, who asks now",
		   (unsigned int)m->limits.uid);
	if (m->limits.paranoid > 2)
		buf_add_str(&f->found, " and is privileged");
}

static void check_kernel_time(const struct machine *m, struct finding *f)
{
	if (!m->kernel.errnum) {
		buf_add_str(&f->found, "samples in the kernel are taken too");
		return;
	}
	if (is_filtered(m, &m->kernel, f))
		return;
	explain_trial(m, &m->kernel, m->user.errnum ? STATE_NO : STATE_LIMITED, f);
	if (!m->user.errnum)
		buf_add_str(&f->found, "; its time is shown as [kernel, not visible]");
}

static void check_other_programs(const struct machine *m, struct finding *f)
{
	if (!m->everything.errnum) {
		buf_add_str(&f->found, "-p reaches the processes of every user");
		if (!pev_limits_has_cap(&m->limits, PEV_CAP_SYS_PTRACE))
			buf_add_str(&f->found, "; to read what those of others have mapped may "
					       "take CAP_SYS_PTRACE (+sys_ptrace), and their "
					       "files must be readable");
		return;
	}
	if (is_filtered(m, &m->everything, f))
		return;
	if (m->user.errnum) {
		explain_trial(m, &m->everything, STATE_NO, f);
		return;
	}
	f->state = STATE_LIMITED;
	buf_printf(&f->found, "-p reaches the processes of user %u only",
		   (unsigned int)m->limits.uid);
	buf_add_str(&f->advice,
		    m->limits.in_user_ns
			    ? "root inside a user namespace does not count: run cprof on "
			      "the host to attach to those of others"
			    : "run as root (sudo cprof ...) to attach to those of others");
}

static void check_paranoid(const struct machine *m, struct finding *f)
{
	const int v = m->limits.paranoid;

	f->state = STATE_INFO;
	if (v == PEV_UNKNOWN) {
		buf_add_str(&f->found, "the kernel shows no perf_event_paranoid");
		return;
	}
	buf_printf(&f->found, "perf_event_paranoid is %d: users without privileges may profile ",
		   v);
	if (v > 2)
		buf_add_str(&f->found, "nothing");
	else if (v == 2)
		buf_add_str(&f->found, "their own programs, without the kernel's part");
	else if (v == 1)
		buf_add_str(&f->found, "their own programs, with the kernel's part");
	else
		buf_add_str(&f->found, "everything");
	if (pev_limits_privileged(&m->limits))
		buf_printf(&f->found, "; this does not hold for user %u, who has %s",
			   (unsigned int)m->limits.uid,
			   pev_cap_name(pev_limits_has_cap(&m->limits, PEV_CAP_PERFMON)
						? PEV_CAP_PERFMON
						: PEV_CAP_SYS_ADMIN));
}

static void check_privileges(const struct machine *m, struct finding *f)
{
	static const int caps[] = { PEV_CAP_PERFMON, PEV_CAP_BPF, PEV_CAP_SYS_ADMIN,
				    PEV_CAP_SYS_PTRACE, PEV_CAP_IPC_LOCK };
	bool has_both = pev_limits_has_cap(&m->limits, PEV_CAP_PERFMON) &&
			pev_limits_has_cap(&m->limits, PEV_CAP_BPF);
	bool any = false;

	f->state = STATE_INFO;
	buf_printf(&f->found, "user %u", (unsigned int)m->limits.uid);
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		if (!pev_limits_has_cap(&m->limits, caps[i]))
			continue;
		buf_printf(&f->found, "%s%s", any ? " " : " with ", pev_cap_name(caps[i]));
		any = true;
	}
	if (!any)
		buf_add_str(&f->found, " without a capability that matters here");
	if (any && m->limits.in_user_ns)
		buf_add_str(&f->found, ", which do not count outside of this user namespace");
	if (!has_both && !m->limits.in_user_ns && m->limits.uid != 0)
		buf_add_str(&f->advice,
			    "in place of root: sudo setpriv --reuid $USER --regid $(id -g) "
			    "--init-groups --inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf "
			    "cprof record ...");
	if (m->secure) {
		f->state = STATE_LIMITED;
		buf_add_str(&f->found,
			    "; cprof's file is setuid or has capabilities, so the programs it "
			    "starts lose LD_LIBRARY_PATH");
		buf_clear(&f->advice);
		buf_add_str(&f->advice, "sudo setcap -r on the file, and setpriv with ambient "
					"capabilities instead");
	}
}

static void check_seccomp(const struct machine *m, struct finding *f)
{
	if (pev_limits_call_filtered(&m->limits)) {
		f->state = STATE_NO;
		buf_add_str(&f->found, m->limits.seccomp == 2
					       ? "a seccomp filter refuses perf_event_open: see "
						 "`sampling` above"
					       : "perf_event_open is kept from the kernel: see "
						 "`sampling` above");
	} else if (m->limits.seccomp == 2) {
		buf_add_str(&f->found,
			    "a seccomp filter is there and lets perf_event_open through");
	} else {
		buf_add_str(&f->found, "no seccomp filter");
	}
}

static void check_namespaces(const struct machine *m, struct finding *f)
{
	if (m->shut) {
		f->state = STATE_NO;
		add_words(&f->found, error_message(m->shut));
		add_words(&f->advice, error_hint_of(m->shut));
	} else if (proc_in_pid_namespace()) {
		f->state = STATE_INFO;
		buf_add_str(&f->found,
			    "a pid namespace (a container): cprof records its processes, and those "
			    "of namespaces below it, by their numbers here; -a records no others");
		buf_add_str(&f->advice, "for the whole machine run cprof on the host, or the "
					"container with --pid=host");
	} else {
		buf_add_str(&f->found, "processes have the kernel's own numbers");
	}
}

static void check_pmu(const struct machine *m, struct finding *f)
{
	if (!m->cycles.errnum) {
		buf_add_str(&f->found, "hardware counters work");
		return;
	}
	if (is_filtered(m, &m->cycles, f))
		return;
	explain_trial(m, &m->cycles, m->user.errnum ? STATE_NO : STATE_LIMITED, f);
}

static void check_clock(const struct machine *m, struct finding *f)
{
	f->state = STATE_INFO;
	buf_add_str(&f->found,
		    "cpu-clock cannot fire while the kernel keeps interrupts off: that time is "
		    "booked where it allows them again (such as _raw_spin_unlock_irqrestore)");
}

static void check_rate(const struct machine *m, struct finding *f)
{
	const uint64_t max = m->limits.max_sample_rate;

	if (!max) {
		f->state = STATE_INFO;
		buf_add_str(&f->found, "the kernel shows no perf_event_max_sample_rate");
		return;
	}
	buf_printf(&f->found, "up to %" PRIu64 " Hz (-F)", max);
	if (max < 997) {
		f->state = STATE_LIMITED;
		buf_add_str(&f->advice,
			    "the kernel lowers this by itself when samples take it long: sudo "
			    "sysctl kernel.perf_event_max_sample_rate=100000");
	}
}

static void check_rings(const struct machine *m, struct finding *f)
{
	const struct pev_limits *l = &m->limits;
	const uint64_t ring = pev_limits_ring_bytes(l, l->cpus);

	if (ring == UINT64_MAX) {
		buf_add_str(&f->found, "no limit on lockable memory");
		return;
	}
	buf_printf(&f->found,
		   "rings of %" PRIu64 " KiB a CPU (perf_event_mlock_kb %" PRIu64
		   ", RLIMIT_MEMLOCK %" PRIu64 " KiB)",
		   ring / 1024, l->mlock_kb, l->memlock_bytes / 1024);
	if (ring >= 512 * 1024)
		return;
	f->state = STATE_LIMITED;
	buf_add_str(&f->found,
		    ": less of each stack is copied, so deep ones are cut (copy_short), and with "
		    "many threads at once samples may be lost");
	buf_add_str(&f->advice, "run as root, or ulimit -l 16384, or: sudo sysctl "
				"kernel.perf_event_mlock_kb=4096");
}

static void check_files(const struct machine *m, struct finding *f)
{
	const struct pev_limits *l = &m->limits;

	buf_printf(&f->found, "%" PRIu64 " open files (up to %" PRIu64 " on request): ", l->nofile,
		   l->nofile_hard);
	text_add_thousands(&f->found, l->nofile_hard / l->cpus);
	buf_printf(&f->found, " threads on %u CPUs", l->cpus);
	if (l->nofile_hard / l->cpus < 1000) {
		f->state = STATE_LIMITED;
		buf_add_str(&f->advice,
			    "a program with more threads needs a higher hard limit: raise "
			    "LimitNOFILE or /etc/security/limits.conf");
	}
}

static void check_kernel_symbols(const struct machine *m, struct finding *f)
{
	if (m->kernel_symbols) {
		buf_add_str(&f->found, "functions of the kernel have names");
		return;
	}
	if (!m->ebpf) {
		buf_add_str(&f->found, "functions of the kernel have names, by the ebpf backend "
				       "(/proc/kallsyms hides addresses from you)");
		return;
	}
	/* At 0 the kernel shows addresses to whoever may profile it, at 1 to whoever has
	 * CAP_SYSLOG, at 2 to nobody. */
	const int restricted = m->limits.kptr_restrict;

	f->state = STATE_LIMITED;
	if (restricted <= 0 && m->limits.paranoid <= 1) {
		buf_add_str(&f->found, "/proc/kallsyms shows no addresses here");
		buf_add_str(&f->advice, "a container or sandbox hides them: record on the host");
		return;
	}
	buf_add_str(&f->found, "/proc/kallsyms hides addresses from ");
	if (restricted >= 2)
		buf_printf(&f->found, "everybody (kptr_restrict is %d)", restricted);
	else if (restricted == 1)
		buf_add_str(&f->found, "users without CAP_SYSLOG (kptr_restrict is 1)");
	else
		buf_printf(&f->found,
			   "users without CAP_SYSLOG while perf_event_paranoid is above 1 "
			   "(it is %d)",
			   m->limits.paranoid);
	buf_printf(&f->advice, "%ssudo sysctl%s%s", restricted >= 2 ? "" : "run as root, or: ",
		   restricted == 0 ? "" : " kernel.kptr_restrict=0",
		   m->limits.paranoid > 1 ? " kernel.perf_event_paranoid=1" : "");
}

static void check_lockdown(const struct machine *m, struct finding *f)
{
	const char *mode = m->limits.lockdown;

	if (!mode[0] || strcmp(mode, "none") == 0) {
		buf_add_str(&f->found, "the kernel is not locked down");
		return;
	}
	f->state = STATE_INFO;
	buf_printf(&f->found, "the kernel is locked down (%s)", mode);
	if (strcmp(mode, "confidentiality") == 0)
		buf_add_str(&f->found,
			    ": it refuses samples of registers and of itself to everybody");
}

static void check_ptrace(const struct machine *m, struct finding *f)
{
	f->state = STATE_INFO;
	if (m->limits.ptrace_scope == PEV_UNKNOWN)
		buf_add_str(&f->found, "no Yama; ");
	else
		buf_printf(&f->found, "ptrace_scope is %d; ", m->limits.ptrace_scope);
	buf_add_str(&f->found,
		    "cprof reads and never stops its targets, so this does not limit it");
}

/*
 * Everything that keeps the ebpf backend from running, not only what a recording would meet first:
 * each fact is looked at as if all others were in order.
 */
static void add_obstacles(const struct machine *m, struct finding *f)
{
	struct kern_limits good = {
		.perf = m->limits, .call_errno = EINVAL, .has_btf = true, .has_loop = 1, .jit = 1
	};
	struct kern_limits only[6];
	bool is_contained = false; /* what lifts the filter gives the capabilities, too */

	good.perf.call_errno = EINVAL;
	good.perf.caps = UINT64_MAX;
	good.perf.in_user_ns = false;
	good.perf.lockdown[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(only); i++)
		only[i] = good;
	only[0].call_errno = m->kern.call_errno;
	only[0].perf.call_errno = m->limits.call_errno;
	only[1].perf.caps = m->limits.caps;
	only[1].perf.in_user_ns = m->limits.in_user_ns;
	memcpy(only[2].perf.lockdown, m->limits.lockdown, sizeof(m->limits.lockdown));
	only[3].has_btf = m->kern.has_btf;
	only[4].jit = m->kern.jit;
	only[4].has_loop = m->kern.has_loop;
	only[5].may_freeze = m->kern.may_freeze;
	for (size_t i = 0; i < ARRAY_SIZE(only); i++) {
		struct error *err = kern_explain_limits(&only[i]);

		if (err) {
			bool is_about_caps = i == 1 && !m->limits.in_user_ns;

			add_words(&f->found, error_message(err));
			if (is_about_caps && m->limits.uid)
				add_words(&f->advice,
					  "run as root, or with these capabilities in its place: "
					  "see `privileges` above");
			else if (!is_about_caps || !is_contained)
				add_words(&f->advice, error_hint_of(err));
			is_contained |= i == 0 && m->limits.seccomp == 2;
		}
		error_free(err);
	}
}

static void check_ebpf(const struct machine *m, struct finding *f)
{
	if (!m->ebpf) {
		buf_add_str(&f->found, "programs load, and the kernel describes its types");
		return;
	}
	f->state = STATE_LIMITED;
	add_obstacles(m, f);
	if (f->found.len)
		return;
	add_words(&f->found, error_message(m->ebpf));
	add_words(&f->advice, error_hint_of(m->ebpf));
}

static void check_whole_machine(const struct machine *m, struct finding *f)
{
	struct error *err = proc_cgroup_check();

	if (m->ebpf) {
		f->state = STATE_LIMITED;
		buf_add_str(&f->found, "-a and --cgroup need eBPF: see above");
	} else if (err) {
		f->state = STATE_LIMITED;
		buf_printf(&f->found, "-a works, --cgroup does not: %s", error_message(err));
		add_words(&f->advice, error_hint_of(err));
	} else {
		buf_add_str(&f->found, "-a and --cgroup (of cgroup2) work");
	}
	error_free(err);
}

static void check_backend(const struct machine *m, struct finding *f)
{
	if (!can_record(m)) {
		f->state = STATE_NO;
		buf_add_str(&f->found, "none: nothing can be recorded here");
		buf_printf(&f->advice,
			   "see `%s` above; report, flamegraph and convert work all the same",
			   m->shut ? "namespaces" : "sampling");
		return;
	}
	if (!m->ebpf) {
		buf_add_str(&f->found, "ebpf: stacks are unwound in the kernel, to their end");
		return;
	}
	buf_add_str(&f->found, "perf: stacks are copied (64 kB at the most) and unwound by cprof; "
			       "why not ebpf stands above");
}

static const struct check {
	const char *id;
	const char *title;
	void (*run)(const struct machine *m, struct finding *f);
} checks[] = {
	{ "sampling", "sampling", check_sampling },
	{ "kernel_time", "kernel time", check_kernel_time },
	{ "other_programs", "other programs", check_other_programs },
	{ "paranoid", "setting", check_paranoid },
	{ "privileges", "privileges", check_privileges },
	{ "seccomp", "seccomp", check_seccomp },
	{ "namespaces", "namespaces", check_namespaces },
	{ "lockdown", "lockdown", check_lockdown },
	{ "ptrace", "ptrace", check_ptrace },
	{ "pmu", "PMU", check_pmu },
	{ "clock", "clock", check_clock },
	{ "rate", "rate", check_rate },
	{ "rings", "rings", check_rings },
	{ "open_files", "open files", check_files },
	{ "kernel_symbols", "kernel names", check_kernel_symbols },
	{ "ebpf", "eBPF", check_ebpf },
	{ "whole_machine", "-a, --cgroup", check_whole_machine },
	{ "backend", "backend", check_backend },
};

static void print_text(const struct machine *m, struct finding *findings)
{
	printf("%s %s, %s, %u CPUs\n\n", m->uts.sysname, m->uts.release, m->uts.machine,
	       m->limits.cpus);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding *f = &findings[i];
		printf("  %-8s %-15s %s\n", state_names[f->state], checks[i].title,
		       buf_str(&f->found));
		if (f->advice.len)
			printf("  %-8s %-15s -> %s\n", "", "", buf_str(&f->advice));
	}
}

static void json_limit(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	if (v == UINT64_MAX)
		json_null(j);
	else
		json_u64(j, v);
}

static void json_setting(struct json *j, const char *key, int v)
{
	json_key(j, key);
	if (v == PEV_UNKNOWN)
		json_null(j);
	else
		json_i64(j, v);
}

static void json_limits(struct json *j, const struct machine *m)
{
	const struct pev_limits *l = &m->limits;

	json_key(j, "limits");
	json_object(j);
	json_setting(j, "perf_event_paranoid", l->paranoid);
	json_setting(j, "kptr_restrict", l->kptr_restrict);
	json_setting(j, "ptrace_scope", l->ptrace_scope);
	json_key_u64(j, "max_sample_rate_hz", l->max_sample_rate);
	json_key_u64(j, "perf_event_mlock_kib", l->mlock_kb);
	json_limit(j, "memlock_bytes", l->memlock_bytes);
	json_limit(j, "ring_bytes", pev_limits_ring_bytes(l, l->cpus));
	json_limit(j, "open_files", l->nofile);
	json_limit(j, "open_files_hard", l->nofile_hard);
	json_setting(j, "unprivileged_bpf_disabled", m->kern.unprivileged_disabled);
	json_setting(j, "bpf_jit_enable", m->kern.jit);
	json_key(j, "btf");
	json_bool(j, m->kern.has_btf);
	json_object_end(j);
}

/* docs/doctor.schema.json describes this. */
static struct error *print_json(const struct machine *m, struct finding *findings)
{
	struct sink *out;

	TRY(sink_open("-", &out));
	struct json j = json_make(out, true);
	json_object(&j);
	json_key_str(&j, "schema", "cprof.doctor/1");
	json_key_str(&j, "kernel", m->uts.release);
	json_key_str(&j, "machine", m->uts.machine);
	json_key_u64(&j, "cpus", m->limits.cpus);
	json_key(&j, "can_record");
	json_bool(&j, can_record(m));
	json_key(&j, "backend");
	if (can_record(m))
		json_str(&j, m->ebpf ? "perf" : "ebpf");
	else
		json_null(&j);
	json_key(&j, "backend_reason");
	if (m->shut || m->ebpf)
		json_str(&j, error_message(m->shut ? m->shut : m->ebpf));
	else
		json_null(&j);
	json_limits(&j, m);
	json_key(&j, "checks");
	json_array(&j);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		json_object(&j);
		json_key_str(&j, "id", checks[i].id);
		json_key_str(&j, "state", state_names[findings[i].state]);
		json_key_str(&j, "found", buf_str(&findings[i].found));
		json_key(&j, "advice");
		if (findings[i].advice.len)
			json_str(&j, buf_str(&findings[i].advice));
		else
			json_null(&j);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_object_end(&j);
	sink_str(out, "\n");
	return sink_close(out);
}

static struct error *doctor(int argc, char **argv, int *ret_status)
{
	bool json = false, help = false;
	const struct option_spec specs[] = {
		{ "json", 0, OPTION_FLAG, NULL, "write JSON (schema in docs/doctor.schema.json)",
		  &json, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &help, NULL },
	};
	const struct options o = { specs, ARRAY_SIZE(specs), false, NULL };
	struct finding findings[ARRAY_SIZE(checks)] = { 0 };
	struct error *err = NULL;
	struct machine m;
	int first;

	TRY(options_parse(&o, argc, argv, &first));
	if (help) {
		puts("usage: cprof doctor [--json]\n\nWhat this machine allows cprof to record, "
		     "and what to do "
		     "about what it does not.\n");
		options_print(&o, stdout);
		return NULL;
	}
	if (first < argc)
		return error_new(ERR_USAGE, "doctor takes no argument: '%s'", argv[first]);

	machine_probe(&m);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i].run(&m, &findings[i]);
	if (json)
		err = print_json(&m, findings);
	else
		print_text(&m, findings);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		buf_deinit(&findings[i].found);
		buf_deinit(&findings[i].advice);
	}
	*ret_status = can_record(&m) ? 0 : 1;
	machine_deinit(&m);
	return err;
}

static int doctor_run(int argc, char **argv)
{
	int status = 0;
	struct error *err = doctor(argc, argv, &status);

	return err ? command_finish(err) : status;
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "what this machine allows, and what to do about what it does not",
	.run = doctor_run,
};
