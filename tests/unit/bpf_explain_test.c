/* profiler/bpf: why the kernel refused, told from the facts. Each case is a machine as users have
 * it. */
#include "tests/unit/unit.h"

#include "profiler/bpf/explain.h"
#include "profiler/bpf/freeze.h"

#define CAP(cap) (UINT64_C(1) << PEV_CAP_##cap)

/* Root of a machine of today, where everything works. */
static const struct kern_limits root = {
	.perf = { .call_errno = EINVAL,
		  .caps = CAP(BPF) | CAP(PERFMON) | CAP(SYS_ADMIN),
		  .paranoid = 2,
		  .nofile = 1024,
		  .nofile_hard = 1048576,
		  .cpus = 2 },
	.call_errno = EINVAL,
	.unprivileged_disabled = 2,
	.jit = 1,
	.has_btf = true,
	.has_loop = 1,
};

/* Message and hint hold these words. */
static void expect(struct error *err, enum error_code code, const char *in_message,
		   const char *in_hint)
{
	assert_non_null(err);
	assert_int_equal(error_code_of(err), code);
	if (!strstr(error_message(err), in_message))
		fail_msg("'%s' does not say '%s'", error_message(err), in_message);
	if (!error_hint_of(err) || !strstr(error_hint_of(err), in_hint))
		fail_msg("'%s' does not say '%s'", error_hint_of(err), in_hint);
	error_free(err);
}

static void nothing_stands_in_the_way_of_root(void **state)
{
	struct kern_limits l = root;

	assert_null(kern_explain_limits(&l));
	l.perf.caps = CAP(BPF) | CAP(PERFMON); /* the two are enough */
	assert_null(kern_explain_limits(&l));
	l.perf.caps = CAP(SYS_ADMIN); /* and so is the one that was both, before Linux 5.8 */
	assert_null(kern_explain_limits(&l));
	l.has_loop = -1; /* what is not known is no reason */
	l.jit = PEV_UNKNOWN;
	assert_null(kern_explain_limits(&l));
}

static void missing_capabilities_are_named(void **state)
{
	struct kern_limits l = root;

	l.perf.uid = 1000;
	l.perf.caps = 0;
	l.has_loop = 0; /* nobody can find that out without them */
	expect(kern_explain_limits(&l), ERR_PERMISSION, "cprof has neither", "sudo cprof");
	l.perf.caps = CAP(BPF);
	expect(kern_explain_limits(&l), ERR_PERMISSION, "no CAP_PERFMON", "sudo cprof");
	l.perf.caps = CAP(PERFMON);
	expect(kern_explain_limits(&l), ERR_PERMISSION, "no CAP_BPF", "sudo cprof");
	l.perf.uid = 0;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "no CAP_BPF", "--cap-add BPF");
	l.perf.caps = root.perf.caps;
	l.perf.in_user_ns = true;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "nothing in a user namespace",
	       "docker run --userns=host");
}

static void a_filter_is_told_from_a_missing_capability(void **state)
{
	struct kern_limits l = root;

	/* docker: the capabilities are missing too, and the flags bring both */
	l.perf.seccomp = 2;
	l.perf.caps = 0;
	l.call_errno = EPERM;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "seccomp filter",
	       "--cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined");
	l.perf.caps = root.perf.caps;
	l.call_errno = ENOSYS;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "seccomp filter", "SystemCallFilter=");

	/* a filter that lets bpf() pass is no reason */
	l.call_errno = EINVAL;
	assert_null(kern_explain_limits(&l));

	/* before Linux 5.17 the kernel refuses every command to the unprivileged */
	l.perf.seccomp = 0;
	l.perf.caps = 0;
	l.perf.uid = 1000;
	l.call_errno = EPERM;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "cprof has neither", "sudo cprof");

	/* with all privileges and without a filter */
	l.perf.caps = root.perf.caps;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "does not reach a Linux kernel",
	       "outside of the sandbox");
}

static void kernels_that_cannot(void **state)
{
	struct kern_limits l = root;

	l.call_errno = ENOSYS;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "no BPF", "CONFIG_BPF_SYSCALL");
	l = root;
	l.has_btf = false;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "/sys/kernel/btf/vmlinux",
	       "CONFIG_DEBUG_INFO_BTF");
	l = root;
	l.has_loop = 0;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "bpf_loop", "Linux 5.17");
	l = root;
	l.jit = 0;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "interpreted",
	       "sysctl net.core.bpf_jit_enable=1");
	l = root;
	strcpy(l.perf.lockdown, "confidentiality");
	expect(kern_explain_limits(&l), ERR_PERMISSION, "locked down", "integrity");
	strcpy(l.perf.lockdown, "integrity");
	assert_null(kern_explain_limits(&l));
}

static void kernels_that_may_freeze(void **state)
{
	static const struct {
		struct kern_version v;
		bool may;
	} cases[] = {
		{ { "5.15.0-91-generic", "", "Ubuntu 5.15.0-91.101-generic 5.15.131", "" }, false },
		{ { "5.19.0", "", "", "" }, true },
		{ { "6.0.19", "", "", "" }, true },
		{ { "6.1.25-37.47.amzn2023.x86_64", "", "", "" }, true },
		{ { "6.1.35", "", "", "" }, true },
		{ { "6.1.36", "", "", "" }, false },
		{ { "6.1.0-50-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-11-01)",
		    "", "" },
		  false },
		{ { "6.1.0-9-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.27-1 (2023-05-08)", "",
		    "" },
		  true },
		{ { "6.2.0-39-generic", "#40~22.04.1-Ubuntu SMP",
		    "Ubuntu 6.2.0-39.40~22.04.1-generic 6.2.16", "" },
		  true },
		{ { "6.2.16", "", "", "CONFIG_X=y\n# CONFIG_HARDENED_USERCOPY is not set\n" },
		  false },
		{ { "6.2.16", "", "", "CONFIG_HARDENED_USERCOPY=y\n" }, true },
		{ { "6.3.9", "", "", "" }, true },
		{ { "6.3.10", "", "", "" }, false },
		{ { "6.4.0-rc1", "", "", "" }, false },
		{ { "6.18.44-fc", "#1 SMP PREEMPT_DYNAMIC", "", "" }, false },
		{ { "7.0", "", "", "" }, false },
		{ { "odd", "", "", "" }, false },
	};
	struct kern_limits l = root;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (kern_version_may_freeze(&cases[i].v) != cases[i].may)
			fail_msg("%s", cases[i].v.release);
	l.may_freeze = true;
	expect(kern_explain_limits(&l), ERR_UNSUPPORTED, "may freeze", "6.1.36");
}

static void perf_events_are_needed_too(void **state)
{
	struct kern_limits l = root;

	l.perf.seccomp = 2;
	l.perf.call_errno = EPERM;
	expect(kern_explain_limits(&l), ERR_PERMISSION, "refuses perf_event_open", "--cap-add");
}

static void failures_have_a_cure(void **state)
{
	struct kern_limits l = root;
	const char *what = "loading the sampling program";

	expect(kern_explain_with(&l, ENOMEM, what, ""), ERR_SYSTEM, what, "memory.max");
	expect(kern_explain_with(&l, EMFILE, what, ""), ERR_SYSTEM, "may open 1024",
	       "ulimit -n 1048576");
	l.perf.nofile = l.perf.nofile_hard;
	expect(kern_explain_with(&l, EMFILE, what, ""), ERR_SYSTEM, "1048576", "as root");
	expect(kern_explain_with(&l, ENFILE, what, ""), ERR_SYSTEM, what, "fs.file-max");
	expect(kern_explain_with(&l, EPERM, what, ""), ERR_PERMISSION, what, "security module");
	expect(kern_explain_with(&l, E2BIG, what,
				 "BPF program is too large. Processed 1000001 insn"),
	       ERR_UNSUPPORTED, "too large. Processed 1000001", "CPROF_DEBUG=bpf");
	expect(kern_explain_with(&l, EINVAL, what, ""), ERR_UNSUPPORTED,
	       "verifier refuses it (Invalid argument)", "CPROF_DEBUG=bpf");

	/* what stands in the way of everything is said rather than the errno that it gave */
	l.perf.caps = 0;
	expect(kern_explain_with(&l, EPERM, what, ""), ERR_PERMISSION, "cprof has neither", "root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stands_in_the_way_of_root),
		cmocka_unit_test(missing_capabilities_are_named),
		cmocka_unit_test(a_filter_is_told_from_a_missing_capability),
		cmocka_unit_test(kernels_that_cannot),
		cmocka_unit_test(kernels_that_may_freeze),
		cmocka_unit_test(perf_events_are_needed_too),
		cmocka_unit_test(failures_have_a_cure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
